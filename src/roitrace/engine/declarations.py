"""What each kind of statistic needs of the samples, and how it ends.

One declaration makes a statistic usable over a ROI's pixels (`extract`) and, where its sums merge, over time (`project`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.kernels.exact import divide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

__all__ = ["DECLARATIONS", "Declaration", "Order", "Samples"]


@dataclass(frozen=True)
class Samples:
    """Sums over a group of samples, elementwise: what `finish` works on. Only what was needed is there.

    Attributes
    ----------
    count, total, minimum, maximum
        Of the samples.
    spread, cubes
        Sums of squared and of cubed deviations from the mean.
    weighted, weight
        Sums of weighted samples and of weights.
    position
        Frame of the largest sample, the first one; -1 for none.
    changes : Samples
        Count and spread of the differences between successive frames.
    correlation
        Mean of Pearson's r with the neighbouring pixels.
    """

    count: Any = None
    total: Any = None
    spread: Any = None
    minimum: Any = None
    maximum: Any = None
    weighted: Any = None
    weight: Any = None
    cubes: Any = None
    position: Any = None
    changes: Any = None
    correlation: Any = None


@dataclass(frozen=True)
class Order:
    """A statistic of the sorted samples x_0 <= x_1 <= ...: either a quotient of whole multiples, or between two of them.

    ``sum(times * sum(x[start:stop])) / denominator`` over `segments`, or, without segments, linear interpolation from
    ``x[low]`` to ``x[high]`` by `gamma`.
    """

    segments: tuple[tuple[int, int, int], ...] = ()
    denominator: int = 1
    low: int = 0
    high: int = 0
    gamma: float = 0.0

    @property
    def ranks(self) -> tuple[int, int]:
        """Lowest and highest rank of the samples that it takes."""
        if not self.segments:
            return self.low, self.high
        return min(start for start, _, _ in self.segments), max(stop for _, stop, _ in self.segments) - 1

    def between(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
        """Finish a statistic of two neighbouring ranks (a median, a percentile) from their samples.

        Interpolates as `numpy.percentile` does.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            if self.segments:
                return np.asarray((low + high) / 2 if self.denominator == 2 else low)
            step = high - low
            return np.asarray(
                high - step * (1 - self.gamma) if self.gamma >= 0.5 else low + step * self.gamma
            )


@dataclass(frozen=True)
class Declaration:
    """What a kind of statistic is.

    Attributes
    ----------
    needs : frozenset of str
        Fields of `Samples` that it needs.
    finish : callable or None
        ``finish(samples, **parameters) -> float64``; None for order statistics.
    order : callable or None
        ``order(count, **parameters) -> Order`` for statistics of the sorted samples.
    parameters : mapping
        Name to (default, lowest, highest allowed value).
    binned : bool
        Whether it may take the means of bins of frames: then ``bin_seconds`` or ``bin_frames`` are parameters too.
    over_time : bool
        Whether it serves as a projection: its sums merge over time, or it takes two neighbouring ranks of the sorted samples.
    over_pixels : bool
        Whether it serves as a trace; otherwise it depends on the order of frames, or on neighbouring pixels.
    doc : str
        Its definition, for people.
    units : str
        Of its results.
    location : str or None
        Name of the kernel for what is neither a sum nor read off the sorted samples.
    own_weights : bool
        Whether a weighted statistic makes its own weights, so that the ROIs need none.
    """

    doc: str
    needs: frozenset[str] = frozenset()
    finish: Callable[..., NDArray[np.float64]] | None = None
    order: Callable[..., Order] | None = None
    parameters: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    over_time: bool = True
    over_pixels: bool = True
    units: str = "count"
    location: str | None = None
    own_weights: bool = False
    binned: bool = False


def _mean(samples: Samples) -> NDArray[np.float64]:
    if np.issubdtype(np.asarray(samples.total).dtype, np.integer):
        return np.asarray(divide(samples.total, samples.count))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(samples.total / samples.count, dtype=np.float64)


def _sum(samples: Samples) -> NDArray[np.float64]:
    return np.where(np.asarray(samples.count) > 0, np.asarray(samples.total, dtype=np.float64), np.nan)


def _variance(samples: Samples, ddof: float) -> NDArray[np.float64]:
    free = np.asarray(samples.count, dtype=np.float64) - ddof
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(free > 0, samples.spread / free, np.nan)


def _deviation(samples: Samples, ddof: float) -> NDArray[np.float64]:
    return np.sqrt(_variance(samples, ddof))


def _standard_error(samples: Samples) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(_deviation(samples, 1) / np.sqrt(samples.count), dtype=np.float64)


def _variation(samples: Samples, offset: float, ddof: float) -> NDArray[np.float64]:
    signal = _mean(samples) - offset
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(signal > 0, _deviation(samples, ddof) / signal, np.nan)


def _skewness(samples: Samples) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        skewness = np.sqrt(np.asarray(samples.count, dtype=np.float64)) * samples.cubes / samples.spread**1.5
    return np.where(samples.spread > 0, skewness, np.nan)


def _position(samples: Samples) -> NDArray[np.float64]:
    return np.where(samples.position >= 0, samples.position, np.nan)


def _change_deviation(samples: Samples, ddof: float) -> NDArray[np.float64]:
    return _deviation(samples.changes, ddof)


def _correlation(samples: Samples, **_: float) -> NDArray[np.float64]:
    return np.asarray(samples.correlation)


def _weighted_mean(samples: Samples) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(samples.weighted / samples.weight, dtype=np.float64)


def _median(count: int) -> Order:
    middle = count // 2
    return Order(segments=((middle - 1 + count % 2, middle + 1, 1),), denominator=2 - count % 2)


def _percentile(count: int, q: float) -> Order:
    position = (count - 1) * (q / 100)
    low = math.floor(position)
    return Order(low=low, high=min(low + 1, count - 1), gamma=position - low)


def _trimmed_mean(count: int, proportion_to_cut: float) -> Order:
    cut = int(proportion_to_cut * count)
    return Order(segments=((cut, count - cut, 1),), denominator=count - 2 * cut)


def _winsorized_mean(count: int, proportion_to_cut: float) -> Order:
    cut = int(proportion_to_cut * count)
    ends = ((cut, cut + 1, cut), (count - cut - 1, count - cut, cut)) if cut else ()
    return Order(segments=((cut, count - cut, 1), *ends), denominator=count)


def _interquartile_mean(count: int) -> Order:
    # a quarter of the samples is cut at each end; of the sample in which the quarter ends, the rest of it counts
    cut, part = divmod(count, 4)
    if count == 1:
        return Order(segments=((0, 1, 1),))
    ends = ((cut, cut + 1, 4 - part), (count - cut - 1, count - cut, 4 - part))
    return Order(segments=((cut + 1, count - cut - 1, 4), *ends), denominator=2 * count)


_CUT = {"proportion_to_cut": (0.1, 0.0, math.nextafter(0.5, 0))}
_DDOF = {"ddof": (0, 0, math.inf)}

_HALVES = {"seed": (0, 0, 2**53), "half": (0, 0, 1)}

DECLARATIONS: Mapping[str, Declaration] = {
    "mean": Declaration("sum / n", frozenset({"count", "total"}), _mean),
    "sum": Declaration("sum", frozenset({"count", "total"}), _sum),
    "min": Declaration(
        "smallest sample", frozenset({"minimum"}), lambda s: np.asarray(s.minimum, dtype=np.float64)
    ),
    "max": Declaration(
        "largest sample",
        frozenset({"maximum"}),
        lambda s: np.asarray(s.maximum, dtype=np.float64),
        binned=True,
    ),
    "std": Declaration(
        "sqrt(sum((x - mean)^2) / (n - ddof))",
        frozenset({"count", "spread"}),
        _deviation,
        parameters=_DDOF,
        binned=True,
    ),
    "var": Declaration(
        "sum((x - mean)^2) / (n - ddof)",
        frozenset({"count", "spread"}),
        _variance,
        parameters=_DDOF,
        units="count^2",
    ),
    "weighted_mean": Declaration(
        "sum(w x) / sum(w)", frozenset({"weighted"}), _weighted_mean, over_time=False
    ),
    "sem": Declaration(
        "standard error of the mean: sqrt(sum((x - mean)^2) / (n - 1)) / sqrt(n)",
        frozenset({"count", "spread"}),
        _standard_error,
    ),
    "split_half": Declaration(
        "mean of one of two random halves of the pixels",
        frozenset({"weighted"}),
        _weighted_mean,
        parameters=_HALVES,
        over_time=False,
        own_weights=True,
    ),
    "huber": Declaration(
        "Huber location: the root c of sum(clip((x - c) / s, -k, k)), s = 1.4826 MAD; the median where s is 0",
        parameters={"k": (1.345, 1e-3, 1e3)},
        over_time=False,
        location="huber",
    ),
    "weighted_median": Declaration(
        "sample with half of the weight below it, the middle of two where half ends between them",
        frozenset({"weighted"}),
        over_time=False,
        location="weighted_median",
    ),
    "interquartile_mean": Declaration(
        "mean of the middle half of the sorted samples, the samples at its ends by the part that is inside",
        order=_interquartile_mean,
        over_time=False,
    ),
    "coefficient_of_variation": Declaration(
        "std / (mean - offset), offset being what the detector shows in the dark",
        frozenset({"count", "total", "spread"}),
        _variation,
        parameters={"offset": (math.nan, -math.inf, math.inf), **_DDOF},
        units="1",
    ),
    "skewness": Declaration(
        "mean((x - mean)^3) / mean((x - mean)^2)^1.5",
        frozenset({"count", "total", "spread", "cubes"}),
        _skewness,
        over_pixels=False,
        units="1",
    ),
    "argmax": Declaration(
        "frame of the largest sample, the first one",
        frozenset({"position"}),
        _position,
        over_pixels=False,
        units="1",
    ),
    "difference_std": Declaration(
        "standard deviation of the differences between successive frames",
        frozenset({"changes"}),
        _change_deviation,
        parameters=_DDOF,
        over_pixels=False,
    ),
    "correlation": Declaration(
        "mean of Pearson's r with the neighbouring pixels (up to 8), the mean over each block of frames taken off",
        frozenset({"correlation"}),
        _correlation,
        parameters={"detrend_seconds": (60, 0, math.inf), "detrend_frames": (0, 0, math.inf)},
        over_pixels=False,
        units="1",
        binned=True,
    ),
    "median": Declaration("middle sample, the middle two averaged", order=_median),
    "percentile": Declaration(
        "linear interpolation of the sorted samples at (n - 1) q / 100",
        order=_percentile,
        parameters={"q": (50, 0, 100)},
    ),
    "trimmed_mean": Declaration(
        "mean without the int(proportion_to_cut n) smallest and as many largest samples (scipy.stats.trim_mean)",
        order=_trimmed_mean,
        parameters=_CUT,
        over_time=False,
    ),
    "winsorized_mean": Declaration(
        "mean after the int(proportion_to_cut n) smallest and largest samples were clipped to their neighbours",
        order=_winsorized_mean,
        parameters=_CUT,
        over_time=False,
    ),
}
