"""Which rows of the pixel matrix are held at once: those of a ROI from its first tile to its last; then others take their place."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from roitrace.engine.regions import RoiTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from roitrace.engine.regions import TiledRuns

__all__ = ["RowPlan", "entries_at_once", "plan_rows", "steps_of"]

ROWS_BYTES = 2**21
"""Rows of the pixel matrix that are aggregated together, so that they stay in a cache from one kernel to the next."""


@dataclass(frozen=True, eq=False)
class RowPlan:
    """The order in which ROIs become whole as tiles are read, and the rows that they take meanwhile.

    Attributes
    ----------
    order : numpy.ndarray
        ROIs in that order, group after group.
    first_rows : numpy.ndarray
        Row at which each of them begins, in that order.
    steps : numpy.ndarray
        (n, 3): first and last (excluded) place in `order` of ROIs that are aggregated together, and the tile after which they are
        whole; sorted by tile. The number of all tiles stands for the end.
    n_rows : int
        Rows at once.
    """

    order: NDArray[np.int64]
    first_rows: NDArray[np.int64]
    steps: NDArray[np.int64]
    n_rows: int

    @property
    def keeps_order(self) -> bool:
        """Whether ROIs become whole in the order of their numbers."""
        return bool(np.array_equal(self.order, np.arange(self.order.size)))

    def whole_after(self) -> dict[int, list[tuple[int, int]]]:
        """Return for each tile the ROIs that are aggregated after it."""
        found: dict[int, list[tuple[int, int]]] = {}
        for first, last, tile in self.steps.tolist():
            found.setdefault(tile, []).append((first, last))
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


def entries_at_once(frames: int, itemsize: int) -> int:
    """Return how many rows of a batch of frames are aggregated together, at most; one ROI always is."""
    return ROWS_BYTES // max(1, frames * itemsize)


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
    step_entries: int,
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
    step_entries : int
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
    order, steps = [np.zeros(0, np.int64)], []
    for first, last in sorted(set(groups)):
        own = first + np.argsort(whole[first:last], kind="stable")
        borders = np.concatenate([[0], np.cumsum(np.diff(indptr)[own])])
        for start, stop in steps_of(borders, step_entries):
            steps.append((first + start, first + stop, int(whole[own[stop - 1]])))
        order.append(own)
    places = np.concatenate(order)
    assert places.size == indptr.size - 1, "groups leave ROIs out"
    steps.sort(key=itemgetter(2))
    first_rows, n_rows = _take_rows(np.diff(indptr)[places], begun[places], steps)
    rows = np.empty_like(first_rows)
    rows[places] = first_rows
    runs = tiles.runs.copy()
    runs[:, 0] += (rows - indptr[:-1])[owner].astype(np.int32)
    return RowPlan(places, first_rows, np.array(steps, np.int64).reshape(-1, 3), n_rows), runs


def _take_rows(
    sizes: NDArray[np.int64], begun: NDArray[np.int64], steps: Sequence[tuple[int, int, int]]
) -> tuple[NDArray[np.int64], int]:
    """Return the first row of each ROI, and the rows of all: each takes the first that are free when it begins, until it is aggregated."""
    order = np.argsort(begun, kind="stable")
    lengths = sizes.tolist()
    rows, free = [0] * len(lengths), _FreeRows()
    ended = 0
    for place, begins in zip(order.tolist(), begun[order].tolist(), strict=True):
        while ended < len(steps) and steps[ended][2] < begins:
            first, last, _ = steps[ended]
            for one in range(first, last):
                free.give_back(rows[one], lengths[one])
            ended += 1
        rows[place] = free.take(lengths[place])
    return np.array(rows, np.int64), free.end


class _FreeRows:
    """Rows that nobody holds: gaps between those that somebody holds, sorted, and all from `end` on."""

    def __init__(self) -> None:
        self.end = 0
        self._gaps: list[tuple[int, int]] = []

    def take(self, size: int) -> int:
        """Return the first of so many rows."""
        for number, (start, stop) in enumerate(self._gaps):
            if stop - start >= size:
                self._gaps[number : number + 1] = [(start + size, stop)] if stop - start > size else []
                return start
        start = self.end
        if self._gaps and self._gaps[-1][1] == self.end:
            start = self._gaps.pop()[0]
        self.end = start + size
        return start

    def give_back(self, start: int, size: int) -> None:
        """Let others take some rows."""
        stop = start + size
        number = bisect_left(self._gaps, (start, stop))
        if number < len(self._gaps) and self._gaps[number][0] == stop:
            stop = self._gaps.pop(number)[1]
        if number > 0 and self._gaps[number - 1][1] == start:
            number -= 1
            start = self._gaps.pop(number)[0]
        if stop > start:
            self._gaps.insert(number, (start, stop))
