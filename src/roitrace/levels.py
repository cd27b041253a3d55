"""Samples -> level: above which value a pixel counts as bright, for the whole image or around each pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "HISTOGRAM",
    "LOCAL",
    "Level",
    "clipped_range",
    "fill_from_nearest",
    "global_level",
    "local_level",
]

HISTOGRAM = ("otsu", "li", "triangle", "yen", "isodata", "minimum")
LOCAL = ("local_mean", "local_gaussian", "local_median", "niblack", "sauvola")

_HISTOGRAM_RANGE = (0.1, 99.9)


@dataclass(frozen=True)
class Level:
    """A level and the range of values that it was found in; NaN where no sample is finite."""

    level: float
    low: float
    high: float


def global_level(samples: NDArray[Any], method: str, parameter: float = math.nan) -> Level:
    """Find one level for samples of any shape.

    Parameters
    ----------
    samples : numpy.ndarray
        Integers or floats; those that are not finite are left out.
    method : str
        ``"value"``, ``"percentile"``, ``"mean_sd"`` or a histogram method of scikit-image, which sees the samples clipped
        to their 0.1-99.9 percentiles.
    parameter : float
        The value, the percentile, or the number of standard deviations; histogram methods have none.

    Raises
    ------
    ArgumentError
        If a histogram method finds no level, as ``"minimum"`` does where the histogram has one peak only.

    Examples
    --------
    >>> global_level(np.array([1.0, 2.0, 3.0, np.nan]), "mean_sd", 0.0)
    Level(level=2.0, low=1.0, high=3.0)
    """
    finite = samples[np.isfinite(samples)]
    if finite.size == 0:
        return Level(math.nan, math.nan, math.nan)
    if method in HISTOGRAM:
        return _histogram_level(finite, method)
    floats = finite.astype(np.float64)
    low, high = float(floats.min()), float(floats.max())
    if method == "percentile":
        return Level(float(np.percentile(floats, parameter)), low, high)
    if method == "mean_sd":
        # equal samples: their mean may round below them, and nothing would be above nothing
        level = float(floats.mean() + parameter * floats.std()) if low < high else low
        return Level(level, low, high)
    return Level(parameter, low, high)


def local_level(
    values: NDArray[np.float64], method: str, block: tuple[int, int], *, k: float, half_range: float
) -> NDArray[np.float64]:
    """Find a level for each pixel from the block around it.

    Parameters
    ----------
    values : numpy.ndarray
        Image ``(y, x)``, all finite.
    method : str
        ``"local_mean"``, ``"local_gaussian"``, ``"local_median"``, ``"niblack"`` or ``"sauvola"``, of scikit-image.
    block : tuple of int
        Sides of the block ``(y, x)``, odd.
    k : float
        Standard deviations, for Niblack and Sauvola.
    half_range : float
        Sauvola's r: the largest standard deviation that a block may have.

    Returns
    -------
    numpy.ndarray
        ``(y, x)``.
    """
    import skimage.filters  # noqa: PLC0415

    level: NDArray[np.float64]
    if values.min() == values.max():
        level = values
    elif method == "niblack":
        level = skimage.filters.threshold_niblack(values, block, k=k)
    elif method == "sauvola":
        level = skimage.filters.threshold_sauvola(values, block, k=k, r=half_range)
    else:
        level = skimage.filters.threshold_local(values, block, method=method.removeprefix("local_"))
    return level


def check_samples(values: NDArray[Any]) -> NDArray[Any]:
    """Return the samples of an image, or refuse them.

    Raises
    ------
    ArgumentError
        If they are neither integers nor floats, or none is finite.
    """
    if values.dtype.kind not in "iuf":
        raise ArgumentError(f"the image has dtype {values.dtype}, expected integers or floats")
    if not np.isfinite(values).any():
        raise ArgumentError(
            f"none of the image's {values.size} pixels is finite", "check the recording and the projection"
        )
    return values


def clipped_range(samples: NDArray[Any]) -> tuple[float, float]:
    """Return the 0.1 and 99.9 percentiles of the finite samples."""
    low, high = np.percentile(samples[np.isfinite(samples)].astype(np.float64), _HISTOGRAM_RANGE)
    return float(low), float(high)


def fill_from_nearest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give each pixel of an image that is not finite the value of the nearest one that is.

    Examples
    --------
    >>> fill_from_nearest(np.array([[1.0, np.nan, np.nan, 4.0]])).tolist()
    [[1.0, 1.0, 4.0, 4.0]]
    """
    import scipy.ndimage  # noqa: PLC0415

    missing = ~np.isfinite(values)
    if not missing.any():
        return values
    y, x = scipy.ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
    filled: NDArray[np.float64] = values[y, x]
    return filled


def _histogram_level(finite: NDArray[Any], method: str) -> Level:
    import skimage.filters  # noqa: PLC0415

    low, high = clipped_range(finite)
    integers = finite.dtype.kind in "iu"
    if integers:
        low, high = float(math.floor(low)), float(math.ceil(high))
    if low == high:
        return Level(low, low, high)
    # scikit-image gives integers one bin per value: few enough, and in a dtype that their differences fit
    one_bin_each = integers and high - low < 2**16
    clipped = np.clip(finite.astype(np.float64), low, high).astype(np.int64 if one_bin_each else np.float64)
    try:
        with np.errstate(all="ignore"):
            level = getattr(skimage.filters, f"threshold_{method}")(clipped)
    except (RuntimeError, ValueError, IndexError) as error:
        raise ArgumentError(
            f"the method {method!r} finds no level in this image: {error}",
            "choose another method, for example 'otsu'",
        ) from error
    return Level(float(level), low, high)
