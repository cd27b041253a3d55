"""F0 by other people's definitions: each a function of one trace ``(time,)`` and the borders of its segments."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from roitrace.kernels.modes import rolling_mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Trace = NDArray[np.float64]
    Borders = NDArray[np.int64]

__all__ = [
    "BleachingFit",
    "bleaching",
    "chosen_frames",
    "fit_bleaching",
    "lowpass_percentile",
    "maximin",
    "smoothed_mode",
]

_TAPS = 30  # FISSA's filter
_BLOCKS = 120  # samples that a bleaching curve is fitted to
_MODE_TO_MEAN = 5 / 9  # the Allen Institute's windows: 5400 frames for the mode, 3000 for the mean


def maximin(trace: Trace, borders: Borders, *, window: int, sigma: float) -> Trace:
    """suite2p's: Gaussian, rolling minimum, rolling maximum, by scipy.ndimage with its mirrored ends."""
    from scipy.ndimage import gaussian_filter1d, maximum_filter1d, minimum_filter1d  # noqa: PLC0415

    def low(values: Trace) -> Trace:
        smooth = gaussian_filter1d(values, sigma) if sigma > 0 else values
        return np.asarray(maximum_filter1d(minimum_filter1d(smooth, window), window), dtype=np.float64)

    return _by_segment(trace, borders, low)


def lowpass_percentile(trace: Trace, borders: Borders, *, cutoff: float | None, percentile: float) -> Trace:
    """FISSA's: a percentile of the segment behind a filter of 30 taps (Hamming), forwards and backwards.

    `cutoff` in units of half the frame rate; None for no filter.
    """
    from scipy.signal import filtfilt, firwin  # noqa: PLC0415

    def level(values: Trace) -> Trace:
        if cutoff is not None:
            taps = firwin(_TAPS, cutoff=cutoff, window="hamming")
            values = filtfilt(taps, [1.0], values, padlen=min(3 * _TAPS, values.size - 1))
        return np.full(values.size, np.percentile(values, percentile))

    return _by_segment(trace, borders, level)


def smoothed_mode(trace: Trace, borders: Borders, *, half_window: int) -> Trace:
    """Allen Institute's: the rolling mode of whole counts, then a rolling mean over 5/9 of the window."""
    mode = rolling_mode(trace, borders, half_window)
    half = max(round(half_window * _MODE_TO_MEAN), 0)
    result = np.full_like(trace, np.nan)
    for begin, end in pairwise(borders.tolist()):
        part = mode[begin:end]
        known = np.isfinite(part)
        sums = np.concatenate([[0.0], np.cumsum(np.where(known, part, 0.0))])
        counts = np.concatenate([[0], np.cumsum(known)])
        at = np.arange(part.size)
        first, last = np.maximum(at - half, 0), np.minimum(at + half + 1, part.size)
        number = counts[last] - counts[first]
        total = sums[last] - sums[first]
        result[begin:end] = np.divide(total, number, out=np.full(part.size, np.nan), where=number > 0)
    return result


def chosen_frames(trace: Trace, borders: Borders, *, chosen: NDArray[np.bool_]) -> Trace:
    """Mean over chosen frames of each segment; NaN in a segment that has none."""
    result = np.full_like(trace, np.nan)
    for begin, end in pairwise(borders.tolist()):
        samples = trace[begin:end][chosen[begin:end] & np.isfinite(trace[begin:end])]
        if samples.size:
            result[begin:end] = samples.mean()
    return result


def bleaching(trace: Trace, borders: Borders, *, percentile: float) -> Trace:
    """Double exponential through a low percentile of each segment; NaN where nothing can be fitted."""
    result = np.full_like(trace, np.nan)
    for begin, end in pairwise(borders.tolist()):
        fit = fit_bleaching(trace[begin:end], percentile)
        if fit is not None:
            result[begin:end] = fit.curve
    return result


class BleachingFit:
    """``c + a exp(-t / fast) + b exp(-t / slow)`` with a, b, c >= 0, t in frames.

    Attributes
    ----------
    curve : numpy.ndarray
        ``(time,)``.
    times : tuple of float
        Both time constants, frames.
    amplitudes : tuple of float
        Those of the exponentials.
    level : float
        What stays.
    """

    def __init__(self, frames: int, times: tuple[float, float], parts: Trace) -> None:
        t = np.arange(frames)
        self.times = times
        self.amplitudes = float(parts[0]), float(parts[1])
        self.level = float(parts[2])
        fast, slow = (
            amplitude * np.exp(-t / time) for amplitude, time in zip(self.amplitudes, times, strict=True)
        )
        self.curve: Trace = self.level + fast + slow

    @property
    def time_constant(self) -> float:
        """Mean of both times by their amplitudes, frames; NaN where nothing bleaches."""
        total = sum(self.amplitudes)
        if total <= 1e-3 * (total + self.level):
            return float("nan")
        return sum(a * t for a, t in zip(self.amplitudes, self.times, strict=True)) / total


def fit_bleaching(segment: Trace, percentile: float = 8.0) -> BleachingFit | None:
    """Fit a double exponential to the percentile of up to 120 blocks of a segment; None for fewer than 8 blocks.

    Non-negative least squares over a grid of pairs of time constants, refined twice around the best: no start value, no failure to
    converge.
    """
    from scipy.optimize import nnls  # noqa: PLC0415

    edges = np.unique(np.linspace(0, segment.size, _BLOCKS + 1).round().astype(np.int64))
    centres, levels = [], []
    for begin, end in pairwise(edges.tolist()):
        samples = segment[begin:end][np.isfinite(segment[begin:end])]
        if samples.size:
            centres.append((begin + end - 1) / 2)
            levels.append(float(np.percentile(samples, percentile)))
    if len(levels) < 8:
        return None
    t, y = np.array(centres), np.array(levels)
    best: tuple[float, tuple[float, float], Trace] | None = None
    grid = np.geomspace(0.02, 10.0, 12) * segment.size
    pairs = [(fast, slow) for number, fast in enumerate(grid) for slow in grid[number + 1 :]]
    for step in (1.7, 1.3, 1.0):
        for fast, slow in pairs:
            design = np.stack([np.exp(-t / fast), np.exp(-t / slow), np.ones(t.size)], axis=1)
            parts, error = nnls(design, y)
            if best is None or error < best[0] * (1 - 1e-12):
                best = (float(error), (float(fast), float(slow)), parts)
        assert best is not None
        around = [
            np.geomspace(time / step, time * step, 5) if step > 1 else np.array([time]) for time in best[1]
        ]
        pairs = [(fast, slow) for fast in around[0] for slow in around[1] if fast < slow]
    assert best is not None
    return BleachingFit(segment.size, best[1], best[2])


def _by_segment(trace: Trace, borders: Borders, function: Callable[[Trace], Trace]) -> Trace:
    """Call a function with each segment, missing samples filled in from their neighbours."""
    result = np.full_like(trace, np.nan)
    for begin, end in pairwise(borders.tolist()):
        values = trace[begin:end]
        finite = np.isfinite(values)
        if not finite.any():
            continue
        if not finite.all():
            at = np.arange(values.size)
            values = np.interp(at, at[finite], values[finite])
        result[begin:end] = function(values)
    return result
