"""One task: read a slab of frames once, and give back everything that was asked of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.engine.compilation import announces_compilation
from roitrace.engine.groups import GroupedAggregator
from roitrace.engine.moments import Moments, new_moments
from roitrace.engine.plan import frames_at_once
from roitrace.engine.regions import RoiTable, TiledRuns, tile_runs
from roitrace.engine.sums import Summer, first_summed, summed_tiles
from roitrace.kernels.gather import gather, scatter
from roitrace.sources import expect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from roitrace.engine.aggregation import Rows
    from roitrace.engine.statistics import Statistic
    from roitrace.engine.time_parameters import BinNeeds
    from roitrace.sources import BlockSource

__all__ = ["Request", "SlabResult", "aggregate_pieces", "cut_piece", "read_slab"]


@dataclass(frozen=True)
class Request:
    """What one call asks for.

    Attributes
    ----------
    statistics : tuple of Statistic
        Per ROI and frame.
    weight_rows : tuple of int
        Row of the table's weights for each weighted statistic.
    moments : frozenset of str
        Fields of `Samples` that the projections need; empty without projections.
    min_coverage : float
        Least valid part of a ROI.
    pixels : bool
        Whether the pixel matrix itself is wanted.
    spans : tuple of tuple of int
        First and last (excluded) ROI of each statistic; all ROIs if empty.
    periods : tuple of int
        Frames after which local correlations subtract a new mean.
    bins : tuple of BinNeeds
        What projections need of the means of bins.
    """

    statistics: tuple[Statistic, ...] = ()
    weight_rows: tuple[int, ...] = ()
    moments: frozenset[str] = frozenset()
    min_coverage: float = 0.9
    pixels: bool = False
    spans: tuple[tuple[int, int], ...] = ()
    periods: tuple[int, ...] = ()
    bins: tuple[BinNeeds, ...] = ()

    def spans_of(self, table: RoiTable) -> tuple[tuple[int, int], ...]:
        """Return the ROIs of each statistic."""
        return self.spans or ((0, table.sizes.size),) * len(self.statistics)

    def first_summed(self, table: RoiTable, dtype: np.dtype[Any]) -> int:
        """Return the first of the ROIs that a slab only adds up; the number of all if there are none."""
        n_rois = table.sizes.size
        if self.pixels or not self.statistics or not np.issubdtype(dtype, np.integer):
            return n_rois
        return first_summed(self.statistics, self.spans_of(table), n_rois)

    def aggregator(
        self, table: RoiTable, dtype: np.dtype[Any], last: int | None = None
    ) -> GroupedAggregator | None:
        """Return what turns pixels of the ROIs before `last` into statistics, if any are asked for."""
        spans = self.spans_of(table)
        last = table.sizes.size if last is None else last
        asked = [pair for pair in zip(self.statistics, spans, strict=True) if pair[1][1] <= last]
        if not asked:
            return None
        own = RoiTable(table.indptr[: last + 1], table.weights[:, : table.indptr[last]])
        statistics, spans = tuple(one for one, _ in asked), tuple(span for _, span in asked)
        return GroupedAggregator(own, statistics, self.weight_rows, spans, dtype, self.min_coverage)

    def summer(self, table: RoiTable, tiles: TiledRuns, dtype: np.dtype[Any]) -> Summer | None:
        """Return what adds up the ROIs that are only summed, if there are any."""
        first = self.first_summed(table, dtype)
        if tiles.summed is None or first == table.sizes.size:
            return None
        spans = self.spans_of(table)
        asked = [pair for pair in zip(self.statistics, spans, strict=True) if pair[1][0] >= first]
        statistics = tuple(one for one, _ in asked)
        moved = [(begin - first, end - first) for _, (begin, end) in asked]
        own = RoiTable(table.indptr[first:] - table.indptr[first], np.zeros((0, 0)))
        return Summer(own, statistics, moved, tiles.summed, dtype)

    def tiles(
        self,
        table: RoiTable,
        pixels: NDArray[np.int64],
        dtype: np.dtype[Any],
        width: int,
        edges: Sequence[NDArray[np.int64]],
    ) -> TiledRuns:
        """Cut the pixels of all ROIs along the tiles with borders `edges`, as `read_slab` takes them."""
        first = self.first_summed(table, dtype)
        entry = int(table.indptr[first])
        tiles = tile_runs(pixels[:entry], width, edges[0], edges[1])
        if first == table.sizes.size:
            return tiles
        own = table.indptr[first:] - entry
        return replace(tiles, summed=summed_tiles(pixels[entry:], own, width, edges[0], edges[1]))


@dataclass
class SlabResult:
    """What was asked of a slab.

    Attributes
    ----------
    values : dict
        Name to traces ``(roi, time)``; ``n_valid`` and ``pixels`` among them.
    moments : Moments or None
        Sums over time.
    seconds : float
        Work in the sums that was not kept in a file yet.
    """

    values: dict[str, NDArray[Any]] = field(default_factory=dict)
    moments: Moments | None = None
    seconds: float = 0.0

    def pick(self, name: str) -> NDArray[Any]:
        """Return one of the arrays by name."""
        return self.values[name]

    def traces(self) -> SlabResult:
        """Return the traces alone."""
        return SlabResult(self.values)


@announces_compilation
def read_slab(
    source: BlockSource,
    table: RoiTable,
    tiles: TiledRuns,
    request: Request,
    bounds: tuple[int, int],
    batch_frames: int,
    carried: SlabResult | None = None,
    _after: object = None,
) -> SlabResult:
    """Stream the frames ``bounds`` of a source, tile by tile, batch by batch.

    `carried` holds the sums over time to go on from; `_after` is only waited for.
    """
    start, stop = bounds
    begun = time.monotonic()
    gathers = bool(request.statistics) or request.pixels
    gathered = request.first_summed(table, source.dtype)
    aggregator = request.aggregator(table, source.dtype, gathered)
    summer = request.summer(table, tiles, source.dtype)
    moments = None
    if request.moments:
        shape = (source.shape[1], source.shape[2])
        moments = new_moments(shape, source.dtype, request.moments, request.periods, request.bins)
        if carried is not None and carried.moments is not None:
            moments = carried.moments.copy()
    positions = list(tiles.positions(everywhere=moments is not None))
    entries = int(table.indptr[gathered]) if gathers else 0
    room = np.empty(entries * min(batch_frames, stop - start), source.dtype)
    tile_pixels = int(np.diff(tiles.y_edges).max()) * int(np.diff(tiles.x_edges).max())
    together = frames_at_once(source.chunks[0], tile_pixels * source.dtype.itemsize)
    batches = []
    with source.open() as reader:
        expect(reader, _reads(source, tiles, positions, bounds, batch_frames, together))
        for first, last in _spans(source, start, stop, batch_frames):
            matrix = room[: entries * (last - first)].reshape(entries, last - first)
            if summer is not None:
                summer.begin(last - first)
            for begin, end in _spans(source, first, last, together):
                for row, column in positions:
                    y, x, runs = tiles.tile(row, column)
                    block = reader.read(slice(begin, end), y, x)
                    if gathers:
                        gather(block, runs, y.start, x.start, matrix, begin - first)
                    if summer is not None:
                        summer.add(block, y, x, begin - first)
                    if moments is not None:
                        moments.add(block, begin, y, x)
                if moments is not None:
                    moments.advance(begin, end - begin)
            if gathers:
                values = _batch(request, aggregator, last - first, matrix.__getitem__, entries)
                batches.append(values if summer is None else values | summer.values())
    result = _join(batches, moments)
    result.seconds = time.monotonic() - begun + (0.0 if carried is None else carried.seconds)
    return result


def _spans(source: BlockSource, start: int, stop: int, frames: int) -> Iterator[tuple[int, int]]:
    """Cut frames into spans of up to `frames` that end with a chunk of the source, or at `stop`."""
    while start < stop:
        end = min(stop, start + frames - (start + source.offset[0]) % source.chunks[0])
        yield start, end
        start = end


def _reads(
    source: BlockSource,
    tiles: TiledRuns,
    positions: Sequence[tuple[int, int]],
    bounds: tuple[int, int],
    batch_frames: int,
    together: int,
) -> Iterator[tuple[slice, slice, slice]]:
    """Yield the blocks of a slab in the order in which they are read."""
    for first, last in _spans(source, *bounds, batch_frames):
        for begin, end in _spans(source, first, last, together):
            for row, column in positions:
                yield slice(begin, end), *tiles.tile(row, column)[:2]


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
        batches.append(_batch(request, aggregator, frames, rows, table.n_entries))
    return _join(batches, None)


class _PiecedRows:
    """Rows of the pixel matrix ``(entry, time)``, put together from pieces when they are asked for, in the same room."""

    def __init__(
        self, frames: int, dtype: np.dtype[Any], pieces: list[tuple[NDArray[np.int64], NDArray[Any]]]
    ) -> None:
        self._frames = frames
        self._pieces = pieces
        self._room = np.empty(0, dtype)

    def __call__(self, entries: slice) -> NDArray[Any]:
        count = entries.stop - entries.start
        if self._room.size < count * self._frames:
            self._room = np.empty(count * self._frames, self._room.dtype)
        matrix = self._room[: count * self._frames].reshape(count, self._frames)
        for own, piece in self._pieces:
            first, last = np.searchsorted(own, (entries.start, entries.stop))
            scatter(piece[first:last], own[first:last] - entries.start, matrix)
        return matrix


def _entries(tiles: TiledRuns, row: int, column: int) -> NDArray[np.int64]:
    """Return the entries of a tile in their order."""
    runs = tiles.tile(row, column)[2]
    lengths = runs[:, 3]
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.sort(np.repeat(runs[:, 0], lengths) + within)


def _batch(
    request: Request, aggregator: GroupedAggregator | None, frames: int, rows: Rows, n_entries: int
) -> dict[str, NDArray[Any]]:
    """Return what is asked of one batch of frames."""
    values = {} if aggregator is None else aggregator(frames, rows)
    return values | ({"pixels": rows(slice(0, n_entries)).copy()} if request.pixels else {})


def _join(batches: list[dict[str, NDArray[Any]]], moments: Moments | None) -> SlabResult:
    if len(batches) == 1:
        return SlabResult(batches[0], moments)
    names = batches[0] if batches else {}
    return SlabResult(
        {name: np.concatenate([one[name] for one in batches], axis=1) for name in names}, moments
    )
