"""What the configuration says about motion, bad frames and bad pixels, applied to a recording that was opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roitrace.engine.blocks import source_of
from roitrace.engine.run import execute
from roitrace.errors import ArgumentError, BudgetError
from roitrace.exclusion import exclude
from roitrace.formats.shifts.bad_frames import read_bad_frames, read_bad_pixels
from roitrace.motion import residual_motion, summarize_motion
from roitrace.shifts import shift, whole_file

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from roitrace.config.sections import RecordingSection
    from roitrace.pipeline.job import Job
    from roitrace.results import ResultsWriter

__all__ = ["Corrections", "corrected_part", "is_corrected", "look_at_motion"]


@dataclass(frozen=True)
class Corrections:
    """What is to be done to the frames while they are read; as `RecordingSection` says it."""

    shifts: str | None = None
    bad_frames: str | tuple[int, ...] | None = None
    bad_frame_policy: str = "nan"
    bad_pixels: str | tuple[tuple[int, int], ...] | None = None


def is_corrected(section: RecordingSection) -> bool:
    """Say whether anything is to be done to the frames while they are read."""
    return (section.shifts, section.bad_frames, section.bad_pixels) != (None, None, None)


def corrected_part(section: RecordingSection | Corrections, recording: xr.DataArray) -> xr.DataArray:
    """Leave bad pixels out, move frames, and leave bad frames out, lazily; numbers and shifts count frames of the whole file."""
    if section.bad_pixels is not None:
        recording = exclude(recording, pixels=_pixels_of_part(section, recording))
    if section.shifts is not None:
        recording = shift(recording, section.shifts)
    if section.bad_frames is not None:
        bad = _frames_of_file(section, recording)
        recording = exclude(recording, frames=bad, policy=section.bad_frame_policy)
    return recording


def look_at_motion(job: Job, recording: xr.DataArray, writer: ResultsWriter) -> None:
    """Measure on sampled frames how much the recording still moves, keep it, and warn."""
    if not job.config.recording.motion or recording.sizes["time"] < 2:
        return
    with job.step("motion") as progress:
        try:
            lazy = residual_motion(recording, **job.limits)
        except BudgetError as problem:
            job.note(f"whether the recording moves was not looked at: {problem}")
            return
        motion: xr.Dataset
        if writer.has("motion"):
            motion = writer.read("motion").load()
        else:
            (motion,) = execute(lazy, workers=job.config.resources.workers, progress=progress)
        writer.write({"motion": motion})
    warning = summarize_motion(motion).warning
    if warning is not None:
        job.note(warning)


def _frames_of_file(section: RecordingSection | Corrections, recording: xr.DataArray) -> NDArray[np.bool_]:
    """Return a bool for each frame of the file, or of the recording where the file says it so."""
    given = section.bad_frames
    numbers = read_bad_frames(given) if isinstance(given, str) else np.array(given, dtype=np.int64)
    if numbers.dtype.kind == "b":
        return numbers.astype(np.bool_)
    source = source_of(recording.data)
    total = recording.sizes["time"] if source is None else whole_file(source)[0].shape[0]
    outside = numbers[(numbers < 0) | (numbers >= total)]
    if outside.size:
        raise ArgumentError(
            f"bad_frames: frame {outside[0]} is not there, the file has {total}",
            "count frames from 0",
        )
    bad = np.zeros(total, dtype=np.bool_)
    bad[numbers] = True
    return bad


def _pixels_of_part(section: RecordingSection | Corrections, recording: xr.DataArray) -> NDArray[np.bool_]:
    """Return a bool for each pixel of the part that is read."""
    given = section.bad_pixels
    places = (
        read_bad_pixels(given) if isinstance(given, str) else np.array(given, dtype=np.int64).reshape(-1, 2)
    )
    source = source_of(recording.data)
    part = recording.sizes["y"], recording.sizes["x"]
    shape = part if source is None else whole_file(source)[0].shape[1:]
    start = (0, 0) if source is None else whole_file(source)[1][1:]
    outside = places[((places < 0) | (places >= shape)).any(axis=1)]
    if len(outside):
        raise ArgumentError(
            f"bad_pixels: pixel {outside[0].tolist()} is not there, the frame is {shape[0]} x {shape[1]}",
            "give [row, column], counted from 0",
        )
    bad = np.zeros(shape, dtype=np.bool_)
    bad[places[:, 0], places[:, 1]] = True
    return bad[start[0] : start[0] + part[0], start[1] : start[1] + part[1]]
