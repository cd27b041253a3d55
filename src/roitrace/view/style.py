"""How figures look: colours for every eye, axes, contrast, and text that is drawn as it is written."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib import rcParams
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.gridspec import SubplotSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

__all__ = [
    "BLUE",
    "GREEN",
    "LITERAL",
    "MISSING",
    "OKABE_ITO",
    "ORANGE",
    "PURPLE",
    "REJECTED",
    "REJECTED_ON_IMAGE",
    "SKY_BLUE",
    "VERMILLION",
    "colour",
    "displayable",
    "drawn_axes",
    "leave_room",
    "quantity",
    "robust_limits",
    "set_heading",
    "shown_name",
    "split_axes",
    "value_label",
    "value_unit",
]

# Okabe and Ito, "Color Universal Design", 2008; without black, kept for text, and yellow, which white paper swallows.
ORANGE: Final = "#E69F00"
SKY_BLUE: Final = "#56B4E9"
GREEN: Final = "#009E73"
BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
OKABE_ITO: Final = (ORANGE, SKY_BLUE, GREEN, VERMILLION, BLUE, PURPLE)
MISSING: Final = "#B9CBDD"
REJECTED: Final = "#8A8A8A"
REJECTED_ON_IMAGE: Final = "#D8D8D8"
# For every text that holds what a user typed: a name may contain $ or \.
LITERAL: Final[dict[str, Any]] = {"parse_math": False, "usetex": False}

_CONTRAST_PERCENTILES = (0.5, 99.7)
_QUANTITIES = {
    "dff": "ΔF/F",
    "zscore": "z-score",
    "robust_zscore": "robust z-score",
    "minmax": "part of the range",
}


def colour(number: int) -> str:
    """Return the colour of the ROI at a position, the same in every figure."""
    return OKABE_ITO[number % len(OKABE_ITO)]


def drawn_axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return `ax`, or the axes of a new pyplot figure of `size` inches where there is none."""
    if ax is not None:
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


def shown_name(array: xr.DataArray, otherwise: str) -> str:
    """Return the name of an array, or another one where it has none."""
    return otherwise if array.name is None else str(array.name)


def quantity(name: str) -> str:
    """Return the words for a variable: ``"trimmed mean"``, ``"ΔF/F"``, ``"max"`` for ``"projection_max"``."""
    return _QUANTITIES.get(name, name.removeprefix("projection_").replace("_", " "))


def value_unit(name: str, attrs: Mapping[str, Any]) -> str:
    """Return the unit of a variable for a scale bar: ``"ΔF/F"``, ``"counts"``; empty for a plain number."""
    if name in _QUANTITIES:
        return _QUANTITIES[name]
    unit = str(attrs.get("units", "counts"))
    return {"1": "", "count": "counts", "count^2": "counts²"}.get(unit, unit)


def value_label(name: str, attrs: Mapping[str, Any]) -> str:
    """Return the label of a variable on an axis or colour bar: ``"mean (counts)"``."""
    shown, unit = quantity(name), value_unit(name, attrs)
    return displayable(f"{shown} ({unit})" if unit not in {"", shown} else shown)


@cache
def _drawable(families: tuple[str, ...], _sans_serif: tuple[str, ...]) -> frozenset[int]:
    """Characters of the fonts that matplotlib would use; `_sans_serif` only makes the cache follow rcParams."""
    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in families]
    return frozenset(code for font in fonts for code in font.get_charmap())
