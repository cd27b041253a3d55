"""Figures of traces over time, stacked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from roitrace.units import format_count
from roitrace.view.envelope import envelope
from roitrace.view.naming import quantity, shown_name, value_unit
from roitrace.view.palette import REJECTED, colour
from roitrace.view.scale_bar import draw_corner_bars, round_length
from roitrace.view.selection import (
    FrameTimes,
    accepted_rois,
    frame_times,
    in_memory,
    roi_names,
    roi_positions,
    shown_traces,
)
from roitrace.view.style import LITERAL, displayable, drawn_axes, set_heading, value_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["plot_traces", "stacked_baselines"]

_AT_MOST = 20  # traces drawn unless ROIs are named
_STRETCHES = 2000
_NAMED_ROWS = 40
_COLUMNS = 200  # how finely neighbours are kept apart


def plot_traces(
    traces: xr.Dataset | xr.DataArray,
    statistic: str | None = None,
    rois: int | str | Sequence[int | str] | None = None,
    *,
    ax: Axes | None = None,
    scale_bars: bool = True,
) -> Axes:
    """Draw traces one above the other on a common scale, so close as they fit without crossing.

    Only the traces drawn are computed. Beyond 4000 frames each trace is drawn through the minimum and maximum of
    2000 equal stretches, which looks the same and keeps vector files small.

    Parameters
    ----------
    traces : Dataset or DataArray
        From `extract` or `normalize`: ``(roi, time)``, lazy or in memory.
    statistic : str, optional
        Which variable; the primary one if not given.
    rois : int or str or sequence, optional
        Positions or names, top to bottom. By default the first 20 accepted ROIs; the title says of how many.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new pyplot figure.
    scale_bars : bool
        Bars of time and value in the corner; False gives an axis in seconds (frames where no frame rate is known),
        and for a single trace an axis of values.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        If there is no such statistic or ROI, or nothing to draw.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from matplotlib.figure import Figure
    >>> traces = xr.DataArray(np.eye(3, 50), dims=("roi", "time"), coords={"roi": ["a", "b", "c"]}, name="mean")
    >>> ax = plot_traces(traces, rois=["c", "a"], ax=Figure().subplots())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['c', 'a']
    """
    array = shown_traces(traces, statistic)
    positions = _chosen(array, rois)
    name = shown_name(array, "trace")
    names, accepted, axis = roi_names(array), accepted_rois(array), frame_times(array)
    values = in_memory(array.isel(roi=positions))
    ax = drawn_axes(ax, (9.0, min(7.0, 2.2 + 0.26 * len(positions))))
    time, lines = envelope(axis.values, values, _STRETCHES)
    single = len(positions) == 1 and not scale_bars
    centres = _medians(lines)
    baselines = np.zeros(len(positions)) if single else stacked_baselines(lines - centres[:, None])
    if not single:
        lines = lines - centres[:, None] + baselines[:, None]
    marker = "." if array.sizes["time"] == 1 else ""
    for row, position in enumerate(positions):
        shade = colour(position) if accepted[position] else REJECTED
        ax.plot(time[row], lines[row], color=shade, linewidth=0.9, marker=marker, solid_joinstyle="bevel")
    _limit(ax, axis, lines, baselines if not single else np.zeros(0))
    ax.spines[["top", "right"]].set_visible(False)
    if single:
        ax.set_ylabel(value_label(name, array.attrs), **LITERAL)
    else:
        _name_rows(ax, baselines, [names[position] for position in positions])
        _mark_missing(ax, values, baselines)
    _finish_time(ax, axis, scale_bars=scale_bars)
    if not single and positions:
        height = _bar_height(baselines, lines)
        time_bar = (round_length(_duration(axis) / 6), axis.unit) if scale_bars else None
        draw_corner_bars(ax, time=time_bar, value=(height, value_unit(name, array.attrs)))
    set_heading(ax, _heading(name, positions, names))
    return ax


def stacked_baselines(traces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place centred traces ``(roi, time)`` below each other, as close as they come without touching.

    Time is cut into at most 200 columns; in none of them does a trace reach its upper neighbour. Baselines are at
    least 0.6 of the median distance apart, so that the names beside the rows are too. The lowest is 0.

    Examples
    --------
    >>> import numpy as np
    >>> stacked_baselines(np.array([[0.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 0.0]])).round(1).tolist()
    [5.5, 1.2, 0.0]
    """
    if len(traces) < 2:
        return np.zeros(len(traces))
    samples = traces.shape[1]
    begins = np.linspace(0, samples, min(_COLUMNS, samples), endpoint=False).astype(np.int64)
    highest, lowest = (extreme.reduceat(traces, begins, axis=1) for extreme in (np.fmax, np.fmin))
    reach = highest[1:] - lowest[:-1]
    reach = np.where(np.isnan(reach), 0.0, reach).max(axis=1)
    typical = next((one for one in (float(np.median(reach)), float(reach.max())) if one > 0), 1.0)
    # what rounding takes of the largest value must not close the smallest gap
    largest = max(float(np.abs(one[~np.isnan(one)]).max(initial=0.0)) for one in (highest, lowest))
    typical = max(typical, 1e-6 * largest, np.finfo(np.float64).tiny)
    pitch = np.maximum(reach + 0.15 * typical, 0.6 * typical)
    return np.concatenate([np.cumsum(pitch[::-1])[::-1], [0.0]])


def _chosen(array: xr.DataArray, rois: int | str | Sequence[int | str] | None) -> list[int]:
    if rois is not None:
        return roi_positions(roi_names(array), rois)
    accepted = np.flatnonzero(accepted_rois(array))
    numbers = accepted if accepted.size else np.arange(array.sizes["roi"])
    return [int(number) for number in numbers[:_AT_MOST]]


def _medians(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of each line; 0 where it has no numbers."""
    numbers = [line[~np.isnan(line)] for line in lines]
    return np.array([np.median(line) if line.size else 0.0 for line in numbers], dtype=np.float64)


def _limit(ax: Axes, axis: FrameTimes, lines: NDArray[np.float64], baselines: NDArray[np.float64]) -> None:
    """Show all of the lines with a little room."""
    begin, end = float(axis.values[0]), float(axis.values[-1])
    room = 0.01 * (end - begin) if end > begin else axis.interval / 2
    drawn = np.concatenate([lines[~np.isnan(lines)], baselines])
    low, high = (float(drawn.min()), float(drawn.max())) if drawn.size else (0.0, 0.0)
    margin = 0.03 * (high - low) if high > low else 0.5
    ax.set(xlim=(begin - room, end + room), ylim=(low - margin, high + margin))


def _name_rows(ax: Axes, baselines: NDArray[np.float64], names: list[str]) -> None:
    """Write the names where the value axis would be; every so many where there are too many to read."""
    every = max(1, math.ceil(len(names) / _NAMED_ROWS))
    labels = [displayable(name, 16) for name in names[::every]]
    ax.set_yticks(baselines[::every], labels, fontsize="small", **LITERAL)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _mark_missing(ax: Axes, values: NDArray[np.float64], baselines: NDArray[np.float64]) -> None:
    for row in np.flatnonzero(np.isnan(values).all(axis=1)):
        ax.text(
            0.01,
            baselines[row],
            "no data",
            transform=ax.get_yaxis_transform(),
            va="center",
            fontsize="small",
            color=REJECTED,
        )


def _finish_time(ax: Axes, axis: FrameTimes, *, scale_bars: bool) -> None:
    if scale_bars:
        ax.set_xticks([])
        ax.spines["bottom"].set_visible(False)
    else:
        ax.set_xlabel(axis.label)


def _duration(axis: FrameTimes) -> float:
    return float(axis.values[-1] - axis.values[0]) or axis.interval


def _bar_height(baselines: NDArray[np.float64], lines: NDArray[np.float64]) -> float:
    """Choose a round value near the distance of two rows, or half of the range of a single one."""
    if baselines.size > 1:
        return round_length(max(float(np.median(-np.diff(baselines))), 0.1 * float(baselines[0])))
    numbers = lines[~np.isnan(lines)]
    spread = float(np.ptp(numbers)) if numbers.size else 0.0
    return round_length(spread / 2 if spread > 0 else 1.0)


def _heading(name: str, positions: list[int], names: tuple[str, ...]) -> str:
    shown = quantity(name)
    if len(positions) == 1:
        return f"{shown}, ROI {names[positions[0]]}"
    total = format_count(len(names), "ROI")
    return f"{shown}, {total}" if len(positions) == len(names) else f"{shown}, {len(positions)} of {total}"
