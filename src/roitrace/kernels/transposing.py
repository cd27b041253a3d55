"""Turn some pixels of some frames into rows over time, in registers.

Written in the compiler's own vectors, of which it makes shuffles; from loops it makes one load and one store for each sample.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

__all__ = ["BLOCK_FRAMES", "BLOCK_PIXELS", "transpose_block"]

BLOCK_FRAMES = 16
BLOCK_PIXELS = 8

_INDEX = ir.IntType(64)


def _transpose_block(  # type: ignore[no-untyped-def]
    _, block, source, plane, matrix, target, stride, count  # noqa: ARG001
):  # fmt: skip
    """Copy 16 frames of up to 8 pixels from a flat block to a flat matrix, both contiguous and of one dtype.

    The samples of a frame begin at `source`, those of the next one `plane` further on; 8 are read of each, whatever `count` says. The rows
    begin at `target`, each `stride` after the one before; `count` of them are written.
    """
    if block.dtype != matrix.dtype or {block.layout, matrix.layout} != {"C"}:
        return None
    unsigned = types.uint64
    signature = types.void(block, unsigned, unsigned, matrix, unsigned, unsigned, unsigned)
    return signature, _emit


transpose_block: Any = intrinsic(_transpose_block)


def _emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    block, source, plane, matrix, target, stride, count = arguments
    kind = signature.args[0].dtype
    frames = context.make_array(signature.args[0])(context, builder, block).data
    rows = context.make_array(signature.args[3])(context, builder, matrix).data
    row = ir.VectorType(context.get_data_type(kind), BLOCK_PIXELS)
    align = kind.bitwidth // 8 if signature.args[0].aligned and signature.args[3].aligned else 1

    def place(first: Any, begin: Any, step: Any, number: int, vector: Any) -> Any:
        offset = builder.add(begin, builder.mul(step, ir.Constant(_INDEX, number)))
        return builder.bitcast(builder.gep(first, [offset]), vector.as_pointer())

    loaded = [
        builder.load(place(frames, source, plane, frame, row), align=align) for frame in range(BLOCK_FRAMES)
    ]
    squares = [
        _transposed(builder, loaded[first : first + BLOCK_PIXELS])
        for first in range(0, BLOCK_FRAMES, BLOCK_PIXELS)
    ]
    for number, (early, late) in enumerate(zip(*squares, strict=True)):
        series = _shuffle(builder, early, late, range(BLOCK_FRAMES))
        with builder.if_then(builder.icmp_unsigned("<", ir.Constant(_INDEX, number), count)):
            builder.store(series, place(rows, target, stride, number, series.type), align=align)
    return context.get_dummy_value()


def _transposed(builder: Any, vectors: list[Any]) -> list[Any]:
    """Transpose a square of vectors: halves are exchanged, then halves of these, and so on."""
    size = len(vectors)
    distance = 1
    while distance < size:
        low = [size + (k ^ distance) if k & distance else k for k in range(size)]
        high = [size + k if k & distance else k | distance for k in range(size)]
        turned = list(vectors)
        for first in (k for k in range(size) if not k & distance):
            pair = vectors[first], vectors[first | distance]
            turned[first] = _shuffle(builder, *pair, low)
            turned[first | distance] = _shuffle(builder, *pair, high)
        vectors = turned
        distance *= 2
    return vectors


def _shuffle(builder: Any, first: Any, second: Any, picked: Any) -> Any:
    """Make a vector of elements of two, counted through both."""
    number = ir.IntType(32)
    mask = [ir.Constant(number, one) for one in picked]
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(number, len(mask)), mask))
