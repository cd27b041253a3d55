"""Functions of a small array as a whole, lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import List, Task, TaskRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["apply_whole"]


def apply_whole(
    function: Callable[[NDArray[Any]], NDArray[Any]],
    array: da.Array,
    axis: int,
    shape: tuple[int, ...],
    dtype: Any,
) -> da.Array:
    """Return ``function(array)``, one block of a shape and dtype; `array` has several blocks along one axis only."""
    name = f"whole-{tokenize(function, array.name, axis)}"
    blocks = [
        TaskRef((array.name, *(number if one == axis else 0 for one in range(array.ndim))))
        for number in range(array.numblocks[axis])
    ]
    key = (name, *(0 for _ in shape))
    graph = HighLevelGraph.from_collections(
        name, {key: Task(key, _apply, function, List(*blocks), axis)}, dependencies=[array]
    )
    return da.Array(graph, name, chunks=tuple((size,) for size in shape), dtype=dtype)


def _apply(function: Callable[..., NDArray[Any]], blocks: list[NDArray[Any]], axis: int) -> NDArray[Any]:
    return function(np.concatenate(blocks, axis=axis) if len(blocks) > 1 else blocks[0])
