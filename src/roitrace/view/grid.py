"""Where the pixels of a frame lie on the axes of a figure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from roitrace.errors import AlignmentError
from roitrace.view.scale_bar import draw_length_bar
from roitrace.view.style import MISSING, leave_room, robust_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

    from roitrace.frame import Frame

__all__ = [
    "PixelGrid",
    "draw_colour_bar",
    "draw_image",
    "finish_grid_axes",
    "points_per_pixel",
    "require_same_frame",
]

# Up to this size an image is shown pixel by pixel (and embedded so in vector files); beyond it, smoothed.
_EXACT_UP_TO = 1024


@dataclass(frozen=True)
class PixelGrid:
    """An evenly spaced pixel grid in data units.

    Attributes
    ----------
    shape : tuple of int
        Height and width, pixels.
    origin, step : tuple of float
        Centre of pixel (0, 0) and distance to the next, ``(y, x)``.
    unit : str
        ``"µm"`` or ``"pixels"``.
    """

    shape: tuple[int, int]
    origin: tuple[float, float]
    step: tuple[float, float]
    unit: str

    @classmethod
    def of(cls, frame: Frame) -> PixelGrid:
        """Grid of a frame; one whose rows or columns are unevenly spaced is drawn by index."""
        steps = [_even_step(centres) for centres in frame.centres]
        if not frame.labelled or None in steps or min(frame.shape) == 0:
            return cls(frame.shape, (0.0, 0.0), (1.0, 1.0), "pixels")
        # An axis of one pixel has no spacing of its own: its pixel is drawn square.
        y_step, x_step = steps[0] or abs(steps[1] or 1.0), steps[1] or abs(steps[0] or 1.0)
        y, x = frame.centres
        unit = "µm" if frame.units == "micrometer" else "pixels"
        return cls(frame.shape, (float(y[0]), float(x[0])), (y_step, x_step), unit)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Outer pixel edges: left, right, bottom, top."""
        (y, x), (y_step, x_step), (height, width) = self.origin, self.step, self.shape
        return x - x_step / 2, x + (width - 0.5) * x_step, y + (height - 0.5) * y_step, y - y_step / 2

    def window(self, rows: slice, columns: slice) -> PixelGrid:
        """Grid of a part of the frame."""
        y, x = rows.start, columns.start
        origin = self.origin[0] + y * self.step[0], self.origin[1] + x * self.step[1]
        return replace(self, shape=(rows.stop - y, columns.stop - x), origin=origin)

    def place(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn ``(x_index, y_index)`` of shape (n, 2), pixel centres at integers, into data units."""
        placed: NDArray[np.float64] = xy * np.array(self.step[::-1]) + np.array(self.origin[::-1])
        return placed


def require_same_frame(first: Frame, second: Frame, what: str, image: str) -> None:
    """Refuse to draw one thing over another of a different frame.

    Raises
    ------
    AlignmentError
        If the frames differ.
    """
    if not first.same_as(second):
        raise AlignmentError(
            f"{what} is {first.shape[0]} x {first.shape[1]} pixels, {image} {second.shape[0]} x {second.shape[1]}, "
            "and their y and x are not the same",
            "draw both on the same frame",
        )


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


def _even_step(centres: NDArray[np.float64]) -> float | None:
    """Spacing of pixel centres; 0 for a single one, None if uneven."""
    if centres.size < 2:
        return 0.0
    step = float(centres[-1] - centres[0]) / (centres.size - 1)
    return step if step and np.allclose(np.diff(centres), step, rtol=1e-3, atol=0) else None
