"""Scale bars: lengths that read well, and where they stand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib import rcParams
from matplotlib.transforms import ScaledTranslation

from roitrace.view.style import LITERAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_corner_bars", "draw_length_bar", "round_length"]

_WIDTH = 2.5  # points


def round_length(limit: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20, ... (times a power of ten) that is at most `limit`.

    Examples
    --------
    >>> round_length(83.0), round_length(0.3)
    (50.0, 0.2)
    """
    power = math.floor(math.log10(limit))
    # Rounding through text keeps 0.2 from becoming 0.20000000000000001.
    steps = [float(f"{digit}e{power}") for digit in (1, 2, 5)]
    return max((step for step in steps if step <= limit * (1 + 1e-9)), default=steps[0])


def draw_length_bar(ax: Axes, left: float, right: float, unit: str) -> None:
    """Draw a scale bar beneath the lower right corner of an image, where it hides no pixel."""
    length = round_length(abs(right - left) / 4)
    begin = right - math.copysign(length, right - left)
    below = ax.get_xaxis_transform() + ScaledTranslation(0, -8 / 72, ax.figure.dpi_scale_trans)
    ax.plot(
        [begin, right],
        [0, 0],
        transform=below,
        color=rcParams["text.color"],
        linewidth=_WIDTH,
        solid_capstyle="butt",
        clip_on=False,
        scalex=False,
        scaley=False,
        gid="scale bar",
    )
    ax.annotate(
        f"{length:g} {unit}",
        (begin, 0),
        xycoords=below,
        xytext=(-4, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize="small",
        annotation_clip=False,
    )


def draw_corner_bars(ax: Axes, *, time: tuple[float, str] | None, value: tuple[float, str]) -> None:
    """Draw a bar of time and a bar of value that meet in the lower right corner of the axes.

    Each is a length and its unit; without `time` the bar of value stands alone.
    """
    right, bottom = ax.get_xlim()[1], ax.get_ylim()[0]
    style = {
        "color": rcParams["text.color"],
        "linewidth": 1.5,
        "solid_capstyle": "projecting",
        "clip_on": False,
    }
    length, unit = value
    ax.plot([right, right], [bottom, bottom + length], scalex=False, scaley=False, gid="scale bar", **style)
    ax.annotate(
        f"{length:g} {unit}".strip(),
        (right, bottom),
        xytext=(5, 0),
        textcoords="offset points",
        rotation=90,
        va="bottom",
        fontsize="small",
        annotation_clip=False,
        **LITERAL,
    )
    if time is not None:
        length, unit = time
        ax.plot(
            [right - length, right], [bottom, bottom], scalex=False, scaley=False, gid="scale bar", **style
        )
        ax.annotate(
            f"{length:g} {unit}",
            (right - length / 2, bottom),
            xytext=(0, -4),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize="small",
            annotation_clip=False,
        )
