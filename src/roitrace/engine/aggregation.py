"""The statistics of every ROI from its pixel matrix, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from roitrace.engine.declarations import Samples
from roitrace.kernels.networks import sorting_program
from roitrace.kernels.order import order_float, order_integer, order_sorted_float, order_sorted_integer
from roitrace.kernels.sorting import NETWORK_LIMIT, highest_of
from roitrace.kernels.sums import sum_float, sum_integer, weight_totals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.engine.regions import RoiTable
    from roitrace.engine.statistics import Statistic

__all__ = ["Aggregator"]

SORTED_AT_ONCE = 64
"""Frames of a large ROI that are sorted at once."""


class _Orders(NamedTuple):
    """Order statistics as arrays for the kernels; rows of tables belong to counts of valid samples."""

    kind: NDArray[np.int64]
    span: NDArray[np.int64]
    segments: NDArray[np.int64]
    denominator: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    gamma: NDArray[np.float64]


@dataclass(frozen=True)
class _OrderPlan:
    """How each ROI is sorted and read off."""

    orders: _Orders
    tables: NDArray[np.int64]
    networks: NDArray[np.int32]
    network_span: NDArray[np.int64]


class Aggregator:
    """Turns the pixel matrix ``(entry, time)`` of one set of ROIs into statistics.

    Parameters
    ----------
    table : RoiTable
        Which entries belong to which ROI.
    statistics : tuple of Statistic
        What to compute.
    weight_rows : tuple of int
        Row of ``table.weights`` for each weighted statistic, in their order.
    dtype : numpy.dtype
        Of the samples.
    min_coverage : float
        Least part of a ROI's pixels (of its weight) that must be valid.
    """

    def __init__(
        self,
        table: RoiTable,
        statistics: tuple[Statistic, ...],
        weight_rows: tuple[int, ...],
        dtype: np.dtype[Any],
        min_coverage: float,
    ) -> None:
        self._table = table
        self._statistics = statistics
        self._is_float = np.issubdtype(dtype, np.floating)
        self._dtype = dtype
        self._coverage = min_coverage
        needs = frozenset[str]().union(*(one.declaration.needs for one in statistics))
        self._wants = np.array([name in needs for name in ("total", "spread", "minimum", "maximum")])
        self._ordered = tuple(one for one in statistics if one.declaration.order is not None)
        weighted = [one for one in statistics if "weighted" in one.declaration.needs]
        self._weight_row = dict(zip((one.name for one in weighted), weight_rows, strict=True))
        self._needed = np.maximum(np.ceil(min_coverage * table.sizes - 1e-9), 1).astype(np.int64)
        self._weight_totals = weight_totals(table.indptr, table.weights)
        self._plan = _order_plan(
            tuple(table.sizes.tolist()),
            self._ordered,
            tuple(self._needed.tolist()) if self._is_float else None,
        )
        plan = self._plan
        networks = (highest_of(dtype), plan.networks, plan.network_span, plan.tables)
        self._sorting = (table.indptr, *networks, *((self._needed,) if self._is_float else ()))
        self._large = table.sizes > NETWORK_LIMIT
        self._orders = tuple(plan.orders)
        self._sums_up = bool(self._wants.any()) or len(table.weights) > 0

    def begin(self, frames: int) -> None:
        """Begin a batch of frames."""
        shape = (self._table.sizes.size, frames)
        wants = self._wants
        total_dtype = np.float64 if self._is_float else np.int64
        self._sums = Samples(
            count=np.zeros(shape, np.int32) if self._is_float else None,
            total=np.zeros(shape if wants[0] or wants[1] else (0, 0), total_dtype),
            spread=np.zeros(shape if wants[1] else (0, 0)),
            minimum=np.zeros(shape if wants[2] else (0, 0), self._dtype),
            maximum=np.zeros(shape if wants[3] else (0, 0), self._dtype),
            weighted=np.zeros((self._table.weights.shape[0], *shape)),
            weight=np.zeros((self._table.weights.shape[0], *shape)) if self._is_float else None,
        )
        self._ordered_values = np.zeros((0, 0, 0))  # lets go of the last batch's
        self._ordered_values = np.full((len(self._ordered), *shape) if self._ordered else (0, 0, 0), np.nan)
        self._part = np.zeros(frames, np.int32 if self._dtype.itemsize <= 2 else np.int64)

    def add(self, span: tuple[int, int], matrix: NDArray[Any], first_rows: NDArray[np.int64]) -> None:
        """Aggregate the ROIs from the first to the last (excluded) of a span; `first_rows` is where in the matrix the rows of each ROI begin."""
        sums, indptr, weights, wants = self._sums, self._table.indptr, self._table.weights, self._wants
        results = (sums.total, sums.spread, sums.minimum, sums.maximum, sums.weighted)
        if self._is_float:
            sum_float(matrix, span, first_rows, indptr, weights, wants, sums.count, *results, sums.weight)
        elif self._sums_up:
            sum_integer(matrix, self._part, span, first_rows, indptr, weights, wants, *results)
        if self._ordered:
            self._order(matrix, span, first_rows)

    def values(self) -> dict[str, NDArray[Any]]:
        """Return the batch: name to ``(roi, time)``; of float recordings ``n_valid`` too, the number of valid pixels."""
        return self._finish(self._sums, self._ordered_values)

    def of_sums(self, sums: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Turn sums of all pixels ``(roi, time)`` into statistics that need nothing else."""
        return self._finish(Samples(None, sums), np.zeros((0, 0, 0)))

    def _order(self, matrix: NDArray[Any], span: tuple[int, int], first_rows: NDArray[np.int64]) -> None:
        """Fill in the order statistics (statistic, roi, time) of some ROIs."""
        ordered = self._ordered_values
        if self._is_float:
            order_float(matrix, span, first_rows, *self._sorting, self._sums.count, self._orders, ordered)
        else:
            order_integer(matrix, self._part, span, first_rows, *self._sorting, self._orders, ordered)
        for roi in (span[0] + np.flatnonzero(self._large[slice(*span)])).tolist():
            rows = matrix[first_rows[roi] : first_rows[roi] + self._table.sizes[roi]]
            self._order_large(rows, roi, ordered)

    def _order_large(self, rows: NDArray[Any], roi: int, ordered: NDArray[np.float64]) -> None:
        """Sort a ROI too large for a network frame by frame; NaN come last."""
        for first in range(0, rows.shape[1], SORTED_AT_ONCE):
            lanes = np.sort(rows[:, first : first + SORTED_AT_ONCE].T, axis=1).T
            if not self._is_float:
                order_sorted_integer(lanes, roi, self._plan.tables, self._orders, ordered, first)
                continue
            valid = lanes.shape[0] - np.count_nonzero(np.isnan(lanes), axis=0)
            for count in np.unique(valid):
                if count < self._needed[roi]:
                    continue
                columns = np.flatnonzero(valid == count)
                own = _order_plan((int(count),), self._ordered, None)
                part = np.empty((len(self._ordered), 1, columns.size))
                order_sorted_float(
                    lanes[:count, columns], np.full(columns.size, count), 0, own.tables, np.ones(1, np.int64), tuple(own.orders), part, 0
                )  # fmt: skip
                ordered[:, roi, first + columns] = part[:, 0]

    def _finish(self, sums: Samples, ordered: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        counts = sums.count
        sizes = self._table.sizes[:, None]
        count: Any = sizes if counts is None else counts
        hidden = sizes == 0 if counts is None else counts < self._needed[:, None]
        order_of = {one.name: number for number, one in enumerate(self._ordered)}
        values: dict[str, NDArray[Any]] = {} if counts is None else {"n_valid": counts}
        for one in self._statistics:
            if one.name in order_of:
                values[one.name] = ordered[order_of[one.name]]
                continue
            finish = one.declaration.finish
            assert finish is not None
            if one.name in self._weight_row:
                row = self._weight_row[one.name]
                totals = self._weight_totals[row][:, None]
                weight = totals if sums.weight is None else sums.weight[row]
                samples = Samples(count=count, weighted=sums.weighted[row], weight=weight)
                covered = (weight >= self._coverage * totals * (1 - 1e-12)) & (totals > 0)
                values[one.name] = _hide(~covered, finish(samples))
            else:
                samples = Samples(count, sums.total, sums.spread, sums.minimum, sums.maximum)
                values[one.name] = _hide(hidden, finish(samples, **dict(one.parameters)))
        return values


def _hide(hidden: NDArray[np.bool_], result: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put NaN where `hidden`, which is rarely anywhere."""
    return np.where(hidden, np.nan, result) if hidden.any() else result


@lru_cache(maxsize=64)
def _order_plan(
    sizes: tuple[int, ...], statistics: tuple[Statistic, ...], needed: tuple[int, ...] | None
) -> _OrderPlan:
    """Tables for every ROI size, and for every smaller count of valid samples that a frame may have.

    The table of ``size`` samples is followed by those of ``size - 1``, ``size - 2``, ... as far as they are needed.
    """
    first_row: dict[int, int] = {}
    counts: list[int] = []
    spans: list[tuple[int, int]] = []
    networks: list[NDArray[np.int32]] = []
    network_of: dict[int, tuple[int, int]] = {}
    length = 0
    lowest = dict(zip(sizes, needed if needed is not None else sizes, strict=True))
    for size in sizes:
        if not statistics or size == 0 or size in first_row:
            continue
        first_row[size] = len(counts)
        large = size > NETWORK_LIMIT
        counts += [size] if large else range(size, lowest[size] - 1, -1)
        network_of[size] = (-1, -1)
        if not large:
            networks.append(sorting_program(size))
            network_of[size] = (length, length + len(networks[-1]))
            length += len(networks[-1])
    spans = [network_of.get(size, (-1, -1)) for size in sizes]
    return _OrderPlan(
        orders=_order_arrays(statistics, counts),
        tables=np.array([first_row.get(size, 0) for size in sizes], dtype=np.int64),
        networks=np.concatenate(networks) if networks else np.zeros(0, np.int32),
        network_span=np.array(spans, dtype=np.int64).reshape(-1, 2),
    )


def _order_arrays(statistics: tuple[Statistic, ...], counts: list[int]) -> _Orders:
    shape = (len(counts), len(statistics))
    kind = np.zeros(len(statistics), np.int64)
    span = np.zeros((*shape, 2), np.int64)
    denominator = np.ones(shape, np.int64)
    low, high = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    gamma = np.zeros(shape)
    segments: list[tuple[int, int, int]] = []
    for number, one in enumerate(statistics):
        assert one.declaration.order is not None
        for row, count in enumerate(counts):
            order = one.declaration.order(count, **dict(one.parameters))
            kind[number] = 0 if order.segments else 1
            span[row, number] = len(segments), len(segments) + len(order.segments)
            segments += order.segments
            denominator[row, number] = order.denominator
            low[row, number], high[row, number], gamma[row, number] = order.low, order.high, order.gamma
    table = np.array(segments, dtype=np.int64).reshape(-1, 3)
    return _Orders(kind, span, table, denominator, low, high, gamma)
