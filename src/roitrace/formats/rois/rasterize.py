"""Shapes as the pixels that ImageJ gives them.

Pixel (x, y) covers the square from (x, y) to (x + 1, y + 1); it belongs to a shape that holds its centre. A centre on an outline is
inside at a right or upper edge and outside at a left or lower one, as ImageJ's polygon filler decides it, which shifts outlines by
1e-8 pixels to the right so that rounding cannot matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "MAX_PIXELS",
    "MAX_TOTAL_PIXELS",
    "oval_pixels",
    "polygon_pixels",
    "rectangle_pixels",
    "rounded_rectangle_pixels",
]

MAX_PIXELS = 2**22
"""Largest ROI that is read; a damaged file can claim any size."""
MAX_TOTAL_PIXELS = 2 * MAX_PIXELS
"""Pixels of all ROIs of a file."""
MAX_CROSSINGS = 2**21
"""Rows that the edges of an outline cross, together."""
TIE_SHIFT = 1e-8
FARTHEST = 2**24


def polygon_pixels(loops: Sequence[NDArray[np.floating] | NDArray[np.integer]]) -> NDArray[np.int64]:
    """Return the pixels inside closed outlines by the even-odd rule.

    Parameters
    ----------
    loops : sequence of array
        One array (n, 2) of ``(x, y)`` vertices per outline; the last vertex is joined to the first. A loop inside another is a hole;
        where a loop crosses itself, parts that are enclosed twice are outside.

    Returns
    -------
    ndarray
        Integers (m, 2) of ``(y_index, x_index)``, row-major, without duplicates; may be negative.

    Examples
    --------
    >>> import numpy as np
    >>> polygon_pixels([np.array([[0, 0], [2, 0], [2, 1], [0, 1]])]).tolist()
    [[0, 0], [0, 1]]
    """
    ends = [
        np.stack([loop, np.roll(loop, -1, axis=0)], axis=1).astype(np.float64)
        for loop in loops
        if len(loop) > 2
    ]
    if not ends:
        return np.zeros((0, 2), dtype=np.int64)
    edges = np.concatenate(ends)
    if not (np.abs(edges) < FARTHEST).all():
        raise FormatError(
            "an outline of a ROI has vertices that are no numbers, or too far away", "the file may be damaged"
        )
    upwards = edges[:, 0, 1] > edges[:, 1, 1]
    edges[upwards] = edges[upwards, ::-1]
    (x_top, y_top), (x_bottom, y_bottom) = edges[:, 0].T, edges[:, 1].T
    first, last = (
        np.ceil(y - 0.5).astype(np.int64) for y in (y_top, y_bottom)
    )  # rows whose centre an edge passes
    n_rows = last - first
    if n_rows.sum() > MAX_CROSSINGS:
        raise FormatError(
            f"the outline of a ROI crosses {n_rows.sum():,} rows, at most {MAX_CROSSINGS:,} are read",
            "the file may be damaged",
        )
    edge = np.repeat(np.arange(len(edges)), n_rows)
    row = first[edge] + _counting(n_rows)
    slope = np.divide(x_bottom - x_top, y_bottom - y_top, out=np.zeros(len(edges)), where=y_bottom > y_top)
    crossing = x_top[edge] + (row + 0.5 - y_top[edge]) * slope[edge]
    column = np.floor(crossing + TIE_SHIFT + 0.5).astype(
        np.int64
    )  # first pixel whose centre lies to the right
    order = np.lexsort((column, row))
    begin, end = column[order].reshape(-1, 2).T  # a closed outline crosses every row an even number of times
    return _spans(row[order][::2], begin, end)


def rectangle_pixels(left: int, top: int, width: int, height: int) -> NDArray[np.int64]:
    """Return the pixels ``(y_index, x_index)`` of a rectangle of whole pixels."""
    _check_size(max(width, 0) * max(height, 0))
    rows = np.arange(top, top + max(height, 0), dtype=np.int64)
    return _spans(rows, np.full(rows.size, left), np.full(rows.size, left + max(width, 0)))


def oval_pixels(left: int, top: int, width: int, height: int) -> NDArray[np.int64]:
    """Return the pixels ``(y_index, x_index)`` whose centre lies in the ellipse of a bounding rectangle.

    No centre can lie exactly on an ellipse of whole diameters.
    """
    return _centres_within(left, top, width, height, (width / 2, height / 2))


def rounded_rectangle_pixels(
    left: int, top: int, width: int, height: int, diameter: int
) -> NDArray[np.int64]:
    """Return the pixels ``(y_index, x_index)`` whose centre lies in a rectangle with corners rounded to a diameter."""
    return _centres_within(left, top, width, height, (min(diameter, width) / 2, min(diameter, height) / 2))


def _centres_within(
    left: int, top: int, width: int, height: int, radii: tuple[float, float]
) -> NDArray[np.int64]:
    """Pixels of a rectangle whose corners are quarters of an ellipse."""
    if width < 1 or height < 1:
        return np.zeros((0, 2), dtype=np.int64)
    _check_size(width * height)
    inside_corner = []
    for size, radius in ((height, radii[1]), (width, radii[0])):
        distance = np.abs(np.arange(size) + 0.5 - size / 2)
        inside_corner.append(np.maximum(distance - (size / 2 - radius), 0) / radius)
    y_part, x_part = inside_corner
    inside = y_part[:, np.newaxis] ** 2 + x_part**2 <= 1
    y, x = np.nonzero(inside)
    return np.stack([y + top, x + left], axis=1)


def _spans(row: NDArray[np.int64], begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels from `begin` to before `end` in each row."""
    lengths = end - begin
    _check_size(int(lengths.sum()))
    pixels = np.empty((int(lengths.sum()), 2), np.int64)
    pixels[:, 0] = np.repeat(row, lengths)
    starts = np.cumsum(lengths) - lengths
    pixels[:, 1] = np.arange(len(pixels))
    pixels[:, 1] += np.repeat(begin - starts, lengths)
    return pixels


def _counting(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ... up to each length, one after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if ends.size else 0
    return np.arange(total) - np.repeat(ends - lengths, lengths)


def _check_size(n_pixels: int) -> None:
    if n_pixels > MAX_PIXELS:
        raise FormatError(
            f"a ROI claims {n_pixels:,} pixels, at most {MAX_PIXELS:,} are read", "the file may be damaged"
        )
