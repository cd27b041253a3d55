"""Put labels on what the engine made of groups of ROIs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.frame_weights import in_sample
from roitrace.neuropil import MIN_NEUROPIL_PIXELS
from roitrace.projection import carried_attributes
from roitrace.recording import time_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from roitrace.engine.reductions import Reduced
    from roitrace.engine.statistics import Statistic
    from roitrace.groups import Group
    from roitrace.overlap import Mixture
    from roitrace.rois import Rois

__all__ = ["STATUS_FLAGS", "GroupTraces", "label_traces", "split_groups", "with_neuropil"]

STATUS_FLAGS = {
    "empty": 1,
    "off_frame": 2,
    "partly_off_frame": 4,
    "excluded": 8,
    "all_nan": 16,
    "no_trim": 32,
    "few_neuropil_pixels": 64,
    "not_separable": 128,
}
"""Why a trace is NaN or to be read with care: a closed list of bits of ``status``."""

_STATUS_ATTRS = {
    "long_name": "why a trace is NaN or to be read with care",
    "flag_masks": list(STATUS_FLAGS.values()),
    "flag_meanings": " ".join(STATUS_FLAGS),
}


@dataclass(frozen=True, eq=False)
class GroupTraces:
    """Lazy traces of one group: name of the statistic to ``(roi, time)``, and the valid pixels of float recordings."""

    group: Group
    traces: dict[str, Any]
    n_valid: Any


def split_groups(groups: Sequence[Group], reduced: Reduced) -> list[GroupTraces]:
    """Hand every group its own traces; those of least squares are unmixed."""
    parts, first = [], 0
    for group in groups:
        n_rois = len(group.rois)
        traces = {}
        for number, one in enumerate(group.statistics):
            trace = reduced.traces[one.name]
            name = one.name.removeprefix(f"{group.label}/")
            if group.mixtures:
                chunks = ((n_rois,), trace.chunks[1])
                mixture = group.mixtures[number]
                trace = trace.map_blocks(
                    _unmix, mixture, dtype=np.float64, chunks=chunks, meta=np.empty((0, 0))
                )
            traces[name] = trace
        n_valid = None if reduced.n_valid is None else reduced.n_valid[first : first + n_rois]
        parts.append(GroupTraces(group, traces, n_valid))
        first += group.sizes.size
    return parts


def label_traces(
    recording: xr.DataArray,
    rois: Rois,
    parts: Sequence[GroupTraces],
    asked: Sequence[Statistic],
    *,
    several: bool,
) -> xr.Dataset:
    """Label the traces of one or several overlap rules; `rois` are the ROIs on the recording's frame, unsettled."""
    coords = rois.coords() | time_labels(recording)
    attrs = carried_attributes(recording)
    variables = [_variables(rois, part, asked, in_sample(rois, recording)) for part in parts]
    described = {"long_name": "part of the pixels that other ROIs have too", "units": "1"}
    shared = {"overlap_fraction": ("roi", rois.overlap_fraction(), described)}
    if not several:
        return xr.Dataset(variables[0] | shared, coords=coords, attrs=attrs)
    joined = xr.concat(
        [xr.Dataset(one, coords=coords, attrs=attrs) for one in variables],
        dim=xr.Variable("overlap", [part.group.label for part in parts]),
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    return joined.assign(shared)


def with_neuropil(dataset: xr.Dataset, part: GroupTraces) -> xr.Dataset:
    """Add the traces of the neuropil; NaN and flagged where there are too few pixels."""
    count = part.group.rois.n_pixels
    few = count < MIN_NEUROPIL_PIXELS
    trace = xr.DataArray(part.traces["mean"], dims=("roi", "time"))
    attrs = {"long_name": "mean of the neuropil", "units": "count", "role": "neuropil"}
    trace = trace.where(xr.DataArray(~few, dims="roi")).assign_attrs(attrs)
    flags = xr.DataArray((few * STATUS_FLAGS["few_neuropil_pixels"]).astype(np.uint8), dims="roi")
    status = (dataset["status"] | flags).assign_attrs(dataset["status"].attrs)
    pixels = ("roi", count, {"long_name": "pixels of the neuropil", "units": "1"})
    return dataset.assign(neuropil=trace, n_neuropil_pixels=pixels, status=status)


def _variables(
    rois: Rois, part: GroupTraces, asked: Sequence[Statistic], sampled: bool | None
) -> dict[str, Any]:
    settled = part.group.rois
    variables: dict[str, Any] = {}
    for one in asked:
        attrs: dict[str, Any] = {
            "long_name": f"{one} of the pixels",
            "units": one.declaration.units,
            "statistic": str(one),
        }
        attrs |= {"definition": one.declaration.doc, "overlap": part.group.label}
        weighted = "weighted" in one.declaration.needs and not one.declaration.own_weights
        if sampled is not None and weighted and one.weights is None:
            attrs["in_sample"] = int(sampled)
        variables[one.name] = (("roi", "time"), part.traces[one.name], attrs)
        proportion = dict(one.parameters).get("proportion_to_cut")
        if proportion is not None:
            cut_attrs = {"long_name": "pixels cut at each end", "units": "1"}
            variables[f"n_cut_{one.name}"] = ("roi", _n_cut(settled, proportion), cut_attrs)
    variables["n_pixels"] = ("roi", settled.n_pixels, {"long_name": "pixels used", "units": "1"})
    status: Any = _status(rois, part.group, asked)
    if part.n_valid is not None:
        variables["n_valid"] = (("roi", "time"), part.n_valid, {"long_name": "valid pixels", "units": "1"})
        nothing = (part.n_valid == 0).all(axis=1) & (settled.n_pixels > 0)
        status = (status | nothing * np.uint8(STATUS_FLAGS["all_nan"])).astype(np.uint8)
    return variables | {"status": ("roi", status, dict(_STATUS_ATTRS))}


def _status(rois: Rois, group: Group, asked: Sequence[Statistic]) -> NDArray[np.uint8]:
    """Set the flags that are known before a sample is read."""
    settled = group.rois
    status = np.zeros(len(settled), dtype=np.uint8)
    none = rois.n_pixels == 0
    status[none & (rois.n_outside == 0)] |= STATUS_FLAGS["empty"]
    status[none & (rois.n_outside > 0)] |= STATUS_FLAGS["off_frame"]
    status[~none & (rois.n_outside > 0)] |= STATUS_FLAGS["partly_off_frame"]
    status[~none & (settled.n_pixels == 0)] |= STATUS_FLAGS["excluded"]
    for mixture in group.mixtures:
        status[~none & ~mixture.separable] |= STATUS_FLAGS["not_separable"]
    for one in asked:
        proportion = dict(one.parameters).get("proportion_to_cut", 0)
        if proportion > 0:
            status[(_n_cut(settled, proportion) == 0) & (settled.n_pixels > 0)] |= STATUS_FLAGS["no_trim"]
    return status


def _n_cut(rois: Rois, proportion: float) -> NDArray[np.int64]:
    return np.array([int(proportion * n) for n in rois.n_pixels.tolist()], dtype=np.int64)


def _unmix(means: NDArray[np.float64], mixture: Mixture) -> NDArray[np.float64]:
    return mixture.unmix(means)
