"""A zarr store on disk that is read, and never anything outside of its folder; nothing in it is run."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any, Literal

import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore

from roitrace.bounded_json import check_json
from roitrace.errors import StoreError
from roitrace.file_errors import explained
from roitrace.store.places import ObjectPath, place_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from zarr.abc.store import ByteRequest, Store
    from zarr.core.buffer import Buffer, BufferPrototype

    from roitrace.store.places import Location

__all__ = [
    "RootedStore",
    "check_inside",
    "check_metadata",
    "open_array",
    "open_group",
    "open_node",
    "zarr_store",
]

METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
RUNS_CODE = "pickle"


class RootedStore(LocalStore):
    """Read-only; refuses files that links or keys lead to elsewhere, oversized metadata, and codecs that run code.

    Parameters
    ----------
    root : path
        Folder of the store; it may be a link itself.
    """

    def __init__(self, root: str | Path, *, read_only: bool = True) -> None:  # noqa: ARG002 - as zarr calls it
        super().__init__(os.fspath(root), read_only=True)

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the content of a file, None if it is not there."""
        file = self.root / key
        check_inside(self.root, file)
        with explained(file):
            if byte_range is not None or key.rpartition("/")[2] not in METADATA:
                return await super().get(key, prototype, byte_range)
            # at once: handing so little to another thread takes longer than reading it
            try:
                content = file.read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None
        check_metadata(content, str(file))
        return (prototype or default_buffer_prototype()).buffer.from_bytes(content)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of files."""
        asked = list(key_ranges)
        for key, _ in asked:
            check_inside(self.root, self.root / key)
        with explained(self.root):
            return await super().get_partial_values(prototype, asked)


def check_inside(root: str | os.PathLike[str], file: str | os.PathLike[str]) -> None:
    """Refuse a file that is not in a folder, once links are followed.

    Raises
    ------
    StoreError
        If it lies elsewhere.
    """
    top, place = os.path.realpath(root), os.path.realpath(file)
    _check_kind(place)
    if place != top and not place.startswith(top + os.sep):
        raise StoreError(
            f"{os.fspath(file)} leads out of the store, to {place}",
            "copy the store with what its links point to (cp -rL), if you trust it",
        )


def zarr_store(place: str | Location) -> Store:
    """Return the zarr store of a folder or of a place in an object store: read-only, and checked as `RootedStore` says."""
    place = place_of(place)
    if isinstance(place, ObjectPath):
        from roitrace.store.object_store import ObjectStore  # noqa: PLC0415 - most stores are folders

        return ObjectStore(place)
    return RootedStore(place)


def open_node(path: str | Location) -> zarr.Array[Any] | zarr.Group:
    """Open the array or group that a folder is."""
    return zarr.open(zarr_store(path), mode="r")


def open_group(path: str | Location, *, version: Literal[3] | None = None) -> zarr.Group:
    """Open the group that a folder is; files of other versions of zarr than one that is known are not looked for."""
    return zarr.open_group(zarr_store(path), mode="r", zarr_format=version)


def open_array(path: str | Location, name: str) -> zarr.Array[Any]:
    """Open an array in a folder."""
    return zarr.open_array(zarr_store(path), path=name, mode="r")


def _check_kind(place: str) -> None:
    """Refuse pipes and devices, which may never end."""
    try:
        mode = os.stat(place).st_mode  # noqa: PTH116 - called once per file that is read
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise StoreError(f"{place} is no file", "restore the store from a copy")


def check_metadata(content: bytes, what: str) -> None:
    """Refuse metadata that would fill the memory, or name a codec that runs what it reads."""
    check_json(content, what)
    try:
        codecs = _codecs(json.loads(content))
    except (ValueError, RecursionError):  # zarr says what is wrong with it
        return
    if RUNS_CODE in codecs:
        raise StoreError(
            f"{what} stores its values as pickles, which run code", "write the store again with another codec"
        )


def _codecs(described: Any) -> set[str]:
    """Names of all codecs, in consolidated metadata too."""
    names: set[str] = set()
    left = [described]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            names |= {
                str(one[key]).rpartition(".")[2] for key in ("id", "name") if isinstance(one.get(key), str)
            }
            left += [
                inner for key, inner in one.items() if key != "attributes" and not key.endswith(".zattrs")
            ]
        elif isinstance(one, list):
            left += one
    return names
