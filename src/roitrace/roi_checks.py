"""What people and files give as ROIs, checked before it becomes pixels: shapes, pairs, weights, ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["checked_ids", "checked_lists", "checked_numbers", "checked_shape"]

MOST_SIDE = 2**31
LARGEST_ID = 2**63 - 1


def checked_shape(shape: Any) -> tuple[int, int]:
    """Return height and width of a frame.

    Raises
    ------
    ArgumentError
        If they are not two whole numbers of pixels.

    Examples
    --------
    >>> checked_shape((4, 6))
    (4, 6)
    """
    whole = isinstance(shape, Sequence | np.ndarray) and all(
        isinstance(size, int | np.integer) and not isinstance(size, bool) and 0 <= size < MOST_SIDE
        for size in shape
    )
    if not whole or len(shape) != 2:
        raise ArgumentError(
            f"shape={shape!r}, expected two whole numbers: height and width of the frame, in pixels"
        )
    return int(shape[0]), int(shape[1])


def checked_lists(pixels: Any) -> list[NDArray[Any]]:
    """Return one array of pixels per ROI.

    Raises
    ------
    ArgumentError
        If it is no list of arrays.
    """
    if isinstance(pixels, str | bytes) or not hasattr(pixels, "__iter__"):
        raise ArgumentError(
            f"the pixels are a {type(pixels).__name__}, expected one array (n, 2) of y_index, x_index per ROI"
        )
    arrays = []
    for number, pairs in enumerate(pixels):
        try:
            arrays.append(np.asarray(pairs))
        except ValueError as error:
            raise ArgumentError(
                f"the pixels of ROI number {number} are no array: {error}", "give pairs of y_index, x_index"
            ) from error
    return arrays


def checked_numbers(values: ArrayLike, what: str) -> NDArray[np.float64]:
    """Return real numbers as float64.

    Raises
    ------
    ArgumentError
        If they are anything else: texts, objects, complex numbers, times.
    """
    try:
        given = np.asarray(values)
    except ValueError as error:
        raise ArgumentError(f"{what} are no array: {error}", "give one number per pixel") from error
    if given.size and given.dtype.kind not in "biuf":
        raise ArgumentError(f"{what} have the dtype {given.dtype}, expected real numbers")
    return given.astype(np.float64)


def checked_ids(ids: ArrayLike) -> NDArray[np.int64]:
    """Return ids of ROIs.

    Raises
    ------
    ArgumentError
        If they are no whole numbers, or beyond 64 bits.
    """
    given = np.asarray(ids)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise ArgumentError(
            f"the ids are {given.dtype} of shape {given.shape}, expected one whole number per ROI"
        )
    if given.dtype.kind == "u" and given.size and int(given.max()) > LARGEST_ID:
        raise ArgumentError(
            f"the id {given.max()} is too large, at most {LARGEST_ID} is kept", "number the ROIs anew"
        )
    return given.astype(np.int64)
