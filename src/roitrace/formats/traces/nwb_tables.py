"""Tables of an NWB file: numbers per ROI, and what was interpolated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roitrace.formats.traces.table import TraceTable

__all__ = ["filled_table", "roi_columns"]


def roi_columns(table: TraceTable, segmentation: Any) -> None:
    """Add what is one value per ROI to a PlaneSegmentation; a name that is taken gets that of its group before it."""
    for group in dict.fromkeys(one.group for one in table.traces):
        for name, one in table.groups[group].variables.items():
            if one.dims != ("roi",):
                continue
            values = one.values.astype(object) if one.values.dtype.kind in "UO" else one.values
            meanings = one.attrs.get("flag_meanings")
            what = str(one.attrs.get("long_name", name.replace("_", " ")))
            segmentation.add_column(
                name=name if name not in segmentation.colnames else f"{group}_{name}",
                description=f"{what}: flags {meanings}" if meanings else what,
                data=values.tolist(),
            )


def filled_table(table: TraceTable) -> Any:
    """Return which frames hold interpolated values: one row per run."""
    from hdmf.common import DynamicTable, VectorData  # noqa: PLC0415

    columns = [
        ("trace", "name of the RoiResponseSeries", [one.trace for one in table.filled]),
        ("roi_name", "name of the ROI", [one.roi for one in table.filled]),
        ("first_frame", "first frame of the run", [one.first for one in table.filled]),
        ("last_frame", "last frame of the run", [one.last for one in table.filled]),
    ]
    return DynamicTable(
        name="filled_frames",
        description="runs of frames whose values were interpolated, first and last included",
        columns=[VectorData(name=name, description=what, data=data) for name, what, data in columns],
    )
