"""Found cells against true cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.errors import AlignmentError, ArgumentError

if TYPE_CHECKING:
    import scipy.sparse
    from numpy.typing import NDArray

    from roitrace.rois import Rois

__all__ = ["match_rois"]


def match_rois(found: Rois, truth: Rois, *, iou: float = 0.5) -> xr.Dataset:
    """Pair found cells with true ones, one to one, by how much they overlap.

    Of all ways to pair ROIs whose intersection over union (IoU) is at least `iou`, the one with the largest
    total IoU (the assignment of the Hungarian method [1]_). Rejected ROIs take no part.

    Parameters
    ----------
    found, truth : Rois
        Of the same frame; each may overlap among themselves.
    iou : float
        Smallest IoU of a pair, above 0, at most 1.

    Returns
    -------
    Dataset
        Along ``pair``, in the order of `found`: ``found_index`` and ``truth_index`` (positions in the given Rois),
        ``found`` and ``truth`` (names) and ``iou``; ``precision`` (pairs per found ROI), ``recall`` (pairs per true
        ROI), ``n_found`` and ``n_truth``. Precision without found, and recall without true ROIs, are NaN.

    Raises
    ------
    ArgumentError
        For an `iou` outside its range.
    AlignmentError
        If the frames differ.

    Notes
    -----
    Sparse throughout: time and memory grow with the overlapping pairs, not with ``found * truth``.

    References
    ----------
    .. [1] H. W. Kuhn, Naval Research Logistics Quarterly 2, 83-97 (1955).

    Examples
    --------
    >>> import numpy as np
    >>> from roitrace.rois import Rois
    >>> truth = Rois.from_labels(np.array([[1, 1, 0, 2, 2]]))
    >>> found = Rois.from_labels(np.array([[0, 0, 7, 7, 7]]))
    >>> pairs = match_rois(found, truth)
    >>> pairs["truth"].values.tolist(), pairs["iou"].values.round(2).tolist(), float(pairs["recall"])
    (['2'], [0.67], 0.5)
    """
    if not 0 < iou <= 1:
        raise ArgumentError(f"iou={iou!r}, expected a number above 0, at most 1")
    if not found.frame.same_as(truth.frame):
        raise AlignmentError(
            f"the found ROIs are on a frame of {found.shape[0]} x {found.shape[1]} pixels, the true ones of "
            f"{truth.shape[0]} x {truth.shape[1]}, or their coordinates differ",
            "place one on the other's frame with rois.within(...)",
        )
    rows, columns, values = _assign(*_overlaps(found, truth, iou), (len(found), len(truth)))
    n_found, n_truth = int(found.accepted.sum()), int(truth.accepted.sum())
    return xr.Dataset(
        {
            "found_index": ("pair", rows),
            "truth_index": ("pair", columns),
            "found": ("pair", _names(found, rows)),
            "truth": ("pair", _names(truth, columns)),
            "iou": ("pair", values),
            "precision": ((), rows.size / n_found if n_found else np.nan),
            "recall": ((), rows.size / n_truth if n_truth else np.nan),
            "n_found": ((), n_found),
            "n_truth": ((), n_truth),
        },
        attrs={"iou_threshold": float(iou)},
    )


def _overlaps(
    found: Rois, truth: Rois, least: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """Positions and IoU of all accepted pairs that reach `least`."""
    shared = (_membership(found) @ _membership(truth).T).tocoo()
    rows, columns = shared.coords
    union = found.n_pixels[rows] + truth.n_pixels[columns] - shared.data
    iou = shared.data / union
    keep = (iou >= least) & found.accepted[rows] & truth.accepted[columns]
    return rows[keep], columns[keep], iou[keep]


def _membership(rois: Rois) -> scipy.sparse.csr_array:
    import scipy.sparse  # noqa: PLC0415

    ones = np.ones(rois.pixels.size, dtype=np.int64)
    return scipy.sparse.csr_array(
        (ones, rois.pixels, rois.indptr), shape=(len(rois), rois.shape[0] * rois.shape[1])
    )


def _assign(
    rows: NDArray[Any], columns: NDArray[Any], values: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Choose pairs, one to one, with the largest sum of values: group by group of ROIs that touch each other's."""
    import scipy.sparse  # noqa: PLC0415
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    size = sum(shape)
    graph = scipy.sparse.coo_array((np.ones(rows.size), (rows, columns + shape[0])), shape=(size, size))
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group[rows], kind="stable")
    borders = np.flatnonzero(np.diff(group[rows][order])) + 1
    chosen: list[NDArray[Any]] = []
    for edges in np.split(order, borders):
        left, left_index = np.unique(rows[edges], return_inverse=True)
        right, right_index = np.unique(columns[edges], return_inverse=True)
        gain = np.zeros((left.size, right.size))
        gain[left_index, right_index] = values[edges]
        edge = np.full(gain.shape, -1)
        edge[left_index, right_index] = edges
        pairs = edge[linear_sum_assignment(gain, maximize=True)]
        chosen.append(pairs[pairs >= 0])
    picked = np.concatenate(chosen)
    picked = picked[np.argsort(rows[picked])]
    return rows[picked].astype(np.int64), columns[picked].astype(np.int64), values[picked]


def _names(rois: Rois, numbers: NDArray[np.int64]) -> NDArray[Any]:
    return np.array([rois.names[number] for number in numbers], dtype=str)
