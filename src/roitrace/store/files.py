"""The one place through which outputs touch the file system, or an object store.

Every single operation of the file system goes through `perform`, so that a test can make the n-th one fail. What the operating system
refuses becomes a FileAccessError. In object stores the same functions do what `object_files` says.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from roitrace.file_errors import explained
from roitrace.store.object_files import (
    ObjectDraft,
    append_object,
    drafting_object,
    move_objects,
    put,
    remove_object,
    remove_objects,
)
from roitrace.store.places import ObjectPath
from roitrace.store.writeback import begin_writeback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from roitrace.store.places import Location

    Data = bytes | bytearray | memoryview

__all__ = [
    "DRAFT_SUFFIX",
    "Draft",
    "append",
    "drafting",
    "free_space",
    "lengths_below",
    "list_folder",
    "make_folder",
    "move",
    "new_token",
    "partial_of",
    "publish",
    "read_each",
    "read_file",
    "remove",
    "remove_drafts",
    "remove_folder",
    "remove_tree",
    "run_folder",
    "sync_file",
    "sync_folder",
    "sync_folders",
    "write_file",
]

_T = TypeVar("_T")
DRAFT_SUFFIX = ".partial"
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP}
"""What file systems answer that have no way to sync a folder."""


def perform(operation: str, path: Location, call: Callable[..., _T], *arguments: Any) -> _T:
    """Do one operation of the file system: every change to an output is one call of this function.

    Parameters
    ----------
    operation : str
        ``mkdir``, ``open``, ``write``, ``sync``, ``close``, ``rename``, ``remove``, ``rmdir`` or ``list``.
    path : path
        What it works on, for messages.
    call, *arguments
        What does it.
    """
    del operation
    with explained(path):
        return call(*arguments)


def free_space(path: Location) -> tuple[Path, int] | None:
    """Return the innermost folder of a path that is there, and the bytes that its disk has left; None in a bucket: nobody knows how much it takes."""
    if isinstance(path, ObjectPath):
        return None
    folder = next(one for one in (path, *path.absolute().parents) if one.is_dir())
    return folder, shutil.disk_usage(folder).free


@overload
def run_folder(store: Path) -> Path: ...
@overload
def run_folder(store: ObjectPath) -> ObjectPath: ...
def run_folder(store: Location) -> Location:
    """Return the folder beside a store for what is told of the job that writes it: ``movie.zarr.run``."""
    return store.with_name(f"{store.name}.run")


def new_token() -> str:
    """Return what tells the draft of a task from those of the same task run elsewhere: a cluster may run it twice at once."""
    return secrets.token_hex(4)


@overload
def partial_of(path: Path, token: str = "") -> Path: ...
@overload
def partial_of(path: ObjectPath, token: str = "") -> ObjectPath: ...
def partial_of(path: Location, token: str = "") -> Location:
    """Return where a file is until it is whole."""
    return path.with_name(f"{path.name}.{token}{DRAFT_SUFFIX}" if token else path.name + DRAFT_SUFFIX)


class Draft:
    """A file in the making; `drafting` opens one."""

    def __init__(self, path: Location, handle: int) -> None:
        self._path, self._handle = path, handle

    def write(self, data: Data) -> None:
        """Write all of some bytes at the end."""
        _write_all(self._path, self._handle, data)


@contextmanager
def drafting(path: Location, token: str = "") -> Iterator[Draft | ObjectDraft]:
    """Write what becomes the file `path` when it is published; until then it is ``<path>.partial``, or ``<path>.<token>.partial``.

    Tasks, of which more than one may write the same file, give a new token each. The folder must be there. The bytes are not durable
    before `publish`.

    In an object store it is in memory until the `with` block ends, and is put then, if the block ends well: whole, durable and under its name.
    """
    if isinstance(path, ObjectPath):
        with drafting_object(path) as object_draft:
            yield object_draft
        return
    draft = partial_of(path, token)
    handle = perform("open", draft, os.open, draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        yield Draft(draft, handle)
        begin_writeback(handle)
    finally:
        perform("close", draft, os.close, handle)


def publish(drafts: Iterable[tuple[Location, str]], *, below: Location | None = None) -> None:
    """Give drafted files, each with the token of its draft, their names and make them durable: data first, then names, then folders.

    With `below`, a folder above all of them, the folders from there on are made durable too. Objects are durable and have their names.
    """
    drafts = [(path, token) for path, token in drafts if isinstance(path, Path)]
    for path, token in drafts:
        sync_file(partial_of(path, token))
    for path, token in drafts:
        perform("rename", path, os.replace, partial_of(path, token), path)
    sync_folders((path for path, _ in drafts), below=below)


def sync_folders(paths: Iterable[Location], *, below: Location | None = None) -> None:
    """Make the names of files durable; with `below`, also those of the folders from there on."""
    for folder in dict.fromkeys(folder for path in paths for folder in _folders(path, below)):
        sync_folder(folder)


def write_file(path: Location, data: Data) -> None:
    """Write a file that appears under its name only when it is whole and durable; replaces one that is there."""
    if isinstance(path, ObjectPath):
        put(path, data)
        return
    with drafting(path) as draft:
        draft.write(data)
    publish([(path, "")])


def read_file(path: Location) -> bytes | None:
    """Return the content of a file, None if it is not there."""
    with explained(path):
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None


def read_each(folder: Location, names: Iterable[str]) -> Iterator[bytes | None]:
    """Yield the contents of files in a folder, None for those that are not there; of objects, read together."""
    if isinstance(folder, ObjectPath):
        yield from folder.read_each(list(names))
        return
    for name in names:
        yield read_file(folder / name)


def lengths_below(folder: Location, keys: Iterable[str]) -> dict[str, int]:
    """Return the length of those files below a folder that are there, by key."""
    if isinstance(folder, ObjectPath):
        there = folder.lengths()
        return {key: there[key] for key in keys if key in there}
    found = ((key, folder / key) for key in keys)
    return {key: path.stat().st_size for key, path in found if path.is_file()}


def append(path: Location, data: Data) -> None:
    """Add bytes to the end of a file, which is made if it is not there, and make them durable.

    In an object store they become an object of their own, whose name begins as that of the file would.
    """
    if isinstance(path, ObjectPath):
        append_object(path, data)
        return
    new = not path.exists()
    handle = perform("open", path, os.open, path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        _write_all(path, handle, data)
        perform("sync", path, os.fsync, handle)
    finally:
        perform("close", path, os.close, handle)
    if new:
        sync_folder(path.parent)


def make_folder(path: Location, *, durable: bool = True, below: Location | None = None) -> None:
    """Make a folder and those above it; one that is there is left alone.

    With `below`, a folder above it that must be there: tasks never make the store itself, which may be gone when they still run.
    """
    if isinstance(path, ObjectPath):
        return
    missing = []
    while not path.is_dir():
        missing.append(path)
        if path in {below, path.parent}:
            break
        path = path.parent
    for folder in reversed(missing):
        perform("mkdir", folder, _refuse if folder == below else _make_one, folder)
        if durable:
            sync_folder(folder.parent)


def sync_file(path: Location) -> None:
    """Make what was written to a file durable."""
    if isinstance(path, ObjectPath):
        return
    handle = perform("open", path, os.open, path, os.O_RDWR)
    try:
        perform("sync", path, os.fsync, handle)
    finally:
        perform("close", path, os.close, handle)


def sync_folder(path: Location) -> None:
    """Make the names in a folder durable, where the file system has a way to."""
    if isinstance(path, ObjectPath):
        return
    handle = perform("open", path, os.open, path, os.O_RDONLY)
    try:
        perform("sync", path, _sync_names, handle)
    finally:
        perform("close", path, os.close, handle)


def move(source: Location, target: Location) -> None:
    """Give a file or a folder another name on the same disk, durably; objects are copied, then removed."""
    if isinstance(source, ObjectPath) and isinstance(target, ObjectPath):
        move_objects(source, target)
        return
    perform("rename", target, os.rename, source, target)
    for folder in dict.fromkeys((target.parent, source.parent)):
        sync_folder(folder)


def remove(path: Location) -> None:
    """Remove a file; one that is not there is no error."""
    if isinstance(path, ObjectPath):
        remove_object(path)
        return
    perform("remove", path, lambda: path.unlink(missing_ok=True))


def remove_folder(path: Location) -> bool:
    """Remove a folder if it is empty; return whether it is gone."""
    if isinstance(path, ObjectPath):
        return not path.is_dir()
    return perform("rmdir", path, _remove_if_empty, path)


def remove_tree(path: Location) -> None:
    """Remove a folder with all that is in it, or a file; links are removed, not followed."""
    if isinstance(path, ObjectPath):
        remove_objects(path)
    elif path.is_dir() and not path.is_symlink():
        for name in list_folder(path):
            remove_tree(path / name)
        remove_folder(path)
    else:
        remove(path)


def remove_drafts(folder: Location) -> None:
    """Remove files below a folder that were never whole, which a killed job left behind; there are none in object stores."""
    if isinstance(folder, ObjectPath):
        return
    for name in list_folder(folder):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            remove_drafts(path)
        elif name.endswith(DRAFT_SUFFIX):
            remove(path)


def list_folder(path: Location) -> list[str]:
    """Return the names in a folder, sorted; of one that is not there, none."""
    return perform("list", path, _names_in, path)


def _folders(path: Location, below: Location | None) -> list[Location]:
    """Return the folders of a file, from the innermost to `below`."""
    return [folder for folder in path.parents if folder == path.parent or below in {folder, *folder.parents}]


def _make_one(path: Path) -> None:
    path.mkdir(exist_ok=True)


def _refuse(path: Path) -> None:
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))


def _names_in(path: Location) -> list[str]:
    try:
        return sorted(entry.name for entry in path.iterdir())
    except FileNotFoundError:
        return []


def _remove_if_empty(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return False
        raise
    return True


def _write_all(path: Location, handle: int, data: Data) -> None:
    view = memoryview(data).cast("B")
    while view:
        view = view[perform("write", path, os.write, handle, view) :]


def _sync_names(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
