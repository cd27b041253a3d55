"""Sums, squares and extremes of the pixels of every ROI, frame by frame, from the pixel matrix ``(entry, time)``.

A ROI's rows are met entry by entry, frames (lanes) side by side, so that the compiler makes vector instructions of the inner loops. Lanes
never mix and entries are always met in canonical order, so no result depends on how time was cut. Matrices are contiguous and compiled
functions take rows as slices: that is what lets loops become vectors.
"""

from __future__ import annotations

import numpy as np

from roitrace.kernels.compiled import compiled

__all__ = ["LEAF_ENTRIES", "add_rows", "sum_float", "sum_integer", "weight_totals"]

LEAF_ENTRIES = 256
ROWS_IN_32_BITS = 2**15


@compiled()
def sum_integer(matrix, part, span, first_rows, indptr, weights, wants, sums, spreads, lows, highs, weighted):  # type: ignore[no-untyped-def]
    """Sum the entries of some ROIs, frame by frame; exact for integers.

    `span` is the first and last (excluded) of the ROIs, `first_rows` the row of the matrix at which the entries of each begin. `part` has one element per frame, int32 for samples of up to 16 bits, else int64; it is overwritten. `wants` flags (total, spread, minimum, maximum); the results ``(roi, time)`` of those not wanted may be empty. `weighted` is
    (weighting, roi, time).
    """
    frames = part.size
    centre = np.zeros(frames)
    leaf = np.zeros(frames)
    for roi in range(span[0], span[1]):
        rows = matrix[first_rows[roi] : first_rows[roi] + indptr[roi + 1] - indptr[roi]]
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


@compiled()
def sum_float(  # type: ignore[no-untyped-def]
    matrix,
    span,
    first_rows,
    indptr,
    weights,
    wants,
    counts,
    sums,
    spreads,
    lows,
    highs,
    weighted,
    weight_sums,
):
    """As `sum_integer`; NaN entries are passed over and the valid ones counted, sums have a fixed order.

    Sums are made in leaves of 256 entries. `counts` (roi, time) gets the number of valid entries, `weight_sums` their weights.
    """
    frames = matrix.shape[1]
    mean, leaf, leaf_weights = np.zeros(frames), np.zeros(frames), np.zeros(frames)
    total, count = np.zeros(frames), np.zeros(frames)
    ones = np.ones(indptr[span[1]] - indptr[span[0]])
    for roi in range(span[0], span[1]):
        rows = matrix[first_rows[roi] : first_rows[roi] + indptr[roi + 1] - indptr[roi]]
        if rows.shape[0] == 0:
            continue
        total[:], count[:] = 0.0, 0.0
        _add_weighted_valid(rows, ones, leaf, leaf_weights, total, count)
        for lane in range(frames):
            counts[roi, lane] = np.int32(count[lane])
        if wants[0] or wants[1]:
            sums[roi, :] = total
        if wants[1]:
            for lane in range(frames):
                mean[lane] = total[lane] / count[lane]
            _add_squares(rows, mean, leaf, spreads[roi])
        for number in range(weights.shape[0]):
            own = weights[number, indptr[roi] : indptr[roi + 1]]
            results = weighted[number, roi], weight_sums[number, roi]
            _add_weighted_valid(rows, own, leaf, leaf_weights, *results)
        if wants[2]:
            lows[roi, :] = np.inf
            for entry in range(rows.shape[0]):
                _lower(lows[roi], rows[entry])
        if wants[3]:
            highs[roi, :] = -np.inf
            for entry in range(rows.shape[0]):
                _raise(highs[roi], rows[entry])


@compiled()
def _add_rows(rows, part, total):  # type: ignore[no-untyped-def]
    """Sum rows exactly; 16-bit samples in 32 bits, as many rows as cannot overflow."""
    for first in range(0, rows.shape[0], ROWS_IN_32_BITS):
        part[:] = 0
        add_rows(rows[first : first + ROWS_IN_32_BITS], part)
        for lane in range(part.size):
            total[lane] += part[lane]


@compiled()
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


@compiled()
def _lower(lowest, row):  # type: ignore[no-untyped-def]
    for lane in range(row.size):
        lowest[lane] = row[lane] if row[lane] < lowest[lane] else lowest[lane]


@compiled()
def _raise(highest, row):  # type: ignore[no-untyped-def]
    for lane in range(row.size):
        highest[lane] = row[lane] if row[lane] > highest[lane] else highest[lane]


@compiled()
def _add_squares(rows, centre, leaf, total):  # type: ignore[no-untyped-def]
    for first in range(0, rows.shape[0], LEAF_ENTRIES):
        leaf[:] = 0.0
        for entry in range(first, min(first + LEAF_ENTRIES, rows.shape[0])):
            row = rows[entry]
            for lane in range(row.size):
                step = np.float64(row[lane]) - centre[lane]
                leaf[lane] += step * step if row[lane] == row[lane] else 0.0
        total += leaf


@compiled()
def _add_weighted(rows, weights, leaf, total):  # type: ignore[no-untyped-def]
    """Sum weighted integers in leaves, entry after entry; four at a time in registers, in the same order."""
    for first in range(0, rows.shape[0], LEAF_ENTRIES):
        leaf[:] = 0.0
        last = min(first + LEAF_ENTRIES, rows.shape[0])
        entry = first
        while entry + 4 <= last:
            a, b, c, d = rows[entry], rows[entry + 1], rows[entry + 2], rows[entry + 3]
            wa, wb, wc, wd = weights[entry], weights[entry + 1], weights[entry + 2], weights[entry + 3]
            for lane in range(leaf.size):
                value = leaf[lane] + wa * np.float64(a[lane])
                value += wb * np.float64(b[lane])
                value += wc * np.float64(c[lane])
                leaf[lane] = value + wd * np.float64(d[lane])
            entry += 4
        while entry < last:
            a, wa = rows[entry], weights[entry]
            for lane in range(leaf.size):
                leaf[lane] += wa * np.float64(a[lane])
            entry += 1
        total += leaf


@compiled()
def _add_weighted_valid(rows, weights, leaf, leaf_weights, total, total_weights):  # type: ignore[no-untyped-def]
    """As `_add_weighted` of the samples that are not NaN, and the sum of their weights."""
    for first in range(0, rows.shape[0], LEAF_ENTRIES):
        leaf[:], leaf_weights[:] = 0.0, 0.0
        last = min(first + LEAF_ENTRIES, rows.shape[0])
        entry = first
        while entry + 4 <= last:
            a, b, c, d = rows[entry], rows[entry + 1], rows[entry + 2], rows[entry + 3]
            wa, wb, wc, wd = weights[entry], weights[entry + 1], weights[entry + 2], weights[entry + 3]
            for lane in range(leaf.size):
                sa, sb, sc, sd = a[lane], b[lane], c[lane], d[lane]
                value = leaf[lane] + _product(wa, sa)
                value += _product(wb, sb)
                value += _product(wc, sc)
                leaf[lane] = value + _product(wd, sd)
                weight = leaf_weights[lane] + _weight_of(wa, sa)
                weight += _weight_of(wb, sb)
                weight += _weight_of(wc, sc)
                leaf_weights[lane] = weight + _weight_of(wd, sd)
            entry += 4
        while entry < last:
            a, wa = rows[entry], weights[entry]
            for lane in range(leaf.size):
                leaf[lane] += _product(wa, a[lane])
                leaf_weights[lane] += _weight_of(wa, a[lane])
            entry += 1
        total += leaf
        total_weights += leaf_weights


@compiled(cache=False)
def _product(weight, sample):  # type: ignore[no-untyped-def]
    """Weight times sample; nothing for NaN."""
    value = np.float64(sample)
    return weight * value if value == value else 0.0  # noqa: PLR0124


@compiled(cache=False)
def _weight_of(weight, sample):  # type: ignore[no-untyped-def]
    value = np.float64(sample)
    return weight if value == value else 0.0  # noqa: PLR0124


@compiled()
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
