"""Damage of stores in a bucket is found and mended, as on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import roitrace as rt
from roitrace.errors import StoreError
from roitrace.results import load, save
from roitrace.store.journal import Journal
from roitrace.store.places import place_of
from tests.cloud.memory import MemoryBucket, memory_bucket
from tests.test_resuming import rois

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STORE = "s3://memory/a.zarr"
SHARD = "a.zarr/fluorescence/c/1/0/0"


@pytest.fixture
def bucket() -> Iterator[MemoryBucket]:
    with memory_bucket() as bucket:
        yield bucket


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    np.save(tmp_path / "movie.npy", np.random.default_rng(1).integers(0, 99, (30, 12, 16), dtype="uint16"))
    return tmp_path / "movie.npy"


def flip(data: bytes) -> bytes:
    return data[:40] + bytes([data[40] ^ 4]) + data[41:]


DAMAGES = {
    "flipped": (lambda b: b | {SHARD: flip(b[SHARD])}, "is damaged: checksums do not match"),
    "missing": (lambda b: {key: data for key, data in b.items() if key != SHARD}, "is missing"),
    "cut": (lambda b: b | {SHARD: b[SHARD][:-9]}, "is cut short"),
    "empty": (lambda b: b | {SHARD: b""}, "is empty"),
    "swapped": (
        lambda b: b | {SHARD: b[SHARD.replace("/1/", "/2/")]},
        "holds other chunks than were written",
    ),
    "metadata": (
        lambda b: b | {"a.zarr/time/zarr.json": b["a.zarr/time/zarr.json"] + b" "},
        "holds other bytes than were written",
    ),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_verify_finds_damage_and_repair_mends_it(movie, bucket, kind):
    rt.convert(movie, STORE, chunks=(8, 8, 16))
    before = dict(bucket.contents)
    damage, problem = DAMAGES[kind]
    bucket.contents = damage(before)
    found = rt.verify(STORE)
    (one,) = found.damages
    assert problem in one.problem
    assert one.frames in {(8, 15), None}
    assert str(found).startswith(f"{STORE}: 1 damaged of")
    bucket.changes.clear()
    mended = rt.verify(STORE, repair=True)
    assert mended.ok
    assert [one.file for one in mended.repaired] == [one.file for one in found.damages]
    assert bucket.contents == before
    assert [one for one in bucket.changes if one.startswith("put a.zarr/")] == [f"put a.zarr/{one.file}"]
    assert rt.verify(STORE).ok


def test_repair_from_another_source_puts_nothing(movie, bucket, tmp_path):
    rt.convert(movie, STORE, chunks=(8, 8, 16))
    bucket.contents = DAMAGES["flipped"][0](dict(bucket.contents))
    damaged = dict(bucket.contents)
    np.save(tmp_path / "other.npy", np.load(movie) + 1)
    with pytest.raises(
        StoreError, match="the source holds other frames than s3://memory/a.zarr/fluorescence"
    ):
        rt.verify(STORE, repair=True, source=tmp_path / "other.npy")
    assert bucket.contents == damaged


@pytest.mark.parametrize("kept", [0, 60])
def test_a_lost_manifest_is_made_anew(movie, bucket, tmp_path, kept):
    rt.convert(movie, STORE, chunks=(8, 8, 16))
    before, place = dict(bucket.contents), "a.zarr/fluorescence/manifest"
    lost = dict(before)
    del lost[SHARD]
    lost[place] = lost[place][:kept]
    if not kept:
        del lost[place]
    bucket.contents = dict(lost)
    np.save(tmp_path / "other.npy", np.load(movie) + 1)
    with pytest.raises(
        StoreError, match="the source holds other frames than s3://memory/a.zarr/fluorescence"
    ):
        rt.verify(STORE, repair=True, source=tmp_path / "other.npy")
    assert bucket.contents == lost
    mended = rt.verify(STORE, repair=True)
    assert [one.file for one in mended.repaired] == ["fluorescence/manifest", SHARD.removeprefix("a.zarr/")]
    assert bucket.contents == before


def results(movie: Path) -> dict:
    recording = rt.open_recording(movie, frame_rate=10)
    return {"traces": rt.extract(recording, rois(), ("mean",), budget="2 GiB", workers=2)}


def test_damaged_results_are_computed_again_and_only_these(movie, bucket, tmp_path):
    save(results(movie), STORE, source="the movie")
    before = dict(bucket.contents)
    key = "a.zarr/traces/mean/c/0/0"
    bucket.contents[key] = flip(before[key])
    with pytest.raises(StoreError, match=r"traces.*mean.* is damaged|damaged"):
        load(STORE)["traces"]["mean"].values  # noqa: B018
    told = rt.verify(STORE, repair=True)
    assert [one.file for one in told.damages] == [key.removeprefix("a.zarr/")]
    np.save(tmp_path / "other.npy", np.load(movie) + 1)
    damaged = bucket.contents[key]
    with pytest.raises(StoreError, match="was begun by another job|is not what"):
        save(results(tmp_path / "other.npy"), STORE, source="the movie")
    assert bucket.contents[key] == damaged
    save(results(movie), STORE, source="the movie")
    assert bucket.contents == before


def test_a_task_that_outlives_its_job_leaves_nothing(bucket):
    journal = Journal.of(place_of(STORE))
    journal.begin({"job": 1})
    from roitrace.store.commits import Drafted, Pending, commit, draft
    from roitrace.store.files import drafting
    from roitrace.store.manifest import FileFacts

    def work() -> Drafted:
        with drafting(place_of(STORE) / "b") as file:
            file.write(b"12")
        journal.clear()  # the job ends meanwhile
        return Drafted(FileFacts("b", 2, 0, np.zeros(0, np.uint32)))

    with pytest.raises(StoreError, match="is over; nothing needs to be done"):
        draft(journal, place_of(STORE), work)
    assert bucket.contents == {}
    with pytest.raises(StoreError, match="is over"):
        draft(journal, place_of(STORE), work)
    late = Pending((Drafted(FileFacts("b", 2, 0, np.zeros(0, np.uint32))),))
    with pytest.raises(StoreError, match="is over"):
        commit(journal, "0", place_of(STORE), late)
    assert bucket.contents == {}
