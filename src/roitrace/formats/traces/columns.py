"""Traces as columns of a tidy table: one row per ROI and frame."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from roitrace.formats.traces.format import TraceOptions
    from roitrace.formats.traces.table import TraceTable

__all__ = ["tidy_blocks"]

# A column of texts takes this much per row while it is written, each other one a little less.
_BYTES_PER_CELL = 64


def tidy_blocks(table: TraceTable, options: TraceOptions) -> Iterator[dict[str, Any]]:
    """Yield blocks of rows as columns, ROI after ROI, frame after frame.

    The columns are ``roi``, ``time`` (s) or ``frame``, every trace by its name and, where anything was interpolated, ``filled``: whether
    a value of the row was.
    """
    step = max(1, table.block_bytes // (_BYTES_PER_CELL * (len(table.traces) + 2)))
    filled = defaultdict(list)
    for one in table.filled:
        filled[one.roi].append(one)
    positions = options.tracked(slice(number, number + 1) for number in range(len(table.names)))
    for roi in positions:
        name = table.names[roi.start]
        for start in range(0, table.time.size, step):
            time = slice(start, min(start + step, table.time.size))
            columns: dict[str, Any] = {
                "roi": [name] * (time.stop - start),
                table.time_name: table.times(time),
            }
            columns |= {trace.name: trace.block(roi, time)[0] for trace in table.traces}
            if table.filled:
                columns["filled"] = marks = np.zeros(time.stop - start, dtype=np.bool_)
                for one in filled[name]:
                    marks[max(0, one.first - start) : max(0, one.last + 1 - start)] = True
            yield columns
