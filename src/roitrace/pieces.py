"""Contrast -> pieces like a cell: each basin cut at many levels, and of pieces that overlap the one most like a disc."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roitrace.labelling import in_raster_order
from roitrace.threshold import clean_mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from roitrace.cell_diameter import Disc

__all__ = ["Piece", "cut_basins", "is_bright", "most_like_the_disc", "pieces_like"]

_HIGHEST_LEVEL = 0.9  # of a cell's peak: above it, noise decides what is left


@dataclass(frozen=True)
class Piece:
    """Pixels that may be a cell.

    Attributes
    ----------
    pixels : numpy.ndarray
        Flat indices, ascending.
    overlap : float
        Intersection over union with the disc around its centroid.
    level : float
        Contrast at which it was cut.
    source : int
        Number of the image that it was cut from.
    """

    pixels: NDArray[np.int64]
    overlap: float
    level: float
    source: int = 0


def cut_basins(
    contrast: NDArray[np.float64],
    basins: NDArray[np.int32],
    level: float,
    *,
    n_levels: int,
    hole: int,
    opening: int,
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float64]]]:
    """Cut every basin at a level of its own, lowest first: labels of the pieces, and the level at each pixel."""
    import scipy.ndimage  # noqa: PLC0415

    count = int(basins.max(initial=0))
    if count == 0:
        return
    peak = np.full(count + 1, level)
    peak[1:] = scipy.ndimage.maximum(contrast, basins, np.arange(1, count + 1))
    for height in np.linspace(0, _HIGHEST_LEVEL, int(n_levels)):
        levels = level + height * (peak - level)[basins]
        mask = clean_mask((contrast > levels) & (basins > 0), fill_holes=hole, opening=opening).values
        yield _components_within(np.where(mask, basins, 0)), levels


def _components_within(basins: NDArray[np.int32]) -> NDArray[np.int32]:
    """Label the connected parts of each basin."""
    from skimage.measure import label  # noqa: PLC0415

    labels: NDArray[np.int32] = label(basins, connectivity=2).astype(np.int32)
    return labels


def pieces_like(
    labels: NDArray[np.int32], levels: NDArray[np.float64], disc: Disc, min_overlap: float, source: int = 0
) -> Iterator[Piece]:
    """Yield the labelled pieces that share at least `min_overlap` with a disc around their centroid."""
    pixels = np.flatnonzero(labels)
    pixels = pixels[np.argsort(labels.ravel()[pixels], kind="stable")]
    piece = labels.ravel()[pixels] - 1
    y, x = np.divmod(pixels, labels.shape[1])
    area = np.bincount(piece)
    centre_y, centre_x = np.bincount(piece, y) / area, np.bincount(piece, x) / area
    shared = np.bincount(piece[disc.holds(y - centre_y[piece], x - centre_x[piece])], minlength=area.size)
    overlap = shared / (area + disc.pixels_in(labels.shape, centre_y, centre_x) - shared)
    end = np.cumsum(area)
    for number in np.flatnonzero(overlap >= min_overlap):
        own = pixels[end[number] - area[number] : end[number]]
        yield Piece(own, float(overlap[number]), float(levels.ravel()[own[0]]), source)


def is_bright(piece: Piece, contrast: NDArray[np.float64], least: float, least_of_one: float) -> bool:
    """Whether the mean is at least `least`, and what pixel noise gives over as many pixels as the piece has."""
    mean = float(contrast.ravel()[piece.pixels].mean())
    return mean >= least and mean * math.sqrt(piece.pixels.size) >= least_of_one


def most_like_the_disc(pieces: Iterable[Piece], shape: tuple[int, int]) -> dict[str, NDArray[np.generic]]:
    """Take pieces that do not overlap, best first.

    Returns
    -------
    dict
        Images ``(y, x)``: ``labels`` (int32, 1..n in raster order, 0 elsewhere), ``overlap`` and ``level`` (float64, NaN
        elsewhere), ``source`` (int32, -1 elsewhere).
    """
    labels, source = np.zeros(shape, dtype=np.int32), np.full(shape, -1, dtype=np.int32)
    overlap, level = np.full(shape, np.nan), np.full(shape, np.nan)
    count = 0
    for piece in sorted(pieces, key=lambda one: -one.overlap):
        if labels.ravel()[piece.pixels].any():
            continue
        count += 1
        labels.ravel()[piece.pixels] = count
        overlap.ravel()[piece.pixels] = piece.overlap
        level.ravel()[piece.pixels] = piece.level
        source.ravel()[piece.pixels] = piece.source
    return {"labels": in_raster_order(labels), "overlap": overlap, "level": level, "source": source}
