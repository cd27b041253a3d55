"""Statistics that say more than a name: ``stat.trimmed_mean(0.25, name="trim25")``.

Each function returns a value for the ``statistics`` argument of `roitrace.extract` and, where it makes sense over time,
`roitrace.project`.

Examples
--------
>>> print(percentile(90, name="p90"))
percentile(q=90)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from roitrace.engine.statistics import Statistic, make

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "max",
    "mean",
    "median",
    "min",
    "percentile",
    "std",
    "sum",
    "trimmed_mean",
    "var",
    "weighted_mean",
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


def max(*, name: str | None = None) -> Statistic:
    """Largest sample."""
    return make("max", name=name)


def median(*, name: str | None = None) -> Statistic:
    """Middle sample; the middle two averaged."""
    return make("median", name=name)


def percentile(q: float, *, name: str | None = None) -> Statistic:
    """Percentile `q` in 0..100, interpolated linearly as `numpy.percentile` does."""
    return make("percentile", name=name, q=q)


def std(*, ddof: float = 0, name: str | None = None) -> Statistic:
    """Root of the variance, with ``n - ddof`` in the denominator."""
    return make("std", name=name, ddof=ddof)


def var(*, ddof: float = 0, name: str | None = None) -> Statistic:
    """Variance with ``n - ddof`` in the denominator."""
    return make("var", name=name, ddof=ddof)


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
