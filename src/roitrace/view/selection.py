"""Which traces a figure shows: the variable, the ROIs, the time axis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.errors import ArgumentError
from roitrace.traces import pick_trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "FrameTimes",
    "accepted_rois",
    "frame_times",
    "in_memory",
    "roi_names",
    "roi_positions",
    "shown_traces",
]


@dataclass(frozen=True, eq=False)
class FrameTimes:
    """When the frames were taken.

    Attributes
    ----------
    values : numpy.ndarray
        Seconds, or frame numbers where no frame rate is known; one per frame.
    unit : str
        ``"s"`` or ``"frames"``.
    """

    values: NDArray[np.float64]
    unit: str

    @property
    def label(self) -> str:
        """Label of the axis."""
        return "time (s)" if self.unit == "s" else "frame"

    @property
    def interval(self) -> float:
        """Median time between frames; 1 where there are fewer than two."""
        return float(np.median(np.diff(self.values))) if self.values.size > 1 else 1.0

    @property
    def even(self) -> bool:
        """Whether there is no gap over 1.5 intervals."""
        return self.values.size < 2 or float(np.diff(self.values).max()) <= 1.5 * self.interval


def frame_times(traces: xr.DataArray) -> FrameTimes:
    """Time axis of an array with the dim ``time``."""
    if "time" not in traces.coords:
        return FrameTimes(np.arange(traces.sizes["time"], dtype=np.float64), "frames")
    time = traces["time"]
    unit = "s" if time.attrs.get("units") == "s" else "frames"
    return FrameTimes(np.asarray(time.values, dtype=np.float64), unit)


def shown_traces(traces: xr.Dataset | xr.DataArray, statistic: str | None = None) -> xr.DataArray:
    """Return one variable as ``(roi, time)`` with its own attributes: by name, else the primary one.

    Raises
    ------
    ArgumentError
        If there is no such variable, or it has no frames.
    """
    trace = pick_trace(traces, statistic)
    if trace.sizes["time"] == 0:
        raise ArgumentError("the traces have no frames", "choose a longer part of the recording")
    given = traces[str(trace.name)] if isinstance(traces, xr.Dataset) else traces
    several = trace if "roi" in trace.dims else trace.expand_dims("roi")
    return several.assign_attrs(given.attrs)


def roi_names(traces: xr.DataArray) -> tuple[str, ...]:
    """Names along ``roi``; positions where there are none."""
    if "roi" not in traces.coords:
        return tuple(str(number) for number in range(traces.sizes["roi"]))
    return tuple(str(name) for name in np.atleast_1d(traces["roi"].values))


def accepted_rois(traces: xr.DataArray) -> NDArray[np.bool_]:
    """Which ROIs count as cells; all where nobody said."""
    if "accepted" not in traces.coords:
        return np.ones(traces.sizes["roi"], dtype=np.bool_)
    return np.atleast_1d(traces["accepted"].values).astype(np.bool_)


def roi_positions(names: Sequence[str], rois: int | str | Sequence[int | str]) -> list[int]:
    """Positions of ROIs given by position or name.

    Raises
    ------
    ArgumentError
        If there is no such ROI.

    Examples
    --------
    >>> roi_positions(["a", "b", "c"], ["c", 0, -2])
    [2, 0, 1]
    """
    several = list(rois) if isinstance(rois, Iterable) and not isinstance(rois, str) else [rois]
    place = {name: number for number, name in reversed(list(enumerate(names)))}
    positions = []
    for roi in several:
        if isinstance(roi, bool | np.bool_) or not isinstance(roi, int | np.integer | str):
            raise ArgumentError(f"{roi!r} is no ROI", "give positions (int) or names (str)")
        if isinstance(roi, str) and roi not in place:
            shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
            raise ArgumentError(f"no ROI is named {roi!r}", f"names are {shown or 'none: there are no ROIs'}")
        if not isinstance(roi, str) and not -len(names) <= roi < len(names):
            raise ArgumentError(f"there is no ROI at position {roi}", f"there are {len(names)}")
        positions.append(place[roi] if isinstance(roi, str) else int(roi) % len(names))
    return positions


def in_memory(traces: xr.DataArray) -> NDArray[np.float64]:
    """Values in float64, NaN where they are not finite; a lazy array is computed."""
    values = np.asarray(traces.values, dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)
