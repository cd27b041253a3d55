"""The tasks of one call's slabs as a layer of a graph that can be lined up anew: only those that are still needed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import DataNode, List, Task, TaskRef

from roitrace.engine.carried_sums import CarriedSums
from roitrace.engine.moments import merge_moments
from roitrace.engine.slab import SlabResult, read_slab
from roitrace.engine.sums_files import SumsFiles
from roitrace.engine.work import Declared
from roitrace.watching import Work

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from roitrace.engine.plan import SlabPlan
    from roitrace.engine.request import Request
    from roitrace.store.places import Location

__all__ = ["SlabLayer", "lanes_of", "lined_up", "merge_tree"]

KEEP_SECONDS = 30.0
"""Work after which the sums over time of a lane are kept in a file."""
MERGE_AT_ONCE = 8


class SlabLayer(dict[Any, Any]):
    """Tasks that read slabs, each after the one before it in its lane.

    Traces and sums part at once: were the next slab to wait for the sums alone, the whole results would pile up until
    somebody fetched their traces.

    Parameters
    ----------
    name : str
        Of the layer. ``(name-traces, number)`` is what a slab gives for its frames.
    shared : mapping
        Keys of ``source`` and ``layout``.
    request : Request
        What is asked of each slab.
    plan : SlabPlan
        How the recording is cut.
    asked : str
        Digest of what is asked, however it runs.
    frame_bytes : int
        Bytes that are decoded of one frame.
    carried : CarriedSums, optional
        Sums over time to go on from and to leave, of a call without traces. They are left where all lanes meet; the slabs after that, of
        less than a file of frames, follow alone.
    """

    def __init__(
        self,
        name: str,
        shared: dict[str, str],
        request: Request,
        plan: SlabPlan,
        asked: str,
        frame_bytes: int,
        carried: CarriedSums | None = None,
    ) -> None:
        self.name, self.shared, self.request, self.plan = name, shared, request, plan
        self.asked, self.frame_bytes, self.carried = asked, frame_bytes, carried
        super().__init__(self.tasks(range(len(plan.bounds)), sums=bool(request.moments)))

    @property
    def whole(self) -> Any:
        """Key of the sums over the whole recording."""
        if self.plan.tail:
            return (f"{self.name}-sums", len(self.plan.bounds) - 1)
        if self.carried is not None and self.carried.keeps:
            return (f"{self.name}-kept", 0)
        keys, level = len(self.plan.lane_ends), 0
        while keys > 1 or level == 0:
            keys, level = -(-keys // MERGE_AT_ONCE), level + 1
        return (f"{self.name}-merge", level - 1, 0)

    def trace_key(self, number: int) -> Any:
        """Key of what a slab gives for its frames."""
        return (f"{self.name}-traces", number)

    def tasks(self, traces: Collection[int], *, sums: bool, kept: SumsFiles | None = None) -> dict[Any, Any]:
        """Line up the slabs whose traces are needed and, for sums, all that no kept file holds."""
        tasks: dict[Any, Any] = {}
        if not sums:
            numbers = sorted(traces)
            lanes = min(max(1, self.plan.lanes), max(1, len(numbers)))
            starts = {len(numbers) * lane // lanes for lane in range(lanes)}
            for place, number in enumerate(numbers):
                waits = self.plan.lanes > 0 and place not in starts
                self._traces_only(number, numbers[place - 1] if waits else None, tasks)
            return tasks
        ends = self.plan.lane_ends
        for lane, (before, end) in enumerate(pairwise((-1, *ends))):
            self._lane(lane, range(before + 1, end + 1), traces, kept, tasks)
        met = [(f"{self.name}-sums", end) for end in ends] or [self._known(tasks)]
        self._tail(merge_tree(f"{self.name}-merge", met, tasks), tasks)
        return tasks

    def _known(self, tasks: dict[Any, Any]) -> Any:
        """Add the task that reads the sums to go on from."""
        assert self.carried is not None
        key = (f"{self.name}-known", 0)
        tasks[key] = Task(key, CarriedSums.take, self.carried)
        return key

    def _tail(self, before: Any, tasks: dict[Any, Any]) -> None:
        """Leave the sums of all lanes for the next job, and go on from them to the end."""
        if self.carried is not None and self.carried.keeps:
            key = (f"{self.name}-kept", 0)
            tasks[key] = Task(key, CarriedSums.keep, self.carried, TaskRef(before))
            before = key
        for number in range(len(self.plan.bounds) - self.plan.tail, len(self.plan.bounds)):
            self._slab(number, self.request, TaskRef(before), None, tasks)
            before = (f"{self.name}-sums", number)
            tasks[before] = Task(before, _sums, TaskRef((self.name, number)), None, 0, number)

    def _lane(
        self,
        lane: int,
        slabs: range,
        traces: Collection[int],
        kept: SumsFiles | None,
        tasks: dict[Any, Any],
    ) -> None:
        newest = None if kept is None else kept.newest(lane)
        sums = f"{self.name}-sums"
        before: int | None = None
        for number in slabs:
            if newest is not None and number < newest:
                if number in traces:
                    self._traces_only(number, before, tasks)
                    before = number
                continue
            if number == newest:
                tasks[sums, number] = Task((sums, number), _kept_sums, kept, lane)
                if number in traces:
                    self._traces_only(number, before, tasks)
                    before = number
                continue
            carried = TaskRef((sums, number - 1)) if number > slabs.start else None
            if number == 0 and self.carried is not None and self.carried.known is not None:
                carried = TaskRef(self._known(tasks))
            after = None if before is None else TaskRef(self.trace_key(before))
            self._slab(number, self.request, carried, after, tasks)
            key = (sums, number)
            tasks[key] = Task(key, _sums, TaskRef((self.name, number)), kept, lane, number)
            before = number

    def _traces_only(self, number: int, before: int | None, tasks: dict[Any, Any]) -> None:
        request = replace(self.request, moments=frozenset(), periods=(), bins=())
        after = None if before is None else TaskRef(self.trace_key(before))
        self._slab(number, request, None, after, tasks)

    def _slab(self, number: int, request: Request, carried: Any, after: Any, tasks: dict[Any, Any]) -> None:
        shared = (TaskRef(self.shared[part]) for part in ("source", "layout"))
        bounds, batch = self.plan.bounds[number], self.plan.batch_frames
        frames = bounds[1] - bounds[0]
        reading = Declared(read_slab, Work(frames, frames * self.frame_bytes))
        key = (self.name, number) if request.moments else self.trace_key(number)
        tasks[key] = Task(key, reading, *shared, request, bounds, batch, carried, after)
        if request.moments:
            tasks[self.trace_key(number)] = Task(self.trace_key(number), SlabResult.traces, TaskRef(key))

    def placeholders(self) -> dict[Any, Any]:
        """Return the keys that others ask for, without what makes them."""
        keys = [self.trace_key(number) for number in range(len(self.plan.bounds))]
        return {key: DataNode(key, None) for key in (*keys, *([self.whole] if self.request.moments else []))}


def merge_tree(name: str, keys: Sequence[Any], tasks: dict[Any, Any]) -> Any:
    """Add tasks that merge sums, a few at a time, and return the key of the last."""
    level = 0
    while len(keys) > 1 or level == 0:
        merged = []
        for number, first in enumerate(range(0, len(keys), MERGE_AT_ONCE)):
            key = (name, level, number)
            refs = List(*(TaskRef(one) for one in keys[first : first + MERGE_AT_ONCE]))
            tasks[key] = Task(key, _merge, refs)
            merged.append(key)
        keys, level = merged, level + 1
    return keys[0]


def lanes_of(graph: HighLevelGraph) -> int:
    """Return in how many lanes the slabs of a graph run."""
    return max((layer.plan.lanes for layer in _slab_layers(graph).values()), default=1) or 1


def lined_up(graph: HighLevelGraph, ends: set[Any], sums: Location) -> HighLevelGraph:
    """Return a graph without the slabs that `ends` do not need; sums over time are kept below the folder `sums`, and go on from there."""
    slabs = _slab_layers(graph)
    if not slabs:
        return graph
    layers = {**graph.layers, **{name: layer.placeholders() for name, layer in slabs.items()}}
    culled = HighLevelGraph(layers, graph.dependencies).cull(ends)
    for name, layer in slabs.items():
        # a culled layer has a name of its own, which begins with that of the layer
        parts = [one for own, one in culled.layers.items() if own.startswith(f"{name}-")]
        needed = {key for part in parts for key in part}
        traces = {number for number in range(len(layer.plan.bounds)) if layer.trace_key(number) in needed}
        has_sums = bool(layer.request.moments) and layer.whole in needed
        kept = SumsFiles(sums / tokenize(layer.request, layer.plan, layer.carried)[:16])
        layers[name] = layer.tasks(traces, sums=has_sums, kept=kept if has_sums else None)
    return HighLevelGraph(layers, graph.dependencies)


def _slab_layers(graph: HighLevelGraph) -> dict[str, SlabLayer]:
    mappings = {name: getattr(layer, "mapping", layer) for name, layer in graph.layers.items()}
    return {name: mapping for name, mapping in mappings.items() if isinstance(mapping, SlabLayer)}


def _merge(parts: Sequence[SlabResult]) -> SlabResult:
    return SlabResult(moments=merge_moments([part.moments for part in parts if part.moments is not None]))


def _sums(result: SlabResult, kept: SumsFiles | None, lane: int, number: int) -> SlabResult:
    """Return the sums alone, kept in a file if that was not done for a while."""
    seconds = result.seconds
    if kept is not None and result.moments is not None and seconds >= KEEP_SECONDS:
        kept.keep(lane, number, result.moments)
        seconds = 0.0
    return SlabResult(moments=result.moments, seconds=seconds)


def _kept_sums(kept: SumsFiles, lane: int) -> SlabResult:
    return SlabResult(moments=kept.moments(lane))
