"""The mark of our own stores in their root attributes, there from the first write: such a store has a manifest when it is whole."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from roitrace.bounded_json import parse_json
from roitrace.errors import StoreError
from roitrace.store.files import read_file
from roitrace.store.layout import FLUORESCENCE
from roitrace.store.manifest import MANIFEST, MEND, Manifest, read_manifest

if TYPE_CHECKING:
    from roitrace.store.places import Location

__all__ = ["MARK", "check_mark", "manifest_of", "manifest_path", "mark_of", "marked"]

MARK = "roitrace"
"""Name of the root attribute."""


def marked(kind: str, array: str, **more: Any) -> dict[str, Any]:
    """Return the mark of a store.

    Parameters
    ----------
    kind : str
        What it holds.
    array : str
        The array in whose folder the manifest will be.
    **more
        What else the mark says.
    """
    return {"kind": kind, "manifest": f"{array}/{MANIFEST}", **more}


def mark_of(store: Location) -> dict[str, Any] | None:
    """Return the mark of a store that has, or will have, a manifest; None for those that others made, or that cannot be understood.

    Raises
    ------
    StoreError
        If it names a manifest outside of the store.
    """
    metadata = store / "zarr.json"
    data = _content(metadata)
    if data is None:
        return None
    try:
        mark = parse_json(data, str(metadata))["attributes"][MARK]
    except (KeyError, TypeError, ValueError):
        return None
    if not isinstance(mark, dict) or not isinstance(mark.get("manifest"), str):
        return None
    place = PurePosixPath(mark["manifest"])
    if place.is_absolute() or ".." in place.parts:
        raise StoreError(
            f"{metadata} names a manifest outside of the store: {place}", "do not trust this store"
        )
    return mark


def _content(metadata: Location) -> bytes | None:
    """Return the content of a file, None if there is none of that name."""
    if isinstance(metadata, Path) and not metadata.is_file():
        return None
    return read_file(metadata)


def check_mark(store: Location) -> None:
    """Refuse a store that has a recording's manifest, and no mark that says so: its root metadata were damaged.

    Raises
    ------
    StoreError
        If that is so.
    """
    mark = mark_of(store)
    if (mark is None or mark.get("kind") != "recording") and (store / FLUORESCENCE / MANIFEST).exists():
        raise StoreError(
            f"{store / 'zarr.json'} is damaged: it does not name the manifest that is there",
            MEND,
        )


def manifest_path(store: Location) -> Location | None:
    """Return where the manifest of a store is, or will be; None for those that others made."""
    mark = mark_of(store)
    return None if mark is None else store / mark["manifest"]


def manifest_of(store: Location, *, thorough: bool = True) -> Manifest | None:
    """Return the manifest of a store, None if it has none: it is not finished, or others made it.

    Raises
    ------
    StoreError
        If it is damaged.
    """
    path = manifest_path(store)
    try:
        return None if path is None else read_manifest(path, thorough=thorough)
    except FileNotFoundError:
        return None
