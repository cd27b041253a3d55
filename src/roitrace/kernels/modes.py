"""Rolling mode of one trace, over centred windows that are cut at borders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["rolling_mode"]


def rolling_mode(
    trace: NDArray[np.float64], borders: NDArray[np.int64], half_window: int
) -> NDArray[np.float64]:
    """Return the most frequent whole number of the samples at most `half_window` frames away, the lowest of several.

    Samples are rounded to whole counts. NaN take no part; NaN where a window has no other.
    """
    rounded = np.rint(trace)
    finite = np.isfinite(rounded)
    levels, ranks = np.unique(rounded[finite], return_inverse=True)
    rank = np.full(trace.size, -1, dtype=np.int64)
    rank[finite] = ranks
    result: NDArray[np.float64] = _walk(rank, levels, borders, half_window)
    return result


@njit(nogil=True, cache=True)
def _walk(rank, levels, borders, half_window):  # type: ignore[no-untyped-def]
    result = np.full(rank.size, np.nan)
    counts = np.zeros(levels.size, np.int64)
    for segment in range(borders.size - 1):
        begin, end = borders[segment], borders[segment + 1]
        entering, leaving, mode = begin, begin, -1
        counts[:] = 0
        for t in range(begin, end):
            stale = False
            while entering < min(end, t + half_window + 1):
                place = rank[entering]
                entering += 1
                if place >= 0:
                    counts[place] += 1
                    if (
                        mode < 0
                        or counts[place] > counts[mode]
                        or (counts[place] == counts[mode] and place < mode)
                    ):
                        mode = place
            while leaving < t - half_window:
                place = rank[leaving]
                leaving += 1
                if place >= 0:
                    counts[place] -= 1
                    stale = stale or place == mode
            if stale:
                mode = int(np.argmax(counts))
            if mode >= 0 and counts[mode] > 0:
                result[t] = levels[mode]
    return result
