"""What becomes of pixels that belong to several ROIs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from roitrace.choices import OVERLAP_RULES
from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import scipy.sparse
    from numpy.typing import NDArray

    from roitrace.rois import Rois

__all__ = [
    "Mixture",
    "Unmixing",
    "check_rule",
    "overlap_rules",
    "rule_allows",
    "settle",
    "shares",
]

_ALLOWED = {
    "split": frozenset({"mean", "weighted_mean", "weighted_median", "split_half"}),
    "least_squares": frozenset({"mean", "weighted_mean"}),
}


def rule_allows(rule: str, kind: str) -> bool:
    """Whether a kind of statistic has a meaning under a rule."""
    return rule not in _ALLOWED or kind in _ALLOWED[rule]


def check_rule(rule: str, kinds: Iterable[str]) -> None:
    """Refuse kinds of statistics that have no meaning under a rule.

    Raises
    ------
    ArgumentError
        Naming the first one.
    """
    for kind in kinds:
        if not rule_allows(rule, kind):
            raise ArgumentError(
                f"overlap={rule!r} gives pixels to several ROIs in parts, which {kind!r} cannot take",
                f"ask for {', '.join(sorted(_ALLOWED[rule]))}, or for overlap='keep', 'exclude' or 'nearest'",
            )


def overlap_rules(overlap: str | Sequence[str]) -> tuple[str, ...]:
    """Check one or several rules.

    Raises
    ------
    ArgumentError
        For an unknown rule, the same one twice, or none.
    """
    rules = (overlap,) if isinstance(overlap, str) else tuple(overlap)
    for rule in rules:
        if rule not in OVERLAP_RULES:
            raise ArgumentError(f"overlap={overlap!r}, expected one or several of {', '.join(OVERLAP_RULES)}")
    if not rules or len(set(rules)) < len(rules):
        raise ArgumentError(f"overlap={overlap!r}, expected at least one rule and none twice")
    return rules


def settle(rois: Rois, rule: str) -> Rois:
    """Leave out the pixels that a rule takes from a ROI: ``exclude`` all shared ones, ``nearest`` those nearer to another's centre."""
    if rule == "exclude":
        return _only(rois, _members(rois)[rois.pixels] == 1)
    if rule == "nearest":
        return _only(rois, _is_nearest(rois))
    return rois


def shares(rois: Rois) -> NDArray[np.float64]:
    """Return the part of each pixel that is a ROI's: its weight over the weights of all that share it, ``(entry,)``.

    Where all of them weigh 0, or without weights, equal parts.
    """
    members = _members(rois)[rois.pixels].astype(np.float64)
    if rois.weights is None:
        return 1.0 / members
    total = np.bincount(rois.pixels, rois.weights, rois.shape[0] * rois.shape[1])[rois.pixels]
    return np.divide(rois.weights, total, out=1.0 / members, where=total > 0)


@dataclass(frozen=True, eq=False)
class Mixture:
    """How traces follow from the weighted means of footprints and the means of groups.

    Attributes
    ----------
    matrix : scipy.sparse.csr_array
        ``(roi, roi + group)``.
    separable : numpy.ndarray
        Whether each ROI's level follows from the pixels, boolean ``(roi,)``.
    """

    matrix: scipy.sparse.csr_array
    separable: NDArray[np.bool_]

    def unmix(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn means ``(roi + group, time)`` into traces ``(roi, time)``; the same bits for any cut of time."""
        return np.where(self.separable[:, None], self.matrix @ means, np.nan)


@dataclass(frozen=True, eq=False)
class Unmixing:
    """Least squares over every group of ROIs that share pixels, frame by frame.

    The pixels of such a group are modelled as ``y_p = b + sum_i f_i a_ip``: one background for the group and one level for each
    footprint a (the weights, or 1). A trace is what the ROI's mean would be without the others: b plus f times the mean of the
    footprint over its own pixels (over its own weights, for the weighted mean). For a ROI that shares nothing this is
    its plain (weighted) mean. Where the pixels cannot tell the ROIs apart there is no trace.

    Attributes
    ----------
    rois : Rois
        The ROIs, with footprints as weights.
    groups : tuple of numpy.ndarray
        Flat pixels of each group, ascending.
    mean, weighted_mean : Mixture
        What the traces of either kind are made of.
    """

    rois: Rois
    groups: tuple[NDArray[np.int64], ...]
    mean: Mixture
    weighted_mean: Mixture

    @classmethod
    def of(cls, rois: Rois) -> Unmixing:
        """Solve the normal equations of every group; time grows with the cube of its number of ROIs."""
        import scipy.sparse  # noqa: PLC0415

        rois = rois if rois.weights is not None else rois.with_weights(np.ones(rois.pixels.size))
        number, label = scipy.sparse.csgraph.connected_components(rois.overlap_matrix(), directed=False)
        shape = (len(rois), len(rois) + number)
        mean, weighted_mean = scipy.sparse.lil_array(shape), scipy.sparse.lil_array(shape)
        separable = np.zeros(len(rois), dtype=np.bool_)
        groups = []
        for group in range(number):
            members = np.flatnonzero(label == group)
            pixels, solved = _solve(rois, members)
            groups.append(pixels)
            columns = np.append(members, len(rois) + group)
            for roi, row, weighted_row in zip(members.tolist(), *solved, strict=True):
                separable[roi] = bool(np.isfinite(row).all())
                if separable[roi]:
                    mean[roi, columns] = row
                    weighted_mean[roi, columns] = weighted_row
        mixtures = [Mixture(one.tocsr(), separable) for one in (mean, weighted_mean)]
        return cls(rois, tuple(groups), *mixtures)


def _solve(
    rois: Rois, members: NDArray[np.int64]
) -> tuple[NDArray[np.int64], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return a group's pixels, and rows that make means and weighted means of its ROIs; NaN where they are not determined."""
    rows = [rois.row(one) for one in members.tolist()]
    pixels = np.unique(np.concatenate(rows))
    design = np.zeros((pixels.size, members.size + 1))
    design[:, -1] = 1.0
    for column, (one, row) in enumerate(zip(members.tolist(), rows, strict=True)):
        weights = rois.row_weights(one)
        # a mean of 1 over the own pixels: the normal equations stay balanced, and levels are in counts
        design[np.searchsorted(pixels, row), column] = (
            weights * (row.size / weights.sum()) if row.size else 0.0
        )
    normal = design.T @ design
    inverse = np.linalg.pinv(normal, rcond=1e-11, hermitian=True)
    totals = design.sum(axis=0)
    own = np.where(totals[:-1] > 0, totals[:-1], 1.0)
    levels = np.ones(members.size), np.diag(normal)[:-1] / own
    solved = []
    for level in levels:
        wanted = np.hstack([np.diag(level), np.ones((members.size, 1))])
        found = wanted @ inverse
        determined = np.abs(found @ normal - wanted).max(axis=1) < 1e-6
        solved.append(np.where((determined & (totals[:-1] > 0))[:, None], found * totals, np.nan))
    return pixels, (solved[0], solved[1])


def _members(rois: Rois) -> NDArray[np.int64]:
    """Count the ROIs of every pixel of the frame, flat."""
    return np.bincount(rois.pixels, minlength=rois.shape[0] * rois.shape[1])


def _only(rois: Rois, keep: NDArray[np.bool_]) -> Rois:
    counts = np.bincount(np.repeat(np.arange(len(rois)), rois.n_pixels)[keep], minlength=len(rois))
    return replace(
        rois,
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        pixels=rois.pixels[keep],
        weights=None if rois.weights is None else rois.weights[keep],
    )


def _is_nearest(rois: Rois) -> NDArray[np.bool_]:
    """Whether each entry's ROI is the one of its pixel whose unweighted centroid is nearest; ties go to the first."""
    height, width = rois.frame.pixel_size or (1.0, 1.0)
    rows, area = np.repeat(np.arange(len(rois)), rois.n_pixels), np.maximum(rois.n_pixels, 1)
    y, x = np.divmod(rois.pixels, rois.shape[1])
    distance = np.hypot(
        (y - (np.bincount(rows, y, len(rois)) / area)[rows]) * height,
        (x - (np.bincount(rows, x, len(rois)) / area)[rows]) * width,
    )
    order = np.lexsort((rows, distance, rois.pixels))
    first = np.ones(order.size, dtype=np.bool_)
    first[1:] = np.diff(rois.pixels[order]) != 0
    nearest = np.zeros(order.size, dtype=np.bool_)
    nearest[order[first]] = True
    return nearest
