"""What a hand draws -> pixels: a box, an outline, the cell under a click."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError
from roitrace.formats.rois.rasterize import polygon_pixels
from roitrace.labelling import components
from roitrace.threshold import threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.view.pixel_grid import PixelGrid

__all__ = ["cell_at", "pixels_of_shape"]

_TOO_FEW = ArgumentError("nothing of that lies on the image", "draw over the image")


def pixels_of_shape(geometry: dict[str, Any], grid: PixelGrid) -> NDArray[np.int64]:
    """Return the pixels ``(n, 2)`` of a box or an outline whose centres it encloses.

    Parameters
    ----------
    geometry : dict
        As Bokeh gives it: ``x0, x1, y0, y1`` of a box, or lists ``x`` and ``y`` of the vertices, in data units.
    grid : PixelGrid
        The pixels.

    Raises
    ------
    ArgumentError
        If it encloses none.
    """
    if geometry["type"] == "rect":
        x = np.array([geometry["x0"], geometry["x1"], geometry["x1"], geometry["x0"]], dtype=np.float64)
        y = np.array([geometry["y0"], geometry["y0"], geometry["y1"], geometry["y1"]], dtype=np.float64)
    else:
        x, y = (np.asarray(list(geometry[axis]), dtype=np.float64) for axis in "xy")
    corners = np.stack([x, y], axis=1)
    # shapes count pixels from their corners, the grid from their centres
    loop = (corners - np.array(grid.origin[::-1])) / np.array(grid.step[::-1]) + 0.5
    height, width = grid.shape
    pixels = polygon_pixels([np.clip(loop, 0, (width, height))])
    inside = ((pixels >= 0) & (pixels < (height, width))).all(axis=1)
    if not inside.any():
        raise _TOO_FEW
    return pixels[inside]


def cell_at(image: NDArray[np.float64], y: int, x: int, diameter: float) -> NDArray[np.int64]:
    """Return the pixels ``(n, 2)`` of the bright piece under a point: Otsu's level in the disc of 2 diameters around it.

    Only pixels within one diameter of the point that hang together with it belong to the piece; on a dark point, with the brightest
    pixel nearby.

    Parameters
    ----------
    image : numpy.ndarray
        ``(y, x)``.
    y, x : int
        The pixel.
    diameter : float
        Of a cell, pixels.

    Raises
    ------
    ArgumentError
        If the point lies off the image, or nothing around it stands out.

    Examples
    --------
    >>> image = np.zeros((9, 9)); image[3:6, 3:6] = 10
    >>> len(cell_at(image, 4, 4, 4.0))
    9
    """
    height, width = image.shape
    if not (0 <= y < height and 0 <= x < width):
        raise _TOO_FEW
    rows, columns = np.ogrid[:height, :width]
    distance = np.hypot(rows - y, columns - x)
    around = distance <= diameter
    if not np.isfinite(image[around]).any() or np.nanmin(image[around]) == np.nanmax(image[around]):
        raise ArgumentError("nothing stands out around that point", "click on a cell, or draw it")
    bright = threshold(image, "otsu", within=around).values & (distance <= diameter)
    near = distance <= max(1.5, diameter / 4)
    candidates = bright & near
    if not candidates.any():
        raise ArgumentError("that point is dark among its surroundings", "click on a cell, or draw it")
    labels = components(bright, 1)
    seed = (
        (y, x)
        if bright[y, x]
        else np.unravel_index(np.argmax(np.where(candidates, image, -np.inf)), image.shape)
    )
    return np.argwhere(labels == labels[seed])
