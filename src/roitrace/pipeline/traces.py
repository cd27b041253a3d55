"""Traces: the second read of the recording, streamed into the store; what follows is computed from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.comparison import compare
from roitrace.engine.run import available_workers
from roitrace.extraction import extract
from roitrace.normalization import normalize
from roitrace.results import write_grid
from roitrace.units import parse_bytes

if TYPE_CHECKING:
    import xarray as xr

    from roitrace.pipeline.job import Job
    from roitrace.results import ResultsWriter
    from roitrace.rois import Rois

__all__ = [
    "baseline_options",
    "compare_traces",
    "lazy_traces",
    "normalize_traces",
    "statistics_in",
    "write_traces",
]


def write_traces(job: Job, recording: xr.DataArray, cells: dict[str, Rois], writer: ResultsWriter) -> None:
    """Extract the traces of several sets of ROIs, each into a group, streamed."""
    with job.step("extract") as progress:
        groups = {name: lazy_traces(job, recording, rois) for name, rois in cells.items()}
        writer.write(groups, workers=job.config.resources.workers, progress=progress)


def lazy_traces(job: Job, recording: xr.DataArray, rois: Rois) -> xr.Dataset:
    """Traces of one set of ROIs by all statistics, not computed yet."""
    section = job.config.extract
    statistics = section.asked(weights=rois.weights is not None)
    traces = extract(
        recording,
        rois,
        statistics,
        overlap=section.overlap,
        skipna=section.skipna,
        min_coverage=section.min_coverage,
        budget=_budget_beside_writing(job, recording, rois, len(statistics)),
        workers=job.config.resources.workers,
    )
    return traces.assign_attrs(primary=section.primary)


def normalize_traces(job: Job, writer: ResultsWriter) -> None:
    """Put the primary traces on a common scale, from the store into the store, few whole traces at a time."""
    section = job.config.normalize
    if section is None:
        return
    with job.step("normalize") as progress:
        traces = writer.read("traces")
        normalized = normalize(
            traces, section.method, offset=section.offset, **baseline_options(job, traces), **job.limits
        )
        writer.write({"normalized": normalized}, workers=job.config.resources.workers, progress=progress)


def compare_traces(job: Job, writer: ResultsWriter) -> None:
    """Compare every statistic with one of them, few whole traces at a time."""
    section = job.config.compare
    if section is None:
        return
    with job.step("compare") as progress:
        traces = writer.read("traces")
        comparison = compare(
            traces,
            against=section.against,
            statistics=statistics_in(job, traces),
            **baseline_options(job, traces),
            **job.limits,
        )
        writer.write({"comparison": comparison}, workers=job.config.resources.workers, progress=progress)


def statistics_in(job: Job, traces: xr.Dataset) -> list[str]:
    """Return the names of the statistics that were extracted, in the order in which they were asked for."""
    return [one.name for one in job.config.extract.asked() if one.name in traces]


def baseline_options(job: Job, data: xr.DataArray | xr.Dataset) -> dict[str, Any]:
    """Return how F0 is found: as configured; without a configuration and a frame rate, over the whole recording."""
    section = job.config.normalize
    if section is not None:
        return section.model_dump(include={"percentile", "window", "smoothing"})
    known = "frame_rate" in data.attrs
    return {"percentile": 8.0, "window": 60.0 if known else None, "smoothing": 0.5 if known else None}


def _budget_beside_writing(job: Job, recording: xr.DataArray, rois: Rois, n_statistics: int) -> int:
    """Leave room for the files that are being put together while slabs are read."""
    shape = (len(rois), recording.sizes["time"])
    unit = 8 * int(np.prod(write_grid(("roi", "time"), shape, np.dtype("float64")).unit))
    workers = job.config.resources.workers or available_workers()
    return parse_bytes(job.config.resources.budget) - unit * (n_statistics + workers)
