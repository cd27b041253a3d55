"""Sums, squares and extremes of every pixel over time, from a block while it is in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from roitrace.kernels.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["add_block", "add_float", "add_series", "add_squares_wide", "close_float", "merge_float"]

STRIP = 512
FRAMES_IN_32_BITS = 2**15


def add_block(
    block: NDArray[np.generic],
    corner: tuple[int, int],
    total: NDArray[np.int64],
    squares: NDArray[np.uint64],
    minimum: NDArray[np.generic],
    maximum: NDArray[np.generic],
    wants: NDArray[np.bool_],
) -> None:
    """Add a contiguous block ``(time, y, x)`` to images ``(y, x)`` at a corner, in one pass; the extremes pass over NaN samples.

    `wants` flags (total, squares, minimum, maximum); images that are not wanted are left alone. `total` (int64) and `squares`
    (uint64, of 8- or 16-bit samples: no recording is long enough to overflow it) are for integer samples.
    """
    narrow = block.dtype.itemsize <= 2
    sums = np.zeros(STRIP, np.int32 if narrow else np.int64)
    for first in range(0, block.shape[0], FRAMES_IN_32_BITS):
        part = block[first : first + FRAMES_IN_32_BITS]
        _add_block(part, corner, sums, total, squares, minimum, maximum, wants)


@compiled()
def _add_block(block, corner, sums, total, squares, minimum, maximum, wants):  # type: ignore[no-untyped-def]
    """Add strips of the flattened frame in local arrays that stay in the first-level cache, four frames at a time.

    `sums` is a strip of integers that cannot overflow in as many frames; it is overwritten.
    """
    frames, height, width = block.shape
    rows = block.reshape(frames, height * width)
    top, side = corner
    powers = np.zeros(STRIP, np.int64)
    lowest = np.zeros(STRIP, block.dtype)
    highest = np.zeros(STRIP, block.dtype)
    for left in range(0, height * width, STRIP):
        right = min(left + STRIP, height * width)
        first, last = left // width, (right - 1) // width
        size = right - left
        sums[:size] = 0
        powers[:size] = 0
        for y in range(first, last + 1):
            x, stop = max(left - y * width, 0), min(right - y * width, width)
            begin, end = y * width + x - left, y * width + stop - left
            if wants[2]:
                lowest[begin:end] = minimum[top + y, side + x : side + stop]
            if wants[3]:
                highest[begin:end] = maximum[top + y, side + x : side + stop]
        frame = 0
        while frame < frames:
            step = 4 if frame + 4 <= frames else 1
            a = rows[frame, left:right]
            b, c, d = a, a, a
            if step == 4:
                b, c, d = (
                    rows[frame + 1, left:right],
                    rows[frame + 2, left:right],
                    rows[frame + 3, left:right],
                )
            if wants[0]:
                _add_rows(sums, step, a, b, c, d)
            if wants[1]:
                _add_squared_rows(powers, step, a, b, c, d)
            if wants[2]:
                _lower_by_rows(lowest, a, b, c, d)
            if wants[3]:
                _raise_by_rows(highest, a, b, c, d)
            frame += step
        for y in range(first, last + 1):
            x, stop = max(left - y * width, 0), min(right - y * width, width)
            begin, end = y * width + x - left, y * width + stop - left
            if wants[0]:
                _add_to(total[top + y, side + x : side + stop], sums[begin:end])
            if wants[1]:
                _add_to(squares[top + y, side + x : side + stop], powers[begin:end])
            if wants[2]:
                minimum[top + y, side + x : side + stop] = lowest[begin:end]
            if wants[3]:
                maximum[top + y, side + x : side + stop] = highest[begin:end]


@compiled()
def _add_rows(sums, step, a, b, c, d):  # type: ignore[no-untyped-def]
    """Add four rows of integers, or the first alone."""
    if step == 1:
        for k in range(a.size):
            sums[k] += np.int64(a[k])
        return
    for k in range(a.size):
        sums[k] += (np.int64(a[k]) + np.int64(b[k])) + (np.int64(c[k]) + np.int64(d[k]))


@compiled()
def _add_squared_rows(powers, step, a, b, c, d):  # type: ignore[no-untyped-def]
    if step == 1:
        for k in range(a.size):
            powers[k] += np.int64(a[k]) * np.int64(a[k])
        return
    for k in range(a.size):
        one, two, three, four = np.int64(a[k]), np.int64(b[k]), np.int64(c[k]), np.int64(d[k])
        powers[k] += (one * one + two * two) + (three * three + four * four)


@compiled()
def _lower_by_rows(lowest, a, b, c, d):  # type: ignore[no-untyped-def]
    """Lower by four rows, one after another: a NaN is less than nothing and falls away."""
    for k in range(a.size):
        least = a[k] if a[k] < lowest[k] else lowest[k]
        least = b[k] if b[k] < least else least
        least = c[k] if c[k] < least else least
        lowest[k] = d[k] if d[k] < least else least


@compiled()
def _raise_by_rows(highest, a, b, c, d):  # type: ignore[no-untyped-def]
    for k in range(a.size):
        most = a[k] if a[k] > highest[k] else highest[k]
        most = b[k] if b[k] > most else most
        most = c[k] if c[k] > most else most
        highest[k] = d[k] if d[k] > most else most


@compiled()
def _add_to(image, strip):  # type: ignore[no-untyped-def]
    for k in range(strip.size):
        image[k] += strip[k]


@compiled()
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


@compiled()
def _sum_of(samples):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for k in range(samples.size):
        total += np.int64(samples[k])
    return total


@compiled()
def _sum_of_squares(samples):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for k in range(samples.size):
        value = np.int64(samples[k])
        total += value * value
    return total


@compiled()
def _least_of(samples):  # type: ignore[no-untyped-def]
    least = samples[0]
    for k in range(samples.size):
        least = samples[k] if samples[k] < least else least
    return least


@compiled()
def _most_of(samples):  # type: ignore[no-untyped-def]
    most = samples[0]
    for k in range(samples.size):
        most = samples[k] if samples[k] > most else most
    return most


@compiled()
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


@compiled()
def add_float(block, corner, count, total, origin, steps, squares):  # type: ignore[no-untyped-def]
    """Add float samples ``(time, y, x)`` of one leaf to images ``(y, x)`` at a corner, in order, passing over NaN.

    `origin` is the first valid sample of each pixel in the leaf, `steps` and `squares` are sums of differences from it and of their squares:
    as accurate as the spread of the leaf, without a division for each sample.
    """
    frames, height, width = block.shape
    top, side = corner
    for y in range(height):
        for left in range(0, width, STRIP):
            first, last = side + left, side + min(left + STRIP, width)
            number, sums = count[top + y, first:last].copy(), total[top + y, first:last].copy()
            start, step = origin[top + y, first:last].copy(), steps[top + y, first:last].copy()
            power = squares[top + y, first:last].copy()
            for frame in range(frames):
                _add_float_row(block[frame, y, left : left + last - first], number, sums, start, step, power)
            count[top + y, first:last] = number
            total[top + y, first:last] = sums
            origin[top + y, first:last] = start
            steps[top + y, first:last] = step
            squares[top + y, first:last] = power


@compiled()
def _add_float_row(row, number, total, origin, steps, squares):  # type: ignore[no-untyped-def]
    for k in range(row.size):
        value = np.float64(row[k])
        valid = value == value  # noqa: PLR0124
        origin[k] = value if valid and number[k] == 0 else origin[k]
        step = value - origin[k] if valid else 0.0
        number[k] += 1 if valid else 0
        total[k] += value if valid else 0.0
        steps[k] += step
        squares[k] += step * step


@compiled()
def close_float(count, origin, steps, squares):  # type: ignore[no-untyped-def]
    """Turn sums of steps from an origin into the mean and the squared deviations from it, in place in `origin` and `squares` (flat arrays)."""
    for k in range(count.size):
        if count[k] == 0:
            continue
        origin[k] += steps[k] / count[k]
        rest = squares[k] - steps[k] * (steps[k] / count[k])
        squares[k] = 0.0 if rest < 0 else rest


@compiled()
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
