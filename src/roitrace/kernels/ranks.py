"""Samples of given rank per pixel: from whole columns in memory, or by counting digits of monotone integer keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.kernels.compiled import compiled
from roitrace.kernels.gather import transpose_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DIGITS", "count_digits", "pick_digits", "samples_of_keys", "select_narrow"]

DIGITS = 256
"""Values of a digit: keys are read eight bits at a time."""

_BINS = 2048
_PIXELS_AT_ONCE = 16


@compiled()
def select_narrow(matrix, ranks, out):  # type: ignore[no-untyped-def]
    """Write the samples of some ranks of every row of 8- or 16-bit integers (pixel, time) to `out` (pixel, rank).

    A row is counted in bins of a power of two; where a bin holds several values, those in it are counted again.
    """
    counts = np.zeros(_BINS, np.int64)
    again = np.zeros(_BINS, np.int64)
    for pixel in range(matrix.shape[0]):
        row = matrix[pixel]
        lowest, highest = row[0], row[0]
        for k in range(row.size):
            lowest = min(lowest, row[k])
            highest = max(highest, row[k])
        base = np.int64(lowest)
        shift = 0
        while (np.int64(highest) - base) >> shift >= _BINS:
            shift += 1
        used = ((np.int64(highest) - base) >> shift) + 1
        counts[:used] = 0
        again[:used] = 0
        half = row.size // 2
        # two tables, so that equal samples in a row do not wait for one another
        for k in range(half):
            counts[(np.int64(row[k]) - base) >> shift] += 1
            again[(np.int64(row[half + k]) - base) >> shift] += 1
        if row.size % 2:
            counts[(np.int64(row[row.size - 1]) - base) >> shift] += 1
        for k in range(used):
            counts[k] += again[k]
        counted = -1
        for number in range(ranks.size):
            left = ranks[number]
            position = 0
            while left >= counts[position]:
                left -= counts[position]
                position += 1
            if shift == 0:
                out[pixel, number] = base + position
                continue
            start = base + (np.int64(position) << shift)
            if counted != position:
                again[: 1 << shift] = 0
                for k in range(row.size):
                    inside = np.int64(row[k]) - start
                    if 0 <= inside < 1 << shift:
                        again[inside] += 1
                counted = position
            below = 0
            while left >= again[below]:
                left -= again[below]
                below += 1
            out[pixel, number] = start + below


def count_digits(
    block: NDArray[Any],
    prefix: NDArray[np.uint64] | None,
    shift: int,
    counts: NDArray[np.unsignedinteger],
    above: NDArray[np.uint64] | None,
) -> None:
    """Count the digit at bit `shift` of the keys of a block ``(time, y, x)`` that begin with a prefix; NaN have no key.

    Parameters
    ----------
    prefix : numpy.ndarray or None
        What the higher bits of a key must be (target, y, x); None to count all.
    counts : numpy.ndarray
        (target, y, x, digit); added to.
    above : numpy.ndarray or None
        Smallest key whose higher bits exceed the prefix (target, y, x); lowered.
    """
    width = 8 * block.dtype.itemsize
    bits = np.ascontiguousarray(block).view(f"u{block.dtype.itemsize}")
    kind = {"u": 0, "i": 1, "f": 2}[block.dtype.kind]
    infinite = int(np.array(np.inf, block.dtype).view(bits.dtype)) if kind == 2 else 0
    nothing = np.zeros((0, 0, 0), np.uint64)
    _count(
        bits,
        kind,
        np.uint64(1 << (width - 1)),
        np.uint64(infinite),
        nothing if prefix is None else prefix,
        np.uint64(shift),
        counts,
        nothing if above is None else above,
    )


@compiled()
def _count(bits, kind, sign, infinite, prefix, shift, counts, above):  # type: ignore[no-untyped-def]
    """Turn some pixels of a row at a time into series, which stay in the cache, and count one series after the other."""
    frames, height, width = bits.shape
    series = np.empty((_PIXELS_AT_ONCE, frames), bits.dtype)
    run = np.zeros((1, 4), np.int32)
    for y in range(height):
        for left in range(0, width, _PIXELS_AT_ONCE):
            size = min(_PIXELS_AT_ONCE, width - left)
            run[0, 1], run[0, 2], run[0, 3] = y, left, size
            transpose_rows(bits.reshape(-1), bits.shape, run, 0, 0, series.reshape(-1), frames, 0)
            if prefix.size == 0:
                _count_all(series, size, kind, sign, infinite, shift, counts[0, y, left : left + size])
                continue
            for target in range(prefix.shape[0]):
                heads, tables = prefix[target, y, left : left + size], counts[target, y, left : left + size]
                _count_beginning(series, kind, sign, infinite, heads, shift, tables)
                if above.size:
                    _nearest_above(
                        series, kind, sign, infinite, heads, shift, above[target, y, left : left + size]
                    )


@compiled(inline="always")
def _key(sample, kind, sign):  # type: ignore[no-untyped-def]
    """Return an integer that is ordered as the samples are."""
    key = np.uint64(sample)
    if kind == 1:
        return key ^ sign
    if kind == 2:
        return key ^ ((sign | (sign - np.uint64(1))) if key & sign else sign)
    return key


@compiled(inline="always")
def _is_nan(sample, sign, infinite):  # type: ignore[no-untyped-def]
    return np.uint64(sample) & ~sign > infinite


@compiled()
def _count_all(series, size, kind, sign, infinite, shift, counts):  # type: ignore[no-untyped-def]
    """Count the digits of some series; side by side, so that equal samples in a row do not wait for one another."""
    low = np.uint64(DIGITS - 1)
    for frame in range(series.shape[1]):
        for k in range(size):
            sample = series[k, frame]
            if kind == 2 and _is_nan(sample, sign, infinite):
                continue
            counts[k, (_key(sample, kind, sign) >> shift) & low] += np.uint32(1)


@compiled()
def _count_beginning(series, kind, sign, infinite, prefix, shift, counts):  # type: ignore[no-untyped-def]
    """Count the digits of the keys that begin with each pixel's prefix; without branches, which could not be foreseen."""
    low, eight = np.uint64(DIGITS - 1), np.uint64(8)
    for frame in range(series.shape[1]):
        for k in range(prefix.size):
            sample = series[k, frame]
            key = _key(sample, kind, sign)
            counted = (key >> shift) >> eight == prefix[k]
            if kind == 2:
                counted &= not _is_nan(sample, sign, infinite)
            counts[k, (key >> shift) & low] += np.uint32(counted)


@compiled()
def _nearest_above(series, kind, sign, infinite, prefix, shift, above):  # type: ignore[no-untyped-def]
    """Lower `above` to the smallest key of each pixel beyond its prefix."""
    nothing = ~np.uint64(0)
    for k in range(prefix.size):
        row, head, nearest = series[k], prefix[k], above[k]
        for frame in range(row.size):
            key = _key(row[frame], kind, sign)
            beyond = (key >> shift) >> np.uint64(8) > head
            if kind == 2:
                beyond &= not _is_nan(row[frame], sign, infinite)
            key = key if beyond else nothing
            nearest = key if key < nearest else nearest
        above[k] = nearest


@compiled()
def pick_digits(counts, ranks, prefix, above, following):  # type: ignore[no-untyped-def]
    """Go one digit down: replace `prefix` (target, pixel) by itself and the digit in which the sample of a rank lies.

    Parameters
    ----------
    counts : numpy.ndarray
        (target, pixel, digit), or one target for all.
    ranks : numpy.ndarray
        Rank within the prefix (target, pixel); replaced by the rank within the digit. Negative: nothing to find.
    above : numpy.ndarray
        Smallest key beyond the prefix (target, pixel); empty before the last digit.
    following : numpy.ndarray
        Written to on the last digit (target, pixel), empty before: the key of the next rank.
    """
    for target in range(ranks.shape[0]):
        table = min(target, counts.shape[0] - 1)
        for pixel in range(ranks.shape[1]):
            left = ranks[target, pixel]
            if left < 0:
                continue
            row = counts[table, pixel]
            digit = 0
            while left >= row[digit]:
                left -= row[digit]
                digit += 1
            head = prefix[target, pixel] << np.uint64(8)
            prefix[target, pixel] = head | np.uint64(digit)
            ranks[target, pixel] = left
            if following.size == 0:
                continue
            following[target, pixel] = head | np.uint64(digit)
            if left + 1 >= row[digit]:
                after = digit + 1
                while after < DIGITS and row[after] == 0:
                    after += 1
                if after < DIGITS:
                    following[target, pixel] = head | np.uint64(after)
                elif above.size and above[table, pixel] != ~np.uint64(0):
                    following[target, pixel] = above[table, pixel]


def samples_of_keys(keys: NDArray[np.uint64], dtype: np.dtype[Any]) -> NDArray[np.float64]:
    """Turn keys back into samples, as float64."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    bits = keys.astype(unsigned)
    sign = unsigned.type(1 << (8 * dtype.itemsize - 1))
    if dtype.kind == "i":
        bits = bits ^ sign
    elif dtype.kind == "f":
        bits = bits ^ np.where(bits & sign, sign, ~unsigned.type(0))
    return bits.view(dtype).astype(np.float64)
