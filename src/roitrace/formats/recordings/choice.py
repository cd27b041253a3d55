"""Which of several arrays in a file is the recording."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from roitrace.errors import ArgumentError, FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["choose_array"]

CLEARLY_LARGER = 10
"""The largest array is taken without asking if it has this many times the samples of the next."""


def choose_array(shapes: Mapping[str, tuple[int, ...]], path: str) -> str:
    """Return the name of the only array with three or more axes, or of the one that is clearly the largest.

    Raises
    ------
    FormatError
        If no array has three axes.
    ArgumentError
        If several might be meant.

    Examples
    --------
    >>> choose_array({"movie": (1000, 64, 64), "mean": (64, 64)}, "data.h5")
    'movie'
    """
    candidates = sorted(
        (name for name in shapes if len(shapes[name]) >= 3), key=lambda name: -math.prod(shapes[name])
    )
    listing = ", ".join(f"{name} {shapes[name]}" for name in candidates or shapes) or "none"
    if not candidates:
        raise FormatError(
            f"{path} holds no array with three axes, expected (time, y, x)", f"its arrays are: {listing}"
        )
    sizes = [math.prod(shapes[name]) for name in candidates]
    if len(candidates) > 1 and sizes[0] < CLEARLY_LARGER * sizes[1]:
        raise ArgumentError(
            f"{path} holds several arrays that may be the recording: {listing}", "name one with dataset="
        )
    return candidates[0]
