"""Small tables and maps in HTML, as notebooks show them; every text is escaped."""

from __future__ import annotations

import base64
import io
import math
from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["facts_table", "pixel_map"]

_ACCEPTED, _REJECTED, _BACKGROUND = (0, 114, 178), (138, 138, 138), (245, 247, 248)
_SIDE = 220  # pixels of a map, at most


def facts_table(title: str, facts: Iterable[tuple[str, str]], beside: str = "") -> str:
    """Return names and values as a table under a title; `beside` is HTML that stands to the left of it.

    Examples
    --------
    >>> "&lt;b&gt;" in facts_table("cells", [("name", "<b>")])
    True
    """
    rows = "".join(
        f'<tr><th style="text-align: left; vertical-align: top; font-weight: 500; opacity: 0.75">{escape(name)}</th>'
        f'<td style="text-align: left">{escape(value)}</td></tr>'
        for name, value in facts
    )
    return (
        '<div style="display: flex; gap: 1.2em; align-items: flex-start">'
        f"{beside}<div><div style='font-weight: 600'>{escape(title)}</div><table>{rows}</table></div></div>"
    )


def pixel_map(
    shape: tuple[int, int], pixels: NDArray[np.int64], rows: NDArray[np.int64], accepted: NDArray[np.bool_]
) -> str:
    """Return a small picture of sets of pixels on their frame: accepted ones blue, rejected ones grey, shared pixels darker.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the frame.
    pixels, rows : numpy.ndarray
        Flat indices of pixels, and which set each belongs to.
    accepted : numpy.ndarray
        ``(roi,)``.
    """
    from PIL import Image  # noqa: PLC0415

    if min(shape) == 0:
        return ""
    factor = math.ceil(max(shape) / _SIDE)
    y, x = (index // factor for index in np.divmod(pixels, shape[1]))
    height, width = (math.ceil(size / factor) for size in shape)
    picture = np.full((height * width, 3), _BACKGROUND, dtype=np.uint8)
    place = y * width + x
    for flag, shade in ((False, _REJECTED), (True, _ACCEPTED)):
        picture[place[accepted[rows] == flag]] = shade
    picture[_shared(place, rows, len(accepted))] //= 2
    buffer = io.BytesIO()
    Image.fromarray(picture.reshape(height, width, 3)).save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    zoom = max(1, _SIDE // max(height, width))
    return (
        f'<img alt="map of the pixels" src="data:image/png;base64,{data}" width="{width * zoom}" height="{height * zoom}"'
        ' style="image-rendering: pixelated; border: 1px solid #dfe3e6">'
    )


def _shared(place: NDArray[np.int64], rows: NDArray[np.int64], n_rows: int) -> NDArray[np.int64]:
    """Places that more than one set has."""
    pairs = np.unique(place * max(1, n_rows) + rows)
    found, count = np.unique(pairs // max(1, n_rows), return_counts=True)
    return found[count > 1]
