"""How much of the neuropil's trace is in a cell's: fits of r in ``F = F_cell + r Fneu``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from roitrace.kernels.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["cross_validated_ratio", "robust_ratio"]

MAD_TO_SD = 1.4826
HUBER_K = 1.345
MOST_STEPS = 50
FOLDS = 4
SMOOTHNESS = 0.05
FEWEST_FRAMES = 8


def robust_ratio(trace: NDArray[np.float64], neuropil: NDArray[np.float64]) -> float:
    """Slope of F on Fneu by Huber's regression: reweighted least squares, k = 1.345, scale 1.4826 MAD of the residuals.

    NaN frames take no part; NaN where Fneu is constant or fewer than 8 frames are left.
    """
    both = np.isfinite(trace) & np.isfinite(neuropil)
    y, x = trace[both], neuropil[both]
    if y.size < FEWEST_FRAMES or x.min() == x.max():
        return float("nan")
    x = x - x.mean()
    weights = np.ones(y.size)
    slope = np.nan
    for _ in range(MOST_STEPS):
        total = weights.sum()
        x_mean, y_mean = (weights * x).sum() / total, (weights * y).sum() / total
        spread = (weights * (x - x_mean) ** 2).sum()
        if spread == 0:
            return float("nan")
        before, slope = slope, float((weights * (x - x_mean) * (y - y_mean)).sum() / spread)
        if abs(slope - before) <= 1e-9 * max(1.0, abs(slope)):
            break
        residual = np.abs(y - y_mean - slope * (x - x_mean))
        limit = HUBER_K * MAD_TO_SD * float(np.median(residual))
        if limit == 0:
            break
        weights = np.minimum(1.0, limit / np.maximum(residual, limit))
    return slope


def cross_validated_ratio(
    trace: NDArray[np.float64], neuropil: NDArray[np.float64], borders: NDArray[np.int64]
) -> float:
    """Return the r for which ``F - r Fneu`` is smoothest, on average over four folds of the frames.

    In each fold F and Fneu are scaled so that Fneu runs from 0 to 1; with S the smoother that solves ``(1 + 0.05 L'L) c = F - r Fneu``, L the
    first differences within segments, the error is the RMS of what it takes away, over the mean of F. r is searched from 0 to 2 in steps of
    0.1, then twice around the best in steps ten times smaller. NaN where a fold has fewer than 8 frames or a constant Fneu.
    """
    both = np.isfinite(trace) & np.isfinite(neuropil)
    segment = np.repeat(np.arange(borders.size - 1), np.diff(borders))[both]
    y, x = trace[both], neuropil[both]
    size = y.size // FOLDS
    if size < FEWEST_FRAMES:
        return float("nan")
    folds: list[tuple[NDArray[np.float64], NDArray[np.float64], float]] = []
    for fold in range(FOLDS):
        part = slice(fold * size, (fold + 1) * size)
        low, high = x[part].min(), x[part].max()
        if low == high:
            return float("nan")
        f, fneu = (y[part] - low) / (high - low), (x[part] - low) / (high - low)
        folds.append((_roughness(f, segment[part]), _roughness(fneu, segment[part]), float(f.mean())))
    best, low, high, step = 0.0, 0.0, 2.0, 0.1
    for _ in range(3):
        candidates = np.arange(low, high + step / 2, step)
        errors = np.zeros(candidates.size)
        for rough_f, rough_fneu, level in folds:
            taken = rough_f - candidates[:, None] * rough_fneu
            errors += np.abs(np.sqrt(np.mean(taken**2, axis=1)) / level) if level else np.inf
        best = float(candidates[np.argmin(errors)])
        low, high, step = max(best - step, 0.0), best + step, step / 10
    return best


def _roughness(values: NDArray[np.float64], segment: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what the smoother takes away from a trace."""
    joined = np.where(np.diff(segment) == 0, SMOOTHNESS, 0.0)
    rough: NDArray[np.float64] = values - _smooth(values, joined)
    return rough


@compiled()
def _smooth(values, joined):  # type: ignore[no-untyped-def]
    """Solve ``(1 + L'L) c = values`` from one end to the other; `joined` weighs the steps between neighbours."""
    n = values.size
    carried, ratio = np.empty(n), np.empty(n)
    for i in range(n):
        before = joined[i - 1] if i else 0.0
        after = joined[i] if i + 1 < n else 0.0
        pivot = 1.0 + before + after - (before * ratio[i - 1] if i else 0.0)
        ratio[i] = after / pivot
        carried[i] = (values[i] + (before * carried[i - 1] if i else 0.0)) / pivot
    for i in range(n - 2, -1, -1):
        carried[i] += ratio[i] * carried[i + 1]
    return carried
