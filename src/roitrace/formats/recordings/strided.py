"""Samples that lie uncompressed in a file at regular distances: read through a memory map."""

from __future__ import annotations

import mmap
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.identity import combine, file_identity
from roitrace.sources import BlockReader, BlockSource, check_sample_dtype
from roitrace.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["StridedSource"]

PAGE_BYTES = 4096
"""What the operating system reads at least around a sample."""


@dataclass(frozen=True)
class StridedSource(BlockSource):
    """A recording ``(time, y, x)`` of samples at fixed distances in one file.

    Contiguous TIFF and HDF5, `.npy` in either order, and raw binary files are of this kind. Blocks are views of a
    memory map: nothing is copied and no anonymous memory is used, unless the byte order is foreign or the samples are
    not aligned.

    Parameters
    ----------
    path : str
        The file.
    stored_dtype : str
        NumPy dtype string with byte order, for example ``">u2"``.
    start : int
        Byte at which frame 0, row 0, column 0 begins.
    strides : tuple of int
        Bytes from one frame, row, column to the next, ``(time, y, x)``.
    shape : tuple of int
        ``(time, y, x)``.

    Attributes
    ----------
    chunks : tuple of int
        One frame; where the frames of a pixel lie side by side, one page of them by one row or column.
    """

    path: str
    stored_dtype: str
    start: int
    strides: tuple[int, int, int]
    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic] = field(init=False)
    chunks: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", check_sample_dtype(np.dtype(self.stored_dtype), self.path))
        object.__setattr__(self, "chunks", _natural_chunks(self.shape, self.strides, self.dtype.itemsize))

    @property
    def stop(self) -> int:
        """The byte after the last sample."""
        reach = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        return self.start + reach + self.dtype.itemsize

    def identity(self) -> str:
        """Return a digest of the content."""
        return combine(file_identity(self.path), self.stored_dtype, self.start, self.strides, self.shape)

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Open for reading."""
        with Path(self.path).open("rb") as file:
            size = file.seek(0, 2)
            if size < self.stop:
                raise FormatError(
                    f"{self.path} has {format_bytes(size)}, its samples need {format_bytes(self.stop)}: it was cut short "
                    "after it had been opened",
                    "restore the file",
                )
            # not closed here: a block that was lent keeps it alive
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        yield _MappedReader(
            np.ndarray(self.shape, self.stored_dtype, mapped, self.start, self.strides), self.dtype
        )


@dataclass(frozen=True, eq=False)
class _MappedReader:
    samples: NDArray[Any]
    dtype: np.dtype[np.generic]

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        block = self.samples[time, y, x]
        return block if block.dtype.isnative and block.flags.aligned else block.astype(self.dtype)


def _natural_chunks(
    shape: tuple[int, int, int], strides: tuple[int, int, int], itemsize: int
) -> tuple[int, int, int]:
    frames, height, width = shape
    if strides[0] >= min(strides[1:]):
        return 1, height, width
    page = max(1, min(frames, PAGE_BYTES // itemsize))
    return (page, height, 1) if strides[1] < strides[2] else (page, 1, width)
