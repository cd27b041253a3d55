"""Folders of UCLA Miniscopes: numbered videos of one acquisition, and the time stamps beside them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.bounded_json import read_json
from roitrace.errors import FormatError
from roitrace.formats.damage import understanding
from roitrace.formats.recordings.folders import MINISCOPE_SETTINGS, MINISCOPE_STAMPS, miniscope_videos
from roitrace.formats.recordings.series import join_recordings
from roitrace.formats.recordings.video import PLAYBACK, open_video

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.sources import RecordingFile, RecordingMetadata

__all__ = ["open_miniscope"]


def open_miniscope(path: str, options: OpenOptions) -> RecordingFile:
    """Understand the folder of a Miniscope: the videos are one acquisition, ``time`` comes from the time stamps.

    Time stamps that are fewer or more than the frames, or do not increase, are left out, and a note says so. The frame rate is that
    of the time stamps, else of `metaData.json`, else of the videos.

    Raises
    ------
    FormatError
        If a video or the settings are damaged.
    MissingDependencyError
        If PyAV is not installed.
    """
    folder = Path(path)
    parts = miniscope_videos(folder)
    videos = [replace(open_video(str(part), options), files=(str(part),)) for part in parts]
    recording = join_recordings(videos, [str(part) for part in parts], continuous=True)
    n_frames = recording.sources[0][0].shape[0]
    return replace(recording, format="miniscope", metadata=_metadata(folder, recording.metadata, n_frames))


def _metadata(folder: Path, known: RecordingMetadata, n_frames: int) -> RecordingMetadata:
    rate, notes = _stated_rate(folder / MINISCOPE_SETTINGS), known.notes
    if rate is not None:
        notes = tuple(note for note in notes if note != PLAYBACK)
    stamps = next((_stamps(folder / name) for name in MINISCOPE_STAMPS if (folder / name).is_file()), None)
    if stamps is not None and (stamps.size != n_frames or (np.diff(stamps) <= 0).any()):
        reason = f"{stamps.size} for {n_frames} frames" if stamps.size != n_frames else "they do not increase"
        notes, stamps = (*notes, f"the time stamps beside the videos were left out: {reason}"), None
    if stamps is not None and n_frames > 1:
        rate = 1 / float(np.median(np.diff(stamps)))
        notes = tuple(note for note in notes if note != PLAYBACK)
    return replace(known, frame_rate=rate or known.frame_rate, time=stamps, notes=notes)


def _stated_rate(settings: Path) -> float | None:
    """Frames per second as the settings say them: 20, 20.0 or "20FPS"."""
    if not settings.is_file():
        return None
    with understanding(f"{settings} is damaged"):
        said: Any = read_json(settings)
        text = str(said.get("frameRate", "") if isinstance(said, dict) else "")
    number = re.match(r"\d+(?:\.\d+)?", text)
    return float(number[0]) if number and float(number[0]) > 0 else None


def _stamps(file: Path) -> NDArray[np.float64]:
    """Seconds from the first frame. Milliseconds are the second column of the csv, the third of the older file."""
    with understanding(f"{file} is damaged"):
        rows = [
            re.split(r"[,\t]", line)
            for line in file.read_text(encoding="utf-8").splitlines()[1:]
            if line.strip()
        ]
        if file.suffix == ".dat":
            cameras = {row[0] for row in rows}
            if len(cameras) > 1:
                raise FormatError(
                    f"{file} holds the time stamps of {len(cameras)} cameras", "keep those of one camera"
                )
        column = 1 if file.suffix == ".csv" else 2
        milliseconds = np.array([float(row[column]) for row in rows])
    return (milliseconds - milliseconds[0]) / 1000 if milliseconds.size else milliseconds
