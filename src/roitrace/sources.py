"""What a recording is for the machinery below the labels: a source of blocks.

A block source knows its shape ``(time, y, x)``, its dtype and the chunk shape that its storage has, and
reads any rectangle of it. It is small, picklable and immutable: it carries paths, never open files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from roitrace.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    Block = tuple[slice, slice, slice]

__all__ = [
    "SAMPLE_DTYPES",
    "BlockReader",
    "BlockSource",
    "RecordingFile",
    "RecordingMetadata",
    "Window",
    "check_sample_dtype",
    "expect",
]

SAMPLE_DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")


def check_sample_dtype(dtype: np.dtype[np.generic], what: str) -> np.dtype[np.generic]:
    """Return `dtype` in native byte order, or refuse it.

    Raises
    ------
    FormatError
        If samples of this dtype have no exact definition here.
    """
    native = np.dtype(dtype).newbyteorder("=")
    if native.name not in SAMPLE_DTYPES:
        raise FormatError(
            f"{what} holds {np.dtype(dtype)} samples, expected one of {', '.join(SAMPLE_DTYPES)}",
            "convert the samples first, for example with .astype('float64')",
        )
    return native


class BlockReader(Protocol):
    """An open block source. It lives inside one task."""

    def read(self, time: slice, y: slice, x: slice) -> NDArray[np.generic]:
        """Read a block ``(time, y, x)`` in native byte order.

        Slices have non-negative bounds inside the shape and step 1. The array is lent: the next `read` of the same reader
        may overwrite it.
        """


def expect(reader: BlockReader, blocks: Iterable[Block]) -> None:
    """Tell an open reader which blocks will be read next, in this order.

    One that fetches from an object store then asks for many chunks at once; for others it means nothing. `blocks` is gone through while
    they are read, and a block that is not read after all does no harm.
    """
    take = getattr(reader, "expect", None)
    if take is not None:
        take(blocks)


class BlockSource(ABC):
    """A recording of one channel and one plane, ``(time, y, x)``, that is read block by block.

    Subclasses are frozen dataclasses that set `shape`, `dtype` (native byte order) and `chunks` (the regular chunk
    shape of the storage: what must be decoded together) and implement `open` and `identity`.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    chunks: tuple[int, int, int]

    @property
    def offset(self) -> tuple[int, int, int]:
        """How far frame 0, row 0, column 0 lie behind a chunk border, per axis."""
        return 0, 0, 0

    @property
    def halo(self) -> int:
        """Rows, besides those of a block, that an open reader keeps in memory for the blocks that follow; 0: it keeps nothing."""
        return 0

    @property
    def ahead_bytes(self) -> int:
        """Memory of what an open reader fetches before it is asked for; 0 for files of this computer."""
        return 0

    @abstractmethod
    def identity(self) -> str:
        """Return a digest of the content (not of path or time), cheap to compute."""

    @abstractmethod
    def open(self) -> AbstractContextManager[BlockReader]:
        """Open the files: a context manager that gives a `BlockReader`."""

    def read(self, time: slice, y: slice, x: slice) -> NDArray[np.generic]:
        """Open, read one block ``(time, y, x)`` that the caller may keep, close."""
        with self.open() as reader:
            block = reader.read(time, y, x)
            # a whole buffer of the reader can be kept, since nobody reads into it again
            return block if block.flags.owndata and block.flags.writeable else np.array(block)


@dataclass(frozen=True)
class Window(BlockSource):
    """A rectangle of another block source.

    Its chunk grid is that of the source, shifted by `offset`.
    """

    source: BlockSource
    start: tuple[int, int, int]
    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic] = field(init=False)
    chunks: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", self.source.dtype)
        object.__setattr__(self, "chunks", self.source.chunks)

    @property
    def offset(self) -> tuple[int, int, int]:
        """How far the window begins behind a chunk border of the source, per axis."""
        t, y, x = (
            (offset + start) % chunk
            for offset, start, chunk in zip(self.source.offset, self.start, self.chunks, strict=True)
        )
        return t, y, x

    @property
    def halo(self) -> int:
        """As the source."""
        return self.source.halo

    @property
    def ahead_bytes(self) -> int:
        """As the source."""
        return self.source.ahead_bytes

    def identity(self) -> str:
        """Return the source's digest and the place of the window."""
        return f"{self.source.identity()}[{self.start}+{self.shape}]"

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Open the source."""
        with self.source.open() as reader:
            yield _ShiftedReader(reader, self.start)


@dataclass(frozen=True)
class _ShiftedReader:
    reader: BlockReader
    start: tuple[int, int, int]

    def read(self, time: slice, y: slice, x: slice) -> NDArray[np.generic]:
        first, top, left = self.start
        return self.reader.read(_moved(time, first), _moved(y, top), _moved(x, left))

    def expect(self, blocks: Iterable[Block]) -> None:
        t, y, x = self.start
        expect(self.reader, ((_moved(one[0], t), _moved(one[1], y), _moved(one[2], x)) for one in blocks))


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


@dataclass(frozen=True)
class RecordingMetadata:
    """What a file says of its recording; what it does not say is None.

    Attributes
    ----------
    frame_rate : float or None
        Frames per second.
    time : numpy.ndarray or None
        Time of each frame, s, where the file has its own; wins over `frame_rate`.
    pixel_size : tuple of float or None
        Height and width of a pixel, micrometres, ``(y, x)``.
    channel_names : tuple of str
        One name per channel; empty if the recording has no channel axis.
    acquisition_time : str or None
        ISO 8601 start of the acquisition.
    notes : tuple of str
        Sentences for the user: what is missing, what was guessed.
    sessions : tuple of int
        Frames of each part that was recorded on its own, in order; empty if there is one part. They add up to all frames.
    plane_offsets : tuple of float
        How much later than the time of a frame each plane was scanned, s; empty if not known.
    coordinates : mapping of str to (numpy.ndarray, str)
        Values and units of ``time``, ``y``, ``x`` where the file stores them itself (a zarr store does); these win over all
        the rest.
    attributes : mapping
        Whatever else should be kept with the recording: plain numbers and strings.
    """

    frame_rate: float | None = None
    time: NDArray[np.float64] | None = None
    pixel_size: tuple[float, float] | None = None
    channel_names: tuple[str, ...] = ()
    acquisition_time: str | None = None
    notes: tuple[str, ...] = ()
    sessions: tuple[int, ...] = ()
    plane_offsets: tuple[float, ...] = ()
    coordinates: Mapping[str, tuple[NDArray[np.float64], str]] = field(default_factory=dict)
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordingFile:
    """One recording as a format reader understands it.

    Attributes
    ----------
    format : str
        Name of the format, as in the registry.
    sources : tuple of tuple of BlockSource
        ``sources[channel][plane]``; all of the same shape and dtype. At least one.
    has_channel_axis, has_plane_axis : bool
        Whether the file has such an axis (of any length, 1 included).
    metadata : RecordingMetadata
        What the file says besides its samples.
    files : tuple of str
        The files or folders that it was read from.
    """

    format: str
    sources: tuple[tuple[BlockSource, ...], ...]
    has_channel_axis: bool = False
    has_plane_axis: bool = False
    metadata: RecordingMetadata = field(default_factory=RecordingMetadata)
    files: tuple[str, ...] = ()
