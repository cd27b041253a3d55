"""Single frames of a recording of any size, a stretch of them kept so that playing does not read each twice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.sources import BlockSource

__all__ = ["FrameCache", "on_screen"]

LARGEST_SIDE = 1024
"""Pixels of an image along an axis that are sent to the browser; larger images are averaged in squares."""


class FrameCache:
    """Reads frames, in stretches of as many as half of `room` holds, and keeps two stretches.

    Parameters
    ----------
    source : BlockSource
        The recording.
    room : int
        Bytes that are kept.
    """

    def __init__(self, source: BlockSource, room: int) -> None:
        n_frames, height, width = source.shape
        nbytes = height * width * source.dtype.itemsize
        self._source = source
        # frames that are stored one by one gain nothing from being read in long stretches
        longest = source.chunks[0] if source.chunks[0] > 1 else 8
        self._stretch = max(1, min(longest, room // 2 // nbytes, n_frames))
        self._kept: dict[int, NDArray[Any]] = {}
        self._lock = threading.Lock()

    def read(self, number: int) -> NDArray[Any]:
        """Return a frame ``(y, x)`` in the recording's dtype."""
        with self._lock:
            part = number // self._stretch
            if part not in self._kept:
                while len(self._kept) > 1:
                    del self._kept[next(iter(self._kept))]
                first = part * self._stretch
                n_frames, height, width = self._source.shape
                span = slice(first, min(first + self._stretch, n_frames))
                self._kept[part] = self._source.read(span, slice(0, height), slice(0, width))
            frame: NDArray[Any] = self._kept[part][number % self._stretch]
            return frame


def on_screen(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image ``(y, x)`` as the browser takes it: small integers as they are, all else float32; averaged if too large.

    Examples
    --------
    >>> on_screen(np.arange(4, dtype="int64").reshape(2, 2)).dtype
    dtype('float32')
    """
    factor = -(-max(image.shape) // LARGEST_SIDE)
    if factor == 1:
        kept = image.dtype in (np.uint8, np.uint16)
        return np.ascontiguousarray(image, dtype=image.dtype if kept else np.float32)
    height, width = (size // factor * factor for size in image.shape)
    squares = image[:height, :width].reshape(height // factor, factor, width // factor, factor)
    return np.ascontiguousarray(squares.mean(axis=(1, 3), dtype=np.float64), dtype=np.float32)
