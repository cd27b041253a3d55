"""Sparse rows of pixels, as plain arrays: put in order, checked, compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import scipy.sparse
    from numpy.typing import ArrayLike, NDArray

__all__ = ["check_weights", "flat_pixels", "listed", "nearest_groups", "overlap_matrix", "shared_fraction"]


def flat_pixels(
    given: ArrayLike, shape: tuple[int, int], off_frame: str, what: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Return ascending flat indices of ``(y_index, x_index)`` pairs, which pairs were kept, and the order of these.

    Raises
    ------
    ArgumentError
        If they are no pairs of integers, twice there, or, with `off_frame` ``"raise"``, outside the frame.
    """
    yx = np.asarray(given)
    if yx.size == 0:
        yx = np.zeros((0, 2), dtype=np.int64)
    if yx.ndim != 2 or yx.shape[1] != 2 or not np.issubdtype(yx.dtype, np.integer):
        raise ArgumentError(
            f"{what} is an array of {yx.dtype} with shape {yx.shape}, expected integers (n, 2): y_index, x_index"
        )
    yx = yx.astype(np.int64)
    keep = np.all((yx >= 0) & (yx < np.asarray(shape)), axis=1)
    if off_frame == "raise" and not keep.all():
        y, x = yx[~keep][0]
        raise ArgumentError(
            f"{what} has {np.count_nonzero(~keep)} pixels outside the frame of {shape[0]} x {shape[1]}, the first at "
            f"y_index {y}, x_index {x}",
            "check the axis order, or drop them with off_frame='drop'",
        )
    flat = yx[keep, 0] * shape[1] + yx[keep, 1]
    order = np.argsort(flat, kind="stable")
    flat = flat[order]
    repeated = np.flatnonzero(np.diff(flat) == 0)
    if repeated.size:
        y, x = divmod(int(flat[repeated[0]]), shape[1])
        raise ArgumentError(f"{what} lists the pixel y_index {y}, x_index {x} twice", "give each pixel once")
    return flat, keep, order


def check_weights(weights: NDArray[np.float64], indptr: NDArray[np.int64], names: Sequence[str]) -> None:
    """Refuse weights that are negative, infinite or NaN, and rows of zeros, naming the ROIs."""
    bad = ~np.isfinite(weights) | (weights < 0)
    rows = np.repeat(np.arange(len(names)), np.diff(indptr))
    if bad.any():
        wrong = np.unique(rows[bad])
        raise ArgumentError(
            f"weights of {listed([names[n] for n in wrong.tolist()])} hold negative, infinite or NaN values",
            "weights must be finite and >= 0",
        )
    totals = np.bincount(rows, weights, len(names))
    empty = np.flatnonzero((totals == 0) & (np.diff(indptr) > 0))
    if empty.size:
        raise ArgumentError(
            f"all weights of {listed([names[n] for n in empty.tolist()])} are 0",
            "drop these ROIs or weight them otherwise",
        )


def overlap_matrix(
    indptr: NDArray[np.int64], pixels: NDArray[np.int64], n_pixels: int
) -> scipy.sparse.csr_array[Any]:
    """Count the shared pixels of every two rows, sparse (row, row); the diagonal holds the areas."""
    import scipy.sparse  # noqa: PLC0415

    ones = np.ones(pixels.size, dtype=np.int64)
    member = scipy.sparse.csr_array((ones, pixels, indptr), shape=(indptr.size - 1, n_pixels))
    return scipy.sparse.csr_array(member @ member.T)


def shared_fraction(
    indptr: NDArray[np.int64], pixels: NDArray[np.int64], n_pixels: int
) -> NDArray[np.float64]:
    """Return which part of each row's pixels belongs to another row too; NaN where it has none."""
    sizes = np.diff(indptr)
    members = np.bincount(pixels, minlength=n_pixels)
    rows = np.repeat(np.arange(sizes.size), sizes)
    shared = np.bincount(rows[members[pixels] > 1], minlength=sizes.size)
    fraction: NDArray[np.float64] = np.full(sizes.size, np.nan)
    np.divide(shared, sizes, out=fraction, where=sizes > 0)
    return fraction


def nearest_groups(pixels: NDArray[np.int64], width: int, count: int) -> NDArray[np.int64]:
    """Divide flat pixels into compact groups 0..count-1 (k-means), from centres spaced along their longest axis.

    Examples
    --------
    >>> nearest_groups(np.array([0, 1, 2, 7, 8, 9]), 10, 2).tolist()
    [0, 0, 0, 1, 1, 1]
    """
    from scipy.cluster.vq import kmeans2  # noqa: PLC0415

    yx = np.stack(np.divmod(pixels, width), axis=1).astype(np.float64)
    offsets = yx - yx.mean(axis=0)
    _, _, axes = np.linalg.svd(offsets, full_matrices=False)
    ranks = np.argsort(offsets @ axes[0], kind="stable")
    seeds = yx[ranks[((np.arange(count) + 0.5) * pixels.size / count).astype(np.int64)]]
    _, nearest = kmeans2(yx, seeds, minit="matrix")
    _, group = np.unique(nearest, return_inverse=True)
    return group.astype(np.int64)


def listed(values: Sequence[object], limit: int = 5) -> str:
    """Write a few values for a person.

    Examples
    --------
    >>> listed([1, 2, 3, 4, 5, 6, 7])
    '1, 2, 3, 4, 5 and 2 more'
    """
    shown = ", ".join(str(value) for value in values[:limit])
    return shown if len(values) <= limit else f"{shown} and {len(values) - limit} more"
