"""Write a recording: one task per shard file, from block sources or from a dask array."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from dask.base import tokenize
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import DataNode, List, Task, TaskRef

from roitrace.engine.work import Declared
from roitrace.watching import Work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import dask.array as da
    import numpy as np
    from numpy.typing import NDArray

    from roitrace.sources import BlockSource
    from roitrace.store.writer import ShardWriter

__all__ = ["write_array", "write_sources"]


def write_sources(
    writer: ShardWriter, sources: Sequence[Sequence[BlockSource]], middle: tuple[str, ...], workers: int
) -> Delayed:
    """Return a lazy object that writes all shards when it is computed, from the first frame to the last.

    Parameters
    ----------
    writer : ShardWriter
        Where to.
    sources : sequence of sequence of BlockSource
        ``sources[channel][plane]``.
    middle : tuple of str
        Which of ``channel`` and ``plane`` are axes of the store.
    workers : int
        Shards at once, on whatever scheduler.
    """
    step = writer.layout.shards[0]
    n_slabs = -(-writer.layout.shape[0] // step)
    name = f"write-{tokenize(str(writer.path), writer.layout)}"
    tasks: dict[object, Task] = {}
    keys: list[tuple[object, ...]] = []
    for number, channel, plane in product(range(n_slabs), range(len(sources)), range(len(sources[0]))):
        position = {"channel": channel, "plane": plane}
        index = (number, *(position[axis] for axis in middle), 0, 0)
        key = (name, *index)
        source = sources[channel][plane]
        frames = min(step, writer.layout.shape[0] - number * step)
        frame = source.shape[1:]
        whole = (len(sources), len(sources[0]), *frame)
        write = Declared(_write_unit, Work.of((frames, *frame), whole, source.dtype.itemsize))
        tasks[key] = Task(key, write, TaskRef(f"{name}-to"), source, index, _before(keys, workers))
        keys.append(key)
    return _all_of(name, tasks, {f"{name}-to": DataNode(f"{name}-to", writer)}, None)


def write_array(writer: ShardWriter, array: da.Array, workers: int) -> Delayed:
    """Return a lazy object that writes a dask array, brought to whole shards first, when it is computed."""
    aligned = array.rechunk(writer.layout.shards)
    name = f"write-{tokenize(str(writer.path), writer.layout, array.name)}"
    tasks: dict[object, Task] = {}
    keys: list[tuple[object, ...]] = []
    for index in product(*(range(count) for count in aligned.numblocks)):
        key = (name, *index)
        block = TaskRef((aligned.name, *index))
        shape = [aligned.chunks[axis][number] for axis, number in enumerate(index)]
        write = Declared(_write_block, Work.of(shape, aligned.shape[1:], aligned.dtype.itemsize))
        tasks[key] = Task(key, write, TaskRef(f"{name}-to"), block, index, _before(keys, workers))
        keys.append(key)
    return _all_of(name, tasks, {f"{name}-to": DataNode(f"{name}-to", writer)}, aligned)


def _before(keys: Sequence[object], workers: int) -> TaskRef | None:
    """Name the unit that has to be written before the next one begins."""
    return TaskRef(keys[-workers]) if len(keys) >= workers else None


def _all_of(
    name: str, tasks: Mapping[object, Task], shared: Mapping[object, DataNode], array: da.Array | None
) -> Delayed:
    end = f"{name}-end"
    layers: dict[str, Mapping[object, object]] = {
        end: {end: Task(end, _count, List(*(TaskRef(key) for key in tasks)))},
        name: tasks,
        f"{name}-to": shared,
    }
    needs = {end: {name}, name: {f"{name}-to"}, f"{name}-to": set[str]()}
    if array is None:
        return Delayed(end, HighLevelGraph(layers, needs))
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=[array])
    needs[name] |= graph.dependencies[name]
    return Delayed(end, HighLevelGraph({**graph.layers, **layers}, {**graph.dependencies, **needs}))


def _write_unit(writer: ShardWriter, source: BlockSource, index: tuple[int, ...], _before: object) -> int:
    with source.open() as reader:
        writer.write(reader, source.chunks[1], index)
    return 1


def _write_block(
    writer: ShardWriter, block: NDArray[np.generic], index: tuple[int, ...], _before: object
) -> int:
    writer.write(_BlockReader(block, index[0] * writer.layout.shards[0]), writer.layout.chunks[-2], index)
    return 1


class _BlockReader:
    """A block in memory, read as if it were the whole recording."""

    def __init__(self, block: NDArray[np.generic], first_frame: int) -> None:
        self._block = block.reshape(block.shape[0], *block.shape[-2:])
        self._first = first_frame

    def read(self, time: slice, y: slice, x: slice) -> NDArray[np.generic]:
        return self._block[time.start - self._first : time.stop - self._first, y, x]


def _count(done: Sequence[int]) -> int:
    return sum(done)
