"""Nikon nd2 files through the package nd2."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.damage import understanding
from roitrace.formats.extras import import_extra
from roitrace.formats.identity import combine, file_identity
from roitrace.formats.recordings.axes import AxisView, assemble
from roitrace.formats.recordings.tiff_frames import time_among_pages
from roitrace.sources import BlockReader, BlockSource, RecordingMetadata, check_sample_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.sources import RecordingFile

__all__ = ["Nd2Source", "open_nd2"]

IN_FRAME = "CYX"


@dataclass(frozen=True, eq=False)
class Nd2Source(BlockSource):
    """One channel and plane of an nd2 file, ``(time, y, x)``; a frame is read with all its channels.

    Parameters
    ----------
    path : str
        The file, opened once per reader.
    frames : numpy.ndarray
        Number of each frame in the file; int64.
    channel : int or None
        Which channel; None where frames have one.
    shape : tuple of int
        ``(time, y, x)``.
    dtype : numpy.dtype
        Native byte order.
    """

    path: str
    frames: NDArray[np.int64]
    channel: int | None
    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    chunks: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chunks", (1, *self.shape[1:]))

    def identity(self) -> str:
        """Return a digest of the content."""
        return combine(
            file_identity(self.path), self.frames.astype("<i8").tobytes(), self.channel, self.shape
        )

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Open for reading."""
        nd2 = import_extra("nd2", "nd2", f"{self.path} is an nd2 file, which")
        with understanding(f"{self.path} cannot be read as nd2"):
            file = nd2.ND2File(self.path)
        with file:
            yield _Nd2Reader(file, self)


class _Nd2Reader:
    def __init__(self, file: Any, source: Nd2Source) -> None:
        self.file = file
        self.source = source
        self.block = np.empty((0, 0, 0), source.dtype)

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        shape = (time.stop - time.start, y.stop - y.start, x.stop - x.start)
        if self.block.shape != shape:
            self.block = np.empty(shape, self.source.dtype)
        for place, number in enumerate(self.source.frames[time]):
            with understanding(f"frame {time.start + place} of {self.source.path} cannot be read"):
                frame = np.asarray(self.file.read_frame(int(number)))
                if not frame.any():  # as the package gives frames that are not in the file
                    raise FormatError(
                        f"frame {time.start + place} of {self.source.path} is not in the file: it was cut short or stopped early",
                        "open the frames before it, with time=slice(...)",
                    )
                image = frame if self.source.channel is None else frame[self.source.channel]
                self.block[place] = image.reshape(self.source.shape[1:])[y, x]
        return self.block


def open_nd2(path: str, options: OpenOptions) -> RecordingFile:
    """Understand an nd2 file: reads its metadata only.

    Of several stage positions, `options.dataset` chooses one by number.

    Raises
    ------
    ArgumentError
        If there are several stage positions and none is chosen.
    FormatError
        If the file is damaged, holds colours, or one image only.
    MissingDependencyError
        If nd2 is not installed.
    """
    nd2 = import_extra("nd2", "nd2", f"{path} is an nd2 file, which")
    with understanding(f"{path} cannot be read as nd2"), nd2.ND2File(path) as file:
        sizes = {str(axis): int(size) for axis, size in file.sizes.items()}
        if file.is_rgb:
            raise FormatError(f"{path} holds colours, not counts", "save it as one grey channel per image")
        dtype = check_sample_dtype(np.dtype(file.dtype), path)
        metadata = _metadata(file)
    outer = [axis for axis in sizes if axis not in IN_FRAME]
    numbers = np.arange(math.prod(sizes[axis] for axis in outer)).reshape([sizes[axis] for axis in outer])
    if "P" in outer:
        numbers = np.take(numbers, [_position(options.dataset, sizes["P"], path)], outer.index("P"))
        numbers = numbers.squeeze(outer.index("P"))
        outer.remove("P")
    shape = (*numbers.shape, *(sizes[axis] for axis in IN_FRAME if axis in sizes))
    named = "".join(axis.lower() for axis in (*outer, *(axis for axis in IN_FRAME if axis in sizes)))
    axes, notes = time_among_pages(named[:-2], shape, path)
    metadata = replace(metadata, notes=notes)
    n_outer = len(outer)

    def source(view: AxisView) -> BlockSource:
        fixed = dict(view.fixed)
        frames = numbers[tuple(fixed.get(axis, slice(None)) for axis in range(n_outer))]
        channel = fixed.get(axes.index("c")) if "c" in axes else None
        return Nd2Source(path, frames, channel, view.pick(shape), dtype)

    return assemble("nd2", path, shape, axes, make_source=source, metadata=metadata)


def _position(wanted: str | None, count: int, path: str) -> int:
    if wanted is not None and wanted.isdecimal() and int(wanted) < count:
        return int(wanted)
    raise ArgumentError(
        f"{path} holds {count} stage positions, dataset={wanted!r} chooses none",
        f"choose one with dataset='0' to '{count - 1}'",
    )


def _metadata(file: Any) -> RecordingMetadata:
    size = file.voxel_size()
    known = all(math.isfinite(value) and value > 0 for value in (size.y, size.x))
    channels = getattr(file.metadata, "channels", None) or ()
    date = (file.text_info or {}).get("date")
    return RecordingMetadata(
        frame_rate=_rate(file.experiment),
        pixel_size=(float(size.y), float(size.x)) if known else None,
        channel_names=tuple(str(one.channel.name) for one in channels),
        acquisition_time=str(date) if date else None,
    )


def _rate(loops: Any) -> float | None:
    """Frames per second: of the measured period where there is one, otherwise of the one that was asked for."""
    for loop in loops or ():
        parameters = loop.parameters
        measured = getattr(getattr(parameters, "periodDiff", None), "avg", None)
        for period in (measured, getattr(parameters, "periodMs", None)):
            if (
                loop.type == "TimeLoop"
                and isinstance(period, int | float)
                and math.isfinite(period)
                and period > 0
            ):
                return 1000 / period
    return None
