"""Several groups of ROIs in one pixel matrix, each with statistics of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.engine.aggregation import Aggregator
from roitrace.engine.locations import Locator
from roitrace.engine.regions import RoiTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.engine.statistics import Statistic

__all__ = ["GroupedAggregator"]


class GroupedAggregator:
    """Turns a pixel matrix ``(entry, time)`` into the statistics that are asked of each group of ROIs.

    Parameters
    ----------
    table : RoiTable
        All ROIs, group after group.
    statistics : tuple of Statistic
        What to compute.
    weight_rows : tuple of int
        Row of ``table.weights`` for each weighted statistic, in their order.
    spans : tuple of tuple of int
        First and last (excluded) ROI of each statistic. They tile the ROIs.
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
        spans: tuple[tuple[int, int], ...],
        dtype: np.dtype[Any],
        min_coverage: float,
    ) -> None:
        rows = iter(weight_rows)
        row_of = {one.name: next(rows) for one in statistics if "weighted" in one.declaration.needs}
        self._groups: list[tuple[tuple[int, int], list[Aggregator | Locator]]] = []
        for first, last in sorted(set(spans)):
            members = [one for one, span in zip(statistics, spans, strict=True) if span == (first, last)]
            entries = slice(int(table.indptr[first]), int(table.indptr[last]))
            kernels: list[Aggregator | Locator] = []
            sums = tuple(one for one in members if one.declaration.location is None)
            located = tuple(one for one in members if one.declaration.location is not None)
            # float recordings count their valid pixels there, whether or not anything is summed
            indptr = table.indptr[first : last + 1] - table.indptr[first]
            own, used = _own_weights(sums, row_of, table.weights[:, entries])
            kernels.append(Aggregator(RoiTable(indptr, own), sums, used, dtype, min_coverage))
            if located:
                own, used = _own_weights(located, row_of, table.weights[:, entries])
                kernels.append(Locator(RoiTable(indptr, own), located, used, min_coverage))
            self._groups.append(((first, last), kernels))

    def begin(self, frames: int) -> None:
        """Begin a batch of frames."""
        for _, kernels in self._groups:
            for kernel in kernels:
                kernel.begin(frames)

    def add(self, span: tuple[int, int], matrix: NDArray[Any], first_rows: NDArray[np.int64]) -> None:
        """Aggregate the ROIs from the first to the last (excluded) of a span of one group, as `Aggregator.add`."""
        origin, kernels = next(
            (first, kernels) for (first, last), kernels in self._groups if first <= span[0] < last
        )
        for kernel in kernels:
            kernel.add((span[0] - origin, span[1] - origin), matrix, first_rows[origin:])

    def values(self) -> dict[str, NDArray[Any]]:
        """Return the batch: name to ``(roi, time)`` of the statistic's group; of float recordings ``n_valid`` of all ROIs too."""
        values: dict[str, NDArray[Any]] = {}
        counts = []
        for _, kernels in self._groups:
            for kernel in kernels:
                values |= kernel.values()
            if "n_valid" in values:
                counts.append(values.pop("n_valid"))
        return values | ({"n_valid": np.concatenate(counts)} if counts else {})


def _own_weights(
    statistics: tuple[Statistic, ...], row_of: dict[str, int], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """Return the rows of weights that some statistics use, and the row of each weighted one."""
    wanted = [row_of[one.name] for one in statistics if one.name in row_of]
    used = sorted(set(wanted))
    return np.ascontiguousarray(weights[used]), tuple(used.index(row) for row in wanted)
