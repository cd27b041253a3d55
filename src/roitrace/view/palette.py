"""Colours for every eye, and contrast that one hot pixel does not move; for figures and pages alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "BLUE",
    "GREEN",
    "MISSING",
    "OKABE_ITO",
    "ORANGE",
    "PURPLE",
    "REJECTED",
    "REJECTED_ON_IMAGE",
    "SKY_BLUE",
    "VERMILLION",
    "YELLOW",
    "colour",
    "robust_limits",
]

# Okabe and Ito, "Color Universal Design", 2008; without black, kept for text, and yellow, which white paper swallows.
ORANGE: Final = "#E69F00"
SKY_BLUE: Final = "#56B4E9"
GREEN: Final = "#009E73"
BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
YELLOW: Final = "#F0E442"  # on images, as people know it from ImageJ's selections
OKABE_ITO: Final = (ORANGE, SKY_BLUE, GREEN, VERMILLION, BLUE, PURPLE)
MISSING: Final = "#B9CBDD"
REJECTED: Final = "#8A8A8A"
REJECTED_ON_IMAGE: Final = "#D8D8D8"

_CONTRAST_PERCENTILES = (0.5, 99.7)


def colour(number: int) -> str:
    """Return the colour of the ROI at a position, the same in every figure."""
    return OKABE_ITO[number % len(OKABE_ITO)]


def robust_limits(values: ArrayLike) -> tuple[float, float]:
    """Contrast limits that one hot pixel does not move: the 0.5 and 99.7 percentiles of the finite values.

    Examples
    --------
    >>> robust_limits([[1.0, 1.0], [float("nan"), 3.0]])
    (1.0, 2.988)
    """
    finite = np.asarray(values, dtype=np.float64).ravel()
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(level) for level in np.percentile(finite, _CONTRAST_PERCENTILES))
    if low == high:
        low, high = float(finite.min()), float(finite.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)
