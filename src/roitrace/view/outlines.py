"""Outlines of pixel sets as paths of a figure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.path import Path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from roitrace.view.edges import Outlines
    from roitrace.view.pixel_grid import PixelGrid

__all__ = ["draw_outlines", "outline_width", "paths_of_loops", "paths_of_rois"]


def paths_of_loops(outlines: Outlines, grid: PixelGrid) -> list[Path]:
    """One closed path per loop, in data units."""
    placed = grid.place(outlines.vertices)
    return [_closed([placed[a:b]]) for a, b in pairwise(outlines.indptr)]


def paths_of_rois(outlines: Outlines, grid: PixelGrid, count: int) -> list[Path]:
    """One path per ROI, holes and separate parts included, in data units; empty for an empty ROI."""
    placed = grid.place(outlines.vertices)
    loops = [placed[a:b] for a, b in pairwise(outlines.indptr)]
    bounds = np.searchsorted(outlines.rows, np.arange(count + 1))
    return [_closed(loops[a:b]) for a, b in pairwise(bounds)]


def draw_outlines(
    ax: Axes,
    paths: list[Path],
    colours: str | list[str],
    kind: str,
    *,
    width: float,
    rim: bool = False,
    dashed: bool = False,
    filled: bool = False,
) -> None:
    """Draw closed paths as one collection with the id `kind`, in lines of `width` points.

    A dark rim sets them off against any image.
    """
    if rim:
        under = PathCollection(
            paths, facecolors="none", edgecolors="#000000A0", linewidths=2 * width, gid=f"{kind} rim"
        )
        ax.add_collection(under, autolim=False)
    several = [colours] if isinstance(colours, str) else colours
    lines = PathCollection(
        paths,
        facecolors=[(one, 0.33) for one in several] if filled else "none",
        edgecolors=several,
        linewidths=width,
        linestyles=[(0, (3, 1.5))] if dashed else "solid",
        gid=kind,
    )
    ax.add_collection(lines, autolim=False)


def outline_width(pixel: float) -> float:
    """Width of outlines, points, where a pixel measures `pixel` points: thin enough to leave it visible."""
    return min(max(0.7 * pixel, 0.3), 1.1)


def _closed(loops: list[NDArray[np.float64]]) -> Path:
    """One path of several closed loops."""
    if not loops:
        return Path(np.zeros((0, 2)))
    vertices = np.concatenate([np.concatenate([loop, loop[:1]]) for loop in loops])
    codes = np.full(len(vertices), Path.LINETO, dtype=Path.code_type)
    ends = np.cumsum([len(loop) + 1 for loop in loops])
    codes[ends - 1] = Path.CLOSEPOLY
    codes[np.concatenate([[0], ends[:-1]])] = Path.MOVETO
    return Path(vertices, codes)
