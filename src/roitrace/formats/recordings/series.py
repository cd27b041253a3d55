"""Numbered files that make one recording: which they are, in which order, and how they join."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from roitrace.errors import ArgumentError, FormatError
from roitrace.file_errors import near_names
from roitrace.formats.recordings.parts import join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from roitrace.sources import BlockSource, RecordingFile, RecordingMetadata

__all__ = ["files_of_pattern", "join_recordings", "natural_key"]

NUMBER = re.compile(r"(\d+)")


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key in which numbers count by value.

    Examples
    --------
    >>> sorted(["frame10.tif", "frame2.tif"], key=natural_key)
    ['frame2.tif', 'frame10.tif']
    """
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in NUMBER.split(name) if part)


def files_of_pattern(place: Path, suffixes: frozenset[str]) -> list[Path]:
    """Return the files of a folder or of a pattern with ``*``, ``?``, ``[]``, in natural order.

    Of a folder those with a known suffix are taken; their names must differ in numbers alone.

    Raises
    ------
    ArgumentError
        If nothing is there, or a folder holds files of several kinds.
    """
    if place.is_dir():
        files = [
            file
            for file in place.iterdir()
            if file.suffix.lower() in suffixes and not file.name.startswith(".")
        ]
        kinds = sorted({NUMBER.sub("*", file.name) for file in files})
        if len(kinds) > 1:
            raise ArgumentError(
                f"{place} holds files of several kinds: {', '.join(kinds[:6])}{' ...' if len(kinds) > 6 else ''}",
                f"choose one with a pattern, for example '{place / kinds[0]}'",
            )
        missing = f"the folder {place} holds no recording: no file ends in {', '.join(sorted(suffixes))}"
    else:
        files = (
            [file for file in place.parent.glob(place.name) if file.is_file()]
            if set("*?[") & set(place.name)
            else []
        )
        missing = f"there is no file {place}"
    if not files:
        raise ArgumentError(missing, near_names(place))
    return sorted(files, key=lambda file: natural_key(file.name))


def join_recordings(
    recordings: Sequence[RecordingFile], paths: Sequence[str], *, continuous: bool = False
) -> RecordingFile:
    """Join recordings of the same frame and channels along time.

    Frame rate, pixel size and names are those of the first; what the others contradict is noted. Each file is a session of its
    own, unless they are `continuous` or hold one frame each.

    Raises
    ------
    FormatError
        If frames, sample types, channels or planes differ.
    """
    first = recordings[0]
    for recording, path in zip(recordings, paths, strict=True):
        if _layout(recording) != _layout(first):
            raise FormatError(
                f"{path} has {_describe(recording)}, {paths[0]} {_describe(first)}: they are not one recording",
                "leave out the files that do not belong to it",
            )
    sources = tuple(
        tuple(_joined(recordings, channel, plane, paths) for plane in range(len(first.sources[0])))
        for channel in range(len(first.sources))
    )
    files = tuple(dict.fromkeys(file for recording in recordings for file in recording.files))
    metadata = _metadata(recordings, paths)
    sessions = () if continuous else _sessions(recordings)
    if sessions:
        note = f"the {len(sessions)} files are sessions of their own; give continuous=True if they were recorded in one go"
        metadata = replace(metadata, notes=(*metadata.notes, note))
    return replace(first, sources=sources, metadata=replace(metadata, sessions=sessions), files=files)


def _joined(
    recordings: Sequence[RecordingFile], channel: int, plane: int, paths: Sequence[str]
) -> BlockSource:
    return join([recording.sources[channel][plane] for recording in recordings], paths)


def _metadata(recordings: Sequence[RecordingFile], paths: Sequence[str]) -> RecordingMetadata:
    """Merge; times of single files begin anew in each, so that they are left out."""
    first = recordings[0].metadata
    notes = list(dict.fromkeys(note for recording in recordings for note in recording.metadata.notes))
    if any(recording.metadata.frame_rate != first.frame_rate for recording in recordings):
        notes.append("the files differ in frame rate; that of the first is taken")
    if any(recording.metadata.pixel_size != first.pixel_size for recording in recordings):
        notes.append("the files differ in pixel size; that of the first is taken")
    gap = _gap(paths)
    if gap:
        notes.append(gap)
    coordinates = {axis: kept for axis, kept in first.coordinates.items() if axis != "time"}
    return replace(first, time=None, coordinates=coordinates, notes=tuple(notes))


def _sessions(recordings: Sequence[RecordingFile]) -> tuple[int, ...]:
    """Frames of each part; none where every file is one frame."""
    lengths = [recording.sources[0][0].shape[0] for recording in recordings]
    if len(lengths) == 1 or max(lengths) == 1:
        return ()
    parts = (
        recording.metadata.sessions or (length,)
        for recording, length in zip(recordings, lengths, strict=True)
    )
    return tuple(frames for part in parts for frames in part)


def _gap(paths: Sequence[str]) -> str:
    """Say where the numbers of the files jump."""
    for one, other in pairwise(NUMBER.split(Path(path).name) for path in paths):
        changed = [place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]]
        if len(one) == len(other) and len(changed) == 1 and changed[0] % 2:
            before, after = one[changed[0]], other[changed[0]]
            if int(after) - int(before) > 1:
                return f"the numbers of the files jump from {before} to {after}: files may be missing"
    return ""


def _layout(recording: RecordingFile) -> tuple[object, ...]:
    source = recording.sources[0][0]
    axes = recording.has_channel_axis, recording.has_plane_axis
    return source.shape[1:], source.dtype, len(recording.sources), len(recording.sources[0]), axes


def _describe(recording: RecordingFile) -> str:
    source = recording.sources[0][0]
    channels, planes = len(recording.sources), len(recording.sources[0])
    extra = f" in {channels} channels and {planes} planes" if channels * planes > 1 else ""
    return f"frames of {source.shape[1]} x {source.shape[2]} {source.dtype}{extra}"
