"""Images on the axes of a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from roitrace.view.palette import MISSING, robust_limits
from roitrace.view.scale_bar import draw_length_bar
from roitrace.view.style import leave_room

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

    from roitrace.view.pixel_grid import PixelGrid

__all__ = [
    "draw_colour_bar",
    "draw_image",
    "finish_grid_axes",
    "points_per_pixel",
]

# Up to this size an image is shown pixel by pixel (and embedded so in vector files); beyond it, smoothed.
_EXACT_UP_TO = 1024


def points_per_pixel(ax: Axes, grid: PixelGrid) -> float:
    """How many typographic points a pixel of the grid will measure on `ax`, which shows all of it; 1 if none."""
    if 0 in grid.shape:
        return 1.0
    box = ax.get_window_extent()
    height, width = grid.shape[0] * abs(grid.step[0]), grid.shape[1] * abs(grid.step[1])
    points = 72 / ax.figure.dpi * min(box.height / height, box.width / width)
    return points * min(abs(grid.step[0]), abs(grid.step[1]))


def draw_image(
    ax: Axes,
    values: NDArray[np.generic],
    grid: PixelGrid,
    *,
    colour_map: str = "gray",
    limits: tuple[float, float] | None = None,
    missing: str = MISSING,
) -> AxesImage:
    """Draw an image ``(y, x)`` on its grid; NaN shows the colour `missing`."""
    low, high = robust_limits(values) if limits is None else limits
    return ax.imshow(
        values,
        cmap=mpl.colormaps[colour_map].with_extremes(bad=missing),
        vmin=low,
        vmax=high,
        extent=grid.extent,
        interpolation="none" if max(grid.shape) <= _EXACT_UP_TO else "auto",
    )


def finish_grid_axes(ax: Axes, grid: PixelGrid, *, scale_bar: bool) -> None:
    """Show the whole grid, row 0 on top, with a scale bar or with labelled axes."""
    left, right, bottom, top = grid.extent
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    if scale_bar and grid.unit == "µm":
        ax.set(xticks=[], yticks=[])
        draw_length_bar(ax, left, right, grid.unit)
    else:
        ax.set(xlabel=f"x ({grid.unit})", ylabel=f"y ({grid.unit})")


def draw_colour_bar(ax: Axes, image: AxesImage, label: str) -> Colorbar:
    """Draw a colour bar as high as the axes, with arrow heads where values lie beyond it."""
    leave_room(ax, 0.14)
    values = np.ma.masked_invalid(np.ma.asarray(image.get_array()).astype(np.float64)).compressed()
    low, high = image.get_clim()
    beyond = bool((values < low).any()), bool((values > high).any())
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(beyond, "neither")
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.02, 0, 0.035, 1)), extend=extend, extendfrac=0.03)
    bar.set_label(label, parse_math=False)
    bar.outline.set_linewidth(0.5)
    return bar
