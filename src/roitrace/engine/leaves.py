"""Sums of float samples over a leaf of frames: the unit that keeps their order whatever the blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from roitrace.engine.plan import LEAF_FRAMES
from roitrace.kernels.moments import close_float, merge_float

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Leaf", "OpenLeaf", "leaf_parts", "merged"]


class Leaf(NamedTuple):
    """Sums per pixel: number of samples, their total, mean and squared deviations from it."""

    number: NDArray[np.int64]
    total: NDArray[np.float64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]

    def copied(self) -> Leaf:
        """Return sums to go on from."""
        return Leaf(self.number.copy(), self.total.copy(), self.mean.copy(), self.squares.copy())


class OpenLeaf(NamedTuple):
    """Sums per pixel while a leaf fills: steps from the first valid sample, and their squares."""

    number: NDArray[np.int64]
    total: NDArray[np.float64]
    origin: NDArray[np.float64]
    steps: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> OpenLeaf:
        """Return sums of nothing yet for images of a shape."""
        return cls(np.zeros(shape, np.int64), *(np.zeros(shape) for _ in range(4)))

    def copied(self) -> OpenLeaf:
        """Return sums to go on from."""
        sums = (self.total, self.origin, self.steps, self.squares)
        return OpenLeaf(self.number.copy(), *(image.copy() for image in sums))

    def closed(self) -> Leaf:
        """Return the finished sums."""
        mean, squares = self.origin.copy(), self.squares.copy()
        close_float(*(array.reshape(-1) for array in (self.number, mean, self.steps, squares)))
        return Leaf(self.number, self.total, mean, squares)


def merged(first: Leaf, second: Leaf) -> Leaf:
    """Return the sums of both, the first ones first."""
    copy = first.copied()
    merge_float(*(array.reshape(-1) for array in copy), *(array.reshape(-1) for array in second))
    return copy


def leaf_parts(first_frame: int, frames: int) -> list[tuple[int, slice]]:
    """Split frames into leaves: leaf number and the slice within the block."""
    parts = []
    start = 0
    while start < frames:
        leaf, into = divmod(first_frame + start, LEAF_FRAMES)
        stop = min(frames, start + LEAF_FRAMES - into)
        parts.append((leaf, slice(start, stop)))
        start = stop
    return parts
