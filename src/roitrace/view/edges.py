"""Outlines of pixel sets along the exact pixel edges, for many ROIs at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Outlines", "trace_outlines"]

# Directions of travel, y down: right, down, left, up. The pixel lies on the right-hand side of its edge, so each edge
# begins at this corner of the pixel, and the neighbour beyond it decides whether it is drawn.
_CORNER = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
_BEYOND = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])
_TRAVEL = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])


@dataclass(frozen=True)
class Outlines:
    """Closed loops of straight pixel edges.

    Attributes
    ----------
    vertices : numpy.ndarray
        Corners of all loops, ``(x_index, y_index)``, shape (n, 2); pixel centres are integers, so corners are halves.
    indptr : numpy.ndarray
        Loop ``i`` owns ``vertices[indptr[i]:indptr[i + 1]]``. Outer edges run clockwise on screen, holes the other way.
    rows : numpy.ndarray
        Which ROI each loop belongs to, ascending.
    """

    vertices: NDArray[np.float64]
    indptr: NDArray[np.int64]
    rows: NDArray[np.int64]


def trace_outlines(indptr: NDArray[np.int64], pixels: NDArray[np.int64], shape: tuple[int, int]) -> Outlines:
    """Follow the pixel edges around each ROI.

    Pixels that touch only at a corner get loops of their own.

    Parameters
    ----------
    indptr, pixels : numpy.ndarray
        As in `Rois`: flat pixel indices, ascending within each ROI.
    shape : tuple of int
        Height and width of the frame.

    Examples
    --------
    >>> import numpy as np
    >>> trace_outlines(np.array([0, 2]), np.array([0, 1]), (2, 2)).vertices.tolist()
    [[-0.5, -0.5], [1.5, -0.5], [1.5, 0.5], [-0.5, 0.5]]
    """
    n_corners = (shape[0] + 1) * (shape[1] + 1)
    begin, end, direction = _edges(indptr, pixels, shape)
    codes = begin * 4 + direction
    order = np.argsort(codes)
    codes, end, direction = codes[order], end[order], direction[order]
    following = np.full(codes.size, -1, dtype=np.int64)
    # A right turn first: it stays with the same pixel where two meet at a corner.
    for turn in (1, 0, 3):
        wanted = end * 4 + (direction + turn) % 4
        place = np.minimum(np.searchsorted(codes, wanted), codes.size - 1)
        found = (following < 0) & (codes[place] == wanted) if codes.size else np.zeros(0, dtype=np.bool_)
        following[found] = place[found]
    walk, starts = _cycles(following)
    previous_direction = np.empty_like(direction)
    previous_direction[following] = direction
    corner = (direction != previous_direction)[walk]
    kept = walk[corner]
    sizes = np.add.reduceat(corner, starts, dtype=np.int64) if starts.size else np.zeros(0, dtype=np.int64)
    y, x = np.divmod(codes[kept] // 4 % n_corners, shape[1] + 1)
    return Outlines(
        vertices=np.stack([x, y], axis=1) - 0.5,
        indptr=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        rows=codes[walk[starts]] // 4 // n_corners,
    )


def _edges(
    indptr: NDArray[np.int64], pixels: NDArray[np.int64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """All edges between a pixel of a ROI and one outside: corner it begins at, corner it ends at, direction."""
    height, width = shape
    rows = np.repeat(np.arange(indptr.size - 1, dtype=np.int64), np.diff(indptr))
    y, x = np.divmod(pixels, width)
    keys = rows * height * width + pixels
    begins, ends, directions = [], [], []
    for number in range(4):
        y_next, x_next = y + _BEYOND[number, 0], x + _BEYOND[number, 1]
        wanted = rows * height * width + y_next * width + x_next
        place = np.minimum(np.searchsorted(keys, wanted), max(keys.size - 1, 0))
        on_frame = (y_next >= 0) & (y_next < height) & (x_next >= 0) & (x_next < width)
        open_side = ~(on_frame & (keys[place] == wanted))
        corner_y, corner_x = y + _CORNER[number, 0], x + _CORNER[number, 1]
        corner = (rows * (height + 1) + corner_y) * (width + 1) + corner_x
        begins.append(corner[open_side])
        ends.append(corner[open_side] + _TRAVEL[number, 0] * (width + 1) + _TRAVEL[number, 1])
        directions.append(np.full(np.count_nonzero(open_side), number, dtype=np.int64))
    return np.concatenate(begins), np.concatenate(ends), np.concatenate(directions)


def _cycles(following: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Walk a permutation cycle by cycle: the elements in order, and where each cycle begins."""
    successor = following.tolist()
    seen = bytearray(len(successor))
    walk: list[int] = []
    starts: list[int] = []
    for first in range(len(successor)):
        if seen[first]:
            continue
        starts.append(len(walk))
        edge = first
        while not seen[edge]:
            seen[edge] = 1
            walk.append(edge)
            edge = successor[edge]
    return np.array(walk, dtype=np.int64), np.array(starts, dtype=np.int64)
