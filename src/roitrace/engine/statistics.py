"""Statistics as data: what each one needs of the samples, and how it ends.

One declaration makes a statistic usable over a ROI's pixels (`extract`) and, where its sums merge, over time (`project`).
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError
from roitrace.kernels.exact import divide
from roitrace.units import require_frame_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

__all__ = [
    "DECLARATIONS",
    "BinNeeds",
    "Declaration",
    "Order",
    "Samples",
    "Statistic",
    "bins_of",
    "in_frames",
    "make",
    "moments_needed",
    "periods_of",
    "resolve",
    "with_bins",
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

    @property
    def declared(self) -> dict[str, float]:
        """Its parameters, but for those of bins."""
        return {key: value for key, value in self.parameters if key in self.declaration.parameters}

    @property
    def bin_frames(self) -> int:
        """Frames of the bins whose means it takes instead of samples; 0 for samples."""
        return int(dict(self.parameters).get("bin_frames", 0))

    @property
    def period(self) -> int:
        """Frames, or bins, after which the mean that a correlation subtracts starts anew; 0 for never."""
        frames = int(dict(self.parameters).get("detrend_frames", 0))
        return max(2, round(frames / self.bin_frames)) if frames and self.bin_frames else frames

    def order(self, count: int) -> Order:
        """Say which of `count` sorted samples it takes."""
        assert self.declaration.order is not None
        return self.declaration.order(count, **dict(self.parameters))

    def __str__(self) -> str:
        given = ", ".join(f"{key}={value:g}" for key, value in self.parameters)
        return f"{self.kind}({given})" if given else self.kind


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


@dataclass(frozen=True)
class BinNeeds:
    """What the statistics of the means of equal bins need: frames of a bin, fields of `Samples`, periods of correlations, in bins."""

    frames: int
    needs: frozenset[str]
    periods: tuple[int, ...]


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
MAX_BIN_FRAMES = 2**16
"""Of a bin: sums of so many samples of 16 bits are exact in 32."""

_BINS = {"bin_seconds": (0.0, 0.0, math.inf), "bin_frames": (0.0, 0.0, float(MAX_BIN_FRAMES))}
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


def make(
    kind: str, *, name: str | None = None, weights: NDArray[np.float64] | None = None, **parameters: Any
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
    declared = DECLARATIONS[kind].parameters
    allowed = {**declared, **(_BINS if DECLARATIONS[kind].binned else {})}
    values = []
    for key, value in parameters.items():
        if key not in allowed:
            raise ArgumentError(f"{kind} has no parameter {key!r}", f"it has {', '.join(allowed) or 'none'}")
        _, lowest, highest = allowed[key]
        if not isinstance(value, int | float | np.number) or not lowest <= value <= highest:
            raise ArgumentError(
                f"{kind}({key}={value!r}) is out of range", f"expected {lowest:g} <= {key} <= {highest:g}"
            )
    bins = [key for key in _BINS if parameters.get(key)]
    for key, (default, _, _) in {**declared, **{key: _BINS[key] for key in bins}}.items():
        if math.isnan(default) and key not in parameters:
            raise ArgumentError(f"{kind} needs {key}=", f"give it, for example stat.{kind}({key}=100)")
        values.append((key, float(parameters.get(key, default))))
    return Statistic(kind, name or kind, tuple(values), weights)


def make_halves(seed: int = 0) -> tuple[Statistic, Statistic]:
    """Make the means of two random halves of the pixels: ``half_a`` and ``half_b``."""
    return make("split_half", name="half_a", seed=seed, half=0), make(
        "split_half", name="half_b", seed=seed, half=1
    )


def resolve(
    statistics: Statistic | str | Iterable[Statistic | str | tuple[Statistic, ...]],
    *,
    over_time: bool = False,
    over_pixels: bool = False,
    **defaults: float,
) -> tuple[Statistic, ...]:
    """Turn names and statistics into statistics; `defaults` hold for the names that have such a parameter.

    Raises
    ------
    ArgumentError
        If one is unknown, unusable over time or over pixels where that is asked, or two share a name.
    """
    asked = [statistics] if isinstance(statistics, str | Statistic) else list(statistics)
    resolved: list[Statistic] = []
    for one in asked:
        if isinstance(one, Statistic):
            resolved.append(one)
        elif isinstance(one, tuple) and all(isinstance(each, Statistic) for each in one):
            resolved += one
        elif one == "split_half":
            resolved += make_halves()
        elif isinstance(one, str):
            known = DECLARATIONS[one].parameters if one in DECLARATIONS else {}
            own: dict[str, Any] = {key: value for key, value in defaults.items() if key in known}
            resolved.append(make(one, **own))
        else:
            raise ArgumentError(
                f"{one!r} is no statistic",
                f"give a name ({', '.join(DECLARATIONS)}) or a value of roitrace.stat",
            )
    usable = [kind for kind, declaration in DECLARATIONS.items() if declaration.over_time]
    for one in resolved:
        if over_time and not one.declaration.over_time:
            raise ArgumentError(f"{one.kind!r} is no projection over time", f"there are {', '.join(usable)}")
        if over_pixels and not one.declaration.over_pixels:
            raise ArgumentError(
                f"{one.kind!r} is an image and no trace",
                "ask for it in projections=, or with roitrace.project",
            )
        if over_pixels and any(key in _BINS for key, _ in one.parameters):
            raise ArgumentError(
                f"{one.kind!r} of bins is an image and no trace",
                "ask for it in projections=, or with roitrace.project",
            )
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
    """Return the sums over time that some projections need of the samples; empty for none."""
    counted = frozenset({"count"})
    return frozenset[str]().union(
        *(counted if one.bin_frames else one.declaration.needs for one in projections)
    )


def bins_of(projections: Iterable[Statistic]) -> tuple[BinNeeds, ...]:
    """Return what projections of the means of bins need, each length of a bin once."""
    binned = [one for one in projections if one.bin_frames]
    return tuple(
        BinNeeds(
            frames,
            frozenset[str]().union(*(one.declaration.needs for one in binned if one.bin_frames == frames)),
            _periods([one for one in binned if one.bin_frames == frames]),
        )
        for frames in sorted({one.bin_frames for one in binned})
    )


def with_bins(statistics: Iterable[Statistic], bin_seconds: float | None) -> tuple[Statistic, ...]:
    """Let the statistics that may take the means of bins do so, unless they have bins of their own.

    Raises
    ------
    ArgumentError
        If there is none, or the length is no number above 0.
    """
    asked = tuple(statistics)
    if bin_seconds is None:
        return asked
    able = [kind for kind, declaration in DECLARATIONS.items() if declaration.binned]
    if not 0 < bin_seconds < math.inf:
        raise ArgumentError(f"bin_seconds={bin_seconds!r}, expected a number of seconds above 0")
    if not any(one.declaration.binned for one in asked):
        raise ArgumentError(
            f"bin_seconds={bin_seconds:g} says nothing about {', '.join(one.name for one in asked)}",
            f"it is for {', '.join(able)}",
        )
    return tuple(
        replace(one, parameters=(*one.parameters, ("bin_seconds", float(bin_seconds))))
        if one.declaration.binned and not any(key in _BINS for key, _ in one.parameters)
        else one
        for one in asked
    )


def in_frames(
    statistics: Iterable[Statistic], frame_rate: float | None, n_frames: int | None = None
) -> tuple[Statistic, ...]:
    """Turn what statistics have in seconds into frames.

    Raises
    ------
    MetadataError
        If the frame rate is not known.
    ArgumentError
        If a bin is shorter than two frames, longer than 65536, or than the recording of `n_frames`.
    """
    return tuple(_in_frames(_bins_in_frames(one, frame_rate, n_frames), frame_rate) for one in statistics)


def _bins_in_frames(statistic: Statistic, frame_rate: float | None, n_frames: int | None) -> Statistic:
    parameters = dict(statistic.parameters)
    seconds = parameters.pop("bin_seconds", 0.0)
    if not seconds and "bin_frames" not in parameters:
        return statistic
    frames = round(parameters.get("bin_frames", 0))
    asked = f"{statistic.kind}(bin_frames={frames})"
    if seconds and not frames:
        asked = f"{statistic.kind}(bin_seconds={seconds:g})"
        frames = round(seconds * require_frame_rate(frame_rate, asked))
    most = MAX_BIN_FRAMES if n_frames is None else min(MAX_BIN_FRAMES, n_frames)
    if not 2 <= frames <= most:
        raise ArgumentError(
            f"a bin of {asked} has {frames:,} frames, expected 2 to {most:,}"
            + ("" if most == MAX_BIN_FRAMES else ", as many as the recording has"),
            "give another length, or leave it out",
        )
    return replace(statistic, parameters=tuple((parameters | {"bin_frames": float(frames)}).items()))


def _in_frames(statistic: Statistic, frame_rate: float | None) -> Statistic:
    parameters = dict(statistic.parameters)
    seconds = parameters.get("detrend_seconds", 0.0)
    if not seconds or parameters["detrend_frames"]:
        return replace(statistic, parameters=_with(parameters, "detrend_seconds", 0.0))
    asked = f"{statistic.kind}(detrend_seconds={seconds:g})"
    frames = max(2.0, float(round(seconds * require_frame_rate(frame_rate, asked))))
    parameters["detrend_frames"] = frames
    return replace(statistic, parameters=_with(parameters, "detrend_seconds", 0.0))


def _with(parameters: dict[str, float], key: str, value: float) -> tuple[tuple[str, float], ...]:
    return tuple(({**parameters, key: value} if key in parameters else parameters).items())


def periods_of(projections: Iterable[Statistic]) -> tuple[int, ...]:
    """Return the frames after which local correlations of samples subtract a new mean, 0 for one mean; each once."""
    return _periods(one for one in projections if not one.bin_frames)


def _periods(projections: Iterable[Statistic]) -> tuple[int, ...]:
    correlated = (one for one in projections if "correlation" in one.declaration.needs)
    return tuple(sorted({one.period for one in correlated}))
