"""ImageJ's `.roi` and `RoiSet.zip`: area selections in, sets of pixels out.

The file layout is roifile's business; which pixels a selection holds is that of ImageJ's own masks.
"""

from __future__ import annotations

import math
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import roifile

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.damage import understanding
from roitrace.formats.rois.outline import pixel_outlines
from roitrace.formats.rois.rasterize import (
    MAX_TOTAL_PIXELS,
    oval_pixels,
    polygon_pixels,
    rectangle_pixels,
    rounded_rectangle_pixels,
)
from roitrace.formats.rois.table import RoiTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from roitrace.formats.rois.format import RoiOptions

__all__ = ["read_imagej", "write_imagej"]

MAX_ENTRIES = 200_000
MAX_ENTRY_BYTES = 2**20
MAX_TOTAL_BYTES = 128 * 2**20
MAX_DIRECTORY_BYTES = 16 * 2**20
END_OF_ZIP = struct.Struct("<4s4H2LH")
CURVE_STEPS = 32
ELLIPSE_VERTICES = 72  # as many as ImageJ draws
SHAPE_PARAMETER = struct.Struct(">f")  # at byte 52: an ellipse's aspect ratio, a rotated rectangle's width
EARLIEST_DATE = (1980, 1, 1, 0, 0, 0)
OUTLINES = (roifile.ROI_TYPE.POLYGON, roifile.ROI_TYPE.FREEHAND, roifile.ROI_TYPE.TRACED)


@dataclass(frozen=True)
class _Entry:
    name: str
    content: bytes


def read_imagej(path: str, options: RoiOptions) -> RoiTable:  # noqa: ARG001
    """Read one `.roi` file or a zip of them: rectangles, ovals, polygons, freehand and traced outlines, ellipses, composites.

    Pixels off the frame are listed too. Names are those inside the ROIs, or of the files; ids count from 1.

    Raises
    ------
    FormatError
        If an entry is damaged, unreasonably large, or is no area: a line, a point, a text.
    """
    names, pixels, budget = [], [], MAX_TOTAL_PIXELS
    for entry in _zip_entries(path) if zipfile.is_zipfile(path) else _single_entry(path):
        what = f"{entry.name} in {path}"
        roi = _decode(entry.content, what)
        yx = _pixels(roi, entry.content, what)
        budget -= len(yx)
        if budget < 0:
            raise FormatError(
                f"the ROIs in {path} claim more than {MAX_TOTAL_PIXELS:,} pixels", "the file may be damaged"
            )
        names.append(roi.name or entry.name)
        pixels.append(yx)
    return RoiTable(
        tuple(names),
        tuple(range(1, len(names) + 1)),
        tuple(pixels),
        axis_order="xy",
        settled=True,
        may_leave_frame=True,
    )


def write_imagej(table: RoiTable, path: str) -> tuple[str, ...]:
    """Write ROIs that ImageJ opens at the same pixels: rectangles, traced outlines, composites for holes and parts.

    A `.roi` file holds one ROI, a `.zip` any number. The same ROIs give the same bytes.

    Returns
    -------
    tuple of str
        What the file does not keep.

    Raises
    ------
    ArgumentError
        If no ROI has pixels, or a `.roi` file is to hold several.
    """
    table, gone = table.with_pixels()
    if not len(table):
        raise ArgumentError(
            "there are no ROIs with pixels to write, ImageJ knows no empty selection", "write another format"
        )
    rois = [_encode(name, yx) for name, yx in zip(table.names, table.pixels, strict=True)]
    if Path(path).suffix.lower() == ".roi":
        if len(rois) != 1:
            raise ArgumentError(f"{path} would hold {len(rois)} ROIs, a .roi file holds one", "write a .zip")
        Path(path).write_bytes(rois[0])
        return (*table.lost({"names"}), *gone)
    width = len(str(len(rois)))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, content) in enumerate(zip(table.names, rois, strict=True), start=1):
            safe = "".join(letter if letter.isalnum() or letter in "-_. " else "_" for letter in name).strip(
                ". "
            )
            unique = f"{number:0{width}}_{safe}" if safe != name else name
            archive.writestr(zipfile.ZipInfo(f"{unique}.roi", EARLIEST_DATE), content, zipfile.ZIP_DEFLATED)
    return (*table.lost({"names"}), *gone)


def _single_entry(path: str) -> Iterator[_Entry]:
    file = Path(path)
    if file.stat().st_size > MAX_ENTRY_BYTES:
        raise FormatError(f"{path} has {file.stat().st_size:,} bytes, a ROI has at most {MAX_ENTRY_BYTES:,}")
    yield _Entry(file.stem, file.read_bytes())


def _zip_entries(path: str) -> Iterator[_Entry]:
    """Entries of a zip, in its order; nothing is unpacked to disk."""
    _check_directory(path)
    trouble = understanding(f"{path} cannot be read as zip", "save the ROIs again, without a password")
    total = 0
    with trouble, zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if _is_roi_name(info.filename)]
        if not 0 < len(infos) <= MAX_ENTRIES:
            raise FormatError(
                f"{path} holds {len(infos):,} .roi files, expected 1 to {MAX_ENTRIES:,}",
                "save the ROIs from ImageJ's ROI Manager",
            )
        for info in infos:
            with archive.open(info) as entry:
                content = entry.read(MAX_ENTRY_BYTES + 1)
            total += len(content)
            if len(content) > MAX_ENTRY_BYTES or total > MAX_TOTAL_BYTES:
                what, most = (
                    (f"{info.filename!r} in {path}", MAX_ENTRY_BYTES)
                    if total <= MAX_TOTAL_BYTES
                    else (path, MAX_TOTAL_BYTES)
                )
                raise FormatError(
                    f"{what} unpacks to more than {most:,} bytes: it holds something else than ROIs",
                    "save the ROIs from ImageJ's ROI Manager",
                )
            yield _Entry(info.filename.removesuffix(".roi"), content)


def _check_directory(path: str) -> None:
    """Refuse an archive with millions of entries before a table of them is made (the end of a zip states the table's size)."""
    with Path(path).open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - END_OF_ZIP.size - 2**16))
        tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or len(tail) - place < END_OF_ZIP.size:
        return
    table = END_OF_ZIP.unpack_from(tail, place)[5]
    if table > MAX_DIRECTORY_BYTES:
        raise FormatError(
            f"{path} lists its entries in {table:,} bytes, at most {MAX_DIRECTORY_BYTES:,} are read",
            "save the ROIs from ImageJ's ROI Manager",
        )


def _is_roi_name(name: str) -> bool:
    return name.lower().endswith(".roi") and not Path(name).name.startswith(".")


def _decode(content: bytes, what: str) -> roifile.ImagejRoi:
    with understanding(f"{what} is no ImageJ ROI, or damaged", "save it again from ImageJ"):
        return roifile.ImagejRoi.frombytes(content)


def _pixels(roi: roifile.ImagejRoi, content: bytes, what: str) -> NDArray[np.int64]:
    kind, subtype = roi.roitype, roi.subtype
    if roi.composite:
        path = (
            np.zeros(0)
            if roi.multi_coordinates is None
            else np.asarray(roi.multi_coordinates, dtype=np.float64)
        )
        return polygon_pixels(_composite_loops(path, what))
    if subtype in {roifile.ROI_SUBTYPE.TEXT, roifile.ROI_SUBTYPE.IMAGE, roifile.ROI_SUBTYPE.ARROW}:
        raise _no_area(what, subtype.name.lower())
    if kind in {roifile.ROI_TYPE.RECT, roifile.ROI_TYPE.OVAL}:
        box = _box(roi)
        if kind == roifile.ROI_TYPE.OVAL:
            return oval_pixels(*box)
        diameter = roi.rounded_rect_arc_size
        return rounded_rectangle_pixels(*box, diameter) if diameter > 0 else rectangle_pixels(*box)
    if kind not in OUTLINES:
        raise _no_area(what, kind.name.lower())
    if roi.options & roifile.ROI_OPTIONS.SPLINE_FIT:
        raise FormatError(
            f"{what} is a spline through its points, whose pixels only ImageJ knows",
            "in ImageJ: Edit > Selection > Create Mask, then Create Selection, and save that",
        )
    return polygon_pixels([_outline(roi, content)])


def _no_area(what: str, kind: str) -> FormatError:
    return FormatError(
        f"{what} is a {kind} selection, which has no area",
        "delete it in ImageJ's ROI Manager and save the rest",
    )


def _box(roi: roifile.ImagejRoi) -> tuple[int, int, int, int]:
    """Left, top, width and height, in whole pixels as ImageJ makes them of sub-pixel boxes."""
    if roi.subpixelrect:
        return int(roi.xd), int(roi.yd), math.ceil(roi.widthd), math.ceil(roi.heightd)
    return roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top


def _outline(roi: roifile.ImagejRoi, content: bytes) -> NDArray[np.float64]:
    ends = np.array([[roi.x1, roi.y1], [roi.x2, roi.y2]], dtype=np.float64)
    if roi.subtype == roifile.ROI_SUBTYPE.ELLIPSE:
        return _ellipse(ends, SHAPE_PARAMETER.unpack_from(content, 52)[0])
    if roi.subtype == roifile.ROI_SUBTYPE.ROTATED_RECT:
        return _rotated_rectangle(ends, SHAPE_PARAMETER.unpack_from(content, 52)[0])
    if roi.subpixel_coordinates is not None:
        return np.asarray(roi.subpixel_coordinates, dtype=np.float64)
    vertices = np.array(roi.integer_coordinates, dtype=np.float64)
    vertices += (roi.left, roi.top)
    return vertices


def _ellipse(ends: NDArray[np.float64], aspect: float) -> NDArray[np.float64]:
    """Polygon of an ellipse from the ends of its major axis and the ratio of its axes."""
    centre, half_axis = ends.mean(axis=0), (ends[1] - ends[0]) / 2
    angle = np.arange(ELLIPSE_VERTICES) * (2 * np.pi / ELLIPSE_VERTICES)
    across = np.array([-half_axis[1], half_axis[0]]) * min(max(aspect, 0.0), 1.0)
    return _single_precision(centre + np.outer(np.cos(angle), half_axis) + np.outer(np.sin(angle), across))


def _rotated_rectangle(ends: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Polygon of a rectangle from the middles of two opposite sides and their length."""
    along = ends[1] - ends[0]
    length = float(np.hypot(*along)) or 1.0
    across = np.array([along[1], -along[0]]) * (width / 2 / length)
    return _single_precision(
        np.array([ends[0] + across, ends[1] + across, ends[1] - across, ends[0] - across])
    )


def _single_precision(vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round as ImageJ does, which keeps vertices as float32."""
    rounded: NDArray[np.float64] = vertices.astype(np.float32).astype(np.float64)
    return rounded


def _composite_loops(path: NDArray[np.float64], what: str) -> list[NDArray[np.float64]]:
    """Outlines of a path of moves (0), lines (1), quadratic (2) and cubic (3) curves and closings (4)."""
    lengths = {0: 2, 1: 2, 2: 4, 3: 6, 4: 0}
    loops: list[list[NDArray[np.float64]]] = []
    place = 0
    while place < path.size or not loops:
        operation = int(path[place]) if path.size and np.isfinite(path[place]) else -1
        count = lengths.get(operation, -1)
        points = path[place + 1 : place + 1 + max(count, 0)]
        if points.size != count or not np.isfinite(points).all() or (not loops and operation != 0):
            raise FormatError(f"{what} has a damaged outline", "save it again from ImageJ")
        points = points.reshape(-1, 2)
        if operation == 0:
            loops.append([points])
        elif operation == 1:
            loops[-1].append(points)
        elif count:
            loops[-1].append(_curve(np.concatenate([loops[-1][-1][-1:], points])))
        place += 1 + count
    return [np.concatenate(loop) for loop in loops]


def _curve(control: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of a Bezier curve behind its start."""
    degree = len(control) - 1
    t = np.arange(1, CURVE_STEPS + 1)[:, np.newaxis] / CURVE_STEPS
    power = np.arange(degree + 1)
    weights = np.array([math.comb(degree, one) for one in power]) * t**power * (1 - t) ** (degree - power)
    return np.asarray(weights @ control, dtype=np.float64)


def _encode(name: str, yx: NDArray[np.int64]) -> bytes:
    loops = pixel_outlines(yx)
    corners = np.concatenate(loops)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    roi = roifile.ImagejRoi()
    roi.name, roi.left, roi.top, roi.right, roi.bottom = name, left, top, right, bottom
    if len(loops) > 1:
        roi.roitype = roifile.ROI_TYPE.RECT
        roi.multi_coordinates = np.concatenate([_path(loop) for loop in loops]).astype(np.float32)
        roi.shape_roi_size = roi.multi_coordinates.size
    elif len(corners) == 4:
        roi.roitype = roifile.ROI_TYPE.RECT
    else:
        roi.roitype = roifile.ROI_TYPE.TRACED
        roi.integer_coordinates = (corners - [left, top]).astype(np.int32)
        roi.n_coordinates = len(corners)
    return bytes(roi.tobytes())


def _path(loop: NDArray[np.int64]) -> NDArray[np.float64]:
    operations = np.concatenate([[0], np.ones(len(loop) - 1)])
    return np.concatenate([np.column_stack([operations, loop]).ravel(), [4]])
