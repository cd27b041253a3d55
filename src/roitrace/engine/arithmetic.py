"""Arithmetic on a recording, recognised in its dask graph, so that it is done chunk by chunk while the storage is read.

Only operations are taken that give a sample the same bits whatever the samples beside it: exact ones, and those that IEEE 754 rounds
correctly. Everything else stays with dask.
"""

from __future__ import annotations

import operator
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
from dask.array import chunk
from dask.array.core import concatenate_shaped
from dask.blockwise import Blockwise
from dask.task_spec import Alias, DataNode, Task

from roitrace.corrected.computed import Computed, Step, Value
from roitrace.engine.blocks import block_source, source_in, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import dask.array as da
    from numpy.typing import NDArray

    from roitrace.sources import BlockSource

__all__ = ["EXACT", "direct_source", "readable"]

EXACT: frozenset[Callable[..., Any]] = frozenset(
    {
        *(operator.add, operator.sub, operator.mul, operator.truediv, operator.neg, operator.abs),
        *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
        *(operator.and_, operator.or_, operator.xor, operator.invert),
        *(np.add, np.subtract, np.multiply, np.divide, np.negative, np.absolute, np.square, np.sqrt),
        *(np.isnan, np.isfinite, np.where),
    }
)
"""Functions whose results do not depend on the samples beside a sample."""
CONSTANT_BYTES = 64 * 2**20
"""The largest image or series that may take part: every worker gets it."""
_ALIGNING = (operator.getitem, chunk.getitem, concatenate_shaped)
"""What dask does to an array in memory to give it the blocks of a recording."""


def direct_source(array: da.Array) -> BlockSource | None:
    """Return what reads an array straight from the storage, with arithmetic on the way; None if dask has to compute it."""
    return source_of(array) or _computed(array)


def readable(array: da.Array) -> BlockSource:
    """Return the direct source of an array, or one whose blocks dask computes where they are read."""
    return direct_source(array) or block_source(array)


class _OutOfReachError(Exception):
    """The graph holds something else than exact arithmetic on one recording."""


def _computed(array: da.Array) -> Computed | None:
    try:
        return _Expression(array).source()
    except _OutOfReachError:
        return None


class _Expression:
    """The steps from the one recording of a graph to its last layer."""

    def __init__(self, array: da.Array) -> None:
        self._array = array
        self._layers: Mapping[str, Any] = array.dask.layers
        self._recordings: dict[str, BlockSource] = {}
        self._steps: list[Step] = []
        self._known: dict[str, tuple[Any, NDArray[Any]]] = {}
        """What stands for a layer, and an example of its samples."""

    def source(self) -> Computed:
        """Return the array as a source."""
        waiting = [self._array.name]
        while waiting:
            name = waiting[-1]
            missing = [one for one in self._operands(name) if one not in self._known]
            waiting += missing
            if not missing:
                self._known[waiting.pop()] = self._value(name)
        example = self._known[self._array.name][1]
        if len(self._recordings) != 1 or not self._steps or example.dtype != self._array.dtype:
            raise _OutOfReachError
        (source,) = self._recordings.values()
        # what is read is planned by the size of the samples that come out
        if source.shape != self._array.shape or source.dtype.itemsize > self._array.dtype.itemsize:
            raise _OutOfReachError
        return Computed(source, tuple(self._steps), self._array.dtype)

    def _operands(self, name: str) -> list[str]:
        """Return the layers that an operation is applied to; none for a recording and for an array in memory."""
        layer = self._layers.get(name)
        if not isinstance(layer, Blockwise):
            return []
        if layer.io_deps or layer.new_axes:
            raise _OutOfReachError
        return [one for one, axes in layer.indices if axes is not None]

    def _value(self, name: str) -> tuple[Any, NDArray[Any]]:
        layer = self._layers.get(name)
        if isinstance(layer, Blockwise):
            return self._step(layer)
        source = source_in(self._layers, name)
        if source is None:
            image = _in_memory(self._array, name)
            return image, image[(slice(1),) * image.ndim]
        self._recordings[name] = source
        return Value(0), np.ones((1, 1, 1), source.dtype)

    def _step(self, layer: Blockwise) -> tuple[Any, NDArray[Any]]:
        """Note an operation, and try it on an example: its dtype follows from all before it."""
        arguments, examples = [], []
        for one, axes in layer.indices:
            value, example = (_number(one),) * 2 if axes is None else self._known[one]
            if axes is not None and not (
                axes == layer.output_indices[-len(axes) :] and self._is_aligned(layer, one)
            ):
                raise _OutOfReachError
            arguments.append(value)
            examples.append(example)
        function = _exact(layer.task, examples)
        arguments += [layer.task.kwargs["astype_dtype"]] if function is np.ndarray.astype else []
        try:
            with np.errstate(all="ignore"):
                example = np.asarray(function(*examples, *arguments[len(examples) :]))
        except (TypeError, ValueError, OverflowError) as error:  # dask will say what is wrong
            raise _OutOfReachError from error
        self._steps.append(Step(function, tuple(arguments)))
        return Value(len(self._steps)), example

    def _is_aligned(self, layer: Blockwise, name: str) -> bool:
        """Whether an operand is cut as the array is, or goes to every block because it has one sample along an axis.

        Functions of blocks are given a whole array of another size too, which is not a matter of single samples.
        """
        value, _ = self._known[name]
        ndim = len(layer.numblocks[name])
        shape, blocks = self._array.shape[-ndim:], self._array.numblocks[-ndim:]
        sizes = shape if isinstance(value, Value) else value.shape
        return all(
            size == 1 or (size == whole and count == parts)
            for size, whole, count, parts in zip(sizes, shape, layer.numblocks[name], blocks, strict=True)
        )


def _number(literal: Any) -> Any:
    """Return a literal if it is one number."""
    if isinstance(literal, int | float | np.generic) or (
        isinstance(literal, np.ndarray) and not literal.ndim
    ):
        return literal
    raise _OutOfReachError


def _exact(task: Task, operands: Sequence[Any]) -> Callable[..., Any]:
    """Return the function of a task if it is exact for each sample."""
    if not operands or not isinstance(task.func, Hashable):
        raise _OutOfReachError
    if task.func is chunk.astype and set(task.kwargs) == {"astype_dtype"}:
        # numbers that do not fit turn into whatever the processor gives
        if np.can_cast(operands[0].dtype, task.kwargs["astype_dtype"], "same_kind"):
            return np.ndarray.astype
    elif task.func in EXACT and not task.kwargs:
        function: Callable[..., Any] = task.func
        return function
    raise _OutOfReachError


def _in_memory(array: da.Array, name: str) -> NDArray[Any]:
    """Return an array that lies in the graph already, in blocks that dask aligned with those of the recording."""
    layers, above = array.dask.layers, array.dask.dependencies
    graph: dict[Any, Any] = {}
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in layers or isinstance(layers[one], Blockwise):
            raise _OutOfReachError
        graph |= layers[one]
        waiting += above[one]
    if (
        not all(_is_there(node) for node in graph.values())
        or sum(map(_nbytes, graph.values())) > CONSTANT_BYTES
    ):
        raise _OutOfReachError
    keys = [key for key in layers[name] if isinstance(key, tuple) and key[0] == name]
    blocks = dict(zip(keys, dask.get(graph, keys), strict=True))
    if not blocks or not all(type(block) is np.ndarray for block in blocks.values()):
        raise _OutOfReachError
    return _joined(
        blocks, (name,), [1 + max(numbers) for numbers in zip(*(key[1:] for key in keys), strict=True)]
    )


def _is_there(node: Any) -> bool:
    """Whether a node holds an array in memory, or only cuts and joins others."""
    if isinstance(node, Task):
        return node.func in _ALIGNING
    return isinstance(node.value if isinstance(node, DataNode) else node, np.ndarray | Alias)


def _nbytes(node: Any) -> int:
    return int(getattr(node.value if isinstance(node, DataNode) else node, "nbytes", 0))


def _joined(blocks: Mapping[Any, NDArray[Any]], key: tuple[Any, ...], counts: Sequence[int]) -> NDArray[Any]:
    axis = len(key) - 1
    if axis == len(counts):
        return blocks[key]
    parts = [_joined(blocks, (*key, number), counts) for number in range(counts[axis])]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)
