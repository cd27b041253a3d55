"""Found cells and traces against the truth of a simulated recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from roitrace.comparison import score_traces
from roitrace.matching import match_rois
from roitrace.pipeline.traces import baseline_options
from roitrace.results import write_grid

if TYPE_CHECKING:
    import xarray as xr

    from roitrace.pipeline.job import Job
    from roitrace.results import ResultsWriter
    from roitrace.rois import Rois
    from roitrace.simulation import Truth

__all__ = ["FOUND", "TRUE", "match_cells", "score"]

FOUND, TRUE = "truth/found_masks", "truth/true_masks"
"""Groups of the scores."""


def match_cells(found: Rois, truth: Truth, writer: ResultsWriter) -> xr.Dataset:
    """Pair found cells with true ones."""
    pairs = match_rois(found, truth.rois)
    writer.write({"truth/cells": pairs})
    return pairs


def score(job: Job, truth: Truth, pairs: xr.Dataset, writer: ResultsWriter) -> None:
    """Score the dF/F of found and of true masks against the change that is really visible under each true mask."""
    section = job.config.normalize
    options = {
        "statistics": [one.name for one in job.config.extract.asked()],
        "offset": 0.0 if section is None else section.offset,
        **baseline_options(job, truth.traces),
    }
    visible = _by_rows(truth.traces["visible_dff"])
    workers = job.config.resources.workers
    with job.step("score true masks") as progress:
        scores = score_traces(writer.read("truth/traces"), visible, **options, **job.limits)
        writer.write({TRUE: scores}, workers=workers, progress=progress)
    if not pairs.sizes["pair"]:
        return
    with job.step("score found masks") as progress:
        scores = score_traces(writer.read("traces"), visible, pairs, **options, **job.limits)
        writer.write({FOUND: scores}, workers=workers, progress=progress)


def _by_rows(traces: xr.DataArray) -> xr.DataArray:
    """Make traces on disk lazy, few whole ones in a block."""
    rows = write_grid(("roi", "time"), traces.shape, np.dtype("float64"), rows=True).unit[0]
    return traces.chunk({"roi": rows, "time": -1})
