"""Traces: the second read of the recording, streamed into the store; what follows is computed from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.comparison import compare
from roitrace.engine.places import available_workers
from roitrace.errors import AlignmentError, ArgumentError, StoreError
from roitrace.extension import extend
from roitrace.extraction import extract
from roitrace.neuropil import neuropil
from roitrace.neuropil_correction import correct_neuropil
from roitrace.normalization import normalize
from roitrace.pipeline.quality import check_rules
from roitrace.pipeline.recording import open_part
from roitrace.result_layout import write_grid
from roitrace.results import is_results_store, load
from roitrace.traces import pick_trace, spread_rules
from roitrace.units import format_count, parse_bytes

if TYPE_CHECKING:
    import xarray as xr

    from roitrace.config.trace_sections import NeuropilSection
    from roitrace.engine.statistics import Statistic
    from roitrace.pipeline.job import Job
    from roitrace.results import ResultsWriter
    from roitrace.rois import Rois

__all__ = [
    "all_traces",
    "compare_traces",
    "correct_traces",
    "lazy_traces",
    "normalize_traces",
    "rings_of",
    "statistics_in",
    "valid_area",
    "write_reference",
    "write_traces",
]

_TELLING = ("mean", "max", "min", "median", "std")  # NaN only where a pixel has no sample
_RING_OPTIONS = {"rule", "gap", "min_pixels", "reach", "weight_percentile"}


def rings_of(section: NeuropilSection | None, rois: Rois, valid: xr.DataArray | None = None) -> Rois | None:
    """Return the neuropil of every ROI, rejected ones included, where pixels are `valid`; None where none is asked."""
    if section is None:
        return None
    return neuropil(rois, valid=valid, **section.model_dump(include=_RING_OPTIONS))


def valid_area(images: xr.Dataset) -> xr.DataArray | None:
    """Return the pixels that have a sample in some frame ``(y, x)``; None where no projection tells."""
    telling = [name for name in _TELLING if name in images]
    return images[telling[0]].notnull() if telling else None


def write_traces(
    job: Job,
    recording: xr.DataArray,
    cells: dict[str, Rois],
    valid: xr.DataArray | None,
    writer: ResultsWriter,
) -> None:
    """Extract the traces of several sets of ROIs, each into a group, streamed."""
    groups = {name: lazy_traces(job, recording, rois, valid) for name, rois in cells.items()}
    groups["traces"] = _extended(job, recording, cells["traces"], valid, groups["traces"])
    check_rules(job, groups["traces"], cells["traces"])
    section, n_cells = job.config.neuropil_used, len(cells["traces"])
    if section is not None and isinstance(section.r, tuple) and len(section.r) != n_cells:
        raise ArgumentError(
            f"neuropil.r lists {len(section.r)} numbers for {n_cells} cells",
            "give one number for all, one per cell, fit or cross_validated",
        )
    with job.step("extract") as progress:
        writer.write(groups, workers=job.config.resources.workers, progress=progress)


def lazy_traces(job: Job, recording: xr.DataArray, rois: Rois, valid: xr.DataArray | None) -> xr.Dataset:
    """Traces of one set of ROIs by all statistics and overlap rules, and of their neuropil, not computed yet."""
    statistics, options = _asked(job, recording, rois, valid)
    return _described(job, extract(recording, rois, statistics, **options))


def _asked(
    job: Job, recording: xr.DataArray, rois: Rois, valid: xr.DataArray | None
) -> tuple[list[Statistic], dict[str, Any]]:
    """Return the statistics and the options of `extract`."""
    section = job.config.extract
    statistics = section.asked(weights=rois.weights is not None)
    rings = rings_of(job.config.neuropil_used, rois, valid)
    arrays = len(statistics) * len(section.overlap) + (rings is not None)
    return list(statistics), {
        "overlap": section.overlap if len(section.overlap) > 1 else section.overlap[0],
        "neuropil": rings,
        "skipna": section.skipna,
        "min_coverage": section.min_coverage,
        "budget": _budget_beside_writing(job, recording, rois, arrays),
        "workers": job.config.resources.workers,
    }


def _described(job: Job, traces: xr.Dataset) -> xr.Dataset:
    with_neuropil = job.config.neuropil_used is not None
    about = {} if with_neuropil else {"no_neuropil": job.config.no_neuropil_because}
    return traces.assign_attrs(primary=job.config.extract.primary, **about)


def _extended(
    job: Job, recording: xr.DataArray, rois: Rois, valid: xr.DataArray | None, fresh: xr.Dataset
) -> xr.Dataset:
    """Return the traces with what earlier results hold of them, if they are to be extended and fit; say what is computed anew."""
    output = job.config.output
    if not output.extend or not is_results_store(output.path):
        return fresh
    statistics, options = _asked(job, recording, rois, valid)
    try:
        earlier = load(output.path)
        traces = extend(earlier, recording, rois, statistics, **options)
    except (AlignmentError, ArgumentError, StoreError) as problem:
        job.note(f"the traces are extracted anew: {problem.problem}")
        return fresh
    known, whole = earlier["traces"].sizes["time"], traces.sizes["time"]
    job.note(
        f"the traces of {format_count(known, 'known frame')} are kept, {whole - known:,} are new; what is computed from whole traces is "
        "made anew"
    )
    return _described(job, traces)


def write_reference(job: Job, rois: Rois, writer: ResultsWriter) -> None:
    """Extract the same ROIs from the second channel, for ratios."""
    section = job.config.normalize
    if section is None or section.reference is None:
        return
    with job.step("extract reference") as progress:
        channel = job.config.recording.model_copy(update={"channel": section.reference.channel})
        extract_section = job.config.extract
        primary = [one for one in extract_section.asked() if one.name == extract_section.primary]
        recording = open_part(channel)
        traces = extract(
            recording,
            rois,
            primary,
            overlap=extract_section.overlap[0],
            skipna=extract_section.skipna,
            min_coverage=extract_section.min_coverage,
            budget=_budget_beside_writing(job, recording, rois, 1),
            workers=job.config.resources.workers,
        )
        writer.write({"reference": traces}, workers=job.config.resources.workers, progress=progress)


def correct_traces(job: Job, writer: ResultsWriter) -> None:
    """Subtract the neuropil from the primary traces; F, Fneu and Fcorr are kept."""
    if job.config.neuropil_used is None:
        return
    with job.step("correct neuropil") as progress:
        corrected = _corrected(job, spread_rules(writer.read("traces")))
        writer.write({"corrected": corrected}, workers=job.config.resources.workers, progress=progress)


def normalize_traces(job: Job, writer: ResultsWriter) -> None:
    """Put the primary traces on a common scale, from the store into the store, few whole traces at a time."""
    section = job.config.normalize
    if section is None:
        return
    with job.step("normalize") as progress:
        corrected = job.config.neuropil_used is not None
        traces = spread_rules(writer.read("corrected" if corrected else "traces"))
        options = job.f0_options(traces)
        if section.reference is not None:
            options["reference"] = pick_trace(writer.read("reference")) - section.reference.offset
        normalized = normalize(traces, section.method, offset=section.offset, **options, **job.limits)
        writer.write({"normalized": normalized}, workers=job.config.resources.workers, progress=progress)


def compare_traces(job: Job, writer: ResultsWriter) -> None:
    """Compare every statistic with one of them, few whole traces at a time."""
    section = job.config.compare
    if section is None:
        return
    with job.step("compare") as progress:
        traces = all_traces(job, writer.read("traces"))
        comparison = compare(
            traces,
            against=section.against,
            statistics=statistics_in(job, traces),
            **job.baseline_options(traces),
            **job.limits,
        )
        writer.write({"comparison": comparison}, workers=job.config.resources.workers, progress=progress)


def all_traces(job: Job, traces: xr.Dataset) -> xr.Dataset:
    """Return the traces of every statistic and overlap rule, and Fcorr where neuropil is subtracted, side by side."""
    traces = spread_rules(traces)
    section = job.config.neuropil_used
    # one r per found cell says nothing of the true cells of a simulation
    if section is None or (isinstance(section.r, tuple) and len(section.r) != traces.sizes["roi"]):
        return traces
    return traces.assign(fcorr=_corrected(job, traces)["fcorr"])


def statistics_in(job: Job, traces: xr.Dataset) -> list[str]:
    """Return the names of all traces side by side, in the order in which they were asked for; Fcorr last."""
    section = job.config.extract
    names = [one.name for one in section.asked()]
    names += [f"{name} ({rule})" for rule in section.overlap[1:] for name in names]
    return [name for name in (*names, "fcorr") if name in traces]


def _corrected(job: Job, traces: xr.Dataset) -> xr.Dataset:
    section = job.config.neuropil_used
    assert section is not None
    return correct_neuropil(
        traces,
        r=section.r,
        r_fallback=section.r_fallback,
        offset=job.dark_level if section.offset is None else section.offset,
        **job.limits,
    )


def _budget_beside_writing(job: Job, recording: xr.DataArray, rois: Rois, n_statistics: int) -> int:
    """Leave room for the files that are being put together while slabs are read."""
    shape = (len(rois), recording.sizes["time"])
    unit = 8 * int(np.prod(write_grid(("roi", "time"), shape, np.dtype("float64")).unit))
    workers = job.config.resources.workers or available_workers()
    return parse_bytes(job.config.resources.budget) - unit * (n_statistics + workers)
