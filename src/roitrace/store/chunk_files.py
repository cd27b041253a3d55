"""The encoded bytes of single chunks: in files of this computer, read into one buffer that is used again and again."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import numpy as np

from roitrace.errors import StoreError
from roitrace.file_errors import explained
from roitrace.store.checksum import CRC_BYTES, crc32c
from roitrace.store.rooted import check_inside

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from roitrace.store.chunks import ChunkLayout
    from roitrace.store.places import Location

__all__ = [
    "ENTRY_BYTES",
    "MISSING",
    "ChunkFiles",
    "LocalChunks",
    "check_extent",
    "most_bytes",
    "name_of_chunk",
    "parse_index",
]

MISSING = 2**64 - 1
"""Offset and length in a shard's index of a chunk that is not there."""
ENTRY_BYTES = 16
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)
_AHEAD_BYTES = 8 * 2**20
_OVERHEAD_BYTES = 4096
"""By which a chunk that does not shrink may grow: headers and a checksum."""


class ChunkFiles(Protocol):
    """The encoded chunks of an array. Lives inside one task; close it."""

    def read(self, index: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """Return the encoded bytes of a chunk, None if it is not there; the next call may overwrite them.

        Raises
        ------
        StoreError
            If its file is damaged.
        """

    def expect(self, indices: Iterable[tuple[int, ...]]) -> None:
        """Take note of the chunks that will be read next, in this order."""

    def close(self) -> None:
        """Let go of what is open."""


def name_of_chunk(array: Location, layout: ChunkLayout, index: tuple[int, ...]) -> str:
    """Name a chunk, for messages."""
    first = index[0] * layout.chunk[0]
    last = min(first + layout.chunk[0], layout.shape[0]) - 1
    return f"chunk {'/'.join(map(str, index))} (frames {first} to {last}) of {array}"


def parse_index(data: bytes, file: Location, size: int) -> NDArray[np.uint64]:
    """Return the index of a shard: offset and length of each chunk.

    Raises
    ------
    StoreError
        If its checksum does not match, as of no bytes.
    """
    if len(data) < CRC_BYTES or crc32c(data[:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:], "little"):
        raise StoreError(
            f"the index of {file} is damaged ({size} bytes)",
            "mend a store of roitrace's with roitrace verify --repair, restore others from a copy",
        )
    return np.frombuffer(data[:-CRC_BYTES], "<u8").reshape(-1, 2)


def most_bytes(layout: ChunkLayout) -> int:
    """Return the bytes that an encoded chunk takes at most."""
    return 2 * layout.chunk_bytes + _OVERHEAD_BYTES


def check_extent(chunk: str, length: int, there: int, most: int) -> None:
    """Refuse a chunk that ends beyond its file, or is longer than any.

    Raises
    ------
    StoreError
        If so.
    """
    if length > there:
        raise StoreError(f"{chunk} is cut short: {max(0, there)} of {length} bytes", "the store is damaged")
    if length > most:
        raise StoreError(
            f"{chunk} has {length:,} bytes, an encoded chunk at most {most:,}", "the store is damaged"
        )


class LocalChunks:
    """Chunks in files of this computer, one of which is open at a time.

    Parameters
    ----------
    array : Path
        Folder of the array.
    layout : ChunkLayout
        What its metadata says.
    root : Path
        Folder that no file may lie outside of.
    """

    def __init__(self, array: Path, layout: ChunkLayout, root: Path) -> None:
        self._array, self._layout, self._root = array, layout, root
        self._raw = np.empty(0, np.uint8)
        self._file: tuple[str, int] | None = None
        self._ends = (0, 0)
        self._is_fetched = _NOWAIT is not None
        self._index: NDArray[np.uint64] | None = None

    def read(self, index: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """Return the encoded bytes of a chunk, None if it is not there; the next call overwrites them."""
        name = self._layout.file_of(index)
        if (self._file is None or self._file[0] != name) and not self._open(name):
            return None
        assert self._file is not None
        handle = self._file[1]
        if self._layout.shard is None:
            return self._read(handle, 0, os.fstat(handle).st_size, index)
        assert self._index is not None
        offset, length = (int(value) for value in self._index[self._layout.place_in_shard(index)])
        if offset == MISSING and length == MISSING:
            return None
        return self._read(handle, offset, length, index)

    def expect(self, indices: Iterable[tuple[int, ...]]) -> None:
        """Do nothing: the system reads ahead as it is announced chunk by chunk."""

    def close(self) -> None:
        """Close the file that is open."""
        if self._file is not None:
            os.close(self._file[1])
            self._file = None

    def _open(self, name: str) -> bool:
        self.close()
        file = self._array / name
        check_inside(self._root, file)
        with explained(file):
            try:
                handle = os.open(file, os.O_RDONLY | _NONBLOCK)
            except (FileNotFoundError, NotADirectoryError):
                return False
        self._file, self._ends = (name, handle), (0, 0)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise StoreError(f"{file} is no file, as a chunk is", "restore the store from a copy")
        if self._layout.shard is not None:
            self._index = self._read_index(handle, name)
        return True

    def _read_index(self, handle: int, name: str) -> NDArray[np.uint64]:
        length = self._layout.chunks_per_shard * ENTRY_BYTES + CRC_BYTES
        size = os.fstat(handle).st_size
        with explained(self._array / name):
            data = os.pread(handle, length, size - length) if size >= length else b""
        try:
            return parse_index(data if len(data) == length else b"", self._array / name, size)
        except StoreError:
            self.close()
            raise

    def _read(self, handle: int, offset: int, length: int, index: tuple[int, ...]) -> NDArray[np.uint8]:
        there, most = os.fstat(handle).st_size - offset, most_bytes(self._layout)
        if not length <= min(there, most):
            check_extent(name_of_chunk(self._array, self._layout, index), length, there, most)
        if len(self._raw) < length:
            # room for any chunk at once: pages that are not touched cost nothing, growing would touch new ones each time
            self._raw = np.empty(max(length, self._layout.chunk_bytes + _OVERHEAD_BYTES), np.uint8)
        view = self._raw[:length]
        done = self._read_fetched(handle, offset, view)
        self._is_fetched = done == length
        if self._is_fetched:
            self._ends = offset + length, 0
        else:
            self._announce(handle, offset, length)
        while done < length:
            with explained(self._array):
                count = os.preadv(handle, [view[done:].data], offset + done)
            if count == 0:
                check_extent(name_of_chunk(self._array, self._layout, index), length, done, most)
            done += count
        return view

    def _read_fetched(self, handle: int, offset: int, view: NDArray[np.uint8]) -> int:
        """Read what the kernel has in memory, where it can tell, and return the number of bytes."""
        if _NOWAIT is None or not self._is_fetched:
            return 0
        # nothing of it is there, or the file system cannot tell; any other trouble shows when the rest is read
        with suppress(OSError):
            return os.preadv(handle, [view.data], offset, _NOWAIT)
        return 0

    def _announce(self, handle: int, offset: int, length: int) -> None:
        """Ask the kernel to fetch what follows while this chunk is decoded, where chunks are read one after the other and not all are in memory."""
        read, asked = self._ends
        end = offset + length
        if offset == read and hasattr(os, "posix_fadvise"):
            if asked < end + _AHEAD_BYTES // 2:
                asked = max(asked, end)
                os.posix_fadvise(handle, asked, _AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
                asked += _AHEAD_BYTES
        else:
            asked = end
        self._ends = end, asked
