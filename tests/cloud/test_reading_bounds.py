"""Reading at a URL: damage is found, memory is counted, answers that take long are waited for together, and nothing happens before it is asked for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import dask
import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal

import roitrace as rt
from roitrace.engine.blocks import source_of
from roitrace.errors import FormatError, StoreError
from roitrace.sources import expect
from roitrace.store import remote_chunks
from roitrace.store.byte_ranges import fetches
from roitrace.store.objects import objects_at
from tests.cloud.copies import copy_to
from tests.cloud.memory import memory_bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cloud.servers import Server

FRAMES, SIDE = 96, 96
SHARD = "fluorescence/c/1/0/0"


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of nine chunks of 64 KiB."""
    folder = tmp_path_factory.mktemp("movie")
    np.save(
        folder / "a.npy", np.random.default_rng(1).integers(0, 4000, (FRAMES, SIDE, SIDE)).astype("uint16")
    )
    rt.convert(folder / "a.npy", folder / "a.zarr", frame_rate=10, chunks=(32, 32, 32))
    return folder / "a.zarr"


@pytest.fixture
def remote(movie: Path) -> Iterator[str]:
    """The same in a bucket in memory."""
    with memory_bucket():
        yield copy_to(movie, "s3://memory/a.zarr")


def change(url: str, key: str, how: Callable[[bytes], bytes]) -> None:
    objects, store = objects_at(url)
    objects.write(f"{store}/{key}", how(objects.read(f"{store}/{key}") or b""))


def flipped(place: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (flipped(200), "checksum does not match"),
        (flipped(-30), "the index of .* is damaged"),
        (lambda data: data[:-1], "the index of .* is damaged"),
        (lambda _: b"", "the index of .* is damaged"),
        (lambda data: data[:40_000] + data[-148:], "cut short"),
    ],
    ids=["chunk", "index", "end", "empty", "middle"],
)
def test_damage_is_found(how: Callable[[bytes], bytes], said: str, remote: str) -> None:
    change(remote, SHARD, how)
    recording = rt.open_recording(remote)
    rt.open_recording(remote, time=slice(0, 32)).compute()
    with pytest.raises(StoreError, match=said) as caught:
        recording.compute()
    assert "s3://memory/a.zarr" in str(caught.value)


def test_what_is_missing_or_swapped_is_found(remote: str) -> None:
    recording = rt.open_recording(remote)
    objects, store = objects_at(remote)
    other = objects.read(f"{store}/fluorescence/c/0/0/0")
    assert other is not None
    objects.write(f"{store}/{SHARD}", other)
    with pytest.raises(StoreError, match="swapped"):
        recording[32:64].compute()
    objects.remove(f"{store}/{SHARD}")
    with pytest.raises(StoreError, match="is missing"):
        recording[32:64].compute()


def test_damaged_metadata_are_found(remote: str) -> None:
    change(remote, "time/c/0", flipped(5))
    with pytest.raises(StoreError, match=r"time/c/0 is damaged"):
        rt.open_recording(remote)
    change(remote, "fluorescence/manifest", lambda data: data[:-1])
    with pytest.raises(StoreError, match="manifest .* is damaged"):
        rt.open_recording(remote)


def test_metadata_that_would_run_code_or_fill_the_memory_are_refused(tmp_path: Path) -> None:
    with memory_bucket():
        array = zarr.create_array(tmp_path / "a.zarr", shape=(9, 9, 9), dtype="u2", zarr_format=2)
        array[:] = 1
        url = copy_to(tmp_path / "a.zarr", "s3://memory/b.zarr")
        change(
            url,
            ".zarray",
            lambda data: data.replace(b'"compressor": {', b'"filters": [{"id": "pickle"}], "compressor": {'),
        )
        with pytest.raises((StoreError, FormatError), match="pickles"):
            rt.open_recording(url)
        change(url, ".zarray", lambda _: b"[" * 100_000)
        with pytest.raises((StoreError, FormatError)):
            rt.open_recording(url)


def test_a_chunk_of_others_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with memory_bucket():
        array = zarr.create_array(
            tmp_path / "a.zarr", shape=(9, 9, 9), dtype="u2", chunks=(3, 9, 9), zarr_format=2
        )
        array[:] = 1
        url = copy_to(tmp_path / "a.zarr", "s3://memory/b.zarr")
        change(url, "1.0.0", lambda data: data + bytes(100_000))
        with pytest.raises(StoreError, match="an encoded chunk at most"):
            rt.open_recording(url).compute()


def test_an_unfinished_store_says_how_much_is_there(remote: str) -> None:
    objects, store = objects_at(remote)
    objects.remove(f"{store}/fluorescence/manifest", f"{store}/fluorescence/c/2/0/0")
    with pytest.raises(StoreError, match="64 of 96 frames"):
        rt.open_recording(remote)
    assert rt.open_recording(remote, unfinished=True).sizes["time"] == 64


def test_batches_keep_to_their_size(movie: Path, remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_chunks, "AHEAD_BYTES", 150_000)
    source = source_of(rt.open_recording(remote).data)
    spans = [
        (slice(t, t + 32), slice(y, y + 32), slice(x, x + 32))
        for t in (0, 32, 64)
        for y in (0, 32, 64)
        for x in (0, 32, 64)
    ]
    expected = rt.open_recording(movie).values
    most = 0
    with source.open() as reader:
        expect(reader, iter(spans))
        for span in spans:
            assert_array_equal(reader.read(*span), expected[span])
            ready = reader._decoder._files._ready
            most = max(most, sum(stop - start for (_, start, stop), _ in ready.values()))
            assert len(ready) >= 2
    assert 100_000 < most <= 150_000


def test_blocks_may_come_otherwise_than_expected(movie: Path, remote: str) -> None:
    source = source_of(rt.open_recording(remote).data)
    expected = rt.open_recording(movie).values
    first, other = (slice(0, 32), slice(0, 32), slice(0, 32)), (slice(60, 70), slice(3, 90), slice(5, 6))
    with source.open() as reader:
        expect(reader, [first, first])
        for span in (other, first, other, first, first):
            assert_array_equal(reader.read(*span), expected[span])


def test_the_plan_counts_what_is_fetched_ahead(movie: Path, remote: str) -> None:
    rois = rt.Rois.from_pixels([np.array([[70, 50]])], shape=(SIDE, SIDE))
    here, there = (rt.plan(rt.open_recording(one), rois, projections=("median",)) for one in (movie, remote))
    more = source_of(rt.open_recording(remote).data).ahead_bytes
    assert 2 * remote_chunks.AHEAD_BYTES < more < 64 * 2**20
    assert source_of(rt.open_recording(movie).data).ahead_bytes == 0
    assert there.peak_bytes >= here.peak_bytes + more
    assert source_of(rt.open_recording(remote, time=slice(3, 70)).data).ahead_bytes == more


def test_nothing_is_computed_before_it_is_asked_for(remote: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something is computed")

    rois = rt.Rois.from_pixels([np.array([[70, 50]])], shape=(SIDE, SIDE))
    with dask.config.set(scheduler=refuse):
        recording = rt.open_recording(remote)
        rt.extract(recording, rois, statistics=("mean",), projections=("mean", "median"))
        rt.pixel_traces(recording, rois)


def test_long_answers_are_waited_for_together(tmp_path: Path, bucket: str, s3: Server) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", shape=(64, 32, 32), dtype="u2", chunks=(2, 16, 16))
    array[:] = np.arange(64 * 32 * 32).reshape(64, 32, 32) % 65_536
    url = copy_to(tmp_path / "a.zarr", f"{bucket}/a.zarr")
    source = source_of(rt.open_recording(url).data)
    s3.log.clear()
    together = threading.Barrier(4)
    s3.log.failing = lambda _method, _path: (
        0 * together.wait(120)
    )  # four requests are answered once all four are there
    block = source.read(slice(0, 64), slice(0, 32), slice(0, 32))
    assert_array_equal(block, array[:])
    assert len(s3.log.requests) == 32 * 4
    assert 4 <= s3.log.most_at_once <= 16


def test_near_parts_are_one_request() -> None:
    parts = [("b", 0, 5), ("a", 10, 20), ("a", 0, 8), ("a", 40, 50), ("a", 20, 20), ("a", 12, 18)]
    wanted = fetches(parts, gap=4, most=100)
    assert [(one.key, one.start, one.stop, one.parts) for one in wanted] == [
        ("a", 0, 20, (2, 1, 5)),
        ("a", 40, 50, (3,)),
        ("b", 0, 5, (0,)),
    ]
    assert len(fetches(parts, gap=4, most=12)) == 4
