"""suite2p's registered movies: `data.bin` beside `ops.npy`, or beside `db.npy` and `settings.npy`; single planes or all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.objects import read_mapping
from roitrace.formats.recordings.strided import StridedSource
from roitrace.sources import RecordingFile, RecordingMetadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from roitrace.formats.recordings.format import OpenOptions

__all__ = ["is_suite2p", "open_suite2p"]

MOVIES = ("data.bin", "data_chan2.bin")
STORED = "<i2"
HALVED = "suite2p keeps 16 bit unsigned samples as sample // 2: if the raw recording was uint16, these are on half scale"


def is_suite2p(path: Path, head: bytes) -> bool:  # noqa: ARG001 - a raw binary file has no signature
    """Whether a `.bin` file has suite2p's metadata beside it, or a folder is one of its planes or holds them."""
    if path.is_dir():
        return bool(_planes(path))
    return path.suffix == ".bin" and _has_metadata(path.parent)


def open_suite2p(path: str, options: OpenOptions) -> RecordingFile:  # noqa: ARG001 - the layout is fixed
    """Understand a suite2p binary file, the folder of a plane, or the folder of all planes: reads metadata only.

    A folder gives its planes along ``plane``, and the second channel (`data_chan2.bin`) along ``channel`` where it is there.
    Samples are int16, ``(time, y, x)``, read through a memory map. Size, number of frames, frame rate (`fs`) and the borders
    between folders of origin (`frames_per_folder`) come from the metadata.

    Raises
    ------
    FormatError
        If the metadata is missing, damaged or contradicts the length of a file, or planes differ in size.
    """
    place = Path(path)
    if place.is_file():
        plane = _read_plane(place.parent, (place.name,))
        return _recording(((plane.sources[0],),), plane, has_channels=False, has_planes=False)
    planes = [_read_plane(folder, MOVIES) for folder in _planes(place)]
    first = planes[0]
    n_frames = min(plane.n_frames for plane in planes)
    for plane in planes:
        if plane.frame != first.frame or len(plane.sources) != len(first.sources):
            raise FormatError(
                f"{plane.folder} has {len(plane.sources)} channels of {plane.frame[0]} x {plane.frame[1]}, {first.folder} "
                f"{len(first.sources)} of {first.frame[0]} x {first.frame[1]}: they are not one recording",
                "open the folder of one plane",
            )
        if plane.n_frames > n_frames + 1:
            raise FormatError(
                f"{plane.folder} has {plane.n_frames} frames, another plane {n_frames}: they are not one recording",
                "open the folder of one plane",
            )
    sources = tuple(
        tuple(replace(plane.sources[channel], shape=(n_frames, *plane.frame)) for plane in planes)
        for channel in range(len(first.sources))
    )
    if any(plane.n_frames != n_frames for plane in planes):
        note = "the last volume is not complete and is left out"
        first = replace(first, metadata=replace(first.metadata, notes=(*first.metadata.notes, note)))
    return _recording(sources, first, has_channels=len(sources) > 1, has_planes=_is_whole(place))


@dataclass(frozen=True)
class _Plane:
    """One plane: its movies and what is known of them."""

    folder: Path
    sources: tuple[StridedSource, ...]
    metadata: RecordingMetadata

    @property
    def n_frames(self) -> int:
        return self.sources[0].shape[0]

    @property
    def frame(self) -> tuple[int, int]:
        return self.sources[0].shape[1:]


def _recording(
    sources: tuple[tuple[StridedSource, ...], ...], plane: _Plane, *, has_channels: bool, has_planes: bool
) -> RecordingFile:
    names = tuple(str(number) for number in range(len(sources))) if has_channels else ()
    files = tuple(source.path for planes in sources for source in planes)
    return RecordingFile(
        format="suite2p",
        sources=sources,
        has_channel_axis=has_channels,
        has_plane_axis=has_planes,
        metadata=replace(plane.metadata, channel_names=names),
        files=files,
    )


def _has_metadata(folder: Path) -> bool:
    return (folder / "ops.npy").is_file() or (folder / "db.npy").is_file()


def _is_whole(folder: Path) -> bool:
    return not (folder / MOVIES[0]).is_file()


def _planes(folder: Path) -> list[Path]:
    """Folders with a movie: the folder itself, or its `plane0`, `plane1`, ... in order."""
    if not _is_whole(folder):
        return [folder] if _has_metadata(folder) else []
    numbered = [inner for inner in folder.glob("plane*") if inner.name[5:].isdecimal()]
    found = [inner for inner in numbered if (inner / MOVIES[0]).is_file() and _has_metadata(inner)]
    return sorted(found, key=lambda inner: int(inner.name[5:]))


def _read_plane(folder: Path, movies: tuple[str, ...]) -> _Plane:
    facts = _facts(folder)
    height, width, declared = (_count(facts, name, folder) for name in ("Ly", "Lx", "nframes"))
    sources = []
    for name in movies:
        movie = folder / name
        if not movie.is_file():
            continue
        n_bytes, frame_bytes = movie.stat().st_size, 2 * height * width
        if n_bytes != declared * frame_bytes:
            raise FormatError(
                f"{movie} has {n_bytes:,} bytes, the metadata beside it says {declared} frames of {height} x {width} "
                f"({declared * frame_bytes:,} bytes)",
                "copy it again, or bring the metadata that belongs to it",
            )
        sources.append(
            StridedSource(str(movie), STORED, 0, (frame_bytes, 2 * width, 2), (declared, height, width))
        )
    return _Plane(folder, tuple(sources), _metadata(facts, declared))


def _facts(folder: Path) -> dict[str, Any]:
    """Gather what suite2p wrote about a plane; the newer files do not contradict the older one."""
    facts: dict[str, Any] = {}
    for name in ("settings.npy", "db.npy", "ops.npy"):
        if (folder / name).is_file():
            facts |= read_mapping(folder / name)
    return facts


def _count(facts: Mapping[str, Any], name: str, folder: Path) -> int:
    value = facts.get(name)
    if isinstance(value, int | np.integer | float | np.floating) and float(value).is_integer() and value > 0:
        return int(value)
    raise FormatError(
        f"the metadata in {folder} says {name}={value!r}, expected a whole number above 0",
        "run suite2p again, or bring the ops.npy that belongs to the movie",
    )


def _metadata(facts: Mapping[str, Any], n_frames: int) -> RecordingMetadata:
    rate = facts.get("fs")
    known = isinstance(rate, int | float | np.number) and np.isfinite(rate) and rate > 0
    date = facts.get("date_proc")
    return RecordingMetadata(
        frame_rate=float(rate) if known and rate is not None else None,
        sessions=_sessions(facts, n_frames),
        notes=(HALVED,),
        attributes={"processed": date} if isinstance(date, str) else {},
    )


def _sessions(facts: Mapping[str, Any], n_frames: int) -> tuple[int, ...]:
    """Frames of each folder of origin, where there are several and they add up."""
    lengths = facts.get("frames_per_folder", facts.get("nframes_per_folder"))
    if not isinstance(lengths, np.ndarray | list | tuple):
        return ()
    frames = tuple(int(length) for length in lengths if isinstance(length, int | np.integer))
    adds_up = len(frames) == len(lengths) > 1 and min(frames) > 0 and sum(frames) == n_frames
    return frames if adds_up else ()
