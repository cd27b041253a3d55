"""What else a pixel did over time: its highest frame, its change from frame to frame, its third powers."""

from __future__ import annotations

import numpy as np

from roitrace.kernels.compiled import compiled
from roitrace.kernels.exact128 import add, as_float, multiply, negate, product

__all__ = ["add_changes", "add_changes_wide", "add_cubes", "add_cubes_float", "add_peaks", "third_moment"]

_FRAMES_AT_ONCE = 16384


@compiled()
def add_peaks(block, first_frame, peak, position):  # type: ignore[no-untyped-def]
    """Keep the largest sample of every pixel and its frame, the first one if there are several; NaN are passed over.

    `position` is -1 where there was no sample yet.
    """
    frames, height, width = block.shape
    for frame in range(frames):
        for y in range(height):
            for x in range(width):
                value = block[frame, y, x]
                if value > peak[y, x] or (position[y, x] < 0 and value == value):  # noqa: PLR0124
                    peak[y, x] = value
                    position[y, x] = first_frame + frame


@compiled()
def add_changes(block, last, squares):  # type: ignore[no-untyped-def]
    """Add squares of changes of 8- or 16-bit samples, from `last` (y, x) on, to `squares` (uint64)."""
    frames, height, width = block.shape
    for y in range(height):
        total = squares[y]
        before = last[y]
        for frame in range(frames):
            row = block[frame, y]
            for x in range(width):
                step = np.int64(row[x]) - np.int64(before[x])
                total[x] += np.uint64(step * step)
            before = row


@compiled()
def add_changes_wide(block, last, high, low):  # type: ignore[no-untyped-def]
    """Add squares of changes of 32-bit samples, from `last` (y, x) on, to a pair of uint64 limbs."""
    frames, height, width = block.shape
    for y in range(height):
        for x in range(width):
            before = np.int64(last[y, x])
            for frame in range(frames):
                value = np.int64(block[frame, y, x])
                more_high, more_low = product(value - before, value - before)
                high[y, x], low[y, x] = add(high[y, x], low[y, x], more_high, more_low)
                before = value


@compiled()
def add_cubes(block, high, low):  # type: ignore[no-untyped-def]
    """Add third powers of integer samples to 128-bit sums."""
    frames, height, width = block.shape
    narrow = block.itemsize <= 2
    for y in range(height):
        for x in range(width):
            total = np.int64(0)
            for frame in range(frames):
                value = np.int64(block[frame, y, x])
                if narrow:
                    total += value * value * value
                    if frame % _FRAMES_AT_ONCE != _FRAMES_AT_ONCE - 1 and frame != frames - 1:
                        continue
                    more_high, more_low = product(total, np.int64(1))
                    total = np.int64(0)
                else:
                    more_high, more_low = product(value, value)
                    more_high, more_low = multiply(more_high, more_low, value)
                high[y, x], low[y, x] = add(high[y, x], low[y, x], more_high, more_low)


@compiled()
def add_cubes_float(block, count, mean, squares, cubes):  # type: ignore[no-untyped-def]
    """Add float samples to sums of squared and cubed deviations from their mean, in order; NaN are passed over.

    Pebay (2008), Sandia report SAND2008-6212, equations 2.1.
    """
    frames, height, width = block.shape
    for frame in range(frames):
        for y in range(height):
            for x in range(width):
                value = np.float64(block[frame, y, x])
                if value == value:  # noqa: PLR0124
                    count[y, x] += 1
                    n = np.float64(count[y, x])
                    step = value - mean[y, x]
                    part = step / n
                    whole = step * part * (n - 1)
                    cubes[y, x] += whole * part * (n - 2) - 3 * part * squares[y, x]
                    squares[y, x] += whole
                    mean[y, x] += part


@compiled()
def third_moment(count, total, squares_high, squares_low, cubes_high, cubes_low):  # type: ignore[no-untyped-def]
    """Return sums of cubed deviations from the mean (y, x) from exact sums of powers.

    With c the integer nearest to the mean, sum (x - c)^3 is an exact integer; the rest is small.
    """
    out = np.empty(total.shape, np.float64)
    for y in range(total.shape[0]):
        for x in range(total.shape[1]):
            centre = np.int64(np.rint(np.float64(total[y, x]) / np.float64(count)))
            rest = total[y, x] - count * centre
            # sum (x - c)^2 = squares - c (total + rest); sum (x - c)^3 = cubes - 3 c sum (x - c)^2 - 3 c^2 rest - n c^3
            high, low = product(centre, total[y, x] + rest)
            high, low = negate(high, low)
            second_high, second_low = add(squares_high[y, x], squares_low[y, x], high, low)
            high, low = multiply(second_high, second_low, -3 * centre)
            third_high, third_low = add(cubes_high[y, x], cubes_low[y, x], high, low)
            high, low = product(centre, centre)
            high, low = multiply(high, low, -3 * rest - count * centre)
            third_high, third_low = add(third_high, third_low, high, low)
            step = np.float64(rest) / np.float64(count)
            second, third = as_float(second_high, second_low), as_float(third_high, third_low)
            out[y, x] = third - 3 * step * second + 3 * step * step * np.float64(rest) - count * step**3
    return out
