"""Tables of an NWB file: the ROIs, and what was interpolated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.formats.traces.table import TraceTable

__all__ = ["filled_table", "plane_segmentation"]

SEGMENTATION = "roitrace"
PIXEL = np.dtype([("x", "<u4"), ("y", "<u4"), ("weight", "<f4")])


def plane_segmentation(table: TraceTable, plane: Any) -> Any:
    """Return the ROIs as a PlaneSegmentation: pixels with weights; names, flags and numbers per ROI as columns."""
    from hdmf.common import VectorData, VectorIndex  # noqa: PLC0415
    from pynwb.ophys import PlaneSegmentation  # noqa: PLC0415

    pixels, ends = _pixels(table)
    mask = VectorData(name="pixel_mask", description="pixels (x, y) and their weights", data=pixels)
    columns: list[Any] = [mask, VectorIndex(name="pixel_mask_index", data=ends, target=mask)]
    for name, (description, values) in _per_roi(table).items():
        columns.append(VectorData(name=name, description=description, data=values))
    return PlaneSegmentation(
        name=SEGMENTATION,
        description="regions of interest; x and y count pixels from 0 at the top left",
        imaging_plane=plane,
        id=table.ids.tolist(),
        columns=columns,
        colnames=[one.name for one in columns if not one.name.endswith("_index")],
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


def _pixels(table: TraceTable) -> tuple[NDArray[np.void], NDArray[np.uint32]]:
    """Return all pixels, ROI after ROI, and where each ROI ends."""
    assert table.rois is not None
    rows = table.rois.pixels
    pixels = np.empty(sum(map(len, rows)), dtype=PIXEL)
    pixels["y"], pixels["x"] = np.concatenate(rows).T if rows else ((), ())
    pixels["weight"] = 1 if table.rois.weights is None else np.concatenate(table.rois.weights)
    return pixels, np.cumsum([len(row) for row in rows]).astype(np.uint32)


def _per_roi(table: TraceTable) -> dict[str, tuple[str, NDArray[Any]]]:
    """Return description and values of everything that is one value per ROI; a name that is taken gets that of its group."""
    columns: dict[str, tuple[str, NDArray[Any]]] = {
        "roi_name": ("name of the ROI", np.asarray(table.names, dtype=object)),
        "accepted": ("whether the ROI counts as a cell", table.accepted),
    }
    for group in dict.fromkeys(["rois", *(one.group for one in table.traces)]):
        for name, one in table.groups[group].variables.items() if group in table.groups else ():
            if one.dims != ("roi",):
                continue
            values = one.values.astype(object) if one.values.dtype.kind in "UO" else one.values
            called = name if name not in columns else f"{group}_{name}"
            meanings = one.attrs.get("flag_meanings")
            what = str(one.attrs.get("long_name", name.replace("_", " ")))
            columns[called] = (f"{what}: flags {meanings}" if meanings else what, values)
    return columns
