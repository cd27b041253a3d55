"""Found cells and traces against the truth of a simulated recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roitrace.comparison import score_traces
from roitrace.matching import match_rois
from roitrace.pipeline.traces import all_traces, statistics_in

if TYPE_CHECKING:
    import xarray as xr

    from roitrace.pipeline.job import Job
    from roitrace.results import ResultsWriter
    from roitrace.rois import Rois
    from roitrace.simulation import Truth

__all__ = ["FOUND", "TRUE", "match_cells", "score"]

FOUND, TRUE = "truth/found_masks", "truth/true_masks"
"""Groups of the scores."""

TRACES = "truth/visible"
"""Group of the true dF/F."""


def match_cells(found: Rois, truth: Truth, writer: ResultsWriter) -> xr.Dataset:
    """Pair found cells with true ones."""
    pairs = match_rois(found, truth.rois)
    writer.write({"truth/cells": pairs})
    return pairs


def score(job: Job, truth: Truth, pairs: xr.Dataset, writer: ResultsWriter) -> None:
    """Score the dF/F of found and of true masks against the change that is really visible under each true mask.

    F0 is found as the job finds that of its dF/F.
    """
    options = {"offset": job.dark_level, **job.f0_options(truth.traces)}
    visible = _true_traces(job, truth, writer)
    for group, masks, chosen in ((TRUE, "truth/traces", None), (FOUND, "traces", pairs)):
        if not pairs.sizes["pair"] and chosen is not None:
            continue
        traces = all_traces(job, writer.read(masks))
        with job.step(f"score {masks}") as progress:
            scores = score_traces(
                traces, visible, chosen, statistics=statistics_in(job, traces), **options, **job.limits
            )
            writer.write({group: scores}, workers=job.config.resources.workers, progress=progress)


def _true_traces(job: Job, truth: Truth, writer: ResultsWriter) -> xr.DataArray:
    """Copy the true traces into the store, from where few whole ones are read at a time."""
    traces = truth.traces[["visible_dff"]]
    frames = (traces["visible_dff"].encoding.get("chunks") or traces["visible_dff"].shape)[1]
    with job.step("copy true traces") as progress:
        copied = {TRACES: traces.chunk({"roi": -1, "time": frames})}
        writer.write(copied, workers=job.config.resources.workers, progress=progress)
    # frame by frame those of the recording, whose times may differ in the last bit
    return writer.read(TRACES)["visible_dff"].drop_vars("time")
