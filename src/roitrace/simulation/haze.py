"""Neuropil: haze that is smooth in space and slow in time, and a texture that stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roitrace.kernels.scene import HazeBasis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from roitrace.simulation.activity import Activity

__all__ = ["Haze", "HazePlan", "draw_haze", "draw_texture"]

_KEPT_VARIANCE = (
    151 / 315
) ** 3  # what three cubic B-splines leave of the variance of their coefficients, on average


@dataclass(frozen=True)
class HazePlan:
    """Level in photons, relative fluctuation, knot distances in pixels (y, x) and frames, correlation with activity."""

    level: float
    fluctuation: float
    spacing: tuple[float, float]
    frames: float
    correlation: float


@dataclass(frozen=True, eq=False)
class Haze:
    """Cubic B-splines in time, y and x: positive, of low rank, with ``level`` as its mean.

    Attributes
    ----------
    knots : numpy.ndarray
        Coefficients, photons, ``(time knot, row function, column function)``.
    basis : HazeBasis
        The functions along y and x.
    frames : float
        Frames between two time knots.
    """

    knots: NDArray[np.float64]
    basis: HazeBasis
    frames: float

    def coefficients(self, start: int, stop: int) -> NDArray[np.float64]:
        """Coefficients ``(time, row function, column function)`` of frames `start` to `stop`."""
        whole, part = np.divmod(np.arange(start, stop) / self.frames, 1.0)
        knot = whole.astype(np.int64)
        total = np.zeros((stop - start, *self.knots.shape[1:]))
        for n in range(4):
            total += _spline(part - (n - 1))[:, None, None] * self.knots[knot + n]
        return total


def draw_haze(
    plan: HazePlan,
    shape: tuple[int, int, int],
    activity: Activity,
    centres: NDArray[np.float64],
    seed: np.random.SeedSequence,
) -> Haze:
    """Draw the haze of a recording of `shape` (time, y, x); `centres` (cell, 2) are the cells' pixel positions.

    Coefficients go with ``exp(s g)``, where g has unit variance: a mixture of independent noise and the standardised
    activity of the cells nearby. Over time each has the mean `level`.
    """
    n_frames, height, width = shape
    row_basis, column_basis = (_basis(n, step) for n, step in zip((height, width), plan.spacing, strict=True))
    n_knots = int((n_frames - 1) // plan.frames) + 4
    size = (n_knots, len(row_basis), len(column_basis))
    basis = HazeBasis(row_basis, column_basis, *_extent(row_basis), *_extent(column_basis))
    if plan.fluctuation == 0 or plan.level == 0:
        return Haze(np.full(size, plan.level), basis, plan.frames)
    noise = np.random.default_rng(seed).standard_normal(size)
    local = _local_activity(plan, size, activity, centres)
    mixed = np.sqrt(1 - plan.correlation**2) * noise + plan.correlation * local
    sigma = np.sqrt(np.log1p(plan.fluctuation**2 / _KEPT_VARIANCE))
    knots = np.exp(sigma * mixed)
    return Haze(plan.level * knots / knots.mean(axis=0), basis, plan.frames)


def draw_texture(
    shape: tuple[int, int],
    strength: float,
    blurs: Sequence[tuple[float, float]],
    seed: np.random.SeedSequence,
) -> NDArray[np.float32]:
    """Draw a positive image ``(y, x)`` of mean 1 and standard deviation `strength`: noise, blurred by Gaussians (pixels)."""
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415

    if strength == 0:
        return np.ones(shape, dtype=np.float32)
    random = np.random.default_rng(seed)
    texture = np.zeros(shape, dtype=np.float32)
    for sigma in blurs:
        blurred = gaussian_filter(random.standard_normal(shape, dtype=np.float32), sigma, mode="reflect")
        texture += blurred / max(float(blurred.std()), 1e-6) / np.sqrt(len(blurs))
    positive: NDArray[np.float32] = np.exp(np.float32(strength) * texture)
    return positive / np.float32(positive.mean(dtype=np.float64))


def _local_activity(
    plan: HazePlan, size: tuple[int, int, int], activity: Activity, centres: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Spikes near each knot in space and time, standardised over time; 0 where nothing happens."""
    cell = np.repeat(np.arange(len(centres)), np.diff(activity.spikes.first))
    knot = (activity.spikes.frames / plan.frames + 0.5).astype(np.int64) + 1
    whole, part = np.divmod(centres / plan.spacing, 1.0)
    corner = whole.astype(np.int64)
    local = np.zeros(size)
    # no matrix product here: its bits would depend on the number of threads
    for a in range(4):
        for b in range(4):
            weight = _spline(part[:, 0] - (a - 1)) * _spline(part[:, 1] - (b - 1))
            where = knot, corner[cell, 0] + a, corner[cell, 1] + b
            np.add.at(local, where, activity.spikes.counts * weight[cell])
    local = np.sqrt(local)
    local -= local.mean(axis=0)
    deviation = local.std(axis=0)
    local /= np.where(deviation > 0, deviation, 1.0)
    return np.minimum(local, 3.0)


def _basis(n_pixels: int, spacing: float) -> NDArray[np.float64]:
    """Cubic B-splines at knots ``spacing`` pixels apart, ``(function, pixel)``; at each pixel they add up to 1."""
    knots = np.arange(-1, int((n_pixels - 1) // spacing) + 3)
    return _spline(np.arange(n_pixels)[None, :] / spacing - knots[:, None])


def _spline(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic B-spline around 0, 0 from distance 2 on."""
    far = np.maximum(2 - np.abs(u), 0.0)
    near = np.maximum(1 - np.abs(u), 0.0)
    value: NDArray[np.float64] = (far * far * far - 4 * near * near * near) / 6
    return value


def _extent(basis: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First pixel where each function is not 0, and the one after the last."""
    nonzero = basis != 0
    first = np.argmax(nonzero, axis=1)
    last = basis.shape[1] - np.argmax(nonzero[:, ::-1], axis=1)
    nowhere = ~nonzero.any(axis=1)
    last[nowhere] = first[nowhere]
    return first.astype(np.int64), last.astype(np.int64)
