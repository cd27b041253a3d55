"""Write lazy arrays file by file: a task owns a file; files become durable together, then the journal names them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dask.array as da
import numpy as np
from dask.array.optimization import optimize
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import Alias, List, Task, TaskRef

from roitrace.engine.rank_layer import with_kept_parts
from roitrace.engine.slab_layer import lanes_of, lined_up
from roitrace.engine.stored_blocks import with_stored_blocks
from roitrace.errors import StoreError
from roitrace.store.checksum import crc32c
from roitrace.store.commits import Drafted, Pending, commit, draft
from roitrace.store.files import drafting, make_folder, new_token
from roitrace.store.manifest import FileFacts, read_manifest
from roitrace.store.unit import decode_unit, encode_unit

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from roitrace.store.journal import Journal
    from roitrace.store.places import Location

__all__ = ["Place", "UnitArray", "stand_in", "write_units"]


@dataclass(frozen=True)
class Place:
    """A store that is being written, and what belongs to it meanwhile.

    Attributes
    ----------
    store : path
        Its folder.
    journal : Journal
        Is told of files when they are durable.
    sums : path
        Folder for sums over time, from which an interrupted job goes on.
    mended : path or None
        Manifest of the store, if it is whole but for damaged files that are computed again.
    """

    store: Location
    journal: Journal
    sums: Location
    mended: Location | None = None

    def check(self, facts: FileFacts) -> None:
        """Refuse a file that would take the place of a damaged one, and hold something else.

        Raises
        ------
        StoreError
            If so.
        """
        known = None if self.mended is None else read_manifest(self.mended).find(facts.key)
        if self.mended is not None and (known is None or not known.same_as(facts)):
            raise StoreError(
                f"what was computed is not what {self.store / facts.key} held before it was damaged",
                "give the recording and the parameters that the results were made with; the file was not touched",
            )


@dataclass(frozen=True)
class UnitArray:
    """Where the files of one array go.

    Attributes
    ----------
    key : str
        Of the array in the store, such as ``traces/mean``.
    shape, chunk, unit : tuple of int
        Of the array, of what is compressed together and of what a file holds.
    dtype : numpy.dtype
        Of the array.
    """

    key: str
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    unit: tuple[int, ...]
    dtype: np.dtype[Any]

    def positions(self) -> Iterator[tuple[int, ...]]:
        """Yield the number of each file along every axis."""
        counts = [-(-size // step) for size, step in zip(self.shape, self.unit, strict=True)]
        yield from np.ndindex(*counts)

    def file_key(self, position: tuple[int, ...]) -> str:
        """Return the key of a file in the store."""
        return "/".join([self.key, "c", *map(str, position)])

    def span(self, position: tuple[int, ...]) -> tuple[slice, ...]:
        """Return what of the array lies in a file."""
        return tuple(
            slice(number * step, min((number + 1) * step, size))
            for number, step, size in zip(position, self.unit, self.shape, strict=True)
        )

    def progress(self, position: tuple[int, ...]) -> float:
        """Return how far along its array a file lies, 0 to 1."""
        parts = zip(position, self.unit, self.shape, strict=True)
        return max((number * step / size for number, step, size in parts if size > step), default=0.0)

    def write(self, place: Place, values: NDArray[Any], position: tuple[int, ...]) -> Drafted:
        """Write one file, which has to be published yet."""
        data, checks = encode_unit(np.asarray(values), self.chunk, self.unit)
        facts, token = FileFacts(self.file_key(position), len(data), crc32c(data), checks), new_token()
        place.check(facts)
        path = place.store / facts.key
        make_folder(path.parent, below=place.store)
        with drafting(path, token) as draft:
            draft.write(data)
        return Drafted(facts, token)

    def read(self, store: Location, position: tuple[int, ...]) -> NDArray[Any]:
        """Read one file back."""
        size = tuple(part.stop - part.start for part in self.span(position))
        data = (store / self.file_key(position)).read_bytes()
        return decode_unit(data, self.dtype, self.chunk, self.unit, size)


@dataclass(frozen=True)
class _Group:
    """Files of a lane that do not have their names yet, and since when there are any."""

    pending: Pending = field(default_factory=Pending)
    since: float = 0.0

    def take(self, place: Place, lane: int, written: Sequence[Drafted], *, last: bool) -> _Group:
        """Take more files; all become durable when they are many, or the first of them is a while old."""
        # processes and machines have clocks of their own, so it is the time of day
        now = time.time()
        since = self.since if self.pending.files else now
        pending = Pending((*self.pending.files, *written), now - since)
        if not (last or pending.is_due):
            return _Group(pending, since)
        commit(place.journal, str(lane), place.store, pending)
        return _Group()


def write_units(
    arrays: Sequence[tuple[UnitArray, da.Array]],
    place: Place,
    done: Container[str],
) -> Delayed | None:
    """Return a lazy object that writes the files that are not there yet; None if all are.

    Blocks that finished files hold are read from them, and slabs of which nothing is left to write are not read again.

    Parameters
    ----------
    arrays : sequence of tuple
        Where each lazy array goes, and the array.
    place : Place
        The store and what belongs to it while it is written.
    done : container of str
        Keys of the files that are finished already.
    """
    # a name that no other call has: a cluster may still know the tasks of one that failed, and would take their word
    name = f"write-{uuid4().hex}"
    graphs = []
    tasks: dict[Any, Any] = {}
    units: list[tuple[float, Any]] = []
    for number, (target, array) in enumerate(arrays):
        missing = [one for one in target.positions() if target.file_key(one) not in done]
        if not missing:
            continue
        aligned = array.rechunk(target.unit)
        graphs.append(aligned)
        for position in missing:
            key = (name, number, *position)
            block = TaskRef((aligned.name, *position))
            # the store and the array go along with each task: with more keys to wait for, reading and writing a block would part
            tasks[key] = Task(key, _write, place, target, block, position)
            units.append((target.progress(position), key))
    if not units:
        return None
    merged = HighLevelGraph.merge(*(one.dask for one in graphs))
    known = with_stored_blocks(merged, arrays, place.store, done)
    end = _commits(name, units, lanes_of(known), place, tasks)
    needs = {one.name for one in graphs}
    whole = HighLevelGraph({**known.layers, name: tasks}, {**known.dependencies, name: needs})
    whole = with_kept_parts(lined_up(whole, {end}, place.sums), place.sums)
    return Delayed(end, HighLevelGraph.from_collections(end, _without_aliases(optimize(whole, [end]))))


def _without_aliases(graph: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a graph in which no task stands for another one only: a scheduler would deal with both."""
    dependents = Counter(key for node in graph.values() for key in node.dependencies)
    whole = dict(graph)
    for key in graph:
        # one that another took the place of is gone, and what took its place may stand for a third
        while (
            isinstance(node := whole.get(key), Alias)
            and node.target in whole
            and dependents[node.target] == 1
        ):
            whole[key] = whole.pop(node.target).substitute({}, key=key)
    return whole


def stand_in(shape: tuple[int, ...], dtype: np.dtype[Any]) -> da.Array:
    """Return a lazy array that nobody computes, for what needs a shape and a dtype only."""
    return da.zeros(shape, dtype=dtype, chunks=shape)


def _write(place: Place, target: UnitArray, block: NDArray[Any], position: tuple[int, ...]) -> Drafted:
    return draft(place.journal, place.store, lambda: target.write(place, block, position))


def _commits(
    name: str, units: Sequence[tuple[float, Any]], lanes: int, place: Place, tasks: dict[Any, Any]
) -> Any:
    """Add a chain of tasks for each lane that commit its files in order; return the key that all end in."""
    by_lane: dict[int, list[tuple[float, Any]]] = {}
    for progress, key in units:
        by_lane.setdefault(min(lanes - 1, int(progress * lanes)), []).append((progress, key))
    ends = []
    for lane, own in by_lane.items():
        ordered = sorted(own, key=lambda unit: unit[0])
        groups = [[key for _, key in group] for _, group in groupby(ordered, key=lambda unit: unit[0])]
        before: Any = _Group()
        for number, keys in enumerate(groups):
            key = (f"{name}-commit", lane, number)
            written = List(*(TaskRef(one) for one in keys))
            is_last = number == len(groups) - 1
            tasks[key] = Task(key, _commit, place, before, lane, written, is_last)
            before = TaskRef(key)
        ends.append(before)
    end = f"{name}-end"
    tasks[end] = Task(end, _all_written, List(*ends))
    return end


def _commit(place: Place, before: _Group, lane: int, written: Sequence[Drafted], last: bool) -> _Group:
    return before.take(place, lane, written, last=last)


def _all_written(groups: Sequence[_Group]) -> int:
    return len(groups)
