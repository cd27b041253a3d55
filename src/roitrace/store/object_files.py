"""How outputs are written to object stores: the same operations as on disk, with what a bucket gives.

An object appears whole and durable at once when it is put, so there are no drafts, nothing to sync and no folders. There is no rename
either: to move is to copy, then to remove. Nothing is changed any more once the lock of the output is lost.
"""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from roitrace.store.lease import check_held

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from roitrace.store.places import ObjectPath

    Data = bytes | bytearray | memoryview

__all__ = [
    "ObjectDraft",
    "append_object",
    "copy_objects",
    "drafting_object",
    "move_each",
    "move_objects",
    "put",
    "remove_object",
    "remove_objects",
]


_COPIED_AT_ONCE = 64
"""Objects that are copied before the lock is looked at again."""
_RECORD_BYTES = 2**20
"""An object of no more is put within the time that is left of a lock."""


class ObjectDraft:
    """An object in the making, in memory."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: Data) -> None:
        """Add some bytes at the end."""
        self.data += memoryview(data).cast("B")


@contextmanager
def drafting_object(path: ObjectPath) -> Iterator[ObjectDraft]:
    """Put an object when the `with` block has ended well."""
    draft = ObjectDraft()
    yield draft
    put(path, draft.data)


def put(path: ObjectPath, data: Data) -> None:
    """Put an object; one that is there is replaced."""
    check_held(path)
    # what tells other jobs and readers how far this one is, journal, metadata, manifest, ends before the lock may be another's
    small = memoryview(data).nbytes <= _RECORD_BYTES
    (path.on("records") if small else path).write_bytes(data)


def append_object(path: ObjectPath, data: Data) -> None:
    """Put an object of its own for what is added to a file on disk; their names follow each other in time."""
    put(path.with_name(f"{path.name}.{time.time_ns():020d}-{secrets.token_hex(4)}"), data)


def copy_objects(source: ObjectPath, target: ObjectPath, names: Iterable[str]) -> None:
    """Copy objects below a place, by their keys from there on, to below another one, many at once."""
    left = list(names)
    for first in range(0, len(left), _COPIED_AT_ONCE):
        check_held(target)
        source.copy_each(target, left[first : first + _COPIED_AT_ONCE])


def move_objects(source: ObjectPath, target: ObjectPath) -> None:
    """Give an object, or all below a place, another name: nothing is removed before everything is copied."""
    if source.is_file():
        check_held(target)
        source.copy_to(target)
    copy_objects(source, target, source.lengths())
    remove_objects(source)


def move_each(source: ObjectPath, target: ObjectPath, names: Sequence[str]) -> None:
    """Give objects below a place the same names below another one: nothing is removed before everything is copied."""
    copy_objects(source, target, names)
    check_held(target)
    source.remove(*names)


def remove_object(path: ObjectPath) -> None:
    """Remove an object; one that is not there is no error."""
    check_held(path)
    path.unlink(missing_ok=True)


def remove_objects(path: ObjectPath) -> None:
    """Remove an object and all below it; what lies directly below goes last, since it tells what the rest is."""
    check_held(path)
    path.remove(*sorted(path.lengths(), key=lambda name: ("/" not in name, name)))
    path.unlink(missing_ok=True)
