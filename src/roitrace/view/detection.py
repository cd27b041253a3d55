"""Figure of how many true cells are found, and how many found ones are true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import ArgumentError
from roitrace.matching import match_rois
from roitrace.rois import Rois
from roitrace.view.given import require_kind
from roitrace.view.palette import colour
from roitrace.view.style import LITERAL, displayable, drawn_axes, set_heading, split_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_detection"]

_THRESHOLDS = np.arange(0.05, 1.0, 0.05)
_USUAL = 0.5


def plot_detection(
    found: Rois | Mapping[str, Rois], truth: Rois, *, name: str = "found", ax: Axes | None = None
) -> Axes:
    """Draw precision and recall against the overlap (IoU) from which a found cell counts as right.

    Pairs are those of `roitrace.match_rois`, one to one, at each of the overlaps 0.05, 0.10, ..., 0.95; a dotted line marks 0.5.

    Parameters
    ----------
    found : Rois or mapping of str to Rois
        One or several sets of cells, each a line.
    truth : Rois
        The true cells, on the same frame.
    name : str
        Of a single set.
    ax : matplotlib Axes, optional
        Its place is divided in two; by default a new pyplot figure is made.

    Returns
    -------
    matplotlib Axes
        The left one, of precision; recall is beside it.

    Raises
    ------
    ArgumentError
        If there is nothing to draw.
    AlignmentError
        If frames differ.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from roitrace.rois import Rois
    >>> truth = Rois.from_labels(np.array([[1, 1, 0, 2, 2]]))
    >>> ax = plot_detection(Rois.from_labels(np.array([[1, 1, 0, 0, 2]])), truth, ax=Figure().subplots())
    >>> ax.lines[0].get_ydata()[[0, -1]].tolist()
    [1.0, 0.5]
    """
    sets = dict(found) if isinstance(found, Mapping) else {name: found}
    if not sets:
        raise ArgumentError("there are no found cells to draw", "give Rois, or names and Rois")
    for label, rois in [*sets.items(), ("truth", truth)]:
        require_kind(
            rois, Rois, f"{label!r}", "give roitrace.Rois, of masks or label images by Rois.from_labels(...)"
        )
    left, right = split_axes(drawn_axes(ax, (9.0, 3.6)), (1.0, 1.0), gap=0.3)
    for number, (label, rois) in enumerate(sets.items()):
        matches = [match_rois(rois, truth, iou=float(threshold)) for threshold in _THRESHOLDS]
        for panel, measure in ((left, "precision"), (right, "recall")):
            values = [float(match[measure]) for match in matches]
            panel.plot(_THRESHOLDS, values, color=colour(number), label=f"{displayable(label)} ({len(rois)})")
    for panel, measure in ((left, "precision"), (right, "recall")):
        panel.axvline(_USUAL, color="#666666", linewidth=0.9, linestyle="dotted", zorder=1)
        panel.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="smallest IoU of a pair", ylabel=measure)
        panel.spines[["top", "right"]].set_visible(False)
    set_heading(left, "right among the found cells")
    set_heading(right, f"found among {len(truth)} true cells")
    legend = right.legend(frameon=False, fontsize="small")
    for text in legend.get_texts():
        text.set(**LITERAL)
    return left
