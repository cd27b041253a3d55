"""Do the same to many things, in tasks of some megabytes each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask.base import tokenize
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import List, Task, TaskRef

from roitrace.engine.work import Declared
from roitrace.watching import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["for_each"]

BATCH_BYTES = 64 * 2**20
BATCH_THINGS = 256


def for_each(function: Callable[..., Any], things: Iterable[tuple[int, Any]], *shared: Any) -> Delayed:
    """Return a lazy list of what ``function(thing, *shared)`` gives for each thing, in order.

    Parameters
    ----------
    function : callable
        A plain function of a module.
    things : iterable of (int, object)
        How many bytes each reads, and what it is.
    *shared
        What all get.
    """
    name = f"each-{tokenize(function.__name__, shared)}"
    tasks: dict[object, Task] = {}
    for number, (nbytes, batch) in enumerate(_batches(things)):
        key = (name, number)
        tasks[key] = Task(key, Declared(_do, Work(0.0, nbytes)), function, batch, *shared)
    end = f"{name}-end"
    tasks[end] = Task(end, _joined, List(*(TaskRef(key) for key in tasks)))
    return Delayed(end, HighLevelGraph({name: tasks}, {name: set[str]()}), layer=name)


def _batches(things: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    nbytes = 0
    batch: list[Any] = []
    for size, thing in things:
        if batch and (nbytes + size > BATCH_BYTES or len(batch) >= BATCH_THINGS):
            yield nbytes, tuple(batch)
            nbytes, batch = 0, []
        nbytes += size
        batch.append(thing)
    if batch:
        yield nbytes, tuple(batch)


def _do(function: Callable[..., Any], batch: tuple[Any, ...], *shared: Any) -> list[Any]:
    return [function(thing, *shared) for thing in batch]


def _joined(parts: list[list[Any]]) -> list[Any]:
    return [one for part in parts for one in part]
