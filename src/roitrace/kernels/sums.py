"""Sums, squares and extremes of the pixels of every ROI, frame by frame, from the pixel matrix ``(entry, time)``.

A ROI's rows are met entry by entry, frames (lanes) side by side, so that the compiler makes vector instructions of the inner loops. Lanes
never mix and entries are always met in canonical order, so no result depends on how time was cut. Matrices are contiguous and compiled
functions take rows as slices: that is what lets loops become vectors.
"""

from __future__ import annotations

from typing import Any

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
    mean = np.zeros(frames)
    leaf = np.zeros(frames)
    ones = np.ones(indptr[span[1]] - indptr[span[0]])
    for roi in range(span[0], span[1]):
        rows = matrix[first_rows[roi] : first_rows[roi] + indptr[roi + 1] - indptr[roi]]
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


@compiled(inline="always")
def _valid(sample):  # type: ignore[no-untyped-def]
    return np.int32(1) if sample == sample else np.int32(0)  # noqa: PLR0124


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


@compiled(cache=False)
def _number(_, sample):  # type: ignore[no-untyped-def]
    """Return the sample as float64; nothing for NaN."""
    value = np.float64(sample)
    return value if value == value else 0.0  # noqa: PLR0124


@compiled(cache=False)
def _product(weight, sample):  # type: ignore[no-untyped-def]
    """Weight times sample; nothing for NaN."""
    value = np.float64(sample)
    return weight * value if value == value else 0.0  # noqa: PLR0124


@compiled(cache=False)
def _weight_of(weight, sample):  # type: ignore[no-untyped-def]
    return weight if sample == sample else 0.0  # noqa: PLR0124


def _in_leaves(term: Any) -> Any:
    """Return what sums ``term(weight, sample)`` in leaves, entry after entry; four at a time in registers, in the same order."""

    # not cached by itself: it is a part of the functions that call it, which are
    @compiled(cache=False)
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
