"""Mask arrays -> components, holes, pieces: pure functions of NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["components", "edge_distance", "enclosed", "in_raster_order", "split_components"]


def components(mask: NDArray[np.bool_], connectivity: int) -> NDArray[np.int32]:
    """Label the connected components of a mask ``(y, x)``, 1..n in raster order of their first pixel.

    Examples
    --------
    >>> components(np.array([[1, 0, 1], [0, 1, 0]], dtype=bool), 1).tolist()
    [[1, 0, 2], [0, 3, 0]]
    """
    import scipy.ndimage  # noqa: PLC0415

    labels = np.zeros(mask.shape, dtype=np.int32)
    scipy.ndimage.label(mask, scipy.ndimage.generate_binary_structure(2, connectivity), output=labels)
    return labels


def enclosed(mask: NDArray[np.bool_], largest: float) -> NDArray[np.bool_]:
    """Mark the background areas of at most `largest` pixels that the mask keeps from the border.

    Background is connected by edges, where the mask's components touch by corners too.

    Examples
    --------
    >>> enclosed(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=bool), 4).astype(int).tolist()
    [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    """
    labels = components(~mask, 1)
    hole = np.bincount(labels.ravel()) <= largest
    border = np.ones(mask.shape, dtype=np.bool_)
    border[1:-1, 1:-1] = False
    hole[labels[border]] = False
    hole[0] = False
    return hole[labels]


def edge_distance(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance of each pixel, in pixels, to the nearest one outside the mask; off the image counts as outside."""
    import scipy.ndimage  # noqa: PLC0415

    distance: NDArray[np.float64] = scipy.ndimage.distance_transform_edt(np.pad(mask, 1))
    return distance[1:-1, 1:-1]


def in_raster_order(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Renumber labels 1..n by their first pixel, row by row; 0 stays.

    Examples
    --------
    >>> in_raster_order(np.array([[0, 7, 3], [3, 3, 7]], dtype=np.int32)).tolist()
    [[0, 1, 2], [2, 2, 1]]
    """
    present, first = np.unique(labels, return_index=True)
    present = present[np.argsort(first)]
    present = present[present > 0]
    number = np.zeros(labels.max(initial=0) + 1, dtype=np.int32)
    number[present] = np.arange(1, present.size + 1)
    return number[labels]


def split_components(
    labels: NDArray[np.int32], surface: NDArray[np.float64], min_distance: int, connectivity: int
) -> NDArray[np.int32]:
    """Split labelled components along the valleys of a surface, by watershed from its peaks.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(y, x)``, at least one component.
    surface : numpy.ndarray
        ``(y, x)``, finite, high in the middle of cells.
    min_distance : int
        Smallest distance of two peaks of a component along either axis, pixels.
    connectivity : {1, 2}
        That of the components.

    Returns
    -------
    numpy.ndarray
        Labels 1..n in raster order of the first pixel; every labelled pixel stays labelled.
    """
    import scipy.ndimage  # noqa: PLC0415
    from skimage.feature import peak_local_max  # noqa: PLC0415
    from skimage.segmentation import watershed  # noqa: PLC0415

    seeds = peak_local_max(surface, min_distance=min_distance, labels=labels, exclude_border=False)
    seeded = np.zeros(labels.max() + 1, dtype=np.bool_)
    seeded[labels[tuple(seeds.T)]] = True
    # a flat component has no peak, but stays a component
    flat = np.flatnonzero(~seeded[1:]) + 1
    if flat.size:
        highest = scipy.ndimage.maximum_position(surface, labels, flat)
        seeds = np.concatenate([seeds, np.asarray(highest, dtype=np.int64)])
    markers = np.zeros(labels.shape, dtype=np.int32)
    markers[tuple(seeds.T)] = np.arange(1, len(seeds) + 1)
    touching = scipy.ndimage.generate_binary_structure(2, connectivity)
    pieces = watershed(-surface, markers, mask=labels > 0, connectivity=touching)
    return in_raster_order(pieces)
