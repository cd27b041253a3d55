"""Block sources as dask arrays, and back: the direct path to the storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import DataNode, Task, TaskRef

from roitrace.engine.foreign import DaskSource
from roitrace.engine.plan import grow_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.sources import BlockSource

__all__ = ["BLOCK_BYTES", "as_dask", "block_source", "concatenate", "corrected", "source_in", "source_of"]

BLOCK_BYTES = 16 * 2**20
"""Size of a dask block of a recording; whole chunks of the storage."""


def as_dask(source: BlockSource, stamp: str = "") -> da.Array:
    """Return a dask array ``(time, y, x)`` that reads from `source`.

    Its name is a digest of the source, so that `source_of` recognises it. `stamp` tells apart two states of the same path.
    """
    blocks = _block_bounds(source)
    name = _name(source, stamp)
    graph = HighLevelGraph(
        {name: _ReadTasks(name, blocks), _source_key(name): {_source_key(name): _node(name, source, stamp)}},
        {name: {_source_key(name)}, _source_key(name): set()},
    )
    chunks = tuple(tuple(stop - start for start, stop in bounds) for bounds in blocks)
    return da.Array(graph, name, chunks=chunks, dtype=source.dtype)


def source_of(array: da.Array) -> BlockSource | None:
    """Return the source of an array that is exactly what `as_dask` gave, otherwise None.

    Only the dask name is trusted: attributes and encodings survive arithmetic, names do not.
    """
    known = _known(array)
    return None if known is None else known[0]


def source_in(layers: Mapping[str, Any], name: str) -> BlockSource | None:
    """Return the source of a layer among others that is exactly what `as_dask` gave, otherwise None."""
    known = _known_in(layers, name)
    return None if known is None else known[0]


def block_source(array: da.Array) -> BlockSource:
    """Return the source of an array; one that `as_dask` did not give is a source too: its blocks are computed where they are read."""
    known = _known(array)
    return DaskSource(array) if known is None else known[0]


def corrected(array: da.Array, correct: Callable[[BlockSource], BlockSource]) -> da.Array:
    """Return an array that reads from what `correct` makes of the source of an array.

    An array that `as_dask` did not give is a source too: its blocks are computed where they are read.
    """
    source, stamp = _known(array) or (DaskSource(array), "")
    return as_dask(correct(source), stamp)


def _known(array: da.Array) -> tuple[BlockSource, str] | None:
    """Return source and stamp of an array that `as_dask` gave."""
    return _known_in(array.dask.layers, array.name)


def _known_in(layers: Mapping[str, Any], name: str) -> tuple[BlockSource, str] | None:
    layer = layers.get(_source_key(name))
    if layer is None:
        return None
    source, stamp = layer[_source_key(name)].value
    return (source, stamp) if _name(source, stamp) == name else None


def concatenate(arrays: list[list[da.Array]], *, has_channel: bool, has_plane: bool) -> da.Array:
    """Join ``arrays[channel][plane]`` of ``(time, y, x)`` into one ``(time, [channel], [plane], y, x)``."""
    channels = [da.stack(planes, axis=1) if has_plane else planes[0] for planes in arrays]
    return da.stack(channels, axis=1) if has_channel else channels[0]


def _name(source: BlockSource, stamp: str) -> str:
    return f"roitrace-recording-{tokenize(source, stamp)}"


def _source_key(name: str) -> str:
    return f"{name}-source"


def _node(name: str, source: BlockSource, stamp: str) -> DataNode:
    return DataNode(_source_key(name), (source, stamp))


def _block_bounds(source: BlockSource) -> tuple[list[tuple[int, int]], ...]:
    """Borders of the dask blocks along each axis: whole storage chunks, cut where the source begins inside one."""
    steps = grow_block(source.chunks, source.shape, source.dtype.itemsize, BLOCK_BYTES)
    bounds = []
    for size, step, offset in zip(source.shape, steps, source.offset, strict=True):
        cuts = [0, *range(step - offset % step, size, step), size]
        bounds.append([(start, stop) for start, stop in pairwise(cuts) if stop > start])
    return tuple(bounds)


@dataclass(frozen=True)
class _ReadTasks(Mapping[Any, Any]):
    """The read task of every block, made when it is asked for: a recording may have millions."""

    name: str
    blocks: tuple[list[tuple[int, int]], ...]

    def __getitem__(self, key: Any) -> Task:
        if not isinstance(key, tuple) or len(key) != 4 or key[0] != self.name:
            raise KeyError(key)
        region = tuple(slice(*bounds[number]) for bounds, number in zip(self.blocks, key[1:], strict=True))
        return Task(key, _read, TaskRef(_source_key(self.name)), region)

    def __iter__(self) -> Iterator[Any]:
        return product([self.name], *(range(len(bounds)) for bounds in self.blocks))

    def __len__(self) -> int:
        return int(np.prod([len(bounds) for bounds in self.blocks]))


def _read(source: tuple[BlockSource, str], region: tuple[slice, slice, slice]) -> NDArray[np.generic]:
    return source[0].read(*region)
