"""Fill columns of lazy traces from columns before and after them, block by block."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import List, Task, TaskRef

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["interpolate_columns"]


def interpolate_columns(
    array: da.Array,
    columns: NDArray[np.int64],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    share: NDArray[np.float64],
) -> da.Array:
    """Replace columns of an array ``(..., time)`` by ``(1 - share) * array[..., before] + share * array[..., after]``, lazily.

    Blocks stay as they are; one with such columns waits for the blocks where its neighbours are.
    """
    borders = np.cumsum([0, *array.chunks[-1]])
    name = f"filled-{tokenize(array.name, columns, before, after, share)}"
    tasks: dict[Any, Any] = {}
    for index in product(*(range(count) for count in array.numblocks)):
        *leading, number = index
        first, last = borders[number], borders[number + 1]
        own = (columns >= first) & (columns < last)
        needed = np.unique(np.concatenate([before[own], after[own]]))
        numbers = (np.searchsorted(borders, needed, side="right") - 1).tolist()
        sources = [
            List(TaskRef((array.name, *leading, block)), int(column - borders[block]))
            for block, column in zip(numbers, needed, strict=True)
        ]
        tasks[name, *index] = Task(
            (name, *index),
            _fill,
            TaskRef((array.name, *index)),
            columns[own] - first,
            np.searchsorted(needed, before[own]),
            np.searchsorted(needed, after[own]),
            share[own],
            List(*sources),
        )
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=[array])
    return da.Array(graph, name, chunks=array.chunks, dtype=array.dtype)


def _fill(
    block: NDArray[np.float64],
    columns: NDArray[np.int64],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    share: NDArray[np.float64],
    sources: list[tuple[NDArray[np.float64], int]],
) -> NDArray[np.float64]:
    if columns.size == 0:
        return block
    known = np.stack([source[..., column] for source, column in sources], axis=-1)
    filled = block.copy()
    filled[..., columns] = (1 - share) * known[..., before] + share * known[..., after]
    return filled
