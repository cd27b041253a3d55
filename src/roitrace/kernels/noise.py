"""Noise of one trace, and how far its transients rise above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MAD_TO_SD", "difference_noise", "peak_over_noise", "sorted_median"]

MAD_TO_SD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation, as the literature rounds it."""


def sorted_median(values: NDArray[np.float64]) -> float:
    """Median of finite values, middle two averaged; a vectorised sort beats `numpy.median`."""
    ordered = np.sort(values)
    middle = ordered.size // 2
    return float(ordered[middle] if ordered.size % 2 else (ordered[middle - 1] + ordered[middle]) / 2)


def difference_noise(trace: NDArray[np.float64], borders: NDArray[np.int64]) -> float:
    """``1.4826 * median|d - median d| / sqrt(2)``, d the differences of neighbouring frames.

    Differences over a border of segments, or with a sample that is not finite, take no part; NaN if none is left.
    """
    usable = np.isfinite(trace)
    usable = usable[1:] & usable[:-1]
    usable[borders[1:-1] - 1] = False
    before, after = trace[:-1][usable], trace[1:][usable]
    if not before.size:
        return float("nan")
    difference = after - before
    return MAD_TO_SD * sorted_median(np.abs(difference - sorted_median(difference))) / float(np.sqrt(2.0))


def peak_over_noise(smooth: NDArray[np.float64], f0: NDArray[np.float64], noise: float) -> float:
    """99th percentile over time of ``smooth - f0``, over the noise; NaN without samples or without noise."""
    above = smooth - f0
    above = above[np.isfinite(above)]
    return float(np.percentile(above, 99.0)) / noise if above.size and noise > 0 else float("nan")
