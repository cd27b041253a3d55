"""Every statistic written down once more: one group of samples at a time, in rational numbers where that is the definition."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.engine.statistics import Statistic

RELATIVE = Fraction(1, 10**12)

EXACT = ("sum", "min", "max", "median", "percentile", "mean", "trimmed_mean", "winsorized_mean")
"""Correctly rounded for integer samples."""


@dataclass(frozen=True)
class Expected:
    """Values and by how much a result may differ; 0 means the same bits."""

    values: NDArray[np.float64]
    tolerance: NDArray[np.float64]

    def check(self, result: NDArray[np.float64]) -> None:
        """Fail unless the result agrees."""
        assert result.dtype == np.float64
        assert result.shape == self.values.shape
        same = (result == self.values) | (np.isnan(result) & np.isnan(self.values))
        with np.errstate(invalid="ignore"):
            close = same | (np.abs(result - self.values) <= self.tolerance)
        wrong = np.argwhere(~close)
        assert not wrong.size, (
            f"{len(wrong)} differ, the first at {wrong[0]}: {result[tuple(wrong[0])]!r}, expected "
            f"{self.values[tuple(wrong[0])]!r} within {self.tolerance[tuple(wrong[0])]!r}"
        )


def expected_traces(
    movie: NDArray[Any],
    pixels: list[NDArray[np.int64]],
    statistic: Statistic,
    *,
    weights: list[NDArray[np.float64]] | None = None,
    skipna: bool = True,
    min_coverage: float = 0.9,
) -> Expected:
    """Traces ``(roi, time)`` of lists of pixels (n, 2) of a recording ``(time, y, x)``."""
    coverage = Fraction(str(min_coverage)) if skipna else Fraction(1)
    shape = (len(pixels), len(movie))
    values, tolerance = np.full(shape, np.nan), np.zeros(shape)
    for number, row in enumerate(pixels):
        matrix = movie[:, row[:, 0], row[:, 1]] if len(row) else np.zeros((len(movie), 0), movie.dtype)
        own = weights[number] if weights is not None else None
        for frame, group in enumerate(matrix):
            values[number, frame], tolerance[number, frame] = expected_value(group, statistic, own, coverage)
    return Expected(values, tolerance)


def expected_projection(movie: NDArray[Any], statistic: Statistic, *, skipna: bool = True) -> Expected:
    """Image ``(y, x)`` of a recording ``(time, y, x)``."""
    groups = movie.reshape(len(movie), -1).T
    found = [expected_value(group, statistic, None, Fraction(0 if skipna else 1)) for group in groups]
    values, tolerance = np.array(found).T.reshape(2, *movie.shape[1:])
    return Expected(values, tolerance)


def expected_value(
    group: NDArray[Any], statistic: Statistic, weights: NDArray[np.float64] | None, coverage: Fraction
) -> tuple[float, float]:
    """Return the value of a statistic over some samples, and by how much a result may differ."""
    valid = ~np.isnan(group) if group.dtype.kind == "f" else np.ones(group.size, bool)
    own = statistic.weights if statistic.weights is not None else weights
    if "weighted" in statistic.declaration.needs:
        assert own is not None
        total, there = _rational_sum(own), _rational_sum(own[valid])
        if there == 0 or there < coverage * total:
            return math.nan, 0.0
        own = own[valid]
    elif not valid.any() or np.count_nonzero(valid) < coverage * group.size:
        return math.nan, 0.0
    kept = group[valid]
    if kept.dtype.kind == "f" and not np.isfinite(kept).all():
        size = np.abs(kept[np.isfinite(kept)].astype(np.float64)).sum() / kept.size
        return _with_infinities(kept.astype(np.float64), statistic, own), float(RELATIVE) * size
    return _rational(kept, statistic, own)


def _rational(group: NDArray[Any], statistic: Statistic, weights: Any) -> tuple[float, float]:
    """Finite samples, in rational numbers."""
    parameters = dict(statistic.parameters)
    x = sorted(map(Fraction, group.tolist()))
    n = len(x)
    integer = group.dtype.kind != "f"
    size = sum(map(abs, x)) / n
    if statistic.kind == "percentile":
        return float(np.percentile(group.astype(np.float64), parameters["q"])), 0.0
    if statistic.kind in {"std", "var"}:
        return _rational_spread(x, statistic.kind, parameters["ddof"], integer=integer)
    if statistic.kind == "weighted_mean":
        w = [Fraction(one) for one in weights.tolist()]
        terms = [a * Fraction(b) for a, b in zip(w, group.tolist(), strict=True)]
        return float(sum(terms) / sum(w)), float(RELATIVE * sum(map(abs, terms)) / sum(w))
    cut = int(parameters.get("proportion_to_cut", 0) * n)
    value = {
        "sum": lambda: sum(x),
        "min": lambda: x[0],
        "max": lambda: x[-1],
        "mean": lambda: sum(x) / n,
        "median": lambda: (x[(n - 1) // 2] + x[n // 2]) / 2,
        "trimmed_mean": lambda: sum(x[cut : n - cut]) / (n - 2 * cut),
        "winsorized_mean": lambda: sum(min(max(one, x[cut]), x[n - 1 - cut]) for one in x) / n,
    }[statistic.kind]()
    bits = integer or statistic.kind in {"min", "max", "median"}
    return float(value), 0.0 if bits else float(RELATIVE * size * (n if statistic.kind == "sum" else 1))


def _rational_spread(x: list[Fraction], kind: str, ddof: float, *, integer: bool) -> tuple[float, float]:
    n = len(x)
    free = n - Fraction(ddof)
    if free <= 0:
        return math.nan, 0.0
    mean = sum(x) / n
    variance = float(sum((one - mean) ** 2 for one in x) / free)
    value = variance if kind == "var" else math.sqrt(variance)
    if integer:
        return value, float(RELATIVE) * value
    square = float(sum(one * one for one in x) / n)
    return value, float(RELATIVE) * (square if kind == "var" else math.sqrt(square))


def _with_infinities(x: NDArray[np.float64], statistic: Statistic, weights: Any) -> float:
    """As NumPy has it: infinite or NaN."""
    parameters = dict(statistic.parameters)
    x_sorted = np.sort(x)
    cut = int(parameters.get("proportion_to_cut", 0) * x.size)
    inner = x_sorted[cut : x.size - cut]
    with np.errstate(invalid="ignore"):
        value = {
            "sum": lambda: np.sum(x),
            "min": lambda: np.min(x),
            "max": lambda: np.max(x),
            "mean": lambda: np.mean(x),
            "median": lambda: np.mean(x_sorted[(x.size - 1) // 2 : x.size // 2 + 1]),
            "percentile": lambda: np.percentile(x, parameters["q"]),
            "std": lambda: np.nan,
            "var": lambda: np.nan,
            "trimmed_mean": lambda: np.mean(inner),
            "winsorized_mean": lambda: np.mean(np.clip(x_sorted, inner[0], inner[-1])),
            "weighted_mean": lambda: np.sum(x * weights) / np.sum(weights),
        }[statistic.kind]()
    return float(value)


def _rational_sum(values: NDArray[np.float64]) -> Fraction:
    return sum(map(Fraction, values.tolist()), Fraction(0))
