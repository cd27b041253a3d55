"""ROIs of which only sums are asked, such as rings of neuropil: added up tile by tile, in no pixel matrix.

The pixels of a tile are copied once, however many ROIs share them, and added while they are in the cache. Integer sums are
exact, so that their order does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.engine.aggregation import Aggregator
from roitrace.engine.plan import TILE_BYTES
from roitrace.engine.regions import RoiTable, TiledRuns, tile_runs
from roitrace.kernels.gather import gather
from roitrace.kernels.tile_sums import add_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from roitrace.engine.statistics import Statistic

__all__ = ["SummedTiles", "Summer", "first_summed", "summed_tiles"]

_ROWS_IN_32_BITS = 2**15
_BAND_PIXELS = 4096  # of a band of so many, the samples of a storage chunk stay in the second-level cache
_LEAST_FRAMES = 8


@dataclass(frozen=True, eq=False)
class SummedTiles:
    """Pixels of ROIs by band of rows of a tile, each once, and which of them a ROI adds up.

    Attributes
    ----------
    bands : TiledRuns
        Runs of pixels; their entries count from 0 over all bands.
    first_entries : numpy.ndarray
        First entry of each band, and the number of all.
    parts : numpy.ndarray
        (n, 3): ROI, first entry within the band, number of entries; band after band, ROI after ROI.
    part_starts : numpy.ndarray
        Parts of band ``n`` are ``parts[part_starts[n]:part_starts[n + 1]]``.
    held : numpy.ndarray
        Whether each tile holds a pixel, row by row.
    """

    bands: TiledRuns
    first_entries: NDArray[np.int64]
    parts: NDArray[np.int64]
    part_starts: NDArray[np.int64]
    held: NDArray[np.bool_]

    def inside(self, y: slice, x: slice) -> Iterator[int]:
        """Yield the numbers of the bands of a tile that hold pixels."""
        edges = self.bands.y_edges, self.bands.x_edges
        (top, bottom), (left, right) = (
            np.searchsorted(edge, (part.start, part.stop)).tolist()
            for edge, part in zip(edges, (y, x), strict=True)
        )
        for row in range(top, bottom):
            for number in range(row * (edges[1].size - 1) + left, row * (edges[1].size - 1) + right):
                if self.first_entries[number + 1] > self.first_entries[number]:
                    yield number


def first_summed(statistics: Sequence[Statistic], spans: Sequence[tuple[int, int]], n_rois: int) -> int:
    """Return the first ROI from which on only plain sums are asked of every group; `n_rois` if there is none."""
    first = n_rois
    for span in sorted(set(spans), reverse=True):
        members = [one.declaration for one, own in zip(statistics, spans, strict=True) if own == span]
        if any(
            one.needs - {"count", "total"} or one.order is not None or one.location is not None
            for one in members
        ):
            break
        first = span[0]
    return first


def summed_tiles(
    pixels: NDArray[np.int64],
    indptr: NDArray[np.int64],
    width: int,
    y_edges: NDArray[np.int64],
    x_edges: NDArray[np.int64],
) -> SummedTiles:
    """Cut ROIs (`indptr`, flat `pixels`) along the borders of tiles and of bands; `width` is that of the frame."""
    # whole rows of a tile: blocks are then read in the order in which they lie in memory
    fine = [_refined(y_edges, max(1, _BAND_PIXELS // int(np.diff(x_edges).max()))), x_edges]
    y, x = np.divmod(pixels, width)
    band = _cell(y, x, *fine)
    n_bands = (fine[0].size - 1) * (fine[1].size - 1)
    roi = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    frame_pixels = int(y_edges[-1]) * width
    own, entry = np.unique(band * frame_pixels + pixels, return_inverse=True)
    band_of_own, pixel_of_own = np.divmod(own, frame_pixels)
    first_entries = np.searchsorted(band_of_own, np.arange(n_bands + 1)).astype(np.int64)
    order = np.lexsort((entry, roi, band))
    band, roi, entry = band[order], roi[order], entry[order]
    begins = np.ones(order.size, dtype=np.bool_)
    begins[1:] = (np.diff(band) != 0) | (np.diff(roi) != 0) | (np.diff(entry) != 1)
    starts = np.flatnonzero(begins)
    lengths = np.diff(np.append(starts, order.size))
    parts = np.stack([roi[starts], entry[starts] - first_entries[band[starts]], lengths], axis=1)
    held = np.zeros((y_edges.size - 1) * (x_edges.size - 1), dtype=np.bool_)
    held[_cell(y, x, y_edges, x_edges)] = True
    return SummedTiles(
        tile_runs(pixel_of_own, width, fine[0], fine[1]),
        first_entries,
        parts.astype(np.int64),
        np.searchsorted(band[starts], np.arange(n_bands + 1)).astype(np.int64),
        held,
    )


def _refined(edges: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Cut what lies between borders into pieces of `step`."""
    inner = [begin for first, last in pairwise(edges.tolist()) for begin in range(first, last, step)]
    return np.array([*inner, edges[-1]], dtype=np.int64)


def _cell(
    y: NDArray[np.int64], x: NDArray[np.int64], y_edges: NDArray[np.int64], x_edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the number of the cell of a grid, row by row, that pixels lie in."""
    row, column = np.searchsorted(y_edges, y, side="right") - 1, np.searchsorted(x_edges, x, side="right") - 1
    return np.asarray(row * (x_edges.size - 1) + column, dtype=np.int64)


class Summer:
    """Adds up blocks of frames, tile by tile, and gives the statistics of a batch.

    Parameters
    ----------
    table : RoiTable
        The ROIs that are summed.
    statistics : tuple of Statistic
        Sums and means.
    spans : sequence of tuple of int
        First and last (excluded) ROI of each statistic.
    tiles : SummedTiles
        Their pixels.
    dtype : numpy.dtype
        Of the samples: integers.
    """

    def __init__(
        self,
        table: RoiTable,
        statistics: tuple[Statistic, ...],
        spans: Sequence[tuple[int, int]],
        tiles: SummedTiles,
        dtype: np.dtype[Any],
    ) -> None:
        self._tiles = tiles
        self._dtype = dtype
        small = dtype.itemsize <= 2 and table.sizes.max(initial=0) <= _ROWS_IN_32_BITS
        self._part: np.dtype[Any] = np.dtype(np.int32 if small else np.int64)
        self._n_rois = table.sizes.size
        self._sums = np.zeros((0, 0), np.int64)
        self._groups: list[tuple[slice, Aggregator]] = []
        for first, last in sorted(set(spans)):
            members = tuple(one for one, span in zip(statistics, spans, strict=True) if span == (first, last))
            indptr = table.indptr[first : last + 1] - table.indptr[first]
            own = RoiTable(indptr, np.zeros((0, int(indptr[-1]))))
            self._groups.append((slice(first, last), Aggregator(own, members, (), dtype, 1.0)))

    def begin(self, frames: int) -> None:
        """Begin a batch of frames."""
        self._sums = np.zeros((self._n_rois, frames), np.int64)

    def add(self, block: NDArray[Any], y: slice, x: slice, frame: int) -> None:
        """Add a block ``(time, y, x)`` of one tile, from a frame of the batch on."""
        known = self._tiles
        for number in known.inside(y, x):
            begin, end = known.first_entries[number : number + 2].tolist()
            runs = known.bands.runs[known.bands.starts[number] : known.bands.starts[number + 1]].copy()
            runs[:, 0] -= begin
            parts = known.parts[known.part_starts[number] : known.part_starts[number + 1]]
            most = max(_LEAST_FRAMES, TILE_BYTES // ((end - begin) * self._dtype.itemsize))
            for first, last in pairwise([*range(0, len(block), most), len(block)]):
                matrix = np.empty((end - begin, last - first), self._dtype)
                gather(block[first:last], runs, y.start, x.start, matrix, 0)
                part = np.empty(last - first, self._part)
                add_parts(matrix, parts, part, self._sums[:, frame + first : frame + last])

    def values(self) -> dict[str, NDArray[Any]]:
        """Return what is asked of the batch: name to ``(roi, time)``."""
        values: dict[str, NDArray[Any]] = {}
        for rois, aggregator in self._groups:
            values |= aggregator.of_sums(self._sums[rois])
        return values
