"""Image -> contrast: what is left without hot pixels, slope, noise and background, and how it spreads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roitrace.levels import fill_from_nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Contrast", "upright"]

_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Contrast:
    """An image and its band of cell sizes, all float64 ``(y, x)``.

    Attributes
    ----------
    image : numpy.ndarray
        Without hot pixels; NaN stays.
    background : numpy.ndarray
        Smoothed by the large Gaussian, with the slope.
    values : numpy.ndarray
        Smoothed by the small Gaussian minus the background; NaN where the image is.
    middle, spread : float
        Median of `values`, and 1.4826 * the median distance from it of those below: the MAD of the half without cells.
    noise : float
        Standard deviation of what neighbouring pixels do not share.
    """

    image: NDArray[np.float64]
    background: NDArray[np.float64]
    values: NDArray[np.float64]
    middle: float
    spread: float
    noise: float

    @classmethod
    def of(
        cls, image: NDArray[np.float64], small: tuple[float, float], large: tuple[float, float]
    ) -> Contrast:
        """Find the contrast of an image, NaN where nothing is known, between Gaussians of sigmas ``(y, x)`` in pixels."""
        import scipy.ndimage  # noqa: PLC0415

        seen = np.isfinite(image)
        flat, slope = upright(image)
        blurred = scipy.ndimage.gaussian_filter(flat, large)
        values = np.where(seen, scipy.ndimage.gaussian_filter(flat, small) - blurred, np.nan)
        middle, spread = _middle_and_spread(values[seen])
        clean = np.where(seen, flat + slope, np.nan)
        return cls(clean, blurred + slope, values, middle, spread, _pixel_noise(flat))

    def level(self, k: float) -> float:
        """Level `k` spreads above the middle."""
        return self.middle + k * self.spread


def upright(image: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Take slope and hot pixels out of an image, NaN filled from the nearest pixel; return the rest and the slope.

    Reflected at the edges, a slope would turn into bright edges.
    """
    slope = _slope(image)
    return _without_hot_pixels(fill_from_nearest(image - slope)), slope


def _without_hot_pixels(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clip a pixel to the range of its eight neighbours where it lies outside by more than that range."""
    import scipy.ndimage  # noqa: PLC0415

    around = np.ones((3, 3), dtype=np.bool_)
    around[1, 1] = False
    low = scipy.ndimage.minimum_filter(values, footprint=around, mode="mirror")
    high = scipy.ndimage.maximum_filter(values, footprint=around, mode="mirror")
    hot = (values > high + (high - low)) | (values < low - (high - low))
    return np.where(hot, np.clip(values, low, high), values)


def _slope(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit lines to the medians of rows and of columns, which cells do not tilt; their sum is 0 in the middle."""
    return _line(values)[:, None] + _line(values.T)[None, :]


def _line(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit a line through the medians of rows by least squares; rows of NaN are left out."""
    position = np.arange(len(values), dtype=np.float64) - (len(values) - 1) / 2
    seen = np.isfinite(values).any(axis=1)
    medians, x = np.nanmedian(values[seen], axis=1), position[seen] - position[seen].mean()
    line: NDArray[np.float64] = position * (float(x @ (medians - medians.mean())) / (float(x @ x) or 1.0))
    return line


def _middle_and_spread(contrast: NDArray[np.float64]) -> tuple[float, float]:
    middle = float(np.median(contrast))
    return middle, _MAD_TO_SD * float(np.median(middle - contrast[contrast <= middle]))


def _pixel_noise(values: NDArray[np.float64]) -> float:
    import scipy.ndimage  # noqa: PLC0415

    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]) / 4
    difference = values - scipy.ndimage.convolve(values, cross, mode="mirror")
    return _MAD_TO_SD * float(np.median(np.abs(difference))) / math.sqrt(1 + 1 / 4)
