"""Sort many short columns at once: rows are vectors of lanes, and a block of comparators is done in registers.

The blocks are written in the compiler's own vectors: it cannot know that the rows of a block are different ones, and would go
to memory between comparators.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from roitrace.kernels.compiled import compiled
from roitrace.kernels.networks import (
    BEGIN_MERGE,
    BLOCKS,
    ONE_PAIR,
    SORT_SIXTEEN,
    TWO_LAYERS,
    Comparators,
)

__all__ = ["NETWORK_LIMIT", "SCRATCH_ROW_BYTES", "highest_of", "lanes_for", "scratch_rows", "sort_lanes"]

SCRATCH_ROW_BYTES = 256
"""Lanes sorted at once, in bytes: four vectors, and the rows of most cells stay in a first-level cache of 32 KiB or more."""

NETWORK_LIMIT = 1024
"""ROIs with more pixels are sorted frame by frame instead of by a network over lanes."""

_VECTOR_BYTES = 64
"""The widest vectors that there are; the compiler makes several of them where they are shorter."""


def _block(n_rows: int, comparators: Comparators) -> Any:
    """Return ``block(flat, rows, position, lanes)``, which does the comparators on the rows (of `lanes` samples each) whose numbers begin at a position."""

    @intrinsic
    def block(_: Any, flat: Any, rows: Any, position: Any, lanes: Any) -> Any:  # noqa: ARG001
        if {flat.layout, rows.layout} != {"C"}:
            return None

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            samples, numbers = (
                context.make_array(kind)(context, builder, value).data
                for kind, value in zip(signature.args[:2], arguments[:2], strict=True)
            )
            start, width = arguments[2:]
            index = ir.IntType(64)
            per_vector = _VECTOR_BYTES // flat.dtype.bitwidth * 8
            vector = ir.VectorType(context.get_data_type(flat.dtype), per_vector)
            places = []
            for number in range(n_rows):
                place = builder.gep(numbers, [builder.add(start, ir.Constant(index, number))])
                row = builder.zext(builder.load(place), index)
                places.append(builder.gep(samples, [builder.mul(row, width)]))
            with cgutils.for_range(builder, builder.udiv(width, ir.Constant(index, per_vector))) as loop:
                offset = builder.mul(loop.index, ir.Constant(index, per_vector))
                pointers = [
                    builder.bitcast(builder.gep(one, [offset]), vector.as_pointer()) for one in places
                ]
                values = [builder.load(one, align=_VECTOR_BYTES) for one in pointers]
                for low, high in comparators:
                    a, b = values[low], values[high]
                    is_less = _is_less(builder, flat.dtype, a, b)
                    values[low], values[high] = builder.select(is_less, a, b), builder.select(is_less, b, a)
                for pointer, value in zip(pointers, values, strict=True):
                    builder.store(value, pointer, align=_VECTOR_BYTES)
            return context.get_dummy_value()

        return types.void(flat, rows, types.uint64, types.uint64), emit

    return block


def _is_less(builder: Any, dtype: Any, a: Any, b: Any) -> Any:
    if isinstance(dtype, types.Float):
        return builder.fcmp_ordered("<", a, b)
    return builder.icmp_signed("<", a, b) if dtype.signed else builder.icmp_unsigned("<", a, b)


_one_pair, _sort_sixteen, _begin_merge, _two_layers, _three_layers = (_block(*one) for one in BLOCKS)
_ROWS = tuple(n_rows for n_rows, _ in BLOCKS)


def highest_of(dtype: np.dtype[Any]) -> Any:
    """Return what no sample of a dtype exceeds."""
    return dtype.type(np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else np.inf)


@compiled()
def lanes_for(matrix, frames):  # type: ignore[no-untyped-def]
    """Return how many frames of a matrix are sorted at once: whole vectors, not many more than there are."""
    lanes = SCRATCH_ROW_BYTES // matrix.itemsize
    while lanes >= 2 * frames and lanes * matrix.itemsize > _VECTOR_BYTES:
        lanes //= 2
    return lanes


@compiled()
def scratch_rows(matrix, entries, lanes):  # type: ignore[no-untyped-def]
    """Return room for lanes of so many entries and the row that stands for those beyond them; each row begins with a line of the cache."""
    size = (entries + 1) * lanes
    room = np.zeros(size + _VECTOR_BYTES // matrix.itemsize, matrix.dtype)
    first = (-room.ctypes.data % _VECTOR_BYTES) // matrix.itemsize
    return room[first : first + size].reshape((entries + 1, lanes))


@compiled()
def sort_lanes(scratch, entries, program, highest):  # type: ignore[no-untyped-def]
    """Sort the first entries of every column of `scratch`, as `scratch_rows` gives it, by a program of `sorting_program`.

    No sample may exceed `highest`, which is put into the row behind them.
    """
    scratch[entries, :] = highest
    lanes = np.uint64(scratch.shape[1])
    flat = scratch.reshape(-1)
    position = np.uint64(0)
    while position < np.uint64(program.size):
        kind = program[position]
        last = position + np.uint64(2) + np.uint64(program[position + np.uint64(1)]) * np.uint64(_ROWS[kind])
        position += np.uint64(2)
        while position < last:
            if kind == ONE_PAIR:
                _one_pair(flat, program, position, lanes)
            elif kind == SORT_SIXTEEN:
                _sort_sixteen(flat, program, position, lanes)
            elif kind == BEGIN_MERGE:
                _begin_merge(flat, program, position, lanes)
            elif kind == TWO_LAYERS:
                _two_layers(flat, program, position, lanes)
            else:
                _three_layers(flat, program, position, lanes)
            position += np.uint64(_ROWS[kind])
