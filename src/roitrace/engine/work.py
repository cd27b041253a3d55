"""What the tasks of a graph work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dask.utils import key_split

from roitrace.watching import NO_WORK, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Declared", "declared_in", "work_by_kind", "work_of"]


@dataclass(frozen=True, slots=True)
class Declared:
    """The function of a task that says what it works on."""

    function: Callable[..., Any]
    work: Work

    def __call__(self, *arguments: Any) -> Any:
        """Do it."""
        return self.function(*arguments)


def work_of(task: Any) -> Work:
    """Return what a task works on, fused ones included."""
    function = getattr(task, "func", None)
    if isinstance(function, Declared):
        return function.work
    if function is not None and task.has_subgraph():
        return sum((work_of(one) for one in task.args[0].values()), NO_WORK)
    return NO_WORK


def declared_in(graph: Mapping[Any, Any]) -> dict[Any, Work]:
    """Return what the tasks of a plain graph work on, for those that say it."""
    found = ((key, work_of(task)) for key, task in graph.items())
    return {key: work for key, work in found if work.nbytes}


def work_by_kind(lazy: Iterable[Any]) -> dict[str, Work]:
    """Return what all tasks of each kind work on in graphs that are not optimised yet.

    Layers that make their tasks when they are asked for are passed over: they may have millions, and declare nothing.
    """
    layers: dict[str, Mapping[Any, Any]] = {}
    for one in lazy:
        for name, layer in getattr(one.__dask_graph__(), "layers", {}).items():
            mapping = getattr(layer, "mapping", layer)
            if isinstance(mapping, dict):
                layers[name] = mapping
    kinds: dict[str, Work] = {}
    for layer in layers.values():
        for key, work in declared_in(layer).items():
            kind = key_split(key)
            kinds[kind] = kinds.get(kind, NO_WORK) + work
    return kinds
