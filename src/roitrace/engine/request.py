"""What one call asks for, and where the pixels are that it needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.engine.groups import GroupedAggregator
from roitrace.engine.plan import frames_at_once
from roitrace.engine.regions import RoiTable, TiledRuns, grid_edges, tile_runs
from roitrace.engine.rows import RowPlan, entries_at_once, plan_rows
from roitrace.engine.sums import SummedTiles, Summer, first_summed, summed_tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.engine.statistics import Statistic
    from roitrace.engine.time_parameters import BinNeeds
    from roitrace.sources import BlockSource

__all__ = ["Request", "SlabLayout", "frames_together"]


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

    def summer(self, layout: SlabLayout, dtype: np.dtype[Any]) -> Summer | None:
        """Return what adds up the ROIs that are only summed, if there are any."""
        table = layout.table
        first = self.first_summed(table, dtype)
        if layout.summed is None or first == table.sizes.size:
            return None
        spans = self.spans_of(table)
        asked = [pair for pair in zip(self.statistics, spans, strict=True) if pair[1][0] >= first]
        statistics = tuple(one for one, _ in asked)
        moved = [(begin - first, end - first) for _, (begin, end) in asked]
        own = RoiTable(table.indptr[first:] - table.indptr[first], np.zeros((0, 0)))
        return Summer(own, statistics, moved, layout.summed, dtype)

    def reads_by_tile(self, source: BlockSource) -> bool:
        """Whether all frames of a batch are read of a tile before the next; sums over time, and readers that keep rows, take all tiles of a frame first."""
        return not self.moments and source.halo == 0


@dataclass(frozen=True, eq=False)
class SlabLayout:
    """Where the pixels of all ROIs are: the same for every slab.

    Attributes
    ----------
    table : RoiTable
        The ROIs in the order of `rows`, then those that are only added up.
    tiles : TiledRuns
        The pixels that are gathered, by tile, with rows of the pixel matrix in place of entries.
    rows : RowPlan
        Which rows these are.
    summed : SummedTiles or None
        The ROIs that are only added up.
    """

    table: RoiTable
    tiles: TiledRuns
    rows: RowPlan
    summed: SummedTiles | None = None

    @classmethod
    def of(
        cls,
        request: Request,
        table: RoiTable,
        pixels: NDArray[np.int64],
        source: BlockSource,
        batch_frames: int,
        tile: tuple[int, int],
    ) -> SlabLayout:
        """Cut the flat `pixels` of the ROIs of a table along tiles of a size, and plan their rows."""
        edges = [
            grid_edges(source.shape[axis], tile[axis - 1], source.offset[axis] % tile[axis - 1])
            for axis in (1, 2)
        ]
        width, first = source.shape[2], request.first_summed(table, source.dtype)
        entry = int(table.indptr[first])
        tiles = tile_runs(pixels[:entry], width, edges[0], edges[1], table.indptr[:first])
        once = request.reads_by_tile(source) or frames_together(source, tiles) >= batch_frames
        rows, runs = plan_rows(
            tiles,
            table.indptr[: first + 1],
            [span for span in request.spans_of(table) if span[1] <= first] or [(0, first)],
            entries_at_once(batch_frames, source.dtype.itemsize),
            streams=once and not request.pixels,
        )
        summed = None
        if first < table.sizes.size:
            own = table.indptr[first:] - entry
            summed = summed_tiles(pixels[entry:], own, width, edges[0], edges[1])
        return cls(rows.arranged(table), replace(tiles, runs=runs), rows, summed)

    def read(self, *, everywhere: bool) -> list[int]:
        """Return the numbers of the tiles that hold pixels of ROIs, or of all."""
        held = self.tiles.held | everywhere
        numbers: list[int] = np.flatnonzero(held if self.summed is None else held | self.summed.held).tolist()
        return numbers

    def places(self, request: Request) -> dict[str, NDArray[np.int64]]:
        """Return the ROI of each row of what a batch gives, by name; nothing where it is the row's number."""
        if self.rows.keeps_order:
            return {}
        order = self.rows.order
        spans = zip(request.statistics, request.spans_of(self.table), strict=True)
        own = {one.name: order[first:last] - first for one, (first, last) in spans if last <= order.size}
        return own | {"n_valid": order}


def frames_together(source: BlockSource, tiles: TiledRuns) -> int:
    """Return how many frames of a tile are read at once."""
    pixels = int(np.diff(tiles.y_edges).max()) * int(np.diff(tiles.x_edges).max())
    return frames_at_once(source.chunks[0], pixels * source.dtype.itemsize)
