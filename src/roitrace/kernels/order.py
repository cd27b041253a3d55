"""Order statistics of the pixels of every ROI, frame by frame, from the pixel matrix ``(entry, time)``.

Some frames (lanes) at a time are copied into a scratch array that stays in the cache, and sorted there side by side. Lanes never mix and
sums over sorted entries have one order, so no result depends on how time was cut.
"""

from __future__ import annotations

import numpy as np

from roitrace.kernels.compiled import compiled
from roitrace.kernels.exact import quotient
from roitrace.kernels.sorting import lanes_for, scratch_rows, sort_lanes
from roitrace.kernels.sums import LEAF_ENTRIES, add_rows

__all__ = ["order_float", "order_integer", "order_sorted_float", "order_sorted_integer"]


@compiled()
def order_integer(  # type: ignore[no-untyped-def]
    matrix, part, span, first_rows, indptr, highest, networks, network_span, tables, orders, out
):
    """Evaluate order statistics ``out`` (statistic, roi, time) of those of some ROIs that have a network.

    Parameters
    ----------
    highest : number
        What no sample exceeds.
    networks, network_span : numpy.ndarray
        Programs of `roitrace.kernels.networks`, and where that of each ROI begins and ends; a ROI whose span is negative is left alone.
    tables : numpy.ndarray
        Row of the order tables for each ROI.
    orders : tuple of numpy.ndarray
        Order tables: kind, span, segments, denominator, low, high, gamma; see `roitrace.engine.aggregation`.
    part : numpy.ndarray
        One element per frame, of the dtype that sums need: int32 for samples of up to 16 bits, else int64; not read.
    span, first_rows
        As for `sum_integer`.
    """
    frames = part.size
    lanes = lanes_for(matrix, frames)
    scratch = scratch_rows(matrix, _most_entries(span, indptr, network_span), lanes)
    sums = np.zeros(lanes, part.dtype)
    for roi in range(span[0], span[1]):
        begin = first_rows[roi]
        count = indptr[roi + 1] - indptr[roi]
        if count == 0 or network_span[roi, 0] < 0:
            continue
        program = networks[network_span[roi, 0] : network_span[roi, 1]]
        for first in range(0, frames, lanes):
            size = min(lanes, frames - first)
            for entry in range(count):
                _copy(matrix[begin + entry, first : first + size], scratch[entry])
            sort_lanes(scratch, count, program, highest)
            _order_integer(scratch, size, tables[roi], orders, sums, out, roi, first)


@compiled()
def order_float(  # type: ignore[no-untyped-def]
    matrix, span, first_rows, indptr, highest, networks, network_span, tables, needed, counts, orders, out
):
    """As `order_integer`; of each frame as many sorted entries as are valid (`counts`), NaN below `needed`."""
    frames = matrix.shape[1]
    lanes = lanes_for(matrix, frames)
    scratch = scratch_rows(matrix, _most_entries(span, indptr, network_span), lanes)
    for roi in range(span[0], span[1]):
        begin = first_rows[roi]
        count = indptr[roi + 1] - indptr[roi]
        if count == 0 or network_span[roi, 0] < 0:
            continue
        program = networks[network_span[roi, 0] : network_span[roi, 1]]
        for first in range(0, frames, lanes):
            size = min(lanes, frames - first)
            for entry in range(count):
                _copy_numbers(matrix[begin + entry, first : first + size], scratch[entry], highest)
            sort_lanes(scratch, count, program, highest)
            valid = counts[roi, first : first + size]
            _order_float(scratch, count, valid, needed[roi], tables[roi], orders, out, roi, first)


@compiled()
def order_sorted_integer(ordered, roi, tables, orders, out, column):  # type: ignore[no-untyped-def]
    """Evaluate the order statistics of one ROI whose lanes ``(entry, time)`` are sorted already."""
    sums = np.zeros(ordered.shape[1], np.int64)
    _order_integer(ordered, ordered.shape[1], tables[roi], orders, sums, out, roi, column)


@compiled()
def order_sorted_float(ordered, valid, roi, tables, needed, orders, out, column):  # type: ignore[no-untyped-def]
    """As `order_sorted_integer`; NaN entries stand last, `valid` counts the others per lane."""
    _order_float(ordered, ordered.shape[0], valid, needed[roi], tables[roi], orders, out, roi, column)


@compiled()
def _most_entries(span, indptr, network_span):  # type: ignore[no-untyped-def]
    """Return the size of the largest of some ROIs that has a network."""
    most = 0
    for roi in range(span[0], span[1]):
        if network_span[roi, 0] >= 0:
            most = max(most, indptr[roi + 1] - indptr[roi])
    return most


@compiled()
def _copy(row, kept):  # type: ignore[no-untyped-def]
    for lane in range(row.size):
        kept[lane] = row[lane]


@compiled()
def _copy_numbers(row, kept, highest):  # type: ignore[no-untyped-def]
    """Put NaN behind all numbers; where infinities are real, which of them is the NaN does not matter."""
    for lane in range(row.size):
        kept[lane] = row[lane] if row[lane] == row[lane] else highest


@compiled()
def _order_integer(scratch, lanes, table, orders, sums, out, roi, column):  # type: ignore[no-untyped-def]
    kind, span, segments, denominator, low, high, gamma = orders
    for number in range(kind.size):
        result = out[number, roi, column : column + lanes]
        if kind[number] == 0:
            sums[:] = 0
            for k in range(span[table, number, 0], span[table, number, 1]):
                if segments[k, 2] == 1:
                    add_rows(scratch[segments[k, 0] : segments[k, 1]], sums)
                    continue
                for entry in range(segments[k, 0], segments[k, 1]):
                    _add_times(sums, scratch[entry], segments[k, 2])
            for lane in range(lanes):
                result[lane] = quotient(np.int64(sums[lane]), denominator[table, number])
        else:
            lower, upper = scratch[low[table, number]], scratch[high[table, number]]
            for lane in range(lanes):
                result[lane] = _lerp(np.float64(lower[lane]), np.float64(upper[lane]), gamma[table, number])


@compiled()
def _add_times(sums, row, times):  # type: ignore[no-untyped-def]
    for lane in range(row.size):
        sums[lane] += row[lane] * times


@compiled()
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


@compiled()
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


@compiled()
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
        entry, last = begin.min(), end.max()
        while entry < last:
            if all_from <= entry and entry + 4 <= all_to:
                _add_four(leaf, scratch[entry : entry + 4])
                entry += 4
            else:
                _add_within(leaf, scratch[entry, : leaf.size], np.int32(entry), begin, end)
                entry += 1
        for lane in range(rows.size):
            total[lane] += leaf[lane] * segments[span[rows[lane], 0] + k, 2]


@compiled()
def _add_four(leaf, rows):  # type: ignore[no-untyped-def]
    """Add four entries to all lanes, one after another, so that sums are fetched once for four."""
    a, b, c, d = rows[0], rows[1], rows[2], rows[3]
    for lane in range(leaf.size):
        value = leaf[lane] + np.float64(a[lane])
        value += np.float64(b[lane])
        value += np.float64(c[lane])
        leaf[lane] = value + np.float64(d[lane])


@compiled()
def _add_within(leaf, row, entry, begin, end):  # type: ignore[no-untyped-def]
    """Add an entry to the lanes whose segment it belongs to."""
    for lane in range(leaf.size):
        inside = begin[lane] <= entry < end[lane]
        leaf[lane] += np.float64(row[lane]) if inside else 0.0


@compiled(inline="always")
def _lerp(a, b, g):  # type: ignore[no-untyped-def]
    """Interpolate as NumPy's linear percentile does, from the nearer end."""
    step = b - a
    value = b - step * (1.0 - g) if g >= 0.5 else a + step * g
    return a if step == 0 else value
