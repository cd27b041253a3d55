"""Robust locations of the pixels of every ROI, frame by frame, from the pixel matrix ``(entry, time)``.

Each frame is sorted on its own in float64, so no result depends on how time was cut. NaN entries take no part.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["huber_locations", "weighted_medians"]

MAD_TO_SD = 1.4826
MOST_STEPS = 100
TIE = 1e-12


@numba.njit(cache=True, nogil=True, error_model="numpy")
def huber_locations(matrix, indptr, needed, k, out):  # type: ignore[no-untyped-def]
    """Find ``out`` (roi, time): the root in c of ``sum(clip((x - c) / s, -k, k))``, s = 1.4826 MAD.

    The median where s is 0. NaN where fewer than ``needed[roi]`` entries are valid, or s is not finite.
    """
    for roi in range(indptr.size - 1):
        count = indptr[roi + 1] - indptr[roi]
        samples, steps = np.empty(count), np.empty(count)
        for frame in range(matrix.shape[1]):
            n = 0
            for entry in range(indptr[roi], indptr[roi + 1]):
                value = np.float64(matrix[entry, frame])
                if value == value:  # noqa: PLR0124
                    samples[n] = value
                    n += 1
            if n == 0 or n < needed[roi]:
                out[roi, frame] = np.nan
                continue
            ordered = samples[:n]
            ordered.sort()
            centre = _middle(ordered)
            for i in range(n):
                steps[i] = abs(ordered[i] - centre)
            distances = steps[:n]
            distances.sort()
            out[roi, frame] = _huber(ordered, centre, k * MAD_TO_SD * _middle(distances))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def weighted_medians(matrix, indptr, weights, needed, out):  # type: ignore[no-untyped-def]
    """Find ``out`` (roi, time): the sample with half of the weight below it; the middle of two where half ends between them.

    `weights` (entry); NaN where the valid entries weigh less than ``needed[roi]`` or nothing.
    """
    for roi in range(indptr.size - 1):
        first, last = indptr[roi], indptr[roi + 1]
        samples, own = np.empty(last - first), np.empty(last - first)
        for frame in range(matrix.shape[1]):
            n = 0
            total = 0.0
            for entry in range(first, last):
                value = np.float64(matrix[entry, frame])
                if value == value and weights[entry] > 0:  # noqa: PLR0124
                    samples[n], own[n] = value, weights[entry]
                    total += weights[entry]
                    n += 1
            if n == 0 or total < needed[roi]:
                out[roi, frame] = np.nan
                continue
            order = np.argsort(samples[:n], kind="mergesort")
            below, place = 0.0, -1
            # half within rounding counts as half, so that scaled weights give the same median
            while place + 1 < n and below < 0.5 * total * (1 - TIE):
                place += 1
                below += own[order[place]]
            value = samples[order[place]]
            if place + 1 < n and below <= 0.5 * total * (1 + TIE):
                value = (value + samples[order[place + 1]]) / 2
            out[roi, frame] = value


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _middle(ordered):  # type: ignore[no-untyped-def]
    half = ordered.size // 2
    return ordered[half] if ordered.size % 2 else (ordered[half - 1] + ordered[half]) / 2


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _huber(ordered, centre, width):  # type: ignore[no-untyped-def]
    """Newton's method on a sum that is linear between few bends: it ends when no sample changes sides. Kept in a bracket."""
    if not np.isfinite(width):
        return np.nan
    if width == 0:
        return centre
    low, high = ordered[0], ordered[-1]
    before_below, before_above = -1, -1
    for _ in range(MOST_STEPS):
        inner, below, above = 0.0, 0, 0
        for value in ordered:
            if value < centre - width:
                below += 1
            elif value > centre + width:
                above += 1
            else:
                inner += value - centre
        if below == before_below and above == before_above:
            return centre
        before_below, before_above = below, above
        pull = inner + width * (above - below)
        if pull > 0:
            low = centre
        else:
            high = centre
        inside = ordered.size - below - above
        step = centre + pull / inside if inside else np.nan
        if not low <= step <= high:
            step = (low + high) / 2
            before_below = -1
        centre = step
    return centre
