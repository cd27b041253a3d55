"""The manifest of a store: every file with its length and checksum, and the checksum of every chunk. Written last.

It is one file, memory-mapped and searched where it lies, so that a store of a million chunks opens at once: a header, a table of
files sorted by key, the CRC-32C of each chunk, and facts as JSON (the fingerprint among them). It lies in the folder of an array,
which neither zarr nor xarray lists.
"""

from __future__ import annotations

import json
import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import StoreError
from roitrace.file_errors import explain
from roitrace.store.checksum import CRC_BYTES, crc32c
from roitrace.store.files import write_file
from roitrace.store.places import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from roitrace.store.places import Location

__all__ = [
    "MANIFEST",
    "MEND",
    "FileFacts",
    "Manifest",
    "encode_manifest",
    "groups_of",
    "read_manifest",
    "write_manifest",
]

MANIFEST = "manifest"
"""Name of the file."""
MEND = "mend it with roitrace verify --repair, or restore it from a copy"
"""What helps where a file is not what was written."""
_MAGIC = b"roitrace.manif.1"
_HEADER = struct.Struct("<16sQQQQI")
"""Magic, number of files, of chunks, width of a key, length of the facts, checksum of all that follows the header."""
_START = _HEADER.size + CRC_BYTES


@dataclass(frozen=True, eq=False)
class FileFacts:
    """What is known of a file that was written.

    Attributes
    ----------
    key : str
        Its place below the store, with ``/``.
    length : int
        Bytes.
    checksum : int
        CRC-32C of all of it: tells what is damaged. It does not tell whole chunks from others, since that of any bytes with their own
        CRC-32C behind them is the same.
    chunks : numpy.ndarray
        uint32 ``(chunk,)``: the CRC-32C of each chunk inside, in the order of the shard's index; empty where chunks carry none.
    """

    key: str
    length: int
    checksum: int
    chunks: NDArray[np.uint32]

    def same_as(self, other: FileFacts) -> bool:
        """Whether two files of a key hold the same."""
        one, two = (self.length, self.checksum), (other.length, other.checksum)
        return one == two and np.array_equal(self.chunks, other.chunks)

    def to_record(self) -> dict[str, Any]:
        """Return it as plain JSON values, for a journal."""
        chunks = self.chunks.astype("<u4").tobytes().hex()
        return {"key": self.key, "length": self.length, "checksum": self.checksum, "chunks": chunks}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> FileFacts:
        """Return what `to_record` gave."""
        chunks = np.frombuffer(bytes.fromhex(record["chunks"]), "<u4")
        return cls(record["key"], record["length"], record["checksum"], chunks)


class Manifest:
    """A manifest as it lies on disk; `read_manifest` opens one.

    Attributes
    ----------
    n_files, n_chunks : int
        How many there are.
    """

    def __init__(self, data: NDArray[np.uint8], n_files: int, n_chunks: int, key_width: int) -> None:
        self.n_files, self.n_chunks = n_files, n_chunks
        files = _file_dtype(key_width)
        split = _START + n_files * files.itemsize
        end = split + 4 * n_chunks
        self._files = data[_START:split].view(files)
        self._chunks = data[split:end].view("<u4")
        self._text = data[end:]

    @property
    def facts(self) -> dict[str, Any]:
        """What its writer said besides, the ``fingerprint`` among it."""
        facts: dict[str, Any] = json.loads(self._text.tobytes())
        return facts

    def find(self, key: str) -> FileFacts | None:
        """Return what is known of a file, None if it is not one of the store's."""
        name = key.encode()
        keys = self._files["key"]
        place = int(np.searchsorted(keys, np.bytes_(name)))
        return self._facts_of(place) if place < self.n_files and bytes(keys[place]) == name else None

    def __iter__(self) -> Iterator[FileFacts]:
        return (self._facts_of(place) for place in range(self.n_files))

    def outside(self, prefix: str) -> Iterator[FileFacts]:
        """Yield the files whose keys do not begin so, without looking at the others."""
        start = prefix.encode()
        first, last = np.searchsorted(self._files["key"], [np.bytes_(start), np.bytes_(start + b"\xff")])
        return (self._facts_of(place) for part in (range(first), range(last, self.n_files)) for place in part)

    def _facts_of(self, place: int) -> FileFacts:
        row = self._files[place]
        first, count = int(row["first"]), int(row["count"])
        return FileFacts(
            key=bytes(row["key"]).decode(),
            length=int(row["length"]),
            checksum=int(row["checksum"]),
            chunks=self._chunks[first : first + count],
        )


def encode_manifest(files: Iterable[FileFacts], facts: Mapping[str, Any]) -> bytes:
    """Return the bytes of a manifest: the same ones in whatever order the files come."""
    known = sorted(files, key=lambda one: one.key.encode())
    width = max((len(one.key.encode()) for one in known), default=1)
    counts = np.asarray([len(one.chunks) for one in known], np.uint64)
    table = np.zeros(len(known), _file_dtype(width))
    table["key"] = [one.key.encode() for one in known]
    table["length"] = [one.length for one in known]
    table["checksum"] = [one.checksum for one in known]
    table["count"] = counts
    table["first"] = np.cumsum(counts) - counts
    chunks = np.concatenate([np.zeros(0, "<u4"), *(one.chunks for one in known)]).astype("<u4")
    text = json.dumps(facts, sort_keys=True).encode()
    body = table.tobytes() + chunks.tobytes() + text
    header = _HEADER.pack(_MAGIC, len(known), len(chunks), width, len(text), crc32c(body))
    return header + crc32c(header).to_bytes(CRC_BYTES, "little") + body


def write_manifest(path: Location, files: Iterable[FileFacts], facts: Mapping[str, Any]) -> None:
    """Write a manifest durably; a whole one takes the place of one that is there."""
    write_file(path, encode_manifest(files, facts))


def read_manifest(path: Location, *, thorough: bool = True) -> Manifest:
    """Open a manifest.

    Parameters
    ----------
    path : Path or ObjectPath
        Where it is.
    thorough : bool
        Check all of its bytes; otherwise the header only, for tasks that open what was checked before. Damage elsewhere then
        makes chunks differ from it, never agree.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    StoreError
        If it is damaged.
    """
    data = _mapped(path)
    header = data[:_START].tobytes()
    if len(header) < _START or crc32c(header[:-CRC_BYTES]) != int.from_bytes(header[-CRC_BYTES:], "little"):
        raise _damaged(path)
    magic, n_files, n_chunks, width, text, checksum = _HEADER.unpack(header[:-CRC_BYTES])
    length = _START + n_files * _file_dtype(width).itemsize + 4 * n_chunks + text
    if magic != _MAGIC or len(data) != length or (thorough and not _body_is_whole(data, checksum)):
        raise _damaged(path)
    return Manifest(data, n_files, n_chunks, width)


def groups_of(files: Iterable[FileFacts]) -> set[str]:
    """Return the names of the groups whose arrays some files belong to."""
    return {one.key.rpartition("/c/")[0].rpartition("/")[0] for one in files if "/c/" in one.key}


def _mapped(path: Location) -> NDArray[np.uint8]:
    """Return the bytes of a manifest: mapped, so that only what is looked at is read; of an object, all of them."""
    if isinstance(path, ObjectPath):
        return np.frombuffer(path.read_bytes(), np.uint8)
    try:
        with path.open("rb") as file:
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise explain(error, path) from error
    except ValueError as error:  # it is empty
        raise _damaged(path) from error


def _body_is_whole(data: NDArray[np.uint8], checksum: int) -> bool:
    return crc32c(data[_START:]) == checksum


def _damaged(path: Location) -> StoreError:
    return StoreError(f"the manifest {path} is damaged", MEND)


def _file_dtype(key_width: int) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("key", f"S{key_width}"),
            ("length", "<u8"),
            ("first", "<u8"),
            ("checksum", "<u4"),
            ("count", "<u4"),
        ]
    )
