"""Figures of images: a mask over its projection, projections side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from matplotlib.colors import ListedColormap

from roitrace.errors import ArgumentError
from roitrace.frame import frame_of, image_values
from roitrace.units import format_count
from roitrace.view.edges import trace_outlines
from roitrace.view.given import require_kind
from roitrace.view.grid import draw_colour_bar, draw_image, finish_grid_axes, points_per_pixel
from roitrace.view.naming import quantity, shown_name
from roitrace.view.outlines import draw_outlines, outline_width, paths_of_loops
from roitrace.view.palette import BLUE, ORANGE
from roitrace.view.pixel_grid import PixelGrid, require_same_frame
from roitrace.view.style import drawn_axes, set_heading, split_axes, value_label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

__all__ = ["plot_mask", "plot_projections"]


def plot_mask(
    mask: xr.DataArray | ArrayLike,
    image: xr.DataArray | ArrayLike | None = None,
    *,
    ax: Axes | None = None,
    color: str | None = None,
    scale_bar: bool = True,
) -> Axes:
    """Draw the outlines of a mask over a projection.

    The outlines are vectors along the exact pixel edges. The contrast of the image ends at its 0.5 and 99.7
    percentiles; the title names method and level of the threshold where the mask knows them, and the colour bar
    marks the level.

    Parameters
    ----------
    mask : DataArray or array_like
        Boolean image ``(y, x)``, in memory.
    image : DataArray or array_like, optional
        Projection of the same frame, in memory. Without it the mask itself is filled.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new pyplot figure.
    color : str, optional
        Colour of the outlines; by default orange over an image, blue without one.
    scale_bar : bool
        Draw a scale bar instead of axes where the pixel size is known.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    LazyInputError
        If mask or image are not computed yet.
    ArgumentError
        If the mask is not boolean.
    AlignmentError
        If mask and image are of different frames.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> image = np.arange(12.0).reshape(3, 4)
    >>> ax = plot_mask(image > 5, image, ax=Figure().subplots())
    >>> len(ax.collections[0].get_paths())
    1
    """
    inside = image_values(mask, "the mask")
    if inside.dtype != np.bool_:
        raise ArgumentError(
            f"the mask has dtype {inside.dtype}, expected bool",
            "compare it with a level first, or use plot_rois for a label image",
        )
    frame = frame_of(mask)
    background = None
    if image is not None:
        background = image_values(image)
        require_same_frame(frame, frame_of(image), "the mask", "the image")
        frame = frame if frame.labelled else frame_of(image)
    grid = PixelGrid.of(frame)
    attrs: Mapping[str, Any] = mask.attrs if isinstance(mask, xr.DataArray) else {}
    level = _level(attrs)
    shade = color if color is not None else (BLUE if background is None else ORANGE)
    ax = drawn_axes(ax, (7.0, 6.0))
    if background is None:
        ax.imshow(
            inside,
            cmap=ListedColormap(["white", "#CFE6F5"]),
            vmin=0,
            vmax=1,
            extent=grid.extent,
            interpolation="none",
        )
    else:
        bar = draw_colour_bar(ax, draw_image(ax, background, grid), _image_label(image))
        low, high = bar.ax.get_ylim()
        if level is not None and low <= level <= high:
            bar.ax.axhline(level, color=shade, linewidth=2)
    pixels = np.flatnonzero(inside)
    outlines = trace_outlines(np.array([0, pixels.size]), pixels, grid.shape)
    draw_outlines(
        ax,
        paths_of_loops(outlines, grid),
        shade,
        "mask outlines",
        rim=background is not None,
        width=outline_width(points_per_pixel(ax, grid)),
    )
    finish_grid_axes(ax, grid, scale_bar=scale_bar)
    set_heading(ax, _mask_heading(attrs, inside))
    return ax


def plot_projections(
    projections: xr.Dataset,
    names: Sequence[str] | None = None,
    *,
    ax: Axes | None = None,
    scale_bar: bool = True,
) -> list[Axes]:
    """Draw projections side by side, each with its own contrast and colour bar.

    Parameters
    ----------
    projections : Dataset
        Images ``(y, x)``, in memory; other variables are left out.
    names : sequence of str, optional
        Which ones, in this order; all if not given.
    ax : matplotlib Axes, optional
        Its place is divided among the images; by default a new pyplot figure is made.
    scale_bar : bool
        Draw scale bars instead of axes where the pixel size is known.

    Returns
    -------
    list of matplotlib Axes
        One per image.

    Raises
    ------
    LazyInputError
        If a projection is not computed yet.
    ArgumentError
        If there is no such image.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> movie = np.arange(24.0).reshape(2, 3, 4)
    >>> images = xr.Dataset({"mean": (("y", "x"), movie.mean(0)), "max": (("y", "x"), movie.max(0))})
    >>> [ax.get_title(loc="left") for ax in plot_projections(images, ax=Figure().subplots())]
    ['mean', 'max']
    """
    require_kind(projections, xr.Dataset, "the projections", "give what roitrace.project returns, computed")
    known = [str(name) for name, image in projections.data_vars.items() if image.dims == ("y", "x")]
    wanted = known if names is None else list(names)
    missing = [name for name in wanted if name not in known]
    if missing or not wanted:
        raise ArgumentError(
            f"there is no projection {missing[0]!r}" if missing else "there is no projection to draw",
            f"projections are {', '.join(known) or 'none: make some with roitrace.project'}",
        )
    images = {name: image_values(projections[name], f"projection {name}") for name in wanted}
    count = len(images)
    ax = drawn_axes(ax, (min(4.4 * count, 12.5), 3.9 if count > 1 else 6.0))
    axes = split_axes(ax, [1.0] * count)
    for one, (name, values) in zip(axes, images.items(), strict=True):
        grid = PixelGrid.of(frame_of(projections[name]))
        image = draw_image(one, values, grid)
        draw_colour_bar(one, image, _image_label(projections[name]))
        finish_grid_axes(one, grid, scale_bar=scale_bar)
        set_heading(one, quantity(name))
    return axes


def _image_label(image: xr.DataArray | ArrayLike | None) -> str:
    if not isinstance(image, xr.DataArray):
        return "fluorescence (counts)"
    return value_label(shown_name(image, "fluorescence"), image.attrs)


def _mask_heading(attrs: Mapping[str, Any], inside: NDArray[np.bool_]) -> str:
    """How the mask was made, and how much of the frame it covers."""
    share = f"{inside.mean():.1%} of the frame" if inside.size else "empty frame"
    if "method" not in attrs:
        return f"mask: {share}"
    heading = str(attrs["method"]).replace("_", " ")
    level, comparison = _level(attrs), attrs.get("comparison", ">")
    if level is not None:
        heading += f": image {comparison} {level:.6g}"
    elif "level_min" in attrs and "level_max" in attrs:
        heading += f": local levels {attrs['level_min']:.4g} to {attrs['level_max']:.4g}"
    elif "regions" in attrs:
        heading += f": a level in each of {format_count(np.size(attrs['regions']), 'region')}"
    cleaned = ", cleaned" if "cleaned" in attrs else ""
    return f"{heading}{cleaned}, {share}"


def _level(attrs: Mapping[str, Any]) -> float | None:
    """Return the level of a global threshold; None for local ones or where the mask does not say."""
    level = attrs.get("level")
    if isinstance(level, float | int | np.number) and math.isfinite(level):
        return float(level)
    return None
