"""AVI, MP4 and Matroska through PyAV: 8 and 16 bit grey, any frame exactly."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.damage import cut_short, understanding
from roitrace.formats.extras import import_extra
from roitrace.formats.identity import combine, file_identity
from roitrace.formats.recordings.axes import AxisView, assemble
from roitrace.formats.recordings.matroska import stated_length
from roitrace.sources import BlockReader, BlockSource, RecordingMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.sources import RecordingFile

__all__ = ["VideoSource", "open_video"]

LUMA = "the video holds colours: its luma (brightness) is read, not counts of a detector"
PLAYBACK = "the frame rate is the video's, which may be a rate of playback; give frame_rate= if it is"
MOST_CHUNK_BYTES = 16 * 2**20
STEADY = 0.01
"""Part of the interval by which frames may come early or late and still count as regular."""


@dataclass(frozen=True, eq=False)
class VideoSource(BlockSource):
    """The frames of a video stream, ``(time, y, x)``.

    The file is opened once per reader. A frame is found by its presentation time: the reader goes on from where it is, or seeks
    to the key frame before it and decodes up to it.

    Parameters
    ----------
    path : str
        The file.
    times : numpy.ndarray
        Presentation time of each frame, in units of the stream, increasing; int64.
    keys : numpy.ndarray
        Those of the key frames.
    shape : tuple of int
        ``(time, y, x)``.
    stored_dtype : str
        NumPy dtype of the samples as the decoder gives them, with byte order.

    Attributes
    ----------
    chunks : tuple of int
        The frames from one key frame to the next, where they are equally far apart and not too many to hold; otherwise one frame.
    """

    path: str
    times: NDArray[np.int64]
    keys: NDArray[np.int64]
    shape: tuple[int, int, int]
    stored_dtype: str
    dtype: np.dtype[np.generic] = field(init=False)
    chunks: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        steps = np.diff(np.searchsorted(self.times, self.keys))
        regular = steps.size > 0 and (steps == steps[0]).all() and self.keys[0] == self.times[0]
        frame_bytes = self.shape[1] * self.shape[2] * np.dtype(self.stored_dtype).itemsize
        frames = int(steps[0]) if regular and steps[0] * frame_bytes <= MOST_CHUNK_BYTES else 1
        object.__setattr__(self, "dtype", np.dtype(self.stored_dtype).newbyteorder("="))
        object.__setattr__(self, "chunks", (max(1, frames), *self.shape[1:]))

    def identity(self) -> str:
        """Return a digest of the content."""
        return combine(file_identity(self.path), self.shape, self.stored_dtype)

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Open for reading."""
        av = import_extra("av", "video", f"{self.path} is a video, which")
        with _decoding(av, f"{self.path} cannot be read as a video"), av.open(self.path) as container:
            yield _VideoReader(container, self, av)


class _VideoReader:
    def __init__(self, container: Any, source: VideoSource, av: Any) -> None:
        self.av = av
        self.container = container
        self.stream = _stream(container, source.path)
        self.source = source
        self.frames: Iterator[Any] = iter(())
        self.next = -1
        self.block = np.empty((0, 0, 0), source.dtype)

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        shape = (time.stop - time.start, y.stop - y.start, x.stop - x.start)
        if self.block.shape != shape:
            self.block = np.empty(shape, self.source.dtype)
        for number in range(time.start, time.stop):
            with _decoding(self.av, f"frame {number} of {self.source.path} cannot be decoded"):
                self.block[number - time.start] = self._samples(self._frame(number))[y, x]
        return self.block

    def _frame(self, number: int) -> Any:
        wanted = int(self.source.times[number])
        before = int(np.searchsorted(self.source.keys, wanted, side="right")) - 1
        near = self.next >= 0 and self.source.times[self.next] <= wanted
        if near and (before < 0 or self.source.keys[before] <= self.source.times[self.next]):
            frame = self._until(wanted)  # further on, with no key frame between
        else:
            frame = None
        while frame is None:
            self._seek(int(self.source.keys[max(before, 0)]))
            frame = self._until(wanted)
            before -= 1
            if frame is None and before < 0:
                raise FormatError(
                    f"the video {self.source.path} has no frame {number}", "copy the file again"
                )
        self.next = number + 1 if number + 1 < self.source.times.size else -1
        return frame

    def _seek(self, position: int) -> None:
        self.container.seek(position, stream=self.stream, backward=True)
        self.frames = self.container.decode(self.stream)

    def _until(self, wanted: int) -> Any:
        """Decode up to the frame of a presentation time; None if it is not ahead."""
        for frame in self.frames:
            if frame.pts == wanted:
                return frame
            if frame.pts is not None and frame.pts > wanted:
                return None
        return None

    def _samples(self, frame: Any) -> NDArray[Any]:
        """Grey samples or luma of a frame: the first plane, whose rows may be padded."""
        plane = frame.planes[0]
        if (frame.height, frame.width) != self.source.shape[1:]:
            raise FormatError(
                f"{self.source.path} has frames of {frame.height} x {frame.width} among those of {self.source.shape[1]} x "
                f"{self.source.shape[2]}",
                "cut the video where its size changes",
            )
        itemsize = self.source.dtype.itemsize
        rows = np.frombuffer(plane, self.source.stored_dtype).reshape(-1, plane.line_size // itemsize)
        return rows[: frame.height, : frame.width]


def open_video(path: str, options: OpenOptions) -> RecordingFile:  # noqa: ARG001 - frames have one order
    """Understand a video: goes through its packets once, decoding none.

    Grey videos are read as they are stored, 8 or 16 bit; of colour videos in YUV the luma is read, and a note says so. Frames
    have the order of their presentation times; where these are not regular they become ``time``.

    Raises
    ------
    FormatError
        If the file is damaged or cut short, or holds colours that are not stored as luma and chroma.
    MissingDependencyError
        If PyAV is not installed.
    """
    av = import_extra("av", "video", f"{path} is a video, which")
    with _decoding(av, f"{path} cannot be read as a video"), av.open(path) as container:
        stream = _stream(container, path)
        stored, notes = _sample_kind(stream.codec_context, path)
        times, keys = _packets(container, stream)
        _check_complete(container, stream, times, path)
        metadata = _metadata(stream, times, container.metadata, notes)
        height, width = int(stream.codec_context.height), int(stream.codec_context.width)
    shape = (times.size, height, width)

    def source(view: AxisView) -> BlockSource:
        return VideoSource(path, times, keys, view.pick(shape), stored)

    return assemble("video", path, shape, "tyx", make_source=source, metadata=metadata)


@contextmanager
def _decoding(av: Any, problem: str) -> Iterator[None]:
    """Turn what PyAV raises into a FormatError; some of its errors belong to no builtin family."""
    with understanding(problem):
        try:
            yield
        except av.FFmpegError as error:
            raise FormatError(f"{problem}: {error}", "copy the file again") from error


def _stream(container: Any, path: str) -> Any:
    if not container.streams.video:
        raise FormatError(f"{path} holds no video stream", "check what kind of file it is")
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1  # tasks are the threads here
    return stream


def _sample_kind(context: Any, path: str) -> tuple[str, tuple[str, ...]]:
    """Return the dtype of the first plane of a frame, and what to tell of it."""
    name = context.pix_fmt or "nothing"
    grey, luma = name.startswith("gray"), name.startswith("yuv")
    if not (grey or luma) or name in {"grayf32le", "grayf32be", "yuyv422"}:
        raise FormatError(
            f"{path} holds frames of the kind {name}, expected 8 or 16 bit grey",
            "save it as a grey video or as TIFF",
        )
    deep = context.format.components[0].bits > 8
    stored = (">u2" if name.endswith("be") else "<u2") if deep else "|u1"
    return stored, (LUMA,) if luma else ()


def _packets(container: Any, stream: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Presentation times of all frames and of the key frames, increasing; dropped frames have no samples and no time."""
    times, keys = [], []
    for packet in container.demux(stream):
        moment = packet.pts if packet.pts is not None else packet.dts
        if moment is None or packet.size == 0:
            continue
        times.append(moment)
        if packet.is_keyframe:
            keys.append(moment)
    ordered = np.unique(np.asarray(times, np.int64))
    return ordered, np.unique(np.asarray(keys or times[:1], np.int64))


def _check_complete(container: Any, stream: Any, times: NDArray[np.int64], path: str) -> None:
    """Compare the frames with their declared number, or, where there is none, with the declared duration."""
    if times.size == 0:
        raise FormatError(f"{path} holds no frame", "copy the file again")
    stated, there = stated_length(path), Path(path).stat().st_size
    if stated is not None and stated > there:
        raise FormatError(
            f"{path} has {there:,} bytes and says that it has {stated:,}: it is cut short, behind {times.size} frames",
            "copy it again; to use the frames that are there, save them as a file of their own",
        )
    expected = int(stream.frames)
    if not expected and container.duration and stream.average_rate:
        declared = container.duration / 1e6 * float(stream.average_rate)
        seen = float((times[-1] - times[0]) * stream.time_base * stream.average_rate) + 1
        expected = round(declared) if seen < declared - 2 else 0
    if times.size < expected:
        raise cut_short(path, expected, times.size)


def _metadata(
    stream: Any, times: NDArray[np.int64], tags: dict[str, str], notes: tuple[str, ...]
) -> RecordingMetadata:
    seconds = (times - times[0]) * float(stream.time_base)
    steps = np.diff(seconds)
    typical = float(np.median(steps)) if steps.size else 0.0
    tick = float(stream.time_base)  # times are rounded to ticks
    steady = steps.size == 0 or np.abs(steps - typical).max() <= max(STEADY * typical, 1.01 * tick)
    rate = float(stream.average_rate) if stream.average_rate else None
    return RecordingMetadata(
        frame_rate=rate if steady or not typical else 1 / typical,
        time=None if steady else seconds,
        acquisition_time=tags.get("creation_time"),
        notes=(*notes, PLAYBACK) if rate is not None else notes,
    )
