"""The encoded bytes of single chunks: in files of this computer, read into one buffer that is used again and again."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

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
_OPEN_FILES = 8
"""Shards that are open at once: a batch of frames may lie in several, and its tiles are read of one after the other."""
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


@dataclass
class _OpenFile:
    """A file of chunks that is open.

    Attributes
    ----------
    handle : int
        Of the system.
    index : numpy.ndarray or None
        Offset and length of the chunks of a shard.
    ends : tuple of int
        Where the last chunk ended, and what was asked of the system ahead of it.
    announced : int
        Where the last chunk began that had to be fetched.
    is_fetched : bool
        Whether all that was read of it was in memory.
    """

    handle: int
    index: NDArray[np.uint64] | None = None
    ends: tuple[int, int] = (0, 0)
    announced: int = -1
    is_fetched: bool = _NOWAIT is not None


class Extent(NamedTuple):
    """Where the encoded bytes of a chunk are.

    Attributes
    ----------
    chunk : tuple of int
        Its index.
    file : _OpenFile
        That holds it.
    offset, length : int
        Its first byte in the file, and how many there are.
    """

    chunk: tuple[int, ...]
    file: _OpenFile
    offset: int
    length: int


class LocalChunks:
    """Chunks in files of this computer, of which the last few are open.

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
        self._open: dict[str, _OpenFile] = {}

    def read(self, index: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """Return the encoded bytes of a chunk, None if it is not there; the next call overwrites them."""
        extent = self.find(index)
        if extent is None:
            return None
        if len(self._raw) < extent.length:
            # room for any chunk at once: pages that are not touched cost nothing, growing would touch new ones each time
            self._raw = np.empty(max(extent.length, self._layout.chunk_bytes + _OVERHEAD_BYTES), np.uint8)
        view = self._raw[: extent.length]
        self.fill(view, extent, 0)
        return view

    def find(self, index: tuple[int, ...]) -> Extent | None:
        """Return where the encoded bytes of a chunk are, until the next chunk is asked for; None if it is not there.

        Raises
        ------
        StoreError
            If its file is damaged.
        """
        name = self._layout.file_of(index)
        file = self._open.get(name) or self._opened(name)
        if file is None:
            return None
        size = os.fstat(file.handle).st_size
        offset, length = 0, size
        if file.index is not None:
            offset, length = (int(value) for value in file.index[self._layout.place_in_shard(index)])
            if offset == MISSING and length == MISSING:
                return None
        there, most = size - offset, most_bytes(self._layout)
        if not length <= min(there, most):
            check_extent(name_of_chunk(self._array, self._layout, index), length, there, most)
        return Extent(index, file, offset, length)

    def fill(self, room: NDArray[np.uint8], extent: Extent, first: int) -> None:
        """Read bytes of a chunk, from one of them on, until `room` is full.

        Raises
        ------
        StoreError
            If the file ends before.
        """
        file, offset, length = extent.file, extent.offset + first, len(room)
        done = _read_fetched(file, offset, room)
        file.is_fetched = done == length
        if file.is_fetched:
            file.ends = extent.offset + extent.length, 0
        elif file.announced != extent.offset:
            file.announced = extent.offset
            _announce(file, extent.offset, extent.length)
        while done < length:
            with explained(self._array):
                count = os.preadv(file.handle, [room[done:].data], offset + done)
            if count == 0:
                chunk = name_of_chunk(self._array, self._layout, extent.chunk)
                check_extent(chunk, extent.length, first + done, most_bytes(self._layout))
            done += count

    def expect(self, indices: Iterable[tuple[int, ...]]) -> None:
        """Do nothing: the system reads ahead as it is announced chunk by chunk."""

    def close(self) -> None:
        """Close the files that are open."""
        while self._open:
            os.close(self._open.popitem()[1].handle)

    def _opened(self, name: str) -> _OpenFile | None:
        """Open a file in place of the one that was opened first, where there are many; None if it is not there."""
        most = 1 if self._layout.shard is None else _OPEN_FILES
        while len(self._open) >= most:
            os.close(self._open.pop(next(iter(self._open))).handle)
        path = self._array / name
        check_inside(self._root, path)
        with explained(path):
            try:
                handle = os.open(path, os.O_RDONLY | _NONBLOCK)
            except (FileNotFoundError, NotADirectoryError):
                return None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise StoreError(f"{path} is no file, as a chunk is", "restore the store from a copy")
        self._open[name] = file = _OpenFile(handle)
        if self._layout.shard is not None:
            try:
                file.index = self._read_index(handle, path)
            except StoreError:
                os.close(self._open.pop(name).handle)
                raise
        return file

    def _read_index(self, handle: int, path: Path) -> NDArray[np.uint64]:
        length = self._layout.chunks_per_shard * ENTRY_BYTES + CRC_BYTES
        size = os.fstat(handle).st_size
        with explained(path):
            data = os.pread(handle, length, size - length) if size >= length else b""
        return parse_index(data if len(data) == length else b"", path, size)


def _read_fetched(file: _OpenFile, offset: int, view: NDArray[np.uint8]) -> int:
    """Read what the kernel has in memory, where it can tell, and return the number of bytes."""
    if _NOWAIT is None or not file.is_fetched:
        return 0
    # nothing of it is there, or the file system cannot tell; any other trouble shows when the rest is read
    with suppress(OSError):
        return os.preadv(file.handle, [view.data], offset, _NOWAIT)
    return 0


def _announce(file: _OpenFile, offset: int, length: int) -> None:
    """Ask the kernel to fetch what follows while this chunk is decoded, where chunks are read one after the other and not all are in memory."""
    read, asked = file.ends
    end = offset + length
    if offset == read and hasattr(os, "posix_fadvise"):
        if asked < end + _AHEAD_BYTES // 2:
            asked = max(asked, end)
            os.posix_fadvise(file.handle, asked, _AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
            asked += _AHEAD_BYTES
    else:
        asked = end
    file.ends = end, asked
