"""Figures of ROIs on their frame: which is which, and how each pixel is weighted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patheffects import withStroke

from roitrace.errors import ArgumentError
from roitrace.frame import frame_of, image_values
from roitrace.rois import Rois, as_rois
from roitrace.units import format_count
from roitrace.view.edges import trace_outlines
from roitrace.view.given import require_kind
from roitrace.view.grid import draw_colour_bar, draw_image, finish_grid_axes, points_per_pixel
from roitrace.view.outlines import draw_outlines, outline_width, paths_of_rois
from roitrace.view.palette import REJECTED, REJECTED_ON_IMAGE, colour
from roitrace.view.pixel_grid import PixelGrid, require_same_frame
from roitrace.view.selection import roi_positions
from roitrace.view.style import LITERAL, displayable, drawn_axes, set_heading

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

__all__ = ["plot_rois", "plot_weights", "uncrowded"]

_SMALLEST_NAME, _LARGEST_NAME = 5.0, 7.5  # points
_CELL_POINTS = 2.0  # how finely places are booked for labels


def plot_rois(
    rois: Rois | xr.DataArray | ArrayLike,
    image: xr.DataArray | ArrayLike | None = None,
    *,
    ax: Axes | None = None,
    labels: bool = True,
    scale_bar: bool = True,
) -> Axes:
    """Draw a map of ROIs with their names: accepted ones solid and coloured, rejected ones dashed and grey.

    Outlines are vectors along the exact pixel edges, thousands of them in seconds. The colour of a ROI follows from
    its position and is the same in `plot_traces`. A name that would cover another one is left out, all of them
    where the ROIs are smaller than the type; the title then says how many are shown.

    Parameters
    ----------
    rois : Rois or DataArray or array_like
        ROIs, or a mask (one ROI) or label image.
    image : DataArray or array_like, optional
        Projection of the same frame, in memory. Without it the ROIs are filled, so that overlaps show.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new pyplot figure.
    labels : bool
        Write the names.
    scale_bar : bool
        Draw a scale bar instead of axes where the pixel size is known.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    LazyInputError
        If the image is not computed yet.
    AlignmentError
        If ROIs and image are of different frames.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> ax = plot_rois(np.array([[1, 1, 0], [0, 2, 2]]), ax=Figure().subplots())
    >>> ax.get_title(loc="left")
    '2 ROIs'
    """
    cells = as_rois(rois)
    grid, background = _underlay(cells, image)
    ax = drawn_axes(ax, (7.0, 6.5))
    if background is not None:
        draw_image(ax, background, grid)
    outlines = trace_outlines(cells.indptr, cells.pixels, grid.shape)
    paths = paths_of_rois(outlines, grid, len(cells))
    pixel = points_per_pixel(ax, grid)
    grey = REJECTED if background is None else REJECTED_ON_IMAGE
    for accepted in (False, True):
        chosen = np.flatnonzero(cells.accepted == accepted)
        draw_outlines(
            ax,
            [paths[number] for number in chosen],
            [colour(int(number)) for number in chosen] if accepted else grey,
            "accepted" if accepted else "rejected",
            width=outline_width(pixel),
            rim=background is not None,
            dashed=not accepted,
            filled=background is None,
        )
    finish_grid_axes(ax, grid, scale_bar=scale_bar)
    named = _draw_names(ax, cells, grid, pixel, on_image=background is not None) if labels else None
    set_heading(ax, _map_heading(cells, named))
    return ax


def plot_weights(
    rois: Rois,
    roi: int | str | Sequence[int | str] | None = None,
    image: xr.DataArray | ArrayLike | None = None,
    *,
    ax: Axes | None = None,
    scale_bar: bool = True,
) -> Axes:
    """Draw the weights of the pixels of one, several or all ROIs as a map with a colour bar.

    One ROI shows its weights as they are, and its effective number of pixels, (sum w)^2 / sum w^2. Several show each
    pixel's weight as a fraction of its ROI's largest; a shared pixel shows the larger one.

    Parameters
    ----------
    rois : Rois
        ROIs with weights.
    roi : int or str or sequence, optional
        Positions or names; the map is then cropped to them. All if not given.
    image : DataArray or array_like, optional
        Projection of the same frame, in memory, shown around the ROIs.
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
        If the ROIs have no weights, or there is no such ROI.
    LazyInputError
        If the image is not computed yet.
    AlignmentError
        If ROIs and image are of different frames.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> rois = Rois.from_masks(np.array([[[0.0, 1.0], [3.0, 0.0]]]), names=["soma"])
    >>> plot_weights(rois, ax=Figure().subplots()).get_title(loc="left")
    'ROI soma: 2 pixels, effectively 1.6'
    """
    require_kind(rois, Rois, "rois", "give Rois with weights: roitrace.pixel_weights(rois, by=...)")
    if rois.weights is None:
        raise ArgumentError(
            "these ROIs have no weights", "make some with roitrace.pixel_weights(rois, by=...)"
        )
    cells = rois if roi is None else rois[roi_positions(rois.names, roi)]
    grid, background = _underlay(cells, image)
    rows, columns = _window_around(cells) if roi is not None else _whole(grid)
    part = grid.window(rows, columns)
    relative = len(cells) != 1
    weights = _weight_image(cells, relative=relative)[rows, columns]
    ax = drawn_axes(ax, (7.0, 5.8))
    if background is not None:
        draw_image(ax, background[rows, columns], part)
    largest = float(np.nanmax(weights, initial=0.0)) or 1.0
    missing = "none" if background is not None else "#F2F2F2"
    picture = draw_image(ax, weights, part, colour_map="viridis", limits=(0.0, largest), missing=missing)
    draw_colour_bar(ax, picture, "weight (fraction of the ROI's largest)" if relative else "weight")
    outlines = trace_outlines(cells.indptr, cells.pixels, grid.shape)
    edge = "#555555" if background is None else "white"
    draw_outlines(ax, paths_of_rois(outlines, grid, len(cells)), edge, "roi outlines", width=0.8)
    finish_grid_axes(ax, part, scale_bar=scale_bar)
    set_heading(ax, _weights_heading(cells))
    return ax


def _underlay(
    rois: Rois, image: xr.DataArray | ArrayLike | None
) -> tuple[PixelGrid, NDArray[np.generic] | None]:
    """Grid of the ROIs, and the image beneath them if there is one."""
    if image is None:
        return PixelGrid.of(rois.frame), None
    values = image_values(image)
    frame = frame_of(image)
    require_same_frame(rois.frame, frame, "the frame of the ROIs", "the image")
    return PixelGrid.of(rois.frame if rois.frame.labelled else frame), values


def _draw_names(ax: Axes, rois: Rois, grid: PixelGrid, pixel: float, *, on_image: bool) -> int:
    """Write the names that have room at the centroids; return how many."""
    filled = np.flatnonzero(rois.n_pixels)
    if filled.size == 0:
        return 0
    numbers = np.repeat(np.arange(len(rois)), rois.n_pixels)
    y, x = np.divmod(rois.pixels, grid.shape[1])
    counts = rois.n_pixels[filled]
    centres = np.stack([np.bincount(numbers, axis, len(rois))[filled] / counts for axis in (x, y)], axis=1)
    names = [displayable(rois.names[number], 10) for number in filled]
    diameter = pixel * 2 * float(np.sqrt(np.median(counts) / np.pi))
    if diameter < _SMALLEST_NAME:
        return 0
    size = min(max(0.4 * diameter, _SMALLEST_NAME), _LARGEST_NAME)
    widths = np.array([0.62 * size * len(name) for name in names])
    shown = uncrowded(centres * pixel, widths, 1.1 * size)
    grey = REJECTED_ON_IMAGE if on_image else "#666666"
    halo = [withStroke(linewidth=1.6, foreground="black" if on_image else "white")]
    for number, place, name, fits in zip(filled, grid.place(centres), names, shown, strict=True):
        if fits:
            ax.text(
                place[0],
                place[1],
                name,
                color=("white" if on_image else "black") if rois.accepted[number] else grey,
                fontsize=size,
                ha="center",
                va="center_baseline",
                clip_on=True,
                path_effects=halo,
                **LITERAL,
            )
    return int(shown.sum())


def uncrowded(centres: NDArray[np.float64], widths: NDArray[np.float64], height: float) -> NDArray[np.bool_]:
    """Choose, first come first served, the labels that cover none chosen before; all lengths in points.

    Examples
    --------
    >>> import numpy as np
    >>> uncrowded(np.array([[10.0, 10.0], [12.0, 10.0], [40.0, 10.0]]), np.array([8.0, 8.0, 8.0]), 7.0).tolist()
    [True, False, True]
    """
    reach = np.stack([widths, np.full_like(widths, height)], axis=1) / 2
    first = centres - reach
    low = np.floor((first - first.min(axis=0)) / _CELL_POINTS).astype(np.int64)
    high = low + np.ceil(2 * reach / _CELL_POINTS).astype(np.int64)
    taken = np.zeros(high.max(axis=0), dtype=np.bool_)
    chosen = np.zeros(len(centres), dtype=np.bool_)
    for number, ((left, top), (right, bottom)) in enumerate(zip(low, high, strict=True)):
        if not taken[left:right, top:bottom].any():
            taken[left:right, top:bottom] = True
            chosen[number] = True
    return chosen


def _map_heading(rois: Rois, named: int | None) -> str:
    heading = format_count(len(rois), "ROI")
    rejected = int(np.count_nonzero(~rois.accepted))
    if rejected:
        heading += f", {rejected:,} rejected (dashed)"
    if named is not None and named < np.count_nonzero(rois.n_pixels):
        heading += f", {named:,} named" if named else ", too small here for names"
    return heading


def _weights_heading(rois: Rois) -> str:
    if len(rois) != 1:
        return f"weights of {format_count(len(rois), 'ROI')}"
    weights = rois.row_weights(0)
    if weights.size == 0:
        return f"ROI {rois.names[0]}: no pixels"
    effective = weights.sum() ** 2 / np.square(weights).sum()
    return f"ROI {rois.names[0]}: {format_count(weights.size, 'pixel')}, effectively {effective:.1f}"


def _weight_image(rois: Rois, *, relative: bool) -> NDArray[np.float64]:
    """Weights as an image, NaN where no ROI is; a shared pixel shows the largest."""
    weights = rois.weights if rois.weights is not None else np.zeros(0)
    if relative:
        largest = np.array([rois.row_weights(number).max(initial=0.0) for number in range(len(rois))])
        weights = weights / np.repeat(largest, rois.n_pixels)
    image = np.full(rois.shape[0] * rois.shape[1], -np.inf)
    np.maximum.at(image, rois.pixels, weights)
    image[np.isneginf(image)] = np.nan
    return image.reshape(rois.shape)


def _whole(grid: PixelGrid) -> tuple[slice, slice]:
    return slice(0, grid.shape[0]), slice(0, grid.shape[1])


def _window_around(rois: Rois) -> tuple[slice, slice]:
    """Rows and columns of the ROIs with a margin; the whole frame if they have no pixels."""
    if rois.pixels.size == 0:
        return slice(0, rois.shape[0]), slice(0, rois.shape[1])
    window = []
    for index, size in zip(np.divmod(rois.pixels, rois.shape[1]), rois.shape, strict=True):
        low, high = int(index.min()), int(index.max()) + 1
        margin = max(3, (high - low) // 3)
        window.append(slice(max(low - margin, 0), min(high + margin, size)))
    return window[0], window[1]
