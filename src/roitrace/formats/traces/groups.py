"""Matrices of groups in blocks, either axis first: what NetCDF and HDF5 share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from roitrace.formats.traces.table import TraceTable, Variable

__all__ = ["Chunks", "chunks_of", "plain_attributes"]


@dataclass(frozen=True, eq=False)
class Chunks:
    """A matrix that is written block by block.

    Attributes
    ----------
    dims, shape, dtype
        As it is written.
    windows : tuple of slice
        Along its first axis.
    read : callable
        Takes a window and gives its values.
    """

    dims: tuple[str, str]
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    windows: tuple[slice, ...]
    read: Callable[[slice], NDArray[Any]]


def chunks_of(
    table: TraceTable, group: str, name: str, variable: Variable, *, roi_axis: int
) -> Chunks | None:
    """Return how to write a variable of all ROIs and frames; None for one that is written at once."""
    if variable.dims != ("roi", "time"):
        return None
    trace = next((one for one in table.traces if (one.group, one.variable) == (group, name)), None)
    values = variable.values
    dtype = values.dtype if trace is None else trace.dtype
    every = slice(None)

    def block(rois: slice, time: slice) -> NDArray[Any]:
        return np.asarray(values[rois, time]) if trace is None else trace.block(rois, time)

    if roi_axis == 1:
        windows = tuple(table.spans_of_time())
        return Chunks(("time", "roi"), table.shape[::-1], dtype, windows, lambda time: block(every, time).T)
    windows = tuple(table.spans_of_rois())
    return Chunks(("roi", "time"), table.shape, dtype, windows, lambda rois: block(rois, every))


def plain_attributes(attrs: dict[str, Any]) -> dict[str, Any]:
    """Return attributes that HDF5 can hold: numbers, texts and lists of them; other values as text.

    Examples
    --------
    >>> plain_attributes({"units": "s", "on": True, "none": None})
    {'units': 's', 'on': np.int8(1)}
    """
    plain: dict[str, Any] = {}
    for name, value in attrs.items():
        if value is None:
            continue
        if isinstance(value, bool | np.bool_):
            plain[name] = np.int8(value)
        elif isinstance(value, str | int | float | np.generic | np.ndarray):
            plain[name] = value
        elif isinstance(value, list | tuple) and value and all(isinstance(one, int | float) for one in value):
            plain[name] = np.asarray(value)
        else:
            plain[name] = str(value)
    return plain
