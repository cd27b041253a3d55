"""Frames moved by whole pixels while a recording is read; each chunk is decoded once."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.corrected.changed import Changed
from roitrace.formats.identity import combine
from roitrace.kernels.shift import place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from roitrace.sources import BlockReader

__all__ = ["Shifted"]

LEAST_SIDE = 32
"""Smallest side of what is read at once: smaller chunks are taken together."""


@dataclass(frozen=True, eq=False)
class Shifted(Changed):
    """A block source whose frames are moved: sample ``(t, y, x)`` is the source's ``(t, y - dy[t], x - dx[t])``, or NaN off its frame.

    Attributes
    ----------
    dy, dx : numpy.ndarray
        Whole pixels down and to the right, ``(time,)`` int64.
    """

    dy: NDArray[np.int64]
    dx: NDArray[np.int64]

    def __post_init__(self) -> None:
        super().__post_init__()
        frames, height, width = self.source.chunks
        object.__setattr__(self, "chunks", (frames, _grown(height), _grown(width)))

    @property
    def halo(self) -> int:
        """Rows that a reader keeps besides those of a block: a block is put together from its neighbours too."""
        return self.source.halo + int(self.dy.max() - self.dy.min()) + 2 * self.chunks[1]

    def identity(self) -> str:
        """Return the source's digest and one of the shifts."""
        return combine(self.source.identity(), "shifted", self.dy.tobytes(), self.dx.tobytes())

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Open the source."""
        with self.source.open() as reader:
            yield _ShiftingReader(reader, self)


def _grown(side: int) -> int:
    return side * -(-LEAST_SIDE // side)


class _ShiftingReader:
    """Keeps the pieces of the frames that it read last for as long as blocks that follow row by row may need them."""

    def __init__(self, reader: BlockReader, source: Shifted) -> None:
        self._reader = reader
        self._source = source
        self._frames = slice(0, 0)
        self._kept: dict[tuple[int, int], NDArray[Any]] = {}

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        source = self._source
        dy, dx = source.dy[time], source.dx[time]
        if self._frames != time:
            self._frames, self._kept = time, {}
        rows = _reached(y, dy, source.shape[1])
        columns = _reached(x, dx, source.shape[2])
        self._kept = {
            corner: piece for corner, piece in self._kept.items() if self._end(corner[0], 1) > rows.start
        }
        size = (time.stop - time.start, y.stop - y.start, x.stop - x.start)
        block: NDArray[Any] = np.full(size, np.nan, source.dtype)
        for top, left in product(self._starts(rows, 1), self._starts(columns, 2)):
            place(self._piece(top, left), top, left, dy, dx, block, y.start, x.start)
        return block

    def _starts(self, span: slice, axis: int) -> list[int]:
        """Return where the pieces begin that share pixels with a span."""
        step, offset = self._source.chunks[axis], self._source.offset[axis]
        first = (span.start + offset) // step * step - offset
        return [max(0, start) for start in range(first, span.stop, step)] if span.stop > span.start else []

    def _end(self, start: int, axis: int) -> int:
        step, offset = self._source.chunks[axis], self._source.offset[axis]
        return min(self._source.shape[axis], start + step - (start + offset) % step)

    def _piece(self, top: int, left: int) -> NDArray[Any]:
        if (top, left) not in self._kept:
            y, x = slice(top, self._end(top, 1)), slice(left, self._end(left, 2))
            # what is lent is good until the next read
            self._kept[top, left] = np.array(self._reader.read(self._frames, y, x), order="C")
        return self._kept[top, left]


def _reached(span: slice, shifts: NDArray[np.int64], size: int) -> slice:
    """Return the part of the still frames that moves into a span in some frame."""
    return slice(max(0, span.start - int(shifts.max())), min(size, span.stop - int(shifts.min())))
