"""Read which frames are bad: suite2p's badframes, masks and lists of frame numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.objects import read_mapping, read_objects
from roitrace.formats.shifts.reading import SUITE2P_FILES, read_csv_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_bad_frames"]


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
        values = read_csv_columns(place, ("frame",))["frame"]
        whole = np.rint(values)
        wrong = np.flatnonzero(~(np.isfinite(values) & (values == whole)))
        if wrong.size:
            raise FormatError(f"{place}: frame {values[wrong[0]]} is no whole number", "check the file")
        return whole.astype(np.int64)
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
