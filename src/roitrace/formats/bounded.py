"""What a file claims, held against what it holds, before memory is taken for it.

A damaged file, or one made for it, claims any size. Compression explains a claim that is larger than the file, up to a point: deflate, which
most formats use, shrinks by 1032 at most, and only nothing at all shrinks so far.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FormatError
from roitrace.units import format_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FREE_BYTES", "LIMIT_BYTES", "bounded", "bounded_stack", "read_bounded", "stored_bytes"]

LIMIT_BYTES = 4 * 2**30
"""Largest array that is held in memory as a whole."""
FREE_BYTES = 96 * 2**20
"""So much may be claimed whatever is stored."""
MOST_SHRUNK = 800
"""A larger array has at least one part in so many stored."""
FREE_STACK_BYTES = 2**30
MOST_SHRUNK_STACK = 1100
"""The same for stacks that are read image by image, of which each may be empty but for a cell."""


def bounded(shape: tuple[int, ...], dtype: np.dtype[Any], what: str, stored: int | None = None) -> None:
    """Refuse a claim of more than 4 GiB, or of far more than is stored.

    Parameters
    ----------
    shape, dtype
        What is claimed.
    what : str
        For the message.
    stored : int, optional
        Bytes of the file that the array comes from, at most.

    Raises
    ------
    FormatError
        If it claims too much.

    Examples
    --------
    >>> import numpy as np
    >>> bounded((2**30,), np.dtype("f8"), "a.h5: data", stored=2_000)
    Traceback (most recent call last):
    ...
    roitrace.errors.FormatError: a.h5: data claims 8 GiB, at most 4 GiB are read; it may be damaged, or a recording
    """
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > LIMIT_BYTES:
        raise FormatError(
            f"{what} claims {format_bytes(claimed)}, at most {format_bytes(LIMIT_BYTES)} are read",
            "it may be damaged, or a recording",
        )
    if stored is not None:
        _held(claimed, stored, FREE_BYTES, MOST_SHRUNK, what)


def bounded_stack(shape: tuple[int, ...], dtype: np.dtype[Any], what: str, stored: int) -> None:
    """Refuse a stack of images that is read image by image, where one is too large or all are far more than is stored."""
    bounded(shape[1:], dtype, what, stored)
    _held(math.prod(shape) * dtype.itemsize, stored, FREE_STACK_BYTES, MOST_SHRUNK_STACK, what)


def read_bounded(array: Any, what: str) -> NDArray[Any]:
    """Read all of an HDF5 dataset or zarr array, unless it claims too much."""
    if hasattr(array, "external"):
        from roitrace.formats.hdf5_file import check_own_samples  # noqa: PLC0415 - loads h5py, which zarr needs not

        check_own_samples(array, what)
    bounded(array.shape, array.dtype, what)
    if math.prod(array.shape) * array.dtype.itemsize > FREE_BYTES:
        bounded(array.shape, array.dtype, what, stored_bytes(array))
    return np.asarray(array[:])


def stored_bytes(array: Any) -> int:
    """Return how much an HDF5 dataset or zarr array takes in its file or folder."""
    return int(array.nbytes_stored() if hasattr(array, "nbytes_stored") else array.id.get_storage_size())


def _held(claimed: int, stored: int, free: int, most_shrunk: int, what: str) -> None:
    if claimed > max(free, most_shrunk * stored):
        raise FormatError(
            f"{what} claims {format_bytes(claimed)}, and {format_bytes(stored)} are stored of it",
            "it is damaged, or made to fill the memory",
        )
