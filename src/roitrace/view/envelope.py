"""Fewer points that draw the same line: the minimum and maximum of every stretch of frames."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["envelope"]


def envelope(
    time: NDArray[np.float64], values: NDArray[np.float64], stretches: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Reduce traces to the extreme samples of `stretches` equal stretches, in the order in which they occurred.

    Every sample returned is one of the trace, at its own time, and no extreme is lost, so that the line drawn
    through them looks the same at a width of `stretches` pixels.

    Parameters
    ----------
    time : numpy.ndarray
        ``(time,)``.
    values : numpy.ndarray
        ``(roi, time)`` float64. NaN is no extreme; a stretch without any number is NaN and breaks the line.
    stretches : int
        How many. Traces of up to twice as many frames are returned as they are.

    Returns
    -------
    time, values : numpy.ndarray
        Both ``(roi, samples)``.

    Examples
    --------
    >>> import numpy as np
    >>> trace = np.array([[0.0, 5.0, 1.0, 2.0, -3.0, 2.0]])
    >>> envelope(np.arange(6.0), trace, 2)[1]
    array([[ 0.,  5.,  2., -3.]])
    """
    count, frames = values.shape
    if frames <= 2 * stretches:
        return np.broadcast_to(time, values.shape), values
    borders = np.linspace(0, frames, stretches + 1).astype(np.int64)
    picked = np.empty((count, stretches, 2), dtype=np.int64)
    for number, (begin, end) in enumerate(pairwise(borders)):
        part = values[:, begin:end]
        missing = np.isnan(part)
        picked[:, number, 0] = begin + np.where(missing, np.inf, part).argmin(axis=1)
        picked[:, number, 1] = begin + np.where(missing, -np.inf, part).argmax(axis=1)
    frame = np.sort(picked, axis=2).reshape(count, 2 * stretches)
    return time[frame], np.take_along_axis(values, frame, axis=1)
