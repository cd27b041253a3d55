"""Parquet: the tables of CSV in typed columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from roitrace.errors import ArgumentError
from roitrace.formats.traces.columns import tidy_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from roitrace.formats.traces.format import TraceOptions
    from roitrace.formats.traces.table import TraceTable

__all__ = ["write_parquet"]

_MOST_COLUMNS = 10_000
# Row groups of a few rows would make the file slow to read.
_ROWS = 65_536


def write_parquet(table: TraceTable, path: str, options: TraceOptions) -> tuple[str, ...]:
    """Write one wide matrix, a column per ROI, or all traces as a tidy table.

    The metadata of the schema hold, under ``roitrace``, JSON of parameters, source, frame rate and filled frames.

    Returns
    -------
    tuple of str
        What the file does not keep.

    Raises
    ------
    ArgumentError
        If a wide table would have more columns than readers take.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    wide = options.layout != "tidy"
    if wide and len(table.names) > _MOST_COLUMNS:
        raise ArgumentError(
            f"{len(table.names):,} ROIs would make as many columns, and Parquet is slow beyond {_MOST_COLUMNS:,}",
            'give layout="tidy"',
        )
    writer: Any = None
    try:
        for columns in _wide_blocks(table, options) if wide else _gathered(tidy_blocks(table, options)):
            batch = pa.table(columns)
            if writer is None:
                batch_schema = batch.schema.with_metadata({"roitrace": json.dumps(_about(table))})
                writer = pq.ParquetWriter(path, batch_schema)
            writer.write_table(batch.cast(batch_schema))
    finally:
        if writer is not None:
            writer.close()
    further = tuple(f"the trace {one.name}" for one in table.traces[1:]) if wide else ()
    return (*further, *(one for one in table.lost() if one != "parameters and source"))


def _wide_blocks(table: TraceTable, options: TraceOptions) -> Iterator[dict[str, Any]]:
    trace = table.traces[0]
    for time in options.tracked(table.spans_of_time()):
        rows = trace.block(slice(None), time)
        yield {table.time_name: table.times(time)} | dict(zip(table.names, rows, strict=True))


def _gathered(blocks: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Put blocks of a few rows together."""
    import numpy as np  # noqa: PLC0415

    waiting: list[dict[str, Any]] = []
    for block in blocks:
        waiting.append(block)
        if sum(len(one["roi"]) for one in waiting) >= _ROWS:
            yield {name: np.concatenate([one[name] for one in waiting]) for name in block}
            waiting = []
    if waiting:
        yield {name: np.concatenate([one[name] for one in waiting]) for name in waiting[0]}


def _about(table: TraceTable) -> dict[str, Any]:
    filled = [[one.trace, one.roi, one.first, one.last] for one in table.filled]
    return {
        "attrs": table.attrs,
        "frame_rate": table.frame_rate,
        "time_units": table.time_units,
        "filled": filled,
    }
