"""How a finished output takes the place of another one.

On disk two renames do it. A bucket has no renames: the new output, whole already, is copied over the old one. Meanwhile the store says
that it is unfinished, and the same call goes on; nothing that is needed for that is removed before the copy is whole.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from roitrace.errors import StoreError
from roitrace.store.files import move, remove, remove_tree, write_file
from roitrace.store.mark import MARK, manifest_path, mark_of
from roitrace.store.object_files import copy_objects
from roitrace.store.places import ObjectPath

if TYPE_CHECKING:
    from roitrace.store.journal import Journal
    from roitrace.store.places import Location

__all__ = ["beside", "end_swap", "is_beside", "put_in_place", "take_place", "unfinished_root"]

_ROOT = "zarr.json"
_LANE = "place"
_DONE = "in place"


def beside(store: Location) -> Location:
    """Return where an output is written that will replace another one."""
    return store.with_name(f".{store.name}.new")


def _aside(store: Location) -> Location:
    """Return where the old output is until the new one has its name."""
    return store.with_name(f".{store.name}.old")


def take_place(new: Location, store: Location, journal: Journal) -> None:
    """Give a whole output its name, durably, and remove the one that had it; one that is written in place has it already."""
    if isinstance(new, ObjectPath) and isinstance(store, ObjectPath):
        if new != store:
            copy_over(new, store, journal)
        remove_tree(beside(store))
    elif isinstance(new, Path) and isinstance(store, Path):
        put_in_place(new, store, _aside(store))


def put_in_place(new: Path, target: Path, aside: Location) -> None:
    """Give a complete folder its name, durably; what had it stays until then."""
    if new != target:
        if target.exists():
            remove_tree(aside)
        try:
            if target.exists():
                move(target, aside)
            move(new, target)
        except OSError:
            if aside.exists() and not target.exists():
                with suppress(OSError):  # what went wrong first is told
                    move(aside, target)
            raise
    remove_tree(aside)


def end_swap(store: Location) -> None:
    """Give a new output its name, if a job was stopped after it had taken the name from the old one.

    Until then there is nothing under that name, and another call would take it for free. Objects have no names to be exchanged.
    """
    new = beside(store)
    if isinstance(store, Path) and not store.exists() and _aside(store).exists() and new.exists():
        move(new, store)


def is_beside(store: Location, journal: Journal) -> bool:
    """Whether an output that replaces another one has not taken its place yet: it is still written beside."""
    if isinstance(store, ObjectPath):
        return not any(_DONE in record for record in journal.records())
    return beside(store).exists()


def copy_over(new: ObjectPath, target: ObjectPath, journal: Journal) -> None:
    """Put a whole store in the place of another one in the same bucket; stopped, it is begun again. The new one is still to be removed.

    From the first change on the target has no manifest, so that it is refused as unfinished; the new manifest comes last.

    Raises
    ------
    StoreError
        If the new store is not whole.
    """
    manifest = (mark_of(new) or {}).get("manifest", "")
    names = new.lengths()
    if manifest not in names:
        raise StoreError(f"{new} is not whole", "give the same call again to go on")
    old = manifest_path(target)
    remove(target / manifest if old is None else old)
    write_file(target / _ROOT, unfinished_root((new / _ROOT).read_bytes()))
    copy_objects(new, target, (name for name in names if name not in {_ROOT, manifest}))
    target.remove(*(name for name in target.lengths() if name not in names))
    for last in (_ROOT, manifest):
        copy_objects(new, target, [last])
    journal.append(_LANE, {_DONE: True})


def unfinished_root(root: bytes) -> bytes:
    """Return the root metadata of a store so that they say, to everyone who looks into them, that it is unfinished."""
    metadata = json.loads(root)
    attributes = metadata["attributes"]
    if "finished" in attributes[MARK]:
        attributes[MARK]["finished"] = False
    if "status" in attributes:
        attributes["status"] = "unfinished"
    metadata.pop("consolidated_metadata", None)
    return json.dumps(metadata, indent=2).encode()
