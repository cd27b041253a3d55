"""Read and decode single chunks into buffers that are used again and again."""

from __future__ import annotations

import os
import stat
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numcodecs import blosc, lz4, zstd

from roitrace.errors import StoreError
from roitrace.file_errors import explained
from roitrace.store.checksum import CRC_BYTES, crc32c
from roitrace.store.known import KnownFiles
from roitrace.store.rooted import check_inside

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from roitrace.store.chunks import ChunkLayout

__all__ = ["ChunkDecoder"]

_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_MISSING = 2**64 - 1
_ENTRY_BYTES = 16
_AHEAD_BYTES = 8 * 2**20
_OVERHEAD_BYTES = 4096
"""By which a chunk that does not shrink may grow: headers and a checksum."""


class ChunkDecoder:
    """Decodes the chunks of one local array. Lives inside one task; close it.

    Parameters
    ----------
    array : Path
        Folder of the array.
    layout : ChunkLayout
        What its metadata says.
    root : Path, optional
        Folder that no file may lie outside of; the array's if not given.
    complete : bool
        Whether a chunk that is not there is damage (our own finished stores) or stands for the fill value.
    manifest : Path, optional
        What the chunks are compared with.
    """

    def __init__(
        self,
        array: Path,
        layout: ChunkLayout,
        *,
        complete: bool,
        root: Path | None = None,
        manifest: Path | None = None,
    ) -> None:
        self._array = array
        self._root = array if root is None else root
        self._known = None if manifest is None else KnownFiles.open(manifest, thorough=False)
        self._expected: tuple[NDArray[np.uint32], ...] = ()
        self._layout = layout
        self._complete = complete
        self._decoded = np.empty(layout.chunk_bytes, np.uint8)
        self._raw = np.empty(0, np.uint8)
        self._file: tuple[str, int] | None = None
        self._ends = (0, 0)
        self._index: NDArray[np.uint64] | None = None

    def decode(self, index: tuple[int, ...]) -> NDArray[Any]:
        """Return a chunk in the array's axis order and native byte order; the next call overwrites it."""
        layout = self._layout
        data = self._bytes_of(index)
        if data is None:
            if self._complete:
                raise StoreError(
                    f"{self._where(index)} is missing", "the store is damaged: convert the recording again"
                )
            return np.full(layout.chunk, layout.fill, layout.stored.newbyteorder("="))
        if layout.checksum:
            stated = int.from_bytes(data[-CRC_BYTES:].tobytes(), "little")
            data = data[:-CRC_BYTES]
            if crc32c(data) != stated:
                raise StoreError(
                    f"{self._where(index)} is damaged: its checksum does not match",
                    "restore the file or convert the recording again",
                )
            if self._known is not None:
                self._check_written(stated, index)
        flat = self._decompress(data, index).view(layout.stored)
        order = layout.order
        if order is None:
            chunk = flat.reshape(layout.chunk)
        else:
            stored_shape = tuple(layout.chunk[axis] for axis in order)
            chunk = flat.reshape(stored_shape).transpose(np.argsort(order))
        return chunk if layout.stored.isnative else chunk.astype(layout.stored.newbyteorder("="))

    def close(self) -> None:
        """Close the file that is open."""
        if self._file is not None:
            os.close(self._file[1])
            self._file = None

    def _check_written(self, stated: int, index: tuple[int, ...]) -> None:
        """Refuse a chunk that is whole, but not the one that was written here."""
        if not self._is_expected(stated, index) and not self._is_expected(stated, index, again=True):
            raise StoreError(
                f"{self._where(index)} is not the one that was written: it was swapped, or is of an earlier time",
                "mend it with roitrace verify --repair, or restore it from a copy",
            )

    def _is_expected(self, stated: int, index: tuple[int, ...], *, again: bool = False) -> bool:
        """Whether a chunk may have a checksum; `again` looks into the manifest anew, since an append may have taken effect."""
        if again and self._known is not None:
            self._known = KnownFiles.open(self._known.place, thorough=False)
            file = self._array / self._layout.file_of(index)
            self._expected = self._known.chunks_of(file.relative_to(self._root).as_posix())
        number = 0 if self._layout.shard is None else self._layout.place_in_shard(index)
        return any(number < len(known) and known[number] == stated for known in self._expected)

    def _bytes_of(self, index: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """Return the encoded bytes of a chunk, None if it is not there."""
        name = self._layout.file_of(index)
        if (self._file is None or self._file[0] != name) and not self._open(name):
            return None
        assert self._file is not None
        handle = self._file[1]
        if self._layout.shard is None:
            return self._read(handle, 0, os.fstat(handle).st_size, index)
        assert self._index is not None
        offset, length = (int(value) for value in self._index[self._layout.place_in_shard(index)])
        if offset == _MISSING and length == _MISSING:
            return None
        return self._read(handle, offset, length, index)

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
        if self._known is not None:
            self._expected = self._known.chunks_of(file.relative_to(self._root).as_posix())
        if self._layout.shard is not None:
            self._index = self._read_index(handle, name)
        return True

    def _read_index(self, handle: int, name: str) -> NDArray[np.uint64]:
        length = self._layout.chunks_per_shard * _ENTRY_BYTES
        size = os.fstat(handle).st_size
        with explained(self._array / name):
            data = (
                os.pread(handle, length + CRC_BYTES, size - length - CRC_BYTES)
                if size >= length + CRC_BYTES
                else b""
            )
        if len(data) < length + CRC_BYTES or crc32c(data[:-CRC_BYTES]) != int.from_bytes(
            data[-CRC_BYTES:], "little"
        ):
            self.close()
            raise StoreError(
                f"the index of {self._array / name} is damaged ({size} bytes)",
                "restore the file or convert the recording again",
            )
        return np.frombuffer(data[:-CRC_BYTES], "<u8").reshape(-1, 2)

    def _read(self, handle: int, offset: int, length: int, index: tuple[int, ...]) -> NDArray[np.uint8]:
        there = max(0, os.fstat(handle).st_size - offset)
        if length > there:
            raise StoreError(
                f"{self._where(index)} is cut short: {there} of {length} bytes", "the store is damaged"
            )
        most = 2 * self._layout.chunk_bytes + _OVERHEAD_BYTES
        if length > most:
            raise StoreError(
                f"{self._where(index)} has {length:,} bytes, an encoded chunk at most {most:,}",
                "the store is damaged",
            )
        if len(self._raw) < length:
            # room for any chunk at once: pages that are not touched cost nothing, growing would touch new ones each time
            self._raw = np.empty(max(length, self._layout.chunk_bytes + _OVERHEAD_BYTES), np.uint8)
        self._announce(handle, offset, length)
        view = self._raw[:length]
        done = 0
        while done < length:
            with explained(self._array):
                count = os.preadv(handle, [view[done:].data], offset + done)
            if count == 0:
                raise StoreError(
                    f"{self._where(index)} is cut short: {done} of {length} bytes", "the store is damaged"
                )
            done += count
        return view

    def _announce(self, handle: int, offset: int, length: int) -> None:
        """Ask the kernel to fetch what follows while this chunk is decoded, where chunks are read one after the other."""
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

    def _decompress(self, data: NDArray[np.uint8], index: tuple[int, ...]) -> NDArray[np.uint8]:
        compressor, wanted = self._layout.compressor, self._layout.chunk_bytes
        try:
            if compressor is None:
                decoded = data
            elif compressor == "blosc":
                _check_blosc_header(data, wanted)
                blosc.decompress(data, self._decoded)
                decoded = self._decoded
            elif compressor in {"zstd", "lz4"}:
                _check_stated_size(data, compressor, wanted)
                (zstd if compressor == "zstd" else lz4).decompress(data, self._decoded)
                decoded = self._decoded
            else:
                decoded = _inflate(data, wanted)
        except (RuntimeError, ValueError, zlib.error) as error:
            raise StoreError(
                f"{self._where(index)} cannot be decoded: {error}", "the store is damaged"
            ) from error
        if decoded.size != wanted:
            raise StoreError(
                f"{self._where(index)} holds {decoded.size} bytes, expected {wanted}", "the store is damaged"
            )
        return decoded

    def _where(self, index: tuple[int, ...]) -> str:
        first = index[0] * self._layout.chunk[0]
        last = min(first + self._layout.chunk[0], self._layout.shape[0]) - 1
        return f"chunk {'/'.join(map(str, index))} (frames {first} to {last}) of {self._array}"


def _check_blosc_header(data: NDArray[np.uint8], wanted: int) -> None:
    """Refuse a chunk whose header does not state its own length and ours (Blosc 1 format, bytes 4 to 15)."""
    header = data[:16].tobytes()
    stated, stored = int.from_bytes(header[4:8], "little"), int.from_bytes(header[12:16], "little")
    if len(header) < 16 or stated != wanted or stored != data.size:
        raise ValueError(
            f"its header states {stated} bytes from {stored}, expected {wanted} from {data.size}"
        )


def _check_stated_size(data: NDArray[np.uint8], compressor: str, wanted: int) -> None:
    """Refuse a chunk that states another size: it would leave a part of the buffer as it was."""
    header = data[:18].tobytes()
    stated = int.from_bytes(header[:4], "little") if compressor == "lz4" else _zstd_size(header)
    if stated is not None and stated != wanted:
        raise ValueError(f"its header states {stated} bytes, expected {wanted}")


def _zstd_size(header: bytes) -> int | None:
    """Return the content size that a Zstandard frame states (RFC 8878, 3.1.1.1), if it does."""
    if len(header) < 6 or header[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("it is no Zstandard frame")
    descriptor = header[4]
    single_segment = descriptor >> 5 & 1
    length = (single_segment, 2, 4, 8)[descriptor >> 6]
    start = 6 - single_segment + (0, 1, 2, 4)[descriptor & 3]
    size = int.from_bytes(header[start : start + length], "little")
    return None if length == 0 else size + 256 if length == 2 else size


def _inflate(data: NDArray[np.uint8], wanted: int) -> NDArray[np.uint8]:
    """Decompress gzip or zlib data, one byte more than wanted at most."""
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
    decoded = np.frombuffer(inflate.decompress(data.data, wanted + 1), np.uint8)
    if not inflate.eof:
        raise ValueError("it does not end where it should")
    return decoded
