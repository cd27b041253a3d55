"""napari's shapes layer as CSV: rectangles, ellipses and polygons by their vertices.

A vertex (0, 0) is the centre of pixel (0, 0); a pixel belongs to a shape that holds its centre.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.rois.pixel_csv import column_of, read_columns
from roitrace.formats.rois.rasterize import MAX_TOTAL_PIXELS, polygon_pixels
from roitrace.formats.rois.table import RoiTable, whole_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.formats.rois.format import RoiOptions

__all__ = ["read_napari_shapes"]

ELLIPSE_VERTICES = 360
KINDS = ("polygon", "rectangle", "ellipse")


def read_napari_shapes(path: str, options: RoiOptions) -> RoiTable:  # noqa: ARG001
    """Read the shapes that napari saves: columns ``index, shape-type, vertex-index, axis-0, axis-1``.

    Ids are napari's own, from 0 on. Where there are more than two axes, the last two are rows and columns. Pixels may lie off the frame.

    Raises
    ------
    FormatError
        If a column is missing, a value no number, or a shape a line or path, which have no area.
    """
    columns = read_columns(path)
    axes = sorted((name for name in columns if name.startswith("axis-")), key=lambda name: (len(name), name))
    index, kind = column_of(columns, ("index",)), column_of(columns, ("shape_type",))
    if index is None or kind is None or len(axes) < 2:
        raise FormatError(f"{path} has the columns {', '.join(columns)}", "save the shapes again from napari")
    try:
        number = whole_numbers(np.asarray(columns[index], dtype=np.float64), f"{path}: {index}")
        vertices = np.stack([np.asarray(columns[axis], dtype=np.float64) for axis in axes[-2:]], axis=1)
    except ValueError as error:
        raise FormatError(
            f"{path} has a value that is no number: {error}", "save the shapes again"
        ) from error
    ids = list(dict.fromkeys(number.tolist()))
    pixels, total = [], 0
    for one in ids:
        rows = np.flatnonzero(number == one)
        pixels.append(_pixels(columns[kind][rows[0]].strip().lower(), vertices[rows], f"{path}: shape {one}"))
        total += len(pixels[-1])
        if total > MAX_TOTAL_PIXELS:
            raise FormatError(
                f"the shapes in {path} claim more than {MAX_TOTAL_PIXELS:,} pixels", "it may be damaged"
            )
    return RoiTable(tuple(map(str, ids)), tuple(ids), tuple(pixels), settled=True, may_leave_frame=True)


def _pixels(kind: str, vertices: NDArray[np.float64], what: str) -> NDArray[np.int64]:
    if kind not in KINDS:
        raise FormatError(f"{what} is a {kind}, which has no area", "delete it in napari and save the rest")
    corners = (
        vertices[:, ::-1] + 0.5
    )  # centres of pixels lie at whole numbers here, at halves where polygons are filled
    if kind == "ellipse":
        if len(corners) != 4:
            raise FormatError(f"{what} has {len(corners)} vertices, expected the 4 corners around it")
        corners = _ellipse(corners)
    return polygon_pixels([corners])


def _ellipse(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Polygon of the ellipse inside a parallelogram."""
    centre = corners.mean(axis=0)
    across, along = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.arange(ELLIPSE_VERTICES) * (2 * np.pi / ELLIPSE_VERTICES)
    return np.asarray(centre + np.outer(np.cos(angle), across) + np.outer(np.sin(angle), along))
