"""What the files of a zarr group on disk hold: for stores whose files were written by zarr."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from roitrace.file_errors import explained
from roitrace.store.checksum import CRC_BYTES, crc32c
from roitrace.store.chunks import read_layout
from roitrace.store.files import list_folder, sync_file, sync_folder
from roitrace.store.manifest import MANIFEST, FileFacts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

    from roitrace.store.chunks import ChunkLayout
    from roitrace.store.places import Location

__all__ = ["INDEX_ENTRY", "MISSING", "facts_of_file", "files_of", "stored_checksums", "survey", "sync_tree"]

BLOCK_BYTES = 4 * 2**20
"""How much of a file is in memory at once."""
INDEX_ENTRY = np.dtype([("offset", "<u8"), ("length", "<u8")])
MISSING = 2**64 - 1
_METADATA = "zarr.json"
_NO_CHUNKS = np.zeros(0, np.uint32)


def survey(store: Location) -> list[FileFacts]:
    """Read every file of a zarr group once; return what a manifest says of them."""
    return [facts_of_file(store, key, layout) for key, layout in files_of(store)]


def sync_tree(folder: Location) -> None:
    """Make all files in a folder, and their names, durable."""
    for name in list_folder(folder):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            sync_tree(path)
        else:
            sync_file(path)
    sync_folder(folder)


def files_of(store: Location) -> Iterator[tuple[str, ChunkLayout | None]]:
    """Yield the key of every file of a zarr group but its manifest, and the layout of the array whose chunk it may be."""
    yield from _files_in(store, "", None)


def _files_in(
    store: Location, inside: str, layout: ChunkLayout | None
) -> Iterator[tuple[str, ChunkLayout | None]]:
    folder = store / inside
    names = list_folder(folder)
    if _METADATA in names:
        layout = read_layout(folder)
    for name in names:
        key = f"{inside}/{name}" if inside else name
        if (folder / name).is_dir():
            yield from _files_in(store, key, layout)
        elif name != MANIFEST:
            yield key, None if name == _METADATA else layout


def facts_of_file(store: Location, key: str, layout: ChunkLayout | None) -> FileFacts:
    """Read a file; return what a manifest says of it."""
    path = store / key
    checksum, length = 0, 0
    with explained(path), path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            checksum, length = crc32c(block, checksum), length + len(block)
        chunks = stored_checksums(file, length, layout) if layout is not None else _last(path, file, length)
    return FileFacts(key, length, checksum, chunks)


def stored_checksums(file: BinaryIO, length: int, layout: ChunkLayout) -> NDArray[np.uint32]:
    """Return the checksum that stands behind each chunk of an open file: 0 for one that is missing; none where chunks carry none."""
    if not layout.checksum:
        return _NO_CHUNKS
    if layout.shard is None:
        return np.asarray([_number_at(file, length - CRC_BYTES)], np.uint32)
    size = layout.chunks_per_shard * INDEX_ENTRY.itemsize
    file.seek(max(0, length - size - CRC_BYTES))
    index = np.frombuffer(file.read(size).ljust(size, b"\xff"), INDEX_ENTRY)
    return np.asarray(
        [
            0
            if entry["offset"] == MISSING
            else _number_at(file, int(entry["offset"] + entry["length"]) - CRC_BYTES)
            for entry in index
        ],
        np.uint32,
    )


def _last(path: Location, file: BinaryIO, length: int) -> NDArray[np.uint32]:
    """Return the checksum at the end of a chunk of texts, which are not decoded here."""
    if path.name == _METADATA or not _ends_in_checksum(path):
        return _NO_CHUNKS
    return np.asarray([_number_at(file, length - CRC_BYTES)], np.uint32)


def _ends_in_checksum(path: Location) -> bool:
    """Whether the chunks of the array that a file lies in end with a checksum."""
    for folder in path.parents:
        if (folder / _METADATA).exists():
            codecs = json.loads((folder / _METADATA).read_bytes()).get("codecs") or [{}]
            return bool(codecs[-1].get("name") == "crc32c")
    return False


def _number_at(file: BinaryIO, place: int) -> int:
    if not 0 <= place < 2**63:
        return 0
    file.seek(place)
    return int.from_bytes(file.read(CRC_BYTES), "little")
