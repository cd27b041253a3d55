"""Which traces of some results are meant, and what belongs to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import ArgumentError
from roitrace.traces import check_same_axes, spread_rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

__all__ = ["Choice", "Selection", "is_matrix", "roi_names", "select_traces"]

# What a job says about simulated recordings is no result of an experiment.
_NOT_EXPORTED = "truth"
_OF_ANOTHER_CHANNEL = "reference"


@dataclass(frozen=True)
class Choice:
    """One chosen trace: the name it goes by, the group and the variable that it is."""

    name: str
    group: str
    variable: str


@dataclass(frozen=True, eq=False)
class Selection:
    """Groups of results with the chosen traces only, and what else they hold.

    Attributes
    ----------
    groups : dict
        Name of the group to a Dataset.
    choices : tuple of Choice
        F first.
    left_out : tuple of str
        Other traces that the results hold.
    """

    groups: dict[str, xr.Dataset]
    choices: tuple[Choice, ...]
    left_out: tuple[str, ...]

    @property
    def first(self) -> xr.DataArray:
        """The trace that is F."""
        return self.trace(self.choices[0])

    def trace(self, choice: Choice) -> xr.DataArray:
        """Return a chosen trace ``(roi, time)``."""
        return self.groups[choice.group][choice.variable]


def is_matrix(variable: xr.DataArray | xr.Variable) -> bool:
    """Whether a variable has a value for every ROI and frame."""
    return set(variable.dims) == {"roi", "time"}


def roi_names(trace: xr.DataArray) -> tuple[str, ...]:
    """Names of the ROIs of a trace; they count from 1 where nobody named them."""
    if "roi" in trace.coords:
        return tuple(map(str, trace["roi"].values.tolist()))
    return tuple(map(str, range(1, trace.sizes["roi"] + 1)))


def select_traces(groups: Mapping[str, xr.Dataset], statistic: str | Sequence[str] | None) -> Selection:
    """Choose traces and drop what belongs to others.

    Parameters
    ----------
    groups : mapping
        As in a results store.
    statistic : str, sequence of str or None
        Names of traces, ``group/name`` where two groups have the same; ``"all"``; None for F, its neuropil and what was made of
        them: the ``primary`` of every group.

    Raises
    ------
    ArgumentError
        If there are no traces, or none of that name, or the chosen ones are of other ROIs or times.
    """
    groups = {name: spread_rules(one) for name, one in groups.items() if name.split("/")[0] != _NOT_EXPORTED}
    known = _choices(groups)
    if not known:
        raise ArgumentError(_no_traces(groups), "give what extract, normalize or a job made")
    chosen = _chosen(groups, known, statistic)
    first = groups[chosen[0].group][chosen[0].variable]
    if 0 in first.shape:
        raise ArgumentError(f"nothing to export: the traces are {_sizes(first)}", "find cells first")
    for one in chosen[1:]:
        check_same_axes(first, groups[one.group][one.variable].transpose(*first.dims), one.name)
    kept = {one.group: [two.variable for two in chosen if two.group == one.group] for one in chosen}
    parts = {name: _part(one, kept.get(name, [])) for name, one in groups.items()}
    return Selection(
        {name: one for name, one in parts.items() if one is not None},
        tuple(chosen),
        tuple(one.name for one in known.values() if one not in chosen),
    )


def _choices(groups: Mapping[str, xr.Dataset]) -> dict[str, Choice]:
    """Every trace by the name it goes by: those of the group ``traces`` first."""
    known: dict[str, Choice] = {}
    for group in sorted(groups, key=lambda name: name != "traces"):
        for name, variable in groups[group].data_vars.items():
            if is_matrix(variable) and variable.dtype.kind == "f":
                called = str(name) if str(name) not in known else f"{group}/{name}"
                known[called] = Choice(called, group, str(name))
    return known


def _chosen(
    groups: Mapping[str, xr.Dataset], known: Mapping[str, Choice], statistic: str | Sequence[str] | None
) -> list[Choice]:
    if statistic == "all":
        return sorted(known.values(), key=lambda one: groups[one.group].attrs.get("primary") != one.variable)
    if statistic is None:
        return _by_default(groups, known) or list(known.values())
    asked = [statistic] if isinstance(statistic, str) else list(map(str, np.atleast_1d(statistic)))
    qualified = {f"{one.group}/{one.variable}": one for one in known.values()} | dict(known)
    missing = [name for name in asked if name not in qualified]
    if missing or not asked:
        what = f"no statistic {missing[0]!r}" if missing else "not one statistic that was asked for"
        raise ArgumentError(f"the results hold {what}", f"they hold {', '.join(known)}")
    return [qualified[name] for name in dict.fromkeys(asked)]


def _by_default(groups: Mapping[str, xr.Dataset], known: Mapping[str, Choice]) -> list[Choice]:
    """F and what was made of it: the primary trace of each group, and the first neuropil."""
    own = [one for one in known.values() if one.group != _OF_ANOTHER_CHANNEL]
    neuropil = [one for one in own if groups[one.group][one.variable].attrs.get("role") == "neuropil"]
    return [
        one for one in own if one.variable == groups[one.group].attrs.get("primary") or one in neuropil[:1]
    ]


def _part(group: xr.Dataset, kept: Sequence[str]) -> xr.Dataset | None:
    """Return a group without traces that were not chosen; None if it was about those alone."""
    traces = [name for name, one in group.data_vars.items() if is_matrix(one) and one.dtype.kind == "f"]
    if traces and not kept:
        return None
    others = [name for name in traces if name not in kept]
    about_others = {f"n_cut_{name}" for name in others} & set(group.data_vars)
    part = group.drop_vars([*others, *about_others])
    turned = {name: one.transpose("roi", "time") for name, one in part.data_vars.items() if is_matrix(one)}
    return part.assign(turned)


def _no_traces(groups: Mapping[str, xr.Dataset]) -> str:
    for group in groups.values():
        several = next((one for one in group.data_vars.values() if {"roi", "time"} < set(one.dims)), None)
        if several is not None:
            further = ", ".join(str(dim) for dim in several.dims if dim not in {"roi", "time"})
            return f"nothing to export: the traces have the dim {further} besides roi and time"
    return f"nothing to export: no traces (roi, time) among {', '.join(groups) or 'no groups at all'}"


def _sizes(trace: xr.DataArray) -> str:
    return " x ".join(f"{size} {dim}" for dim, size in trace.sizes.items())
