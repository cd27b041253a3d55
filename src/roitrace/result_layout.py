"""How the variables of a results store are cut into files, from shape and dtype alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.engine.spool import lazy_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["WriteGrid", "blocks_of_traces", "grid_of", "lies_across", "of_file", "write_grid"]

_CODECS = [{"name": "zstd", "configuration": {"level": 1, "checksum": False}}, {"name": "crc32c"}]
# A file of whole traces may be small, since traces are read and normalised few at a time; one of spans of time holds all ROIs.
_ROWS_BYTES = 2 * 2**20
_UNIT_BYTES = 8 * 2**20
# Slabs wait, decoded, until a file of spans of time has all its frames: the file is small, so that few wait.
_SPANS_BYTES = 4 * 2**20
_MAX_ROWS, _ROW_FRAMES = 64, 8192
# What is read together is small, because zarr reads ten chunks at once, and few ROIs high, since whole traces are read a few at a time.
_CHUNK_ROIS, _CHUNK_FRAMES = 8, 1024
_MIN_FRAMES, _MAX_FRAMES = 256, 2048


@dataclass(frozen=True)
class WriteGrid:
    """Chunk grid of one variable.

    Attributes
    ----------
    chunks : tuple of int
        What is read together.
    unit : tuple of int
        What one file holds, and one task writes: whole chunks.
    """

    chunks: tuple[int, ...]
    unit: tuple[int, ...]

    def encoding(self) -> dict[str, Any]:
        """Return the xarray encoding that writes this grid."""
        shards = self.unit if self.unit != self.chunks else None
        return {"chunks": self.chunks, "shards": shards, "compressors": _CODECS}


def write_grid(
    dims: Sequence[str], shape: Sequence[int], dtype: np.dtype[Any], *, rows: bool = False
) -> WriteGrid:
    """Lay out a variable, from shape and dtype alone.

    Parameters
    ----------
    dims, shape, dtype
        Of the variable.
    rows : bool
        For variables ``(..., roi, time)``: whether whole traces are computed one after the other (normalised traces);
        otherwise all traces are, span after span of time.

    Examples
    --------
    >>> write_grid(("roi", "time"), (500, 100_000), np.dtype("float64"))
    WriteGrid(chunks=(8, 1024), unit=(504, 1024))
    >>> write_grid(("roi", "time"), (500, 100_000), np.dtype("float64"), rows=True)
    WriteGrid(chunks=(2, 8192), unit=(2, 106496))
    """
    sizes = tuple(max(1, size) for size in shape)
    if len(dims) > 2 and tuple(dims[-2:]) == ("roi", "time"):
        inner, leading = write_grid(dims[-2:], shape[-2:], dtype, rows=rows), (1,) * (len(dims) - 2)
        return WriteGrid((*leading, *inner.chunks), (*leading, *inner.unit))
    if tuple(dims) != ("roi", "time"):
        chunks = list(sizes)
        while np.prod(chunks, dtype=np.int64) * dtype.itemsize > _UNIT_BYTES:
            largest = chunks.index(max(chunks))
            chunks[largest] = -(-chunks[largest] // 2)
        return WriteGrid(tuple(chunks), tuple(chunks))
    n_rois, n_frames = sizes
    if rows:
        frames = min(n_frames, _ROW_FRAMES)
        chunk = (min(n_rois, _power_of_two(_ROWS_BYTES // (8 * n_frames), 1, _MAX_ROWS)), frames)
        return WriteGrid(chunk, (chunk[0], _ceil_to(n_frames, frames)))
    frames = min(n_frames, _power_of_two(_SPANS_BYTES // (8 * n_rois), _MIN_FRAMES, _MAX_FRAMES))
    chunk = (min(n_rois, _CHUNK_ROIS), min(frames, _CHUNK_FRAMES))
    return WriteGrid(chunk, (_ceil_to(n_rois, chunk[0]), _ceil_to(frames, chunk[1])))


def grid_of(variable: xr.Variable, *, rows: bool) -> WriteGrid:
    """Lay out a variable, as `write_grid`."""
    return write_grid([str(dim) for dim in variable.dims], variable.shape, variable.dtype, rows=rows)


def blocks_of_traces(variable: xr.Variable) -> dict[str, int]:
    """Return the size of the blocks in which a variable of a store is read: whole traces, as many as are decoded together where that is not much.

    Examples
    --------
    >>> blocks_of_traces(xr.Variable(("roi", "time"), np.zeros((20, 100_000))))
    {'roi': 8, 'time': 106496}
    """
    unit = dict(zip(map(str, variable.dims), grid_of(variable, rows=True).unit, strict=True))
    if tuple(variable.dims[-2:]) == ("roi", "time"):
        together = grid_of(variable, rows=False).chunks[-2]
        if together * unit["time"] * variable.dtype.itemsize <= _UNIT_BYTES:
            unit["roi"] = max(unit["roi"], together)
    return unit


def lies_across(variable: xr.Variable, *, rows: bool) -> bool:
    """Whether lazy traces come in blocks along the other axis than their files, so that a file needs a part of every block."""
    if variable.chunks is None or tuple(variable.dims[-2:]) != ("roi", "time"):
        return False
    roi_unit, time_unit = grid_of(variable, rows=rows).unit[-2:]
    rois, times = variable.chunks[-2:]
    return (len(rois) > 1 and max(times) > time_unit) or (len(times) > 1 and max(rois) > roi_unit)


def of_file(file: Path, variable: xr.Variable, *, rows: bool) -> xr.Variable:
    """Return a variable whose values were put into a `.npy` file, lazy, each block what one file of the store holds."""
    unit = grid_of(variable, rows=rows).unit
    values = lazy_file(np.load(file, mmap_mode="r"), unit, variable.dtype, file.stem)
    return xr.Variable(variable.dims, values, variable.attrs)


def _power_of_two(most: int, low: int, high: int) -> int:
    return min(high, max(low, 1 << max(0, most.bit_length() - 1)))


def _ceil_to(size: int, step: int) -> int:
    return -(-size // step) * step
