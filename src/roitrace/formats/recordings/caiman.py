"""CaImAn's memory maps: float32 samples without a header; the name of the file says everything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from roitrace.errors import FormatError
from roitrace.formats.recordings.axes import AxisView, assemble
from roitrace.formats.recordings.strided import StridedSource
from roitrace.sources import RecordingMetadata

if TYPE_CHECKING:
    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.sources import RecordingFile

__all__ = ["is_caiman", "open_caiman"]

NAME = re.compile(r"_d1_(\d{1,9})_d2_(\d{1,9})(?:_d3_(\d{1,9}))?_order_([CF])_frames_(\d{1,12})_?\.mmap$")
ITEMSIZE = 4


def is_caiman(path: Path, head: bytes) -> bool:  # noqa: ARG001 - a memory map has no signature
    """Whether a file is named as a memory map."""
    return path.is_file() and path.suffix == ".mmap"


def open_caiman(path: str, options: OpenOptions) -> RecordingFile:  # noqa: ARG001 - the layout is fixed
    """Understand a CaImAn memory map: reads the name and length of the file only.

    The samples are float32 of shape (pixel, frame), pixels in Fortran order over (row, column, plane). Order F keeps the pixels
    of a frame together; order C keeps the frames of a pixel together, so that its chunks are long in time.

    Raises
    ------
    FormatError
        If the name does not say the shape, or the length of the file contradicts it.
    """
    said = NAME.search(Path(path).name)
    if said is None:
        raise FormatError(
            f"the name of {path} does not say its shape as CaImAn does, with _d1_512_d2_512_d3_1_order_C_frames_1000_.mmap",
            "give it the name again that CaImAn gave it",
        )
    height, width, depth, n_frames = (int(said[number] or 1) for number in (1, 2, 3, 5))
    n_pixels = height * width * depth
    expected, found = n_pixels * n_frames * ITEMSIZE, Path(path).stat().st_size
    if found != expected:
        raise FormatError(
            f"{path} has {found:,} bytes, its name says {n_frames} frames of {height} x {width} x {depth} ({expected:,} bytes)",
            "copy it again, or give it the name again that CaImAn gave it",
        )
    pixel, frame = (ITEMSIZE, ITEMSIZE * n_pixels) if said[4] == "F" else (ITEMSIZE * n_frames, ITEMSIZE)
    axes = "tzyx" if depth > 1 else "tyx"
    stored = {
        "t": (n_frames, frame),
        "z": (depth, pixel * height * width),
        "y": (height, pixel),
        "x": (width, pixel * height),
    }
    shape = tuple(stored[axis][0] for axis in axes)
    strides = tuple(stored[axis][1] for axis in axes)

    def source(view: AxisView) -> StridedSource:
        start = sum(strides[axis] * index for axis, index in view.fixed)
        return StridedSource(path, "<f4", start, view.pick(strides), view.pick(shape))

    return assemble("caiman", path, shape, axes, make_source=source, metadata=RecordingMetadata())
