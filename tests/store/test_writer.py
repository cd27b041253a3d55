"""What the writer puts on disk is what zarr reads, and damage never passes for data."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import blosc

from roitrace.errors import OutputExistsError, StoreError
from roitrace.extraction import extract
from roitrace.recording import convert, open_recording
from roitrace.store.checksum import crc32c
from roitrace.store.layout import RecordingLayout
from roitrace.store.writer import FLUORESCENCE, ShardWriter, create_recording, finish_store, replacing
from tests.block_sources import ArraySource, recording_file
from tests.store.reading import read_all, source_of_array
from tests.strategies import samples

VALUES = np.random.default_rng(5).integers(0, 500, (40, 20, 24), dtype=np.uint16)
CHUNKS = (16, 8, 8)


def write(path, values, chunks, *, source_rows=None, middle=()):
    """Write an array ``(time, [channel], [plane], y, x)`` shard by shard, in no particular order."""
    layout = RecordingLayout.of(("time", *middle, "y", "x"), values.shape, values.dtype, chunks)
    path.mkdir(parents=True)
    create_recording(
        path, layout, {"time": ("time", np.arange(len(values)) / 2, {"units": "s"})}, {"frame_rate": 2.0}
    )
    writer = ShardWriter(path, layout)
    counts = [-(-size // step) for size, step in zip(values.shape, layout.shards, strict=True)]
    for index in reversed(list(np.ndindex(*counts))):
        part = values[(slice(None), *index[1:-2])] if middle else values
        with ArraySource(part, (3, 5, 7)).open() as reader:
            writer.write(reader, source_rows or part.shape[1], index)
    return layout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stores")


@settings(max_examples=40, deadline=None)
@given(st.data(), st.tuples(st.integers(1, 40), st.integers(1, 20), st.integers(1, 20)))
def test_zarr_and_the_direct_reader_read_what_was_written(folder, data, shape):
    values = data.draw(samples(shape))
    chunks = data.draw(st.none() | st.tuples(*[st.integers(1, 24)] * 3))
    path = folder / "any"
    shutil.rmtree(path, ignore_errors=True)
    write(path, values, chunks, source_rows=data.draw(st.integers(1, 30)))
    array = zarr.open_array(path, path=FLUORESCENCE, mode="r")
    np.testing.assert_array_equal(array[:], values)
    np.testing.assert_array_equal(read_all(source_of_array(path, FLUORESCENCE, complete=True)), values)


@pytest.mark.parametrize("middle", [("channel",), ("channel", "plane")])
def test_one_shard_per_channel_and_plane(tmp_path, middle):
    shape = (20, *(2, 3)[: len(middle)], 9, 10)
    values = np.random.default_rng(1).integers(0, 99, shape, dtype=np.int16)
    write(tmp_path / "a", values, (8, 4, 4), middle=middle)
    array = zarr.open_array(tmp_path / "a", path=FLUORESCENCE, mode="r")
    np.testing.assert_array_equal(array[:], values)


def test_rows_of_the_source_do_not_change_the_bytes(tmp_path):
    for rows in (1, 5, 8, 20, 1000):
        write(tmp_path / str(rows), VALUES, CHUNKS, source_rows=rows)
    first = (tmp_path / "1" / FLUORESCENCE / "c/0/0/0").read_bytes()
    for rows in (5, 8, 20, 1000):
        assert (tmp_path / str(rows) / FLUORESCENCE / "c/0/0/0").read_bytes() == first


def test_zarr_writes_the_same_chunks(tmp_path):
    # The same codecs by the same library: whoever appends through zarr gets the same bytes.
    write(tmp_path / "ours", VALUES, CHUNKS)
    shutil.copytree(tmp_path / "ours", tmp_path / "theirs")
    array = zarr.open_array(tmp_path / "theirs", path=FLUORESCENCE, mode="r+")
    array[:] = VALUES
    for name in ("c/0/0/0", "c/1/0/0"):
        ours, theirs = ((tmp_path / who / FLUORESCENCE / name).stat().st_size for who in ("ours", "theirs"))
        assert abs(ours - theirs) <= 0.02 * ours
    np.testing.assert_array_equal(read_all(source_of_array(tmp_path / "theirs", FLUORESCENCE)), VALUES)


def test_blosc_runs_on_one_thread():
    # With threads of its own it writes other bytes each time.
    assert blosc.use_threads is False


def test_a_store_is_marked_as_finished_last(tmp_path):
    write(tmp_path / "a", VALUES, CHUNKS)
    group = zarr.open_group(tmp_path / "a", mode="r")
    assert group.attrs["roitrace"] == {"finished": False}
    assert group.attrs["frame_rate"] == 2.0
    finish_store(tmp_path / "a")
    group = zarr.open_group(tmp_path / "a", mode="r")
    assert group.attrs["roitrace"] == {"finished": True}
    assert group.metadata.consolidated_metadata is not None
    assert group["time"].attrs["units"] == "s"


def test_a_shard_appears_only_when_it_is_whole(tmp_path):
    layout = RecordingLayout.of(("time", "y", "x"), (40, 20, 24), "uint16", CHUNKS)
    create_recording(tmp_path, layout, {}, {})

    class Breaks:
        def read(self, time, y, x):
            if y.start > 0:
                raise StoreError("gone")
            return VALUES[time, y, x]

    with pytest.raises(StoreError, match="gone"):
        ShardWriter(tmp_path, layout).write(Breaks(), 8, (1, 0, 0))
    folder = tmp_path / FLUORESCENCE / "c" / "1" / "0"
    assert not (folder / "0").exists()
    assert [file.name for file in folder.iterdir()] == ["0.partial"]
    with ArraySource(VALUES, (3, 5, 7)).open() as reader:
        ShardWriter(tmp_path, layout).write(reader, 8, (1, 0, 0))
    assert [file.name for file in folder.iterdir()] == ["0"]


def test_a_writer_can_be_sent(tmp_path):
    layout = RecordingLayout.of(("time", "y", "x"), (40, 20, 24), "uint16", CHUNKS)
    writer = ShardWriter(tmp_path, layout)
    assert pickle.loads(pickle.dumps(writer)) == writer


# -- taking the place of another store ----------------------------------------------------------------------------


def test_replacing_is_all_or_nothing(tmp_path):
    store = tmp_path / "a.zarr"
    with replacing(store, overwrite=False, what="the store") as path:
        assert path == store
        zarr.create_group(path, attributes={"version": 1})
    with (
        pytest.raises(OutputExistsError, match="the store .*a.zarr exists already"),
        replacing(store, overwrite=False, what="the store"),
    ):
        pass
    with (
        pytest.raises(RuntimeError, match="halfway"),
        replacing(store, overwrite=True, what="the store") as path,
    ):
        zarr.create_group(path, attributes={"version": 2})
        raise RuntimeError("halfway")
    assert zarr.open_group(store, mode="r").attrs["version"] == 1
    with replacing(store, overwrite=True, what="the store") as path:
        assert path != store
        zarr.create_group(path, attributes={"version": 3})
        assert zarr.open_group(store, mode="r").attrs["version"] == 1
    assert zarr.open_group(store, mode="r").attrs["version"] == 3
    assert [one.name for one in tmp_path.iterdir()] == ["a.zarr"]


# -- damage -------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "a.zarr"
    convert(recording_file(ArraySource(VALUES, (16, 20, 24))), path, chunks=CHUNKS)
    return path


def shard_of(store, number):
    return store / FLUORESCENCE / "c" / str(number) / "0" / "0"


INDEX_BYTES = 9 * 16 + 4  # nine chunks in a shard


def test_every_flipped_bit_is_found(store):
    shard = shard_of(store, 1)
    whole = shard.read_bytes()
    source = source_of_array(store, FLUORESCENCE, complete=True)
    rng = np.random.default_rng(0)
    for position in [*rng.integers(0, len(whole), 60).tolist(), 0, len(whole) - 1, len(whole) - INDEX_BYTES]:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        shard.write_bytes(damaged)
        with pytest.raises(StoreError) as caught:
            read_all(source)
        if position < len(whole) - INDEX_BYTES:
            assert "chunk 1/" in str(caught.value)
            assert "(frames 16 to 31)" in str(caught.value)
            assert "its checksum does not match" in str(caught.value)
        else:
            assert "the index of" in str(caught.value)
            assert "c/1/0/0 is damaged" in str(caught.value)
    shard.write_bytes(whole)
    np.testing.assert_array_equal(read_all(source), VALUES)


def test_a_shard_that_was_cut_short(store):
    shard = shard_of(store, 2)
    whole = shard.read_bytes()
    for length in (0, 3, INDEX_BYTES - 1, INDEX_BYTES, len(whole) // 2, len(whole) - 1):
        shard.write_bytes(whole[:length])
        with pytest.raises(StoreError, match=r"the index of .*c/2/0/0 is damaged \(\d+ bytes\)"):
            read_all(source_of_array(store, FLUORESCENCE, complete=True))


def test_a_shard_that_is_gone(store):
    shard_of(store, 1).unlink()
    with pytest.raises(StoreError, match=r"chunk 1/0/0 \(frames 16 to 31\) of .* is missing"):
        read_all(source_of_array(store, FLUORESCENCE, complete=True))
    # In anybody's array a missing chunk stands for the fill value.
    assert (read_all(source_of_array(store, FLUORESCENCE))[16:32] == 0).all()


def with_index(whole, change):
    """Change a shard's index, and make its checksum right again."""
    index = np.frombuffer(whole[-INDEX_BYTES:-4], "<u8").reshape(-1, 2).copy()
    change(index)
    data = index.tobytes()
    return whole[:-INDEX_BYTES] + data + crc32c(data).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index.__setitem__(4, 2**64 - 1), r"chunk 0/1/1 \(frames 0 to 15\) of .* is missing"),
        (lambda index: index.__setitem__((4, 0), 10**9), r"chunk 0/1/1 .* is cut short: 0 of \d+ bytes"),
        (
            lambda index: index.__setitem__((4, 1), 10**12),
            r"chunk 0/1/1 .* is cut short: \d+ of 1000000000000 bytes",
        ),
        (lambda index: index.__setitem__((4, 1), 2), r"chunk 0/1/1 .* is damaged: its checksum"),
        (lambda index: index.__setitem__((4, 0), 2**63 + 5), r"chunk 0/1/1 .* is cut short: 0 of"),
    ],
)
def test_an_index_that_lies(store, change, message):
    shard = shard_of(store, 0)
    shard.write_bytes(with_index(shard.read_bytes(), change))
    with pytest.raises(StoreError, match=message):
        read_all(source_of_array(store, FLUORESCENCE, complete=True))


def test_a_chunk_that_is_no_blosc_frame(store):
    shard = shard_of(store, 0)
    whole = bytearray(shard.read_bytes())
    length = int(np.frombuffer(whole[-INDEX_BYTES:-4], "<u8")[1])
    whole[: length - 4] = b"\x07" * (length - 4)
    whole[length - 4 : length] = crc32c(bytes(whole[: length - 4])).to_bytes(4, "little")
    shard.write_bytes(whole)
    with pytest.raises(StoreError, match="chunk 0/0/0 .* cannot be decoded: its header states"):
        read_all(source_of_array(store, FLUORESCENCE, complete=True))


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_store_gives_no_traces(store, damage):
    shard = shard_of(store, 1)
    whole = bytearray(shard.read_bytes())
    if damage == "flip":
        whole[100] ^= 4
        shard.write_bytes(whole)
    elif damage == "cut":
        shard.write_bytes(whole[:-100])
    else:
        shard.unlink()
    traces = extract(open_recording(store), np.ones((20, 24), bool), "mean")
    with pytest.raises(StoreError, match="1/0/0"):
        traces.compute()
    # What is whole can still be read.
    part = open_recording(store, time=slice(0, 16))
    np.testing.assert_array_equal(part, VALUES[:16])
