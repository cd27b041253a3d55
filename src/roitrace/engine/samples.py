"""A few frames of a recording, spread over all of it, with little reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import DataNode, Task, TaskRef

from roitrace.engine.arithmetic import readable
from roitrace.engine.places import of_each_worker
from roitrace.engine.plan import RESERVED_BYTES
from roitrace.errors import BudgetError
from roitrace.units import format_budget, format_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.sources import BlockSource

__all__ = ["sample_frames"]

MAX_CHUNKS = 16
"""Where a chunk holds several frames, no more than so many of them are decoded along time."""


@of_each_worker()
def sample_frames(
    array: da.Array, count: int, y: slice, x: slice, *, budget: int, workers: int
) -> tuple[da.Array, NDArray[np.int64]]:
    """Return up to `count` frames ``(sample, y, x)`` of a part of the frame, lazy and float32, and their numbers.

    Where a chunk holds several frames, several samples come from one chunk.

    Raises
    ------
    BudgetError
        If one chunk of the part does not fit the budget.
    """
    source = readable(array)
    groups = _spread(source.shape[0], source.chunks[0], source.offset[0], count)
    pixels = (y.stop - y.start) * (x.stop - x.start)
    longest = max(int(frames[-1] - frames[0]) + 1 for frames in groups)
    chunk = int(np.prod(source.chunks)) * source.dtype.itemsize
    halo = source.halo * source.shape[2] * longest * source.dtype.itemsize
    task = 2 * longest * pixels * source.dtype.itemsize + 2 * chunk + halo + source.ahead_bytes
    held = 4 * 4 * pixels * sum(frames.size for frames in groups)
    lanes = min(workers, (budget - RESERVED_BYTES - held) // max(task, 1))
    if lanes < 1:
        needed = RESERVED_BYTES + held + task
        raise BudgetError(
            f"looking at {sum(frames.size for frames in groups)} frames needs {format_bytes(needed)}, the budget is "
            f"{format_bytes(budget)}",
            f"give budget={format_budget(needed)!r} or more, or ask for fewer samples",
        )
    name = f"samples-{tokenize(array.name, [frames.tolist() for frames in groups], y, x, lanes)}"
    tasks: dict[Any, Any] = {}
    for number, frames in enumerate(groups):
        after = () if number < lanes else (TaskRef((name, number - lanes, 0, 0)),)
        key = (name, number, 0, 0)
        tasks[key] = Task(key, _read, TaskRef(f"{name}-source"), frames, y, x, *after)
    shared = f"{name}-source"
    graph = HighLevelGraph(
        {name: tasks, shared: {shared: DataNode(shared, source)}}, {name: {shared}, shared: set()}
    )
    chunks = (tuple(frames.size for frames in groups), (y.stop - y.start,), (x.stop - x.start,))
    return da.Array(graph, name, chunks=chunks, dtype=np.float32), np.concatenate(groups)


def _spread(size: int, chunk: int, offset: int, count: int) -> list[NDArray[np.int64]]:
    """Choose frames: evenly, or evenly within evenly spaced chunks."""
    if chunk == 1:
        chosen = np.unique(np.linspace(0, size - 1, min(count, size)).round().astype(np.int64))
        return list(chosen[:, None])
    n_chunks = -(-(size + offset) // chunk)
    numbers = np.unique(
        np.linspace(0, n_chunks - 1, min(MAX_CHUNKS, count, n_chunks)).round().astype(np.int64)
    )
    groups = []
    for number in numbers.tolist():
        first, last = max(0, number * chunk - offset), min(size, (number + 1) * chunk - offset) - 1
        own = -(-count // numbers.size)
        groups.append(
            np.unique(np.linspace(first, last, min(own, last - first + 1)).round().astype(np.int64))
        )
    return groups


def _read(
    source: BlockSource, frames: NDArray[np.int64], y: slice, x: slice, _after: object = None
) -> NDArray[np.float32]:
    first = int(frames[0])
    with source.open() as reader:
        block = reader.read(slice(first, int(frames[-1]) + 1), y, x)
        return block[frames - first].astype(np.float32)
