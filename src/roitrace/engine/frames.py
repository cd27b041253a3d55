"""Measures of every frame of a recording, from one lazy read in whole rows."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import DataNode, Task, TaskRef

from roitrace.engine.arithmetic import readable
from roitrace.engine.places import available_workers, of_each_worker, worker_processes
from roitrace.engine.plan import Job, chunk_borders, frames_at_once, plan_slabs
from roitrace.engine.work import Declared
from roitrace.kernels.frames import factors, measure_rows
from roitrace.watching import Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.sources import BlockSource

__all__ = ["FRAME_MEASURES", "frame_measures"]

FRAME_MEASURES = (
    "valid",
    "mean",
    "std",
    "min",
    "max",
    "saturated",
    "row_noise",
    "check_high",
    "check_low",
)
"""Number of samples that are not NaN, their mean, standard deviation and extremes; number of saturated ones; spread of the steps between
rows; a digest in two halves of 32 bits."""


@of_each_worker()
def frame_measures(array: da.Array, saturation: float, *, budget: int, workers: int) -> da.Array:
    """Return ``(measure, time)``, float64 and lazy, the measures in the order of `FRAME_MEASURES`.

    Raises
    ------
    BudgetError
        If one slab does not fit the budget.
    """
    source = readable(array)
    frames, height, _ = source.chunks
    _, full_height, full_width = source.shape
    job = Job(
        shape=source.shape,
        chunks=(frames, height, full_width),
        offset=(source.offset[0], source.offset[1], 0),
        itemsize=source.dtype.itemsize,
        output_bytes=8 * len(FRAME_MEASURES),
        batch_bytes=8 * (3 * full_height + 2 * len(FRAME_MEASURES)),
        image_bytes=8,
        halo=source.halo,
        ahead_bytes=source.ahead_bytes,
    )
    plan = plan_slabs(job, budget, workers, available_workers(), worker_processes())
    edges = chunk_borders(full_height, plan.tile[0], source.offset[1] % plan.tile[0])
    name = f"frames-{tokenize(array.name, saturation, plan)}"
    tasks: dict[Any, Any] = {}
    for number, bounds in enumerate(plan.bounds):
        before = plan.before(number)
        after = () if before is None else (TaskRef((name, 0, before)),)
        shape = (bounds[1] - bounds[0], full_height, full_width)
        work = Work.of(shape, shape[1:], source.dtype.itemsize)
        tasks[name, 0, number] = Task(
            (name, 0, number),
            Declared(_measure, work),
            TaskRef(f"{name}-source"),
            bounds,
            edges,
            saturation,
            *after,
        )
    shared = f"{name}-source"
    graph = HighLevelGraph(
        {name: tasks, shared: {shared: DataNode(shared, source)}}, {name: {shared}, shared: set()}
    )
    chunks = ((len(FRAME_MEASURES),), tuple(stop - start for start, stop in plan.bounds))
    return da.Array(graph, name, chunks=chunks, dtype=np.float64)


def _measure(
    source: BlockSource,
    bounds: tuple[int, int],
    edges: list[int],
    saturation: float,
    _after: object = None,
) -> NDArray[np.float64]:
    """Measure the frames of one slab."""
    start, stop = bounds
    measured = np.empty((len(FRAME_MEASURES), stop - start))
    tallest = max(last - first for first, last in pairwise(edges))
    together = frames_at_once(source.chunks[0], tallest * source.shape[2] * source.dtype.itemsize)
    with source.open() as reader:
        for first, last in _spans(source, start, stop, together):
            measured[:, first - start : last - start] = _measure_frames(
                reader, source, slice(first, last), edges, saturation
            )
    return measured


def _spans(source: BlockSource, start: int, stop: int, frames: int) -> list[tuple[int, int]]:
    """Cut frames on chunk borders."""
    cuts = [cut + start for cut in chunk_borders(stop - start, frames, (start + source.offset[0]) % frames)]
    return list(pairwise(cuts))


def _measure_frames(
    reader: Any, source: BlockSource, time: slice, edges: list[int], saturation: float
) -> NDArray[np.float64]:
    frames, width = time.stop - time.start, source.shape[2]
    count, saturated = np.zeros(frames, np.int64), np.zeros(frames, np.int64)
    mean, squares = np.zeros(frames), np.zeros(frames)
    low, high = np.full(frames, np.inf), np.full(frames, -np.inf)
    check = np.zeros(frames, np.uint64)
    row_means = np.empty((frames, source.shape[1]))
    for top, bottom in pairwise(edges):
        block = np.ascontiguousarray(reader.read(time, slice(top, bottom), slice(0, width)))
        bits = block.view(f"u{block.dtype.itemsize}")
        factor = factors(top, bottom - top, width)
        measure_rows(
            block, bits, factor, saturation, count, mean, squares, saturated, low, high, check, row_means, top
        )  # fmt: skip
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(squares / count)
    halves = check >> np.uint64(32), check & np.uint64(0xFFFFFFFF)
    nothing = count == 0
    numbers = (np.where(nothing, np.nan, one) for one in (mean, spread, low, high))
    return np.array([count, *numbers, saturated, _row_noise(row_means), *halves], dtype=np.float64)


def _row_noise(row_means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean square of what a row differs by from the mean of its neighbours, per frame; 0 where there are too few rows."""
    steps = row_means[:, 1:-1] - (row_means[:, :-2] + row_means[:, 2:]) / 2
    known = np.isfinite(steps)
    total = np.where(known, steps, 0.0)
    return np.asarray(np.sqrt((total**2).sum(axis=1) / np.maximum(known.sum(axis=1), 1)))
