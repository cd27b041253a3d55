"""What a whole job will take, step by step, from metadata only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.config.statistics import needs_weights
from roitrace.engine.blocks import as_dask
from roitrace.errors import StoreError
from roitrace.frame import frame_of
from roitrace.pipeline.cells import section_rois
from roitrace.pipeline.corrections import corrected_part
from roitrace.pipeline.recording import open_part
from roitrace.pipeline.traces import rings_of
from roitrace.planning import Plan, plan
from roitrace.rois import as_rois
from roitrace.simulation import SimulatedSource
from roitrace.sources import BlockReader, BlockSource
from roitrace.store.layout import RecordingLayout, default_chunks
from roitrace.store.places import place_of
from roitrace.units import format_bytes, parse_length

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from roitrace.config import Config

__all__ = ["JobPlan", "plan_job"]

_ASSUMED_DIAMETER = 10


@dataclass(frozen=True)
class JobPlan:
    """What the steps of a job take.

    Attributes
    ----------
    steps : dict
        Name of the step to its plan.
    notes : tuple of str
        What was assumed, and what is written besides.
    new_bytes : int
        Recordings that the job writes, decoded.
    """

    steps: dict[str, Plan]
    notes: tuple[str, ...]
    new_bytes: int

    @property
    def disk_bytes(self) -> int:
        """Disk space, if nothing could be compressed."""
        return self.new_bytes + sum(step.output_bytes for step in self.steps.values())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        steps = {name: step.to_dict() for name, step in self.steps.items()}
        peak = max(step.peak_bytes for step in self.steps.values())
        fits = all(step.fits for step in self.steps.values())
        return {
            "steps": steps,
            "peak_bytes": peak,
            "disk_bytes": self.disk_bytes,
            "fits": fits,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines: list[str] = []
        for name, step in self.steps.items():
            lines += [f"-- {name}", str(step)]
        lines += [
            f"-- disk space at most {format_bytes(self.disk_bytes)}",
            *(f"note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def plan_job(config: Config, *, calibrate: bool = False) -> JobPlan:
    """Say what `run` will take with a configuration.

    Parameters
    ----------
    config : Config
        The job.
    calibrate : bool
        Whether to read about one second of the recording, where it is there, and to estimate times.
    """
    recording, notes, new_bytes = _recording(config)
    limits: dict[str, Any] = {"budget": config.resources.budget, "workers": config.resources.workers}
    exists = not notes
    limits["calibrate"] = calibrate and exists
    if config.rois.path is not None:
        whole = config.recording.model_copy(update={"y": None, "x": None})
        drawn_on = frame_of(open_part(whole) if exists else recording)
        rois = section_rois(config.rois, drawn_on).within(frame_of(recording))
    else:
        rois = as_rois(_assumed_rois(config, recording))
        rois = replace(rois, frame=frame_of(recording))
        notes.append(f"cells are not known yet: {len(rois)} that cover a quarter of the frame are assumed")
    weighted = rois.weights is not None or config.weights is not None
    statistics = config.extract.asked(weights=weighted)
    if rois.weights is None and any(map(needs_weights, statistics)):
        rois = rois.with_weights(np.ones(rois.pixels.size))
    shared: dict[str, Any] = {
        "overlap": config.extract.overlap,
        "neuropil": rings_of(config.neuropil_used, rois),
    }
    steps = {
        "project": plan(recording, projections=config.images(), **limits),
        "extract": plan(recording, rois, statistics=statistics, **shared, **limits),
    }
    if config.recording.motion:
        notes.append("motion is looked at besides: up to 60 frames of the middle of the recording")
    return JobPlan(steps, tuple(notes), new_bytes)


def _recording(config: Config) -> tuple[xr.DataArray, list[str], int]:
    """Return the recording that will be read, what is not there yet, and the bytes of what will be written."""
    section = config.recording
    if config.simulate is not None and not place_of(section.path).exists():
        scene = SimulatedSource(**config.simulate.model_dump())
        recording = _unwritten(scene.shape, scene.dtype, {"frame_rate": scene.frame_rate})
        return (
            recording,
            [f"{section.path} will be simulated: {format_bytes(recording.nbytes)}"],
            recording.nbytes,
        )
    recording = open_part(section)
    if section.convert == "yes":
        raw = open_part(section.model_copy(update=dict.fromkeys(("shifts", "bad_frames", "bad_pixels"))))
        copy = _unwritten(raw.shape, raw.dtype, raw.attrs)
        copy = copy.assign_coords({axis: raw[axis] for axis in ("y", "x")})
        written = copy.nbytes
        if (section.time, section.y, section.x) == (None, None, None):
            copy = corrected_part(section, copy)
        return copy, [f"the recording will be copied first: {format_bytes(written)}"], written
    return recording, [], 0


def _unwritten(shape: tuple[int, ...], dtype: np.dtype[Any], attrs: dict[Any, Any]) -> xr.DataArray:
    time, y, x = shape
    frames, height, width = default_chunks((y, x), dtype.itemsize)
    layout = RecordingLayout.of(("time", "y", "x"), (time, y, x), dtype)
    source = _Unwritten(shape=(time, y, x), dtype=layout.dtype, chunks=(frames, height, width))
    return xr.DataArray(as_dask(source), dims=("time", "y", "x"), attrs=attrs)


@dataclass(frozen=True)
class _Unwritten(BlockSource):
    """A store that will be written."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    chunks: tuple[int, int, int]

    def identity(self) -> str:
        return f"unwritten {self.shape}"

    def open(self) -> AbstractContextManager[BlockReader]:
        raise StoreError("the recording is not written yet", "run the job first")


def _assumed_rois(config: Config, recording: xr.DataArray) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Label squares of the cells' size on a grid that leaves three quarters of the frame free."""
    side = _ASSUMED_DIAMETER
    if config.rois.segment is not None and config.rois.segment.cell_diameter != "auto":
        size, unit = parse_length(config.rois.segment.cell_diameter)
        pixel = frame_of(recording).pixel_size
        if unit == "pixel" or pixel is not None:
            side = max(1, round(size if unit == "pixel" or pixel is None else size / pixel[0]))
    height, width = recording.sizes["y"], recording.sizes["x"]
    y, x = np.mgrid[:height, :width]
    across = -(-width // (2 * side))
    inside = (y % (2 * side) < side) & (x % (2 * side) < side)
    labels = (y // (2 * side)) * across + x // (2 * side) + 1
    return np.where(inside, labels, 0).astype(np.int32)
