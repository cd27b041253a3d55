"""How appended files take effect: they are staged beside the store, then a manifest is written that allows them, then they are moved in.

From that manifest on, each file may be the old one or the new one: both hold all frames that were there before, and the root metadata,
moved last, say how many frames there are. So the store is whole at every instant, and whatever is left to do can be done later.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from roitrace.store.files import (
    lengths_below,
    make_folder,
    move,
    remove_tree,
    run_folder,
    write_file,
)
from roitrace.store.known import next_manifest
from roitrace.store.manifest import encode_manifest, read_manifest
from roitrace.store.mark import manifest_path
from roitrace.store.object_files import move_each
from roitrace.store.places import ObjectPath
from roitrace.store.writer import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from roitrace.store.manifest import FileFacts
    from roitrace.store.places import Location

__all__ = ["give_up", "put_into_effect", "staging_folder", "take_effect"]


def staging_folder(store: Location) -> Location:
    """Return where appended files are until they take effect."""
    return run_folder(store) / "append"


def put_into_effect(
    store: Location, place: Location, files: Iterable[FileFacts], facts: Mapping[str, Any]
) -> None:
    """Let staged files take effect, all at once: the manifest at `place` gets a next one, with what all files hold then."""
    write_file(next_manifest(place), encode_manifest(files, facts))
    take_effect(store, place)


def take_effect(store: Location, place: Location) -> bool:
    """Move staged files in, if they have been put into effect; return whether they had."""
    coming = next_manifest(place)
    if not coming.exists():
        return False
    staging = staging_folder(store)
    keys = lengths_below(staging, [one.key for one in read_manifest(coming)])
    for _, some in groupby(sorted(keys, key=_turn), key=lambda key: _turn(key)[0]):
        _move_each(staging, store, list(some))
    move(coming, place)
    remove_tree(staging)
    return True


def give_up(store: Location) -> None:
    """Remove files that were staged; those that had been put into effect are moved in, since the store may need them."""
    place = manifest_path(store)
    if place is not None:
        take_effect(store, place)
    remove_tree(staging_folder(store))


def _move_each(staging: Location, store: Location, keys: list[str]) -> None:
    if isinstance(staging, ObjectPath) and isinstance(store, ObjectPath):
        move_each(staging, store, keys)
        return
    for key in keys:
        make_folder((store / key).parent)
        move(staging / key, store / key)


def _turn(key: str) -> tuple[int, str]:
    """Sort chunks before the metadata of their arrays, and the root's metadata last."""
    return (2 if key == ROOT else 1 if key.endswith(ROOT) else 0), key
