"""Chunks that are decoded in pieces give what they give when they are decoded whole, and the same errors."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numcodecs import Blosc, blosc
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, TransposeCodec

import roitrace as rt
from roitrace.errors import StoreError
from roitrace.store.blosc_pieces import HEAD_BYTES, cut_chunk
from roitrace.store.chunk_files import LocalChunks
from roitrace.store.decode import ChunkDecoder
from tests.store.reading import read_all, source_of_array

DTYPES = [np.dtype(name) for name in ("u1", "u2", "i2", "u4", "f4", "f8")]
SHUFFLES = {"noshuffle": Blosc.NOSHUFFLE, "shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}


@pytest.fixture
def pieces(monkeypatch):
    """Cut all chunks, into pieces of a few hundred bytes, and count what is decoded in pieces and whole."""
    return cut_all(monkeypatch)


def cut_all(monkeypatch):
    count, in_pieces, whole = Counter(), ChunkDecoder._in_pieces, ChunkDecoder._whole

    def counted(self, files, index):
        found = in_pieces(self, files, index)
        count["in pieces"] += found is not None
        return found

    def counted_whole(self, index):
        count["whole"] += 1
        return whole(self, index)

    monkeypatch.setattr("roitrace.store.decode._CUT_BYTES", 0)
    monkeypatch.setattr("roitrace.store.blosc_pieces.PIECE_BYTES", 600)
    monkeypatch.setattr(ChunkDecoder, "_in_pieces", counted)
    monkeypatch.setattr(ChunkDecoder, "_whole", counted_whole)
    return count


def samples(rng, shape, dtype):
    """Of few bits, which shrink in any order."""
    return rng.integers(0, 8, shape).astype(dtype)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.one_of(st.integers(1, 4000), st.integers(40_000, 200_000)),
    dtype=st.sampled_from(DTYPES),
    codec=st.sampled_from(["lz4", "lz4hc", "zstd", "blosclz", "zlib"]),
    shuffle=st.sampled_from(sorted(SHUFFLES)),
    level=st.integers(1, 9),
    block=st.sampled_from([0, 128, 200, 256, 2**16]),
    piece=st.integers(1, 2**18),
)
@example(0, 4000, np.dtype("u2"), "lz4", "bitshuffle", 5, 128, 1000)
@example(0, 4001, np.dtype("f4"), "zstd", "shuffle", 3, 200, 1)
@example(0, 150_000, np.dtype("u1"), "lz4", "shuffle", 9, 2**16, 2**16)
def test_pieces_are_chunks_of_their_own(seed, size, dtype, codec, shuffle, level, block, piece):
    whole = samples(np.random.default_rng(seed), size, dtype)
    chunk = Blosc(codec, level, SHUFFLES[shuffle], block).encode(whole)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("roitrace.store.blosc_pieces.PIECE_BYTES", piece)
        cut = cut_chunk(chunk[:HEAD_BYTES], len(chunk), whole.nbytes)
    if not cut:  # a single block, or samples that did not shrink
        return
    assert len(cut) > 1
    assert all(
        one.stored[1] == two.stored[0] and one.decoded[1] == two.decoded[0] for one, two in pairwise(cut)
    )
    assert (cut[-1].stored[1], cut[0].decoded[0], cut[-1].decoded[1]) == (len(chunk), 0, whole.nbytes)
    decoded = np.empty(whole.nbytes, np.uint8)
    for one in cut:
        own = one.header + chunk[slice(*one.stored)]
        blosc.decompress(own, decoded[slice(*one.decoded)])
    np.testing.assert_array_equal(decoded.view(dtype), whole)


def test_large_chunks_are_cut_into_pieces_of_a_mebibyte():
    whole = samples(np.random.default_rng(0), 2**21, np.float32)
    chunk = Blosc("lz4", 5, Blosc.BITSHUFFLE).encode(whole)
    sizes = [
        last - first
        for first, last in (one.decoded for one in cut_chunk(chunk[:HEAD_BYTES], len(chunk), whole.nbytes))
    ]
    assert len(sizes) >= 4
    assert max(sizes) <= 2**20


def test_what_cannot_be_cut_is_left_whole():
    rng = np.random.default_rng(0)
    plain = Blosc("lz4", 5, Blosc.SHUFFLE, 128)
    whole = samples(rng, 2000, np.uint16)
    chunk = plain.encode(whole)

    def cuts(chunk, *, length=0, wanted=whole.nbytes):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("roitrace.store.blosc_pieces.PIECE_BYTES", 300)
            return cut_chunk(chunk[:HEAD_BYTES], length or len(chunk), wanted)

    def changed(first, value):
        number = np.frombuffer(chunk, np.uint8).copy()
        number[first : first + 4] = np.frombuffer(np.uint32(value).tobytes(), np.uint8)
        return number.tobytes()

    assert len(cuts(chunk)) > 4
    copied = rng.integers(0, 256, whole.nbytes, np.uint8)
    assert not cuts(plain.encode(copied))
    assert not cuts(Blosc("lz4", 5, Blosc.SHUFFLE, 2**16).encode(whole))
    assert not cuts(chunk, length=len(chunk) - 1)
    assert not cuts(chunk, wanted=whole.nbytes + 2)
    assert not cuts(chunk[:15], length=len(chunk))
    assert not cuts(chunk[:40], length=len(chunk))
    assert not cuts(chunk[:2] + bytes([chunk[2] | 2]) + chunk[3:])
    for block in (0, 1, 2**31, 2**32 - 1):
        assert not cuts(changed(8, block))
    starts = np.frombuffer(chunk, np.uint32, 16, 16)
    for number, start in ((0, starts[0] + 1), (1, starts[3]), (3, starts[2]), (2, 0), (5, 2**31 + 5)):
        assert not cuts(changed(16 + 4 * number, start))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from(DTYPES[1:]),
    checksum=st.booleans(),
    sharded=st.booleans(),
    order=st.sampled_from([None, (1, 2, 0), (2, 1, 0)]),
    endian=st.sampled_from(["little", "big"]),
)
def test_zarr_agrees(tmp_path_factory, seed, dtype, checksum, sharded, order, endian):
    path = tmp_path_factory.getbasetemp() / "pieces"
    shutil.rmtree(path, ignore_errors=True)
    shape = (48, 20, 12)
    array = zarr.create_array(
        path,
        shape=shape,
        chunks=(16, 10, 12),
        shards=(32, 20, 12) if sharded else None,
        dtype=dtype,
        filters=[TransposeCodec(order=order)] if order else [],
        serializer=BytesCodec(endian=endian),
        compressors=[
            BloscCodec(typesize=dtype.itemsize, cname="lz4", shuffle="bitshuffle", blocksize=128),
            *([Crc32cCodec()] if checksum else []),
        ],
        fill_value=7,
    )
    values = samples(np.random.default_rng(seed), shape, dtype)
    array[:40] = values[:40]
    with pytest.MonkeyPatch.context() as patched:
        count = cut_all(patched)
        np.testing.assert_array_equal(read_all(source_of_array(path)), array[:])
    assert count["in pieces"] == 6
    assert count["whole"] == 0


def stored(path, *, checksum=True, sharded=True):
    array = zarr.create_array(
        path,
        shape=(16, 16, 16),
        chunks=(8, 16, 16),
        shards=(16, 16, 16) if sharded else None,
        dtype="uint16",
        compressors=[
            BloscCodec(typesize=2, cname="lz4", clevel=5, shuffle="bitshuffle", blocksize=128),
            *([Crc32cCodec()] if checksum else []),
        ],
    )
    array[:] = samples(np.random.default_rng(3), (16, 16, 16), np.uint16)
    return next(file for file in sorted((path / "c").rglob("*")) if file.is_file())


def places(whole):
    """Bytes to damage: all of the first header, some of the rest, none of the index."""
    return [*range(64), *range(64, len(whole) - (2 * 16 + 4), 13)]


@pytest.mark.usefixtures("pieces")
def test_missing_chunks_are_missing_or_the_fill_value(tmp_path):
    file = stored(tmp_path, sharded=False)
    file.unlink()
    assert not read_all(source_of_array(tmp_path))[:8].any()
    with pytest.raises(StoreError, match="chunk 0/0/0 .* is missing"):
        read_all(source_of_array(tmp_path, complete=True))


def test_every_damaged_byte_is_found_by_the_checksum(tmp_path, pieces):
    file = stored(tmp_path)
    whole = file.read_bytes()
    for place in places(whole):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"chunk [01]/0/0 .* is damaged: its checksum does not match"):
            read_all(source_of_array(tmp_path))
    file.write_bytes(whole)
    pieces.clear()
    read_all(source_of_array(tmp_path))
    assert pieces == {"in pieces": 2}


def test_a_damaged_byte_without_a_checksum_does_what_it_does_to_whole_chunks(tmp_path, monkeypatch, pieces):
    file = stored(tmp_path, checksum=False)
    whole, refused = file.read_bytes(), 0

    def outcome(cut_bytes):
        monkeypatch.setattr("roitrace.store.decode._CUT_BYTES", cut_bytes)
        try:
            return read_all(source_of_array(tmp_path)).tobytes()
        except StoreError as error:
            return str(error)

    for place in places(whole):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        found = outcome(0)
        assert found == outcome(2**40)
        refused += isinstance(found, str)
    assert refused
    assert pieces["in pieces"]


@pytest.mark.usefixtures("pieces")
def test_a_chunk_that_was_cut_short_is_no_data(tmp_path):
    file = stored(tmp_path, sharded=False)
    whole = file.read_bytes()
    for length in (0, 1, 15, 16, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(StoreError, match="chunk 0/0/0 "):
            read_all(source_of_array(tmp_path))


@pytest.mark.usefixtures("pieces")
def test_a_file_that_shrinks_while_it_is_read_is_no_data(tmp_path, monkeypatch):
    file, fill = stored(tmp_path), LocalChunks.fill

    def shrunk(self, room, extent, first):
        if first:
            with file.open("r+b") as opened:
                opened.truncate(extent.offset + first)
        fill(self, room, extent, first)

    monkeypatch.setattr(LocalChunks, "fill", shrunk)
    with pytest.raises(StoreError, match="chunk 0/0/0 .* is cut short"):
        read_all(source_of_array(tmp_path))


def test_a_chunk_that_was_swapped_is_found_by_the_manifest(tmp_path, pieces):
    frames = np.random.default_rng(4).poisson(20, (512, 64, 64)).astype(np.uint16)
    store = tmp_path / "recording.zarr"
    rt.convert(xr.DataArray(frames, dims=("time", "y", "x")), store)
    np.testing.assert_array_equal(rt.open_recording(store).values, frames)
    assert pieces["in pieces"] == 2
    first, second = (store / "fluorescence" / "c" / number / "0" / "0" for number in "01")
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    with pytest.raises(StoreError, match="chunk 0/0/0 .* is not the one that was written"):
        rt.open_recording(store).compute()


@pytest.mark.parametrize("backwards", [False, True])
def test_what_follows_is_announced_once_and_only_where_chunks_follow(
    tmp_path, monkeypatch, pieces, backwards
):
    array = zarr.create_array(
        tmp_path,
        shape=(64, 16, 16),
        chunks=(8, 16, 16),
        shards=(64, 16, 16),
        dtype="uint16",
        compressors=BloscCodec(typesize=2, cname="lz4", shuffle="bitshuffle", blocksize=128),
    )
    array[:] = samples(np.random.default_rng(3), (64, 16, 16), np.uint16)
    read, announced = os.preadv, []
    monkeypatch.setattr(
        os, "preadv", lambda handle, buffers, offset, flags=0: 0 if flags else read(handle, buffers, offset)
    )
    monkeypatch.setattr(os, "posix_fadvise", lambda *given: announced.append(given))
    with source_of_array(tmp_path).open() as reader:
        for first in range(56, -1, -8) if backwards else range(0, 64, 8):
            reader.read(slice(first, first + 8), slice(0, 16), slice(0, 16))
    assert pieces["in pieces"] == 8
    # the first chunk of the file follows nothing, but where nothing was read yet it may
    assert len(announced) == (0 if backwards else 1)
