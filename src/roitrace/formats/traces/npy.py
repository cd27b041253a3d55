"""A plain `.npy` matrix of one trace per ROI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from roitrace.formats.traces.format import TraceOptions
    from roitrace.formats.traces.table import Trace, TraceTable

__all__ = ["save_matrix", "write_npy"]


def write_npy(table: TraceTable, path: str, options: TraceOptions) -> tuple[str, ...]:
    """Write the first trace ``(roi, time)``, or ``(time, roi)`` with ``roi_axis=1``.

    Returns
    -------
    tuple of str
        What the file does not keep.
    """
    save_matrix(table, table.traces[0], path, options, roi_axis=options.roi_axis or 0)
    further = tuple(f"the trace {one.name}" for one in table.traces[1:])
    return (*further, "names and times", *table.lost())


def save_matrix(
    table: TraceTable, trace: Trace, path: str, options: TraceOptions, *, roi_axis: int = 0
) -> None:
    """Write one trace as a matrix, block by block."""
    shape = table.shape if roi_axis == 0 else table.shape[::-1]
    matrix = np.lib.format.open_memmap(path, mode="w+", dtype=trace.dtype, shape=shape)
    every = slice(None)
    if roi_axis == 0:
        for rois in options.tracked(table.spans_of_rois()):
            matrix[rois] = trace.block(rois, every)
    else:
        for time in options.tracked(table.spans_of_time()):
            matrix[time] = trace.block(every, time).T
    matrix.flush()
