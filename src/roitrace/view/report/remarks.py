"""What to know before the numbers are trusted, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.units import format_count

if TYPE_CHECKING:
    from roitrace.view.report.contents import Contents

__all__ = ["remarks_on"]

_MUCH_MOTION = 1.0  # pixel, as a job warns too
_MUCH_OVERLAP = 0.5
_FLAGS = {
    "empty": "{cells} without any pixel: traces are NaN.",
    "off_frame": "{cells} off the frame: traces are NaN.",
    "partly_off_frame": "{cells} partly off the frame: only the pixels on it count.",
    "excluded": "{cells} with pixels of other cells only, which are excluded: traces are NaN.",
    "all_nan": "{cells} without a valid sample: traces are NaN.",
    "no_trim": "{cells} too small for the trimmed mean to cut anything: it is their mean.",
    "few_neuropil_pixels": "{cells} with too few pixels of neuropil around: their corrected traces are NaN.",
    "not_separable": "{cells} that cannot be told from those that overlap them: traces are NaN.",
    "r_fallback": "{cells} for which no part of neuropil could be fitted: the fallback was taken.",
    "small_f0": "{cells} with frames whose F0 is not above the noise: dF/F is NaN there.",
    "mad_zero": "{cells} whose trace hardly varies (median absolute deviation 0): the robust z-score is NaN.",
    "constant": "{cells} with a constant trace, which cannot be normalised.",
    "no_baseline": "{cells} with frames that have no F0: too few valid samples around.",
}


def remarks_on(contents: Contents) -> list[str]:
    """Return sentences: what went wrong, what is missing, what to look at."""
    remarks = []
    if "error" in contents.run:
        remarks.append(f"The last job that wrote here failed: {contents.run['error']}")
    remarks += [_sentence(str(note)) for note in contents.run.get("notes", ())]
    if not contents.names:
        remarks.append("There are no cells in these results.")
    return list(dict.fromkeys([*remarks, *_of_cells(contents), *_of_traces(contents), *_of_motion(contents)]))


def _sentence(note: str) -> str:
    return note[:1].upper() + note[1:] + ("" if note.endswith((".", "!", "?")) else ".")


def _of_cells(contents: Contents) -> list[str]:
    remarks = []
    rejected = int((~contents.accepted).sum())
    if rejected:
        remarks.append(
            f"{format_count(rejected, 'cell')} of {len(contents.names)} rejected; the table says why."
        )
    shared = contents.groups.get("traces", xr.Dataset()).get("overlap_fraction")
    if shared is not None:
        many = int((shared.values > _MUCH_OVERLAP).sum())
        if many:
            remarks.append(
                f"{format_count(many, 'cell')} with more than half of the pixels in other cells too."
            )
    frame = contents.frame
    if frame is not None and frame.units != "micrometer":
        remarks.append("The pixel size is not known: lengths are in pixels.")
    return remarks


def _of_traces(contents: Contents) -> list[str]:
    remarks = []
    for group in ("traces", "corrected", "normalized"):
        dataset = contents.groups.get(group, xr.Dataset())
        if "status" in dataset:
            remarks += _flagged(dataset["status"])
    traces = contents.traces
    if traces is None:
        return [*remarks, "There are no traces in these results."]
    if traces["time"].attrs.get("units") != "s" if "time" in traces.coords else True:
        remarks.append("The frame rate is not known: time is counted in frames.")
    if "corrected" not in contents.groups and "no_neuropil" in traces.attrs:
        remarks.append(f"No neuropil is subtracted: {traces.attrs['no_neuropil']}.")
    in_sample = [str(name) for name, one in traces.data_vars.items() if one.attrs.get("in_sample")]
    if in_sample:
        remarks.append(f"The weights of {', '.join(in_sample)} come from the frames that they weigh.")
    if "normalized" not in contents.groups:
        remarks.append("The traces are not normalised.")
    return remarks


def _flagged(status: xr.DataArray) -> list[str]:
    masks = np.atleast_1d(status.attrs.get("flag_masks", [])).tolist()
    meanings = str(status.attrs.get("flag_meanings", "")).split()
    values = (
        status.values.reshape(math.prod(status.shape[:-1]), -1)
        if status.size
        else np.zeros((1, 0), dtype=np.uint8)
    )
    counts = {
        name: int(((values & mask) > 0).any(axis=0).sum())
        for mask, name in zip(masks, meanings, strict=False)
    }
    known = {name: count for name, count in counts.items() if count and name in _FLAGS}
    return [_FLAGS[name].format(cells=format_count(count, "cell")) for name, count in known.items()]


def _of_motion(contents: Contents) -> list[str]:
    motion = contents.groups.get("motion", xr.Dataset())
    if not {"dy", "dx"} <= set(motion) or not motion["dy"].size:
        return []
    distance = np.hypot(motion["dy"].values, motion["dx"].values)
    distance = distance[np.isfinite(distance)]
    moved = float(np.percentile(distance, 95)) if distance.size else 0.0
    if moved <= _MUCH_MOTION:
        return []
    return [
        f"The recording still moves by up to {moved:.1f} pixels (95th percentile of the frames looked at)."
    ]
