"""What the writer puts on disk is what zarr reads, and damage never passes for data."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import blosc

from roitrace.conversion import convert
from roitrace.errors import StoreError
from roitrace.extraction import extract
from roitrace.recording import open_recording
from roitrace.store import files as store_files
from roitrace.store.checksum import crc32c
from roitrace.store.chunks import read_layout
from roitrace.store.files import publish, remove_drafts
from roitrace.store.finishing import finish_recording
from roitrace.store.layout import FLUORESCENCE, RecordingLayout
from roitrace.store.manifest import read_manifest
from roitrace.store.survey import facts_of_file, survey
from roitrace.store.writer import ShardWriter, small_files, write_small_files
from tests.block_sources import ArraySource, recording_file
from tests.store.reading import read_all, source_of_array
from tests.strategies import samples

VALUES = np.random.default_rng(5).integers(0, 500, (40, 20, 24), dtype=np.uint16)
CHUNKS = (16, 8, 8)


MARK = {"roitrace": {"kind": "recording", "finished": True}}
TIME = {"time": ("time", np.arange(40) / 2, {"units": "s"})}


def write(path, values, chunks, *, source_rows=None, middle=()):
    """Write an array ``(time, [channel], [plane], y, x)`` shard by shard, in no particular order."""
    layout = RecordingLayout.of(("time", *middle, "y", "x"), values.shape, values.dtype, chunks)
    write_small_files(path, small_files(layout, {}, {"frame_rate": 2.0, **MARK}))
    writer = ShardWriter(path, layout)
    for index in reversed(list(layout.units())):
        part = values[(slice(None), *index[1:-2])] if middle else values
        with ArraySource(part, (3, 5, 7)).open() as reader:
            drafted = writer.draft(reader, source_rows or part.shape[1], index)
        facts = drafted.facts
        publish([(path / facts.key, drafted.token)])
        whole = (path / facts.key).read_bytes()
        assert (facts.length, facts.checksum) == (len(whole), crc32c(whole))
        assert (
            facts_of_file(path, facts.key, read_layout(path / FLUORESCENCE)).chunks.tolist()
            == facts.chunks.tolist()
        )
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


def test_a_store_is_marked_as_unfinished_first_and_has_its_manifest_last(tmp_path, monkeypatch):
    layout = RecordingLayout.of(("time", "y", "x"), VALUES.shape, VALUES.dtype, CHUNKS)
    files = small_files(layout, TIME, {"frame_rate": 2.0, **MARK})
    written = []
    perform = store_files.perform

    def spied(operation, path, call, *arguments):
        if operation == "rename":
            written.append(path.relative_to(tmp_path / "a").as_posix())
        return perform(operation, path, call, *arguments)

    monkeypatch.setattr(store_files, "perform", spied)
    write_small_files(tmp_path / "a", files)
    group = zarr.open_group(tmp_path / "a", mode="r")
    assert group.attrs["roitrace"] == {"kind": "recording", "finished": False}
    assert group.metadata.consolidated_metadata is None
    writer, shards = ShardWriter(tmp_path / "a", layout), {}
    for unit in layout.units():
        with ArraySource(VALUES, (3, 5, 7)).open() as reader:
            drafted = writer.draft(reader, 20, unit)
        facts = drafted.facts
        publish([(tmp_path / "a" / facts.key, drafted.token)])
        shards[facts.key] = facts
    keys = [layout.key(unit) for unit in layout.units()]
    with pytest.raises(StoreError, match="1 files of .* were removed while it was written"):
        finish_recording(
            tmp_path / "a", files, {keys[0]: shards[keys[0]], keys[1]: shards[keys[1]]}, keys, {}
        )
    finish_recording(tmp_path / "a", files, shards, keys, {"fingerprint": {}})
    assert written[0] == "zarr.json"
    assert written[-2:] == ["zarr.json", "fluorescence/manifest"]
    group = zarr.open_group(tmp_path / "a", mode="r")
    assert group.attrs["roitrace"] == {"kind": "recording", "finished": True}
    assert group.attrs["frame_rate"] == 2.0
    assert group.metadata.consolidated_metadata is not None
    assert group["time"].attrs["units"] == "s"
    known = {
        one.key: (one.length, one.checksum, one.chunks.tolist())
        for one in read_manifest(tmp_path / "a/fluorescence/manifest")
    }
    there = {one.key: (one.length, one.checksum, one.chunks.tolist()) for one in survey(tmp_path / "a")}
    assert known.keys() == there.keys()
    assert known == there


def test_all_dark_chunks_are_written_and_every_chunk_has_a_checksum(tmp_path):
    write_small_files(
        tmp_path,
        small_files(
            RecordingLayout.of(("time", "y", "x"), (4, 4, 4), "uint8"), {"y": ("y", np.zeros(4), {})}, MARK
        ),
    )
    stored = json.loads((tmp_path / "y" / "zarr.json").read_text())
    assert stored["codecs"][-1]["name"] == "crc32c"
    assert (tmp_path / "y" / "c" / "0").exists()
    np.save(tmp_path / "dark.npy", np.zeros(VALUES.shape, np.uint16))
    convert(tmp_path / "dark.npy", tmp_path / "dark.zarr", chunks=CHUNKS)
    checksums = [
        one.chunks
        for one in read_manifest(tmp_path / "dark.zarr/fluorescence/manifest")
        if "fluorescence/c/" in one.key
    ]
    assert [len(one) for one in checksums] == [9, 9, 9]
    assert all((one != 0).all() for one in checksums)


def test_a_shard_appears_only_when_it_is_whole(tmp_path):
    layout = RecordingLayout.of(("time", "y", "x"), (40, 20, 24), "uint16", CHUNKS)

    class Breaks:
        def read(self, time, y, x):
            if y.start > 0:
                raise StoreError("gone")
            return VALUES[time, y, x]

    with pytest.raises(StoreError, match="gone"):
        ShardWriter(tmp_path, layout).draft(Breaks(), 8, (1, 0, 0))
    folder = tmp_path / FLUORESCENCE / "c" / "1" / "0"
    assert [file.suffix for file in folder.iterdir()] == [".partial"]
    with ArraySource(VALUES, (3, 5, 7)).open() as reader:
        one, other = (ShardWriter(tmp_path, layout).draft(reader, 8, (1, 0, 0)) for _ in range(2))
    assert one.token != other.token
    publish([(tmp_path / one.facts.key, one.token)])
    publish([(tmp_path / other.facts.key, other.token)])
    assert "0" in {file.name for file in folder.iterdir()}
    remove_drafts(tmp_path)
    assert [file.name for file in folder.iterdir()] == ["0"]


def test_a_writer_can_be_sent(tmp_path):
    layout = RecordingLayout.of(("time", "y", "x"), (40, 20, 24), "uint16", CHUNKS)
    writer = ShardWriter(tmp_path, layout)
    assert pickle.loads(pickle.dumps(writer)) == writer


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
