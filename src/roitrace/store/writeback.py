"""Have the kernel write files to disk while a job goes on, so that making them durable at its commit waits for little."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["begin_writeback"]

_SYNC_FILE_RANGE_WRITE = 2


def begin_writeback(handle: int) -> None:
    """Begin to write what is in an open file to disk, normally without waiting; where the system has no way to, do nothing.

    It promises nothing, so that what it answers does not matter: `os.fsync` comes later, and tells of errors.
    """
    call = _sync_file_range()
    if call is not None:
        call(handle, ctypes.c_int64(0), ctypes.c_int64(0), _SYNC_FILE_RANGE_WRITE)


@cache
def _sync_file_range() -> Callable[..., object] | None:
    try:
        found: Callable[..., object] | None = getattr(ctypes.CDLL(None), "sync_file_range", None)
    except (OSError, TypeError):
        return None
    return found
