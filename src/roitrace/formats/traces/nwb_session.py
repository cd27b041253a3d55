"""The session of an NWB file: a new one from what the user says, or an existing one that must be that of the recording."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import AlignmentError, ArgumentError, FormatError, MetadataError
from roitrace.formats.recordings.signatures import is_hdf5

if TYPE_CHECKING:
    from roitrace.formats.traces.format import TraceOptions
    from roitrace.formats.traces.table import TraceTable

__all__ = ["check_same_session", "check_session", "new_session"]

TEXTS = (
    "session_description",
    "identifier",
    "session_id",
    "experiment_description",
    "institution",
    "lab",
    "notes",
    "pharmacology",
    "protocol",
    "surgery",
    "virus",
)
LISTS = ("experimenter", "keywords")
PLANE = ("indicator", "location", "excitation_lambda", "emission_lambda", "device", "imaging_plane")
# Clocks of two files of one session differ in the last digits.
_SAME_RATE = 1e-3
_HEAD_BYTES = 8


def new_session(table: TraceTable, metadata: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return a new NWBFile and its imaging plane."""
    from pynwb import NWBFile  # noqa: PLC0415

    texts = {name: str(metadata[name]) for name in TEXTS if name in metadata}
    lists = {
        name: [metadata[name]] if isinstance(metadata[name], str) else list(metadata[name])
        for name in LISTS
        if name in metadata
    }
    file = NWBFile(
        **({"session_description": "calcium imaging", "identifier": str(uuid.uuid4())} | texts | lists),
        session_start_time=_start(metadata["session_start_time"]),
        was_generated_by=[["roitrace", version("roitrace")]],
        subject=_subject(metadata.get("subject")),
    )
    return file, _new_plane(file, table, metadata)


def check_session(options: TraceOptions) -> None:
    """Refuse what can be known to be wrong about a session before anything is computed.

    Raises
    ------
    MetadataError
        If it is not known when a new session began.
    ArgumentError
        If the metadata hold something else than NWB has, or texts where it wants numbers, or there is no such file.
    FormatError
        If the existing file is no HDF5 file.
    """
    metadata = options.metadata or {}
    known = {*TEXTS, *LISTS, *PLANE, "session_start_time", "subject"}
    for name in metadata:
        if name not in known:
            raise ArgumentError(f"metadata has {name!r}", f"known are {', '.join(sorted(known))}")
    for name in ("excitation_lambda", "emission_lambda"):
        _number(metadata, name)
    if "session_start_time" in metadata:
        _start(metadata["session_start_time"])
    if options.into is not None:
        _check_file(Path(options.into))
    elif "session_start_time" not in metadata:
        raise MetadataError(
            "NWB needs to know when the session began",
            "give metadata={'session_start_time': '2024-05-01T10:00:00+02:00'} (--metadata session_start_time=...)",
        )
    _subject(metadata.get("subject"))


def _check_file(file: Path) -> None:
    if not file.is_file():
        raise ArgumentError(f"there is no file {file}", "check the path given as into=")
    with file.open("rb") as content:
        head = content.read(_HEAD_BYTES)
    if not is_hdf5(file, head):
        raise FormatError(f"{file} is no NWB file: it begins with {head!r}", "give an NWB file (HDF5)")


def check_same_session(
    file: Any, table: TraceTable, metadata: Mapping[str, Any], path: str
) -> tuple[Any, Any | None]:
    """Refuse a file of another recording; return the plane that the ROIs lie on, and the images that the traces are of.

    The plane is a new one where there is none; without images in the file the latter are None.

    Raises
    ------
    AlignmentError
        If start, number of frames, frame rate or frame size differ.
    ArgumentError
        If the file has several imaging planes and none was named.
    """
    if "session_start_time" in metadata and _start(metadata["session_start_time"]) != file.session_start_time:
        raise AlignmentError(
            f"{path} began at {file.session_start_time.isoformat()}, the results at {metadata['session_start_time']}",
            "give the NWB file of the same session",
        )
    plane = _existing_plane(file, metadata, path)
    series = [
        one
        for one in file.acquisition.values()
        if hasattr(one, "imaging_plane")
        and one.data.shape[0]
        and (plane is None or one.imaging_plane is plane)
    ]
    fitting = [one for one in series if _fits(one, table)]
    if series and not fitting:
        listing = "; ".join(_described(one) for one in series)
        height, width = table.rois.shape if table.rois is not None and table.rois.shape else (0, 0)
        rate = "unknown rate" if table.frame_rate is None else f"{table.frame_rate:g} Hz"
        raise AlignmentError(
            f"{path} is of another recording: it holds {listing}; the traces have {table.shape[1]} frames at {rate} of "
            f"{height} x {width} pixels",
            "give the NWB file of the same session",
        )
    return _new_plane(file, table, metadata) if plane is None else plane, next(iter(fitting), None)


def _start(given: object) -> datetime:
    try:
        start = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    except ValueError:
        start = None
    if start is None or start.tzinfo is None:
        raise ArgumentError(
            f"session_start_time={given!r} is no time with a time zone", "write 2024-05-01T10:00:00+02:00"
        )
    return start


def _subject(given: object) -> Any:
    from pynwb.file import Subject  # noqa: PLC0415

    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise ArgumentError(
            f"subject={given!r}, expected a mapping such as {{'subject_id': 'mouse7', 'sex': 'F'}}"
        )
    known = {one["name"] for one in Subject.__init__.__docval__["args"]}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ArgumentError(f"subject has {unknown[0]!r}", f"NWB knows {', '.join(sorted(known))}")
    return Subject(**given)


def _new_plane(file: Any, table: TraceTable, metadata: Mapping[str, Any]) -> Any:
    from pynwb.ophys import OpticalChannel  # noqa: PLC0415

    name = str(metadata.get("device", "microscope"))
    device = file.devices.get(name) or file.create_device(name=name)
    channel = OpticalChannel(
        name="channel",
        description="the recorded channel",
        emission_lambda=_number(metadata, "emission_lambda"),
    )
    spacing = {}
    if table.pixel_size is not None:
        height, width = table.pixel_size
        spacing = {"grid_spacing": [width * 1e-6, height * 1e-6], "grid_spacing_unit": "meters"}
    return file.create_imaging_plane(
        name=str(metadata.get("imaging_plane", "ImagingPlane")),
        optical_channel=channel,
        description="the recorded plane",
        device=device,
        excitation_lambda=_number(metadata, "excitation_lambda"),
        indicator=str(metadata.get("indicator", "unknown")),
        location=str(metadata.get("location", "unknown")),
        imaging_rate=float("nan") if table.frame_rate is None else float(table.frame_rate),
        **spacing,
    )


def _number(metadata: Mapping[str, Any], name: str) -> float:
    """Return a number; NaN, which is unknown, where nothing was said."""
    given = metadata.get(name, float("nan"))
    try:
        return float(given)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name}={given!r}, expected a number of nanometres") from None


def _existing_plane(file: Any, metadata: Mapping[str, Any], path: str) -> Any | None:
    planes = dict(file.imaging_planes)
    name = metadata.get("imaging_plane")
    if name is not None and planes:
        if name not in planes:
            raise ArgumentError(f"{path} has no imaging plane {name!r}", f"it has {', '.join(planes)}")
        return planes[name]
    if len(planes) > 1:
        raise ArgumentError(
            f"{path} has the imaging planes {', '.join(planes)}", "name one: metadata={'imaging_plane': ...}"
        )
    return next(iter(planes.values()), None)


def _fits(series: Any, table: TraceTable) -> bool:
    """Whether a series of images may be the recording that the traces are from."""
    same_rate = (
        not series.rate
        or table.frame_rate is None
        or bool(np.isclose(series.rate, table.frame_rate, rtol=_SAME_RATE, atol=0))
    )
    # NWB has x before y, but not every tool keeps to it
    shape = table.rois.shape if table.rois is not None else None
    same_frame = shape is None or sorted(series.data.shape[1:3]) == sorted(shape)
    return bool(series.data.shape[0] == table.shape[1]) and same_rate and same_frame


def _described(series: Any) -> str:
    x, y = series.data.shape[1:3]
    rate = f"{series.rate:g} Hz" if series.rate else "unknown rate"
    return f"{series.name} with {series.data.shape[0]} frames at {rate} of {y} x {x} pixels"
