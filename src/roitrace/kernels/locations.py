"""Robust locations of the pixels of every ROI, frame by frame, from the pixel matrix ``(entry, time)``.

As for the order statistics of `roitrace.kernels.order`, frames (lanes) are sorted side by side. Lanes never mix and sums over a lane have
one order, so no result depends on how time was cut. NaN entries take no part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.kernels.compiled import compiled
from roitrace.kernels.networks import sorting_program
from roitrace.kernels.sorting import NETWORK_LIMIT, SCRATCH_ROW_BYTES, highest_of, scratch_rows, sort_lanes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["huber_locations", "weighted_medians"]

MAD_TO_SD = 1.4826
LANES_OF_LARGE = 4
"""Frames at once of ROIs that have no network, so that a whole frame as one ROI takes little room."""

MOST_STEPS = 100
TIE = 1e-12


def huber_locations(
    matrix: NDArray[Any],
    indptr: NDArray[np.int64],
    needed: NDArray[np.int64],
    k: float,
    out: NDArray[np.float64],
) -> None:
    """Find ``out`` (roi, time): the root in c of ``sum(clip((x - c) / s, -k, k))``, s = 1.4826 MAD.

    The median where s is 0. NaN where fewer than ``needed[roi]`` entries are valid, or s is not finite.
    """
    for roi, (first, last) in enumerate(zip(indptr[:-1].tolist(), indptr[1:].tolist(), strict=True)):
        scratch, program, behind = _sorting(matrix, last - first)
        _huber_of_roi(matrix[first:last], scratch, program, behind, needed[roi], k, out[roi])


def weighted_medians(
    matrix: NDArray[Any],
    indptr: NDArray[np.int64],
    weights: NDArray[np.float64],
    needed: NDArray[Any],
    out: NDArray[np.float64],
) -> None:
    """Find ``out`` (roi, time): the sample with half of the weight below it; the middle of two where half ends between them.

    `weights` (entry); NaN where the valid entries weigh less than ``needed[roi]`` or nothing.
    """
    for roi, (first, last) in enumerate(zip(indptr[:-1].tolist(), indptr[1:].tolist(), strict=True)):
        scratch, program, behind = _sorting(matrix, last - first)
        own = weights[first:last]
        _weighted_median_of_roi(matrix[first:last], scratch, program, behind, own, needed[roi], out[roi])


def _sorting(matrix: NDArray[Any], count: int) -> tuple[NDArray[Any], NDArray[np.int32], Any]:
    """Return room to sort lanes of `count` entries in, the program that does it, and what no sample exceeds, to put in place of NaN."""
    small = count <= NETWORK_LIMIT
    lanes = SCRATCH_ROW_BYTES // matrix.itemsize if small else LANES_OF_LARGE
    program = sorting_program(count if small else 0)
    return scratch_rows(matrix, count, lanes), program, highest_of(matrix.dtype)


@compiled()
def _sort_frames(rows, first, size, scratch, program, behind, valid):  # type: ignore[no-untyped-def]
    """Sort `size` frames from `first` on in `scratch` (entry, lane), NaN behind all others, and count these in `valid`."""
    valid[:] = 0
    for entry in range(rows.shape[0]):
        row = rows[entry, first : first + size]
        kept = scratch[entry]
        for lane in range(size):
            is_number = row[lane] == row[lane]
            kept[lane] = row[lane] if is_number else behind
            valid[lane] += np.int32(1) if is_number else np.int32(0)
    if rows.shape[0] <= NETWORK_LIMIT:
        sort_lanes(scratch, rows.shape[0], program, behind)
    else:
        for lane in range(size):
            scratch[: rows.shape[0], lane] = np.sort(scratch[: rows.shape[0], lane])


# -- Huber location -----------------------------------------------------------------------------------------------


@compiled()
def _huber_of_roi(rows, scratch, program, behind, needed, k, out):  # type: ignore[no-untyped-def]
    lanes = scratch.shape[1]
    valid = np.zeros(lanes, np.int32)
    widths = np.zeros(lanes)
    for first in range(0, rows.shape[1], lanes):
        size = min(lanes, rows.shape[1] - first)
        _sort_frames(rows, first, size, scratch, program, behind, valid)
        centres = out[first : first + size]
        for lane in range(size):
            n = valid[lane]
            centres[lane] = np.nan
            widths[lane] = 0.0
            if n == 0 or n < needed:
                continue
            centre = _middle(scratch, lane, n)
            width = k * MAD_TO_SD * _deviation(scratch, lane, n, centre)
            if np.isfinite(centre) and np.isfinite(width):
                centres[lane], widths[lane] = centre, width
        _newton(scratch, valid, widths, centres)


@compiled()
def _middle(ordered, lane, n):  # type: ignore[no-untyped-def]
    half = n // 2
    upper = np.float64(ordered[half, lane])
    return upper if n % 2 else (np.float64(ordered[half - 1, lane]) + upper) / 2


@compiled()
def _deviation(ordered, lane, n, centre):  # type: ignore[no-untyped-def]
    """Median distance of a lane from its median."""
    half = n // 2
    upper = _distance(ordered, lane, n, centre, half)
    return upper if n % 2 else (_distance(ordered, lane, n, centre, half - 1) + upper) / 2


@compiled()
def _distance(ordered, lane, n, centre, rank):  # type: ignore[no-untyped-def]
    """Distance from `centre` of the sample that has `rank` nearer ones: half a window of rank + 1 samples, where that is least."""
    low, high = 0, n - 1 - rank
    while low < high:
        window = (low + high) // 2
        if np.float64(ordered[window + rank, lane]) - centre >= centre - np.float64(ordered[window, lane]):
            high = window
        else:
            low = window + 1
    right = max(np.float64(ordered[low + rank, lane]) - centre, centre - np.float64(ordered[low, lane]))
    if low == 0:
        return right
    left = max(
        np.float64(ordered[low - 1 + rank, lane]) - centre, centre - np.float64(ordered[low - 1, lane])
    )
    return min(left, right)


@compiled()
def _newton(ordered, valid, widths, centres):  # type: ignore[no-untyped-def]
    """Newton's method on a sum that is linear between few bends: it ends when no sample changes sides. Kept in a bracket.

    Lanes without a width are left as they are.
    """
    lanes = centres.size
    low, high = np.empty(lanes), np.empty(lanes)
    begin, end = np.zeros(lanes, np.int32), np.zeros(lanes, np.int32)
    running = np.zeros(lanes, np.bool_)
    inner = np.empty(lanes)
    for lane in range(lanes):
        running[lane] = widths[lane] > 0
        low[lane], high[lane] = ordered[0, lane], ordered[valid[lane] - 1, lane]
        begin[lane] = -1
    for _ in range(MOST_STEPS):
        any_running = False
        for lane in range(lanes):
            if running[lane]:
                first = _count_below(ordered, lane, valid[lane], centres[lane] - widths[lane])
                last = _count_up_to(ordered, lane, valid[lane], centres[lane] + widths[lane])
                running[lane] = first != begin[lane] or last != end[lane]
                begin[lane], end[lane] = first, last
                any_running |= running[lane]
        if not any_running:
            break
        _add_steps(ordered, begin, end, centres, inner)
        for lane in range(lanes):
            if not running[lane]:
                continue
            pull = inner[lane] + widths[lane] * (valid[lane] - end[lane] - begin[lane])
            if pull > 0:
                low[lane] = centres[lane]
            else:
                high[lane] = centres[lane]
            inside = end[lane] - begin[lane]
            step = centres[lane] + pull / inside if inside > 0 else np.nan
            if not low[lane] <= step <= high[lane]:
                step = (low[lane] + high[lane]) / 2
                begin[lane] = -1
            centres[lane] = step


@compiled()
def _add_steps(ordered, begin, end, centres, total):  # type: ignore[no-untyped-def]
    """Add the distances from the centre of each lane's entries from `begin` to `end`, in order."""
    total[:] = 0.0
    all_from, all_to = begin.max(), end.min()
    for entry in range(max(begin.min(), 0), end.max()):
        row = ordered[entry, : total.size]
        if all_from <= entry < all_to:
            for lane in range(total.size):
                total[lane] += np.float64(row[lane]) - centres[lane]
        else:
            number = np.int32(entry)
            for lane in range(total.size):
                inside = begin[lane] <= number < end[lane]
                total[lane] += np.float64(row[lane]) - centres[lane] if inside else 0.0


@compiled()
def _count_below(ordered, lane, n, level):  # type: ignore[no-untyped-def]
    low, high = 0, n
    while low < high:
        entry = (low + high) // 2
        if np.float64(ordered[entry, lane]) < level:
            low = entry + 1
        else:
            high = entry
    return low


@compiled()
def _count_up_to(ordered, lane, n, level):  # type: ignore[no-untyped-def]
    low, high = 0, n
    while low < high:
        entry = (low + high) // 2
        if np.float64(ordered[entry, lane]) <= level:
            low = entry + 1
        else:
            high = entry
    return low


# -- weighted median ----------------------------------------------------------------------------------------------


@compiled()
def _weighted_median_of_roi(rows, scratch, program, behind, weights, needed, out):  # type: ignore[no-untyped-def]
    """Halve the sorted samples of each lane until one is left; weights are added up for all lanes at once."""
    lanes = scratch.shape[1]
    valid = np.zeros(lanes, np.int32)
    low, high, middle = np.zeros(lanes, np.int32), np.zeros(lanes, np.int32), np.zeros(lanes, np.int32)
    total, below = np.zeros(lanes), np.zeros(lanes)
    levels = np.zeros(lanes, rows.dtype)
    for first in range(0, rows.shape[1], lanes):
        size = min(lanes, rows.shape[1] - first)
        _sort_frames(rows, first, size, scratch, program, behind, valid)
        _weigh_valid(rows, first, size, weights, total)
        low[:] = 0
        high[:] = np.maximum(valid - 1, 0)
        while (low < high).any():
            for lane in range(size):
                middle[lane] = (low[lane] + high[lane]) // 2
                levels[lane] = scratch[middle[lane], lane]
            _weigh_up_to(rows, first, size, weights, levels, below)
            for lane in range(size):
                # half within rounding counts as half, so that scaled weights give the same median
                if below[lane] < 0.5 * total[lane] * (1 - TIE):
                    low[lane] = min(middle[lane] + 1, high[lane])
                else:
                    high[lane] = middle[lane]
        for lane in range(size):
            levels[lane] = scratch[high[lane], lane]
        _weigh_up_to(rows, first, size, weights, levels, below)
        for lane in range(size):
            value = np.float64(levels[lane])
            if below[lane] <= 0.5 * total[lane] * (1 + TIE):
                value = (value + _next_above(rows, first + lane, weights, value)) / 2
            hidden = total[lane] == 0 or total[lane] < needed
            out[first + lane] = np.nan if hidden else value


@compiled()
def _weigh_valid(rows, first, size, weights, total):  # type: ignore[no-untyped-def]
    total[:] = 0.0
    for entry in range(rows.shape[0]):
        row, weight = rows[entry, first : first + size], weights[entry]
        for lane in range(size):
            total[lane] += weight if row[lane] == row[lane] else 0.0


@compiled()
def _weigh_up_to(rows, first, size, weights, levels, total):  # type: ignore[no-untyped-def]
    """Add the weights of each lane's samples that are not above its level."""
    total[:] = 0.0
    for entry in range(rows.shape[0]):
        row, weight = rows[entry, first : first + size], weights[entry]
        for lane in range(size):
            total[lane] += weight if row[lane] <= levels[lane] else 0.0


@compiled()
def _next_above(rows, frame, weights, level):  # type: ignore[no-untyped-def]
    """Return the least sample above a level that weighs something; the level where there is none."""
    least = np.inf
    found = False
    for entry in range(rows.shape[0]):
        value = np.float64(rows[entry, frame])
        if weights[entry] > 0 and level < value <= least:
            least, found = value, True
    return least if found else level
