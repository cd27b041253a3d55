"""Write a recording: one task per shard file, from block sources or from a dask array.

Shards go in lanes, one for each worker. What a lane has drafted travels from task to task until it is made durable as a group and
recorded: nothing is kept in a worker between tasks.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import DataNode, List, Task, TaskRef

from roitrace.engine.work import Declared
from roitrace.errors import FileAccessError
from roitrace.store.commits import Pending, commit, committed_files, draft
from roitrace.watching import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import dask.array as da
    import numpy as np
    from numpy.typing import NDArray

    from roitrace.sources import BlockReader, BlockSource
    from roitrace.store.journal import Journal
    from roitrace.store.layout import RecordingLayout
    from roitrace.store.writer import ShardWriter

__all__ = ["GroupWriter", "write_array", "write_sources"]

Unit = tuple[int, ...]


@dataclass(frozen=True)
class GroupWriter:
    """Drafts shards and makes them durable in groups; small and picklable.

    Attributes
    ----------
    shards : ShardWriter
        Where to.
    journal : Journal
        What tells of groups that are durable.
    """

    shards: ShardWriter
    journal: Journal

    def write(
        self, reader: BlockReader, rows: int, unit: Unit, lane: int, pending: Pending, begin: float
    ) -> Pending:
        """Draft a shard, as `ShardWriter.draft`; return what is not durable yet. Its work began at `begin`, s."""
        with self._saving(lane, pending):
            drafted = draft(self.journal, self.shards.path, lambda: self.shards.draft(reader, rows, unit))
        group = pending.and_file(drafted, time.monotonic() - begin)
        return self.commit(lane, group) if group.is_due else group

    def has(self, unit: Unit) -> bool:
        """Whether a shard is recorded as durable: a cluster runs finished tasks again when it has lost their results."""
        key = self.shards.layout.key(unit)
        return (self.shards.path / key).exists() and key in committed_files(self.journal, self.shards.path)

    @contextmanager
    def _saving(self, lane: int, pending: Pending) -> Iterator[None]:
        """Make durable what came before, if the `with` block fails."""
        failed = True
        try:
            yield
            failed = False
        finally:
            if failed:
                with suppress(FileAccessError):  # what made the block fail is what counts
                    self.commit(lane, pending)

    def commit(self, lane: int, pending: Pending) -> Pending:
        """Make a group durable; return the next one, empty."""
        commit(self.journal, str(lane), self.shards.path, pending)
        return Pending()


def write_sources(
    writer: GroupWriter,
    sources: Sequence[Sequence[BlockSource]],
    middle: tuple[str, ...],
    units: Sequence[Unit],
    workers: int,
) -> Delayed:
    """Return a lazy object that writes shards when it is computed, from the first frame to the last.

    Parameters
    ----------
    writer : GroupWriter
        Where to.
    sources : sequence of sequence of BlockSource
        ``sources[channel][plane]``.
    middle : tuple of str
        Which of ``channel`` and ``plane`` are axes of the store.
    units : sequence of tuple of int
        Which shards.
    workers : int
        Shards at once, on whatever scheduler.
    """
    name = _new_name()
    lanes = _Lanes(name, writer.shards.layout, workers)
    for unit in units:
        position = dict(zip(middle, unit[1:-2], strict=True))
        source = sources[position.get("channel", 0)][position.get("plane", 0)]
        lanes.add(_write_unit, source, unit)
    return lanes.all_of(writer, None)


def write_array(writer: GroupWriter, array: da.Array, units: Sequence[Unit], workers: int) -> Delayed:
    """Return a lazy object that writes shards of a dask array, brought to whole shards first, when it is computed."""
    aligned = array.rechunk(writer.shards.layout.shards)
    name = _new_name()
    lanes = _Lanes(name, writer.shards.layout, workers)
    for unit in units:
        lanes.add(_write_block, TaskRef((aligned.name, *unit)), unit)
    return lanes.all_of(writer, aligned)


def _new_name() -> str:
    """Return a name that no other call has: a cluster may still know the tasks of one that failed, and would take their word."""
    return f"write-{uuid4().hex}"


class _Lanes:
    """The tasks of one job: as many chains as there are workers."""

    def __init__(self, name: str, layout: RecordingLayout, workers: int) -> None:
        self._name, self._layout, self._workers = name, layout, workers
        self._tasks: dict[object, Task] = {}
        self._last: dict[int, object] = {}

    def add(self, function: Callable[..., Pending], what: object, unit: Unit) -> None:
        """Add a shard at the end of the lane whose turn it is."""
        lane = len(self._tasks) % self._workers
        key = (self._name, *unit)
        before = TaskRef(self._last[lane]) if lane in self._last else Pending()
        write = Declared(function, self._work_of(unit))
        self._tasks[key] = Task(key, write, TaskRef(f"{self._name}-to"), what, unit, lane, before)
        self._last[lane] = key

    def _work_of(self, unit: Unit) -> Work:
        layout = self._layout
        frames = min(layout.shards[0], layout.shape[0] - unit[0] * layout.shards[0])
        return Work.of((frames, *layout.shape[-2:]), layout.shape[1:], layout.dtype.itemsize)

    def all_of(self, writer: GroupWriter, array: da.Array | None) -> Delayed:
        """Return what is done when all lanes are."""
        name, end, to = self._name, f"{self._name}-end", f"{self._name}-to"
        ends: dict[object, Task] = {
            (end, lane): Task((end, lane), _commit, TaskRef(to), lane, TaskRef(key))
            for lane, key in self._last.items()
        }
        layers: dict[str, Mapping[object, object]] = {
            end: {end: Task(end, _all, List(*(TaskRef(key) for key in ends))), **ends},
            name: self._tasks,
            to: {to: DataNode(to, writer)},
        }
        needs = {end: {name, to}, name: {to}, to: set[str]()}
        if array is None:
            return Delayed(end, HighLevelGraph(layers, needs))
        graph = HighLevelGraph.from_collections(name, self._tasks, dependencies=[array])
        needs[name] |= graph.dependencies[name]
        return Delayed(end, HighLevelGraph({**graph.layers, **layers}, {**graph.dependencies, **needs}))


def _write_unit(writer: GroupWriter, source: BlockSource, unit: Unit, lane: int, pending: Pending) -> Pending:
    begin = time.monotonic()
    if writer.has(unit):
        return pending
    with source.open() as reader:
        return writer.write(reader, source.chunks[1], unit, lane, pending, begin)


def _write_block(
    writer: GroupWriter, block: NDArray[np.generic], unit: Unit, lane: int, pending: Pending
) -> Pending:
    if writer.has(unit):
        return pending
    layout = writer.shards.layout
    reader = _BlockReader(block, unit[0] * layout.shards[0])
    return writer.write(reader, layout.chunks[-2], unit, lane, pending, time.monotonic())


class _BlockReader:
    """A block in memory, read as if it were the whole recording."""

    def __init__(self, block: NDArray[np.generic], first_frame: int) -> None:
        self._block = block.reshape(block.shape[0], *block.shape[-2:])
        self._first = first_frame

    def read(self, time: slice, y: slice, x: slice) -> NDArray[np.generic]:
        return self._block[time.start - self._first : time.stop - self._first, y, x]


def _commit(writer: GroupWriter, lane: int, pending: Pending) -> bool:
    writer.commit(lane, pending)
    return True


def _all(done: Sequence[bool]) -> bool:
    return all(done)
