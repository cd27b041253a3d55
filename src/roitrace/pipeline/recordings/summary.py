"""One row for each recording: how it went, how many cells, how good they are; written as CSV and Parquet."""

from __future__ import annotations

import csv
import io
import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.pipeline.job import run_folder
from roitrace.results import load
from roitrace.store.files import make_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from roitrace.pipeline.recordings.outputs import OneRecording
    from roitrace.store.places import Location

__all__ = ["row_of", "write_summary"]

Row = dict[str, Any]


def row_of(one: OneRecording, status: str, *, error: str = "", seconds: float | None = None) -> Row:
    """Return the row of a recording.

    Parameters
    ----------
    one : OneRecording
        Which.
    status : str
        ``done``, ``unchanged``, ``failed`` or ``not run``; what is read from the results is left out for the latter two.
    error : str
        Why it failed.
    seconds : float, optional
        How long it took until it failed.
    """
    row: Row = {
        "recording": one.listed.name,
        "status": status,
        **{name if name not in _OWN else f"label_{name}": text for name, text in one.listed.labels.items()},
        "cells": None,
        "accepted": None,
        "frames": None,
        "seconds": None if seconds is None else round(seconds, 3),
    }
    if status in {"done", "unchanged"}:
        row |= _results(one)
    return row | {"error": error, "output": one.config.output.path, "path": one.listed.path}


_OWN = {"recording", "status", "cells", "accepted", "frames", "seconds", "error", "output", "path"}


def _results(one: OneRecording) -> Row:
    """Read the numbers off the results: medians over accepted cells of every measure of quality."""
    tree = load(one.config.output.path)
    accepted = tree["rois"].to_dataset()["accepted"].values.astype(bool)
    row: Row = {"cells": int(accepted.size), "accepted": int(accepted.sum())}
    if "traces" in tree.children:
        row["frames"] = int(tree["traces"].sizes["time"])
    record = run_folder(one.config.output.path) / "run.json"
    if record.exists():
        row["seconds"] = json.loads(record.read_text(encoding="utf-8")).get("seconds")
    if "quality" in tree.children:
        table = tree["quality"].to_dataset()
        for name, column in table.data_vars.items():
            if column.dims == ("roi",) and column.dtype.kind in "iuf":
                values = column.values[accepted].astype(float)
                values = values[np.isfinite(values)]
                row[f"median_{name}"] = float(np.median(values)) if values.size else None
    return row


def write_summary(rows: Sequence[Row], path: Location) -> list[Location]:
    """Write the table as ``<path>.csv``, and as ``<path>.parquet`` where pyarrow is installed; columns of all rows, in order.

    Returns
    -------
    list of path
        What was written.
    """
    # what ends a row stays at its end, though another row has more measures
    last = ("error", "output", "path")
    columns = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in last]
    columns += last
    make_folder(path.parent)
    text = io.StringIO()
    lines = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    lines.writeheader()
    lines.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
    written = [path.with_name(f"{path.name}.csv")]
    write_file(written[0], text.getvalue().encode())
    if find_spec("pyarrow") is not None:
        written.append(path.with_name(f"{path.name}.parquet"))
        write_file(written[1], _parquet(rows, columns))
    return written


def _parquet(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    import pyarrow as pa  # noqa: PLC0415 (an extra)
    from pyarrow import parquet  # noqa: PLC0415

    table = pa.table({name: [row.get(name) for row in rows] for name in columns})
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    return bytes(sink.getvalue())
