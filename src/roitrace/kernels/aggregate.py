"""One number per ROI, frame and statistic, from the pixel matrix ``(entry, time)``.

A ROI's rows are taken 64 frames (lanes) at a time into a scratch array that stays in the cache, and everything asked for is
computed there. Lanes never mix, entries are always met in canonical order, so no result depends on how time was cut.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numba
import numpy as np

from roitrace.kernels.exact import quotient

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "LANES",
    "NETWORK_LIMIT",
    "aggregate_float",
    "aggregate_integer",
    "order_sorted_float",
    "order_sorted_integer",
    "sorting_network",
]

LANES = 64
LEAF_ENTRIES = 256
NETWORK_LIMIT = 1024
"""ROIs with more pixels are sorted frame by frame instead of by a network over lanes."""


@lru_cache(maxsize=4096)
def sorting_network(size: int) -> NDArray[np.int32]:
    """Return the comparators (n, 2) of Batcher's odd-even merge sort for `size` inputs.

    Batcher (1968), AFIPS 32:307; comparators that reach beyond `size` fall away.
    """
    pairs = []
    p = 1
    while p < size:
        k = p
        while k >= 1:
            for j in range(k % p, size - k, 2 * k):
                for i in range(min(k, size - j - k)):
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p):
                        pairs.append((i + j, i + j + k))
            k //= 2
        p *= 2
    return np.asarray(pairs, dtype=np.int32).reshape(-1, 2)


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _sort_lanes(scratch, pairs):  # type: ignore[no-untyped-def]
    for number in range(pairs.shape[0]):
        low, high = pairs[number, 0], pairs[number, 1]
        for lane in range(LANES):
            a = scratch[low, lane]
            b = scratch[high, lane]
            scratch[low, lane] = min(a, b)
            scratch[high, lane] = max(a, b)


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _order_integer(scratch, lanes, table, orders, out, roi, column):  # type: ignore[no-untyped-def]
    """Evaluate every order statistic of one ROI on sorted lanes; see `OrderTables` for the arrays."""
    kind, span, segments, denominator, low, high, gamma = orders
    for number in range(kind.size):
        if kind[number] == 0:
            for lane in range(lanes):
                total = np.int64(0)
                for k in range(span[table, number, 0], span[table, number, 1]):
                    part = np.int64(0)
                    for entry in range(segments[k, 0], segments[k, 1]):
                        part += np.int64(scratch[entry, lane])
                    total += part * segments[k, 2]
                out[number, roi, column + lane] = quotient(total, denominator[table, number])
        else:
            g = gamma[table, number]
            for lane in range(lanes):
                a = np.float64(scratch[low[table, number], lane])
                b = np.float64(scratch[high[table, number], lane])
                out[number, roi, column + lane] = _lerp(a, b, g)


@numba.njit(cache=True, nogil=True, inline="always")
def _lerp(a, b, g):  # type: ignore[no-untyped-def]
    """Interpolate as NumPy's linear percentile does, from the nearer end."""
    step = b - a
    value = b - step * (1.0 - g) if g >= 0.5 else a + step * g
    return a if step == 0 else value


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def aggregate_integer(  # type: ignore[no-untyped-def]
    matrix, frames, indptr, rois, networks, network_span, tables, orders, weights, wants, sums, spreads, lows, highs, weighted, out, column
):
    """Aggregate integer ROIs; exact sums, exact order statistics.

    `wants` flags (sum, spread, minimum, maximum, order). `networks`/`network_span` hold the comparators of each ROI; a ROI
    with an empty span is not ordered here. Results go to columns `column` and on.
    """
    largest = 0
    for roi in rois:
        largest = max(largest, indptr[roi + 1] - indptr[roi])
    scratch = np.zeros((largest, LANES), matrix.dtype)
    total = np.zeros(LANES, np.int64)
    square = np.zeros(LANES, np.float64)
    leaf = np.zeros(LANES, np.float64)
    for roi in rois:
        begin = indptr[roi]
        count = indptr[roi + 1] - begin
        if count == 0:
            continue
        for first in range(0, frames, LANES):
            lanes = min(LANES, frames - first)
            here = column + first
            for entry in range(count):
                for lane in range(lanes):
                    scratch[entry, lane] = matrix[begin + entry, first + lane]
            if wants[0] or wants[1]:
                total[:] = 0
                for entry in range(count):
                    for lane in range(LANES):
                        total[lane] += scratch[entry, lane]
                for lane in range(lanes):
                    sums[roi, here + lane] = total[lane]
            if wants[1]:
                _spread_integer(scratch, count, total, square, leaf)
                for lane in range(lanes):
                    spreads[roi, here + lane] = square[lane]
            for number in range(weights.shape[0]):
                _weighted(scratch, weights[number, begin : begin + count], square, leaf)
                for lane in range(lanes):
                    weighted[number, roi, here + lane] = square[lane]
            if wants[2]:
                for lane in range(lanes):
                    value = scratch[0, lane]
                    for entry in range(1, count):
                        value = min(value, scratch[entry, lane])
                    lows[roi, here + lane] = value
            if wants[3]:
                for lane in range(lanes):
                    value = scratch[0, lane]
                    for entry in range(1, count):
                        value = max(value, scratch[entry, lane])
                    highs[roi, here + lane] = value
            if wants[4] and network_span[roi, 1] >= 0:
                _sort_lanes(scratch, networks[network_span[roi, 0] : network_span[roi, 1]])
                _order_integer(scratch, lanes, tables[roi], orders, out, roi, here)


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _spread_integer(scratch, count, total, square, leaf):  # type: ignore[no-untyped-def]
    """Sum of squared deviations per lane: about the integer nearest to the mean, then corrected."""
    centre = np.rint(total / np.float64(count))
    square[:] = 0.0
    for first in range(0, count, LEAF_ENTRIES):
        leaf[:] = 0.0
        for entry in range(first, min(first + LEAF_ENTRIES, count)):
            for lane in range(LANES):
                step = np.float64(scratch[entry, lane]) - centre[lane]
                leaf[lane] += step * step
        square += leaf
    for lane in range(LANES):
        rest = np.float64(total[lane] - count * np.int64(centre[lane]))
        square[lane] = max(square[lane] - rest * rest / count, 0.0)


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _weighted(scratch, weights, square, leaf):  # type: ignore[no-untyped-def]
    """Weighted sum per lane, leaves of 256 entries in order."""
    square[:] = 0.0
    for first in range(0, weights.size, LEAF_ENTRIES):
        leaf[:] = 0.0
        for entry in range(first, min(first + LEAF_ENTRIES, weights.size)):
            weight = weights[entry]
            for lane in range(LANES):
                leaf[lane] += weight * np.float64(scratch[entry, lane])
        square += leaf


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def order_sorted_integer(ordered, roi, tables, orders, out, column):  # type: ignore[no-untyped-def]
    """Evaluate the order statistics of one ROI whose lanes ``(entry, time)`` are sorted already."""
    _order_integer(ordered, ordered.shape[1], tables[roi], orders, out, roi, column)


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _order_float(scratch, lanes, count, valid, needed, table, orders, out, roi, column):  # type: ignore[no-untyped-def]
    """As `_order_integer`, with as many of the sorted entries as are valid in each lane."""
    kind, span, segments, denominator, low, high, gamma = orders
    for number in range(kind.size):
        for lane in range(lanes):
            if valid[lane] < needed:
                out[number, roi, column + lane] = np.nan
                continue
            row = table + count - valid[lane]
            if kind[number] == 0:
                total = 0.0
                for k in range(span[row, number, 0], span[row, number, 1]):
                    part = 0.0
                    for first in range(segments[k, 0], segments[k, 1], LEAF_ENTRIES):
                        leaf = 0.0
                        for entry in range(first, min(first + LEAF_ENTRIES, segments[k, 1])):
                            leaf += np.float64(scratch[entry, lane])
                        part += leaf
                    total += part * segments[k, 2]
                out[number, roi, column + lane] = total / denominator[row, number]
            else:
                a = np.float64(scratch[low[row, number], lane])
                b = np.float64(scratch[high[row, number], lane])
                out[number, roi, column + lane] = _lerp(a, b, gamma[row, number])


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def aggregate_float(  # type: ignore[no-untyped-def]
    matrix, frames, indptr, rois, networks, network_span, tables, needed, orders, weights, wants, counts, sums, spreads, lows, highs, weighted, weight_sums, out, column
):
    """Aggregate float ROIs: NaN entries are passed over and counted; fixed-order float64 sums.

    As `aggregate_integer`; `needed` is the least number of valid entries per ROI, `counts` (roi, time) gets the valid ones,
    `weight_sums` their weights.
    """
    largest = 0
    for roi in rois:
        largest = max(largest, indptr[roi + 1] - indptr[roi])
    scratch = np.zeros((largest, LANES), matrix.dtype)
    valid = np.zeros(LANES, np.int64)
    total = np.zeros(LANES, np.float64)
    second = np.zeros(LANES, np.float64)
    leaf = np.zeros(LANES, np.float64)
    leaf_weight = np.zeros(LANES, np.float64)
    for roi in rois:
        begin = indptr[roi]
        count = indptr[roi + 1] - begin
        if count == 0:
            continue
        for first in range(0, frames, LANES):
            lanes = min(LANES, frames - first)
            here = column + first
            valid[:] = 0
            for entry in range(count):
                for lane in range(lanes):
                    value = matrix[begin + entry, first + lane]
                    scratch[entry, lane] = value
                    valid[lane] += value == value  # noqa: PLR0124
            for lane in range(lanes):
                counts[roi, here + lane] = valid[lane]
            if wants[0] or wants[1]:
                total[:] = 0.0
                for start in range(0, count, LEAF_ENTRIES):
                    leaf[:] = 0.0
                    for entry in range(start, min(start + LEAF_ENTRIES, count)):
                        for lane in range(LANES):
                            value = np.float64(scratch[entry, lane])
                            leaf[lane] += value if value == value else 0.0  # noqa: PLR0124
                    total += leaf
                for lane in range(lanes):
                    sums[roi, here + lane] = total[lane]
            if wants[1]:
                second[:] = 0.0
                for start in range(0, count, LEAF_ENTRIES):
                    leaf[:] = 0.0
                    for entry in range(start, min(start + LEAF_ENTRIES, count)):
                        for lane in range(LANES):
                            step = np.float64(scratch[entry, lane]) - total[lane] / valid[lane]
                            leaf[lane] += step * step if step == step else 0.0  # noqa: PLR0124
                    second += leaf
                for lane in range(lanes):
                    spreads[roi, here + lane] = second[lane]
            for number in range(weights.shape[0]):
                second[:] = 0.0
                total[:] = 0.0
                for start in range(0, count, LEAF_ENTRIES):
                    leaf[:] = 0.0
                    leaf_weight[:] = 0.0
                    for entry in range(start, min(start + LEAF_ENTRIES, count)):
                        weight = weights[number, begin + entry]
                        for lane in range(LANES):
                            value = np.float64(scratch[entry, lane])
                            known = value == value  # noqa: PLR0124
                            leaf[lane] += weight * value if known else 0.0
                            leaf_weight[lane] += weight if known else 0.0
                    second += leaf
                    total += leaf_weight
                for lane in range(lanes):
                    weighted[number, roi, here + lane] = second[lane]
                    weight_sums[number, roi, here + lane] = total[lane]
            if wants[2] or wants[3] or wants[4]:
                _nan_to_infinity(scratch, count)
            if wants[2]:
                for lane in range(lanes):
                    value = scratch[0, lane]
                    for entry in range(1, count):
                        value = min(value, scratch[entry, lane])
                    lows[roi, here + lane] = value if valid[lane] else np.nan
            if wants[3]:
                for lane in range(lanes):
                    value = np.float64(-np.inf)
                    for entry in range(count):
                        sample = np.float64(matrix[begin + entry, first + lane])
                        value = sample if sample > value else value
                    highs[roi, here + lane] = value if valid[lane] else np.nan
            if wants[4] and network_span[roi, 1] >= 0:
                _sort_lanes(scratch, networks[network_span[roi, 0] : network_span[roi, 1]])
                _order_float(scratch, lanes, count, valid, needed[roi], tables[roi], orders, out, roi, here)


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _nan_to_infinity(scratch, count):  # type: ignore[no-untyped-def]
    """Put NaN behind all numbers; where infinities are real, which of them is the NaN does not matter."""
    for entry in range(count):
        for lane in range(LANES):
            value = scratch[entry, lane]
            scratch[entry, lane] = value if value == value else np.inf  # noqa: PLR0124


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def order_sorted_float(ordered, valid, roi, tables, needed, orders, out, column):  # type: ignore[no-untyped-def]
    """As `order_sorted_integer`; NaN entries stand last, `valid` counts the others per lane."""
    _order_float(ordered, ordered.shape[1], ordered.shape[0], valid, needed[roi], tables[roi], orders, out, roi, column)
