"""Recordings at a URL: zarr, whose chunks are fetched one by one; what is one file has to be copied first."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from roitrace.errors import ArgumentError, FormatError
from roitrace.store.objects import objects_at

if TYPE_CHECKING:
    from roitrace.store.places import ObjectPath

__all__ = ["check_zarr_at_url", "state_of_url"]

METADATA = ("zarr.json", ".zgroup", ".zarray")
_MOST_NAMES = 5


def check_zarr_at_url(place: ObjectPath) -> None:
    """Refuse what is no zarr group or array, v2 or v3.

    Raises
    ------
    ArgumentError
        If nothing is there.
    FormatError
        If it is a file, or a folder of other things.
    """
    if any(one is not None for one in place.read_each(list(METADATA))):
        return
    objects, key = objects_at(str(place))
    if key and objects.facts(key) is not None:
        raise FormatError(
            f"{place} is a file; at a URL only zarr is read, which comes in pieces",
            f"copy it here, then write it there as zarr: roitrace convert {place.name} {place.with_suffix('.zarr')}",
        )
    inside = objects.names(key)
    if inside:
        stores = [name for name in inside if name.endswith(".zarr")] or inside
        listed = ", ".join(stores[:_MOST_NAMES]) + (", ..." if len(stores) > _MOST_NAMES else "")
        raise FormatError(
            f"{place} is no zarr store: it has none of {', '.join(METADATA)}", f"below it are: {listed}"
        )
    close = get_close_matches(place.name, objects.names(place.parent.key), n=1, cutoff=0.75)
    raise ArgumentError(
        f"there is no {place}", f"did you mean {place.parent / close[0]}?" if close else "check the address"
    )


def state_of_url(url: str) -> tuple[int, str]:
    """Return length and tag of the first metadata of a store, which tell apart two states of it."""
    objects, key = objects_at(url)
    facts = (objects.facts(f"{key}/{name}" if key else name) for name in METADATA)
    known = next((one for one in facts if one is not None), None)
    return (0, "") if known is None else (known.size, known.tag)
