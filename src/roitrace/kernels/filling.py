"""Missing samples of a trace from their neighbours in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["interpolate_missing"]


def interpolate_missing(
    trace: NDArray[np.float64], time: NDArray[np.float64], borders: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """Fill NaN along straight lines over time, in place, each segment by itself.

    Before the first and after the last known sample of a segment that sample is repeated; a segment without any stays NaN.

    Parameters
    ----------
    trace : (time,) numpy.ndarray
        Changed in place.
    time : (time,) numpy.ndarray
        Increasing within segments.
    borders : (segments + 1,) numpy.ndarray
        Frames at which segments begin, and the number of frames at the end.

    Returns
    -------
    list of tuple of int
        First and last frame of each run that was filled.

    Examples
    --------
    >>> trace = np.array([1.0, np.nan, 3.0, np.nan])
    >>> interpolate_missing(trace, np.arange(4.0), np.array([0, 4]))
    [(1, 1), (3, 3)]
    >>> trace
    array([1., 2., 3., 3.])
    """
    runs: list[tuple[int, int]] = []
    missing = np.isnan(trace)
    if not missing.any():
        return runs
    for start, stop in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        gaps = np.flatnonzero(missing[start:stop])
        if gaps.size in {0, stop - start}:
            continue
        known = np.flatnonzero(~missing[start:stop]) + start
        gaps += start
        trace[gaps] = np.interp(time[gaps], time[known], trace[known])
        breaks = np.flatnonzero(np.diff(gaps) > 1)
        firsts, lasts = np.r_[gaps[0], gaps[breaks + 1]], np.r_[gaps[breaks], gaps[-1]]
        runs += zip(firsts.tolist(), lasts.tolist(), strict=True)
    return runs
