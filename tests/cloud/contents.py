"""What a store holds, on disk or in a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roitrace.store.places import ObjectPath

if TYPE_CHECKING:
    from roitrace.store.places import Location


def contents(place: Location) -> dict[str, bytes]:
    """Return all files below a place, by key."""
    if isinstance(place, ObjectPath):
        keys = list(place.lengths())
        return {key: data or b"" for key, data in zip(keys, place.read_each(keys), strict=True)}
    files = [one for one in sorted(place.rglob("*")) if one.is_file()]
    return {one.relative_to(place).as_posix(): one.read_bytes() for one in files}
