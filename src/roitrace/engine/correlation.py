"""Sums for the local correlation image, fed tile by tile; drift is taken off by the mean of every block of frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.kernels.neighbours import (
    PAIRS,
    add_products,
    add_products_float,
    add_products_wide,
    add_sums,
    covariances,
    deviations,
    fold_block,
    mean_correlation,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Correlation", "correlation_bytes", "period_parts"]


def period_parts(first_frame: int, frames: int, period: int) -> list[tuple[int, slice]]:
    """Split frames at whole multiples of a period, 0 for none: number of the period and slice of the frames."""
    if period == 0:
        return [(0, slice(0, frames))]
    parts = []
    start = 0
    while start < frames:
        number, into = divmod(first_frame + start, period)
        stop = min(frames, start + period - into)
        parts.append((number, slice(start, stop)))
        start = stop
    return parts


class _Halo:
    """The last row and column of the tiles that came before, for one batch of frames."""

    def __init__(self) -> None:
        self._above: NDArray[Any] | None = None
        self._row: NDArray[Any] | None = None
        self._left: NDArray[Any] | None = None

    def pad(self, block: NDArray[Any], y: slice, x: slice, width: int) -> NDArray[Any]:
        """Put the row above and the column to the left around a tile; tiles come row by row."""
        frames, rows, columns = block.shape
        if x.start == 0:
            self._above, self._row = self._row, np.empty((frames, width), block.dtype)
        padded = np.zeros((frames, rows + 1, columns + 1), block.dtype)
        padded[:, 1:, 1:] = block
        if y.start > 0:
            assert self._above is not None
            padded[:, 0, 1:] = self._above[:, x]
            if x.start > 0:
                padded[:, 0, 0] = self._above[:, x.start - 1]
        if x.start > 0:
            padded[:, 1:, 0] = self._left
        assert self._row is not None
        self._row[:, x] = block[:, -1]
        self._left = block[:, :, -1].copy()
        return padded


@dataclass
class Correlation:
    """Sums of products of neighbouring pixels over some frames.

    Integer samples: exact sums, merged in any order. Float samples: one frame after the other, never merged.

    Attributes
    ----------
    period : int
        Frames after which the mean that is subtracted starts anew, counted from frame 0; 0 for never.
    products : numpy.ndarray
        Sums over all frames (pair, y, x): int64, or float64 of deviations; low limb of 32-bit samples.
    products_high : numpy.ndarray or None
        High limb of 32-bit samples.
    folded_high, folded_low : numpy.ndarray or None
        Products of the sums over every whole block, of integer samples.
    blocks : dict
        Blocks that are not whole yet: number to (frames so far, sums).
    mean : numpy.ndarray or None
        Of the block so far, of float samples.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    period: int
    products: NDArray[Any] = field(init=False)
    products_high: NDArray[np.uint64] | None = None
    folded_high: NDArray[np.uint64] | None = None
    folded_low: NDArray[np.uint64] | None = None
    mean: NDArray[np.float64] | None = None
    frames: int = 0
    blocks: dict[int, tuple[int, NDArray[np.int64]]] = field(default_factory=dict)
    _halo: _Halo = field(default_factory=_Halo, repr=False)

    def __post_init__(self) -> None:
        images = (PAIRS, *self.shape)
        if self.dtype.kind == "f":
            self.products, self.mean = np.zeros(images), np.zeros(self.shape)
            return
        self.folded_high, self.folded_low = np.zeros(images, np.uint64), np.zeros(images, np.uint64)
        wide = self.dtype.itemsize == 4
        self.products = np.zeros(images, np.uint64 if wide else np.int64)
        if wide:
            self.products_high = np.zeros(images, np.uint64)

    def add(self, block: NDArray[Any], first_frame: int, y: slice, x: slice) -> None:
        """Add a tile ``(time, y, x)``; tiles of the same frames come row by row, then `advance`."""
        width = self.shape[1]
        if self.mean is not None:
            steps = np.empty(block.shape)
            for _, part in period_parts(first_frame, block.shape[0], self.period):
                before = first_frame + part.start
                deviations(
                    block[part], self.mean[y, x], before % self.period if self.period else before, steps[part]
                )
            padded = self._halo.pad(steps, y, x, width)
            add_products_float(padded, first_frame, self.period, self.products[:, y, x])
            return
        padded = self._halo.pad(block, y, x, width)
        if self.products_high is None:
            add_products(padded, self.products[:, y, x])
        else:
            add_products_wide(padded, self.products_high[:, y, x], self.products[:, y, x])
        assert self.folded_high is not None
        assert self.folded_low is not None
        for number, part in period_parts(first_frame, block.shape[0], self.period):
            if part.stop - part.start == self.period:
                sums = np.zeros(padded.shape[1:], np.int64)
                add_sums(padded[part], sums)
                fold_block(sums, self.folded_high[:, y, x], self.folded_low[:, y, x])
            else:
                _, sums = self.blocks.setdefault(number, (0, np.zeros(self.shape, np.int64)))
                add_sums(block[part], sums[y, x])

    def advance(self, first_frame: int, frames: int) -> None:
        """Note that all tiles of some frames were added."""
        self.frames += frames
        self._halo = _Halo()
        for number, part in period_parts(first_frame, frames, self.period):
            if number in self.blocks:
                so_far, sums = self.blocks[number]
                self._note(number, so_far + part.stop - part.start, sums)

    def copy(self) -> Correlation:
        """Return sums to go on from."""
        same = Correlation(self.shape, self.dtype, self.period, frames=self.frames)
        for name in ("products", "products_high", "folded_high", "folded_low", "mean"):
            image = getattr(self, name)
            setattr(same, name, None if image is None else image.copy())
        same.blocks = {number: (frames, sums.copy()) for number, (frames, sums) in self.blocks.items()}
        return same

    def merge(self, other: Correlation) -> None:
        """Add the sums over other frames, of integer samples; these are left as they were."""
        assert other.folded_high is not None
        assert other.folded_low is not None
        self.frames += other.frames
        if self.products_high is None:
            self.products += other.products
        else:
            assert other.products_high is not None
            _add_wide(self.products_high, self.products, other.products_high, other.products)
        _add_wide(self.folded_high, self.folded_low, other.folded_high, other.folded_low)
        for number, (frames, sums) in other.blocks.items():
            so_far, known = self.blocks.get(number, (0, np.int64(0)))
            self._note(number, so_far + frames, sums + known)

    def image(self) -> NDArray[np.float64]:
        """Return the local correlation (y, x)."""
        if self.mean is not None:
            return mean_correlation(self.products)
        high = self.products_high
        if high is None:
            high = np.where(self.products < 0, ~np.uint64(0), np.uint64(0))
        last_high, last_low = np.zeros_like(high), np.zeros_like(high)
        frames = 0
        for frames, sums in self.blocks.values():  # noqa: B007 - there is one at most: the last of the recording
            fold_block(_padded(sums), last_high, last_low)
        if self.period == 0:
            factors = (frames, 0, 1)
        else:
            factors = (frames * self.period, frames, self.period) if frames else (self.period, 1, 0)
        return mean_correlation(
            covariances(
                high,
                self.products.view(np.uint64),
                self.folded_high,
                self.folded_low,
                last_high,
                last_low,
                factors,
            )
        )

    def _note(self, number: int, frames: int, sums: NDArray[np.int64]) -> None:
        """Keep a block that is not whole, fold one that is."""
        if frames == self.period:
            assert self.folded_high is not None
            assert self.folded_low is not None
            fold_block(_padded(sums), self.folded_high, self.folded_low)
            self.blocks.pop(number, None)
        else:
            self.blocks[number] = (frames, sums)


def correlation_bytes(dtype: np.dtype[Any]) -> int:
    """Bytes per pixel that the sums take."""
    if dtype.kind == "f":
        return 8 * (PAIRS + 1)
    return 8 * (PAIRS * (4 if dtype.itemsize == 4 else 3) + 2)


def _padded(sums: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.pad(sums, ((1, 0), (1, 0)))


def _add_wide(
    high: NDArray[np.uint64] | None,
    low: NDArray[np.uint64] | None,
    more_high: NDArray[np.uint64],
    more_low: NDArray[np.uint64],
) -> None:
    assert high is not None
    assert low is not None
    low += more_low
    high += more_high
    high += low < more_low
