"""One call, one graph: traces and images of a recording, each needed chunk read once.

A recording that is exactly what `as_dask` made is read by one task per slab of frames (the direct path). Any other dask array is read through its own
blocks: a task per block copies out the pixels of ROIs and sums for images, a task per slab aggregates. Both give
the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import DataNode, List, Task, TaskRef

from roitrace.engine.arithmetic import direct_source
from roitrace.engine.compilation import announces_compilation
from roitrace.engine.foreign import DaskSource
from roitrace.engine.moments import Moments, in_order, moment_bytes, new_moments
from roitrace.engine.pieces import aggregate_pieces, cut_piece
from roitrace.engine.places import available_workers, of_each_worker, worker_processes
from roitrace.engine.plan import RESERVED_BYTES, Job, batch_and_tile, block_bytes, plan_blocks, plan_slabs
from roitrace.engine.rank_plan import plan_ranks
from roitrace.engine.ranks import rank_images, rank_job
from roitrace.engine.regions import RoiTable, TiledRuns, tile_runs
from roitrace.engine.request import Request, SlabLayout
from roitrace.engine.slab import SlabResult
from roitrace.engine.slab_layer import SlabLayer, merge_tree
from roitrace.engine.work import Declared
from roitrace.watching import Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.engine.carried_sums import CarriedSums
    from roitrace.engine.statistics import Statistic
    from roitrace.sources import BlockSource

__all__ = ["Reduced", "job_of", "reduce_recording", "streamed", "streamed_job"]


@dataclass(frozen=True)
class Reduced:
    """Lazy results of one call.

    Attributes
    ----------
    traces : dict
        Name of the statistic to a dask array ``(roi, time)``, float64.
    n_valid : dask array or None
        Valid pixels (roi, time), for float recordings.
    pixels : dask array or None
        Pixel matrix (entry, time), if it was asked for.
    images : dict
        Name of the projection to a dask array ``(y, x)``, float64.
    """

    traces: dict[str, da.Array]
    n_valid: da.Array | None
    pixels: da.Array | None
    images: dict[str, da.Array]


@of_each_worker()
def reduce_recording(
    array: da.Array,
    table: RoiTable,
    pixels: NDArray[np.int64],
    request: Request,
    projections: tuple[Statistic, ...],
    *,
    skipna: bool,
    budget: int,
    workers: int,
    carried: CarriedSums | None = None,
) -> Reduced:
    """Build the graph that reduces a recording ``(time, y, x)`` to traces and images.

    Parameters
    ----------
    array : dask array
        The recording.
    table : RoiTable
        ROIs; may be empty.
    pixels : numpy.ndarray
        Flat pixel index of every entry of the table.
    request : Request
        What is asked of the pixels.
    projections : tuple of Statistic
        Images to make of the same read.
    skipna : bool
        Whether NaN samples are passed over in images.
    budget, workers : int
        Bytes that the job may use, tasks at once.
    carried : CarriedSums, optional
        Sums over time to go on from and to leave; only of a recording store that is read directly, without traces.

    Raises
    ------
    BudgetError
        If the job cannot fit the budget.
    """
    source = direct_source(array)
    parts = None
    if request.statistics or request.pixels or request.moments:
        direct = source or streamed(array, table, request, budget, workers)
        parts = (
            _from_blocks(array, table, pixels, request, budget)
            if direct is None
            else _from_source(array, direct, table, pixels, request, budget, workers, carried)
        )
    images = _ranked(array, source, projections, parts, skipna=skipna, budget=budget, workers=workers)
    if parts is None:
        return Reduced({}, None, None, images)
    traces = {
        one.name: parts.trace(one.name, last - first, np.float64)
        for one, (first, last) in zip(request.statistics, request.spans_of(table), strict=True)
    }
    is_float = np.issubdtype(array.dtype, np.floating)
    n_valid = parts.trace("n_valid", table.sizes.size, np.int32) if is_float and request.statistics else None
    matrix = parts.trace("pixels", table.n_entries, array.dtype) if request.pixels else None
    summed = (one for one in projections if one.declaration.order is None)
    return Reduced(traces, n_valid, matrix, images | {one.name: parts.image(one, skipna) for one in summed})


def streamed(
    array: da.Array, table: RoiTable, request: Request, budget: int, workers: int
) -> DaskSource | None:
    """Return a foreign dask array as a source, if its blocks have to be computed one by one inside the tasks.

    This is so where neighbouring pixels lie in different blocks, and where blocks side by side would not fit the budget.
    """
    needed = block_bytes(job_of(array, None, table, request), max(array.chunks[0]))
    room = budget - RESERVED_BYTES
    return DaskSource(array) if request.periods or request.bins or needed <= room < workers * needed else None


def _ranked(
    array: da.Array,
    source: BlockSource | None,
    projections: tuple[Statistic, ...],
    parts: _Parts | None,
    *,
    skipna: bool,
    budget: int,
    workers: int,
) -> dict[str, da.Array]:
    """Return medians and percentiles over time, which have reads of their own.

    Where fewer tasks fit than would run at once, they begin when the other tasks of the call have ended.
    """
    ranked = tuple(one for one in projections if one.declaration.order is not None)
    if not ranked:
        return {}
    processes = worker_processes()
    plan = plan_ranks(rank_job(source or DaskSource(array), ranked), budget, workers, processes)
    at_once = max(workers, available_workers())
    waits = plan.workers < at_once or (parts is not None and parts.n_lanes not in {0, at_once * processes})
    together = plan.workers * processes if plan.workers == workers else plan.workers
    before = None if parts is None or not waits else (parts.graph, parts.name, parts.ends)
    return rank_images(
        array, source, ranked, plan, skipna=skipna, lanes=together if waits else 0, before=before
    )


@dataclass(frozen=True)
class _Parts:
    """Keys of slab results and of merged sums, the graph that makes them, and the keys that end it.

    `n_lanes` is how many slabs run at once; 0 if they do not wait for one another.
    """

    name: str
    graph: HighLevelGraph
    slabs: tuple[tuple[Any, int], ...]
    moments: tuple[tuple[Any, ...], ...]
    frame_chunks: tuple[tuple[int, ...], tuple[int, ...]]
    ends: tuple[Any, ...]
    n_lanes: int = 0

    def trace(self, what: str, rows: int, dtype: Any) -> da.Array:
        """Array ``(row, time)`` of one statistic, or of the pixels."""
        name = f"{what}-{self.name}"
        chunks = ((rows,), tuple(frames for _, frames in self.slabs))
        tasks = {
            (name, 0, number): Task((name, 0, number), SlabResult.pick, TaskRef(key), what)
            for number, (key, _) in enumerate(self.slabs)
        }
        return da.Array(self._with(name, tasks), name, chunks=chunks, dtype=dtype)

    def image(self, statistic: Statistic, skipna: bool) -> da.Array:
        """Array ``(y, x)`` of one projection."""
        name = f"projection-{tokenize(statistic, skipna)}-{self.name}"
        tasks = {
            (name, row, column): Task((name, row, column), _finish_image, TaskRef(key), statistic, skipna)
            for row, keys in enumerate(self.moments)
            for column, key in enumerate(keys)
        }
        return da.Array(self._with(name, tasks), name, chunks=self.frame_chunks, dtype=np.float64)

    def _with(self, name: str, tasks: dict[Any, Task]) -> HighLevelGraph:
        layers = {**self.graph.layers, name: tasks}
        return HighLevelGraph(layers, {**self.graph.dependencies, name: {self.name}})


def job_of(array: da.Array, source: BlockSource | None, table: RoiTable, request: Request) -> Job:
    """Say in integers what one call asks of a recording."""
    is_float = np.issubdtype(array.dtype, np.floating)
    n_rois = table.sizes.size
    n_traces = sum(last - first for first, last in request.spans_of(table))
    n_traces += n_rois if is_float and request.statistics else 0
    # blocks of foreign arrays are all gathered
    gathered = n_rois if source is None else request.first_summed(table, array.dtype)
    pixel_bytes = table.n_entries * array.dtype.itemsize if request.pixels else 0
    return Job(
        shape=array.shape,
        chunks=array.chunksize if source is None else source.chunks,
        offset=(0, 0, 0) if source is None else source.offset,
        itemsize=array.dtype.itemsize,
        n_entries=int(table.indptr[gathered]),
        n_summed=table.n_entries - int(table.indptr[gathered]),
        largest_roi=int(table.sizes.max(initial=0)) if request.statistics else 0,
        output_bytes=8 * n_traces + pixel_bytes,
        batch_bytes=8 * (n_rois * (4 + 2 * table.weights.shape[0]) + n_traces) if request.statistics else 0,
        image_bytes=moment_bytes(array.dtype, request.moments, request.periods, request.bins)
        if request.moments
        else 0,
        leaf_aligned=is_float or in_order(array.dtype, request.moments, request.bins),
        in_order=in_order(array.dtype, request.moments, request.bins),
        halo=0 if source is None else source.halo,
        ahead_bytes=0 if source is None else source.ahead_bytes,
    )


def streamed_job(
    array: da.Array, source: BlockSource, table: RoiTable, pixels: NDArray[np.int64], request: Request
) -> tuple[Job, SlabLayout]:
    """Say what one call asks of a recording that is read from its storage, and cut its ROIs into tiles."""
    job = job_of(array, source, table, request)
    layout = SlabLayout.of(request, table, pixels, source, *batch_and_tile(job))
    return replace(job, n_rows=layout.rows.n_rows), layout


def _from_source(
    array: da.Array,
    source: BlockSource,
    table: RoiTable,
    pixels: NDArray[np.int64],
    request: Request,
    budget: int,
    workers: int,
    carried: CarriedSums | None = None,
) -> _Parts:
    """Read slabs straight from the storage, one task each."""
    job, layout = streamed_job(array, source, table, pixels, request)
    if carried is not None:
        job = replace(job, start=carried.start, stop=carried.stop)
    plan = plan_slabs(job, budget, workers, available_workers(), worker_processes())
    asked = tokenize(table.indptr, pixels, table.weights, request)
    name = f"slabs-{tokenize(array.name, asked, plan, carried)}"
    shared = {part: f"{part}-{name}" for part in ("source", "layout")}
    frame_bytes = _frame_bytes(layout, request, array.dtype)
    slab_layer = SlabLayer(name, shared, request, plan, asked, frame_bytes, carried)
    layers: dict[str, Any] = {
        **_data_layer(shared["source"], source),
        **_data_layer(shared["layout"], layout),
        name: slab_layer,
    }
    needs: dict[str, set[str]] = {key: set() for key in shared.values()} | {name: set(shared.values())}
    slabs = tuple(
        (slab_layer.trace_key(number), stop - start) for number, (start, stop) in enumerate(plan.bounds)
    )
    whole = slab_layer.whole if request.moments else None
    last = () if plan.tail else plan.lane_ends
    ends = tuple(slab_layer.trace_key(number) for number in last) or (slabs[-1][0],)
    frame_chunks = ((array.shape[1],), (array.shape[2],))
    return _Parts(name, HighLevelGraph(layers, needs), slabs, ((whole,),), frame_chunks, ends, plan.lanes)


def _data_layer(key: str, data: Any) -> dict[str, dict[str, DataNode]]:
    """Return a layer that holds one thing which many tasks share."""
    return {key: {key: DataNode(key, data)}}


def _frame_bytes(layout: SlabLayout, request: Request, dtype: np.dtype[Any]) -> int:
    """Bytes that are decoded of one frame."""
    pixels = np.outer(np.diff(layout.tiles.y_edges), np.diff(layout.tiles.x_edges)).ravel()
    return dtype.itemsize * int(pixels[layout.read(everywhere=bool(request.moments))].sum())


def _finish_image(result: SlabResult, statistic: Statistic, skipna: bool) -> NDArray[np.float64]:
    moments = result.moments
    assert moments is not None
    assert statistic.declaration.finish is not None
    samples = moments.samples(statistic)
    shape = moments.shape
    image = np.broadcast_to(statistic.declaration.finish(samples, **statistic.declared), shape)
    if moments.is_float:
        count = moments.samples().count if statistic.bin_frames else samples.count
        missing = count == 0 if skipna else count < moments.frames
        image = np.where(missing, np.nan, image)
    return np.ascontiguousarray(image, dtype=np.float64)


def _from_blocks(
    array: da.Array,
    table: RoiTable,
    pixels: NDArray[np.int64],
    request: Request,
    budget: int,
) -> _Parts:
    """Read a foreign dask array through its own blocks."""
    groups = plan_blocks(job_of(array, None, table, request), array.chunks[0], budget)
    edges = [np.concatenate([[0], np.cumsum(array.chunks[axis])]).astype(np.int64) for axis in (1, 2)]
    tiles = tile_runs(pixels, array.shape[2], edges[0], edges[1])
    name = f"slabs-{tokenize(array.name, array.chunks, table.indptr, pixels, table.weights, request, groups)}"
    shared = {"table": f"table-{name}", "tiles": f"tiles-{name}"}
    tasks: dict[Any, Task] = {}
    slabs = []
    pieces = _pieces(array, f"{name}-piece", shared["tiles"], tiles)
    for number, (first, last) in enumerate(groups):
        if request.statistics or request.pixels:
            key = (name, number)
            tasks[key] = _aggregate_task(key, array, pieces, tiles, request, shared, range(first, last))
            slabs.append((key, sum(array.chunks[0][first:last])))
    moments = _image_tasks(name, array, request, tasks) if request.moments else ((None,),)
    used = [*([pieces] if slabs else []), *([array] if request.moments else [])]
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=used)
    layers = {**graph.layers, **_data_layer(shared["table"], table), **_data_layer(shared["tiles"], tiles)}
    needs = {**graph.dependencies, **{key: set() for key in shared.values()}}
    needs[name] = needs[name] | set(shared.values())
    last_sums = (key for row in moments for key in row if key is not None)
    ends = (*(key for key, _ in slabs[-1:]), *last_sums)
    frame_chunks = (array.chunks[1], array.chunks[2])
    return _Parts(name, HighLevelGraph(layers, needs), tuple(slabs), moments, frame_chunks, ends)


def _pieces(array: da.Array, name: str, key: str, tiles: TiledRuns) -> da.Array:
    """Cut the pixels of ROIs out of every block that is asked for.

    This is a layer of blocks, which dask joins to the layers that made them: a block is gone as soon as it is cut.
    """
    shared = Delayed(key, HighLevelGraph(_data_layer(key, tiles), {key: set()}))
    meta = np.empty((0, 0, 0), array.dtype)
    return da.map_blocks(_cut_block, array, shared, name=name, dtype=array.dtype, meta=meta)


def _cut_block(block: NDArray[Any], tiles: TiledRuns, block_id: tuple[int, int, int]) -> NDArray[Any]:
    return cut_piece(block, tiles, *block_id[1:])


def _aggregate_task(
    key: Any,
    array: da.Array,
    pieces: da.Array,
    tiles: TiledRuns,
    request: Request,
    shared: dict[str, str],
    blocks: range,
) -> Task:
    """Return the task that aggregates the pieces of some blocks of frames; what is read for it counts as its work."""
    held = [divmod(number, array.numblocks[2]) for number in np.flatnonzero(tiles.held).tolist()]
    frames = sum(array.chunks[0][block] for block in blocks)
    pixels = sum(array.chunks[1][row] * array.chunks[2][column] for row, column in held)
    work = Work.of((frames, 1, pixels), array.shape[1:], array.dtype.itemsize)
    columns = []
    for block in blocks:
        own = (List(row, column, TaskRef((pieces.name, block, row, column))) for row, column in held)
        columns.append(List(pieces.chunks[0][block], List(*own)))
    tables = TaskRef(shared["table"]), TaskRef(shared["tiles"])
    return Task(key, Declared(aggregate_pieces, work), *tables, request, pieces.dtype, List(*columns))


def _image_tasks(
    name: str, array: da.Array, request: Request, tasks: dict[Any, Task]
) -> tuple[tuple[Any, ...], ...]:
    """Add the tasks that sum every block over time, and return the key of each column's last."""
    is_float = np.issubdtype(array.dtype, np.floating)
    starts = [0, *np.cumsum(array.chunks[0]).tolist()]
    rows, columns = array.numblocks[1:]
    last: dict[tuple[int, int], Any] = {}
    for row, column in product(range(rows), range(columns)):
        keys: list[Any] = []
        for block, (start, _) in enumerate(pairwise(starts)):
            key = (f"{name}-sum", row, column, block)
            carried = (TaskRef(keys[-1]),) if is_float and keys else ()
            shape = (array.chunks[0][block], array.chunks[1][row], array.chunks[2][column])
            work = Work.of(shape, array.shape[1:], array.dtype.itemsize)
            tasks[key] = Task(
                key,
                # with traces from the same blocks, it is their tasks that count
                _sum_block if request.statistics or request.pixels else Declared(_sum_block, work),
                TaskRef((array.name, block, row, column)),
                start,
                array.dtype,
                request.moments,
                *carried,
            )
            keys.append(key)
        last[row, column] = keys[-1] if is_float else merge_tree(f"{name}-merge-{row}-{column}", keys, tasks)
    return tuple(tuple(last[row, column] for column in range(columns)) for row in range(rows))


@announces_compilation
def _sum_block(
    block: NDArray[Any],
    first_frame: int,
    dtype: np.dtype[Any],
    needs: frozenset[str],
    carried: SlabResult | None = None,
) -> SlabResult:
    block = np.ascontiguousarray(block)
    shape = (block.shape[1], block.shape[2])
    moments: Moments
    if carried is None or carried.moments is None:
        moments = new_moments(shape, dtype, needs)
    else:
        moments = carried.moments.copy()
    moments.add(block, first_frame, slice(0, shape[0]), slice(0, shape[1]))
    moments.advance(first_frame, block.shape[0])
    return SlabResult(moments=moments)
