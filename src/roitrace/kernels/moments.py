"""Sums, squares and extremes of every pixel over time, from a block while it is in the cache."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["add_block", "add_float", "add_series", "add_squares_wide", "merge_float"]

STRIP = 512


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def add_block(block, corner, total, squares, minimum, maximum, wants):  # type: ignore[no-untyped-def]
    """Add a block ``(time, y, x)`` to images ``(y, x)`` at a corner, in one pass; the extremes pass over NaN samples.

    `wants` flags (total, squares, minimum, maximum); images that are not wanted are left alone. `total` (int64) and `squares` (uint64, of 8- or 16-bit
    samples: no recording is long enough to overflow it) are for integer samples. A strip of a row gathers in local arrays,
    which the compiler knows to be contiguous and apart, and each sample is fetched once.
    """
    frames, height, width = block.shape
    top, side = corner
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
                lowest[:size] = minimum[top + y, side + left : side + left + size]
            if wants[3]:
                highest[:size] = maximum[top + y, side + left : side + left + size]
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
                    total[top + y, side + left + k] += sums[k]
                if wants[1]:
                    squares[top + y, side + left + k] += np.uint64(powers[k])
                if wants[2]:
                    minimum[top + y, side + left + k] = lowest[k]
                if wants[3]:
                    maximum[top + y, side + left + k] = highest[k]


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def add_series(series, corner, total, squares, minimum, maximum, wants):  # type: ignore[no-untyped-def]
    """As `add_block`, for integer samples ``(y, x, time)`` whose time lies together."""
    height, width, _ = series.shape
    top, side = corner
    for y in range(height):
        for x in range(width):
            samples = series[y, x]
            if wants[0]:
                total[top + y, side + x] += _sum_of(samples)
            if wants[1]:
                squares[top + y, side + x] += np.uint64(_sum_of_squares(samples))
            if wants[2]:
                minimum[top + y, side + x] = min(minimum[top + y, side + x], _least_of(samples))
            if wants[3]:
                maximum[top + y, side + x] = max(maximum[top + y, side + x], _most_of(samples))


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _sum_of(samples):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for k in range(samples.size):
        total += np.int64(samples[k])
    return total


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _sum_of_squares(samples):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for k in range(samples.size):
        value = np.int64(samples[k])
        total += value * value
    return total


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _least_of(samples):  # type: ignore[no-untyped-def]
    least = samples[0]
    for k in range(samples.size):
        least = samples[k] if samples[k] < least else least
    return least


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _most_of(samples):  # type: ignore[no-untyped-def]
    most = samples[0]
    for k in range(samples.size):
        most = samples[k] if samples[k] > most else most
    return most


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
        lowest[k] = row[k] if row[k] < lowest[k] else lowest[k]


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _raise_row(highest, row):  # type: ignore[no-untyped-def]
    for k in range(row.size):
        highest[k] = row[k] if row[k] > highest[k] else highest[k]


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def add_squares_wide(block, corner, squares_high, squares_low):  # type: ignore[no-untyped-def]
    """Add squares of 32-bit samples to a pair of uint64 limbs, images ``(y, x)`` at a corner."""
    frames, height, width = block.shape
    top, side = corner
    for y in range(height):
        high, low = squares_high[top + y], squares_low[top + y]
        for frame in range(frames):
            for x in range(width):
                value = np.int64(block[frame, y, x])
                size = np.uint64(-value) if value < 0 else np.uint64(value)
                more = low[side + x] + size * size
                if more < low[side + x]:
                    high[side + x] += np.uint64(1)
                low[side + x] = more


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def add_float(block, corner, count, total, mean, squares):  # type: ignore[no-untyped-def]
    """Add float samples ``(time, y, x)`` of one leaf to images ``(y, x)`` at a corner, in order, passing over NaN.

    `mean` and `squares` (sum of squared deviations) follow Welford (1962), Technometrics 4:419.
    """
    frames, height, width = block.shape
    top, side = corner
    for frame in range(frames):
        for y in range(height):
            numbers, totals = count[top + y], total[top + y]
            means, powers = mean[top + y], squares[top + y]
            for x in range(width):
                value = np.float64(block[frame, y, x])
                if value == value:  # noqa: PLR0124
                    k = side + x
                    numbers[k] += 1
                    totals[k] += value
                    step = value - means[k]
                    means[k] += step / numbers[k]
                    powers[k] += step * (value - means[k])


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
