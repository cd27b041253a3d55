"""Bruker (Prairie View) folders: an XML file that says which page of which TIFF file is which frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.damage import understanding
from roitrace.formats.recordings.folders import bruker_settings
from roitrace.formats.recordings.tiff_set import frames_of_set, open_member
from roitrace.formats.xml import read_xml
from roitrace.sources import RecordingFile, RecordingMetadata

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.formats.recordings.tiff_source import TiffStack

__all__ = ["open_bruker"]

VOLUMES = "TSeries ZSeries Element"
STEADY = 0.01


@dataclass(frozen=True)
class _Frame:
    """One frame: the plane, its time from the start, s, and (file, page) by channel."""

    plane: int
    time: float
    images: dict[int, tuple[str, int]]


def open_bruker(path: str, options: OpenOptions) -> RecordingFile:  # noqa: ARG001 - the settings say the axes
    """Understand the folder of a Prairie View scan: reads its XML file and the page directories of its TIFF files.

    Each `Sequence` of a volume series is a volume, whose frames are planes; otherwise all frames follow each other in time. Where the
    frames are not regular in time, ``time`` keeps what the file says.

    Raises
    ------
    FormatError
        If the XML file is damaged or names files that are not there, or frames differ.
    """
    folder = Path(path)
    settings = bruker_settings(folder)
    assert settings is not None  # the folder was recognised by it
    with understanding(f"{settings} is damaged"):
        root = read_xml(settings)
        volumes, names = _volumes(root), _channels(root)
    first = volumes[0][0].images if volumes else {}
    if not first:
        raise FormatError(f"{settings} names no image", "check that the scan was saved")
    whole = [volume for volume in volumes if len(volume) == len(volumes[0]) and _alike(volume, first)]
    if len(whole) < len(volumes) - 1 or whole != volumes[: len(whole)]:
        raise FormatError(
            f"{settings} has {len(volumes) - len(whole)} of {len(volumes)} frames or volumes without all channels and planes",
            "copy the folder again",
        )
    notes = ("the last frame or volume is not complete and is left out",) if len(whole) < len(volumes) else ()
    stacks, number_of = _open_files(folder, whole, str(settings))
    n_planes = len(volumes[0])

    def entries(channel: int, plane: int) -> list[tuple[int, int]]:
        images = (volume[plane].images[channel] for volume in whole)
        return [(number_of[name], page) for name, page in images]

    tables = {(c, z): np.array(entries(c, z), np.int64) for c in sorted(first) for z in range(n_planes)}
    sources = tuple(
        tuple(frames_of_set(stacks, *tables[channel, plane].T) for plane in range(n_planes))
        for channel in sorted(first)
    )
    return RecordingFile(
        format="bruker",
        sources=sources,
        has_channel_axis=len(first) > 1,
        has_plane_axis=n_planes > 1,
        metadata=_metadata(root, whole, tuple(names[channel] for channel in sorted(first)), notes),
        files=(str(settings), *(stack.path for stack in stacks)),
    )


def _volumes(root: Element) -> list[list[_Frame]]:
    volumes: list[list[_Frame]] = []
    for sequence in root.iter("Sequence"):
        frames = [_frame(plane, frame) for plane, frame in enumerate(sequence.iter("Frame"))]
        if sequence.get("type") == VOLUMES and frames:
            volumes.append(frames)
        else:
            volumes.extend([frame] for frame in frames)
    return volumes


def _frame(plane: int, frame: Element) -> _Frame:
    time = float(frame.get("absoluteTime") or frame.get("relativeTime") or "nan")
    images = {}
    for file in frame.iter("File"):
        page = int(file.get("page", "1")) - 1
        if page < 0:
            raise ValueError(
                f"it names page {page + 1} of {file.attrib['filename']}"
            )  # the caller says in which file
        images[int(file.attrib["channel"])] = Path(file.attrib["filename"]).name, page
    return _Frame(plane, time, images)


def _alike(volume: list[_Frame], first: dict[int, tuple[str, int]]) -> bool:
    return all(frame.images.keys() == first.keys() for frame in volume)


def _channels(root: Element) -> dict[int, str]:
    return {
        int(file.attrib["channel"]): file.get("channelName") or file.attrib["channel"]
        for file in root.iter("File")
    }


def _open_files(
    folder: Path, volumes: list[list[_Frame]], settings: str
) -> tuple[list[TiffStack], dict[str, int]]:
    """Open each file once, in the order in which frames need them; all pages that are named must be there."""
    last_page: dict[str, int] = {}
    for volume in volumes:
        for frame in volume:
            for name, page in frame.images.values():
                last_page[name] = max(page, last_page.get(name, page))
    stacks: list[TiffStack] = []
    for name, page in last_page.items():
        stack = open_member(folder / name, stacks[0] if stacks else None, settings)
        _check_pages(stack, page)
        stacks.append(stack)
    return stacks, {name: number for number, name in enumerate(last_page)}


def _check_pages(stack: TiffStack, last: int) -> None:
    if last >= len(stack.pages) or stack.pages.broken:
        raise FormatError(
            f"{stack.path} has {len(stack.pages)} pages, the settings of the scan name page {last + 1}",
            "copy the folder again",
        )


def _metadata(
    root: Element, volumes: list[list[_Frame]], channels: tuple[str, ...], notes: tuple[str, ...]
) -> RecordingMetadata:
    times = np.array([volume[0].time for volume in volumes])
    steps = np.diff(times)
    rate, time = None, None
    if steps.size and np.isfinite(times).all() and (steps > 0).all():
        typical = float(np.median(steps))
        rate = 1 / typical
        time = None if np.abs(steps - typical).max() <= STEADY * typical else times - times[0]
    elif (period := _number(root.find(".//PVStateValue[@key='framePeriod']"))) is not None:
        rate = 1 / (period * len(volumes[0]))
    offsets = tuple(frame.time - volumes[0][0].time for frame in volumes[0]) if len(volumes[0]) > 1 else ()
    y, x = (
        _number(root.find(f".//PVStateValue[@key='micronsPerPixel']/IndexedValue[@index='{axis}Axis']"))
        for axis in "YX"
    )
    return RecordingMetadata(
        frame_rate=rate,
        time=time,
        pixel_size=(y, x) if y is not None and x is not None else None,
        channel_names=channels if len(channels) > 1 else (),
        acquisition_time=root.get("date"),
        plane_offsets=offsets if all(map(math.isfinite, offsets)) else (),
        notes=notes,
    )


def _number(element: Element | None) -> float | None:
    text = "" if element is None else element.get("value", "")
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
