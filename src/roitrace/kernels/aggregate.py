"""One number per ROI, frame and statistic, from the pixel matrix ``(entry, time)``.

A ROI's rows are met entry by entry, frames (lanes) side by side, so that the compiler makes vector instructions of the inner loops. To be sorted,
some lanes at a time are copied into a scratch array that stays in the cache. Lanes never mix and entries are always met in canonical
order, so no result depends on how time was cut. Matrices are contiguous and compiled functions take rows as slices: that is what lets
loops become vectors.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from roitrace.kernels.exact import quotient

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "NETWORK_LIMIT",
    "SCRATCH_ROW_BYTES",
    "add_rows",
    "order_float",
    "order_integer",
    "order_sorted_float",
    "order_sorted_integer",
    "sort_lanes",
    "sorting_network",
    "sum_float",
    "sum_integer",
    "weight_totals",
]

SCRATCH_ROW_BYTES = 256
"""Lanes sorted at once, in bytes: four vector registers, and 150 such rows stay in the first-level cache."""

LEAF_ENTRIES = 256
ROWS_IN_32_BITS = 2**15
NETWORK_LIMIT = 1024
"""ROIs with more pixels are sorted frame by frame instead of by a network over lanes."""


@lru_cache(maxsize=4096)
def sorting_network(size: int) -> NDArray[np.int32]:
    """Return the comparators (n, 2) of Batcher's odd-even merge sort for `size` inputs.

    Batcher (1968), AFIPS 32:307; comparators that reach beyond `size` fall away.
    """
    pairs: list[tuple[int, int]] = []
    p = 1
    while p < size:
        k = p
        while k >= 1:
            for j in range(k % p, size - k, 2 * k):
                lows = range(j, j + min(k, size - j - k))
                pairs += [(low, low + k) for low in lows if low // (2 * p) == (low + k) // (2 * p)]
            k //= 2
        p *= 2
    return np.asarray(pairs, dtype=np.int32).reshape(-1, 2)


# -- sums ---------------------------------------------------------------------------------------------------------


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def sum_integer(matrix, part, span, indptr, weights, wants, sums, spreads, lows, highs, weighted):  # type: ignore[no-untyped-def]
    """Sum the entries of some ROIs, frame by frame; exact for integers.

    `span` is the first and last (excluded) of the ROIs, whose entries are the rows of the matrix. `part` has one element per frame, int32 for samples of up to 16 bits, else int64; it is overwritten. `wants` flags (total, spread, minimum, maximum); the results ``(roi, time)`` of those not wanted may be empty. `weighted` is
    (weighting, roi, time).
    """
    frames = part.size
    centre = np.zeros(frames)
    leaf = np.zeros(frames)
    origin = indptr[span[0]]
    for roi in range(span[0], span[1]):
        rows = matrix[indptr[roi] - origin : indptr[roi + 1] - origin]
        if rows.shape[0] == 0:
            continue
        if wants[0] or wants[1]:
            _add_rows(rows, part, sums[roi])
        if wants[1]:
            for lane in range(frames):
                centre[lane] = np.rint(sums[roi, lane] / np.float64(rows.shape[0]))
            _add_squares(rows, centre, leaf, spreads[roi])
            for lane in range(frames):
                rest = np.float64(sums[roi, lane] - rows.shape[0] * np.int64(centre[lane]))
                spreads[roi, lane] = max(spreads[roi, lane] - rest * rest / rows.shape[0], 0.0)
        for number in range(weights.shape[0]):
            own = weights[number, indptr[roi] : indptr[roi + 1]]
            _add_weighted(rows, own, leaf, weighted[number, roi])
        if wants[2]:
            lows[roi, :] = rows[0]
            for entry in range(1, rows.shape[0]):
                _lower(lows[roi], rows[entry])
        if wants[3]:
            highs[roi, :] = rows[0]
            for entry in range(1, rows.shape[0]):
                _raise(highs[roi], rows[entry])


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def sum_float(  # type: ignore[no-untyped-def]
    matrix, span, indptr, weights, wants, counts, sums, spreads, lows, highs, weighted, weight_sums
):
    """As `sum_integer`; NaN entries are passed over and the valid ones counted, sums have a fixed order.

    Sums are made in leaves of 256 entries. `counts` (roi, time) gets the number of valid entries, `weight_sums` their weights.
    """
    frames = matrix.shape[1]
    mean = np.zeros(frames)
    leaf = np.zeros(frames)
    ones = np.ones(matrix.shape[0])
    origin = indptr[span[0]]
    for roi in range(span[0], span[1]):
        rows = matrix[indptr[roi] - origin : indptr[roi + 1] - origin]
        if rows.shape[0] == 0:
            continue
        _count_valid(rows, counts[roi])
        if wants[0] or wants[1]:
            _add_valid(rows, ones, leaf, sums[roi])
        if wants[1]:
            for lane in range(frames):
                mean[lane] = sums[roi, lane] / counts[roi, lane]
            _add_squares(rows, mean, leaf, spreads[roi])
        for number in range(weights.shape[0]):
            own = weights[number, indptr[roi] : indptr[roi + 1]]
            _add_weighted(rows, own, leaf, weighted[number, roi])
            _add_weights(rows, own, leaf, weight_sums[number, roi])
        if wants[2]:
            lows[roi, :] = np.inf
            for entry in range(rows.shape[0]):
                _lower(lows[roi], rows[entry])
        if wants[3]:
            highs[roi, :] = -np.inf
            for entry in range(rows.shape[0]):
                _raise(highs[roi], rows[entry])


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _add_rows(rows, part, total):  # type: ignore[no-untyped-def]
    """Sum rows exactly; 16-bit samples in 32 bits, as many rows as cannot overflow."""
    for first in range(0, rows.shape[0], ROWS_IN_32_BITS):
        part[:] = 0
        add_rows(rows[first : first + ROWS_IN_32_BITS], part)
        for lane in range(part.size):
            total[lane] += part[lane]


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def add_rows(rows, part):  # type: ignore[no-untyped-def]
    """Add rows of integers to `part`, four at a time, so that it is fetched once for four rows."""
    entry = 0
    while entry + 4 <= rows.shape[0]:
        a, b, c, d = rows[entry], rows[entry + 1], rows[entry + 2], rows[entry + 3]
        for lane in range(part.size):
            part[lane] += (np.int64(a[lane]) + np.int64(b[lane])) + (np.int64(c[lane]) + np.int64(d[lane]))
        entry += 4
    while entry < rows.shape[0]:
        a = rows[entry]
        for lane in range(part.size):
            part[lane] += a[lane]
        entry += 1


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _lower(lowest, row):  # type: ignore[no-untyped-def]
    for lane in range(row.size):
        lowest[lane] = row[lane] if row[lane] < lowest[lane] else lowest[lane]


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _raise(highest, row):  # type: ignore[no-untyped-def]
    for lane in range(row.size):
        highest[lane] = row[lane] if row[lane] > highest[lane] else highest[lane]


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _count_valid(rows, count):  # type: ignore[no-untyped-def]
    """Count the entries of each lane that are not NaN, four rows at a time."""
    entry = 0
    while entry + 4 <= rows.shape[0]:
        a, b, c, d = rows[entry], rows[entry + 1], rows[entry + 2], rows[entry + 3]
        for lane in range(count.size):
            count[lane] += (_valid(a[lane]) + _valid(b[lane])) + (_valid(c[lane]) + _valid(d[lane]))
        entry += 4
    while entry < rows.shape[0]:
        a = rows[entry]
        for lane in range(count.size):
            count[lane] += _valid(a[lane])
        entry += 1


@numba.njit(cache=True, nogil=True, inline="always")
def _valid(sample):  # type: ignore[no-untyped-def]
    return np.int32(1) if sample == sample else np.int32(0)  # noqa: PLR0124


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _add_squares(rows, centre, leaf, total):  # type: ignore[no-untyped-def]
    for first in range(0, rows.shape[0], LEAF_ENTRIES):
        leaf[:] = 0.0
        for entry in range(first, min(first + LEAF_ENTRIES, rows.shape[0])):
            row = rows[entry]
            for lane in range(row.size):
                step = np.float64(row[lane]) - centre[lane]
                leaf[lane] += step * step if row[lane] == row[lane] else 0.0
        total += leaf


@numba.njit(nogil=True)
def _number(_, sample):  # type: ignore[no-untyped-def]
    """Return the sample as float64; nothing for NaN."""
    value = np.float64(sample)
    return value if value == value else 0.0  # noqa: PLR0124


@numba.njit(nogil=True)
def _product(weight, sample):  # type: ignore[no-untyped-def]
    """Weight times sample; nothing for NaN."""
    value = np.float64(sample)
    return weight * value if value == value else 0.0  # noqa: PLR0124


@numba.njit(nogil=True)
def _weight_of(weight, sample):  # type: ignore[no-untyped-def]
    return weight if sample == sample else 0.0  # noqa: PLR0124


def _in_leaves(term: Any) -> Any:
    """Return what sums ``term(weight, sample)`` in leaves, entry after entry; four at a time in registers, in the same order."""

    # not cached by itself: it is a part of the functions that call it, which are
    @numba.njit(nogil=True, boundscheck=False, error_model="numpy")
    def add(rows, weights, leaf, total):  # type: ignore[no-untyped-def]
        for first in range(0, rows.shape[0], LEAF_ENTRIES):
            leaf[:] = 0.0
            last = min(first + LEAF_ENTRIES, rows.shape[0])
            entry = first
            while entry + 4 <= last:
                a, b, c, d = rows[entry], rows[entry + 1], rows[entry + 2], rows[entry + 3]
                wa, wb, wc, wd = weights[entry], weights[entry + 1], weights[entry + 2], weights[entry + 3]
                for lane in range(leaf.size):
                    value = leaf[lane] + term(wa, a[lane])
                    value += term(wb, b[lane])
                    value += term(wc, c[lane])
                    leaf[lane] = value + term(wd, d[lane])
                entry += 4
            while entry < last:
                a, wa = rows[entry], weights[entry]
                for lane in range(leaf.size):
                    leaf[lane] += term(wa, a[lane])
                entry += 1
            total += leaf

    return add


_add_valid = _in_leaves(_number)
_add_weighted = _in_leaves(_product)
_add_weights = _in_leaves(_weight_of)


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def weight_totals(indptr, weights):  # type: ignore[no-untyped-def]
    """Return the sum of each ROI's weights ``(weighting, roi)``, in the order of the weighted sums."""
    totals = np.zeros((weights.shape[0], indptr.size - 1))
    for number in range(weights.shape[0]):
        for roi in range(indptr.size - 1):
            for first in range(indptr[roi], indptr[roi + 1], LEAF_ENTRIES):
                leaf = 0.0
                for entry in range(first, min(first + LEAF_ENTRIES, indptr[roi + 1])):
                    leaf += weights[number, entry]
                totals[number, roi] += leaf
    return totals


# -- order --------------------------------------------------------------------------------------------------------


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def order_integer(matrix, part, span, indptr, networks, network_span, tables, orders, out):  # type: ignore[no-untyped-def]
    """Evaluate order statistics ``out`` (statistic, roi, time) of those of some ROIs that have a network.

    Parameters
    ----------
    networks, network_span : numpy.ndarray
        Comparators, and where those of each ROI begin and end; a ROI whose span is negative is left alone.
    tables : numpy.ndarray
        Row of the order tables for each ROI.
    orders : tuple of numpy.ndarray
        Order tables: kind, span, segments, denominator, low, high, gamma; see `roitrace.engine.aggregation`.
    part, span : numpy.ndarray, tuple of int
        As for `sum_integer`.
    """
    frames = part.size
    scratch = _scratch(matrix, frames, span, indptr, network_span)
    lanes = scratch.shape[1]
    for roi in range(span[0], span[1]):
        begin = indptr[roi] - indptr[span[0]]
        count = indptr[roi + 1] - indptr[roi]
        if count == 0 or network_span[roi, 0] < 0:
            continue
        pairs = networks[network_span[roi, 0] : network_span[roi, 1]]
        for first in range(0, frames, lanes):
            size = min(lanes, frames - first)
            for entry in range(count):
                _copy(matrix[begin + entry, first : first + size], scratch[entry])
            sort_lanes(scratch, pairs)
            _order_integer(scratch, size, tables[roi], orders, part, out, roi, first)


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def order_float(matrix, span, indptr, networks, network_span, tables, needed, counts, orders, out):  # type: ignore[no-untyped-def]
    """As `order_integer`; of each frame as many sorted entries as are valid (`counts`), NaN below `needed`."""
    frames = matrix.shape[1]
    scratch = _scratch(matrix, frames, span, indptr, network_span)
    lanes = scratch.shape[1]
    for roi in range(span[0], span[1]):
        begin = indptr[roi] - indptr[span[0]]
        count = indptr[roi + 1] - indptr[roi]
        if count == 0 or network_span[roi, 0] < 0:
            continue
        pairs = networks[network_span[roi, 0] : network_span[roi, 1]]
        for first in range(0, frames, lanes):
            size = min(lanes, frames - first)
            for entry in range(count):
                row = matrix[begin + entry, first : first + size]
                kept = scratch[entry]
                for lane in range(size):
                    # NaN go behind all numbers; where infinities are real, which of them is the NaN does not matter
                    kept[lane] = row[lane] if row[lane] == row[lane] else np.inf
            sort_lanes(scratch, pairs)
            valid = counts[roi, first : first + size]
            _order_float(scratch, count, valid, needed[roi], tables[roi], orders, out, roi, first)


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def order_sorted_integer(ordered, roi, tables, orders, out, column):  # type: ignore[no-untyped-def]
    """Evaluate the order statistics of one ROI whose lanes ``(entry, time)`` are sorted already."""
    part = np.zeros(ordered.shape[1], np.int64)
    _order_integer(ordered, ordered.shape[1], tables[roi], orders, part, out, roi, column)


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def order_sorted_float(ordered, valid, roi, tables, needed, orders, out, column):  # type: ignore[no-untyped-def]
    """As `order_sorted_integer`; NaN entries stand last, `valid` counts the others per lane."""
    _order_float(ordered, ordered.shape[0], valid, needed[roi], tables[roi], orders, out, roi, column)


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _scratch(matrix, frames, span, indptr, network_span):  # type: ignore[no-untyped-def]
    largest = 0
    for roi in range(span[0], span[1]):
        if network_span[roi, 0] >= 0:
            largest = max(largest, indptr[roi + 1] - indptr[roi])
    lanes = SCRATCH_ROW_BYTES // matrix.itemsize
    while lanes >= 2 * frames and lanes > 1:
        lanes //= 2
    return np.zeros((largest, lanes), matrix.dtype)


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _copy(row, kept):  # type: ignore[no-untyped-def]
    for lane in range(row.size):
        kept[lane] = row[lane]


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def sort_lanes(scratch, pairs):  # type: ignore[no-untyped-def]
    """Sort every column of `scratch` (entry, lane), which must be contiguous, by a sorting network."""
    lanes = np.uint64(scratch.shape[1])
    flat = scratch.reshape(-1)
    for number in range(pairs.shape[0]):
        low = np.uint64(pairs[number, 0]) * lanes
        high = np.uint64(pairs[number, 1]) * lanes
        for lane in range(lanes):
            a = flat[low + lane]
            b = flat[high + lane]
            flat[low + lane] = a if a < b else b
            flat[high + lane] = b if a < b else a


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _order_integer(scratch, lanes, table, orders, part, out, roi, column):  # type: ignore[no-untyped-def]
    kind, span, segments, denominator, low, high, gamma = orders
    for number in range(kind.size):
        result = out[number, roi, column : column + lanes]
        if kind[number] == 0:
            sums = part[:lanes]
            sums[:] = 0
            for k in range(span[table, number, 0], span[table, number, 1]):
                for entry in range(segments[k, 0], segments[k, 1]):
                    _add_times(sums, scratch[entry, :lanes], segments[k, 2])
            for lane in range(lanes):
                result[lane] = quotient(np.int64(sums[lane]), denominator[table, number])
        else:
            lower, upper = scratch[low[table, number]], scratch[high[table, number]]
            for lane in range(lanes):
                result[lane] = _lerp(np.float64(lower[lane]), np.float64(upper[lane]), gamma[table, number])


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _add_times(sums, row, times):  # type: ignore[no-untyped-def]
    if times == 1:
        for lane in range(row.size):
            sums[lane] += row[lane]
    else:
        for lane in range(row.size):
            sums[lane] += row[lane] * times


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _order_float(scratch, count, valid, needed, table, orders, out, roi, column):  # type: ignore[no-untyped-def]
    kind, span, segments, denominator, low, high, gamma = orders
    rows = np.zeros(valid.size, np.int64)
    least = table
    for lane in range(valid.size):
        # frames with too few samples go along with the smallest table
        rows[lane] = table + count - max(valid[lane], needed)
        least = max(least, rows[lane])
    for number in range(kind.size):
        result = out[number, roi, column : column + valid.size]
        if kind[number] == 0:
            together = True
            for row in range(table, least + 1):
                first, last = span[row, number]
                together &= last - first == span[table, number, 1] - span[table, number, 0]
                for k in range(first, last):
                    together &= segments[k, 1] - segments[k, 0] <= LEAF_ENTRIES
            if together:
                _sum_segments_together(scratch, rows, span[:, number], segments, result)
            else:
                _sum_segments(scratch, rows, span[:, number], segments, result)
            for lane in range(valid.size):
                result[lane] /= denominator[rows[lane], number]
        else:
            for lane in range(valid.size):
                row = rows[lane]
                lower, upper = scratch[low[row, number], lane], scratch[high[row, number], lane]
                result[lane] = _lerp(np.float64(lower), np.float64(upper), gamma[row, number])
        for lane in range(valid.size):
            if valid[lane] < needed:
                result[lane] = np.nan


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _sum_segments(scratch, rows, span, segments, total):  # type: ignore[no-untyped-def]
    """Sum the segments of each lane's own table, in leaves."""
    for lane in range(rows.size):
        total[lane] = 0.0
        for k in range(span[rows[lane], 0], span[rows[lane], 1]):
            for first in range(segments[k, 0], segments[k, 1], LEAF_ENTRIES):
                leaf = 0.0
                for entry in range(first, min(first + LEAF_ENTRIES, segments[k, 1])):
                    leaf += np.float64(scratch[entry, lane])
                total[lane] += leaf * segments[k, 2]


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _sum_segments_together(scratch, rows, span, segments, total):  # type: ignore[no-untyped-def]
    """As `_sum_segments` with the same bits, lanes side by side; for as many segments in every table, of one leaf each."""
    begin, end = np.zeros(rows.size, np.int32), np.zeros(rows.size, np.int32)
    leaf = np.zeros(rows.size)
    total[:] = 0.0
    for k in range(span[rows[0], 1] - span[rows[0], 0]):
        for lane in range(rows.size):
            segment = span[rows[lane], 0] + k
            begin[lane], end[lane] = segments[segment, 0], segments[segment, 1]
        all_from, all_to = begin.max(), end.min()
        leaf[:] = 0.0
        for entry in range(begin.min(), end.max()):
            row = scratch[entry, : rows.size]
            if all_from <= entry < all_to:
                for lane in range(leaf.size):
                    leaf[lane] += np.float64(row[lane])
            else:
                _add_within(leaf, row, np.int32(entry), begin, end)
        for lane in range(rows.size):
            total[lane] += leaf[lane] * segments[span[rows[lane], 0] + k, 2]


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def _add_within(leaf, row, entry, begin, end):  # type: ignore[no-untyped-def]
    """Add an entry to the lanes whose segment it belongs to."""
    for lane in range(leaf.size):
        inside = begin[lane] <= entry < end[lane]
        leaf[lane] += np.float64(row[lane]) if inside else 0.0


@numba.njit(cache=True, nogil=True, inline="always")
def _lerp(a, b, g):  # type: ignore[no-untyped-def]
    """Interpolate as NumPy's linear percentile does, from the nearer end."""
    step = b - a
    value = b - step * (1.0 - g) if g >= 0.5 else a + step * g
    return a if step == 0 else value
