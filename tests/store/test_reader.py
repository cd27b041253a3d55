"""The direct reader and zarr-python must agree on everything that the direct reader takes on."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
from itertools import product
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    ShardingCodec,
    TransposeCodec,
    ZstdCodec,
)

from roitrace.errors import StoreError
from roitrace.sources import SAMPLE_DTYPES
from roitrace.store.chunks import read_layout
from tests.store.reading import read_all, source_of_array

COMPRESSORS = {
    "none": lambda _: [],
    **{
        f"blosc {name} {shuffle}": lambda size, name=name, shuffle=shuffle: [
            BloscCodec(typesize=size, cname=name, clevel=3, shuffle=shuffle)
        ]
        for name in ("lz4", "zstd", "lz4hc", "blosclz", "zlib")
        for shuffle in ("bitshuffle", "shuffle", "noshuffle")
    },
    "zstd": lambda _: [ZstdCodec(level=1)],
    "zstd with checksum": lambda _: [ZstdCodec(level=1, checksum=True)],
    "gzip": lambda _: [GzipCodec(level=1)],
}
COMPRESSORS_2 = {
    "none": None,
    "blosc lz4": numcodecs.Blosc("lz4", 3, numcodecs.Blosc.SHUFFLE),
    "blosc zstd": numcodecs.Blosc("zstd", 3, numcodecs.Blosc.BITSHUFFLE),
    "zstd": numcodecs.Zstd(1),
    "gzip": numcodecs.GZip(1),
    "zlib": numcodecs.Zlib(1),
    "lz4": numcodecs.LZ4(),
}
ORDERS = [None, (1, 2, 0), (2, 1, 0), (2, 0, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("arrays")


@st.composite
def arrays(draw, shape):
    """Samples, of which some whole chunks may be the fill value."""
    dtype = np.dtype(draw(st.sampled_from(SAMPLE_DTYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(0, 256, shape, np.uint8).astype(dtype)
    if dtype.kind == "f":
        values[rng.random(shape) < 0.05] = np.nan
    fill = draw(st.sampled_from([0, 7, *([np.nan, np.inf, -0.5] if dtype.kind == "f" else [])]))
    return values, fill


@st.composite
def selections(draw, shape):
    parts = []
    for size in shape:
        start = draw(st.integers(0, size - 1))
        parts.append(slice(start, draw(st.integers(start + 1, size))))
    return tuple(parts)


def agree(source, array, selection):
    """Both readers give the same, direct and through zarr, twice in a row from one open reader."""
    expected = np.asarray(array[:])[selection]
    with source.open() as reader:
        for _ in range(2):
            block = reader.read(*selection)
            assert block.dtype == source.dtype
            assert block.dtype.isnative
            np.testing.assert_array_equal(block, expected)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(sorted(COMPRESSORS)), st.booleans(), st.booleans(), st.sampled_from(ORDERS))
def test_zarr_3(folder, data, compressor, checksum, sharded, order):
    shape = data.draw(st.tuples(*[st.integers(1, 14)] * 3))
    values, fill = data.draw(arrays(shape))
    chunk = data.draw(st.tuples(*[st.integers(1, 6)] * 3))
    shard = tuple(step * data.draw(st.integers(1, 3)) for step in chunk) if sharded else None
    path = folder / "v3"
    shutil.rmtree(path, ignore_errors=True)
    array = zarr.create_array(
        path,
        shape=shape,
        chunks=chunk,
        shards=shard,
        dtype=values.dtype,
        filters=[TransposeCodec(order=order)] if order else [],
        serializer=BytesCodec(endian=data.draw(st.sampled_from(["little", "big"]))),
        compressors=[*COMPRESSORS[compressor](values.itemsize), *([Crc32cCodec()] if checksum else [])],
        fill_value=fill,
        chunk_key_encoding=data.draw(
            st.sampled_from(
                [{"name": name, "separator": separator} for name in ("default", "v2") for separator in "/."]
            )
        ),
        config={"write_empty_chunks": data.draw(st.booleans())},
    )
    # Some chunks are never written, some hold the fill value.
    written = data.draw(st.integers(0, shape[0]))
    array[:written] = values[:written]
    array[: written // 2, : shape[1] // 2] = fill
    agree(source_of_array(path), array, data.draw(selections(shape)))
    agree(source_of_array(path, direct=False), array, data.draw(selections(shape)))


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(sorted(COMPRESSORS_2)), st.sampled_from("CF"), st.sampled_from("<>"))
def test_zarr_2(folder, data, compressor, order, endian):
    shape = data.draw(st.tuples(*[st.integers(1, 14)] * 3))
    values, fill = data.draw(arrays(shape))
    path = folder / "v2"
    shutil.rmtree(path, ignore_errors=True)
    array = zarr.create_array(
        path,
        zarr_format=2,
        shape=shape,
        chunks=data.draw(st.tuples(*[st.integers(1, 6)] * 3)),
        dtype=values.dtype.newbyteorder(endian),
        order=order,
        compressors=COMPRESSORS_2[compressor],
        fill_value=fill,
        chunk_key_encoding={"name": "v2", "separator": data.draw(st.sampled_from("/."))},
    )
    written = data.draw(st.integers(0, shape[0]))
    array[:written] = values[:written]
    agree(source_of_array(path), array, data.draw(selections(shape)))


@settings(max_examples=30, deadline=None)
@given(st.data(), st.permutations(range(5)), st.booleans())
def test_any_axes_and_channels(folder, data, axes, sharded):
    """Time, y, x anywhere among five axes, the others fixed."""
    shape = tuple(data.draw(st.integers(1, 5)) for _ in range(5))
    values = np.random.default_rng(1).integers(0, 999, shape, dtype=np.uint16)
    path = folder / "axes"
    shutil.rmtree(path, ignore_errors=True)
    chunk = tuple(data.draw(st.integers(1, 3)) for _ in range(5))
    array = zarr.create_array(
        path,
        shape=shape,
        chunks=chunk,
        shards=tuple(2 * c for c in chunk) if sharded else None,
        dtype="uint16",
    )
    array[:] = values
    time, y, x, *others = axes
    fixed = tuple((axis, data.draw(st.integers(0, shape[axis] - 1))) for axis in others)
    index = [slice(None)] * 5
    for axis, position in fixed:
        index[axis] = position
    left = sorted((time, y, x))
    expected = values[tuple(index)].transpose([left.index(axis) for axis in (time, y, x)])
    for direct in (True, False):
        source = source_of_array(path, axes=(time, y, x), fixed=fixed, direct=direct)
        np.testing.assert_array_equal(read_all(source), expected)


def test_single_chunks_are_lent_and_not_copied(tmp_path):
    array = zarr.create_array(
        tmp_path, shape=(8, 4, 4), chunks=(4, 4, 4), dtype="uint16", compressors=[BloscCodec(typesize=2)]
    )
    array[:] = np.arange(128, dtype=np.uint16).reshape(8, 4, 4)
    with source_of_array(tmp_path).open() as reader:
        first = reader.read(slice(0, 4), slice(0, 4), slice(0, 4))
        reader.read(slice(4, 8), slice(0, 4), slice(0, 4))
        assert first[0, 0, 0] == 64  # overwritten by the next read: nothing was allocated for it
    kept = source_of_array(tmp_path).read(slice(0, 4), slice(0, 4), slice(0, 4))
    assert kept[0, 0, 0] == 0


def test_a_source_is_small_and_can_be_sent(tmp_path):
    array = zarr.create_array(tmp_path, shape=(4, 4, 4), chunks=(4, 2, 2), shards=(4, 4, 4), dtype="uint16")
    array[:] = 5
    source = source_of_array(tmp_path)
    assert len(pickle.dumps(source)) < 2000
    assert (read_all(pickle.loads(pickle.dumps(source))) == 5).all()


def test_a_shard_index_at_the_start_goes_through_zarr(tmp_path):
    array = zarr.create_array(
        tmp_path,
        shape=(8, 8, 8),
        chunks=(8, 8, 8),
        dtype="uint16",
        serializer=ShardingCodec(chunk_shape=(4, 4, 4), index_location="start"),
        compressors=[],
        filters=[],
    )
    array[:] = np.arange(512, dtype=np.uint16).reshape(8, 8, 8)
    assert read_layout(tmp_path) is None
    np.testing.assert_array_equal(read_all(source_of_array(tmp_path, direct=False)), array[:])


def test_shards_within_shards_go_through_zarr(tmp_path):
    inner = ShardingCodec(chunk_shape=(2, 2, 2))
    zarr.create_array(
        tmp_path,
        shape=(8, 8, 8),
        chunks=(8, 8, 8),
        dtype="uint16",
        serializer=ShardingCodec(chunk_shape=(4, 4, 4), codecs=[inner]),
        compressors=[],
        filters=[],
    )
    assert read_layout(tmp_path) is None


def test_filters_of_zarr_2_go_through_zarr(tmp_path):
    zarr.create_array(
        tmp_path,
        zarr_format=2,
        shape=(4, 4, 4),
        chunks=(2, 2, 2),
        dtype="<u2",
        filters=[numcodecs.Delta(dtype="<u2")],
    )
    assert read_layout(tmp_path) is None


@pytest.mark.parametrize(
    "change",
    [
        {
            "codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "lz77", "configuration": {}},
            ]
        },
        {"codecs": [{"name": "bytes"}, {"name": "crc32c"}, {"name": "zstd", "configuration": {}}]},
        {"codecs": []},
        {"chunk_grid": {"name": "rectilinear", "configuration": {}}},
        {"chunk_key_encoding": {"name": "mine"}},
        {"data_type": {"name": "struct"}},
        {"data_type": "uint7"},
        {"fill_value": "0x00"},
        {"storage_transformers": [{"name": "secret"}]},
        {"codecs": [{"name": "transpose", "configuration": {"order": "F"}}, {"name": "bytes"}]},
        {"codecs": [{"name": "transpose", "configuration": {"order": [0, 0, 1]}}, {"name": "bytes"}]},
    ],
)
def test_metadata_that_is_not_understood_is_left_to_zarr(tmp_path, change):
    zarr.create_array(tmp_path, shape=(4, 4, 4), chunks=(2, 2, 2), dtype="uint16")
    assert read_layout(tmp_path) is not None
    file = tmp_path / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert read_layout(tmp_path) is None


def test_no_array_has_no_layout(tmp_path):
    assert read_layout(tmp_path) is None
    (tmp_path / "zarr.json").write_text("{")
    assert read_layout(tmp_path) is None


# -- damage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compressor", [name for name in COMPRESSORS if name != "none"])
def test_a_chunk_that_was_cut_short_is_no_data(tmp_path, compressor):
    array = zarr.create_array(
        tmp_path, shape=(16, 8, 8), chunks=(8, 8, 8), dtype="uint16", compressors=COMPRESSORS[compressor](2)
    )
    array[:] = np.random.default_rng(0).integers(0, 50, (16, 8, 8))
    file = tmp_path / "c" / "1" / "0" / "0"
    whole = file.read_bytes()
    for length in (0, 1, 5, 15, 16, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(StoreError, match=r"chunk 1/0/0 \(frames 8 to 15\) of .*; the store is damaged"):
            read_all(source_of_array(tmp_path))


@pytest.mark.parametrize("compressor", [*COMPRESSORS, "lz4"])
def test_a_chunk_of_another_size_never_leaves_old_samples_in_the_buffer(tmp_path, compressor):
    # Each chunk decodes into the buffer of the one before.
    options = (
        {"zarr_format": 2, "compressors": numcodecs.LZ4()}
        if compressor == "lz4"
        else {"compressors": COMPRESSORS[compressor](2)}
    )
    for name, chunk in (("a", (8, 8, 8)), ("b", (8, 8, 4)), ("c", (16, 8, 8))):
        array = zarr.create_array(tmp_path / name, shape=(16, 8, 8), chunks=chunk, dtype="uint16", **options)
        array[:] = 3
    file = next(name for name in ("c/1/0/0", "1.0.0", "1/0/0") if (tmp_path / "a" / name).exists())
    for name in ("b", "c"):
        shutil.copy(tmp_path / name / file.replace("1", "0"), tmp_path / "a" / file)
        with pytest.raises(StoreError, match=r"chunk 1/0/0"):
            read_all(source_of_array(tmp_path / "a"))


def test_a_flipped_bit_without_a_checksum_is_an_error_of_ours_or_data(tmp_path):
    # There is nothing to tell by, but nothing else may happen.
    rng = np.random.default_rng(0)
    for compressor in ("blosc lz4 bitshuffle", "zstd", "gzip", "blosc zstd shuffle"):
        path = tmp_path / compressor
        array = zarr.create_array(
            path, shape=(8, 8, 8), chunks=(8, 8, 8), dtype="uint16", compressors=COMPRESSORS[compressor](2)
        )
        array[:] = rng.integers(0, 50, (8, 8, 8))
        file = path / "c" / "0" / "0" / "0"
        whole = file.read_bytes()
        source = source_of_array(path)
        refused = 0
        for _ in range(60):
            damaged = bytearray(whole)
            damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))
            file.write_bytes(damaged)
            try:
                assert read_all(source).shape == (8, 8, 8)
            except StoreError:
                refused += 1
        assert refused


def test_damage_met_through_zarr_is_an_error_of_ours_too(tmp_path):
    array = zarr.create_array(
        tmp_path, shape=(8, 8, 8), chunks=(8, 8, 8), dtype="uint16", compressors=[ZstdCodec(), Crc32cCodec()]
    )
    array[:] = 5
    file = tmp_path / "c" / "0" / "0" / "0"
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(StoreError, match="frames 0 to 8 of .* cannot be decoded"):
        read_all(source_of_array(tmp_path, direct=False))


@pytest.mark.parametrize("known", ["all", "half", "nothing", "no file system"])
def test_what_the_kernel_has_is_not_asked_for_ahead(tmp_path, monkeypatch, known):
    values = np.random.default_rng(5).integers(0, 60_000, (64, 32, 32), dtype=np.uint16)
    array = zarr.create_array(
        tmp_path, shape=values.shape, chunks=(8, 32, 32), shards=values.shape, dtype="u2"
    )
    array[:] = values
    read, announced = os.preadv, []

    def preadv(handle, buffers, offset, flags=0):
        if not flags:
            return read(handle, buffers, offset)
        if known == "nothing":
            raise BlockingIOError(errno.EAGAIN, "would block")
        if known == "no file system":
            raise OSError(errno.EOPNOTSUPP, "not supported")
        whole = buffers[0]
        return read(handle, [whole[: len(whole) // 2] if known == "half" else whole], offset)

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(os, "posix_fadvise", lambda *given: announced.append(given))
    with source_of_array(tmp_path).open() as reader:
        for first in range(0, 64, 8):
            block = reader.read(slice(first, first + 8), slice(0, 32), slice(0, 32))
            np.testing.assert_array_equal(block, values[first : first + 8])
    assert bool(announced) == (known != "all")


def test_shards_of_a_batch_stay_open(tmp_path, monkeypatch):
    values = np.random.default_rng(5).integers(0, 60_000, (64, 32, 32), dtype=np.uint16)
    array = zarr.create_array(tmp_path, shape=values.shape, chunks=(8, 8, 8), shards=(16, 32, 32), dtype="u2")
    array[:] = values
    opened, asked = [], []
    first_open, read = os.open, os.preadv
    monkeypatch.setattr(os, "open", lambda path, flags: opened.append(path) or first_open(path, flags))
    monkeypatch.setattr(
        os, "preadv", lambda handle, buffers, offset, flags=0: 0 if flags else read(handle, buffers, offset)
    )
    monkeypatch.setattr(os, "posix_fadvise", lambda handle, start, *_: asked.append((handle, start)))
    monkeypatch.setattr("roitrace.store.chunk_files._AHEAD_BYTES", 1000)
    with source_of_array(tmp_path).open() as reader:
        for y, x, time in product(range(0, 32, 8), range(0, 32, 8), range(0, 64, 8)):
            part = (slice(time, time + 8), slice(y, y + 8), slice(x, x + 8))
            np.testing.assert_array_equal(reader.read(*part), values[part])
    assert len(opened) == 4
    # chunks of a tile are not neighbours in a shard of several along time, those of a later tile are announced as they come
    assert len({handle for handle, _ in asked}) == 4


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_no_more_files_are_open_than_a_few(tmp_path):
    def count():
        return len(list(Path("/proc/self/fd").iterdir()))

    array = zarr.create_array(tmp_path, shape=(80, 4, 4), chunks=(2, 4, 4), shards=(4, 4, 4), dtype="u2")
    array[:] = 7
    before = count()
    with source_of_array(tmp_path).open() as reader:
        for first in range(0, 80, 2):
            reader.read(slice(first, first + 2), slice(0, 4), slice(0, 4))
        assert before < count() <= before + 8
    assert count() == before
