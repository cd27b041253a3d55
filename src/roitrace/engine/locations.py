"""Robust locations of every ROI: statistics that need each frame's samples one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.kernels.locations import huber_locations, weighted_medians

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.engine.regions import RoiTable
    from roitrace.engine.statistics import Statistic

__all__ = ["Locator"]


class Locator:
    """Turns pixel matrices ``(entry, time)`` of one set of ROIs into Huber locations and weighted medians.

    Parameters
    ----------
    table : RoiTable
        Which entries belong to which ROI.
    statistics : tuple of Statistic
        Those whose declaration names a location.
    weight_rows : tuple of int
        Row of ``table.weights`` for each weighted one, in their order.
    min_coverage : float
        Least part of a ROI's pixels (of its weight) that must be valid.
    """

    def __init__(
        self,
        table: RoiTable,
        statistics: tuple[Statistic, ...],
        weight_rows: tuple[int, ...],
        min_coverage: float,
    ) -> None:
        self._table = table
        self._statistics = statistics
        weighted = [one for one in statistics if "weighted" in one.declaration.needs]
        self._weight_row = dict(zip((one.name for one in weighted), weight_rows, strict=True))
        self._needed = np.maximum(np.ceil(min_coverage * table.sizes - 1e-9), 1).astype(np.int64)
        rows = np.repeat(np.arange(table.sizes.size), table.sizes)
        totals = [np.bincount(rows, weights, table.sizes.size) for weights in table.weights]
        self._needed_weight = [min_coverage * total * (1 - 1e-12) for total in totals]

    def begin(self, frames: int) -> None:
        """Begin a batch of frames."""
        self._values = {one.name: np.empty((self._table.sizes.size, frames)) for one in self._statistics}

    def add(self, span: tuple[int, int], matrix: NDArray[Any], first_rows: NDArray[np.int64]) -> None:
        """Locate the middles of the ROIs from the first to the last (excluded) of a span, as `Aggregator.add`."""
        table = self._table
        for roi in range(*span):
            first, last = table.indptr[roi : roi + 2].tolist()
            own = np.array([0, last - first])
            rows = matrix[first_rows[roi] : first_rows[roi] + last - first]
            for one in self._statistics:
                out = self._values[one.name][roi : roi + 1]
                if one.declaration.location == "huber":
                    needed = self._needed[roi : roi + 1]
                    huber_locations(rows, own, needed, dict(one.parameters)["k"], out)
                else:
                    row = self._weight_row[one.name]
                    weights, least = table.weights[row, first:last], self._needed_weight[row][roi : roi + 1]
                    weighted_medians(rows, own, weights, least, out)

    def values(self) -> dict[str, NDArray[np.float64]]:
        """Return the batch: name to ``(roi, time)``."""
        return self._values
