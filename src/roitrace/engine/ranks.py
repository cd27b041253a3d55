"""Medians and percentiles over time, exactly and in bounded memory, as one graph of parts of the frame.

A part is a column of storage chunks or a strip of one. Either all its frames are held and the ranks picked from them, or
its samples are read once per digit of eight bits and counted. Passes read anew: none keeps another's blocks alive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import DataNode, List, Task, TaskRef

from roitrace.engine.compilation import announces_compilation
from roitrace.engine.foreign import DaskSource
from roitrace.engine.plan import chunk_borders
from roitrace.engine.rank_layer import RankLayer
from roitrace.engine.rank_plan import RankJob, RankPlan, counter_dtype
from roitrace.engine.work import Declared
from roitrace.kernels.gather import gather, runs_of
from roitrace.kernels.ranks import DIGITS, count_digits, pick_digits, samples_of_keys, select_narrow
from roitrace.sources import expect
from roitrace.watching import Work

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from roitrace.engine.statistics import Statistic
    from roitrace.sources import BlockReader, BlockSource

__all__ = ["rank_images", "rank_job"]

Part = tuple[slice, slice]


def rank_job(source: BlockSource, statistics: tuple[Statistic, ...]) -> RankJob:
    """Say in integers what is asked."""
    return RankJob(
        source.shape,
        source.chunks,
        source.offset,
        source.dtype.itemsize,
        len(statistics),
        source.halo,
        source.ahead_bytes,
    )


def rank_images(
    array: da.Array,
    source: BlockSource | None,
    statistics: tuple[Statistic, ...],
    plan: RankPlan,
    *,
    skipna: bool,
    lanes: int = 0,
    before: tuple[HighLevelGraph, str, tuple[Any, ...]] | None = None,
) -> dict[str, da.Array]:
    """Return medians and percentiles over time, ``(y, x)`` float64 and lazy, by name.

    Parameters
    ----------
    array : dask array
        The recording ``(time, y, x)``.
    source : BlockSource or None
        Its storage, if it is read directly; otherwise its own blocks are computed inside the tasks.
    statistics : tuple of Statistic
        Order statistics of at most two neighbouring ranks.
    plan : RankPlan
        How to do it.
    skipna : bool
        Whether NaN samples are passed over; otherwise a pixel with one is NaN.
    lanes : int
        Parts that run at once: a part waits for the one before it in its lane. 0 if they need not wait.
    before : HighLevelGraph, str and tuple, optional
        A graph, one of its layers, and keys of that layer which the first parts wait for.
    """
    read = DaskSource(array) if source is None else source
    name = f"ranks-{tokenize(array.name, array.chunks, statistics, plan, skipna)}"
    asked = _Asked(statistics, skipna, plan.batch_frames)
    tasks: dict[Any, Task] = {}
    graph, layer, waited = before or (HighLevelGraph({}, {}), "", ())
    ends: list[Any] = [List(*(TaskRef(key) for key in waited))] * max(1, lanes)
    rows, columns = (list(pairwise(edges)) for edges in (plan.y_edges, plan.x_edges))
    for number, (row, column) in enumerate(product(range(len(rows)), range(len(columns)))):
        key, part = (name, row, column), (slice(*rows[row]), slice(*columns[column]))
        lane = number % len(ends)
        source_ref = TaskRef(f"{name}-source")
        passes = 1 if plan.method == "columns" else read.dtype.itemsize
        work = _work_of(read, part, passes)
        if plan.method == "columns":
            tasks[key] = Task(key, Declared(_from_columns, work), source_ref, asked, part, ends[lane])
        elif plan.segments == 1:
            counted = Declared(_from_counts, work)
            tasks[key] = Task(key, counted, source_ref, asked, part, ends[lane])
        else:
            lane = 0
            segments = _segments(read, plan.segments)
            _staged(tasks, key, source_ref, asked, part, segments, passes, ends[lane], work)
        if lanes or plan.segments > 1:
            ends[lane] = TaskRef(key)
    shared = {f"{name}-source": DataNode(f"{name}-source", read)}
    needs = {f"{name}-source", layer} if waited else {f"{name}-source"}
    graph = HighLevelGraph(
        {**graph.layers, name: RankLayer(tasks), f"{name}-source": shared},
        {**graph.dependencies, name: needs, f"{name}-source": set()},
    )
    chunks = tuple(tuple(stop - start for start, stop in bounds) for bounds in (rows, columns))
    return {one.name: _pick(graph, name, one.name, chunks) for one in statistics}


def _pick(graph: HighLevelGraph, name: str, statistic: str, chunks: tuple[tuple[int, ...], ...]) -> da.Array:
    own = f"{name}-{tokenize(statistic)}"
    tasks = {
        (own, row, column): Task(
            (own, row, column), dict.__getitem__, TaskRef((name, row, column)), statistic
        )
        for row, column in product(range(len(chunks[0])), range(len(chunks[1])))
    }
    layers = HighLevelGraph({**graph.layers, own: tasks}, {**graph.dependencies, own: {name}})
    return da.Array(layers, own, chunks=chunks, dtype=np.float64)


def _staged(
    tasks: dict[Any, Task],
    key: tuple[Any, ...],
    source: TaskRef,
    asked: _Asked,
    part: Part,
    segments: list[tuple[int, int]],
    n_digits: int,
    after: Any,
    work: Work,
) -> None:
    """Add the tasks of one part whose spans of time are counted side by side, from when `after` is done."""
    search: TaskRef | None = None
    count = Declared(
        _count_segment,
        Work(work.frames / n_digits / len(segments), work.nbytes // n_digits // len(segments)),
    )
    for digit in range(n_digits):
        counted = []
        for number, bounds in enumerate(segments):
            one = (f"{key[0]}-count", *key[1:], digit, number)
            tasks[one] = Task(one, count, source, asked, part, bounds, search, after)
            counted.append(TaskRef(one))
        picked = (f"{key[0]}-pick", *key[1:], digit)
        tasks[picked] = Task(picked, _pick_segment, List(*counted), asked, search)
        search, after = TaskRef(picked), None
    assert search is not None
    tasks[key] = Task(key, _Search.images, search, asked)


def _work_of(source: BlockSource, part: Part, passes: int) -> Work:
    shape = (source.shape[0], *(span.stop - span.start for span in part))
    return Work.of(shape, source.shape[1:], source.dtype.itemsize, passes=passes)


def _segments(source: BlockSource, count: int) -> list[tuple[int, int]]:
    borders = chunk_borders(source.shape[0], source.chunks[0], source.offset[0])
    picks = [borders[len(borders) * number // count] for number in range(count)]
    cuts = sorted({0, *picks[1:], source.shape[0]})
    return list(pairwise(cuts))


@dataclass(frozen=True)
class _Asked:
    statistics: tuple[Statistic, ...]
    skipna: bool
    batch_frames: int


def _reads(
    source: BlockSource, reader: BlockReader, part: Part, bounds: tuple[int, int], batch_frames: int
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the first frame and the samples of batches of whole chunks, each lent until the next."""
    starts = list(_starts(source, bounds, batch_frames))
    spans = [slice(*pair) for pair in pairwise([*starts, bounds[1]])]
    expect(reader, ((span, *part) for span in spans))
    for span in spans:
        yield span.start, reader.read(span, *part)


def _starts(source: BlockSource, bounds: tuple[int, int], batch_frames: int) -> Iterator[int]:
    first, stop = bounds
    while first < stop:
        yield first
        first += batch_frames - (first + source.offset[0]) % source.chunks[0]


@announces_compilation
def _from_columns(
    source: BlockSource, asked: _Asked, part: Part, _after: object = None
) -> dict[str, NDArray[np.float64]]:
    """Hold all frames of a part, and pick the ranks; `_after` is only waited for."""
    y, x = part
    height, width = y.stop - y.start, x.stop - x.start
    frames, dtype = source.shape[0], source.dtype
    matrix = np.empty((height * width, frames), dtype)
    runs = runs_of(np.arange(height * width), width)
    with source.open() as reader:
        for first, block in _reads(source, reader, part, (0, frames), asked.batch_frames):
            gather(block, runs, 0, 0, matrix, first)
    if dtype.kind == "f":
        return _from_sorted(matrix, asked, (height, width))
    orders = [one.order(frames) for one in asked.statistics]
    ranks = sorted({rank for order in orders for rank in order.ranks})
    picked = np.empty((len(matrix), len(ranks)), np.int64)
    if dtype.itemsize <= 2:
        select_narrow(matrix, np.array(ranks), picked)
    else:
        matrix.partition(ranks, axis=1)
        picked[:] = matrix[:, ranks]
    values = {rank: picked[:, number].astype(np.float64) for number, rank in enumerate(ranks)}
    return {
        one.name: order.between(*(values[rank] for rank in order.ranks)).reshape(height, width)
        for one, order in zip(asked.statistics, orders, strict=True)
    }


def _from_sorted(
    matrix: NDArray[Any], asked: _Asked, shape: tuple[int, int]
) -> dict[str, NDArray[np.float64]]:
    """Sort float samples, NaN last, and read the ranks off."""
    matrix.sort(axis=1)
    valid = np.array([np.searchsorted(row, np.nan) for row in matrix])
    pixels = np.arange(len(matrix))
    low, high = (np.empty((len(asked.statistics), len(matrix))) for _ in range(2))
    for number, lowest, highest in _ranks(valid, asked, matrix.shape[1]):
        low[number], high[number] = (matrix[pixels, np.maximum(rank, 0)] for rank in (lowest, highest))
    return _images(low, high, valid, asked, matrix.shape[1], shape)


def _ranks(
    valid: NDArray[np.int64], asked: _Asked, frames: int
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield for each statistic its number and the two ranks of every pixel; -1 where there is no result."""
    for number, one in enumerate(asked.statistics):
        lowest, highest = np.full(valid.shape, -1, np.int64), np.full(valid.shape, -1, np.int64)
        for count in np.unique(valid).tolist():
            if count == frames or (asked.skipna and count > 0):
                there = valid == count
                lowest[there], highest[there] = one.order(count).ranks
        yield number, lowest, highest


def _images(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    valid: NDArray[np.int64],
    asked: _Asked,
    frames: int,
    shape: tuple[int, int],
) -> dict[str, NDArray[np.float64]]:
    """Finish every statistic from the samples (statistic, pixel) of its two ranks."""
    images = {}
    for number, one in enumerate(asked.statistics):
        image = np.full(valid.shape, np.nan)
        for count in np.unique(valid).tolist():
            if count == frames or (asked.skipna and count > 0):
                there = valid == count
                image[there] = one.order(count).between(low[number, there], high[number, there])
        images[one.name] = image.reshape(shape)
    return images


@dataclass
class _Counts:
    """Digits counted in some frames of a part.

    Attributes
    ----------
    frames : int
        How many frames those of the whole recording are.
    tables : numpy.ndarray
        (target, y, x, digit).
    above : numpy.ndarray or None
        Smallest key beyond the prefix (target, y, x).
    """

    dtype: np.dtype[Any]
    frames: int
    tables: NDArray[np.unsignedinteger]
    above: NDArray[np.uint64] | None


@dataclass
class _Search:
    """How far the keys of all statistics are known.

    Attributes
    ----------
    shift : int
        Bits of the keys that are not known yet.
    prefix, rank, following : numpy.ndarray
        Known bits, rank among the samples that share them, and in the end the key of the next rank: (statistic, y, x).
    pairs : numpy.ndarray
        Whether a statistic takes the next rank too (statistic, y, x).
    valid : numpy.ndarray
        Samples that are not NaN (y, x).
    """

    dtype: np.dtype[Any]
    frames: int
    shift: int
    prefix: NDArray[np.uint64]
    rank: NDArray[np.int64]
    following: NDArray[np.uint64]
    pairs: NDArray[np.bool_] = field(repr=False)
    valid: NDArray[np.int64] = field(repr=False)

    def images(self, asked: _Asked) -> dict[str, NDArray[np.float64]]:
        """Finish when all bits are known."""
        low = samples_of_keys(self.prefix, self.dtype)
        high = np.where(self.pairs, samples_of_keys(self.following, self.dtype), low)
        shape = (self.valid.shape[0], self.valid.shape[1])
        flat = (len(asked.statistics), -1)
        return _images(low.reshape(flat), high.reshape(flat), self.valid.ravel(), asked, self.frames, shape)


@announces_compilation
def _from_counts(
    source: BlockSource, asked: _Asked, part: Part, _after: object = None
) -> dict[str, NDArray[np.float64]]:
    """Count digit after digit, reading the part anew for each; `_after` is only waited for."""
    search: _Search | None = None
    for _ in range(source.dtype.itemsize):
        counts = _count_segment(source, asked, part, (0, source.shape[0]), search)
        search = _pick_segment([counts], asked, search)
        del counts
    assert search is not None
    return search.images(asked)


@announces_compilation
def _count_segment(
    source: BlockSource,
    asked: _Asked,
    part: Part,
    bounds: tuple[int, int],
    search: _Search | None,
    _after: object = None,
) -> _Counts:
    """Count the next digit in a span of frames; `_after` is only waited for."""
    prefix = None if search is None else search.prefix
    shift = (8 * source.dtype.itemsize if search is None else search.shift) - 8
    shape = (part[0].stop - part[0].start, part[1].stop - part[1].start)
    targets = 1 if prefix is None else len(prefix)
    tables = np.zeros((targets, *shape, DIGITS), counter_dtype(source.shape[0]))
    above = None if prefix is None or shift else np.full((targets, *shape), ~np.uint64(0))
    with source.open() as reader:
        for _, block in _reads(source, reader, part, bounds, asked.batch_frames):
            count_digits(block, prefix, shift, tables, above)
    return _Counts(source.dtype, source.shape[0], tables, above)


def _pick_segment(counts: Sequence[_Counts], asked: _Asked, search: _Search | None) -> _Search:
    """Add up what was counted side by side, a row of pixels at a time, and go one digit down."""
    one = counts[0]
    height, width = one.tables.shape[1:3]
    if search is None:
        valid = np.zeros((height, width), np.int64)
        for y, part in product(range(height), counts):
            valid[y] += part.tables[0, y].sum(axis=1, dtype=np.int64)
        search = _begin(one, valid, asked)
    prefix, rank = search.prefix.copy(), search.rank.copy()
    shift = search.shift - 8
    following = search.following.copy()
    above = one.above
    for part in counts[1:]:
        if above is not None and part.above is not None:
            above = np.minimum(above, part.above)
    nothing = np.zeros((0, 0), np.uint64)
    for y in range(height):
        tables = one.tables[:, y] if len(counts) == 1 else sum(part.tables[:, y] for part in counts)
        pick_digits(
            tables,
            rank[:, y],
            prefix[:, y],
            nothing if above is None else above[:, y],
            nothing if shift else following[:, y],
        )
    return _Search(search.dtype, search.frames, shift, prefix, rank, following, search.pairs, search.valid)


def _begin(counts: _Counts, valid: NDArray[np.int64], asked: _Asked) -> _Search:
    shape = (len(asked.statistics), *valid.shape)
    rank, pairs = np.empty(shape, np.int64), np.empty(shape, np.bool_)
    for number, lowest, highest in _ranks(valid, asked, counts.frames):
        rank[number], pairs[number] = lowest, highest > lowest
    zeros = np.zeros(shape, np.uint64)
    return _Search(
        counts.dtype, counts.frames, 8 * counts.dtype.itemsize, zeros, rank, zeros.copy(), pairs, valid
    )
