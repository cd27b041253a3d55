"""How kernels are compiled: without the interpreter's lock, and kept on disk until any of them changes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numba

__all__ = ["compiled"]


def _digest_of_kernels() -> str:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


_KERNELS = _digest_of_kernels()


def compiled(**options: Any) -> Any:
    """Return the decorator of all kernels; options go to `numba.njit`.

    A compiled kernel holds those that it calls. numba keeps it until its own file changes, and would go on with what other files
    held before, after an update of the package too: here it is kept until a file of any kernel changes.
    """

    def decorator(function: Any) -> Any:
        settings: dict[str, Any] = {
            "cache": True,
            "nogil": True,
            "boundscheck": False,
            "error_model": "numpy",
        } | options
        kernel: Any = numba.njit(**settings)(function)
        if settings["cache"]:
            index = kernel._cache._cache_file
            index._source_stamp = (index._source_stamp, _KERNELS)
        return kernel

    return decorator
