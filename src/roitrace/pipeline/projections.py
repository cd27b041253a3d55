"""Projections: the first read of the recording; of one that has grown, a read of what is new, where sums over the rest were kept.

The sums are a cache beside the results, ``<store>.run/projections.sums``, which says what it holds: results are the same without it.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from roitrace.engine.blocks import source_of
from roitrace.engine.carried_sums import CarriedSums
from roitrace.engine.sums_files import MEANING, read_sums
from roitrace.errors import FileAccessError
from roitrace.pipeline.job import run_folder
from roitrace.projection import asked_images, images_of, sums_of
from roitrace.results import is_results_store
from roitrace.store.evidence import Evidence
from roitrace.store.files import move
from roitrace.units import format_count

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from roitrace.engine.request import Request
    from roitrace.engine.statistics import Statistic
    from roitrace.pipeline.job import Job
    from roitrace.results import ResultsWriter
    from roitrace.store.places import Location

__all__ = ["project_recording"]

_ANEW = {
    "pixels": "the known frames are not those that were summed up (pixels, the part that is read, or chunks differ)",
    "sums": "the sums that were kept are of other projections",
    "versions": "the sums that were kept were made by other versions",
}
"""Why sums are of no use that say another thing."""


def project_recording(job: Job, recording: xr.DataArray, writer: ResultsWriter) -> xr.Dataset:
    """Write the projections, and those that later steps need, from one read; return them in memory."""
    asked = asked_images(recording, job.config.images())
    with job.step("project") as progress:
        _keep_for_the_next(job)
        carried = None if writer.has("projections") else _carried(job, recording, asked)
        lazy = images_of(recording, asked, carried=carried, **job.limits)
        writer.write({"projections": lazy}, workers=job.config.resources.workers, progress=progress)
        if carried is not None and carried.keeps and not _has_sums(job, carried):
            # of tasks in other processes nobody hears why
            _tell_of_none(job, carried.refusals[-1] if carried.refusals else "no worker could write them")
        _keep_for_the_next(job)
        return writer.read("projections").load()[list(lazy.data_vars)]


def _kept(job: Job) -> Location:
    """Return where sums are from one job to the next."""
    return run_folder(job.config.output.path) / "projections.sums"


def _made(job: Job) -> Location:
    """Return where a job puts its sums, in the folder that is swept when it begins and ends."""
    return run_folder(job.config.output.path) / "sums" / "projections"


def _keep_for_the_next(job: Job) -> None:
    if _made(job).exists():
        try:
            move(_made(job), _kept(job))
        except FileAccessError as error:
            _tell_of_none(job, error.problem)


def _has_sums(job: Job, carried: CarriedSums) -> bool:
    """Whether the sums were left, by this job or by the stopped one that it goes on with."""
    if _made(job).exists():
        return True
    kept = read_sums(_kept(job))
    return kept is not None and kept[0] == carried.about


def _tell_of_none(job: Job, why: str) -> None:
    job.note(f"the sums of the projections are not kept for the next job: {why}")


def _evidence_of(recording: xr.DataArray) -> Evidence | None:
    source = source_of(recording.data)
    return None if source is None else Evidence.of(source)


def _carried(job: Job, recording: xr.DataArray, asked: tuple[Statistic, ...]) -> CarriedSums | None:
    """Return the sums to go on from, if the job extends results, and those to leave; say what is read."""
    request, output = sums_of(asked), job.config.output
    extends = output.extend and is_results_store(output.path)
    evidence = _evidence_of(recording)
    why = "only a recording store of roitrace, read as it is, tells whether old frames are the same"
    carried = None
    if request.moments and evidence is not None:
        start, why = _known(_kept(job), evidence, request) if extends else (0, "")
        about = _about(evidence, request, evidence.border)
        stop = None if about["pixels"] is None else evidence.border
        if start or stop:
            carried = CarriedSums(_kept(job) if start else None, start, _made(job), stop, about, evidence)
    if extends:
        _tell(job, asked, carried, recording.sizes["time"], why)
    return carried


def _known(path: Location, evidence: Evidence, request: Request) -> tuple[int, str]:
    """Return how many frames the sums hold that are kept; 0 if they are of no use, and why."""
    if not path.exists():
        return 0, "no sums over them were kept"
    read = read_sums(path)
    said = None if read is None else read[0]
    if not isinstance(said, dict) or not isinstance(said.get("frames"), int):
        return 0, "the sums that were kept are damaged"
    now = _about(evidence, request, said["frames"])
    changed = [why for name, why in _ANEW.items() if now[name] is None or said.get(name) != now[name]]
    return (0, changed[0]) if changed else (said["frames"], "")


def _about(evidence: Evidence, request: Request, frames: int) -> dict[str, Any]:
    """Say what sums over the first frames are made of, and how."""
    bins = [(one.frames, sorted(one.needs), one.periods) for one in request.bins]
    asked = repr((sorted(request.moments), request.periods, bins))
    return {
        "frames": frames,
        "pixels": evidence.digest(frames),
        "sums": hashlib.sha256(asked.encode()).hexdigest(),
        "versions": {"sums": MEANING} | {name: version(name) for name in ("numba", "numpy")},
    }


def _tell(
    job: Job, asked: tuple[Statistic, ...], carried: CarriedSums | None, n_frames: int, why: str
) -> None:
    """Say which projections go on from sums, and which are read anew, and why."""
    summed = _named(asked, lambda one: one.declaration.order is None)
    ranked = _named(asked, lambda one: one.declaration.order is not None)
    if summed and carried is not None and carried.start:
        job.note(
            f"the projections ({summed}) go on from the sums over {format_count(carried.start, 'known frame')}; "
            f"{format_count(n_frames - carried.start, 'frame')} are read"
        )
    elif summed:
        job.note(f"the projections ({summed}) are read anew from all frames: {why}")
    if ranked:
        job.note(f"the projections ({ranked}) are read anew from all frames: they are no sums over time")


def _named(asked: tuple[Statistic, ...], which: Callable[[Statistic], bool]) -> str:
    return ", ".join(dict.fromkeys(one.name for one in asked if which(one)))
