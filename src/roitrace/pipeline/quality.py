"""Measure every cell, and reject those that break a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.engine.run import execute
from roitrace.errors import ArgumentError
from roitrace.judging import broken_rules, judge, parse_rule
from roitrace.quality import quality
from roitrace.units import format_count

if TYPE_CHECKING:
    import xarray as xr

    from roitrace.pipeline.decisions import Deciding
    from roitrace.pipeline.job import Job
    from roitrace.results import ResultsWriter
    from roitrace.rois import Rois

__all__ = ["check_rules", "judge_cells"]


def check_rules(job: Job, traces: xr.Dataset, rois: Rois) -> None:
    """Refuse rules about measures that the traces will not have, before they are extracted.

    Raises
    ------
    ArgumentError
        Naming the measures that there will be.
    """
    section = job.config.quality
    if section is None or not section.rules:
        return
    measures = [*_measured(job, traces, rois).data_vars]
    measures += ["residual_motion", "dy_correlation", "dx_correlation"] if job.config.recording.motion else []
    measures += ["neuropil_coefficient"] if job.config.neuropil_used is not None else []
    for rule in section.rules:
        if parse_rule(rule).measure not in measures:
            raise ArgumentError(
                f"quality.rules: {rule!r} is about what this job does not measure; it measures {', '.join(map(str, measures))}",
                "ask for what the measure needs, see the help of roitrace.quality: split_half, mean and median, neuropil, saturation",
            )


def judge_cells(job: Job, rois: Rois, writer: ResultsWriter, decisions: Deciding) -> Rois:
    """Write the table of measures; return the ROIs with the flags and reasons of the rules, in the store too.

    What a person decided, no rule changes.
    """
    section = job.config.quality
    if section is None:
        return rois
    with job.step("quality") as progress:
        traces = writer.read("traces")
        if job.config.neuropil_used is not None:
            traces = traces.assign(r=writer.read("corrected")["r"])
        table: xr.Dataset
        if writer.has("quality"):
            table = writer.read("quality").load().drop_vars("reason")
        else:
            (table,) = execute(
                _measured(job, traces, rois, writer.read("motion") if "motion" in writer.groups else None),
                workers=job.config.resources.workers,
                progress=progress,
            )
        judged = decisions.update(judge(rois, table, section.rules))
        named = {name: judged.coords()[name] for name in ("roi", "roi_id", "accepted")}
        reasons = ("roi", list(judged.reasons), {"long_name": "why a cell was accepted or rejected"})
        writer.write({"quality": table.assign_coords(named).assign(reason=reasons)})
        if section.rules:
            for group in writer.groups & {"rois", "neuropil"}:
                writer.replace(group, "reason", np.array(judged.reasons))
            for group in writer.groups & {"rois", "neuropil", "traces", "corrected", "reference"}:
                writer.replace(group, "accepted", judged.accepted)
            rejected = int((~judged.accepted).sum())
            if rejected:
                job.note(f"{format_count(rejected, 'cell')} of {len(judged)} rejected: {_shown(judged)}")
    return judged


def _shown(rois: Rois) -> str:
    reasons = [reason for reason, accepted in zip(rois.reasons, rois.accepted, strict=True) if not accepted]
    return ", ".join(f"{measure} {count}" for measure, count in broken_rules(reasons).items())


def _measured(job: Job, traces: xr.Dataset, rois: Rois, motion: xr.Dataset | None = None) -> xr.Dataset:
    section = job.config.quality
    assert section is not None
    options: dict[str, Any] = job.baseline_options(traces) | job.limits
    return quality(
        traces, rois, saturation=section.saturation, motion=motion, offset=job.dark_level, **options
    )
