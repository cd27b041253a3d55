"""Several recordings of one frame, one after the other in time, as one."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.identity import combine
from roitrace.sources import BlockReader, BlockSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

__all__ = ["JoinedSource", "join"]


@dataclass(frozen=True)
class JoinedSource(BlockSource):
    """Block sources of equal frame and dtype, one after the other along time.

    Parameters
    ----------
    parts : tuple of BlockSource
        In order of time.

    Attributes
    ----------
    chunks : tuple of int
        The largest chunk that divides the borders of all parts.
    """

    parts: tuple[BlockSource, ...]
    shape: tuple[int, int, int] = field(init=False)
    dtype: np.dtype[np.generic] = field(init=False)
    chunks: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        first = self.parts[0]
        frames = [part.shape[0] for part in self.parts]
        step = math.gcd(*frames[:-1], *(part.chunks[0] for part in self.parts))
        height, width = (max(part.chunks[axis] for part in self.parts) for axis in (1, 2))
        object.__setattr__(self, "shape", (sum(frames), *first.shape[1:]))
        object.__setattr__(self, "dtype", first.dtype)
        object.__setattr__(self, "chunks", (step, height, width))

    @property
    def ahead_bytes(self) -> int:
        """As the part that takes most."""
        return max(part.ahead_bytes for part in self.parts)

    def identity(self) -> str:
        """Return a digest of the content."""
        return combine(*(part.identity() for part in self.parts))

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Open for reading."""
        reader = _JoinedReader(self)
        try:
            yield reader
        finally:
            reader.close()


class _JoinedReader:
    """Keeps the part that was read last open: a long file is opened once, and never many at a time."""

    def __init__(self, source: JoinedSource) -> None:
        self.source = source
        self.borders = np.cumsum([0, *(part.shape[0] for part in source.parts)])
        self.number = -1
        self.reader: BlockReader
        self.context: AbstractContextManager[BlockReader] | None = None

    def read(self, time: slice, y: slice, x: slice) -> NDArray[np.generic]:
        first = int(np.searchsorted(self.borders, time.start, side="right")) - 1
        last = int(np.searchsorted(self.borders, time.stop, side="left")) - 1
        if first >= last:
            return self._read_part(min(first, len(self.source.parts) - 1), time, y, x)
        block = np.empty((time.stop - time.start, y.stop - y.start, x.stop - x.start), self.source.dtype)
        for number in range(first, last + 1):
            begin, end = max(time.start, self.borders[number]), min(time.stop, self.borders[number + 1])
            block[begin - time.start : end - time.start] = self._read_part(number, slice(begin, end), y, x)
        return block

    def _read_part(self, number: int, time: slice, y: slice, x: slice) -> NDArray[np.generic]:
        if number != self.number:
            self.close()
            self.context = self.source.parts[number].open()
            self.reader = self.context.__enter__()
            self.number = number
        start = int(self.borders[number])
        return self.reader.read(slice(int(time.start) - start, int(time.stop) - start), y, x)

    def close(self) -> None:
        if self.context is not None:
            self.context.__exit__(None, None, None)
            self.context, self.number = None, -1


def join(sources: Sequence[BlockSource], names: Sequence[str]) -> BlockSource:
    """Join block sources along time; one alone stays as it is.

    Parameters
    ----------
    sources : sequence of BlockSource
        At least one, in order of time.
    names : sequence of str
        What to call each in messages, for example its path.

    Raises
    ------
    FormatError
        If their frames or dtypes differ.
    """
    first = sources[0]
    for source, name in zip(sources, names, strict=True):
        if source.shape[1:] != first.shape[1:] or source.dtype != first.dtype:
            raise FormatError(
                f"{name} has frames of {_frame(source)}, {names[0]} of {_frame(first)}: they are not one recording",
                "leave out the files that do not belong to it",
            )
    return first if len(sources) == 1 else JoinedSource(tuple(sources))


def _frame(source: BlockSource) -> str:
    return f"{source.shape[1]} x {source.shape[2]} {source.dtype}"
