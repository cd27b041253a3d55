"""Keep the allocator of Linux from holding on to what large arrays leave behind."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_memory_flat"]

_M_TRIM_THRESHOLD = -1
_TRIM_BYTES = 32 * 2**20


def keep_memory_flat() -> None:
    """Fix the size from which arrays get pages of their own, and give them back when they are freed.

    By default glibc raises that size as larger arrays come and go, and each thread keeps what it freed: memory then
    grows with the length of a recording. A fixed threshold for trimming turns this off (`man mallopt`); it is as fast. It
    holds for the whole process, so only the command line does it.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
