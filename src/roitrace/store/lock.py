"""One writer per output: a lock that the operating system lets go when its owner dies."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from roitrace.file_errors import explain
from roitrace.store.files import make_folder, perform, remove, remove_folder, run_folder
from roitrace.store.lease import leasing
from roitrace.store.owner import busy, is_dead, myself, owner_in
from roitrace.store.places import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from roitrace.store.places import Location

__all__ = ["writing_alone"]

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What file systems answer that have no locks."""


@contextmanager
def writing_alone(store: Location) -> Iterator[None]:
    """Hold the lock of an output, ``<store>.run/lock``, for the length of a `with` block.

    The lock ends with its process, however that ends. Where the file system has no locks, a file names the owner instead; it is
    taken over if its process on this computer is gone. In object stores the owner gives signs of life (`roitrace.store.lease`).

    Raises
    ------
    OutputBusyError
        If another job holds it; at once.
    """
    if isinstance(store, ObjectPath):
        with leasing(store, run_folder(store)):
            yield
        return
    path = run_folder(store) / "lock"
    handle = _take(store, path)
    try:
        yield
    finally:
        try:
            remove(_named(path) if handle is None else path)
        finally:
            if handle is not None:
                os.close(handle)
        remove_folder(path.parent)


def _take(store: Path, path: Path) -> int | None:
    """Return the open file that holds the lock; None if a file without a lock stands for it."""
    while True:
        make_folder(path.parent)
        handle = perform("open", path, _open_or_none, path)
        if handle is None:  # the owner before has just left and taken the folder along
            continue
        with ExitStack() as left:  # whatever goes wrong, the file is closed and the lock let go
            left.callback(os.close, handle)
            try:
                locked = _lock(handle)
            except BlockingIOError:
                raise busy(store, _owner_named_in(handle)) from None
            if locked:
                if not _is_still_there(path, handle):
                    continue
                perform("write", path, _name_owner, handle)
                left.pop_all()
                return handle
        remove(path)
        _take_by_name(store, path)
        return None


def _owner_named_in(handle: int) -> dict[str, Any]:
    """Return the owner of a locked file; one that has just begun gets a moment to name itself."""
    for _ in range(20):
        owner = owner_in(os.pread(handle, 4096, 0))
        if owner:
            break
        time.sleep(0.02)
    return owner


def _open_or_none(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError:
        return None


def _lock(handle: int) -> bool:
    """Lock an open file; False where there are no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise explain(error) from error
    return True


def _name_owner(handle: int) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, myself(), 0)


def _is_still_there(path: Path, handle: int) -> bool:
    """Whether the locked file is the one of that name, and not one that its owner removed meanwhile."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _take_by_name(store: Path, path: Path) -> None:
    """Make a file that names its owner stand for the lock: a link to it can be made once only."""
    place = _named(path)
    mine = path.with_name(f"owner-{secrets.token_hex(4)}")
    perform("write", mine, mine.write_bytes, myself())
    try:
        for _ in range(2):
            if perform("rename", place, _link, mine, place):
                return
            owner = owner_in(place.read_bytes()) if place.exists() else {}
            if not is_dead(owner):
                break
            remove(place)
        raise busy(store, owner, f"wait until it has ended; if that job is gone, remove {place}")
    finally:
        remove(mine)


def _named(path: Path) -> Path:
    return path.with_name("owner")


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    return True
