"""Groups of ROIs that one read serves: the same ROIs under several overlap rules, and their neuropil."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from roitrace.engine.regions import RoiTable
from roitrace.engine.request import Request
from roitrace.engine.statistics import Statistic, make
from roitrace.overlap import Mixture, Unmixing, check_rule, settle, shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from roitrace.frame import Frame
    from roitrace.rois import Rois

__all__ = ["NEUROPIL", "Group", "group_of_rule", "join", "neuropil_group"]

NEUROPIL = "neuropil"


@dataclass(frozen=True, eq=False)
class Group:
    """One set of pixels and what is asked of them.

    Attributes
    ----------
    label : str
        Which one it is: an overlap rule, or ``neuropil``.
    rois : Rois
        The ROIs with the pixels that are theirs.
    statistics : tuple of Statistic
        What the engine computes; their names begin with the label.
    weights : numpy.ndarray
        ``(weighting, entry)``.
    weight_rows : tuple of int
        Row of the weights for each weighted statistic.
    background : tuple of numpy.ndarray
        For least squares: flat pixels of what else the engine is to take for ROIs; their weights follow those of the ROIs.
    mixtures : tuple of Mixture
        For least squares: what the trace of each statistic is made of.
    """

    label: str
    rois: Rois
    statistics: tuple[Statistic, ...]
    weights: NDArray[np.float64]
    weight_rows: tuple[int, ...]
    background: tuple[NDArray[np.int64], ...] = ()
    mixtures: tuple[Mixture, ...] = ()

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Pixels of each of what the engine takes for ROIs."""
        return np.array([*self.rois.n_pixels, *(one.size for one in self.background)], dtype=np.int64)

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Flat pixels of what the engine takes for ROIs, one after another."""
        return np.concatenate([self.rois.pixels, *self.background])


def group_of_rule(rois: Rois, frame: Frame, asked: Sequence[Statistic], rule: str) -> Group:
    """Settle overlaps by a rule, on the frame of the recording.

    Raises
    ------
    ArgumentError
        If a statistic has no meaning under the rule.
    """
    check_rule(rule, (one.kind for one in asked))
    if rule == "least_squares":
        return _unmixed(rois, frame, asked)
    settled = settle(rois.within(frame), rule)
    statistics, rows = [], []
    for one in asked:
        weights = _weights(rois, frame, settled, one, rule)
        kind = "weighted_mean" if rule == "split" and one.kind == "mean" else one.kind
        statistics.append(replace(one, kind=kind, name=f"{rule}/{one.name}", weights=None))
        if weights is not None:
            rows.append(weights)
    return Group(rule, settled, tuple(statistics), *_distinct(rows, settled.pixels.size))


def neuropil_group(rings: Rois) -> Group:
    """Ask for the mean of every ring; `rings` are on the recording's frame."""
    none = np.zeros((0, rings.pixels.size))
    return Group(NEUROPIL, rings, (make("mean", name=f"{NEUROPIL}/mean"),), none, ())


def join(groups: Sequence[Group], **request: object) -> tuple[RoiTable, NDArray[np.int64], Request]:
    """Put groups one after another, for one read."""
    none = np.zeros(0, dtype=np.int64)
    indptr = np.concatenate([[0], np.cumsum(np.concatenate([none, *(group.sizes for group in groups)]))])
    pixels = np.concatenate([none, *(group.pixels for group in groups)])
    weights = np.zeros((max((len(group.weights) for group in groups), default=0), pixels.size))
    spans: list[tuple[int, int]] = []
    first = entry = 0
    for group in groups:
        weights[: len(group.weights), entry : entry + group.weights.shape[1]] = group.weights
        last = first + group.sizes.size
        spans += [(first, last)] * len(group.statistics)
        first, entry = last, int(indptr[last])
    statistics = tuple(one for group in groups for one in group.statistics)
    weight_rows = tuple(row for group in groups for row in group.weight_rows)
    asked = Request(statistics, weight_rows, spans=tuple(spans), **request)  # type: ignore[arg-type]
    return RoiTable(indptr, weights), pixels, asked


def _weights(
    rois: Rois, frame: Frame, settled: Rois, statistic: Statistic, rule: str
) -> NDArray[np.float64] | None:
    """Weights of the settled pixels for one statistic; None if it takes none."""
    needs = "weighted" in statistic.declaration.needs
    if not needs and rule != "split":
        return None
    own = rois if statistic.weights is None else rois.with_weights(statistic.weights)
    placed = settle(own.within(frame), rule)
    weights = np.ones(placed.pixels.size)
    if statistic.kind == "split_half":
        parameters = dict(statistic.parameters)
        weights = _half(settled, int(parameters["seed"]), int(parameters["half"]))
    elif needs:
        assert placed.weights is not None
        weights = placed.weights
    return weights * shares(placed) if rule == "split" else weights


def _half(rois: Rois, seed: int, half: int) -> NDArray[np.float64]:
    """1 for the pixels of one random half of each ROI, 0 for the others."""
    chosen = np.zeros(rois.pixels.size)
    for number, (roi, count) in enumerate(zip(rois.ids.tolist(), rois.n_pixels.tolist(), strict=True)):
        order = np.random.default_rng([seed, roi % 2**63, count]).permutation(count)
        members = order[: count // 2] if half == 0 else order[count // 2 :]
        chosen[rois.indptr[number] + members] = 1.0
    return chosen


def _unmixed(rois: Rois, frame: Frame, asked: Sequence[Statistic]) -> Group:
    """Ask for the weighted means of footprints and the plain means of the groups that share pixels."""
    found: list[tuple[Statistic, Unmixing]] = []
    for one in asked:
        own = rois if one.weights is None else rois.with_weights(one.weights)
        same = [unmixing for earlier, unmixing in found if earlier.weights is one.weights]
        found.append((one, same[0] if same else Unmixing.of(own.within(frame))))
    rows = []
    for _, unmixing in found:
        assert unmixing.rois.weights is not None
        rows.append(np.concatenate([unmixing.rois.weights, *(np.ones(one.size) for one in unmixing.groups)]))
    first = found[0][1]
    return Group(
        "least_squares",
        rois.within(frame),
        tuple(make("weighted_mean", name=f"least_squares/{one.name}") for one, _ in found),
        *_distinct(rows, rows[0].size),
        background=first.groups,
        mixtures=tuple(one.mean if asked.kind == "mean" else one.weighted_mean for asked, one in found),
    )


def _distinct(rows: Sequence[NDArray[np.float64]], size: int) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """Keep each different row of weights once, and say which one is whose."""
    kept: list[NDArray[np.float64]] = []
    numbers = []
    for row in rows:
        same = [number for number, other in enumerate(kept) if np.array_equal(row, other)]
        numbers.append(same[0] if same else len(kept))
        if not same:
            kept.append(row)
    return np.stack(kept) if kept else np.zeros((0, size)), tuple(numbers)
