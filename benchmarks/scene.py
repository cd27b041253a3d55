"""Frozen recordings and ROIs: the same samples and pixels for every release of NumPy.

Only the raw streams of bit generators are promised to stay; everything else is made of them here.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from roitrace.sources import BlockReader, BlockSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["FRAMES_AT_ONCE", "NoisyScene", "RoiPixels", "irregular_rois"]

FRAMES_AT_ONCE = 256
LEVEL = 230.0
GAIN = 4.0
DARK = 400
MOTION = 7


@dataclass(frozen=True)
class NoisyScene(BlockSource):
    """A still scene with detector noise, made frame by frame when it is read.

    The noise is normal with a variance proportional to the level, as that of many photons is. ``int16`` samples are
    shifted by a dark level, so that some are negative; ``float32`` samples are not rounded and hold NaN: a border that moves, as motion correction
    leaves it, and single samples.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    seed: int
    channel: int = 0
    chunks: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chunks", (min(FRAMES_AT_ONCE, self.shape[0]), *self.shape[1:]))

    def identity(self) -> str:
        """Return a digest of the content."""
        return f"scene {self.shape} {self.dtype} {self.seed} {self.channel}"

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Nothing is to be opened."""
        yield self

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        """Make a block ``(time, y, x)``."""
        height, width = y.stop - y.start, x.stop - x.start
        block = np.empty((time.stop - time.start, height, width), self.dtype)
        for number, frame in enumerate(range(time.start, time.stop)):
            block[number] = self.frame(frame)[y, x]
        return block

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the whole recording, some frames at a time."""
        for first in range(0, self.shape[0], FRAMES_AT_ONCE):
            last = min(first + FRAMES_AT_ONCE, self.shape[0])
            yield self.read(slice(first, last), slice(0, self.shape[1]), slice(0, self.shape[2]))

    def frame(self, number: int) -> NDArray[Any]:
        """Make one frame ``(y, x)``."""
        shape = self.shape[1:]
        level, spread = _level(shape)
        raw = _raw(shape[0] * shape[1], self.seed, self.channel, number).reshape(shape)
        samples = level + spread * _normal_quantiles()[raw]
        if self.dtype.kind == "f":
            samples[raw < 66] = np.nan
            samples[: number * 3 % MOTION] = np.nan
            samples[:, : number * 5 % MOTION] = np.nan
        else:
            np.rint(samples, out=samples)
            np.maximum(samples, 0, out=samples)
            if self.dtype.kind == "i":
                samples -= DARK
        return samples.astype(self.dtype)


@dataclass(frozen=True, eq=False)
class RoiPixels:
    """ROIs as plain lists.

    Attributes
    ----------
    pixels : list of numpy.ndarray
        One (n, 2) array of row and column per ROI, row-major.
    weights : list of numpy.ndarray
        One array (n,) per ROI, above 0.
    """

    pixels: list[NDArray[np.int64]]
    weights: list[NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.pixels)

    def digest(self) -> str:
        """Return what tells other pixels or weights apart."""
        digest = hashlib.sha256()
        for array in (*self.pixels, *self.weights):
            digest.update(array.tobytes())
        return digest.hexdigest()[:12]

    def first(self, count: int) -> RoiPixels:
        """Return the first few of them."""
        return RoiPixels(self.pixels[:count], self.weights[:count])

    def inside(self, y: slice, x: slice) -> NDArray[np.int64]:
        """Return the numbers of those that lie wholly in a part of the frame."""
        corner, end = np.array([y.start, x.start]), np.array([y.stop, x.stop])
        return np.flatnonzero([((one >= corner) & (one < end)).all() for one in self.pixels])


def irregular_rois(frame: tuple[int, int], count: int, seed: int) -> RoiPixels:
    """Scatter lobed discs of about 150 pixels over a frame; they overlap where they fall on each other."""
    draws = _uniform(8 * count, seed).reshape(count, 8)
    radius = np.sqrt((110 + 80 * draws[:, 0]) / np.pi)
    pixels, weights = [], []
    for number, draw in enumerate(draws):
        reach = int(np.ceil(1.5 * radius[number]))
        centre = [reach + draw[1 + axis] * (frame[axis] - 1 - 2 * reach) for axis in (0, 1)]
        rows, columns = (np.arange(int(c) - reach, int(c) + reach + 1) for c in centre)
        dy, dx = np.meshgrid(rows - centre[0], columns - centre[1], indexing="ij")
        angle = np.arctan2(dy, dx)
        lobes = (
            1
            + 0.25 * draw[3] * np.cos(2 * angle + 7 * draw[4])
            + 0.2 * draw[5] * np.cos(3 * angle + 7 * draw[6])
        )
        distance = np.hypot(dy, dx) / (radius[number] * lobes)
        inside = distance <= 1
        y, x = np.nonzero(
            inside & ((rows >= 0) & (rows < frame[0]))[:, None] & ((columns >= 0) & (columns < frame[1]))
        )
        pixels.append(np.stack([rows[y], columns[x]], axis=1).astype(np.int64))
        # of 32 bits, as other programs store footprints
        own = (1.25 - distance[y, x] * (0.5 + 0.5 * draw[7])).astype(np.float32)
        weights.append(own.astype(np.float64))
    return RoiPixels(pixels, weights)


@lru_cache(maxsize=8)
def _level(frame: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Level and spread of the samples, ``(y, x)``."""
    y = np.arange(frame[0])[:, None] / frame[0]
    x = np.arange(frame[1])[None, :] / frame[1]
    level = LEVEL * (1.2 + 0.4 * y + 0.3 * np.sin(7 * x) + 0.15 * np.sin(60 * y + 31 * x) * np.cos(55 * x))
    return level.astype(np.float32), np.sqrt(GAIN * level).astype(np.float32)


@lru_cache(maxsize=1)
def _normal_quantiles() -> NDArray[np.float32]:
    return np.asarray(ndtri((np.arange(2**16) + 0.5) / 2**16), dtype=np.float32)


def _raw(count: int, *seed: int) -> NDArray[np.uint16]:
    stream = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(-(-count // 4))
    return np.asarray(stream, dtype="<u8").view("<u2")[:count]


def _uniform(count: int, *seed: int) -> NDArray[np.float64]:
    stream = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(count)
    return np.asarray(stream >> np.uint64(11), dtype=np.float64) * 2.0**-53
