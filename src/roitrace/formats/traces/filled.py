"""The list of what was interpolated, for files that cannot hold it themselves."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from roitrace.formats.traces.table import FilledSpan

__all__ = ["COLUMNS", "write_filled"]

COLUMNS = ("trace", "roi", "first_frame", "last_frame")


def write_filled(spans: Iterable[FilledSpan], path: str) -> None:
    """Write one row per run of filled frames, the first and the last frame included."""
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows((one.trace, one.roi, one.first, one.last) for one in spans)
