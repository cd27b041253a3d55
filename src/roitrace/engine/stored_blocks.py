"""Blocks of lazy arrays that finished files hold already: read from there, not computed again."""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import Task

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    import dask.array as da
    from numpy.typing import NDArray

    from roitrace.engine.unit_writes import UnitArray
    from roitrace.store.places import Location

__all__ = ["with_stored_blocks"]


def with_stored_blocks(
    graph: HighLevelGraph,
    arrays: Sequence[tuple[UnitArray, da.Array]],
    store: Location,
    done: Container[str],
) -> HighLevelGraph:
    """Return a graph in which blocks whose files are all finished are read from these."""
    layers = dict(graph.layers)
    for target, array in arrays:
        if array.name not in layers or not any(target.file_key(one) in done for one in target.positions()):
            continue
        borders = [np.concatenate([[0], np.cumsum(chunks)]).tolist() for chunks in array.chunks]
        there = {}
        for index in product(*(range(count) for count in array.numblocks)):
            span = tuple(slice(*list(pairwise(edges))[n]) for edges, n in zip(borders, index, strict=True))
            if all(target.file_key(one) in done for one in _files(target, span)):
                key = (array.name, *index)
                there[key] = Task(key, _read, target, store, span)
        if there:
            layers[array.name] = {**dict(layers[array.name]), **there}
    return HighLevelGraph(layers, graph.dependencies)


def _files(target: UnitArray, span: tuple[slice, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the positions of the files that hold a part of an array."""
    steps = zip(span, target.unit, strict=True)
    yield from product(*(range(one.start // step, -(-one.stop // step)) for one, step in steps))


def _read(target: UnitArray, store: Location, span: tuple[slice, ...]) -> NDArray[Any]:
    block = np.empty([one.stop - one.start for one in span], target.dtype)
    for position in _files(target, span):
        there = target.span(position)
        both = [
            slice(max(one.start, other.start), min(one.stop, other.stop))
            for one, other in zip(span, there, strict=True)
        ]
        into = tuple(slice(b.start - s.start, b.stop - s.start) for b, s in zip(both, span, strict=True))
        out_of = tuple(slice(b.start - s.start, b.stop - s.start) for b, s in zip(both, there, strict=True))
        block[into] = target.read(store, position)[out_of]
    return block
