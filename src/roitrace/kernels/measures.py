"""Numbers that describe one trace ``(time,)``: how it changes, how it is spread, how far two of them agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "correlation",
    "drift",
    "neighbour_differences",
    "nu",
    "skewness",
    "split_half_reliability",
    "suite2p_snr",
]


def neighbour_differences(trace: NDArray[np.float64], borders: NDArray[np.int64]) -> NDArray[np.float64]:
    """Differences of neighbouring finite frames of one segment."""
    usable = np.isfinite(trace)
    usable = usable[1:] & usable[:-1]
    usable[borders[1:-1] - 1] = False
    return np.diff(trace)[usable]


def nu(dff: NDArray[np.float64], borders: NDArray[np.int64], frame_rate: float) -> float:
    """Rupprecht's noise level: ``100 median|differences of dF/F| / sqrt(frame rate)``, per cent per root of Hz."""
    differences = neighbour_differences(dff, borders)
    if not differences.size:
        return float("nan")
    return 100.0 * float(np.median(np.abs(differences))) / float(np.sqrt(frame_rate))


def suite2p_snr(trace: NDArray[np.float64], borders: NDArray[np.int64]) -> float:
    """suite2p's ``1 - var(differences) / (2 var)``: 0 for white noise, 1 for what changes slowly; NaN for a constant."""
    differences = neighbour_differences(trace, borders)
    samples = trace[np.isfinite(trace)]
    if differences.size < 2 or samples.min() == samples.max():
        return float("nan")
    return 1.0 - float(differences.var()) / (2.0 * float(samples.var()))


def skewness(trace: NDArray[np.float64]) -> float:
    """Third central moment over the cube of the standard deviation (biased, as `scipy.stats.skew`); NaN for a constant."""
    samples = trace[np.isfinite(trace)]
    if not samples.size or samples.min() == samples.max():
        return float("nan")
    centred = samples - samples.mean()
    return float(np.mean(centred**3) / np.mean(centred**2) ** 1.5)


def drift(trace: NDArray[np.float64]) -> float:
    """Median of the last tenth minus that of the first, over the median of all; NaN for fewer than 10 frames or a median of 0."""
    tenth = trace.size // 10
    if tenth == 0:
        return float("nan")
    parts = [part[np.isfinite(part)] for part in (trace[:tenth], trace[-tenth:], trace)]
    if any(part.size == 0 for part in parts):
        return float("nan")
    first, last, level = (float(np.median(part)) for part in parts)
    return (last - first) / level if level else float("nan")


def correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Pearson's r over the frames where both are finite; NaN where one is constant."""
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    if x.size < 2 or x.min() == x.max() or y.min() == y.max():
        return float("nan")
    dx, dy = x - x.mean(), y - y.mean()
    return float(np.clip(np.sum(dx * dy) / np.sqrt(np.sum(dx * dx) * np.sum(dy * dy)), -1.0, 1.0))


def split_half_reliability(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman and Brown's ``2 r / (1 + r)``: the correlation that two wholes would have whose halves correlate by r."""
    r = correlation(a, b)
    return 2 * r / (1 + r) if r > -1 else float("nan")
