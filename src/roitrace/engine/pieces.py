"""Foreign dask arrays: a task per block cuts the pixels of ROIs out, another puts the pieces together and aggregates them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.engine.compilation import announces_compilation
from roitrace.engine.rows import entries_at_once, steps_of
from roitrace.engine.slab import SlabResult
from roitrace.kernels.gather import gather, scatter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from roitrace.engine.groups import GroupedAggregator
    from roitrace.engine.regions import RoiTable, TiledRuns
    from roitrace.engine.request import Request

__all__ = ["aggregate_pieces", "cut_piece"]


@announces_compilation
def cut_piece(block: NDArray[Any], tiles: TiledRuns, row: int, column: int) -> NDArray[Any]:
    """Copy the pixels of ROIs out of a dask block, which is one of the tiles, in their canonical order: ``(entry of the block, time)``."""
    y, x, runs = tiles.tile(row, column)
    order = np.argsort(runs[:, 0])
    lengths = runs[order, 3]
    local = runs.copy()
    local[order, 0] = np.cumsum(lengths) - lengths
    matrix = np.empty((int(lengths.sum()), block.shape[0]), block.dtype)
    gather(np.asarray(block), local, y.start, x.start, matrix, 0)
    return matrix


@announces_compilation
def aggregate_pieces(
    table: RoiTable,
    tiles: TiledRuns,
    request: Request,
    dtype: np.dtype[Any],
    columns: Iterable[tuple[int, Iterable[tuple[int, int, NDArray[Any]]]]],
) -> SlabResult:
    """Put the pieces of one or more blocks of frames together, a few ROIs at a time, and aggregate them.

    Parameters
    ----------
    columns : iterable
        For each block of frames its length and its pieces: row and column of the tile, and what `cut_piece` gave.
    """
    aggregator = request.aggregator(table, dtype)
    batches = []
    for frames, pieces in columns:
        rows = _PiecedRows(
            frames, dtype, [(_entries(tiles, row, column), one) for row, column, one in pieces]
        )
        batches.append(_batch(request, aggregator, table, rows))
    names = batches[0] if batches else {}
    return SlabResult({name: np.concatenate([one[name] for one in batches], axis=1) for name in names})


class _PiecedRows:
    """Rows of the pixel matrix ``(entry, time)``, put together from pieces when they are asked for, in the same room."""

    def __init__(
        self, frames: int, dtype: np.dtype[Any], pieces: list[tuple[NDArray[np.int64], NDArray[Any]]]
    ) -> None:
        self.frames, self.dtype = frames, dtype
        self._pieces = pieces
        self._room = np.empty(0, dtype)

    def __call__(self, first: int, last: int) -> NDArray[Any]:
        """Return the rows of some entries, until the next ones are asked for."""
        if self._room.size < (last - first) * self.frames:
            self._room = np.empty((last - first) * self.frames, self.dtype)
        matrix = self._room[: (last - first) * self.frames].reshape(last - first, self.frames)
        for own, piece in self._pieces:
            begin, end = np.searchsorted(own, (first, last))
            scatter(piece[begin:end], own[begin:end] - first, matrix)
        return matrix


def _entries(tiles: TiledRuns, row: int, column: int) -> NDArray[np.int64]:
    """Return the entries of a tile in their order."""
    runs = tiles.tile(row, column)[2]
    lengths = runs[:, 3]
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.sort(np.repeat(runs[:, 0], lengths) + within)


def _batch(
    request: Request, aggregator: GroupedAggregator | None, table: RoiTable, rows: _PiecedRows
) -> dict[str, NDArray[Any]]:
    """Return what is asked of one block of frames."""
    values: dict[str, NDArray[Any]] = {}
    if aggregator is not None:
        aggregator.begin(rows.frames)
        step_entries = entries_at_once(rows.frames, rows.dtype.itemsize)
        for first, last in sorted(set(request.spans_of(table))):
            for start, stop in steps_of(table.indptr[first : last + 1], step_entries):
                span = (first + start, first + stop)
                begin, end = table.indptr[list(span)].tolist()
                aggregator.add(span, rows(begin, end), table.indptr - begin)
        values = aggregator.values()
    return values | ({"pixels": rows(0, table.n_entries).copy()} if request.pixels else {})
