"""Chosen results, in memory or mapped from files, as the plain table that file formats understand."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.errors import ArgumentError
from roitrace.formats.traces.table import Group, Trace, TraceTable, Variable
from roitrace.roi_files import roi_table
from roitrace.rois import Rois
from roitrace.selection import roi_names
from roitrace.traces import time_axis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from roitrace.formats.traces.table import FilledSpan
    from roitrace.selection import Choice, Selection

__all__ = ["filled_dataset", "make_table", "text_attributes"]

_PROJECTION = "projection_"
_CORRECTED = "corrected"
# Times in seconds are rounded in their last digits.
_SAME_RATE = 1e-6
# What a results store says about itself and not about its content.
_ABOUT_THE_STORE = frozenset({"kind", "status"})


def make_table(
    selection: Selection,
    attrs: Mapping[Any, Any],
    filled: Sequence[FilledSpan],
    *,
    dtype: np.dtype[Any],
    block_bytes: int,
) -> TraceTable:
    """Turn a selection that is no longer lazy into a plain table; `attrs` are those of the whole results."""
    first = selection.first
    names = roi_names(first)
    rois = _rois(selection, names)
    labelled = "time" in first.coords
    groups = {name: _group(dataset) for name, dataset in selection.groups.items()}
    return TraceTable(
        names=names,
        ids=_along_rois(first, "roi_id", np.arange(1, len(names) + 1)).astype(np.int64),
        accepted=_along_rois(first, "accepted", np.ones(len(names), dtype=np.bool_)).astype(np.bool_),
        time=first["time"].values.astype(np.float64)
        if labelled
        else np.arange(first.sizes["time"], dtype=np.float64),
        time_units=str(first["time"].attrs.get("units", "1")) if labelled else "1",
        frame_rate=_frame_rate(selection),
        traces=tuple(_trace(selection, one, dtype) for one in selection.choices),
        groups=groups,
        images=_images(selection.groups),
        rois=None if rois is None else roi_table(rois),
        pixel_size=None if rois is None else rois.frame.pixel_size,
        filled=tuple(filled),
        attrs=text_attributes(attrs),
        block_bytes=block_bytes,
    )


def filled_dataset(filled: Sequence[FilledSpan]) -> xr.Dataset:
    """Say which frames hold interpolated values, as a group of results: one row per run of frames."""
    return xr.Dataset(
        {
            "trace": ("span", [one.trace for one in filled]),
            "of_roi": ("span", [one.roi for one in filled]),
            "first_frame": ("span", [one.first for one in filled]),
            "last_frame": ("span", [one.last for one in filled]),
        },
        attrs={"long_name": "runs of frames with interpolated values, first and last included"},
    )


def text_attributes(attrs: Mapping[Any, Any]) -> dict[str, str]:
    """Return the attributes that tell where results come from, as texts; those of several values as JSON."""
    return {
        str(name): value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
        for name, value in attrs.items()
        if name not in _ABOUT_THE_STORE and value not in ("", None)
    }


def _frame_rate(selection: Selection) -> float | None:
    """Return the rate that the results state, unless their times say another."""
    stated = selection.groups[selection.choices[0].group].attrs.get("frame_rate")
    first = selection.first
    interval = time_axis(first if stated is None else first.assign_attrs(frame_rate=stated)).interval
    if interval is None:
        return None
    if stated is not None and math.isclose(stated * interval, 1.0, rel_tol=_SAME_RATE):
        return float(stated)
    return 1.0 / interval


def _trace(selection: Selection, choice: Choice, dtype: np.dtype[Any]) -> Trace:
    trace = selection.trace(choice)
    group = selection.groups[choice.group].attrs
    role = str(trace.attrs.get("role", _CORRECTED if choice.variable == "fcorr" else "fluorescence"))
    if group.get("method") == choice.variable:
        role = str(group["method"])
    return Trace(choice.name, choice.group, choice.variable, trace.data, dtype, role, dict(trace.attrs))


def _along_rois(trace: xr.DataArray, name: str, default: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(trace[name].values) if name in trace.coords else default


def _group(dataset: xr.Dataset) -> Group:
    return Group(
        {str(name): _variable(one.variable) for name, one in dataset.data_vars.items()},
        {str(name): _variable(one.variable) for name, one in dataset.coords.items()},
        dict(dataset.attrs),
    )


def _variable(variable: xr.Variable) -> Variable:
    return Variable(tuple(map(str, variable.dims)), variable.data, dict(variable.attrs))


def _images(groups: Mapping[str, xr.Dataset]) -> dict[str, Variable]:
    images = {}
    for group, dataset in groups.items():
        for name, one in dataset.data_vars.items():
            if one.dims == ("y", "x") and (group == "projections" or str(name).startswith(_PROJECTION)):
                images[str(name).removeprefix(_PROJECTION)] = _variable(one.variable)
    return images


def _rois(selection: Selection, names: tuple[str, ...]) -> Rois | None:
    """Return the ROIs of the traces, in their order."""
    if "rois" not in selection.groups:
        return None
    rois = Rois.from_dataset(selection.groups["rois"])
    unknown = [name for name in names if name not in rois.names]
    if unknown:
        raise ArgumentError(
            f"the traces are of ROIs that the group rois does not hold, the first {unknown[0]!r}",
            "give the ROIs that the traces were extracted with",
        )
    return rois if rois.names == names else rois[list(names)]
