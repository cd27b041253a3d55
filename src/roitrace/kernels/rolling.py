"""Rolling statistics of one trace: Gaussian smoothing and percentiles over centred windows, cut at borders.

A trace is ``(time,)`` float64. `borders` are the frames at which its segments begin, with the number of frames at
the end: ``[0, 500, 900]`` means two segments. No window reaches over a border, and nothing is padded: a window at
a border is smaller. Samples that are not finite take no part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["gaussian_smooth", "rolling_percentile"]

_TILE = 1024
_WORD = 64
# The lowest set bit of a word, times this number, has the bit's position in its upper six bits.
_DE_BRUIJN = 0x03F79D71B4CB0A89
_BIT_POSITION = np.zeros(_WORD, dtype=np.int64)
for _bit in range(_WORD):
    _BIT_POSITION[((_DE_BRUIJN << _bit) & 0xFFFFFFFFFFFFFFFF) >> 58] = _bit


def gaussian_smooth(
    trace: NDArray[np.float64], borders: NDArray[np.int64], sigma: float
) -> NDArray[np.float64]:
    """Average each sample with its neighbours, weighted by a Gaussian.

    The weights ``exp(-k^2 / (2 sigma^2))`` reach 4 sigma (as in `scipy.ndimage.gaussian_filter1d`) and are
    divided by the sum of those that meet a finite sample of the same segment.

    Parameters
    ----------
    trace : numpy.ndarray
        ``(time,)``, float64.
    borders : numpy.ndarray
        Where segments begin, and the number of frames; int64.
    sigma : float
        Standard deviation, frames. 0 leaves the trace as it is.

    Returns
    -------
    numpy.ndarray
        ``(time,)``, float64; NaN where the sample itself is not finite.
    """
    finite = np.isfinite(trace)
    complete = bool(finite.all())
    if sigma <= 0:
        return trace.copy() if complete else np.where(finite, trace, np.nan)
    radius = int(4.0 * sigma + 0.5)
    taps = np.exp(-0.5 * (np.arange(radius + 1, dtype=np.float64) / sigma) ** 2)
    total = np.empty_like(trace)
    weight = np.empty_like(trace)
    if complete:
        _convolve(trace, borders, taps, total)
        _add_taps(borders, taps, weight)
        return total / weight
    _convolve(np.where(finite, trace, 0.0), borders, taps, total)
    _convolve(finite.astype(np.float64), borders, taps, weight)
    smooth = np.full_like(trace, np.nan)
    np.divide(total, weight, out=smooth, where=finite)
    return smooth


def rolling_percentile(
    trace: NDArray[np.float64], borders: NDArray[np.int64], half_window: int, percentile: float
) -> NDArray[np.float64]:
    """Percentile of the finite samples at most `half_window` frames away, within the segment.

    Exact, with the linear definition and the rounding of `numpy.percentile`. The samples of the window are kept as
    set bits in the order of the whole trace's values, so that a step costs the same for any window.

    Parameters
    ----------
    trace : numpy.ndarray
        ``(time,)``, float64.
    borders : numpy.ndarray
        Where segments begin, and the number of frames; int64.
    half_window : int
        Frames on either side of the centre: a window has ``2 * half_window + 1``.
    percentile : float
        0 to 100.

    Returns
    -------
    numpy.ndarray
        ``(time,)``, float64; NaN where the window has no finite sample.
    """
    finite = np.isfinite(trace)
    samples = trace if finite.all() else np.where(finite, trace, np.nan)
    order = np.argsort(samples)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    rank[~finite] = -1
    result: NDArray[np.float64] = _walk(rank, samples[order], borders, half_window, percentile / 100.0)
    return result


@njit(nogil=True, cache=True)
def _convolve(values, borders, taps, total):  # type: ignore[no-untyped-def]
    """Sum ``taps[|k|] * values[t + k]`` within segments, for each t in the same order of k."""
    radius = taps.size - 1
    for segment in range(borders.size - 1):
        begin, end = borders[segment], borders[segment + 1]
        for start in range(begin, end, _TILE):  # a tile of sums stays in the cache while the taps run over it
            stop = min(start + _TILE, end)
            for t in range(start, stop):
                total[t] = 0.0
            for k in range(-radius, radius + 1):
                tap = taps[abs(k)]
                first, last = max(start, begin - k), min(stop, end - k)
                if first < last:
                    into, taken = total[first:last], values[first + k : last + k]
                    for i in range(into.size):
                        into[i] += tap * taken[i]


@njit(nogil=True, cache=True)
def _add_taps(borders, taps, weight):  # type: ignore[no-untyped-def]
    """Sum the taps that `_convolve` uses for each t: all of them, but for those that a border cuts off."""
    radius = taps.size - 1
    whole = 0.0
    for k in range(-radius, radius + 1):
        whole += taps[abs(k)]
    for segment in range(borders.size - 1):
        begin, end = borders[segment], borders[segment + 1]
        for t in range(begin, end):
            weight[t] = whole
            if t - begin < radius or end - 1 - t < radius:
                weight[t] = 0.0
                for k in range(max(-radius, begin - t), min(radius, end - 1 - t) + 1):
                    weight[t] += taps[abs(k)]


@njit(nogil=True, cache=True)
def _lowest_bit(word):  # type: ignore[no-untyped-def]
    lowest = word & (~word + np.uint64(1))
    return _BIT_POSITION[(lowest * np.uint64(_DE_BRUIJN)) >> np.uint64(58)]


@njit(nogil=True, cache=True)
def _highest_bit(word):  # type: ignore[no-untyped-def]
    position = 0
    for shift in (32, 16, 8, 4, 2, 1):
        if word >> np.uint64(shift):
            word >>= np.uint64(shift)
            position += shift
    return position


@njit(nogil=True, cache=True)
def _set(words, summary, place):  # type: ignore[no-untyped-def]
    word = place >> 6
    words[word] |= np.uint64(1) << np.uint64(place & 63)
    summary[word >> 6] |= np.uint64(1) << np.uint64(word & 63)


@njit(nogil=True, cache=True)
def _clear(words, summary, place):  # type: ignore[no-untyped-def]
    word = place >> 6
    words[word] &= ~(np.uint64(1) << np.uint64(place & 63))
    if words[word] == 0:
        summary[word >> 6] &= ~(np.uint64(1) << np.uint64(word & 63))


@njit(nogil=True, cache=True)
def _next(words, summary, place):  # type: ignore[no-untyped-def]
    """Find the first set bit at or above `place`; -1 if there is none."""
    if place >= words.size * 64:
        return -1
    word = place >> 6
    rest = words[word] >> np.uint64(place & 63)
    if rest:
        return place + _lowest_bit(rest)
    word += 1
    group = word >> 6
    if group >= summary.size:
        return -1
    rest = (summary[group] >> np.uint64(word & 63)) << np.uint64(word & 63)
    while not rest:
        group += 1
        if group >= summary.size:
            return -1
        rest = summary[group]
    word = (group << 6) + _lowest_bit(rest)
    return (word << 6) + _lowest_bit(words[word])


@njit(nogil=True, cache=True)
def _previous(words, summary, place):  # type: ignore[no-untyped-def]
    """Find the last set bit below `place`; -1 if there is none."""
    word = place >> 6
    rest = words[word] & ((np.uint64(1) << np.uint64(place & 63)) - np.uint64(1))
    if rest:
        return (word << 6) + _highest_bit(rest)
    group = word >> 6
    rest = summary[group] & ((np.uint64(1) << np.uint64(word & 63)) - np.uint64(1))
    while not rest:
        group -= 1
        if group < 0:
            return -1
        rest = summary[group]
    word = (group << 6) + _highest_bit(rest)
    return (word << 6) + _highest_bit(words[word])


@njit(nogil=True, cache=True)
def _walk(rank, ordered, borders, half_window, fraction):  # type: ignore[no-untyped-def]
    """Slide the window over each segment; `pointer` is the bit with `below` set bits below it."""
    words = np.zeros(rank.size // 64 + 1, dtype=np.uint64)
    summary = np.zeros(words.size // 64 + 1, dtype=np.uint64)
    result = np.empty_like(ordered)
    for segment in range(borders.size - 1):
        begin, end = borders[segment], borders[segment + 1]
        entering, leaving, count, below, pointer = begin, begin, 0, 0, 0
        for t in range(begin, end):
            while entering < min(end, t + half_window + 1):
                place = rank[entering]
                entering += 1
                if place >= 0:
                    _set(words, summary, place)
                    count += 1
                    below += place < pointer
            while leaving < t - half_window:
                place = rank[leaving]
                leaving += 1
                if place >= 0:
                    _clear(words, summary, place)
                    count -= 1
                    below -= place < pointer
            if count == 0:
                result[t] = np.nan
                continue
            position = (count - 1) * fraction
            wanted = int(position)
            part = position - wanted
            while below > wanted:
                pointer = _previous(words, summary, pointer)
                below -= 1
            pointer = _next(words, summary, pointer)
            while below < wanted:
                pointer = _next(words, summary, pointer + 1)
                below += 1
            result[t] = ordered[pointer]
            if part > 0:
                low = ordered[pointer]
                high = ordered[_next(words, summary, pointer + 1)]
                result[t] = high - (high - low) * (1 - part) if part >= 0.5 else low + (high - low) * part
        for t in range(leaving, end):
            if rank[t] >= 0:
                _clear(words, summary, rank[t])
    return result
