"""How the statistics of each cell agree: with the first of them, and where they do least."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.comparison import compare
from roitrace.engine.run import execute
from roitrace.traces import statistic_names
from roitrace.view.report.contents import is_level

if TYPE_CHECKING:
    import xarray as xr

    from roitrace.view.report.contents import Contents

__all__ = ["compared", "disagreements", "pair_of"]

_SHOWN = 12


def pair_of(contents: Contents) -> tuple[str, ...]:
    """Return the two statistics that are drawn against each other: mean and median, else the first and another one."""
    traces = contents.traces
    names = () if traces is None else statistic_names(traces)
    if {"mean", "median"} <= set(names):
        return ("mean", "median")
    others = [name for name in names if name != contents.primary]
    return (str(contents.primary), others[0]) if others else ()


def compared(contents: Contents, *, workers: int | None = None) -> xr.Dataset | None:
    """Return the comparison that is in the results, else make it; None where there is one statistic only."""
    if "comparison" in contents.groups:
        known = contents.groups["comparison"]
        usable = {"roi", "statistic"} <= set(known.dims) and {
            "correlation",
            "slope",
            "rms_difference",
        } <= set(known)
        return known.load() if usable and known.sizes["roi"] else None
    traces = contents.traces
    if (
        traces is None
        or len(statistic_names(traces)) < 2
        or not traces.sizes["roi"]
        or not traces.sizes["time"]
    ):
        return None
    lazy = compare(traces, against=contents.primary, window=None, smoothing=None)
    made: xr.Dataset
    (made,) = execute(lazy, workers=workers)
    return made.assign_attrs(against=contents.primary)


def disagreements(contents: Contents, comparison: xr.Dataset | None) -> list[dict[str, Any]]:
    """Return the cells that follow the reference least, the lowest correlation first, each with the statistic that does it.

    What differs from a level by what it is, such as extremes, takes part only where there is nothing else.
    """
    if comparison is None:
        return []
    rows = []
    against = comparison.attrs.get("against")
    positions = {name: number for number, name in enumerate(contents.names)}
    names = (
        comparison["roi"].values.astype(str).tolist() if "roi" in comparison.coords else list(contents.names)
    )
    statistics = [one for one in comparison["statistic"].values.astype(str).tolist() if one != against]
    levels = [one for one in statistics if is_level(one)]
    for statistic in levels or statistics:
        one = comparison.sel(statistic=statistic)
        r, slope, difference = (one[name].values for name in ("correlation", "slope", "rms_difference"))
        lowest = np.argsort(np.where(np.isfinite(r), r, np.inf))[:_SHOWN]
        rows += [
            {
                "cell": positions[names[number]],
                "statistic": statistic,
                "correlation": float(r[number]),
                "slope": float(slope[number]),
                "rms_difference": float(difference[number]),
            }
            for number in lowest
            if np.isfinite(r[number]) and names[number] in positions
        ]
    worst: dict[int, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["correlation"]):
        worst.setdefault(row["cell"], row)
    return list(worst.values())[:_SHOWN]
