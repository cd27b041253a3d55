"""Pixel matrices of a few cells for a report: the first frames, coarser where there are many pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.engine.run import execute
from roitrace.extraction import pixel_traces
from roitrace.units import format_count
from roitrace.view.palette import robust_limits
from roitrace.view.report.encoding import encode_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from roitrace.rois import Rois

__all__ = ["PixelMatrix", "gather_pixels", "grouping"]

_FRAMES = 2000
_MOST_COLUMNS, _MOST_ROWS = 1000, 200
_MOST_ENTRIES = 120_000


@dataclass(frozen=True, eq=False)
class PixelMatrix:
    """Pixels of a cell over the first frames of a recording.

    Attributes
    ----------
    values : numpy.ndarray
        ``(row, column)``, means of neighbours where there are many.
    n_pixels, n_frames : int
        What was read.
    rows, columns : int
        Pixels of a row, frames of a column.
    begin, interval : float
        Time of the first frame, and between frames; seconds, or frames.
    unit : str
        ``"s"``, or ``"frames"``.
    """

    values: NDArray[np.float64]
    n_pixels: int
    n_frames: int
    rows: int
    columns: int
    begin: float
    interval: float
    unit: str

    @property
    def span(self) -> tuple[float, float]:
        """Where the first frame begins and the last one ends."""
        left = self.begin - self.interval / 2
        return left, left + self.n_frames * self.interval

    @property
    def words(self) -> str:
        """Say what is seen."""
        said = f"{format_count(self.n_pixels, 'pixel')} over the first {format_count(self.n_frames, 'frame')}"
        said += f", a column is the mean of {self.columns} frames" if self.columns > 1 else ""
        return said + (f", a row is the mean of {self.rows} pixels" if self.rows > 1 else "")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        height, width = self.values.shape
        return {
            "shape": [height, width],
            "left": self.span[0],
            "width": width * self.columns * self.interval,
            "height": height * self.rows,
            "pixels": self.n_pixels,
            "words": self.words,
            "shown": list(robust_limits(self.values)),
            **encode_image(self.values).to_dict(),
        }


def grouping(n_pixels: int, n_frames: int) -> tuple[int, int]:
    """Return how many pixels, and frames, become one, so that a matrix has a size that a page can hold.

    Examples
    --------
    >>> grouping(80, 900), grouping(150, 2000), grouping(262_144, 2000)
    ((1, 1), (1, 3), (1311, 4))
    """
    rows = math.ceil(n_pixels / _MOST_ROWS) or 1
    room = min(_MOST_COLUMNS, _MOST_ENTRIES // (math.ceil(n_pixels / rows) or 1))
    return rows, math.ceil(n_frames / room) or 1


def gather_pixels(
    recording: xr.DataArray, rois: Rois, cells: Sequence[str], *, workers: int | None = None
) -> dict[str, PixelMatrix]:
    """Read the first 2000 frames of some cells in one go; cells without a pixel on the frame are left out."""
    lazy = pixel_traces(recording.isel(time=slice(0, _FRAMES)), rois[list(cells)])
    owner = lazy["roi"].values.astype(str)
    parts = {name: lazy.isel(pixel=np.flatnonzero(owner == name)) for name in cells}
    parts = {name: part for name, part in parts.items() if 0 not in part.shape}
    groups = {name: grouping(part.sizes["pixel"], part.sizes["time"]) for name, part in parts.items()}
    shrunk = [_means(part, *groups[name]) for name, part in parts.items()]
    read = execute(*shrunk, workers=workers) if shrunk else ()
    begin, interval, unit = _time_of(lazy)
    matrices = {}
    for (name, part), values in zip(parts.items(), read, strict=True):
        rows, columns = groups[name]
        matrices[name] = PixelMatrix(
            values=np.asarray(values, dtype=np.float64),
            n_pixels=part.sizes["pixel"],
            n_frames=part.sizes["time"],
            rows=rows,
            columns=columns,
            begin=begin,
            interval=interval,
            unit=unit,
        )
    return matrices


def _means(pixels: xr.DataArray, rows: int, columns: int) -> xr.DataArray:
    bare = pixels.drop_vars(list(pixels.coords))
    if rows == columns == 1:
        return bare
    return bare.astype(np.float64).coarsen(pixel=rows, time=columns, boundary="pad").mean()


def _time_of(pixels: xr.DataArray) -> tuple[float, float, str]:
    if "time" not in pixels.coords or pixels["time"].attrs.get("units") != "s":
        return 0.0, 1.0, "frames"
    times = np.asarray(pixels["time"].values, dtype=np.float64)
    interval = float(np.median(np.diff(times))) if times.size > 1 else 1.0
    return (float(times[0]) if times.size else 0.0), interval, "s"
