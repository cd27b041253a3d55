"""How figures look: axes, headings, and text that is drawn as it is written."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.gridspec import SubplotSpec

from roitrace.view.given import require_kind
from roitrace.view.naming import quantity, value_unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "LITERAL",
    "displayable",
    "drawn_axes",
    "leave_room",
    "set_heading",
    "split_axes",
    "value_label",
]

# For every text that holds what a user typed: a name may contain $ or \.
LITERAL: Final[dict[str, Any]] = {"parse_math": False, "usetex": False}


def drawn_axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return `ax`, or the axes of a new pyplot figure of `size` inches where there is none."""
    if ax is not None:
        require_kind(ax, Axes, "ax", "of several axes give one: axes[0]")
        return ax
    # pyplot chooses a window system when it is imported: only where the caller leaves the figure to us.
    import matplotlib.pyplot as plt  # noqa: PLC0415

    return plt.subplots(figsize=size, layout="constrained")[1]


def split_axes(ax: Axes, ratios: Sequence[float], gap: float = 0.2) -> list[Axes]:
    """Divide the place of `ax` into one axes per ratio, left to right; `ax` becomes the first.

    `gap` is the distance as a fraction of the mean width, where no layout engine finds out what the labels need.
    """
    figure = ax.figure
    rest = _give_up_place(ax, ratios, 0.03 if figure.get_layout_engine() is not None else gap)
    added = [
        figure.add_subplot(place) if isinstance(place, SubplotSpec) else figure.add_axes(place)
        for place in rest
    ]
    return [ax, *added]


def leave_room(ax: Axes, share: float) -> None:
    """Free a share of the width on the right of `ax`, unless a layout engine does."""
    if ax.figure.get_layout_engine() is None:
        _give_up_place(ax, (1 - share, share), 0.0)


def _give_up_place(
    ax: Axes, ratios: Sequence[float], gap: float
) -> list[SubplotSpec | tuple[float, float, float, float]]:
    """Shrink `ax` to the first of several parts of its place, and return the other parts."""
    spec = ax.get_subplotspec()
    if spec is not None:
        parts = spec.subgridspec(1, len(ratios), width_ratios=list(ratios), wspace=gap)
        ax.set_subplotspec(parts[0])
        return [parts[number] for number in range(1, len(ratios))]
    box = ax.get_position(original=True)
    # As matplotlib's grids divide: all widths and the gaps between them fill the box.
    mean_width = box.width / (len(ratios) + gap * (len(ratios) - 1))
    widths = np.asarray(ratios) / np.mean(ratios) * mean_width
    lefts = box.x0 + np.concatenate([[0], np.cumsum(widths[:-1] + gap * mean_width)])
    boxes = [
        (float(left), box.y0, float(width), box.height) for left, width in zip(lefts, widths, strict=True)
    ]
    ax.set_position(boxes[0])
    return [*boxes[1:]]


def displayable(text: object, longest: int = 60) -> str:
    r"""Write a text on one line, with a box for each character that the current font lacks.

    Examples
    --------
    >>> displayable("cell $1$\n")
    'cell $1$'
    """
    known = _drawable(tuple(FontProperties().get_family()), tuple(rcParams["font.sans-serif"]))
    stand_in = "□" if ord("□") in known else "?"
    line = " ".join("".join(one if one.isprintable() else " " for one in str(text)).split())
    shown = "".join(one if ord(one) in known else stand_in for one in line)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def set_heading(ax: Axes, text: str) -> None:
    """Set a left-aligned title, drawn as it is written."""
    ax.set_title(displayable(text, 200), loc="left", fontsize="medium", **LITERAL)


def value_label(name: str, attrs: Mapping[str, Any]) -> str:
    """Return the label of a variable on an axis or colour bar: ``"mean (counts)"``."""
    shown, unit = quantity(name), value_unit(name, attrs)
    return displayable(f"{shown} ({unit})" if unit not in {"", shown} else shown)


@cache
def _drawable(families: tuple[str, ...], _sans_serif: tuple[str, ...]) -> frozenset[int]:
    """Characters of the fonts that matplotlib would use; `_sans_serif` only makes the cache follow rcParams."""
    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in families]
    return frozenset(code for font in fonts for code in font.get_charmap())
