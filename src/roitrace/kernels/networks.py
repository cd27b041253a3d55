"""Sorting networks, and the same comparators in blocks that a processor does in its registers."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "BEGIN_MERGE",
    "BLOCKS",
    "ONE_PAIR",
    "SORT_SIXTEEN",
    "THREE_LAYERS",
    "TWO_LAYERS",
    "Comparators",
    "sorting_network",
    "sorting_program",
]

Comparators = tuple[tuple[int, int], ...]
"""Each puts the smaller of two rows into the first."""


def _batcher(size: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield the layers of Batcher's odd-even merge sort: their distance, and the first rows of their comparators."""
    p = 1
    while p < size:
        k = p
        while k >= 1:
            row = np.arange(max(size - k, 0))
            row = row[
                (row >= k % p) & ((row - k % p) % (2 * k) < k) & (row // (2 * p) == (row + k) // (2 * p))
            ]
            yield k, row
            k //= 2
        p *= 2


def sorting_network(size: int) -> NDArray[np.int64]:
    """Return the comparators (n, 2) of Batcher's odd-even merge sort for `size` inputs.

    Batcher (1968), AFIPS 32:307; comparators that reach beyond `size` fall away.
    """
    layers = [np.stack([row, row + k], axis=1) for k, row in _batcher(size)]
    return np.concatenate([np.zeros((0, 2), np.int64), *layers])


_SIXTEEN = 16
_SORT: Comparators = tuple((int(low), int(high)) for low, high in sorting_network(_SIXTEEN))
_BEGIN: Comparators = (
    *((0, 4), (1, 5), (2, 6), (3, 7)),
    *((2, 4), (3, 5)),
    *((1, 2), (3, 4), (5, 6)),
)
_TWO: Comparators = ((1, 3), (2, 4), (0, 1), (2, 3))
_THREE: Comparators = (
    *((3, 7), (4, 8), (5, 9), (6, 10)),
    *((1, 3), (2, 4), (5, 7), (6, 8)),
    *((0, 1), (2, 3), (4, 5), (6, 7)),
)

BLOCKS: tuple[tuple[int, Comparators], ...] = (
    (2, ((0, 1),)),
    (_SIXTEEN, _SORT),
    (8, _BEGIN),
    (5, _TWO),
    (11, _THREE),
)
"""Rows and comparators of each kind of block: one comparator; all of 16 rows; the first three layers of a merge; two and three of its later layers.

The later layers reach from one block into the next: a block begins with the rows that the one before it has not finished.
"""
ONE_PAIR, SORT_SIXTEEN, BEGIN_MERGE, TWO_LAYERS, THREE_LAYERS = range(5)


@lru_cache(maxsize=4096)
def sorting_program(size: int) -> NDArray[np.int32]:
    """Return the comparators of `sorting_network` in blocks: kind, number of blocks, rows of each block, and so on.

    Row `size` stands for all rows that are not there: it must hold what no sample exceeds.
    """
    sixteens = np.arange(0, size, _SIXTEEN)[:, None] + np.arange(_SIXTEEN)
    parts = [_blocks(SORT_SIXTEEN, sixteens, size)]
    half = _SIXTEEN
    while half < size:
        for start in range(0, size, 2 * half):
            for kind, rows in _merge(half):
                inside = np.where(rows < 2 * half, rows + start, size)
                parts.append(_blocks(kind, inside, size))
        half *= 2
    return np.concatenate(parts).astype(np.int32)


def _merge(half: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield the blocks of a merge of two sorted halves, layers of a distance of half, half / 2, ..., 1."""
    step = half // 4
    yield BEGIN_MERGE, np.arange(step)[:, None] + step * np.arange(8)
    distance = step // 2
    while distance >= 1:
        kind, layers, first, last = {1: (ONE_PAIR, 1, 1, 2), 2: (TWO_LAYERS, 2, 1, 5)}.get(
            distance, (THREE_LAYERS, 3, 1, 11)
        )
        step = distance >> (layers - 1)
        length = 1 << layers
        blocks = step * length * np.arange(2 * half // (step * length))
        rows = blocks[:, None, None] + np.arange(step)[:, None] + step * np.arange(first, last + 1)
        yield kind, rows.reshape(-1, last - first + 1)
        distance >>= layers


def _blocks(kind: int, rows: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return the part of a program that does some blocks; comparators one by one where few of a block's rows are there."""
    rows = np.minimum(rows, size)
    comparators = rows[:, np.array(BLOCKS[kind][1])]
    real = np.all(comparators < size, axis=2)
    whole = 2 * real.sum(axis=1) >= rows.shape[1]
    singles = comparators[~whole][real[~whole]]
    parts = [np.array([kind, whole.sum()]), rows[whole].ravel()] if whole.any() else []
    if singles.size:
        parts += [np.array([ONE_PAIR, len(singles)]), singles.ravel()]
    return np.concatenate([np.zeros(0, np.int64), *parts])
