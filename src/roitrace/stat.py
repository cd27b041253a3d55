"""Statistics that say more than a name: ``stat.trimmed_mean(0.25, name="trim25")``.

Each function returns a value for the ``statistics`` argument of `roitrace.extract` and, where it makes sense over time,
`roitrace.project`.

Examples
--------
>>> print(percentile(90, name="p90"))
percentile(q=90)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.engine.statistics import Statistic, make, make_halves
from roitrace.units import parse_duration

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "argmax",
    "coefficient_of_variation",
    "correlation",
    "difference_std",
    "huber",
    "interquartile_mean",
    "max",
    "mean",
    "median",
    "min",
    "percentile",
    "sem",
    "skewness",
    "split_half",
    "std",
    "sum",
    "trimmed_mean",
    "var",
    "weighted_mean",
    "weighted_median",
    "winsorized_mean",
]


def mean(*, name: str | None = None) -> Statistic:
    """Sum over n."""
    return make("mean", name=name)


def sum(*, name: str | None = None) -> Statistic:
    """Sum of the samples."""
    return make("sum", name=name)


def min(*, name: str | None = None) -> Statistic:
    """Smallest sample."""
    return make("min", name=name)


def max(*, bin: str | float | None = None, name: str | None = None) -> Statistic:
    """Largest sample; with `bin` (``"1 s"``, ``"30 frames"``, seconds) an image: the largest of the means of bins of frames."""
    return make("max", name=name, **_bins(bin))


def median(*, name: str | None = None) -> Statistic:
    """Middle sample; the middle two averaged."""
    return make("median", name=name)


def percentile(q: float, *, name: str | None = None) -> Statistic:
    """Percentile `q` in 0..100, interpolated linearly as `numpy.percentile` does."""
    return make("percentile", name=name, q=q)


def std(*, ddof: float = 0, bin: str | float | None = None, name: str | None = None) -> Statistic:
    """Root of the variance, with ``n - ddof`` in the denominator; with `bin`, as for `max`, an image: of the means of bins of frames."""
    return make("std", name=name, ddof=ddof, **_bins(bin))


def _bins(duration: str | float | None) -> dict[str, Any]:
    if duration is None:
        return {}
    number, counts_frames = parse_duration(duration, "bin")
    return {"bin_frames" if counts_frames else "bin_seconds": number}


def var(*, ddof: float = 0, name: str | None = None) -> Statistic:
    """Variance with ``n - ddof`` in the denominator."""
    return make("var", name=name, ddof=ddof)


def coefficient_of_variation(*, offset: float, ddof: float = 0, name: str | None = None) -> Statistic:
    """Divide the standard deviation by ``mean - offset``; `offset` is what the detector shows in the dark, counts.

    NaN where the mean is not above it.
    """
    return make("coefficient_of_variation", name=name, offset=offset, ddof=ddof)


def skewness(*, name: str | None = None) -> Statistic:
    """Mean cubed deviation over the cubed standard deviation (`scipy.stats.skew`); an image. NaN for constant pixels."""
    return make("skewness", name=name)


def argmax(*, name: str | None = None) -> Statistic:
    """Frame of the largest sample, the first one, counted from the recording's first frame; an image."""
    return make("argmax", name=name)


def difference_std(*, ddof: float = 0, name: str | None = None) -> Statistic:
    """Take the standard deviation of the differences between successive frames: an image of the noise."""
    return make("difference_std", name=name, ddof=ddof)


def correlation(
    *, detrend: str | float | None = "60 s", bin: str | float | None = None, name: str | None = None
) -> Statistic:
    """Local correlation: the mean of Pearson's r between a pixel and its neighbours (up to 8), an image.

    Smith and Haeusser (2010), Nature Neuroscience 13:1144, as in CaImAn. Each pixel's mean over blocks of `detrend` is
    subtracted first, so that drift that all pixels share does not count. Constant pixels, and float pixels with a NaN
    sample, are NaN.

    Parameters
    ----------
    detrend : str, float or None
        Length of the blocks, counted from the first frame: ``"60 s"``, ``"1800 frames"``, a number of seconds, or None
        for one mean over the whole recording.
    bin : str or float, optional
        Correlate the means of bins of frames, as for `max`; `detrend` is rounded to whole bins, at least two.
    name : str, optional
        Name of the image.

    Examples
    --------
    >>> print(correlation(detrend="450 frames"))
    correlation(detrend_seconds=0, detrend_frames=450)
    """
    number, counts_frames = parse_duration(0 if detrend is None else detrend, "detrend")
    seconds, frames = (0.0, number) if counts_frames else (number, 0.0)
    return make("correlation", name=name, detrend_seconds=seconds, detrend_frames=frames, **_bins(bin))


def trimmed_mean(proportion_to_cut: float = 0.1, *, name: str | None = None) -> Statistic:
    """Mean without ``int(proportion_to_cut * n)`` samples at each end, as `scipy.stats.trim_mean`."""
    return make("trimmed_mean", name=name, proportion_to_cut=proportion_to_cut)


def winsorized_mean(proportion_to_cut: float = 0.1, *, name: str | None = None) -> Statistic:
    """Mean after clipping ``int(proportion_to_cut * n)`` samples at each end to their neighbours."""
    return make("winsorized_mean", name=name, proportion_to_cut=proportion_to_cut)


def weighted_mean(*, weights: ArrayLike | None = None, name: str | None = None) -> Statistic:
    """Weighted mean; `weights` one per pixel entry of the ROIs, by default the weights of the ROIs."""
    own = None if weights is None else np.asarray(weights, dtype=np.float64)
    return make("weighted_mean", name=name, weights=own)


def interquartile_mean(*, name: str | None = None) -> Statistic:
    """Mean of the middle half of the samples; where a quarter of n is no whole number, end samples count in part."""
    return make("interquartile_mean", name=name)


def huber(k: float = 1.345, *, name: str | None = None) -> Statistic:
    """Huber's M-estimate of location [1]_, scale 1.4826 MAD, by Newton's method from the median to the exact root.

    With k = 1.345 it is 95 % as efficient as the mean for normal noise.

    References
    ----------
    .. [1] P. J. Huber, Annals of Mathematical Statistics 35, 73-101 (1964).
    """
    return make("huber", name=name, k=k)


def weighted_median(*, weights: ArrayLike | None = None, name: str | None = None) -> Statistic:
    """Sample with half of the weight below it; `weights` as for `weighted_mean`."""
    own = None if weights is None else np.asarray(weights, dtype=np.float64)
    return make("weighted_median", name=name, weights=own)


def sem(*, name: str | None = None) -> Statistic:
    """Return the standard error of the mean: the standard deviation (ddof 1) over the root of n, as `scipy.stats.sem`."""
    return make("sem", name=name)


def split_half(seed: int = 0) -> tuple[Statistic, Statistic]:
    """Means ``half_a`` and ``half_b`` of two random halves of each ROI's pixels; the same seed gives the same halves.

    Halves depend on the seed, the ROI's id and its number of pixels alone. An odd pixel goes to ``half_b``.
    """
    return make_halves(seed)
