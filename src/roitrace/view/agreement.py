"""Figure of two statistics of the same ROIs against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.comparison import compare
from roitrace.errors import ArgumentError
from roitrace.units import format_count
from roitrace.view.envelope import envelope
from roitrace.view.naming import quantity
from roitrace.view.palette import BLUE, VERMILLION
from roitrace.view.selection import frame_times, in_memory, roi_names, roi_positions, shown_traces
from roitrace.view.style import LITERAL, displayable, drawn_axes, set_heading, split_axes, value_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

__all__ = ["plot_comparison"]

_STRETCHES = 2000
_VECTOR_DOTS = 4000
_FIRST, _SECOND = BLUE, VERMILLION


def plot_comparison(
    traces: xr.Dataset,
    roi: int | str | None = None,
    statistics: Sequence[str] = ("mean", "median"),
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw two statistics of the same pixels against each other, in counts, with the numbers that relate them.

    For one ROI: both traces over time, and beside them a dot per frame with the least-squares line of the second
    statistic on the first. For all ROIs: a dot per ROI at its levels in time average with the line of equality, and
    beside it the slope and the correlation of each ROI. The numbers are those of `compare`. A lazy Dataset is read
    once: of one ROI alone, or of all.

    Parameters
    ----------
    traces : Dataset
        From `extract`, lazy or in memory.
    roi : int or str, optional
        Position or name; all if not given.
    statistics : pair of str
        Names of two variables ``(roi, time)``.
    ax : matplotlib Axes, optional
        Its place is divided in two; by default a new pyplot figure is made.

    Returns
    -------
    matplotlib Axes
        The left one.

    Raises
    ------
    ArgumentError
        If there is no such statistic or ROI, or no frames.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> mean = np.arange(12.0).reshape(2, 6)
    >>> pair = xr.Dataset({"mean": (("roi", "time"), mean), "median": (("roi", "time"), 2 * mean + 3)})
    >>> print(plot_comparison(pair, roi=0, ax=Figure().subplots()).figure.axes[1].texts[0].get_text())
    slope 2.000
    offset 3
    r 1.000
    """
    if len(statistics) != 2:
        raise ArgumentError(
            f"statistics={tuple(statistics)!r}, expected two names", 'for example ("mean", "median")'
        )
    if not isinstance(traces, xr.Dataset):
        raise ArgumentError(
            f"the traces are a {type(traces).__name__}, expected a Dataset of several statistics",
            "give what extract returns",
        )
    first, second = (shown_traces(traces, name) for name in statistics)
    ax = drawn_axes(ax, (11.0, 4.2))
    if roi is None:
        _draw_all(split_axes(ax, (1.0, 1.0), gap=0.35), first, second)
    else:
        position = roi_positions(roi_names(first), roi)
        one = xr.Dataset({"first": first, "second": second}).isel(roi=position).compute()
        _draw_one(
            split_axes(ax, (1.9, 1.0), gap=0.35),
            one["first"].rename(first.name),
            one["second"].rename(second.name),
        )
    return ax


def _draw_one(axes: list[Axes], first: xr.DataArray, second: xr.DataArray) -> None:
    """Both traces of one ROI over time, and frame by frame against each other."""
    ax, beside = axes
    line = _line_between(first, second).isel(roi=0)
    axis = frame_times(first)
    values = [in_memory(first), in_memory(second)]
    marker = "." if axis.values.size == 1 else ""
    # the first line is wider, so that it shows beneath the second where they agree
    for row, array, shade, width in zip(values, (first, second), (_FIRST, _SECOND), (1.8, 0.7), strict=True):
        time, drawn = envelope(axis.values, row, _STRETCHES)
        ax.plot(time[0], drawn[0], color=shade, linewidth=width, marker=marker, label=_shown(array))
    room = 0.01 * float(np.ptp(axis.values)) or axis.interval / 2
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlim(axis.values[0] - room, axis.values[-1] + room)
    ax.set_xlabel(axis.label)
    ax.set_ylabel(value_label("fluorescence", first.attrs), **LITERAL)
    # Above the axes the legend covers no trace.
    legend = ax.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize="small", borderaxespad=0.2
    )
    for text in legend.get_texts():
        text.set(**LITERAL)
    set_heading(ax, f"ROI {roi_names(first)[0]}")

    (x,), (y,) = values
    beside.plot(
        x,
        y,
        ".",
        color="#666666",
        markersize=3,
        alpha=0.5,
        markeredgewidth=0,
        rasterized=x.size > _VECTOR_DOTS,
    )
    if np.isfinite(line["slope"]):
        ends = np.array([np.nanmin(x), np.nanmax(x)])
        beside.plot(ends, float(line["slope"]) * ends + float(line["offset"]), color="black", linewidth=1.2)
    _label_axes(beside, first, second)
    _write_numbers(beside, float(line["slope"]), float(line["offset"]), float(line["correlation"]))


def _draw_all(axes: list[Axes], first: xr.DataArray, second: xr.DataArray) -> None:
    """Levels of all ROIs against each other, and how each ROI's statistics follow one another."""
    ax, beside = axes
    lines = _line_between(first, second)
    levels = lines["first_level"].values, lines["second_level"].values
    dots: dict[str, Any] = {
        "marker": ".",
        "linestyle": "none",
        "color": _FIRST,
        "alpha": 0.6,
        "markersize": 6,
        "markeredgewidth": 0,
    }
    ax.plot(*levels, **dots)
    numbers = np.concatenate(levels)
    numbers = numbers[np.isfinite(numbers)]
    if numbers.size:
        ends = [float(numbers.min()), float(numbers.max())]
        ax.plot(ends, ends, color="#666666", linewidth=0.9, linestyle="dashed", zorder=1)
    _label_axes(ax, first, second, of="time average of ")
    set_heading(ax, f"{format_count(lines.sizes['roi'], 'ROI')}, dashed: equal")

    slope, r = lines["slope"].values, lines["correlation"].values
    beside.plot(slope, r, **dots)
    beside.axvline(1.0, color="#666666", linewidth=0.9, linestyle="dashed", zorder=1)
    beside.spines[["top", "right"]].set_visible(False)
    beside.set_xlabel(f"slope of {_shown(second)} on {_shown(first)}", **LITERAL)
    beside.set_ylabel("correlation r")
    known = np.isfinite(slope) & np.isfinite(r)
    if known.any():
        middle = [float(np.median(lines[name].values[known])) for name in ("slope", "offset", "correlation")]
        set_heading(beside, "medians: slope {:.3f}, offset {:.3g}, r {:.3f}".format(*middle))
    else:
        set_heading(beside, "no ROI varies in both")


def _line_between(first: xr.DataArray, second: xr.DataArray) -> xr.Dataset:
    """Slope, offset and correlation of the second traces on the first, and both averages over time, per ROI."""
    pair = xr.Dataset({"first": first, "second": second})
    line = compare(pair, against="first", statistics=["second"], window=None, smoothing=None).isel(
        statistic=0
    )
    both = (abs(first) < np.inf) & (abs(second) < np.inf)
    count = both.sum("time")
    levels = {
        f"{name}_level": trace.where(both, 0.0).sum("time") / count.where(count > 0)
        for name, trace in pair.items()
    }
    return line[["slope", "offset", "correlation"]].assign(levels).compute()


def _label_axes(ax: Axes, first: xr.DataArray, second: xr.DataArray, of: str = "") -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlabel(of + value_label(str(first.name), first.attrs), **LITERAL)
    ax.set_ylabel(of + value_label(str(second.name), second.attrs), **LITERAL)


def _shown(array: xr.DataArray) -> str:
    return displayable(quantity(str(array.name)))


def _write_numbers(ax: Axes, slope: float, offset: float, r: float) -> None:
    """Write the line's numbers into the upper corner that its dots leave free."""
    text = "no line: one of\nthem is constant"
    if np.isfinite(r):
        text = f"slope {slope:.3f}\noffset {offset:.3g}\nr {r:.3f}"
    falls = r < 0
    ax.text(
        0.97 if falls else 0.03,
        0.98,
        text,
        transform=ax.transAxes,
        ha="right" if falls else "left",
        va="top",
        fontsize="small",
    )
