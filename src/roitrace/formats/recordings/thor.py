"""Thorlabs (ThorImage LS) folders: `Experiment.xml` beside raw samples or TIFF files."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.damage import understanding
from roitrace.formats.recordings.axes import AxisView, assemble, with_channel_names
from roitrace.formats.recordings.folders import THOR_SETTINGS, thor_raw_files, thor_tiff_files
from roitrace.formats.recordings.strided import StridedSource
from roitrace.formats.recordings.tiff import open_tiff
from roitrace.formats.recordings.tiff_set import frames_of_set, open_member
from roitrace.formats.xml import read_xml
from roitrace.sources import RecordingFile, RecordingMetadata

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.formats.recordings.tiff_source import TiffStack

__all__ = ["open_thor"]

MOST_PLANES = 10_000
PAGE = re.compile(r"(?P<channel>.+?)_\d+_\d+_(?P<plane>\d+)_(?P<time>\d+)\.tiff?", re.IGNORECASE)


@dataclass(frozen=True)
class _Settings:
    """What the settings say: of a frame, of a volume, and of everything else."""

    height: int
    width: int
    channels: tuple[str, ...]
    planes: int
    flyback: int
    metadata: RecordingMetadata


def open_thor(path: str, options: OpenOptions) -> RecordingFile:
    """Understand the folder of a ThorImage acquisition: reads its settings, and the page directories of TIFF files.

    Raw samples are uint16; the channels of a frame follow each other, and so do the planes of a volume and the frames of its flyback,
    which are left out. TIFF files are one image each, named by channel, plane and time, or one OME-TIFF.

    Raises
    ------
    FormatError
        If the settings are damaged, samples end within a frame, or images of the series are missing.
    """
    folder = Path(path)
    with understanding(f"{folder / THOR_SETTINGS} is damaged"):
        settings = _read_settings(read_xml(folder / THOR_SETTINGS))
    raw = thor_raw_files(folder)
    if len(raw) > 1:
        raise FormatError(
            f"{path} holds {len(raw)} raw files: {', '.join(file.name for file in raw)}",
            "keep one per folder",
        )
    if raw:
        return _open_raw(raw[0], settings)
    named = {
        file: match for file in thor_tiff_files(folder) if (match := PAGE.fullmatch(file.name)) is not None
    }
    if named:
        return _open_images(folder, named, settings)
    recording = open_tiff(str(thor_tiff_files(folder)[0]), options)
    several = recording.has_channel_axis
    names = settings.channels if several else recording.metadata.channel_names
    known = replace(settings.metadata, notes=recording.metadata.notes, channel_names=names)
    metadata = with_channel_names(known, len(recording.sources) if several else 0)
    files = recording.files or (str(thor_tiff_files(folder)[0]),)
    return replace(recording, format="thor", metadata=metadata, files=files)


def _read_settings(root: Element) -> _Settings:
    scan = root.find("LSM")
    if scan is None:
        raise ValueError("it has no element LSM")  # the caller says of which file
    stream, stage = root.find("Streaming"), root.find("ZStage")
    fast = stream is not None and stream.get("zFastEnable") == "1"
    planes = max(1, int(stage.get("steps", "1"))) if fast and stage is not None else 1
    if planes > MOST_PLANES:
        raise ValueError(f"it declares {planes} planes")  # the caller says of which file
    flyback = max(0, int(stream.get("flybackFrames", "0"))) if stream is not None and planes > 1 else 0
    averaged = int(scan.get("averageNum", "1")) if scan.get("averageMode") == "1" else 1
    rate, pixel = float(scan.get("frameRate", "nan")), float(scan.get("pixelSizeUM", "nan"))
    frames = rate / max(1, averaged) if rate > 0 else None
    date = root.find("Date")
    stamp = None if date is None else date.get("uTime")
    names = tuple(one.get("name", "") for one in root.iterfind("Wavelengths/Wavelength"))
    metadata = RecordingMetadata(
        frame_rate=None if frames is None else frames / (planes + flyback),
        pixel_size=(pixel, pixel) if math.isfinite(pixel) and pixel > 0 else None,
        acquisition_time=None if not stamp else datetime.fromtimestamp(int(stamp), UTC).isoformat(),
        plane_offsets=tuple(plane / frames for plane in range(planes)) if planes > 1 and frames else (),
    )
    return _Settings(
        int(scan.attrib["pixelY"]), int(scan.attrib["pixelX"]), names or ("",), planes, flyback, metadata
    )


def _open_raw(file: Path, settings: _Settings) -> RecordingFile:
    n_channels, per_volume = len(settings.channels), settings.planes + settings.flyback
    page = 2 * settings.height * settings.width
    n_bytes = file.stat().st_size
    if page <= 0 or n_bytes % (page * n_channels):
        raise FormatError(
            f"{file} has {n_bytes:,} bytes, which are not whole frames of {n_channels} x {settings.height} x {settings.width} "
            "samples of 16 bit",
            f"copy it again, and bring the {THOR_SETTINGS} that belongs to it",
        )
    n_volumes, left = divmod(n_bytes // (page * n_channels), per_volume)
    notes = (f"the last volume has {left} of {per_volume} frames and is left out",) if left else ()
    stored = {
        "t": (n_volumes, page * n_channels * per_volume),
        "z": (settings.planes, page * n_channels),
        "c": (n_channels, page),
        "y": (settings.height, 2 * settings.width),
        "x": (settings.width, 2),
    }
    axes = "".join(axis for axis in "tzcyx" if axis in "tyx" or stored[axis][0] > 1)
    shape, strides = (tuple(stored[axis][part] for axis in axes) for part in (0, 1))

    def source(view: AxisView) -> StridedSource:
        start = sum(strides[axis] * index for axis, index in view.fixed)
        return StridedSource(str(file), "<u2", start, view.pick(strides), view.pick(shape))

    channels = settings.channels if n_channels > 1 else ()
    metadata = replace(settings.metadata, notes=notes, channel_names=channels)
    recording = assemble("thor", str(file), shape, axes, make_source=source, metadata=metadata)
    return replace(recording, files=(str(file.with_name(THOR_SETTINGS)), str(file)))


def _open_images(folder: Path, named: dict[Path, re.Match[str]], settings: _Settings) -> RecordingFile:
    """One image per file: every channel and plane must have every time."""
    place = {(one["channel"], int(one["plane"]), int(one["time"])): file for file, one in named.items()}
    channels = sorted({channel for channel, _, _ in place})
    planes = sorted({plane for _, plane, _ in place})
    times = sorted({time for _, _, time in place})
    expected = len(channels) * len(planes) * len(times)
    if expected != len(place) or times != list(range(times[0], times[0] + len(times))):
        raise FormatError(
            f"{folder} holds {len(place)} images of {len(channels)} channels, {len(planes)} planes and times {times[0]} to {times[-1]}: "
            "some are missing",
            "copy the folder again",
        )
    stacks: list[TiffStack] = []
    number_of: dict[Path, int] = {}
    for file in sorted(place.values()):
        number_of[file] = len(stacks)
        stacks.append(open_member(file, stacks[0] if stacks else None, str(folder)))
    first_page = np.zeros(len(times), np.int64)
    sources = tuple(
        tuple(
            frames_of_set(
                stacks, np.array([number_of[place[channel, plane, time]] for time in times]), first_page
            )
            for plane in planes
        )
        for channel in channels
    )
    return RecordingFile(
        format="thor",
        sources=sources,
        has_channel_axis=len(channels) > 1,
        has_plane_axis=len(planes) > 1,
        metadata=replace(settings.metadata, channel_names=tuple(channels) if len(channels) > 1 else ()),
        files=(str(folder / THOR_SETTINGS), *(stack.path for stack in stacks)),
    )
