"""NaN for bad frames and bad pixels, while a recording is read."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.formats.identity import combine
from roitrace.sources import BlockReader, BlockSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["Missing", "dtype_with_nan"]


def dtype_with_nan(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the smallest dtype that holds all samples of a dtype exactly, and NaN.

    Examples
    --------
    >>> dtype_with_nan(np.dtype("uint16")), dtype_with_nan(np.dtype("int32"))
    (dtype('float32'), dtype('float64'))
    """
    return np.result_type(dtype, np.float32)


@dataclass(frozen=True, eq=False)
class Missing(BlockSource):
    """A block source whose bad frames and bad pixels are NaN, in a dtype that holds the others exactly.

    Attributes
    ----------
    source : BlockSource
        What is read.
    frames : numpy.ndarray
        Which frames are bad, ``(time,)`` bool.
    pixels : numpy.ndarray
        Which pixels are bad in all frames, ``(y, x)`` bool.
    """

    source: BlockSource
    frames: NDArray[np.bool_]
    pixels: NDArray[np.bool_]
    shape: tuple[int, int, int] = field(init=False)
    dtype: np.dtype[np.generic] = field(init=False)
    chunks: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", self.source.shape)
        object.__setattr__(self, "dtype", dtype_with_nan(self.source.dtype))
        object.__setattr__(self, "chunks", self.source.chunks)

    @property
    def offset(self) -> tuple[int, int, int]:
        """As the source."""
        return self.source.offset

    @property
    def halo(self) -> int:
        """As the source."""
        return self.source.halo

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

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        block = np.array(self.reader.read(time, y, x), dtype=self.source.dtype)
        block[self.source.frames[time]] = np.nan
        block[:, self.source.pixels[y, x]] = np.nan
        return block
