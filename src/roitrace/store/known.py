"""What the files of a finished store must hold: as its manifest says, or, while an append takes effect, as the next one does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from roitrace.errors import StoreError
from roitrace.store.checksum import CRC_BYTES, crc32c
from roitrace.store.files import read_file
from roitrace.store.manifest import MANIFEST, MEND, FileFacts, Manifest, read_manifest
from roitrace.store.mark import manifest_path
from roitrace.store.places import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from roitrace.store.places import Location

__all__ = ["KnownFiles", "agrees", "check_small_files", "keys_of", "next_manifest"]

_READ_AT_ONCE = 256
_MOST_KEPT = 4


@dataclass(frozen=True, eq=False)
class KnownFiles:
    """The manifests of a store that hold now: one, or two while an append takes effect.

    Attributes
    ----------
    place : Path or ObjectPath
        Where the manifest is.
    manifests : tuple of Manifest
        What holds.
    """

    place: Location
    manifests: tuple[Manifest, ...]

    @classmethod
    def open(cls, place: Location, *, thorough: bool = True, anew: bool = False) -> KnownFiles:
        """Open the manifests of a store, as `read_manifest`.

        Those of an object store are kept for the tasks of this process that open them after somebody did so thoroughly; `anew` fetches
        them again.
        """
        if isinstance(place, ObjectPath):
            return _of_objects(place, thorough=thorough, anew=anew or thorough)
        return cls.read(place, thorough=thorough)

    @classmethod
    def read(cls, place: Location, *, thorough: bool = True) -> KnownFiles:
        """Read the manifests of a store as they are now."""
        manifests = []
        for path in (next_manifest(place), place):
            try:
                manifests.append(read_manifest(path, thorough=thorough))
            except FileNotFoundError:
                if path == place and not manifests:
                    raise
        return cls(place, tuple(reversed(manifests)))

    def of(self, key: str) -> list[FileFacts]:
        """Return what a file may hold; nothing if it is not one of the store's."""
        found = (manifest.find(key) for manifest in self.manifests)
        return [one for one in found if one is not None]

    def chunks_of(self, key: str) -> tuple[NDArray[np.uint32], ...]:
        """Return the checksums that the chunks of a file may have.

        Raises
        ------
        StoreError
            If the file is not one of the store's.
        """
        known = self.of(key)
        if not known:
            raise StoreError(f"the manifest {self.place} does not know {key}", MEND)
        return tuple(one.chunks for one in known)


_kept: dict[str, KnownFiles] = {}
"""Of object stores, by place; the last ones of this process."""


def _of_objects(place: ObjectPath, *, thorough: bool, anew: bool) -> KnownFiles:
    known = None if anew else _kept.get(str(place))
    if known is None:
        known = KnownFiles.read(place, thorough=thorough)
        while len(_kept) >= _MOST_KEPT:
            _kept.pop(next(iter(_kept)), None)
        _kept[str(place)] = known
    return known


def keys_of(store: ObjectPath) -> list[str] | None:
    """Return the keys of what a store at a web server holds, as its manifest says, since nothing can be listed there; None if it has none.

    In a bucket, those that are there.
    """
    if store.is_listed():
        return list(store.lengths())
    place = manifest_path(store)
    if place is None or not place.exists():
        return None
    return [one.key for one in KnownFiles.open(place, thorough=False).manifests[0]]


def next_manifest(place: Location) -> Location:
    """Return where the manifest is that an append is about to put into effect."""
    return place.with_name(f"{MANIFEST}.next")


def check_small_files(store: Location, known: KnownFiles, array: str) -> None:
    """Compare all files but the chunks of an array with what they must hold: metadata and coordinates.

    Raises
    ------
    StoreError
        If one is missing or differs.
    """
    _check_files(
        store,
        known,
        (one.key for manifest in known.manifests[:1] for one in manifest.outside(f"{array}/c/")),
    )


def check_metadata(store: Location) -> None:
    """Compare all metadata of a whole store with its manifest.

    Raises
    ------
    StoreError
        If one is missing or differs.
    """
    place = manifest_path(store)
    if place is not None and place.exists():
        known = KnownFiles.open(place)
        keys = (one.key for manifest in known.manifests[:1] for one in manifest)
        _check_files(store, known, (key for key in keys if key.rpartition("/")[2] == "zarr.json"))


def _check_files(store: Location, known: KnownFiles, keys: Iterable[str]) -> None:
    for key, data in _contents(store, list(dict.fromkeys(keys))):
        if data is None:
            raise StoreError(f"{store / key} is missing", MEND)
        if not agrees(known.of(key), data):
            raise StoreError(f"{store / key} is damaged: it is not what was written", MEND)


def _contents(store: Location, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
    """Yield keys and the contents of their files, None for those that are not there; of objects some at a time."""
    if isinstance(store, ObjectPath):
        for first in range(0, len(keys), _READ_AT_ONCE):
            some = keys[first : first + _READ_AT_ONCE]
            yield from zip(some, store.read_each(list(some)), strict=True)
        return
    for key in keys:
        yield key, read_file(store / key)


def agrees(known: Iterable[FileFacts], data: bytes) -> bool:
    """Whether a small file, of one chunk at most, holds what it may."""
    checksum, stated = crc32c(data), int.from_bytes(data[-CRC_BYTES:], "little")
    return any(
        (one.length, one.checksum) == (len(data), checksum) and set(one.chunks.tolist()) <= {stated}
        for one in known
    )
