"""Figures of neuropil: the ring around a cell, and what subtracting it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.errors import ArgumentError
from roitrace.frame import frame_of, image_values
from roitrace.rois import Rois
from roitrace.view.edges import trace_outlines
from roitrace.view.envelope import envelope
from roitrace.view.given import require_kind, require_variables
from roitrace.view.grid import draw_image, finish_grid_axes
from roitrace.view.outlines import draw_outlines, paths_of_rois
from roitrace.view.palette import BLUE, GREEN, ORANGE
from roitrace.view.pixel_grid import PixelGrid, require_same_frame
from roitrace.view.selection import frame_times, in_memory, roi_names, roi_positions
from roitrace.view.style import LITERAL, drawn_axes, set_heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

__all__ = ["plot_correction", "plot_neuropil"]

_MARGIN = 4  # pixels
_STRETCHES = 2000
_SHOWN = (("f", "F", BLUE), ("fneu", "Fneu", ORANGE), ("fcorr", "Fcorr", GREEN))


def plot_neuropil(
    rois: Rois,
    rings: Rois,
    roi: int | str,
    image: xr.DataArray | ArrayLike | None = None,
    *,
    ax: Axes | None = None,
    scale_bar: bool = True,
) -> Axes:
    """Draw a cell, its ring of neuropil, and the other cells that the ring leaves out.

    Parameters
    ----------
    rois : Rois
        All cells of the frame.
    rings : Rois
        Their neuropil, from `roitrace.neuropil`.
    roi : int or str
        Position or name of the cell.
    image : DataArray or array_like, optional
        Projection ``(y, x)`` of the same frame, in memory.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new pyplot figure.
    scale_bar : bool
        Draw a scale bar instead of axes where the pixel size is known.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        If there is no such ROI, or the rings are of others.
    LazyInputError
        If the image is not computed yet.
    AlignmentError
        If ROIs and image are of different frames.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from roitrace.neuropil import neuropil
    >>> from roitrace.rois import Rois
    >>> cell = Rois.from_pixels([[(9, 9), (9, 10)]], shape=(20, 20))
    >>> plot_neuropil(cell, neuropil(cell, min_pixels=60), 0, ax=Figure().subplots()).get_title(loc="left")
    'ROI 1: 2 pixels, neuropil of 222'
    """
    for cells, what in ((rois, "the cells"), (rings, "the neuropil")):
        require_kind(cells, Rois, what, "give Rois, and what roitrace.neuropil(rois) returns")
    if rings.names != rois.names:
        raise ArgumentError(
            f"there are {len(rois)} ROIs and {len(rings)} rings, or their names differ",
            "give the neuropil of these ROIs",
        )
    number = roi_positions(rois.names, roi)[0]
    near = np.concatenate([rois.row(number), rings.row(number)])
    y, x = np.divmod(near, rois.shape[1])
    rows, columns = (
        slice(max(0, int(at.min(initial=size)) - _MARGIN), int(at.max(initial=0)) + _MARGIN + 1)
        for at, size in ((y, rois.shape[0]), (x, rois.shape[1]))
    )
    grid = PixelGrid.of(rois.frame)
    part = grid.window(rows, columns)
    ax = drawn_axes(ax, (6.0, 5.6))
    if image is not None:
        values = image_values(image)
        require_same_frame(rois.frame, frame_of(image), "the frame of the ROIs", "the image")
        draw_image(ax, values[rows, columns], part)
    for cells, chosen, shade, kind, filled in (
        (rois, [one for one in range(len(rois)) if one != number], "#C8C8C8", "other cells", False),
        (rings, [number], ORANGE, "neuropil", True),
        (rois, [number], BLUE, "cell", False),
    ):
        outlines = trace_outlines(cells.indptr, cells.pixels, grid.shape)
        paths = paths_of_rois(outlines, grid, len(cells))
        draw_outlines(ax, [paths[one] for one in chosen], shade, kind, width=1.1, filled=filled)
    finish_grid_axes(ax, part, scale_bar=scale_bar)
    sizes = rois.n_pixels[number], rings.n_pixels[number]
    set_heading(ax, f"ROI {rois.names[number]}: {sizes[0]} pixels, neuropil of {sizes[1]}")
    return ax


def plot_correction(corrected: xr.Dataset, roi: int | str = 0, *, ax: Axes | None = None) -> Axes:
    """Draw F, Fneu and Fcorr of one cell, in counts.

    Parameters
    ----------
    corrected : Dataset
        From `roitrace.correct_neuropil`; lazy or in memory.
    roi : int or str
        Position or name of the cell.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new pyplot figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        If there is no such ROI, or it is no such Dataset.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from matplotlib.figure import Figure
    >>> from roitrace.neuropil_correction import correct_neuropil
    >>> f = xr.DataArray(np.full((1, 9), 10.0), dims=("roi", "time"), name="mean")
    >>> plot_correction(correct_neuropil(f, f / 2), ax=Figure().subplots()).get_title(loc="left")
    'ROI 0: r = 0.70'
    """
    again = "give what correct_neuropil returns"
    require_kind(corrected, xr.Dataset, "the corrected traces", again)
    require_variables(corrected, [*(name for name, *_ in _SHOWN), "r"], "the Dataset", again)
    names = roi_names(corrected["f"])
    number = roi_positions(names, roi)[0]
    own = corrected.isel(roi=[number])
    axis = frame_times(corrected["f"])
    ax = drawn_axes(ax, (9.0, 3.6))
    for name, label, shade in _SHOWN:
        time, lines = envelope(axis.values, in_memory(own[name]), _STRETCHES)
        ax.plot(time[0], lines[0], color=shade, linewidth=0.9, label=label)
    ax.set_xlabel(axis.label)
    ax.set_ylabel("counts", **LITERAL)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(
        frameon=False, ncols=len(_SHOWN), loc="lower right", bbox_to_anchor=(1.0, 0.99), fontsize="small"
    )
    set_heading(ax, f"ROI {names[number]}: r = {float(own['r'].values[0]):.2f}")
    return ax
