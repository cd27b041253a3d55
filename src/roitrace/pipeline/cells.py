"""Cells: from projections or a file, weighed and filtered."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from roitrace.description import describe
from roitrace.engine.plan import RESERVED_BYTES
from roitrace.engine.run import execute
from roitrace.errors import ArgumentError, BudgetError
from roitrace.frame import frame_of
from roitrace.judging import judge
from roitrace.pipeline.recording import open_part
from roitrace.recipes import segment_images
from roitrace.roi_files import read_rois
from roitrace.units import format_bytes, parse_bytes
from roitrace.weighting import pixel_weights, uses_frames

if TYPE_CHECKING:
    import xarray as xr

    from roitrace.config.sections import RoisSection
    from roitrace.frame import Frame
    from roitrace.pipeline.job import Job
    from roitrace.rois import Rois

__all__ = [
    "NO_CELLS",
    "configured_rois",
    "filter_rois",
    "find_cells",
    "rois_identity",
    "section_rois",
    "segment_images",
    "weigh_cells",
]


NO_CELLS = (
    "no cells were found: look at the projections, then try another image (max or std), a cell_diameter that fits, or a "
    "threshold of your own"
)


def find_cells(job: Job, recording: xr.DataArray, images: xr.Dataset) -> tuple[xr.DataArray, Rois]:
    """Return the mask and the ROIs: from a file, or from a projection."""
    section = job.config.rois
    with job.step("segment"):
        if section.path is not None:
            rois = configured_rois(job, recording)
            mask = rois.to_mask()
        else:
            mask, rois = segment_images(section, images)
        return mask, filter_rois(section, rois, images)


def filter_rois(section: RoisSection, rois: Rois, images: xr.Dataset) -> Rois:
    """Reject the ROIs that break a rule of the filter, with reasons."""
    if not section.filter or not len(rois):
        return rois
    activity = images["std"] if "std" in section.looks_at else None
    return judge(rois, describe(rois, images[section.image[0]], activity=activity), section.filter)


def configured_rois(job: Job, recording: xr.DataArray, *, look: bool = True) -> Rois:
    """Read the ROIs of the configuration, drawn on the whole frame, and place them on the part of it that is read.

    Where only the recording can tell rows from columns, it is looked at unless `look` is False.
    """
    whole = open_part(job.config.recording.model_copy(update={"y": None, "x": None}))
    return section_rois(job.config.rois, whole if look else frame_of(whole)).within(frame_of(recording))


def section_rois(section: RoisSection, drawn_on: xr.DataArray | Frame) -> Rois:
    """Read the ROIs that a configuration names."""
    assert section.path is not None
    return read_rois(
        section.path,
        recording=drawn_on,
        axis_order=section.axis_order,
        plane=section.plane,
        support=section.support,
    )


def weigh_cells(job: Job, recording: xr.DataArray, rois: Rois, images: xr.Dataset) -> Rois:
    """Give the ROIs weights as configured; without a word about weights, those that they bring stay."""
    section = job.config.weights
    asked = "weights" in job.config.model_fields_set
    if section is None or not len(rois) or (rois.weights is not None and not asked):
        return rois
    image = images[section.image] if "brightness" in section.by else None
    try:
        frames = _sample(job, recording, section.frames) if uses_frames(section.by) else None
        return pixel_weights(rois, section.by, image=image, background=section.background, frames=frames)
    except ArgumentError as problem:
        if asked or job.config.extract.asks_for_weights:
            raise
        job.note(f"no weights, and no weighted mean: {problem}")
        return rois


def _sample(job: Job, recording: xr.DataArray, span: tuple[int, int]) -> xr.DataArray:
    """Read frames for weights that are measured in them, whole, within the budget.

    Raises
    ------
    BudgetError
        If they do not fit; with the number that does.
    """
    limit = parse_bytes(job.config.resources.budget) - RESERVED_BYTES
    chosen = recording.isel(time=slice(*span))
    needed = 4 * chosen.nbytes
    if needed > limit:
        fits = max(0, int(chosen.sizes["time"] * limit / needed))
        raise BudgetError(
            f"weights.frames: {chosen.sizes['time']:,} frames take {format_bytes(needed)} of working memory, the budget leaves "
            f"{format_bytes(max(0, limit))}",
            f"give a sample of at most {fits:,} frames, or a larger resources.budget",
        )
    with job.step("read the sample of frames") as progress:
        sample: xr.DataArray
        (sample,) = execute(chosen, workers=job.config.resources.workers, progress=progress)
    return sample


def rois_identity(rois: Rois) -> str:
    """Return a digest of pixels, weights and names."""
    digest = hashlib.sha256(repr((rois.shape, rois.names)).encode())
    for part in (rois.indptr, rois.pixels, rois.weights):
        digest.update(b"" if part is None else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
