"""The outlines of a set of pixels: closed loops along pixel edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Edge = tuple[int, int, int]  # x, y of the corner where it begins, and its heading

__all__ = ["pixel_outlines"]

STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # east, south, west, north, as (x, y)


def pixel_outlines(yx: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """Return loops that enclose exactly the given pixels by the even-odd rule.

    Outer outlines and holes are loops of their own; pixels that touch at a corner only are separate parts.

    Parameters
    ----------
    yx : ndarray
        Integers (n, 2) of ``(y_index, x_index)``, without duplicates.

    Returns
    -------
    list of ndarray
        One (n, 2) array of ``(x, y)`` pixel corners per loop: those where it turns, the first one not repeated.

    Examples
    --------
    >>> import numpy as np
    >>> pixel_outlines(np.array([[0, 0], [0, 1]]))[0].tolist()
    [[0, 0], [2, 0], [2, 1], [0, 1]]
    """
    edges = _edges(np.asarray(yx, dtype=np.int64).reshape(-1, 2))
    unused = set(edges)
    loops = []
    for first in edges:
        if first in unused:
            loop = _follow(first, unused)
            corners = [
                edge[:2]
                for before, edge in zip([loop[-1], *loop], loop, strict=False)
                if before[2] != edge[2]
            ]
            loops.append(np.array(corners, dtype=np.int64))
    return loops


def _edges(yx: NDArray[np.int64]) -> list[Edge]:
    """Return every pixel edge that borders the outside, headed so that its pixel lies to the right."""
    if not len(yx):
        return []
    top, left = yx.min(axis=0)
    mask = np.zeros(yx.max(axis=0) - (top, left) + 3, dtype=np.bool_)
    mask[tuple((yx - (top, left) + 1).T)] = True
    edges = []
    neighbours = ((-1, 0), (0, 1), (1, 0), (0, -1))  # of the edges headed east, south, west, north
    corners = ((0, 0), (0, 1), (1, 1), (1, 0))  # of the pixel, where they begin
    for heading, (step, corner) in enumerate(zip(neighbours, corners, strict=True)):
        border = mask & ~np.roll(mask, (-step[0], -step[1]), axis=(0, 1))
        y, x = np.nonzero(border)
        y, x = y + top - 1 + corner[0], x + left - 1 + corner[1]
        edges += [(one, other, heading) for one, other in zip(x.tolist(), y.tolist(), strict=True)]
    return sorted(edges)


def _follow(first: Edge, unused: set[Edge]) -> list[Edge]:
    """Walk along edges from the first one until it comes round again."""
    loop = []
    edge = first
    while True:
        unused.remove(edge)
        loop.append(edge)
        x, y, heading = edge
        x, y = x + STEPS[heading][0], y + STEPS[heading][1]
        # turning right first stays with the same pixel where two pixels touch at a corner
        onward = ((x, y, (heading + turn) % 4) for turn in (1, 0, 3))
        edge = next(edge for edge in onward if edge in unused or edge == first)
        if edge == first:
            return loop
