"""CSV: wide (a column per ROI) or tidy (a row per ROI and frame), numbers in as many digits as they need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.formats.traces.columns import tidy_blocks

if TYPE_CHECKING:
    from io import TextIOBase

    import pandas as pd
    from numpy.typing import NDArray

    from roitrace.formats.traces.format import TraceOptions
    from roitrace.formats.traces.table import TraceTable

__all__ = ["write_csv"]


def write_csv(table: TraceTable, path: str, options: TraceOptions) -> tuple[str, ...]:
    """Write one wide matrix, or all traces as a tidy table; missing samples are empty.

    Returns
    -------
    tuple of str
        What the file does not keep.
    """
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        if options.layout == "tidy":
            _write_tidy(table, file, options)
            return table.lost()
        if options.roi_axis == 0:
            _write_rows(table, file, options)
        else:
            _write_columns(table, file, options)
    return (*(f"the trace {one.name}" for one in table.traces[1:]), *table.lost())


def _write_columns(table: TraceTable, file: TextIOBase, options: TraceOptions) -> None:
    """One row per frame: its time, then a column per ROI."""
    import pandas as pd  # noqa: PLC0415

    trace = table.traces[0]
    for time in options.tracked(table.spans_of_time()):
        index = pd.Index(_texts(table.times(time)), name=table.time_name)
        block = pd.DataFrame(trace.block(slice(None), time).T, index=index, columns=list(table.names))
        _append(block, file, trace.dtype, first=time.start == 0)


def _write_rows(table: TraceTable, file: TextIOBase, options: TraceOptions) -> None:
    """One row per ROI: its name, then a column per frame, headed by its time."""
    import pandas as pd  # noqa: PLC0415

    trace = table.traces[0]
    times = _texts(table.times(slice(None)))
    for rois in options.tracked(table.spans_of_rois()):
        index = pd.Index(table.names[rois], name="roi")
        block = pd.DataFrame(trace.block(rois, slice(None)), index=index, columns=times)
        _append(block, file, trace.dtype, first=rois.start == 0)


def _write_tidy(table: TraceTable, file: TextIOBase, options: TraceOptions) -> None:
    """One row per ROI and frame."""
    import pandas as pd  # noqa: PLC0415

    for number, columns in enumerate(tidy_blocks(table, options)):
        columns[table.time_name] = _texts(columns[table.time_name])
        block = pd.DataFrame(columns).set_index("roi")
        _append(block, file, table.traces[0].dtype, first=number == 0)


def _texts(values: NDArray[Any]) -> list[str]:
    """Write numbers in as many digits as tell them apart, whatever the traces have."""
    return list(map(repr, values.tolist()))


def _append(block: pd.DataFrame, file: TextIOBase, dtype: np.dtype[Any], *, first: bool) -> None:
    # 9 digits tell all float32 apart; of a float64 pandas writes as many as it needs
    digits = "%.9g" if dtype == np.float32 else None
    block.to_csv(file, header=first, lineterminator="\n", float_format=digits)
