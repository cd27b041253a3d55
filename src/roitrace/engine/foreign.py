"""Any dask array as a block source: its blocks are computed inside the task that reads them, one after the other."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.sources import BlockReader, BlockSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dask.array as da
    from numpy.typing import NDArray

__all__ = ["DaskSource"]


@dataclass(frozen=True, eq=False)
class DaskSource(BlockSource):
    """A dask array ``(time, y, x)``, for reductions that read it several times or across the borders of its blocks.

    No block outlives the read that it was computed for, so that passes over the array do not keep one another's blocks.
    """

    array: da.Array

    @property
    def shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """Shape of the array."""
        time, y, x = self.array.shape
        return time, y, x

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """Of the samples, native byte order."""
        native: np.dtype[Any] = np.dtype(self.array.dtype).newbyteorder("=")
        return native

    @property
    def chunks(self) -> tuple[int, int, int]:  # type: ignore[override]
        """The largest block."""
        time, y, x = self.array.chunksize
        return time, y, x

    @property
    def offset(self) -> tuple[int, int, int]:
        """How much the first block along each axis is shorter than the others."""
        time, y, x = (
            sizes[1] - sizes[0] if len(sizes) > 1 and sizes[1] == max(sizes) else 0
            for sizes in self.array.chunks
        )
        return time, y, x

    def identity(self) -> str:
        """Return the name of the array."""
        return str(self.array.name)

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Open nothing: the array computes itself."""
        yield _DaskReader(self.array, self.dtype)


@dataclass(frozen=True)
class _DaskReader:
    array: da.Array
    dtype: np.dtype[Any]

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        """Compute a block ``(time, y, x)``."""
        return np.asarray(self.array[time, y, x].compute(scheduler="sync"), dtype=self.dtype)
