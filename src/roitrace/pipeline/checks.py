"""What can be known to fail before a sample is read."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.baseline import BaselineOptions, BaselineRule
from roitrace.pipeline.cells import configured_rois

if TYPE_CHECKING:
    from roitrace.pipeline.job import Job

__all__ = ["check_early"]


def check_early(job: Job, recording: xr.DataArray) -> None:
    """Try what needs no sample of the recording, so that its mistakes show now and not after an hour.

    Raises
    ------
    RoitraceError
        If seconds are asked of a recording without a frame rate, or ROIs from a file do not line up with it.
    """
    if job.config.normalize is not None or job.config.compare is not None:
        frames = xr.DataArray(
            np.broadcast_to(0.0, recording.sizes["time"]),
            dims="time",
            coords={"time": recording["time"]},
            attrs=recording.attrs,
        )
        BaselineRule.for_trace(frames, **job.baseline_options(recording))
        section = job.config.normalize
        if section is not None and section.method == "dff" and section.reference is None:
            options = job.f0_options(recording)
            BaselineOptions(options.pop("baseline"), **options).for_trace(frames)
    if job.config.rois.path is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said when they are read for good
            configured_rois(job, recording, look=False)
