"""Sums, squares and extremes of every pixel over time, from a block while it is in the cache."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["add_extremes", "add_float", "add_squares", "add_squares_wide", "add_sums", "merge_float"]

STRIP = 512
LEAF = 256


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def add_sums(block, total):  # type: ignore[no-untyped-def]
    """Add integer samples ``(time, y, x)`` to `total` (int64, (y, x))."""
    frames, height, width = block.shape
    part = np.zeros(STRIP, np.int64)
    for y in range(height):
        for left in range(0, width, STRIP):
            size = min(STRIP, width - left)
            part[:size] = 0
            for frame in range(frames):
                row = block[frame, y, left : left + size]
                for k in range(size):
                    part[k] += row[k]
            for k in range(size):
                total[y, left + k] += part[k]


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def add_squares(block, squares_low):  # type: ignore[no-untyped-def]
    """Add squares of 8- or 16-bit samples to `squares_low` (uint64); no recording is long enough to overflow it."""
    frames, height, width = block.shape
    part = np.zeros(STRIP, np.int64)
    for y in range(height):
        for left in range(0, width, STRIP):
            size = min(STRIP, width - left)
            part[:size] = 0
            for frame in range(frames):
                row = block[frame, y, left : left + size]
                for k in range(size):
                    value = np.int64(row[k])
                    part[k] += value * value
            for k in range(size):
                squares_low[y, left + k] += np.uint64(part[k])


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def add_squares_wide(block, squares_high, squares_low):  # type: ignore[no-untyped-def]
    """Add squares of 32-bit samples to a pair of uint64 limbs."""
    frames, height, width = block.shape
    for y in range(height):
        for frame in range(frames):
            for x in range(width):
                value = np.int64(block[frame, y, x])
                size = np.uint64(-value) if value < 0 else np.uint64(value)
                low = squares_low[y, x] + size * size
                if low < squares_low[y, x]:
                    squares_high[y, x] += np.uint64(1)
                squares_low[y, x] = low


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def add_extremes(block, minimum, maximum, with_minimum, with_maximum):  # type: ignore[no-untyped-def]
    """Lower `minimum` and raise `maximum` to the samples of a block; NaN samples are passed over."""
    frames, height, width = block.shape
    for y in range(height):
        for left in range(0, width, STRIP):
            size = min(STRIP, width - left)
            if with_minimum:
                lowest = minimum[y, left : left + size]
                for frame in range(frames):
                    row = block[frame, y, left : left + size]
                    for k in range(size):
                        lowest[k] = row[k] if row[k] < lowest[k] else lowest[k]
            if with_maximum:
                highest = maximum[y, left : left + size]
                for frame in range(frames):
                    row = block[frame, y, left : left + size]
                    for k in range(size):
                        highest[k] = row[k] if row[k] > highest[k] else highest[k]


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def add_float(block, count, total, mean, squares):  # type: ignore[no-untyped-def]
    """Add float samples ``(time, y, x)`` of one leaf, in order; NaN samples are passed over.

    `mean` and `squares` (sum of squared deviations) follow Welford (1962), Technometrics 4:419.
    """
    frames, height, width = block.shape
    for frame in range(frames):
        for y in range(height):
            for x in range(width):
                value = np.float64(block[frame, y, x])
                if value == value:  # noqa: PLR0124
                    count[y, x] += 1
                    total[y, x] += value
                    step = value - mean[y, x]
                    mean[y, x] += step / count[y, x]
                    squares[y, x] += step * (value - mean[y, x])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def merge_float(count, total, mean, squares, more_count, more_total, more_mean, more_squares):  # type: ignore[no-untyped-def]
    """Merge the second group of samples into the first, per pixel (flat arrays).

    Chan, Golub, LeVeque (1983), The American Statistician 37:242.
    """
    for k in range(count.size):
        more = more_count[k]
        if more == 0:
            continue
        both = count[k] + more
        step = more_mean[k] - mean[k]
        mean[k] += step * (more / both)
        squares[k] += more_squares[k] + step * step * (count[k] * (more / both))
        total[k] += more_total[k]
        count[k] = both
