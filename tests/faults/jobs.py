"""Small jobs whose operations on files are made to fail, and what may be seen after that."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import dask
import numpy as np
import zarr

import roitrace as rt
from roitrace.engine import slab_layer
from roitrace.errors import RoitraceError
from roitrace.store import commits
from tests.faults.one_thread import in_this_thread
from tests.faults.power import tree_of
from tests.faults.remembered import metadata_made_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FRAMES, HEIGHT, WIDTH = 20, 12, 10
MORE = 9
CHUNKS = (4, 8, 8)
_RUN = ".run/"
STAGING = f"{_RUN}append/"
"""Where files of an append wait, below the folder of a store."""


def movie(frames: int = FRAMES, first: int = 0) -> np.ndarray:
    """Frames of a recording that goes on for ever: no two chunks are alike, one is all dark."""
    values = np.random.default_rng(5).integers(1, 60_000, (100, HEIGHT, WIDTH), dtype=np.uint16)
    values[4:8, 8:] = 0
    return values[first : first + frames]


Files = dict[str, bytes | None]


@dataclass(frozen=True)
class Job:
    """One call that writes.

    Attributes
    ----------
    prepare : callable
        Lays out in a folder what is there before.
    work : callable
        The call; made again it resumes.
    store : str
        What it writes, in that folder.
    look : callable
        Looks at what a fault has left, without changing it, and knows the files after an undisturbed run; says what is wrong, or nothing.
    """

    name: str
    prepare: Callable[[Path], object]
    work: Callable[[Path], object]
    store: str
    look: Callable[[Path, Files], str]


def recording_values(store: Path, **options: object) -> np.ndarray:
    """Read a whole recording store."""
    return np.asarray(rt.open_recording(store, **options).values)


def _with_movie(folder: Path) -> None:
    np.save(folder / "movie.npy", movie())


def _convert(folder: Path) -> None:
    rt.convert(folder / "movie.npy", folder / "recording.zarr", frame_rate=10.0, chunks=CHUNKS, workers=2)


def _with_recording(folder: Path) -> None:
    _with_movie(folder)
    _convert(folder)
    np.save(folder / "more.npy", movie(MORE, FRAMES))


def _append(folder: Path) -> None:
    beside = folder / "recording.zarr.run"
    frames = rt.open_recording(folder / "recording.zarr").sizes["time"]
    if frames == FRAMES or (beside / "journal" / "job").exists():
        rt.append(folder / "more.npy", folder / "recording.zarr")
    else:
        # all was done: the same call would append once more; what the job was removing just then stays until the next one
        (beside / "lock").unlink(missing_ok=True)
        shutil.rmtree(beside / "journal", ignore_errors=True)


def _with_damage(folder: Path) -> None:
    _with_movie(folder)
    _convert(folder)
    shards = sorted(
        path for path in (folder / "recording.zarr" / "fluorescence" / "c").rglob("*") if path.is_file()
    )
    shards[1].write_bytes(shards[0].read_bytes())
    shards[2].unlink()
    shards[3].write_bytes(shards[3].read_bytes()[:-7])


def _with_lost_manifest(folder: Path) -> None:
    _with_movie(folder)
    _convert(folder)
    fluorescence = folder / "recording.zarr" / "fluorescence"
    shards = sorted(path for path in (fluorescence / "c").rglob("*") if path.is_file())
    shards[2].unlink()
    for path in (fluorescence / "manifest", shards[3]):
        path.write_bytes(path.read_bytes()[:-7])


def _repair(folder: Path) -> None:
    rt.verify(folder / "recording.zarr", repair=True, source=folder / "movie.npy")


def _with_traces(folder: Path) -> None:
    _with_movie(folder)
    _convert(folder)


def _rois() -> rt.Rois:
    labels = np.zeros((HEIGHT, WIDTH), np.int32)
    labels[2:5, 1:4], labels[7:11, 5:9] = 1, 2
    return rt.Rois.from_labels(labels)


def _lazy_results(folder: Path) -> dict[str, object]:
    recording, rois = rt.open_recording(folder / "recording.zarr"), _rois()
    return {
        "projections": rt.project(recording, ("mean", "max")),
        "rois": rois,
        "traces": rt.extract(recording, rois, ("mean", "median")),
    }


def _save(folder: Path) -> None:
    rt.save(_lazy_results(folder), folder / "results.zarr", source="movie", parameters={"a": 1})


def _with_results(folder: Path) -> None:
    _with_recording(folder)
    _extend(folder)
    rt.append(folder / "more.npy", folder / "recording.zarr")


def _extend(folder: Path) -> None:
    """What `roitrace extract --extend` does."""
    recording, store = rt.open_recording(folder / "recording.zarr"), folder / "results.zarr"
    rois, statistics = _rois(), ("mean", "median")
    traces = (
        rt.extend(rt.load(store), recording, rois, statistics)
        if store.exists()
        else rt.extract(recording, rois, statistics)
    )
    rt.save({"rois": rois, "traces": traces}, store, overwrite=True, source="movie", parameters={"a": 1})


def _with_simulation(folder: Path) -> None:
    rt.simulate(folder / "recording.zarr", shape=(90, 40, 40), n_rois=3, seed=3, frame_rate=15)


def _run(folder: Path) -> None:
    rt.run(
        {
            "recording": {"path": str(folder / "recording.zarr")},
            "output": {"path": str(folder / "results.zarr")},
            "normalize": {"offset": 100},
            "figures": None,
            "report": None,
        }
    )


def _with_a_run(folder: Path) -> None:
    _with_recording(folder)
    np.save(folder / "labels.npy", _rois().to_labels().values)
    _run_again(folder)
    rt.append(folder / "more.npy", folder / "recording.zarr")


def _run_again(folder: Path) -> None:
    """What `roitrace run --extend` does: traces and sums over time go on from those of the last run."""
    steps = ("weights", "quality", "normalize", "compare", "figures", "report")
    rt.run(
        {
            "recording": {"path": str(folder / "recording.zarr"), "motion": False},
            "rois": {"path": str(folder / "labels.npy")},
            "extract": {"statistics": ["mean"]},
            "output": {"path": str(folder / "results.zarr"), "extend": True},
        }
        | dict.fromkeys(steps)
    )


def prepared(job: Job, folder: Path) -> None:
    """Lay out what is there before the job."""
    folder.mkdir(parents=True)
    job.prepare(folder)


def copied(template: Path, folder: Path) -> Path:
    """Lay out a copy of a prepared folder."""
    return Path(shutil.copytree(template, folder))


@contextmanager
def small_steps() -> Iterator[None]:
    """Run in this thread, with a commit group for each shard, so that small jobs go through everything that large ones do."""
    with (
        dask.config.set(scheduler="synchronous"),
        zarr.config.set({"async.concurrency": 1}),
        patch.object(commits, "COMMIT_SECONDS", 0),
        patch.object(slab_layer, "KEEP_SECONDS", 0),
        in_this_thread(),
        metadata_made_once(),
    ):
        yield


def outputs_of(folder: Path) -> Files:
    """Return all files below a folder; how a job ran (times, hosts) counts by name only."""
    return {
        name: b"" if content is not None and _RUN in name and STAGING not in name else content
        for name, content in tree_of(folder).items()
    }


def differences(found: Files, expected: Files) -> str:
    """Say which files are missing, left over or different; nothing if there is no difference."""
    lines = [f"missing: {sorted(expected.keys() - found.keys())}"] * bool(expected.keys() - found.keys())
    lines += [f"left over: {sorted(found.keys() - expected.keys())}"] * bool(found.keys() - expected.keys())
    changed = sorted(name for name in found.keys() & expected.keys() if found[name] != expected[name])
    lines += [f"different: {changed}"] * bool(changed)
    return "; ".join(lines)


def _look_at_recording(folder: Path, expected: Files) -> str:
    """A recording that opens as finished is finished, byte for byte; one that is unfinished gives a prefix of the right values, or refuses."""
    store = folder / "recording.zarr"
    try:
        recording_values(store)
    except RoitraceError:
        try:
            part = recording_values(store, unfinished=True)
        except RoitraceError:
            return ""
        return "" if np.array_equal(part, movie(len(part))) else "the unfinished part has wrong values"
    return _is_whole("recording.zarr", folder, expected)


def _look_at_appended(folder: Path, expected: Files) -> str:
    """At every instant the recording opens with its old frames, or with all."""
    del expected
    try:
        values = recording_values(folder / "recording.zarr")
    except RoitraceError as error:
        return f"what was there before does not open: {error}"
    right = len(values) in {FRAMES, FRAMES + MORE} and np.array_equal(values, movie(len(values)))
    return "" if right else f"what was there before is not there in full: {len(values)} frames"


def _look_at_results(folder: Path, expected: Files) -> str:
    """Results that open are finished, byte for byte."""
    try:
        rt.load(folder / "results.zarr").load()
    except RoitraceError:
        return ""
    return _is_whole("results.zarr", folder, expected)


def _look_at_extended(folder: Path, expected: Files) -> str:
    """At every instant, but between the two renames at the end, the results open: the earlier ones, or the longer ones."""
    store = folder / "results.zarr"
    if not store.exists():
        return "" if store.with_name(".results.zarr.old").exists() else "the earlier results are gone"
    try:
        frames = rt.load(store).load()["traces"].sizes["time"]
    except RoitraceError as error:
        return f"what was there before does not open: {error}"
    if frames == FRAMES:
        return "" if rt.verify(store).ok else "what was there before is damaged"
    return _is_whole("results.zarr", folder, expected)


def _is_whole(store: str, folder: Path, expected: Files) -> str:
    now, then = (
        {name: content for name, content in files.items() if name.split("/")[0] == store}
        for files in (outputs_of(folder), expected)
    )
    wrong = differences(now, then)
    return f"it opens as finished, but {wrong}" if wrong else ""


JOBS = {
    job.name: job
    for job in (
        Job("convert", _with_movie, _convert, "recording.zarr", _look_at_recording),
        Job("append", _with_recording, _append, "recording.zarr", _look_at_appended),
        Job("repair", _with_damage, _repair, "recording.zarr", _look_at_recording),
        Job("remake", _with_lost_manifest, _repair, "recording.zarr", _look_at_recording),
        Job("save", _with_traces, _save, "results.zarr", _look_at_results),
        Job("extend", _with_results, _extend, "results.zarr", _look_at_extended),
        Job("run", _with_simulation, _run, "results.zarr", _look_at_results),
        Job("grow", _with_a_run, _run_again, "results.zarr", _look_at_extended),
    )
}
