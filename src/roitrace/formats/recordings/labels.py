"""What names, coordinates and attributes beside an array say: its axes, frame rate and pixel size.

Understands what xarray, netCDF and this package's own stores write: axis names, and one-dimensional coordinates with units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.recordings.axes import LETTERS
from roitrace.formats.recordings.units import LENGTHS, TIMES
from roitrace.sources import RecordingMetadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["axes_of_names", "labelled_metadata", "time_among"]

AXIS_NAMES = {
    "t": ("t", "time", "times", "frame", "frames"),
    "c": ("c", "channel", "channels"),
    "z": ("z", "plane", "planes", "depth"),
    "y": ("y", "row", "rows", "height"),
    "x": ("x", "col", "cols", "column", "columns", "width"),
}
LETTER_OF = {name: letter for letter, names in AXIS_NAMES.items() for name in names}
RATE_NAMES = ("frame_rate", "framerate", "fr", "fps", "imaging_rate", "sampling_rate")
UNITS = {"time": ("s", TIMES), "y": ("micrometer", LENGTHS), "x": ("micrometer", LENGTHS)}
COUNTING = {"1", "", "pixel", "pixels", "px", "frame", "frames"}


def axes_of_names(names: Sequence[str | None]) -> str | None:
    """Return one letter per axis name, or None where a name is missing, unknown or there twice.

    Examples
    --------
    >>> axes_of_names(["time", "row", "column"]), axes_of_names(["dim_0", "y", "x"])
    ('tyx', None)
    """
    letters = [LETTER_OF.get(str(name).lower(), "?") for name in names]
    known = "?" not in letters and len(set(letters)) == len(letters)
    return "".join(letters) if known and letters else None


def time_among(axes: str, shape: tuple[int, ...], what: str) -> tuple[str, tuple[str, ...]]:
    """Return axes with time among them: planes are taken as frames where nothing is called time, and a note says so.

    Raises
    ------
    FormatError
        If neither is there, or y or x is missing.
    """
    if not {"y", "x"} <= set(axes) or not set(axes) & {"t", "z"}:
        sizes = ", ".join(f"{LETTERS[axis]} {size}" for axis, size in zip(axes, shape, strict=True))
        raise FormatError(
            f"{what} has the axes {sizes}, expected time, y and x",
            "if they are named wrongly, say what they are with axes=",
        )
    if "t" in axes:
        return axes, ()
    return axes.replace("z", "t"), (f"the {shape[axes.index('z')]} planes of {what} are taken as frames",)


def labelled_metadata(
    attributes: Mapping[str, Any],
    coordinates: Mapping[str, tuple[NDArray[Any], str]],
    notes: tuple[str, ...] = (),
) -> RecordingMetadata:
    """Gather what attributes and coordinates say.

    Parameters
    ----------
    attributes : mapping
        Of the array; a frame rate in Hz is known by the usual names.
    coordinates : mapping
        Values and unit by ``time``, ``y``, ``x``; units of time and length are converted to s and micrometres.
    notes : tuple of str
        What else to tell the user.
    """
    kept: dict[str, tuple[NDArray[np.float64], str]] = {}
    for axis, (values, unit) in coordinates.items():
        coordinate = _coordinate(axis, values, unit)
        if coordinate is None:
            notes = (*notes, f"the {axis} coordinate (units {unit!r}) was not understood and is left out")
        else:
            kept[axis] = coordinate
    rates = (_number(attributes.get(name)) for name in RATE_NAMES)
    rate = next((rate for rate in rates if rate is not None and rate > 0), None)
    if rate is None and "time" in kept and kept["time"][1] == "s" and kept["time"][0].size > 1:
        rate = 1 / float(np.median(np.diff(kept["time"][0])))
    start = attributes.get("acquisition_time")
    return RecordingMetadata(
        frame_rate=rate,
        coordinates=kept,
        acquisition_time=start if isinstance(start, str) else None,
        notes=notes,
    )


def _coordinate(axis: str, values: NDArray[Any], unit: str) -> tuple[NDArray[np.float64], str] | None:
    own_unit, factors = UNITS[axis]
    word = (unit.split(maxsplit=1) or [""])[0].lower()  # "seconds since 2020-01-01" counts seconds
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        return None
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all() or (np.diff(numbers) <= 0).any():
        return None
    if word in factors:
        factor = factors[word]
        return (numbers if factor == 1 else numbers * factor), own_unit
    return (numbers, "1") if word in COUNTING else None


def _number(value: Any) -> float | None:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return float(value) if isinstance(value, int | float | np.number) and np.isfinite(value) else None
