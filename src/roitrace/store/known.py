"""What the files of a finished store must hold: as its manifest says, or, while an append takes effect, as the next one does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from roitrace.errors import StoreError
from roitrace.file_errors import explain
from roitrace.store.checksum import CRC_BYTES, crc32c
from roitrace.store.manifest import MANIFEST, FileFacts, Manifest, read_manifest
from roitrace.store.mark import manifest_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["KnownFiles", "agrees", "check_small_files", "next_manifest"]

_MEND = "mend it with roitrace verify --repair, or restore it from a copy"


@dataclass(frozen=True, eq=False)
class KnownFiles:
    """The manifests of a store that hold now: one, or two while an append takes effect.

    Attributes
    ----------
    place : Path
        Where the manifest is.
    manifests : tuple of Manifest
        What holds.
    """

    place: Path
    manifests: tuple[Manifest, ...]

    @classmethod
    def open(cls, place: Path, *, thorough: bool = True) -> KnownFiles:
        """Open the manifests of a store, as `read_manifest`."""
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
            raise StoreError(f"the manifest {self.place} does not know {key}", _MEND)
        return tuple(one.chunks for one in known)


def next_manifest(place: Path) -> Path:
    """Return where the manifest is that an append is about to put into effect."""
    return place.with_name(f"{MANIFEST}.next")


def check_small_files(store: Path, known: KnownFiles, array: str) -> None:
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


def check_metadata(store: Path) -> None:
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


def _check_files(store: Path, known: KnownFiles, keys: Iterable[str]) -> None:
    for key in dict.fromkeys(keys):
        try:
            data = (store / key).read_bytes()
        except FileNotFoundError:
            raise StoreError(f"{store / key} is missing", _MEND) from None
        except OSError as error:
            raise explain(error, store / key) from error
        if not agrees(known.of(key), data):
            raise StoreError(f"{store / key} is damaged: it is not what was written", _MEND)


def agrees(known: Iterable[FileFacts], data: bytes) -> bool:
    """Whether a small file, of one chunk at most, holds what it may."""
    checksum, stated = crc32c(data), int.from_bytes(data[-CRC_BYTES:], "little")
    return any(
        (one.length, one.checksum) == (len(data), checksum) and set(one.chunks.tolist()) <= {stated}
        for one in known
    )
