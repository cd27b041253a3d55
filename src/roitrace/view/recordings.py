"""A figure of how the same ROIs differ between recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.errors import ArgumentError
from roitrace.view.given import require_kind
from roitrace.view.palette import colour
from roitrace.view.style import LITERAL, displayable, drawn_axes, set_heading, split_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_recordings"]

_SHOWN = (
    ("correlation", "correlation", None),
    ("noise_ratio", "noise ratio", 1.0),
    ("peak_snr_difference", "difference of peak SNR", 0.0),
)


def plot_recordings(comparison: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw correlation, noise ratio and difference of SNR of every ROI, a column for each recording beside the reference.

    Parameters
    ----------
    comparison : Dataset
        From `roitrace.compare_recordings`, in memory.
    ax : matplotlib Axes, optional
        Where to draw; it is divided in three. By default on a new pyplot figure.

    Returns
    -------
    matplotlib Axes
        The first of the three.

    Raises
    ------
    ArgumentError
        If it is no such comparison.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from matplotlib.figure import Figure
    >>> names = ("correlation", "noise_ratio", "peak_snr_difference")
    >>> table = xr.Dataset({name: (("recording", "roi"), np.ones((2, 3))) for name in names}, attrs={"against": "raw"})
    >>> table = table.assign_coords(recording=["raw", "denoised"])
    >>> plot_recordings(table, ax=Figure().subplots()).get_title(loc="left")
    '3 ROIs, against raw'
    """
    require_kind(comparison, xr.Dataset, "the comparison", "give what compare_recordings returns, computed")
    missing = [name for name, _, _ in _SHOWN if name not in comparison]
    if missing or "against" not in comparison.attrs:
        raise ArgumentError(
            f"the comparison lacks {', '.join(missing) or 'the name of its reference'}",
            "give what compare_recordings returns, computed",
        )
    reference = comparison.attrs["against"]
    names = [str(name) for name in comparison["recording"].values if str(name) != reference]
    ax = drawn_axes(ax, (10.0, 3.8))
    axes = split_axes(ax, (1.0, 1.0, 1.0), gap=0.4)
    spread = np.random.default_rng(0).uniform(-0.2, 0.2, comparison.sizes["roi"])
    for place, (measure, label, neutral) in zip(axes, _SHOWN, strict=True):
        for number, name in enumerate(names):
            values = comparison[measure].sel(recording=name).values
            place.scatter(number + spread, values, s=12, c=colour(number), alpha=0.7, linewidths=0)
            finite = values[np.isfinite(values)]
            if finite.size:
                place.hlines(np.median(finite), number - 0.3, number + 0.3, color="black", linewidth=1.4)
        if neutral is not None:
            place.axhline(neutral, color="#B0B0B0", linewidth=0.8, zorder=0)
        place.set_xticks(range(len(names)), [displayable(name, 16) for name in names], **LITERAL)
        place.set_xlim(-0.6, len(names) - 0.4)
        place.set_ylabel(label)
        place.spines[["top", "right"]].set_visible(False)
    set_heading(ax, f"{comparison.sizes['roi']} ROIs, against {reference}")
    return ax
