"""Which of two pixel indices is the row: judged by the frame, then by what an image shows at the ROIs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from roitrace.formats.rois.table import RoiTable

__all__ = ["AXIS_ORDERS", "Judgement", "contrasts", "judge_axis_order"]

AXIS_ORDERS = ("auto", "yx", "xy")
SURE = 3.0
"""Standard errors by which one order must beat the other, and the surround."""
FEWEST_ROIS = 5


@dataclass(frozen=True)
class Judgement:
    """Which order was taken.

    Attributes
    ----------
    table : RoiTable
        The ROIs in it.
    reason : str
        Why, for people.
    unexpected : bool
        Whether it is not the one that the format prescribes, and nobody asked for it.
    """

    table: RoiTable
    reason: str
    unexpected: bool = False


def judge_axis_order(
    table: RoiTable,
    wanted: str,
    shape: tuple[int, int] | None,
    image: Callable[[], NDArray[np.float64] | None],
) -> Judgement:
    """Decide whether rows and columns of ROIs are as their format prescribes or the other way round.

    Parameters
    ----------
    table : RoiTable
        As the format prescribes.
    wanted : {"auto", "yx", "xy"}
        Which index comes first in the file. With ``"auto"`` the frame decides: the only order in which all pixels lie on it. Where both
        fit, the image decides: ROIs are brighter than what surrounds them, by 3 standard errors over the ROIs, and than in the
        other order. Otherwise it is as the format prescribes.
    shape : tuple of int or None
        Height and width of the frame.
    image : callable
        Gives an image ``(y, x)`` of the frame, or None; called where it is needed.

    Raises
    ------
    ArgumentError
        If `wanted` is something else.
    """
    if wanted not in AXIS_ORDERS:
        raise ArgumentError(f"axis_order={wanted!r}, expected one of {', '.join(AXIS_ORDERS)}")
    own, other = table.axis_order, table.axis_order[::-1]
    if wanted == own:
        return Judgement(table, "asked for")
    if wanted == other:
        return Judgement(table.transposed(), "asked for")
    if table.settled or shape is None or not len(table):
        return Judgement(table, "the format says so")
    swapped = table.transposed()
    fits, fits_swapped = _fits(table, shape), _fits(swapped, shape)
    size = f"the frame of {shape[0]} x {shape[1]}"
    if fits != fits_swapped:
        if fits:
            return Judgement(table, f"only {own} fits {size}")
        return Judgement(swapped, f"only {other} fits {size}", unexpected=True)
    if not fits:
        return Judgement(table, f"neither order fits {size}; the format says {own}")
    return _judge_by_image(table, swapped, image())


def contrasts(table: RoiTable, image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each ROI how much brighter it is than its surround in an image ``(y, x)``; NaN where it has no pixels there.

    The surround is a Gaussian mean with sigma of 3 typical ROI diameters; the image is clipped to its 1st to 99th percentile.

    Examples
    --------
    >>> import numpy as np
    >>> from roitrace.formats.rois.table import RoiTable
    >>> image = np.zeros((9, 9))
    >>> image[4, 4] = 1
    >>> table = RoiTable(("on", "beside"), (1, 2), (np.array([[4, 4]]), np.array([[4, 5]])))
    >>> on, beside = contrasts(table, image)
    >>> bool(on > 0 > beside)
    True
    """
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415

    known = np.isfinite(image)
    found = np.full(len(table), np.nan)
    if not known.any():
        return found
    low, high = np.percentile(image[known], [1, 99])
    clipped = np.clip(np.where(known, image, np.median(image[known])), low, high)
    diameter = 2 * np.sqrt(np.median([len(yx) for yx in table.pixels]) / np.pi)
    contrast = clipped - gaussian_filter(clipped, 3 * max(diameter, 1.0))
    for number, yx in enumerate(table.pixels):
        if len(yx):
            found[number] = contrast[yx[:, 0], yx[:, 1]].mean()
    return found


def _judge_by_image(table: RoiTable, swapped: RoiTable, image: NDArray[np.float64] | None) -> Judgement:
    own, other = table.axis_order, swapped.axis_order
    if image is None:
        return Judgement(table, f"both orders fit the frame; the format says {own}")
    here, there = contrasts(table, image), contrasts(swapped, image)
    shown, shown_swapped, better = map(_in_standard_errors, (here, there, here - there))
    if better > SURE and shown > SURE:
        return Judgement(table, f"both orders fit the frame; the image shows the ROIs at {own}")
    # beside cells that are darker than their surround, other places look bright: these must stand out twice as much
    if better < -SURE and shown_swapped > max(SURE, 2 * abs(shown)):
        return Judgement(
            swapped, f"both orders fit the frame; the image shows the ROIs at {other}", unexpected=True
        )
    return Judgement(
        table, f"both orders fit the frame, and the image does not tell them apart; the format says {own}"
    )


def _fits(table: RoiTable, shape: tuple[int, int]) -> bool:
    if table.shape is not None and table.shape != shape:
        return False
    return all(((yx >= 0) & (yx < shape)).all() for yx in table.pixels)


def _in_standard_errors(values: NDArray[np.float64]) -> float:
    """Return the mean over its standard error; 0 where there are too few values."""
    values = values[np.isfinite(values)]
    if values.size < FEWEST_ROIS:
        return 0.0
    error = values.std(ddof=1) / np.sqrt(values.size)
    return float(values.mean() / error) if error > 0 else 0.0
