"""Statistics as data: what each one needs of the samples, and how it ends.

One declaration makes a statistic usable over a ROI's pixels (`extract`) and, where its sums merge, over time (`project`).
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError
from roitrace.kernels.exact import divide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

__all__ = [
    "DECLARATIONS",
    "Declaration",
    "Order",
    "Samples",
    "Statistic",
    "make",
    "moments_needed",
    "resolve",
]


@dataclass(frozen=True)
class Statistic:
    """A statistic that was asked for: its kind, the name of its result, its parameters.

    Attributes
    ----------
    kind : str
        Which declaration it follows.
    name : str
        Name of the variable it becomes.
    parameters : tuple of (str, float)
        Values of the declaration's parameters.
    weights : numpy.ndarray or None
        Its own weights, one per entry of the ROIs; by default those of the ROIs.
    """

    kind: str
    name: str
    parameters: tuple[tuple[str, float], ...] = ()
    weights: NDArray[np.float64] | None = field(default=None, compare=False)

    @property
    def declaration(self) -> Declaration:
        """What it needs and how it ends."""
        return DECLARATIONS[self.kind]

    def __str__(self) -> str:
        given = ", ".join(f"{key}={value:g}" for key, value in self.parameters)
        return f"{self.kind}({given})" if given else self.kind


@dataclass(frozen=True)
class Samples:
    """Sums over a group of samples, elementwise: what `finish` works on. Only what was needed is there."""

    count: Any = None
    total: Any = None
    spread: Any = None
    minimum: Any = None
    maximum: Any = None
    weighted: Any = None
    weight: Any = None


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
            return np.asarray(high - step * (1 - self.gamma) if self.gamma >= 0.5 else low + step * self.gamma)


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
    over_time : bool
        Whether sums over slabs of time merge exactly, so that it serves as a projection.
    doc : str
        Its definition, for people.
    units : str
        Of its results.
    """

    doc: str
    needs: frozenset[str] = frozenset()
    finish: Callable[..., NDArray[np.float64]] | None = None
    order: Callable[..., Order] | None = None
    parameters: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    over_time: bool = True
    units: str = "count"


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


_CUT = {"proportion_to_cut": (0.1, 0.0, math.nextafter(0.5, 0))}
_DDOF = {"ddof": (0, 0, math.inf)}

DECLARATIONS: Mapping[str, Declaration] = {
    "mean": Declaration("sum / n", frozenset({"count", "total"}), _mean),
    "sum": Declaration("sum", frozenset({"count", "total"}), _sum),
    "min": Declaration(
        "smallest sample", frozenset({"minimum"}), lambda s: np.asarray(s.minimum, dtype=np.float64)
    ),
    "max": Declaration(
        "largest sample", frozenset({"maximum"}), lambda s: np.asarray(s.maximum, dtype=np.float64)
    ),
    "std": Declaration(
        "sqrt(sum((x - mean)^2) / (n - ddof))", frozenset({"count", "spread"}), _deviation, parameters=_DDOF
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
    "median": Declaration("middle sample, the middle two averaged", order=_median, over_time=False),
    "percentile": Declaration(
        "linear interpolation of the sorted samples at (n - 1) q / 100",
        order=_percentile,
        parameters={"q": (50, 0, 100)},
        over_time=False,
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


def make(
    kind: str, *, name: str | None = None, weights: NDArray[np.float64] | None = None, **parameters: float
) -> Statistic:
    """Make a statistic of a kind, its parameters checked and completed.

    Raises
    ------
    ArgumentError
        If there is no such kind, parameter or value.
    """
    if kind not in DECLARATIONS:
        close = difflib.get_close_matches(kind, DECLARATIONS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ArgumentError(f"there is no statistic {kind!r}", f"{hint}there are {', '.join(DECLARATIONS)}")
    allowed = DECLARATIONS[kind].parameters
    values = []
    for key, value in parameters.items():
        if key not in allowed:
            raise ArgumentError(f"{kind} has no parameter {key!r}", f"it has {', '.join(allowed) or 'none'}")
        _, lowest, highest = allowed[key]
        if not isinstance(value, int | float | np.number) or not lowest <= value <= highest:
            raise ArgumentError(
                f"{kind}({key}={value!r}) is out of range", f"expected {lowest:g} <= {key} <= {highest:g}"
            )
    for key, (default, _, _) in allowed.items():
        values.append((key, float(parameters.get(key, default))))
    return Statistic(kind, name or kind, tuple(values), weights)


def resolve(
    statistics: Statistic | str | Iterable[Statistic | str], *, over_time: bool = False, **defaults: float
) -> tuple[Statistic, ...]:
    """Turn names and statistics into statistics; `defaults` hold for the names that have such a parameter.

    Raises
    ------
    ArgumentError
        If one is unknown, unusable over time where that is asked, or two share a name.
    """
    asked = [statistics] if isinstance(statistics, str | Statistic) else list(statistics)
    resolved = []
    for one in asked:
        if isinstance(one, Statistic):
            resolved.append(one)
        elif isinstance(one, str):
            known = DECLARATIONS[one].parameters if one in DECLARATIONS else {}
            resolved.append(make(one, **{key: value for key, value in defaults.items() if key in known}))
        else:
            raise ArgumentError(
                f"{one!r} is no statistic",
                f"give a name ({', '.join(DECLARATIONS)}) or a value of roitrace.stat",
            )
    usable = [kind for kind, declaration in DECLARATIONS.items() if declaration.over_time]
    for one in resolved:
        if over_time and not one.declaration.over_time:
            raise ArgumentError(f"{one.kind!r} is no projection over time", f"there are {', '.join(usable)}")
    names = [one.name for one in resolved]
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise ArgumentError(
            f"two statistics are named {twice!r}",
            "name one of them, for example stat.percentile(90, name='p90')",
        )
    if not resolved:
        raise ArgumentError("no statistic was asked for", f"there are {', '.join(DECLARATIONS)}")
    return tuple(resolved)


def moments_needed(projections: Iterable[Statistic]) -> frozenset[str]:
    """Return the sums over time that some projections need; empty for none."""
    return frozenset[str]().union(*(one.declaration.needs for one in projections))
