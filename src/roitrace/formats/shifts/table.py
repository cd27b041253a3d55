"""Shifts as a plain table, between files and the labelled Dataset of `roitrace.read_shifts`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ShiftTable", "numbers", "table_of_pairs"]


@dataclass(frozen=True, eq=False)
class ShiftTable:
    """How each frame has to be moved to lie on the others.

    Attributes
    ----------
    dy, dx : numpy.ndarray
        Pixels down and to the right that the content of each frame is to be moved by, ``(time,)`` float64.
    bad_frames : numpy.ndarray or None
        Frames that the program that found the shifts does not trust, ``(time,)`` bool.
    valid_y, valid_x : tuple of int or None
        Rows and columns that are covered in all trusted frames, where the file says so.
    notes : tuple of str
        Sentences for the user.
    """

    dy: NDArray[np.float64]
    dx: NDArray[np.float64]
    bad_frames: NDArray[np.bool_] | None = None
    valid_y: tuple[int, int] | None = None
    valid_x: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


def table_of_pairs(pairs: Any, what: str) -> ShiftTable:
    """Turn an array ``(time, 2)`` of ``(dy, dx)`` into a table.

    Raises
    ------
    FormatError
        If it has another shape, is no array of finite numbers, or is empty.
    """
    values = np.asarray(pairs)
    if values.ndim != 2 or values.shape[1] != 2:
        raise FormatError(
            f"{what} has shape {values.shape}, expected (frames, 2): one rigid shift (dy, dx) per frame",
            "piecewise shifts, one per patch, cannot be applied here: register with the program that found them",
        )
    return ShiftTable(numbers(values[:, 0], f"dy of {what}"), numbers(values[:, 1], f"dx of {what}"))


def numbers(values: Any, what: str) -> NDArray[np.float64]:
    """Return finite float64 numbers ``(time,)``, or say what is wrong with them."""
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iuf":
        raise FormatError(
            f"{what} holds {array.dtype} of shape {array.shape}, expected one number per frame",
            "check the file",
        )
    converted = array.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(converted))
    if wrong.size:
        raise FormatError(
            f"{what} is {converted[wrong[0]]} for frame {wrong[0]}, expected a number of pixels",
            "give frames that could not be registered as bad frames, with the shift 0",
        )
    return converted
