"""Some frames of a recording, the others left out, while it is read."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.corrected.changed import Changed
from roitrace.formats.identity import combine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from roitrace.sources import BlockReader

__all__ = ["Selected"]


@dataclass(frozen=True, eq=False)
class Selected(Changed):
    """Chosen frames of a block source, in their order and dtype.

    Its chunk grid goes on from the first frame as if none were left out: where chunks hold many frames, one that lies on a border
    between two reads is decoded for both.

    Attributes
    ----------
    frames : numpy.ndarray
        Numbers of the frames, increasing, int64.
    """

    frames: NDArray[np.int64]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "shape", (self.frames.size, *self.source.shape[1:]))
        object.__setattr__(self, "dtype", self.source.dtype)

    @property
    def offset(self) -> tuple[int, int, int]:
        """How far the first frame lies behind a chunk border."""
        time, y, x = self.source.offset
        return (time + int(self.frames[0])) % self.chunks[0], y, x

    def identity(self) -> str:
        """Return the source's digest and one of the frames."""
        return combine(self.source.identity(), "selected", self.frames.tobytes())

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Open the source."""
        with self.source.open() as reader:
            yield _SelectingReader(reader, self)


@dataclass(frozen=True)
class _SelectingReader:
    reader: BlockReader
    source: Selected

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        wanted = self.source.frames[time]
        size = (wanted.size, y.stop - y.start, x.stop - x.start)
        block: NDArray[Any] = np.empty(size, self.source.dtype)
        # frames between two that lie in one chunk are decoded anyway
        breaks = np.flatnonzero(np.diff(wanted) > self.source.chunks[0]) + 1
        filled = 0
        for run in np.split(wanted, breaks):
            first = int(run[0])
            read = self.reader.read(slice(first, int(run[-1]) + 1), y, x)
            block[filled : filled + run.size] = read[run - first]
            filled += run.size
        return block
