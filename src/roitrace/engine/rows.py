"""Which rows of the pixel matrix are held at once: those of a ROI from its first tile to its last; then others take their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roitrace.engine.regions import RoiTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from roitrace.engine.regions import TiledRuns

__all__ = ["ROWS_BYTES", "RowPlan", "plan_rows", "steps_of"]

ROWS_BYTES = 2**21
"""Rows of the pixel matrix that are aggregated together, so that they stay in a cache from one kernel to the next."""


@dataclass(frozen=True, eq=False)
class RowPlan:
    """The order in which ROIs become whole as tiles are read, and the rows that they take meanwhile.

    Attributes
    ----------
    order : numpy.ndarray
        ROIs in that order, group after group.
    steps : numpy.ndarray
        (n, 4): first and last (excluded) place in `order` of ROIs that are aggregated together, the first of their rows, which
        follow one another, and the tile after which they are whole; sorted by tile. The number of all tiles stands for the end.
    n_rows : int
        Rows at once.
    """

    order: NDArray[np.int64]
    steps: NDArray[np.int64]
    n_rows: int

    @property
    def keeps_order(self) -> bool:
        """Whether ROIs become whole in the order of their numbers."""
        return bool(np.array_equal(self.order, np.arange(self.order.size)))

    def whole_after(self, indptr: NDArray[np.int64]) -> dict[int, list[tuple[tuple[int, int], slice]]]:
        """Return for each tile the ROIs that are aggregated after it, and their rows; `indptr` is that of the arranged table."""
        found: dict[int, list[tuple[tuple[int, int], slice]]] = {}
        for first, last, row, tile in self.steps.tolist():
            rows = slice(row, row + int(indptr[last] - indptr[first]))
            found.setdefault(tile, []).append(((first, last), rows))
        return found

    def arranged(self, table: RoiTable) -> RoiTable:
        """Return a table of the ROIs in this order; those that are not in it stay behind them."""
        if self.keeps_order:
            return table
        order = np.concatenate([self.order, np.arange(self.order.size, table.sizes.size)])
        sizes = table.sizes[order]
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        entries = np.repeat(table.indptr[order] - indptr[:-1], sizes) + np.arange(indptr[-1])
        return RoiTable(indptr, np.ascontiguousarray(table.weights[:, entries]))


def steps_of(indptr: NDArray[np.int64], entries: int) -> list[tuple[int, int]]:
    """Cut ROIs into some at a time, of up to so many entries or one ROI."""
    steps, first = [], 0
    while first < indptr.size - 1:
        last = max(first + 1, int(np.searchsorted(indptr, indptr[first] + entries, side="right")) - 1)
        steps.append((first, last))
        first = last
    return steps


def plan_rows(
    tiles: TiledRuns,
    indptr: NDArray[np.int64],
    groups: Iterable[tuple[int, int]],
    entries_at_once: int,
    *,
    streams: bool,
) -> tuple[RowPlan, NDArray[np.int32]]:
    """Plan the rows of ROIs (`indptr`), and return the runs of tiles with rows in place of entries.

    Parameters
    ----------
    tiles : TiledRuns
        Their pixels; no run reaches from one ROI to the next.
    groups : iterable of tuple of int
        First and last (excluded) ROI of groups that are aggregated in different ways; they tile the ROIs.
    entries_at_once : int
        Pixels of ROIs that are aggregated together.
    streams : bool
        Whether a tile is read once in a batch. Otherwise all rows are held, and ROIs are whole at the end.
    """
    n_tiles = tiles.starts.size - 1
    owner = np.searchsorted(indptr, tiles.runs[:, 0], side="right") - 1
    tile = np.repeat(np.arange(n_tiles), np.diff(tiles.starts))
    begun, whole = np.full((2, indptr.size - 1), n_tiles)
    if streams:
        np.minimum.at(begun, owner, tile)
        whole[owner] = -1
        np.maximum.at(whole, owner, tile)
    order, steps, first_rows, n_rows = [], [], np.empty(indptr.size - 1, np.int64), 0
    for first, last in sorted(set(groups)):
        own = first + np.argsort(whole[first:last], kind="stable")
        borders = np.concatenate([[0], np.cumsum(np.diff(indptr)[own])])
        spans = steps_of(borders, entries_at_once)
        ends = np.array([whole[own[stop - 1]] for _, stop in spans], dtype=np.int64)
        rows, taken = _rows_of_steps(borders, spans, ends, begun[own])
        for (start, stop), row, end in zip(spans, rows, ends, strict=True):
            steps.append((first + start, first + stop, n_rows + row, end))
            first_rows[own[start:stop]] = n_rows + row + borders[start:stop] - borders[start]
        order.append(own)
        n_rows += taken
    runs = tiles.runs.copy()
    runs[:, 0] += (first_rows - indptr[:-1])[owner].astype(np.int32)
    table = np.array(steps, dtype=np.int64).reshape(-1, 4)
    plan = RowPlan(
        np.concatenate([np.zeros(0, np.int64), *order]),
        table[np.argsort(table[:, 3], kind="stable")],
        n_rows,
    )
    return plan, runs


def _rows_of_steps(
    borders: NDArray[np.int64],
    spans: Sequence[tuple[int, int]],
    ends: NDArray[np.int64],
    begun: NDArray[np.int64],
) -> tuple[list[int], int]:
    """Return the first row of each step, and the rows of all.

    Rows are taken in turn, as in a ring. It is as long as what is begun and not aggregated yet ever is, and one step, which is
    never cut by the end of the ring.
    """
    by_tile = np.argsort(begun, kind="stable")
    furthest = np.concatenate([[0], np.maximum.accumulate(borders[1:][by_tile])])
    # what is begun before a step is aggregated, which is after its last tile
    held = furthest[np.searchsorted(begun[by_tile], ends, side="right")]
    firsts = borders[[start for start, _ in spans]]
    lengths = borders[[stop for _, stop in spans]] - firsts
    ring = int(np.max(held - firsts, initial=0) + lengths.max(initial=0))
    n_entries = int(borders[-1])
    if ring >= n_entries:
        return firsts.tolist(), n_entries
    rows, row = [], 0
    for length in lengths.tolist():
        row = 0 if row + length > ring else row
        rows.append(row)
        row += length
    return rows, ring
