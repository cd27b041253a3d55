"""What the file system says when it refuses, in words: the cause in one line, and what helps."""

from __future__ import annotations

import difflib
import errno
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from roitrace.errors import FileAccessError, RoitraceError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["explain", "explained", "is_refusal", "near_names"]

_CAUSES = {
    errno.ENOSPC: ("no space is left on the disk of {place}", "free some space"),
    errno.EDQUOT: ("the quota on the disk of {place} is used up", "free some space or ask for more"),
    errno.EROFS: ("the disk of {place} is mounted read-only", "choose a place that can be written to"),
    errno.EACCES: ("permission denied: {place}", "ask for permission, or choose another place"),
    errno.EPERM: ("operation not permitted: {place}", "ask for permission, or choose another place"),
    errno.EEXIST: ("{place} is in the way", "choose another place"),
    errno.ENOTDIR: ("{place} is no folder", "choose another place"),
    errno.EMFILE: (
        "too many files are open in this process, at {place}",
        "raise the limit (ulimit -n) or give fewer workers",
    ),
    errno.ENFILE: ("too many files are open on this computer, at {place}", "close other programs"),
    errno.EFBIG: (
        "{place} would be larger than the disk, or a limit of yours, allows",
        "raise the limit (ulimit -f) or choose another disk",
    ),
    errno.EIO: ("the disk failed at {place}: input/output error", "check the disk and its connection"),
    errno.ESTALE: ("the network disk lost {place}", "mount it again"),
    errno.ETIMEDOUT: ("the network disk of {place} does not answer", "check its connection"),
    errno.ELOOP: ("a link leads to itself: {place}", "give the file itself"),
}
_STATED = re.compile(r"errno = (\d+)")
_NAMED = re.compile(r"name = '([^']+)'")


def is_refusal(error: OSError) -> bool:
    """Whether the operating system refused, and not a library that found damage, which raises OSError too.

    Examples
    --------
    >>> is_refusal(PermissionError(13, "Permission denied")), is_refusal(OSError("file signature not found"))
    (True, False)
    """
    return _number(error) in _CAUSES


def _number(error: OSError) -> int | None:
    """Return the number of the error, which HDF5 states in its message."""
    stated = _STATED.search(str(error)) if error.errno is None else None
    return int(stated[1]) if stated else error.errno


def explain(error: OSError, path: object = None, *, near: object = None) -> FileAccessError:
    """Return what an error of the operating system means: its cause in one line, and the next step.

    Parameters
    ----------
    error : OSError
        As the operating system raised it.
    path : path, optional
        What was being worked on, or its address in an object store, where the error does not say it.
    near : path, optional
        What is named where neither does.

    Examples
    --------
    >>> import errno
    >>> print(explain(OSError(errno.ENOSPC, "No space left on device", "movie.zarr")))
    no space is left on the disk of movie.zarr; free some space
    """
    place = str(path) if path is not None else error.filename
    if isinstance(place, bytes):
        place = os.fsdecode(place)
    if place is None and (named := _NAMED.search(str(error))):
        place = named[1]
    if place is None and near is not None:
        place = str(near)
    number = _number(error)
    known = None if number is None else _CAUSES.get(number)
    if known is None:
        reason = error.strerror or str(error) or type(error).__name__
        return FileAccessError(f"{place}: {reason}" if place else reason, "check the path and its disk")
    cause, step = known
    return FileAccessError(cause.format(place=place or "a file"), step)


@contextmanager
def explained(path: object = None, *, near: object = None) -> Iterator[None]:
    """Turn errors of the operating system inside the `with` block into ours, as `explain`; ours pass as they are."""
    try:
        yield
    except RoitraceError:  # some of ours are errors of the operating system too
        raise
    except OSError as error:
        raise explain(error, path, near=near) from error


def near_names(path: str | os.PathLike[str], otherwise: str = "check the path") -> str:
    """Return the next step where a file is missing: the file of its folder that may have been meant.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pathlib.Path(folder, "movie.tif").touch()
    ...     near_names(f"{folder}/moive.tif"), near_names(f"{folder}/other.csv")
    ('did you mean movie.tif?', 'check the path')
    """
    place = Path(path)
    try:
        names = [one.name for one in place.parent.iterdir()]
    except OSError:
        return otherwise
    close = difflib.get_close_matches(place.name, names, n=1, cutoff=0.75)
    return f"did you mean {close[0]}?" if close else otherwise
