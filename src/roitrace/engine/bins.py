"""Sums over time of the means of bins of frames, fed frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from roitrace.engine.correlation import period_parts
from roitrace.kernels.neighbours import add_samples, add_sums

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Binned", "bin_bytes", "bin_dtype", "merges_bins"]


class Sums(Protocol):
    """What adds up bins: `roitrace.engine.moments.Moments`."""

    def add(self, block: NDArray[Any], first_frame: int, y: slice, x: slice) -> None:
        """Add a tile of bins ``(bin, y, x)``."""

    def advance(self, first_frame: int, frames: int) -> None:
        """Note that all tiles of some bins were added."""


AnySums = TypeVar("AnySums", bound=Sums)


def bin_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which bins are added up: exact sums of 32 bits for samples of up to 16, float64 for the others.

    Those of integers of 32 bits are exact sums too: below 2**53.
    """
    if dtype.kind == "f" or dtype.itemsize == 4:
        return np.dtype(np.float64)
    return np.dtype(np.uint32 if dtype.kind == "u" else np.int32)


def merges_bins(dtype: np.dtype[Any]) -> bool:
    """Whether bins may be added up in any order."""
    return bin_dtype(dtype).kind != "f"


def bin_bytes(dtype: np.dtype[Any]) -> int:
    """Bytes per pixel of the bins that are not whole: the first and the last of a slab."""
    return 2 * (8 + (4 if dtype.kind == "f" else 0))


class Binned(Generic[AnySums]):
    """Bins of so many frames, counted from frame 0: their sums (of integers) or means (of float samples) are added up.

    Attributes
    ----------
    frames : int
        Frames of a bin; what is left at the end is no bin.
    sums : Moments
        Of whole bins.
    partial : dict
        Bins that are not whole yet: number to (frames so far, totals, counts of float samples).
    """

    def __init__(self, shape: tuple[int, int], dtype: np.dtype[Any], frames: int, sums: AnySums) -> None:
        self.frames = frames
        self.sums = sums
        self.partial: dict[int, tuple[int, NDArray[Any], NDArray[np.int32]]] = {}
        self._shape = shape
        self._dtype = dtype

    def add(self, block: NDArray[Any], first_frame: int, y: slice, x: slice) -> None:
        """Add a tile ``(time, y, x)``; tiles of the same frames come row by row, then `advance`."""
        done = []
        for number, part in period_parts(first_frame, block.shape[0], self.frames):
            whole = part.stop - part.start == self.frames
            if whole:
                _, total, count = self._empty((y.stop - y.start, x.stop - x.start))
            else:
                _, *images = self.partial.setdefault(number, self._empty(self._shape))
                total, count = (image[y, x] if image.size else image for image in images)
            if self._dtype.kind == "f":
                add_samples(block[part], total, count)
            else:
                add_sums(block[part], total)
            if whole or self._completes(number, part):
                done.append(self._finished(total, count))
        if done:
            self.sums.add(np.stack(done), self._first_done(first_frame), y, x)

    def advance(self, first_frame: int, frames: int) -> None:
        """Note that all tiles of some frames were added."""
        done, first_done = 0, self._first_done(first_frame)
        for number, part in period_parts(first_frame, frames, self.frames):
            if part.stop - part.start == self.frames:
                done += 1
            elif self._completes(number, part):
                del self.partial[number]
                done += 1
            else:
                so_far, total, count = self.partial[number]
                self.partial[number] = (so_far + part.stop - part.start, total, count)
        if done:
            self.sums.advance(first_done, done)

    def copy(self, copy_sums: Callable[[AnySums], AnySums]) -> Binned[AnySums]:
        """Return bins to go on from."""
        same = Binned(self._shape, self._dtype, self.frames, copy_sums(self.sums))
        same.partial = {
            number: (frames, total.copy(), count.copy())
            for number, (frames, total, count) in self.partial.items()
        }
        return same

    def merge(self, other: Binned[AnySums], merge_sums: Callable[[AnySums, AnySums], AnySums]) -> None:
        """Add bins of other frames, of integer samples of up to 16 bits; these are left as they were."""
        self.sums = merge_sums(self.sums, other.sums)
        height, width = self._shape
        for number, (frames, total, count) in other.partial.items():
            so_far, known, _ = self.partial.pop(number, self._empty(self._shape))
            if so_far + frames < self.frames:
                self.partial[number] = (so_far + frames, known + total, count)
                continue
            self.sums.add(
                self._finished(known + total, count)[None], number, slice(0, height), slice(0, width)
            )
            self.sums.advance(number, 1)

    def _empty(self, shape: tuple[int, int]) -> tuple[int, NDArray[Any], NDArray[np.int32]]:
        is_float = self._dtype.kind == "f"
        return (
            0,
            np.zeros(shape, np.float64 if is_float else np.int64),
            np.zeros(shape if is_float else (0, 0), np.int32),
        )

    def _completes(self, number: int, part: slice) -> bool:
        so_far = self.partial[number][0] if number in self.partial else 0
        return bool(so_far + part.stop - part.start == self.frames)

    def _first_done(self, first_frame: int) -> int:
        """Return the number of the first bin that frames from here on complete."""
        number, into = divmod(first_frame, self.frames)
        begun = into == 0 or self.partial.get(number, (0,))[0] == into
        return number if begun else number + 1

    def _finished(self, total: NDArray[Any], count: NDArray[np.int32]) -> NDArray[Any]:
        if self._dtype.kind == "f":
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.where(count > 0, total / count, np.nan)
        return total.astype(bin_dtype(self._dtype))
