"""NumPy's `.npy`: one array, memory-mapped; either memory order, any byte order."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy_format

from roitrace.errors import FormatError
from roitrace.formats.damage import understanding
from roitrace.formats.recordings.axes import AxisView, assemble, assumed_axes, assumption_note, checked_axes
from roitrace.formats.recordings.strided import StridedSource
from roitrace.sources import RecordingMetadata, check_sample_dtype

if TYPE_CHECKING:
    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.sources import RecordingFile

__all__ = ["open_npy"]


def open_npy(path: str, options: OpenOptions) -> RecordingFile:
    """Understand a `.npy` file: three axes are time, y, x unless `options.axes` says otherwise.

    Only the header is read. Arrays of Python objects are refused: they would have to be unpickled.

    Raises
    ------
    FormatError
        If the file is cut short, holds objects or unsupported samples, or does not have three axes and no `axes` are given.
    """
    shape, fortran_order, dtype, start = _header(path)
    if dtype.hasobject or dtype.names:
        raise FormatError(
            f"{path} holds {dtype} values, expected numbers", "save the samples alone with numpy.save"
        )
    if min(shape, default=0) < 0:
        raise FormatError(f"{path} declares the shape {shape}", "save it again with numpy.save")
    check_sample_dtype(dtype, path)
    strides = _strides(shape, dtype.itemsize, fortran_order)
    if len(shape) == 2 and options.in_series:
        shape, strides = (1, *shape), (math.prod(shape) * dtype.itemsize, *strides)
    axes = checked_axes(options.axes, len(shape), path) if options.axes else assumed_axes(shape, path)
    notes = () if options.axes or options.in_series else (assumption_note(shape),)
    _check_length(path, shape, axes, start, dtype)

    def source(view: AxisView) -> StridedSource:
        first = start + sum(strides[axis] * index for axis, index in view.fixed)
        return StridedSource(path, dtype.str, first, view.pick(strides), view.pick(shape))

    return assemble("npy", path, shape, axes, make_source=source, metadata=RecordingMetadata(notes=notes))


def _header(path: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    """Shape, memory order, dtype and the byte at which the samples begin."""
    readers = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
    with Path(path).open("rb") as file, understanding(f"{path} has a damaged .npy header"):
        version = npy_format.read_magic(file)
        if version not in readers:
            raise FormatError(
                f"{path} is .npy version {version}, expected 1.0 or 2.0", "save it again with numpy.save"
            )
        shape, fortran_order, dtype = readers[version](file)
        return shape, fortran_order, dtype, file.tell()


def _strides(shape: tuple[int, ...], itemsize: int, fortran_order: bool) -> tuple[int, ...]:
    order = range(len(shape)) if fortran_order else range(len(shape) - 1, -1, -1)
    strides, step = [0] * len(shape), itemsize
    for axis in order:
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


def _check_length(
    path: str, shape: tuple[int, ...], axes: str, start: int, dtype: np.dtype[np.generic]
) -> None:
    expected = int(np.prod(shape, dtype=object)) * dtype.itemsize
    found = Path(path).stat().st_size - start
    if found < expected:
        frames = shape[axes.index("t")]
        raise FormatError(
            f"{path} declares {frames} frames ({expected:,} bytes) and holds {found:,} bytes, about {frames * found // expected} frames: "
            "it is cut short",
            "copy it again, or save the part that is there with numpy.save",
        )
