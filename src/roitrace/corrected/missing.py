"""NaN for bad frames and bad pixels, while a recording is read."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.corrected.changed import Changed
from roitrace.formats.identity import combine
from roitrace.sources import expect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from roitrace.sources import BlockReader

__all__ = ["Missing"]


@dataclass(frozen=True, eq=False)
class Missing(Changed):
    """A block source whose bad frames and bad pixels are NaN, in a dtype that holds the others exactly.

    Attributes
    ----------
    frames : numpy.ndarray
        Which frames are bad, ``(time,)`` bool.
    pixels : numpy.ndarray
        Which pixels are bad in all frames, ``(y, x)`` bool.
    """

    frames: NDArray[np.bool_]
    pixels: NDArray[np.bool_]

    def identity(self) -> str:
        """Return the source's digest and one of what is missing."""
        return combine(self.source.identity(), "missing", self.frames.tobytes(), self.pixels.tobytes())

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Open the source."""
        with self.source.open() as reader:
            yield _BlankingReader(reader, self)


@dataclass(frozen=True)
class _BlankingReader:
    reader: BlockReader
    source: Missing

    def expect(self, blocks: Iterable[tuple[slice, slice, slice]]) -> None:
        expect(self.reader, blocks)

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        block = np.array(self.reader.read(time, y, x), dtype=self.source.dtype)
        block[self.source.frames[time]] = np.nan
        block[:, self.source.pixels[y, x]] = np.nan
        return block
