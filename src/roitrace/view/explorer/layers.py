"""What lies over the image: mask, outlines, shared pixels, weights, as columns that the page draws."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.view.edges import trace_outlines
from roitrace.view.explorer.frames import LARGEST_SIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from roitrace.rois import Rois
    from roitrace.view.pixel_grid import PixelGrid

__all__ = ["mask_layer", "outline_columns", "overlap_layer", "rois_at", "rois_within", "weights_layer"]


def mask_layer(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a mask for the screen, 1 where it is; of a large one, squares with any pixel count."""
    factor = -(-max(mask.shape) // LARGEST_SIDE)
    if factor > 1:
        height, width = (size // factor * factor for size in mask.shape)
        parts = mask[:height, :width].reshape(height // factor, factor, width // factor, factor)
        mask = np.asarray(parts.any(axis=(1, 3)))
    return mask.astype(np.uint8)


def overlap_layer(rois: Rois) -> NDArray[np.uint8]:
    """Return where pixels belong to more than one accepted ROI."""
    accepted = rois.where(rois.accepted)
    counts = np.bincount(accepted.pixels, minlength=rois.shape[0] * rois.shape[1])
    return mask_layer(counts.reshape(rois.shape) > 1)


def weights_layer(rois: Rois) -> NDArray[np.float32]:
    """Return the weights of the pixels as parts of the largest in their ROI, NaN outside; 1 everywhere without weights."""
    layer = np.full(rois.shape[0] * rois.shape[1], np.nan, dtype=np.float32)
    weights = np.ones(rois.pixels.size) if rois.weights is None else rois.weights
    for begin, end in pairwise(rois.indptr.tolist()):
        own = weights[begin:end]
        if own.size and own.max() > 0:
            layer[rois.pixels[begin:end]] = own / own.max()
    return layer.reshape(rois.shape)


def outline_columns(rois: Rois, grid: PixelGrid, chosen: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the outlines of accepted, rejected and chosen ROIs: columns ``xs``, ``ys``, ``names``, one line per ROI, loops parted by NaN."""
    outlines = trace_outlines(rois.indptr, rois.pixels, rois.shape)
    placed = grid.place(outlines.vertices)
    lines: list[list[NDArray[np.float64]]] = [[] for _ in range(len(rois))]
    for row, (begin, end) in zip(outlines.rows.tolist(), pairwise(outlines.indptr.tolist()), strict=True):
        lines[row] += [placed[begin:end], placed[begin : begin + 1], np.full((1, 2), np.nan)]
    parts: dict[str, dict[str, Any]] = {
        kind: {"xs": [], "ys": [], "names": []} for kind in ("accepted", "rejected", "chosen")
    }
    for number, line in enumerate(lines):
        kinds = ["accepted" if rois.accepted[number] else "rejected"]
        if rois.names[number] in chosen:
            kinds.append("chosen")
        for kind in kinds if line else ():
            whole = np.concatenate(line[:-1]) if line else np.zeros((0, 2))
            parts[kind]["xs"].append(whole[:, 0])
            parts[kind]["ys"].append(whole[:, 1])
            parts[kind]["names"].append(rois.names[number])
    return parts


def rois_at(rois: Rois, y: int, x: int) -> tuple[str, ...]:
    """Names of the ROIs that hold a pixel, the smallest first."""
    if not (0 <= y < rois.shape[0] and 0 <= x < rois.shape[1]):
        return ()
    entries = np.flatnonzero(rois.pixels == y * rois.shape[1] + x)
    rows = np.searchsorted(rois.indptr, entries, side="right") - 1
    return tuple(rois.names[row] for row in rows[np.argsort(rois.n_pixels[rows], kind="stable")])


def rois_within(rois: Rois, pixels: NDArray[np.int64]) -> tuple[str, ...]:
    """Names of the ROIs that have a pixel among these ``(n, 2)``."""
    wanted = np.zeros(rois.shape[0] * rois.shape[1], dtype=np.bool_)
    wanted[pixels[:, 0] * rois.shape[1] + pixels[:, 1]] = True
    rows = np.searchsorted(rois.indptr, np.flatnonzero(wanted[rois.pixels]), side="right") - 1
    return tuple(rois.names[row] for row in np.unique(rows))
