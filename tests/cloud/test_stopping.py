"""Jobs that write to a bucket, killed at any change of it, go on with the same call and end with the same objects and nothing else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import pytest
import xarray as xr

import roitrace as rt
from roitrace.engine import slab_layer
from roitrace.errors import OutputExistsError, RoitraceError, StoreError
from roitrace.results import load, save
from roitrace.store import commits, lease
from tests.cloud.memory import Killed, MemoryBucket, memory_bucket
from tests.test_resuming import rois

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STORE = "s3://memory/a.zarr"


@dataclass(frozen=True)
class Job:
    """What is there before, and what is done then."""

    before: Callable[[Path], Any]
    work: Callable[[Path], Any]
    opened: Callable[[], Any]


def movie(folder: Path, n_frames: int, seed: int) -> Path:
    path = folder / f"{n_frames}-{seed}.npy"
    if not path.exists():
        np.save(path, np.random.default_rng(seed).integers(0, 9, (n_frames, 12, 16), dtype="uint16"))
    return path


def convert(folder: Path, seed: int = 0, *, overwrite: bool = False) -> None:
    rt.convert(movie(folder, 30, seed), STORE, chunks=(8, 8, 16), frame_rate=5.0, overwrite=overwrite)


def append(folder: Path) -> None:
    rt.append(movie(folder, 11, 2), STORE)


def results(folder: Path) -> dict[str, Any]:
    recording = rt.open_recording(movie(folder, 600, 3), frame_rate=10)
    lazy = rt.extract(recording, rois(), ("mean",), projections=("mean",), budget="2 GiB", workers=2)
    return {"traces": lazy, "normalized": rt.normalize(lazy, window="20 s")}


def whole_recording() -> float:
    return float(rt.open_recording(STORE).sum())


def whole_results() -> list[str]:
    return sorted(load(STORE).children)


JOBS = {
    "convert": Job(lambda _: None, convert, whole_recording),
    "convert over another": Job(
        lambda folder: convert(folder, 1), lambda folder: convert(folder, overwrite=True), whole_recording
    ),
    "append": Job(convert, append, whole_recording),
    "save": Job(lambda _: None, lambda folder: save(results(folder), STORE), whole_results),
    "save over others": Job(
        lambda _: save({"mask": xr.Dataset({"mask": (("y", "x"), np.ones((3, 4)))})}, STORE),
        lambda folder: save(results(folder), STORE, overwrite=True),
        whole_results,
    ),
}


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    """One task at a time, every file a group of its own; an owner of a lock that is gone is known to be."""
    monkeypatch.setattr(commits, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(slab_layer, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(lease, "is_dead", lambda _: True)
    with dask.config.set(scheduler="sync"):
        yield


def stopped(job: Job, folder: Path, bucket: MemoryBucket, fatal: int) -> bool:
    """Do a job that is killed at a change; return whether it was."""
    bucket.changes.clear()
    bucket.fatal = fatal
    try:
        job.work(folder)
    except Killed:
        return True
    finally:
        bucket.fatal = None
    return False


def changes_store(change: str) -> bool:
    """Whether a change is one of the store itself, and not of what is beside it."""
    return change.rpartition(" ")[2].startswith("a.zarr/")


def check(name: str, folder: Path, places: Callable[[int], range]) -> None:
    """Kill a job at chosen changes, do it again, and compare all objects with those of a job that was left alone."""
    job = JOBS[name]
    with memory_bucket() as bucket:
        job.before(folder)
        before = dict(bucket.contents)
        earlier = job.opened() if before else None
        bucket.changes.clear()
        job.work(folder)
        after, n_changes, value = dict(bucket.contents), len(bucket.changes), job.opened()
    for fatal in places(n_changes):
        with memory_bucket() as bucket:
            bucket.contents.update(before)
            assert stopped(job, folder, bucket, fatal)
            seen = None
            with suppress(RoitraceError):
                seen = job.opened()
            if not any(changes_store(one) for one in bucket.changes[:-1]):
                assert seen == earlier, (name, fatal)
            else:  # all frames from before, or all; what replaces another store is refused until it is whole
                assert seen in ((earlier, value) if name == "append" else (None, value)), (name, fatal)
            with suppress(OutputExistsError):  # all was done but to let go of the lock
                job.work(folder)
            assert bucket.contents == after, (name, fatal)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_killed_now_and_then(name, tmp_path):
    check(name, tmp_path, lambda n: range(1, n, max(1, n // 8)))


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_a_job_killed_at_every_change(name, tmp_path):
    check(name, tmp_path, lambda n: range(1, n + 1))


def test_a_store_that_is_being_replaced_says_so_and_how_to_go_on(tmp_path):
    with memory_bucket() as bucket:
        convert(tmp_path, 1)
        before = dict(bucket.contents)
        bucket.changes.clear()
        convert(tmp_path, overwrite=True)
        copies = [number for number, what in enumerate(bucket.changes, start=1) if what.startswith("copy")]
    for fatal in (copies[1], copies[-1]):
        with memory_bucket() as bucket:
            bucket.contents.update(before)
            assert stopped(JOBS["convert over another"], tmp_path, bucket, fatal)
            with pytest.raises(
                StoreError, match=r"a\.zarr is unfinished: .* roitrace convert .* --overwrite"
            ):
                rt.open_recording(STORE)
