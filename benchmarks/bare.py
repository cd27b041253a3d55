"""The yardsticks: what reading, decoding and encoding alone take, with nothing around them."""

from __future__ import annotations

import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numcodecs import blosc

from roitrace.store.layout import BLOSC_LEVEL, BLOSC_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "BareStore",
    "bare_cold_read",
    "bare_decode",
    "bare_encode",
    "drop_cache",
    "in_memory_decode",
    "load_encoded",
    "on_threads",
]

CHECKSUM_BYTES = 4
ENTRY_BYTES = 16
READ_BYTES = 2**20

Buffer = TypeVar("Buffer")


@dataclass(frozen=True)
class BareStore:
    """Where the chunks of a store lie.

    Attributes
    ----------
    files : tuple of Path
        Its shard files.
    spans : tuple of tuple of (int, int)
        Per file, offset and length of each chunk, without its checksum.
    chunk, shape : tuple of int
        Of a chunk and of the array.
    chunk_bytes : int
        Of a decoded chunk.
    """

    files: tuple[Path, ...]
    spans: tuple[tuple[tuple[int, int], ...], ...]
    chunk: tuple[int, ...]
    shape: tuple[int, ...]
    chunk_bytes: int

    @classmethod
    def of(cls, store: Path) -> BareStore:
        """Read the metadata and the shards' indexes."""
        array = store / "fluorescence"
        meta = json.loads((array / "zarr.json").read_text())
        shard = meta["chunk_grid"]["configuration"]["chunk_shape"]
        chunk = meta["codecs"][0]["configuration"]["chunk_shape"]
        count = math.prod(s // c for s, c in zip(shard, chunk, strict=True))
        files = tuple(sorted(path for path in (array / "c").rglob("*") if path.is_file()))
        return cls(
            files,
            tuple(_spans(file, count) for file in files),
            tuple(chunk),
            tuple(meta["shape"]),
            math.prod(chunk) * np.dtype(meta["data_type"]).itemsize,
        )

    @property
    def decoded_bytes(self) -> int:
        """Bytes of all chunks, decoded."""
        return self.chunk_bytes * sum(len(spans) for spans in self.spans)

    @property
    def encoded_bytes(self) -> int:
        """Bytes of all chunks on disk."""
        return sum(length for spans in self.spans for _, length in spans)

    def decoded_samples(self, pixels: Iterable[NDArray[np.int64]], time: slice = slice(None)) -> int:
        """Count the samples of the chunks that hold a pixel, of one channel, for some frames."""
        frames, height, width = self.chunk[0], *self.chunk[-2:]
        start, stop, _ = time.indices(self.shape[0])
        tiles = {(y // height, x // width) for one in pixels for y, x in one.tolist()}
        return len(tiles) * height * width * frames * (-(-stop // frames) - start // frames)


def bare_decode(store: BareStore, threads: int) -> None:
    """Read every chunk and decode it into a reused buffer, without checksums."""

    def decode(number: int, buffers: _Buffers) -> None:
        raw, decoded = buffers.raw, buffers.decoded
        handle = os.open(store.files[number], os.O_RDONLY)
        try:
            for offset, length in store.spans[number]:
                part = raw[:length]
                if os.preadv(handle, [part], offset) != length:
                    raise OSError(f"{store.files[number]} is cut short")
                blosc.decompress(part, decoded)
        finally:
            os.close(handle)

    _run(decode, len(store.files), threads, store)


def load_encoded(store: BareStore) -> list[list[bytes]]:
    """Return the encoded chunks, file by file."""
    encoded = []
    for path, spans in zip(store.files, store.spans, strict=True):
        data = path.read_bytes()
        encoded.append([data[offset : offset + length] for offset, length in spans])
    return encoded


def in_memory_decode(store: BareStore, encoded: Sequence[Sequence[bytes]], threads: int) -> None:
    """Decode chunks that are in memory into a reused buffer."""

    def decode(number: int, buffers: _Buffers) -> None:
        for data in encoded[number]:
            blosc.decompress(data, buffers.decoded)

    _run(decode, len(encoded), threads, store)


def bare_cold_read(store: BareStore, threads: int) -> None:
    """Read every file into a reused buffer and do nothing with it."""

    def read(number: int, buffers: _Buffers) -> None:
        handle = os.open(store.files[number], os.O_RDONLY)
        try:
            while os.readv(handle, [buffers.read]):
                pass
        finally:
            os.close(handle)

    _run(read, len(store.files), threads, store)


def bare_encode(movie: NDArray[Any], store: Path, chunk: tuple[int, int, int], threads: int) -> None:
    """Write the chunks of the default store, and the files they lie in, with Blosc alone and the same fsync.

    `movie` is a memory map ``(time, y, x)``; frames of a file are copied out of it as they are encoded.
    """
    frames, height, width = chunk
    store.mkdir(parents=True)

    def encode(number: int, scratch: NDArray[Any]) -> None:
        block = movie[number * frames : (number + 1) * frames]
        path = store / str(number)
        with path.open("wb") as file:
            for y, x in product(range(0, movie.shape[1], height), range(0, movie.shape[2], width)):
                tile = block[:, y : y + height, x : x + width]
                if tile.shape != scratch.shape:
                    scratch[...] = 0
                scratch[tuple(slice(0, size) for size in tile.shape)] = tile
                file.write(
                    blosc.compress(scratch.reshape(-1), BLOSC_NAME.encode(), BLOSC_LEVEL, blosc.BITSHUFFLE, 0)
                )
            file.flush()
            os.fsync(file.fileno())
        handle = os.open(store, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)

    on_threads(encode, -(-movie.shape[0] // frames), threads, lambda: np.zeros(chunk, movie.dtype))


def drop_cache(files: Iterable[Path]) -> None:
    """Ask the kernel to forget what it holds of some files."""
    for path in files:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


@dataclass(frozen=True, eq=False)
class _Buffers:
    """What one thread uses again and again."""

    raw: memoryview
    decoded: NDArray[np.uint8]
    read: memoryview


def _run(work: Callable[[int, _Buffers], None], count: int, threads: int, store: BareStore) -> None:
    longest = max((length for spans in store.spans for _, length in spans), default=0)

    def buffers() -> _Buffers:
        decoded = np.empty(store.chunk_bytes, np.uint8)
        return _Buffers(memoryview(bytearray(longest)), decoded, memoryview(bytearray(READ_BYTES)))

    on_threads(work, count, threads, buffers)


def on_threads(
    work: Callable[[int, Buffer], None], count: int, threads: int, buffers: Callable[[], Buffer]
) -> None:
    """Do `work` for every number below `count`, each thread with buffers of its own."""
    numbers = iter(range(count))

    def loop() -> None:
        own = buffers()
        # taking the next number from one iterator is atomic
        for number in numbers:
            work(number, own)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(loop) for _ in range(threads)]:
            done.result()


def _spans(path: Path, count: int) -> tuple[tuple[int, int], ...]:
    length = count * ENTRY_BYTES
    with path.open("rb") as file:
        file.seek(-length - CHECKSUM_BYTES, os.SEEK_END)
        index = np.frombuffer(file.read(length), "<u8").reshape(-1, 2)
    return tuple((int(offset), int(size) - CHECKSUM_BYTES) for offset, size in index)
