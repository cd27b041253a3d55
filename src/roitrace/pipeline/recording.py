"""First step: the recording, simulated, copied or where it lies."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.conversion import convert
from roitrace.engine.blocks import source_of
from roitrace.errors import OutputExistsError, StoreError
from roitrace.pipeline.corrections import corrected_part, is_corrected
from roitrace.recording import open_recording
from roitrace.simulation import SimulatedSource, load_truth, simulate
from roitrace.store.places import place_of
from roitrace.units import format_bytes

if TYPE_CHECKING:
    import xarray as xr

    from roitrace.config import Config
    from roitrace.config.sections import RecordingSection
    from roitrace.pipeline.job import Job
    from roitrace.store.places import Location

__all__ = ["find_recording", "identity_of", "open_part", "simulated_truth"]

# CPU seconds per GB that the own store takes, measured on one core
_STORE_READ, _STORE_WRITE = 0.8, 2.5
_READS = 2


def find_recording(job: Job) -> xr.DataArray:
    """Simulate the recording if that is asked, copy it if that is asked or pays, and open it."""
    config = job.config
    if config.simulate is not None:
        _simulate(job)
    recording = open_part(config.recording)
    if config.recording.convert == "no" or (
        config.recording.convert == "auto" and not _copy_pays(job, recording)
    ):
        return recording
    store = copy_path(config)
    if str(store) in job.begun and (store / "zarr.json").exists():
        return open_part(config.recording, path=str(store))
    with job.step("convert") as progress:
        convert(
            config.recording.path,
            store,
            overwrite=config.output.overwrite,
            progress=progress,
            **_said(config.recording),
            **job.limits,
        )
    job.note(f"the recording was copied to {store}")
    return open_part(config.recording, path=str(store))


def copy_path(config: Config) -> Location:
    """Return where a copy of the recording goes."""
    section, output = config.recording, place_of(config.output.path)
    return place_of(section.store) if section.store else output.with_name(f"{output.stem}.recording.zarr")


def open_part(
    section: RecordingSection, *, path: str | None = None, frames: slice | None = None
) -> xr.DataArray:
    """Open the part of the recording that is configured, or some frames of that part, lazily."""
    if frames is not None and is_corrected(section):
        return open_part(section, path=path).isel(time=frames)
    first, last = section.time or (0, None)
    if frames is not None:
        first, last = first + frames.start, first + frames.stop
    parts: dict[str, Any] = {"time": slice(first, last)} if (first, last) != (0, None) else {}
    parts |= {axis: slice(*span) for axis, span in (("y", section.y), ("x", section.x)) if span is not None}
    # a copy has what was said about the original
    said = _said(section) if path is None else {}
    recording = open_recording(
        path or section.path, **parts, channel=section.channel, plane=section.plane, **said
    )
    return corrected_part(section, recording)


def identity_of(recording: xr.DataArray) -> str:
    """Return a digest of the content of a recording as it was opened; nothing for a transformed one."""
    source = source_of(recording.data)
    return "" if source is None else source.identity()


def simulated_truth(job: Job) -> Any | None:
    """Return the truth of a simulated recording that is used whole, None for others."""
    section = job.config.recording
    if (section.time, section.y, section.x) != (None, None, None):
        return None
    if section.bad_frames is not None and section.bad_frame_policy == "skip":
        return None
    try:
        return load_truth(section.path)
    except StoreError:
        if job.config.simulate is not None:
            raise
        return None


def _said(section: RecordingSection) -> dict[str, Any]:
    """Return what the configuration says about the file besides its path."""
    given = section.model_dump(include={"dataset", "axes", "continuous", "frame_rate", "pixel_size"})
    return {name: value for name, value in given.items() if value is not None}


def _simulate(job: Job) -> None:
    section, path = job.config.simulate, place_of(job.config.recording.path)
    assert section is not None
    parameters = section.model_dump()
    if path.exists():
        if _is_simulation(path, parameters):
            job.note(f"the simulated recording {path} is there already")
            return
        if not job.config.output.overwrite:
            raise OutputExistsError(
                f"{path} exists already and is not the recording that simulate: describes",
                "choose another recording.path, or ask to overwrite it",
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    with job.step("simulate") as progress:
        simulate(path, **parameters, overwrite=job.config.output.overwrite, progress=progress, **job.limits)


def _is_simulation(path: Location, parameters: dict[str, Any]) -> bool:
    try:
        known = load_truth(path).parameters
    except StoreError:
        return False
    return SimulatedSource(**known).identity() == SimulatedSource(**parameters).identity()


def _copy_pays(job: Job, recording: xr.DataArray) -> bool:
    """Time the reading of one block, and compare reading twice in place with copying first."""
    block = recording.data.blocks[(0,) * recording.ndim]
    begin = time.process_time()
    nbytes = np.asarray(block).nbytes
    rate = (time.process_time() - begin) / nbytes * 1e9
    in_place, copied = _READS * rate, rate + _STORE_WRITE + _READS * _STORE_READ
    job.note(
        f"reading {format_bytes(recording.nbytes)} in place takes about {in_place:.1f} s of CPU per GB, copying first "
        f"{copied:.1f}: it is {'copied' if copied < in_place else 'read in place'}"
    )
    return copied < in_place
