"""What plain NumPy makes of a workload, and whether a result agrees."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from benchmarks.scene import RoiPixels

__all__ = ["COVERAGE", "PROPORTION", "Expected", "expected_results"]

PROPORTION = 0.1
COVERAGE = 0.9
RELATIVE = 1e-12


@dataclass(frozen=True, eq=False)
class Expected:
    """Traces ``(roi, time)`` and images ``(y, x)``.

    Attributes
    ----------
    magnitude : numpy.ndarray
        Weighted mean of the samples' sizes: what the tolerance of inexact sums is relative to.
    exact : bool
        Whether the samples are integers, whose means and order statistics are the same bits.
    """

    mean: NDArray[np.float64]
    median: NDArray[np.float64]
    trimmed_mean: NDArray[np.float64]
    weighted_mean: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    image_mean: NDArray[np.float64]
    image_max: NDArray[np.float64]
    image_min: NDArray[np.float64]
    image_std: NDArray[np.float64]
    exact: bool

    def write(self, path: Path) -> None:
        """Keep it."""
        with path.open("wb") as file:
            np.savez(file, **{one.name: getattr(self, one.name) for one in fields(self)})

    @classmethod
    def read(cls, path: Path) -> Expected:
        """Return what was kept."""
        with np.load(path) as kept:
            values: dict[str, Any] = {name: kept[name] for name in kept.files}
        return cls(**(values | {"exact": bool(values["exact"])}))

    def check(
        self,
        result: xr.Dataset,
        rois: slice | NDArray[np.int64] = slice(None),
        time: slice = slice(None),
        *,
        relative: float = RELATIVE,
        peer: bool = False,
    ) -> None:
        """Fail unless the traces and projections of `result`, all of them or those of a part, agree.

        A peer's traces need not be the same bits where ours must.
        """
        magnitude = self.magnitude[rois, time]
        for name in ("mean", "median", "trimmed_mean", "weighted_mean"):
            if name in result:
                exact = self.exact and name != "weighted_mean" and not peer
                tolerance = 0.0 if exact else relative * magnitude
                _compare(name, result[name].values, getattr(self, name)[rois, time], tolerance)
        for name in ("mean", "max", "min", "std"):
            if f"projection_{name}" in result:
                expected = getattr(self, f"image_{name}")
                tolerance = 0.0 if self.exact and name != "std" else RELATIVE * np.abs(self.image_mean)
                _compare(f"projection {name}", result[f"projection_{name}"].values, expected, tolerance)


def expected_results(blocks: Iterable[NDArray[Any]], rois: RoiPixels) -> Expected:
    """Compute everything with NumPy, ROI after ROI, from blocks ``(time, y, x)``."""
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in _TRACES}
    images: _Images | None = None
    for block in blocks:
        images = images or _Images(block)
        images.add(block)
        values = [_traces(block, *roi) for roi in zip(rois.pixels, rois.weights, strict=True)]
        for name, part in parts.items():
            part.append(np.stack([one[name] for one in values]))
    assert images is not None
    traces = {name: np.concatenate(blocks_of, axis=1) for name, blocks_of in parts.items()}
    return Expected(**traces, **images.finish(), exact=images.exact)


_TRACES = ("mean", "median", "trimmed_mean", "weighted_mean", "magnitude")


class _Images:
    """Sums over time, by NumPy."""

    def __init__(self, block: NDArray[Any]) -> None:
        self.exact = block.dtype.kind != "f"
        shape = block.shape[1:]
        self.count = np.zeros(shape)
        self.total: NDArray[Any] = np.zeros(shape, np.int64 if self.exact else np.float64)
        self.squares: NDArray[Any] = np.zeros_like(self.total)
        self.lowest, self.highest = np.full(shape, np.inf), np.full(shape, -np.inf)

    def add(self, block: NDArray[Any]) -> None:
        for frame in block:
            valid = ~np.isnan(frame)
            samples = np.where(valid, frame, 0).astype(self.total.dtype)
            self.count += valid
            self.total += samples
            self.squares += samples * samples
            self.lowest = np.fmin(self.lowest, frame)
            self.highest = np.fmax(self.highest, frame)

    def finish(self) -> dict[str, NDArray[np.float64]]:
        count = self.count
        with np.errstate(invalid="ignore"):
            mean = self.total / count
            spread: NDArray[Any]
            if self.exact:
                whole = count.astype(np.int64)
                spread = (whole * self.squares - self.total * self.total).astype(np.float64) / (count * count)
            else:
                spread = self.squares / count - mean * mean
        return {
            "image_mean": mean,
            "image_min": self.lowest,
            "image_max": self.highest,
            "image_std": np.sqrt(spread),
        }


def _traces(
    block: NDArray[Any], pixels: NDArray[np.int64], weights: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    samples = block[:, pixels[:, 0], pixels[:, 1]]
    if block.dtype.kind == "f":
        return _float_traces(samples.astype(np.float64), weights)
    ordered = np.sort(samples, axis=1).astype(np.int64)
    size = ordered.shape[1]
    cut = int(PROPORTION * size)
    return {
        "mean": ordered.sum(axis=1) / size,
        "median": (ordered[:, (size - 1) // 2] + ordered[:, size // 2]) / 2,
        "trimmed_mean": ordered[:, cut : size - cut].sum(axis=1) / (size - 2 * cut),
        "weighted_mean": (samples * weights).sum(axis=1) / weights.sum(),
        "magnitude": (np.abs(samples.astype(np.float64)) * weights).sum(axis=1) / weights.sum(),
    }


def _float_traces(
    samples: NDArray[np.float64], weights: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """As `_traces`; a frame with too few valid samples is NaN."""
    size = samples.shape[1]
    valid = ~np.isnan(samples)
    count = valid.sum(axis=1)
    cut = (PROPORTION * count).astype(np.int64)
    ordered = np.sort(samples, axis=1)
    place = np.arange(size)
    kept = (place >= cut[:, None]) & (place < (count - cut)[:, None])
    weight = np.where(valid, weights, 0).sum(axis=1)
    filled = np.where(valid, samples, 0)
    frames = np.arange(len(samples))
    middle = (
        ordered[frames, np.maximum(count - 1, 0) // 2] + ordered[frames, np.minimum(count // 2, size - 1)]
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {
            "mean": filled.sum(axis=1) / count,
            "median": middle / 2,
            "trimmed_mean": np.where(kept, ordered, 0).sum(axis=1) / (count - 2 * cut),
        }
        weighted = (filled * weights).sum(axis=1) / weight
        magnitude = (np.abs(filled) * weights).sum(axis=1) / weight
    few = count < COVERAGE * size - 1e-9
    light = weight < COVERAGE * weights.sum() * (1 - 1e-12)
    return {name: np.where(few, np.nan, one) for name, one in values.items()} | {
        "weighted_mean": np.where(light, np.nan, weighted),
        "magnitude": np.where(count == 0, 0.0, magnitude),
    }


def _compare(
    what: str,
    result: NDArray[np.float64],
    expected: NDArray[np.float64],
    tolerance: NDArray[np.float64] | float,
) -> None:
    if result.shape != expected.shape:
        raise AssertionError(f"{what} has shape {result.shape}, NumPy's {expected.shape}")
    same = (
        (result == expected)
        | (np.isnan(result) & np.isnan(expected))
        | (np.abs(result - expected) <= tolerance)
    )
    if not same.all():
        where = tuple(int(axis) for axis in np.argwhere(~same)[0])
        raise AssertionError(
            f"{what} differs from NumPy at {np.count_nonzero(~same)} of {same.size} places, first at {where}: "
            f"{result[where]!r} instead of {expected[where]!r}"
        )
