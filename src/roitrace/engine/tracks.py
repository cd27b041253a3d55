"""Sums over time that need more than one frame or a power of its own: peaks, changes from frame to frame, third powers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from roitrace.engine.leaves import OpenLeaf
from roitrace.kernels.changes import add_changes, add_changes_wide, add_cubes, add_cubes_float, add_peaks
from roitrace.kernels.exact import spread
from roitrace.kernels.moments import add_float

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Changes", "Cubes", "Peaks", "Track"]


class Track(Protocol):
    """Sums of one kind over some frames.

    Those of integer samples, and peaks, merge with those of the frames that follow; the others of float samples only go on
    from one frame to the next.
    """

    def add(self, block: NDArray[Any], first_frame: int, y: slice, x: slice) -> None:
        """Add a tile ``(time, y, x)``; tiles of the same frames come row by row, then `advance`."""

    def advance(self, first_frame: int, frames: int) -> None:
        """Note that all tiles of some frames were added."""

    def copy(self) -> Self:
        """Return sums to go on from."""

    def merge(self, other: Self) -> None:
        """Add the sums over the frames that follow; these are left as they were."""


@dataclass
class Peaks:
    """The highest frame of every pixel: its sample and number; -1 where there is none."""

    peak: NDArray[Any]
    position: NDArray[np.int64]

    @classmethod
    def new(cls, shape: tuple[int, int], dtype: np.dtype[Any]) -> Peaks:
        """Nothing yet."""
        lowest = -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
        return cls(np.full(shape, lowest, dtype), np.full(shape, -1, np.int64))

    def add(self, block: NDArray[Any], first_frame: int, y: slice, x: slice) -> None:
        """See `Track`."""
        add_peaks(block, first_frame, self.peak[y, x], self.position[y, x])

    def advance(self, first_frame: int, frames: int) -> None:
        """See `Track`."""

    def copy(self) -> Peaks:
        """See `Track`."""
        return Peaks(self.peak.copy(), self.position.copy())

    def merge(self, other: Peaks) -> None:
        """See `Track`."""
        higher = (other.peak > self.peak) | ((self.position < 0) & (other.position >= 0))
        np.copyto(self.peak, other.peak, where=higher)
        np.copyto(self.position, other.position, where=higher)


@dataclass
class Changes:
    """Squares of changes from frame to frame.

    Attributes
    ----------
    first, last : numpy.ndarray
        First and last frame so far.
    low, high : numpy.ndarray
        Sum of squares of integer samples; high limb for 32 bits.
    sums : OpenLeaf or None
        Of the changes of float samples.
    frames : int
        Frames so far.
    """

    first: NDArray[Any]
    last: NDArray[Any]
    low: NDArray[np.uint64]
    high: NDArray[np.uint64]
    sums: OpenLeaf | None = None
    frames: int = 0

    @classmethod
    def new(cls, shape: tuple[int, int], dtype: np.dtype[Any]) -> Changes:
        """Nothing yet."""
        ends = np.zeros(shape, dtype), np.zeros(shape, dtype)
        if dtype.kind == "f":
            return cls(*ends, np.zeros((0, 0), np.uint64), np.zeros((0, 0), np.uint64), OpenLeaf.empty(shape))
        return cls(*ends, np.zeros(shape, np.uint64), np.zeros(shape, np.uint64))

    def add(self, block: NDArray[Any], first_frame: int, y: slice, x: slice) -> None:  # noqa: ARG002
        """See `Track`."""
        if not self.frames:
            self.first[y, x] = block[0]
        last = self.last[y, x] if self.frames else block[0].copy()
        if self.sums is not None:
            before = np.concatenate([last[None], block[:-1]])
            with np.errstate(invalid="ignore", over="ignore"):
                steps = block.astype(np.float64) - before
            add_float(steps if self.frames else steps[1:], (y.start, x.start), *self.sums)
        else:
            self._add_squares(block, last, y, x)
        self.last[y, x] = block[-1]

    def advance(self, first_frame: int, frames: int) -> None:  # noqa: ARG002
        """See `Track`."""
        self.frames += frames

    def copy(self) -> Changes:
        """See `Track`."""
        sums = None if self.sums is None else self.sums.copied()
        return Changes(
            self.first.copy(), self.last.copy(), self.low.copy(), self.high.copy(), sums, self.frames
        )

    def merge(self, other: Changes) -> None:
        """See `Track`."""
        if not self.frames:
            self.first[:] = other.first
        else:
            everything = slice(None)
            self._add_squares(other.first[None], self.last, everything, everything)
        self.low += other.low
        self.high += other.high
        self.high += self.low < other.low
        self.last[:] = other.last
        self.frames += other.frames

    def samples(self) -> tuple[Any, NDArray[np.float64]]:
        """Return number of changes and their squared deviations from the mean change."""
        if self.sums is not None:
            return self.sums.number, self.sums.closed().squares
        count = np.int64(self.frames - 1)
        total = self.last.astype(np.int64) - self.first.astype(np.int64)
        return count, spread(count, total, self.high, self.low)

    def _add_squares(self, block: NDArray[Any], last: NDArray[Any], y: slice, x: slice) -> None:
        if block.dtype.itemsize <= 2:
            add_changes(block, last, self.low[y, x])
        else:
            add_changes_wide(block, last, self.high[y, x], self.low[y, x])


@dataclass
class Cubes:
    """Third powers: 128-bit sums of integer samples, or count, mean, squared and cubed deviations of float samples."""

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    sums: tuple[NDArray[Any], ...] = field(default=())

    @classmethod
    def new(cls, shape: tuple[int, int], dtype: np.dtype[Any]) -> Cubes:
        """Nothing yet."""
        if dtype.kind == "f":
            sums = (np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape), np.zeros(shape))
            return cls(np.zeros((0, 0), np.uint64), np.zeros((0, 0), np.uint64), sums)
        return cls(np.zeros(shape, np.uint64), np.zeros(shape, np.uint64))

    def add(self, block: NDArray[Any], first_frame: int, y: slice, x: slice) -> None:  # noqa: ARG002
        """See `Track`."""
        if self.sums:
            add_cubes_float(block, *(image[y, x] for image in self.sums))
        else:
            add_cubes(block, self.high[y, x], self.low[y, x])

    def advance(self, first_frame: int, frames: int) -> None:
        """See `Track`."""

    def copy(self) -> Cubes:
        """See `Track`."""
        return Cubes(self.high.copy(), self.low.copy(), tuple(image.copy() for image in self.sums))

    def merge(self, other: Cubes) -> None:
        """See `Track`."""
        self.low += other.low
        self.high += other.high
        self.high += self.low < other.low
