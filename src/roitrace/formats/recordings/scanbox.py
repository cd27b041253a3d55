"""Scanbox (Neurolabware): `.sbx` samples, inverted and with their channels side by side, and a `.mat` file of settings."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.damage import understanding
from roitrace.formats.identity import combine
from roitrace.formats.matlab_file import load_matlab
from roitrace.formats.recordings.axes import AxisView, assemble
from roitrace.formats.recordings.strided import StridedSource
from roitrace.sources import BlockReader, BlockSource, RecordingMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.sources import RecordingFile

__all__ = ["InvertedSource", "is_scanbox", "open_scanbox"]

MOST_BYTES = 64 * 2**20
"""What settings may unpack to."""
CHANNELS = {1: ("green", "red"), 2: ("green",), 3: ("red",)}


@dataclass(frozen=True)
class InvertedSource(BlockSource):
    """Another block source of uint16, ``(time, y, x)``, whose samples are 65535 minus what is stored."""

    stored: BlockSource
    shape: tuple[int, int, int] = field(init=False)
    dtype: np.dtype[np.generic] = field(init=False)
    chunks: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", self.stored.shape)
        object.__setattr__(self, "dtype", self.stored.dtype)
        object.__setattr__(self, "chunks", self.stored.chunks)

    def identity(self) -> str:
        """Return a digest of the content."""
        return combine("inverted", self.stored.identity())

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Open for reading."""
        with self.stored.open() as reader:
            yield _InvertedReader(reader)


@dataclass(frozen=True)
class _InvertedReader:
    stored: BlockReader

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        inverted: NDArray[Any] = np.invert(self.stored.read(time, y, x))
        return inverted


def is_scanbox(path: Path, head: bytes) -> bool:  # noqa: ARG001 - raw samples have no signature
    """Whether a file is named as Scanbox samples and has its settings beside it."""
    return path.is_file() and path.suffix == ".sbx" and path.with_suffix(".mat").is_file()


def open_scanbox(path: str, options: OpenOptions) -> RecordingFile:  # noqa: ARG001 - the layout is fixed
    """Understand a Scanbox recording: reads its `.mat` file and the length of its `.sbx` file.

    Planes of the tunable lens follow each other; a last volume that is not complete is left out, and a note says so.

    Raises
    ------
    FormatError
        If the settings are damaged or incomplete, or the samples end within a frame.
    """
    settings = Path(path).with_suffix(".mat")
    with understanding(f"{settings} cannot be read as Scanbox settings"):
        info = load_matlab(settings, most=MOST_BYTES, struct_as_record=False, squeeze_me=True)["info"]
        channels = CHANNELS[int(info.channels)]
        height, width = (
            int(info.recordsPerBuffer) * (1 if int(info.scanmode) else 2),
            int(np.ravel(info.sz)[1]),
        )
        planes = _planes(info)
        rate = (
            float(info.resfreq) / float(info.config.lines) * (2 - int(info.scanmode))
            if _has_rate(info)
            else None
        )
    n_bytes, frame_bytes = Path(path).stat().st_size, 2 * len(channels) * height * width
    if frame_bytes <= 0 or n_bytes % frame_bytes:
        raise FormatError(
            f"{path} has {n_bytes:,} bytes, which are not whole frames of {len(channels)} x {height} x {width} samples of 16 bit",
            "copy it again, and bring the .mat file that belongs to it",
        )
    n_frames, left = divmod(n_bytes // frame_bytes, planes)
    notes = (f"the last volume has {left} of {planes} planes and is left out",) if left else ()
    metadata = RecordingMetadata(
        frame_rate=None if rate is None else rate / planes,
        channel_names=channels if len(channels) > 1 else (),
        plane_offsets=tuple(plane / rate for plane in range(planes)) if planes > 1 and rate else (),
        notes=notes,
    )
    stored = {
        "t": (n_frames, planes * frame_bytes),
        "z": (planes, frame_bytes),
        "c": (len(channels), 2),
        "y": (height, 2 * len(channels) * width),
        "x": (width, 2 * len(channels)),
    }
    axes = "".join(axis for axis in "tzcyx" if axis in "tyx" or stored[axis][0] > 1)
    shape, strides = (tuple(stored[axis][part] for axis in axes) for part in (0, 1))

    def source(view: AxisView) -> BlockSource:
        start = sum(strides[axis] * index for axis, index in view.fixed)
        return InvertedSource(StridedSource(path, "<u2", start, view.pick(strides), view.pick(shape)))

    return assemble("scanbox", path, shape, axes, make_source=source, metadata=metadata)


def _planes(info: Any) -> int:
    """Count the steps of the tunable lens, where it was used."""
    steps = np.size(getattr(info, "otwave", ()))
    used = int(info.volscan) > 0 if hasattr(info, "volscan") else steps > 0
    return max(1, steps) if used else 1


def _has_rate(info: Any) -> bool:
    return hasattr(info, "resfreq") and hasattr(getattr(info, "config", None), "lines")
