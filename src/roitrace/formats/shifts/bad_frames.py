"""Read which frames and pixels are bad: suite2p's badframes, masks and lists of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.objects import read_mapping, read_objects
from roitrace.formats.shifts.reading import SUITE2P_FILES, read_csv_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_bad_frames", "read_bad_pixels"]

LARGEST = 2.0**53
"""Whole numbers below are exact."""


def read_bad_frames(path: str | Path) -> NDArray[Any]:
    """Read a mask ``(time,)``, bool, or frame numbers, int64.

    Parameters
    ----------
    path : path
        suite2p's ``ops.npy`` or ``reg_outputs.npy``, or the folder that holds them (``badframes``); ``bad_frames.npy``: a bool array, or an integer
        array of frame numbers; CSV with the column ``frame``, the numbers of the bad ones, counted from 0.

    Raises
    ------
    FormatError
        If it holds neither.
    """
    place = Path(path)
    if place.is_dir():
        found = [place / name for name in SUITE2P_FILES if (place / name).is_file()]
        place = found[0] if found else place / SUITE2P_FILES[0]
    if not place.is_file():
        raise FormatError(f"{place} does not exist", "check the path")
    suffix = place.suffix.lower()
    if suffix in {".csv", ".txt"}:
        return _whole(read_csv_columns(place, ("frame",))["frame"], f"{place}: frame")
    if suffix != ".npy":
        raise FormatError(
            f"{place} is no file of bad frames that is known here", "give CSV, npy or suite2p's ops.npy"
        )
    array = read_objects(place)
    if array.dtype == object and array.shape == ():
        ops = read_mapping(place)
        if ops.get("badframes") is None:
            raise FormatError(
                f"{place} holds no badframes", "give the ops.npy that suite2p wrote after registration"
            )
        array = np.asarray(ops["badframes"]).astype(np.bool_)
    if array.ndim != 1 or array.dtype.kind not in "biu":
        raise FormatError(
            f"{place} holds {array.dtype} of shape {array.shape}, expected a bool for each frame, or numbers of frames",
            "save a one-dimensional bool or integer array",
        )
    return array if array.dtype.kind == "b" else array.astype(np.int64)


def read_bad_pixels(path: str | Path) -> NDArray[np.int64]:
    """Read places ``(n, 2)`` of ``(row, column)``.

    Parameters
    ----------
    path : path
        A bool image ``(y, x)`` or integers ``(n, 2)`` as npy; CSV with the columns ``y, x``, counted from 0.

    Raises
    ------
    FormatError
        If it holds neither.
    """
    place = Path(path)
    if not place.is_file():
        raise FormatError(f"{place} does not exist", "check the path")
    if place.suffix.lower() in {".csv", ".txt"}:
        columns = read_csv_columns(place, ("y", "x"))
        return np.stack([_whole(columns[name], f"{place}: {name}") for name in ("y", "x")], axis=1)
    if place.suffix.lower() != ".npy":
        raise FormatError(f"{place} is no file of bad pixels that is known here", "give CSV or npy")
    array = read_objects(place)
    if array.dtype.kind == "b" and array.ndim == 2:
        return np.argwhere(array).astype(np.int64)
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != 2:
        raise FormatError(
            f"{place} holds {array.dtype} of shape {array.shape}, expected a bool image, or whole numbers (n, 2)",
            "save which pixels are bad",
        )
    return array.astype(np.int64)


def _whole(values: NDArray[np.float64], what: str) -> NDArray[np.int64]:
    wrong = np.flatnonzero(~((np.abs(values) < LARGEST) & (values == np.rint(values))))
    if wrong.size:
        raise FormatError(f"{what} {values[wrong[0]]} is no whole number", "check the file")
    return values.astype(np.int64)
