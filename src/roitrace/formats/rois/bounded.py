"""Arrays of a file, read when they are as small as arrays that describe ROIs are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FormatError
from roitrace.units import format_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LIMIT_BYTES", "bounded", "read_bounded"]

LIMIT_BYTES = 4 * 2**30
"""A damaged file, or one made for it, claims any size."""


def bounded(shape: tuple[int, ...], dtype: np.dtype[Any], what: str) -> None:
    """Refuse a claim of more than 4 GiB.

    Raises
    ------
    FormatError
        If an array of this shape and dtype is larger.
    """
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > LIMIT_BYTES:
        raise FormatError(
            f"{what} claims {format_bytes(claimed)}, at most {format_bytes(LIMIT_BYTES)} are read",
            "it may be damaged, or a recording",
        )


def read_bounded(array: Any, what: str) -> NDArray[Any]:
    """Read all of an HDF5 dataset or zarr array, unless it claims more than 4 GiB."""
    bounded(array.shape, array.dtype, what)
    return np.asarray(array[:])
