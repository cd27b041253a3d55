"""A figure of how good cells are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.errors import ArgumentError
from roitrace.units import format_count
from roitrace.view.given import require_kind
from roitrace.view.palette import BLUE, REJECTED
from roitrace.view.style import LITERAL, displayable, drawn_axes, set_heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_quality"]


def plot_quality(table: xr.Dataset, x: str = "noise", y: str = "peak_snr", *, ax: Axes | None = None) -> Axes:
    """Draw one measure of every cell against another; rejected cells are grey crosses.

    Parameters
    ----------
    table : Dataset
        From `roitrace.quality`, in memory; the coordinate ``accepted (roi)`` says who is a cell.
    x, y : str
        Two of its measures.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new pyplot figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        If the table has no such measure.

    Examples
    --------
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> table = xr.Dataset({"noise": ("roi", [1.0, 2.0]), "peak_snr": ("roi", [9.0, 4.0])})
    >>> plot_quality(table, ax=Figure().subplots()).get_title(loc="left")
    '2 ROIs'
    """
    require_kind(table, xr.Dataset, "the table", "give what roitrace.quality returns")
    for name in (x, y):
        if name not in table.data_vars:
            raise ArgumentError(
                f"the table has no measure {name!r}", f"it has {', '.join(map(str, table.data_vars))}"
            )
    count = table.sizes["roi"]
    accepted = (
        np.asarray(table["accepted"].values, dtype=np.bool_)
        if "accepted" in table.coords
        else np.ones(count, dtype=np.bool_)
    )
    ax = drawn_axes(ax, (5.6, 4.6))
    for chosen, shade, marker in ((~accepted, REJECTED, "x"), (accepted, BLUE, "o")):
        ax.scatter(
            table[x].values[chosen], table[y].values[chosen], s=16, c=shade, marker=marker, linewidths=0.8
        )
    for name, label in ((x, ax.set_xlabel), (y, ax.set_ylabel)):
        unit = str(table[name].attrs.get("units", "1"))
        words = table[name].attrs.get("long_name", name.replace("_", " "))
        label(displayable(words if unit == "1" else f"{words} ({unit})"), **LITERAL)
    ax.spines[["top", "right"]].set_visible(False)
    rejected = int(np.count_nonzero(~accepted))
    set_heading(ax, format_count(count, "ROI") + (f", {rejected} rejected (crosses)" if rejected else ""))
    return ax
