"""One task: read a slab of frames once, and give back everything that was asked of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.engine.compilation import announces_compilation
from roitrace.engine.moments import Moments, new_moments
from roitrace.engine.request import frames_together
from roitrace.kernels.gather import gather
from roitrace.sources import expect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from roitrace.engine.groups import GroupedAggregator
    from roitrace.engine.request import Request, SlabLayout
    from roitrace.engine.rows import RowPlan
    from roitrace.sources import BlockSource

__all__ = ["SlabResult", "read_slab"]


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
    layout: SlabLayout,
    request: Request,
    bounds: tuple[int, int],
    batch_frames: int,
    carried: SlabResult | None = None,
    _after: object = None,
) -> SlabResult:
    """Stream the frames ``bounds`` of a source, batch by batch, tile by tile.

    `carried` holds the sums over time to go on from; `_after` is only waited for.
    """
    start, stop = bounds
    begun = time.monotonic()
    tiles, rows = layout.tiles, layout.rows
    aggregator = request.aggregator(layout.table, source.dtype, rows.order.size)
    summer = request.summer(layout, source.dtype)
    moments = _moments(request, source, carried)
    whole_after = rows.whole_after()
    last_tile = tiles.starts.size - 2
    room = np.empty(rows.n_rows * min(batch_frames, stop - start), source.dtype)
    values = _Values(stop - start, layout.places(request))
    with source.open() as reader:
        expect(reader, _blocks(source, layout, request, bounds, batch_frames))
        for first, last in _spans(source, start, stop, batch_frames):
            matrix = room[: rows.n_rows * (last - first)].reshape(rows.n_rows, last - first)
            for part in (aggregator, summer):
                if part is not None:
                    part.begin(last - first)
            for begin, end, number in _reads(source, layout, request, (first, last)):
                y, x, runs = tiles.numbered(number)
                block = reader.read(slice(begin, end), y, x)
                gather(block, runs, y.start, x.start, matrix, begin - first)
                if summer is not None:
                    summer.add(block, y, x, begin - first)
                if moments is not None:
                    moments.add(block, begin, y, x)
                    if number == last_tile:
                        moments.advance(begin, end - begin)
                if aggregator is not None and end == last:
                    _aggregate(aggregator, whole_after.get(number, ()), matrix, rows)
            if aggregator is not None:
                _aggregate(aggregator, whole_after.get(last_tile + 1, ()), matrix, rows)
                values.put(aggregator.values(), first - start)
            if summer is not None:
                values.put(summer.values(), first - start)
            if request.pixels:
                values.put({"pixels": matrix}, first - start)
    seconds = time.monotonic() - begun + (0.0 if carried is None else carried.seconds)
    return SlabResult(values.arrays, moments, seconds)


def _moments(request: Request, source: BlockSource, carried: SlabResult | None) -> Moments | None:
    """Return the sums over time to go on from, if any are asked for."""
    if not request.moments:
        return None
    if carried is not None and carried.moments is not None:
        return carried.moments.copy()
    return new_moments(source.shape[1:], source.dtype, request.moments, request.periods, request.bins)


def _aggregate(
    aggregator: GroupedAggregator, spans: Iterable[tuple[int, int]], matrix: NDArray[Any], rows: RowPlan
) -> None:
    for rois in spans:
        aggregator.add(rois, matrix, rows.first_rows)


class _Values:
    """What is asked of a slab, put together from batches: name to ``(roi, time)``.

    Parameters
    ----------
    frames : int
        Of the slab.
    places : mapping
        Row of the result for each row of a batch, by name, where they differ.
    """

    def __init__(self, frames: int, places: Mapping[str, NDArray[np.int64]]) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self._frames, self._places = frames, places

    def put(self, batch: Mapping[str, NDArray[Any]], first: int) -> None:
        """Copy a batch that begins at a frame of the slab."""
        for name, rows in batch.items():
            # one array each: whoever keeps one does not keep the others
            if name not in self.arrays:
                self.arrays[name] = np.empty((rows.shape[0], self._frames), rows.dtype)
            span = slice(first, first + rows.shape[1])
            self.arrays[name][self._places.get(name, slice(None)), span] = rows


def _spans(source: BlockSource, start: int, stop: int, frames: int) -> Iterator[tuple[int, int]]:
    """Cut frames into spans of up to `frames` that end with a chunk of the source, or at `stop`."""
    while start < stop:
        end = min(stop, start + frames - (start + source.offset[0]) % source.chunks[0])
        yield start, end
        start = end


def _reads(
    source: BlockSource, layout: SlabLayout, request: Request, batch: tuple[int, int]
) -> Iterator[tuple[int, int, int]]:
    """Yield first and last (excluded) frame and tile of what is read for a batch, in order."""
    spans = list(_spans(source, *batch, frames_together(source, layout.tiles)))
    numbers = layout.read(everywhere=bool(request.moments))
    if request.reads_by_tile(source):
        yield from ((*span, number) for number in numbers for span in spans)
    else:
        yield from ((*span, number) for span in spans for number in numbers)


def _blocks(
    source: BlockSource, layout: SlabLayout, request: Request, bounds: tuple[int, int], batch_frames: int
) -> Iterator[tuple[slice, slice, slice]]:
    """Yield the blocks of a slab in the order in which they are read."""
    for batch in _spans(source, *bounds, batch_frames):
        for begin, end, number in _reads(source, layout, request, batch):
            yield slice(begin, end), *layout.tiles.numbered(number)[:2]
