"""Products of every pixel with its neighbours over time, and the local correlation image that follows from them.

Blocks are padded: their first row and column belong to the pixels above and to the left. Each 2 x 2 window with its lower right corner at
(y, x) gives five sums: of the corner with itself, with the pixel to the left, above, above left, and of left with above.
So every pair of neighbours is counted once, wherever tiles end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.kernels.compiled import compiled
from roitrace.kernels.exact128 import add, as_float, multiply, product

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "PAIRS",
    "add_products",
    "add_products_float",
    "add_products_wide",
    "add_samples",
    "add_sums",
    "covariances",
    "deviations",
    "fold_block",
    "mean_correlation",
]

PAIRS = 5
"""Sums per window: own square, left, above, above left, left with above."""

_STRIP = 256


@compiled()
def add_products(padded, sums):  # type: ignore[no-untyped-def]
    """Add the products of 8- or 16-bit samples ``(time, 1 + y, 1 + x)`` to `sums` (pair, y, x), int64."""
    frames, height, width = padded.shape
    part = np.zeros((PAIRS, _STRIP), np.int64)
    for y in range(1, height):
        for first in range(1, width, _STRIP):
            size = min(_STRIP, width - first)
            own, left, above, corner, across = part[0], part[1], part[2], part[3], part[4]
            part[:] = 0
            for frame in range(frames):
                here = padded[frame, y, first : first + size]
                before = padded[frame, y, first - 1 : first - 1 + size]
                up = padded[frame, y - 1, first : first + size]
                diagonal = padded[frame, y - 1, first - 1 : first - 1 + size]
                for k in range(size):
                    value = np.int64(here[k])
                    beside = np.int64(before[k])
                    over = np.int64(up[k])
                    own[k] += value * value
                    left[k] += value * beside
                    above[k] += value * over
                    corner[k] += value * np.int64(diagonal[k])
                    across[k] += beside * over
            for pair in range(PAIRS):
                for k in range(size):
                    sums[pair, y - 1, first - 1 + k] += part[pair, k]


@compiled()
def _add_to(high, low, pair, y, x, a, b):  # type: ignore[no-untyped-def]
    more_high, more_low = product(a, b)
    high[pair, y, x], low[pair, y, x] = add(high[pair, y, x], low[pair, y, x], more_high, more_low)


@compiled()
def add_products_wide(padded, high, low):  # type: ignore[no-untyped-def]
    """Add products of integers to 128-bit sums ``high, low`` (pair, y, x), uint64.

    `padded` is ``(time, 1 + y, 1 + x)``: samples of 32 bits, or sums of samples over a block of frames.
    """
    frames, height, width = padded.shape
    for frame in range(frames):
        for y in range(1, height):
            for x in range(1, width):
                value = np.int64(padded[frame, y, x])
                left = np.int64(padded[frame, y, x - 1])
                above = np.int64(padded[frame, y - 1, x])
                _add_to(high, low, 0, y - 1, x - 1, value, value)
                _add_to(high, low, 1, y - 1, x - 1, value, left)
                _add_to(high, low, 2, y - 1, x - 1, value, above)
                _add_to(high, low, 3, y - 1, x - 1, value, np.int64(padded[frame, y - 1, x - 1]))
                _add_to(high, low, 4, y - 1, x - 1, left, above)


@compiled()
def add_sums(block, total):  # type: ignore[no-untyped-def]
    """Add integer samples ``(time, y, x)`` to `total` (y, x), int64."""
    frames, height, width = block.shape
    for y in range(height):
        sums = total[y]
        for frame in range(frames):
            row = block[frame, y]
            for x in range(width):
                sums[x] += row[x]


@compiled()
def add_samples(block, total, count):  # type: ignore[no-untyped-def]
    """Add float samples ``(time, y, x)`` that are not NaN to `total` (y, x), float64, frame after frame, and count them."""
    frames, height, width = block.shape
    for y in range(height):
        for frame in range(frames):
            for x in range(width):
                value = np.float64(block[frame, y, x])
                if value == value:  # noqa: PLR0124 - not NaN
                    total[y, x] += value
                    count[y, x] += 1


def fold_block(padded_sums: NDArray[np.int64], high: NDArray[np.uint64], low: NDArray[np.uint64]) -> None:
    """Add the products of the sums ``(1 + y, 1 + x)`` over a whole block of frames."""
    add_products_wide(padded_sums[None], high, low)


@compiled()
def covariances(high, low, folded_high, folded_low, last_high, last_low, factors):  # type: ignore[no-untyped-def]
    """Return ``a products - b folded - c last`` as float64 (pair, y, x), exact but for one rounding.

    With `factors` (a, b, c) these are sums of products of deviations from block means, times a number that is the same for
    all pairs.
    """
    out = np.empty(high.shape, np.float64)
    for pair in range(high.shape[0]):
        for y in range(high.shape[1]):
            for x in range(high.shape[2]):
                total_high, total_low = multiply(high[pair, y, x], low[pair, y, x], factors[0])
                more_high, more_low = multiply(folded_high[pair, y, x], folded_low[pair, y, x], -factors[1])
                total_high, total_low = add(total_high, total_low, more_high, more_low)
                more_high, more_low = multiply(last_high[pair, y, x], last_low[pair, y, x], -factors[2])
                total_high, total_low = add(total_high, total_low, more_high, more_low)
                out[pair, y, x] = as_float(total_high, total_low)
    return out


@compiled()
def deviations(block, mean, before, out):  # type: ignore[no-untyped-def]
    """Write the distance of every sample from the mean of those before it, and go on with the means.

    Parameters
    ----------
    block : numpy.ndarray
        Float samples ``(time, y, x)``.
    mean : numpy.ndarray
        Mean of the `before` frames before these (y, x); replaced.
    out : numpy.ndarray
        Deviations ``(time, y, x)``, float64.
    """
    frames, height, width = block.shape
    for frame in range(frames):
        count = np.float64(before + frame + 1)
        for y in range(height):
            for x in range(width):
                start = mean[y, x] if before + frame > 0 else 0.0
                step = np.float64(block[frame, y, x]) - start
                out[frame, y, x] = step
                mean[y, x] = start + step / count


@compiled()
def add_products_float(padded, before, period, sums):  # type: ignore[no-untyped-def]
    """Add the products of `deviations` ``(time, 1 + y, 1 + x)`` to `sums` (pair, y, x), frame after frame.

    Welford (1962): a deviation from the mean of k samples counts k / (k + 1). `before` frames came before; the mean starts
    anew every `period` frames (0: never).
    """
    frames, height, width = padded.shape
    for frame in range(frames):
        count = before + frame if period == 0 else (before + frame) % period
        weight = count / (count + 1.0)
        if weight == 0:
            continue
        for y in range(1, height):
            for x in range(1, width):
                value = padded[frame, y, x] * weight
                left = padded[frame, y, x - 1]
                above = padded[frame, y - 1, x]
                sums[0, y - 1, x - 1] += value * padded[frame, y, x]
                sums[1, y - 1, x - 1] += value * left
                sums[2, y - 1, x - 1] += value * above
                sums[3, y - 1, x - 1] += value * padded[frame, y - 1, x - 1]
                sums[4, y - 1, x - 1] += (left * weight) * above


def mean_correlation(sums: NDArray[np.float64]) -> NDArray[Any]:
    """Return the mean of Pearson's r with the neighbours that vary, (y, x), from covariances (pair, y, x).

    NaN where a pixel, or all its neighbours, are constant.
    """
    deviation = np.sqrt(np.where(sums[0] > 0, sums[0], np.nan))
    total, count = np.zeros(deviation.shape), np.zeros(deviation.shape)
    inner, before = slice(1, None), slice(None, -1)
    everything = slice(None)
    windows = (
        (1, (everything, inner), (everything, before), (everything, inner)),
        (2, (inner, everything), (before, everything), (inner, everything)),
        (3, (inner, inner), (before, before), (inner, inner)),
        (4, (inner, before), (before, inner), (inner, inner)),
    )
    for pair, one, other, window in windows:
        r = np.clip(sums[pair][window] / (deviation[one] * deviation[other]), -1, 1)
        varies = ~np.isnan(r)
        for pixels in (one, other):
            total[pixels] += np.where(varies, r, 0.0)
            count[pixels] += varies
    return np.where(count > 0, total, np.nan) / np.maximum(count, 1)
