"""Figure of the pixels of one ROI over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.ticker import MaxNLocator

from roitrace.errors import ArgumentError
from roitrace.units import format_count
from roitrace.view.given import require_kind
from roitrace.view.grid import draw_colour_bar
from roitrace.view.palette import MISSING, robust_limits
from roitrace.view.selection import FrameTimes, frame_times, roi_positions
from roitrace.view.style import drawn_axes, set_heading, value_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_pixels"]

_COLUMNS = 2000
_ROWS = 2000


def plot_pixels(
    pixel_traces: xr.DataArray,
    *,
    roi: int | str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the pixel matrix of one ROI: a row per pixel, a column per frame, counts as colour.

    Only the pixels of the ROI are computed. Beyond 2000 frames a column is the mean of several, streamed from a
    lazy array, and the axis says of how many; beyond 2000 pixels so is a row.

    Parameters
    ----------
    pixel_traces : DataArray
        From `pixel_traces`: ``(pixel, time)``, lazy or in memory, with the name of its ROI along ``pixel``.
    roi : int or str, optional
        Position or name of the ROI. Not needed if there is only one.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new pyplot figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        If there are several ROIs and none is chosen, there is no such ROI, or there is nothing to draw.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from matplotlib.figure import Figure
    >>> matrix = xr.DataArray(np.eye(3, 5), dims=("pixel", "time"), coords={"roi": ("pixel", ["a", "a", "b"])})
    >>> plot_pixels(matrix, roi="a", ax=Figure().subplots()).get_title(loc="left")
    'ROI a: 2 pixels'
    """
    require_kind(pixel_traces, xr.DataArray, "the pixel matrix", "give what roitrace.pixel_traces returns")
    if set(pixel_traces.dims) != {"pixel", "time"}:
        raise ArgumentError(f"dims of the pixel traces are {pixel_traces.dims}, expected ('pixel', 'time')")
    matrix, name = _matrix_of(pixel_traces.transpose("pixel", "time"), roi)
    if 0 in matrix.shape:
        raise ArgumentError(
            f"the pixel matrix has {matrix.sizes['pixel']} pixels and {matrix.sizes['time']} frames",
            "choose a ROI with pixels and a recording with frames",
        )
    axis = frame_times(matrix)
    if not axis.even:
        # Columns are equally wide: with gaps only the frame number is true.
        axis = FrameTimes(np.arange(matrix.sizes["time"], dtype=np.float64), "frames")
    binned = math.ceil(matrix.sizes["time"] / _COLUMNS)
    together = math.ceil(matrix.sizes["pixel"] / _ROWS)
    shown = matrix.drop_vars([name for name in matrix.coords if name != "time"])
    if binned > 1 or together > 1:
        bins = {"time": binned, "pixel": together}
        shown = shown.astype(np.float64).coarsen(bins, boundary="pad").mean()
    values = np.asarray(shown.values, dtype=np.float64)
    ax = drawn_axes(ax, (9.0, 4.5))
    left = axis.values[0] - axis.interval / 2
    low, high = robust_limits(values)
    image = ax.imshow(
        values,
        cmap=mpl.colormaps["viridis"].with_extremes(bad=MISSING),
        vmin=low,
        vmax=high,
        aspect="auto",
        interpolation="none",
        extent=(left, left + values.shape[1] * binned * axis.interval, len(values) * together - 0.5, -0.5),
    )
    ax.set_xlim(left, left + matrix.sizes["time"] * axis.interval)
    draw_colour_bar(ax, image, value_label("fluorescence", pixel_traces.attrs))
    ax.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    ax.set(
        xlabel=axis.label + (f", means of {binned} frames" if binned > 1 else ""),
        ylabel="pixel, row by row" + (f", means of {together}" if together > 1 else ""),
    )
    ax.set_ylim(matrix.sizes["pixel"] - 0.5, -0.5)
    count = format_count(matrix.sizes["pixel"], "pixel")
    set_heading(ax, count if name is None else f"ROI {name}: {count}")
    return ax


def _matrix_of(pixel_traces: xr.DataArray, roi: int | str | None) -> tuple[xr.DataArray, str | None]:
    """Pixels of the chosen ROI, and its name if it has one."""
    if "roi" not in pixel_traces.coords:
        if roi is not None:
            raise ArgumentError(f"roi={roi!r} is asked, but the pixels do not say which ROI they belong to")
        return pixel_traces, None
    owner = np.atleast_1d(pixel_traces["roi"].values).astype(str)
    names = list(dict.fromkeys(owner.tolist()))
    if roi is None and len(names) > 1:
        raise ArgumentError(
            f"there are pixels of {len(names)} ROIs", f"choose one with roi=, for example roi={names[0]!r}"
        )
    if roi is None:
        return pixel_traces, names[0] if names else None
    name = names[roi_positions(names, roi)[0]]
    return pixel_traces.isel(pixel=np.flatnonzero(owner == name)), name
