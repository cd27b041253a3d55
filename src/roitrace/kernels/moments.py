"""Sums, squares and extremes of every pixel over time, from a block while it is in the cache."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["add_block", "add_float", "add_squares_wide", "merge_float"]

STRIP = 512


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def add_block(block, total, squares, minimum, maximum, wants):  # type: ignore[no-untyped-def]
    """Add a block ``(time, y, x)`` to images ``(y, x)``, in one pass; NaN samples are passed over by the extremes.

    `wants` flags (total, squares, minimum, maximum); images that are not wanted are left alone. `total` (int64) and `squares` (uint64, of 8- or 16-bit
    samples: no recording is long enough to overflow it) are for integer samples. A strip of a row gathers in local arrays,
    which the compiler knows to be contiguous and apart, and each sample is fetched once.
    """
    frames, height, width = block.shape
    sums = np.zeros(STRIP, np.int64)
    powers = np.zeros(STRIP, np.int64)
    lowest = np.zeros(STRIP, block.dtype)
    highest = np.zeros(STRIP, block.dtype)
    for y in range(height):
        for left in range(0, width, STRIP):
            size = min(STRIP, width - left)
            sums[:size] = 0
            powers[:size] = 0
            if wants[2]:
                lowest[:size] = minimum[y, left : left + size]
            if wants[3]:
                highest[:size] = maximum[y, left : left + size]
            for frame in range(frames):
                row = block[frame, y, left : left + size]
                if wants[0]:
                    _add_row(sums, row)
                if wants[1]:
                    _add_squared_row(powers, row)
                if wants[2]:
                    _lower_row(lowest, row)
                if wants[3]:
                    _raise_row(highest, row)
            for k in range(size):
                if wants[0]:
                    total[y, left + k] += sums[k]
                if wants[1]:
                    squares[y, left + k] += np.uint64(powers[k])
                if wants[2]:
                    minimum[y, left + k] = lowest[k]
                if wants[3]:
                    maximum[y, left + k] = highest[k]


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _add_row(sums, row):  # type: ignore[no-untyped-def]
    for k in range(row.size):
        sums[k] += np.int64(row[k])


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _add_squared_row(powers, row):  # type: ignore[no-untyped-def]
    for k in range(row.size):
        value = np.int64(row[k])
        powers[k] += value * value


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _lower_row(lowest, row):  # type: ignore[no-untyped-def]
    for k in range(row.size):
        lowest[k] = min(lowest[k], row[k])


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _raise_row(highest, row):  # type: ignore[no-untyped-def]
    for k in range(row.size):
        highest[k] = max(highest[k], row[k])


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
