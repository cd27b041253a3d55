"""Weighted footprints as they come out of matrix factorisation: where they end, and how they become rows of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["Rows", "footprints_of_images", "footprints_of_sparse", "weights_or_none"]

Rows = tuple[tuple["NDArray[np.int64]", ...], tuple["NDArray[np.float64]", ...]]
"""Pixels (n, 2) of ``(y_index, x_index)`` and weights (n,) of each ROI."""


def footprints_of_images(images: Iterable[NDArray[Any]], support: float, what: str) -> Rows:
    """Return the pixels of footprints, each an image ``(y, x)``, that reach a part of their maximum.

    Examples
    --------
    >>> import numpy as np
    >>> pixels, weights = footprints_of_images([np.array([[0.1, 0.5, 1.0]])], 0.2, "A")
    >>> pixels[0].tolist(), weights[0].tolist()
    ([[0, 1], [0, 2]], [0.5, 1.0])
    """
    pixels, weights = [], []
    for number, image in enumerate(images):
        yx = np.argwhere(image)
        kept, values = _cut(image[yx[:, 0], yx[:, 1]], support, f"{what}: ROI {number}")
        pixels.append(yx[kept])
        weights.append(values)
    return tuple(pixels), tuple(weights)


def footprints_of_sparse(
    data: NDArray[Any],
    indices: NDArray[np.int64],
    indptr: NDArray[np.int64],
    shape: tuple[int, int],
    support: float,
    what: str,
) -> Rows:
    """Return the pixels of footprints that are columns of a sparse matrix whose rows are pixels of a frame, column after column.

    Parameters
    ----------
    data, indices, indptr : ndarray
        Column ``i`` has the values ``data[indptr[i]:indptr[i + 1]]`` at the rows `indices`.
    shape : tuple of int
        Height and width of the frame; row ``y + x * height`` is pixel (y, x), Fortran order.
    support : float
        Part of its maximum at which a footprint ends.
    what : str
        For messages.

    Raises
    ------
    FormatError
        If the matrix is damaged, or does not fit the frame.
    """
    height, width = shape
    sizes = np.diff(indptr)
    if (
        indptr.size == 0
        or indptr[0] != 0
        or (sizes < 0).any()
        or indptr[-1] != data.size
        or data.size != indices.size
    ):
        raise FormatError(f"{what} is a damaged sparse matrix", "copy the file again")
    if indices.size and not 0 <= indices.min() <= indices.max() < height * width:
        raise FormatError(
            f"{what} has rows from {indices.min()} to {indices.max()}, its frame of {height} x {width} has {height * width}",
            "copy the file again",
        )
    pixels, weights = [], []
    for number, (begin, end) in enumerate(zip(indptr[:-1].tolist(), indptr[1:].tolist(), strict=True)):
        flat, values = indices[begin:end], data[begin:end]
        flat, values = flat[values != 0], values[values != 0]
        kept, values = _cut(values, support, f"{what}: ROI {number}")
        x, y = np.divmod(flat[kept], height)
        pixels.append(np.stack([y, x], axis=1))
        weights.append(values)
    return tuple(pixels), tuple(weights)


def weights_or_none(weights: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], ...] | None:
    """Return weights; None where they all are 1 and say nothing."""
    return None if all((row == 1).all() for row in weights) else tuple(weights)


def _cut(values: NDArray[Any], support: float, what: str) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which of the non-zero values of a footprint belong to it, and these."""
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise FormatError(f"{what} has values that are no numbers", "check how it was made")
    values = values.astype(np.float64)
    # what matrix factorisation leaves below zero is no part of a cell
    kept = (values >= support * values.max(initial=0.0)) & (values > 0)
    return kept, values[kept]
