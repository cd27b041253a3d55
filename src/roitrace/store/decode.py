"""Read and decode single chunks into buffers that are used again and again."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numcodecs import blosc, lz4, zstd

from roitrace.errors import StoreError
from roitrace.store.blosc_pieces import HEAD_BYTES, cut_chunk
from roitrace.store.checksum import CRC_BYTES, crc32c
from roitrace.store.chunk_files import LocalChunks, name_of_chunk
from roitrace.store.known import KnownFiles
from roitrace.store.manifest import MEND
from roitrace.store.places import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from roitrace.store.chunk_files import ChunkFiles
    from roitrace.store.chunks import ChunkLayout
    from roitrace.store.places import Location

__all__ = ["ChunkDecoder"]

_CUT_BYTES = 2**22
"""Samples of a chunk that is worth being read and decoded in pieces."""


class ChunkDecoder:
    """Decodes the chunks of one array, on this computer or in an object store. Lives inside one task; close it.

    Parameters
    ----------
    array : Path or ObjectPath
        Folder of the array.
    layout : ChunkLayout
        What its metadata says.
    root : Path or ObjectPath, optional
        Folder that no file may lie outside of; the array's if not given.
    complete : bool
        Whether a chunk that is not there is damage (our own finished stores) or stands for the fill value.
    manifest : Path or ObjectPath, optional
        What the chunks are compared with.
    """

    def __init__(
        self,
        array: Location,
        layout: ChunkLayout,
        *,
        complete: bool,
        root: Location | None = None,
        manifest: Location | None = None,
    ) -> None:
        root = array if root is None else root
        self._array = array
        self._prefix = "" if root == array else f"{array.relative_to(root).as_posix()}/"  # type: ignore[arg-type]
        self._known = None if manifest is None else KnownFiles.open(manifest, thorough=False)
        self._expected: tuple[str, tuple[NDArray[np.uint32], ...]] = ("", ())
        self._layout = layout
        self._complete = complete
        self._decoded = np.empty(layout.chunk_bytes, np.uint8)
        self._files: ChunkFiles = _chunk_files(array, layout, root)
        self._piece = np.empty(0, np.uint8)
        is_large = layout.compressor == "blosc" and layout.chunk_bytes >= _CUT_BYTES
        self._cut_from = self._files if is_large and isinstance(self._files, LocalChunks) else None

    def decode(self, index: tuple[int, ...]) -> NDArray[Any]:
        """Return a chunk in the array's axis order and native byte order; the next call overwrites it."""
        layout = self._layout
        flat = None if self._cut_from is None else self._in_pieces(self._cut_from, index)
        flat = self._whole(index) if flat is None else flat
        if flat is None:
            return np.full(layout.chunk, layout.fill, layout.stored.newbyteorder("="))
        flat = flat.view(layout.stored)
        order = layout.order
        if order is None:
            chunk = flat.reshape(layout.chunk)
        else:
            stored_shape = tuple(layout.chunk[axis] for axis in order)
            chunk = flat.reshape(stored_shape).transpose(np.argsort(order))
        return chunk if layout.stored.isnative else chunk.astype(layout.stored.newbyteorder("="))

    def expect(self, indices: Iterable[tuple[int, ...]]) -> None:
        """Take note of the chunks that will be decoded next, in this order, so that those of an object store are fetched together."""
        self._files.expect(indices)

    def close(self) -> None:
        """Let go of what is open."""
        self._files.close()

    def _whole(self, index: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """Return the samples of a chunk as bytes, None where it stands for the fill value."""
        data = self._files.read(index)
        if data is None:
            if self._complete:
                raise StoreError(f"{self._where(index)} is missing", MEND)
            return None
        if self._layout.checksum:
            stated = int.from_bytes(data[-CRC_BYTES:].tobytes(), "little")
            data = data[:-CRC_BYTES]
            if crc32c(data) != stated:
                raise StoreError(
                    f"{self._where(index)} is damaged: its checksum does not match",
                    MEND if self._complete else "restore the file from a copy",
                )
            if self._known is not None:
                self._check_written(stated, index)
        return self._decompress(data, index)

    def _in_pieces(self, files: LocalChunks, index: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """Return the samples of a large chunk, read, checked and decoded in pieces; None where that is not possible or something is wrong with it."""
        extent = files.find(index)
        if extent is None:
            return None
        trailer = CRC_BYTES if self._layout.checksum else 0
        length = extent.length - trailer
        head = np.empty(max(0, min(length, HEAD_BYTES)), np.uint8)
        files.fill(head, extent, 0)
        pieces = cut_chunk(head.tobytes(), length, self._layout.chunk_bytes)
        if not pieces:
            return None
        checksum = crc32c(head[: pieces[0].stored[0]])
        for piece in pieces:
            begin, (first, last) = len(piece.header), piece.stored
            end = begin + last - first
            # what follows the chunk is read with its last piece
            size = end + (trailer if last == length else 0)
            if len(self._piece) < size:
                self._piece = np.empty(size + size // 4, np.uint8)
            room = self._piece[:size]
            room[:begin] = np.frombuffer(piece.header, np.uint8)
            files.fill(room[begin:], extent, first)
            if trailer:
                checksum = crc32c(room[begin:end], checksum)
            try:
                blosc.decompress(room[:end], self._decoded[slice(*piece.decoded)])
            except (RuntimeError, ValueError):
                return None
        if trailer:
            if int.from_bytes(room[end:].tobytes(), "little") != checksum:
                return None
            if self._known is not None:
                self._check_written(checksum, index)
        return self._decoded

    def _check_written(self, stated: int, index: tuple[int, ...]) -> None:
        """Refuse a chunk that is whole, but not the one that was written here."""
        if not self._is_expected(stated, index) and not self._is_expected(stated, index, again=True):
            raise StoreError(
                f"{self._where(index)} is not the one that was written: it was swapped, or is of an earlier time",
                MEND,
            )

    def _is_expected(self, stated: int, index: tuple[int, ...], *, again: bool = False) -> bool:
        """Whether a chunk may have a checksum; `again` looks into the manifest anew, since an append may have taken effect."""
        assert self._known is not None
        name = self._layout.file_of(index)
        if again:
            self._known = KnownFiles.open(self._known.place, thorough=False, anew=True)
        if again or self._expected[0] != name:
            self._expected = name, self._known.chunks_of(f"{self._prefix}{name}")
        number = self._layout.place_in_shard(index)
        return any(number < len(known) and known[number] == stated for known in self._expected[1])

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
        return name_of_chunk(self._array, self._layout, index)


def _chunk_files(array: Location, layout: ChunkLayout, root: Location) -> ChunkFiles:
    """Return what reads the encoded chunks of an array on this computer or in an object store."""
    if isinstance(array, ObjectPath):
        from roitrace.store.remote_chunks import RemoteChunks  # noqa: PLC0415 - most recordings are files

        return RemoteChunks(array, layout)
    assert isinstance(root, Path)
    return LocalChunks(array, layout, root)


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
