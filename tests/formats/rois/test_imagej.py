from __future__ import annotations

import struct
import zipfile

import numpy as np
import pytest
import roifile
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.registry import open_recording_file, read_roi_table, write_roi_table
from roitrace.formats.rois import imagej
from roitrace.formats.rois.rasterize import (
    oval_pixels,
    polygon_pixels,
    rectangle_pixels,
    rounded_rectangle_pixels,
)
from roitrace.formats.rois.table import RoiTable
from tests.shared_data import DATA, needs_data

TYPE, SUBTYPE, OPTIONS = roifile.ROI_TYPE, roifile.ROI_SUBTYPE, roifile.ROI_OPTIONS


def box(kind, left=2, top=3, width=7, height=5, **fields):
    roi = roifile.ImagejRoi()
    roi.roitype, roi.left, roi.top, roi.right, roi.bottom = kind, left, top, left + width, top + height
    for name, value in fields.items():
        setattr(roi, name, value)
    return roi


def read_one(tmp_path, roi, *, parameter=None):
    content = bytearray(roi.tobytes())
    if parameter is not None:
        struct.pack_into(">f", content, 52, parameter)
    path = tmp_path / "one.roi"
    path.write_bytes(content)
    return read_roi_table(path)


def table_of(*pixel_lists, names=None):
    pixels = tuple(np.array(one, dtype=np.int64).reshape(-1, 2) for one in pixel_lists)
    numbers = tuple(range(1, len(pixels) + 1))
    return RoiTable(names or tuple(map(str, numbers)), numbers, pixels)


# -- every kind of area --------------------------------------------------------------------------------------


def test_boxes(tmp_path):
    assert (
        read_one(tmp_path, box(TYPE.RECT, left=-3)).pixels[0].tolist()
        == rectangle_pixels(-3, 3, 7, 5).tolist()
    )
    assert read_one(tmp_path, box(TYPE.OVAL)).pixels[0].tolist() == oval_pixels(2, 3, 7, 5).tolist()
    rounded = read_one(tmp_path, box(TYPE.RECT, rounded_rect_arc_size=4))
    assert rounded.pixels[0].tolist() == rounded_rectangle_pixels(2, 3, 7, 5, 4).tolist()


def test_sub_pixel_boxes_are_whole_pixels(tmp_path):
    fields = {"options": OPTIONS.SUB_PIXEL_RESOLUTION, "xd": 2.7, "yd": 3.2, "widthd": 6.1, "heightd": 5.0}
    assert (
        read_one(tmp_path, box(TYPE.RECT, **fields)).pixels[0].tolist()
        == rectangle_pixels(2, 3, 7, 5).tolist()
    )
    assert read_one(tmp_path, box(TYPE.OVAL, **fields)).pixels[0].tolist() == oval_pixels(2, 3, 7, 5).tolist()


@pytest.mark.parametrize("kind", [TYPE.POLYGON, TYPE.FREEHAND, TYPE.TRACED])
@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_outlines(tmp_path, kind, dtype):
    points = np.array([[1, 1], [9, 2], [7, 8], [2.5, 6]], dtype=dtype)
    roi = roifile.ImagejRoi.frompoints(points, name="cell A")
    roi.roitype = kind
    table = read_one(tmp_path, roi)
    assert table.names == ("cell A",)
    assert table.pixels[0].tolist() == polygon_pixels([points]).tolist()


def test_ellipse(tmp_path):
    roi = box(
        TYPE.FREEHAND,
        subtype=SUBTYPE.ELLIPSE,
        x1=2.0,
        y1=10.0,
        x2=42.0,
        y2=10.0,
        integer_coordinates=np.zeros((0, 2), np.int32),
    )
    pixels = read_one(tmp_path, roi, parameter=0.5).pixels[0]
    y, x = np.mgrid[:30, :50]
    exact = np.argwhere(((x + 0.5 - 22) / 20) ** 2 + ((y + 0.5 - 10) / 10) ** 2 <= 1)
    shared = {tuple(one) for one in pixels.tolist()} & {tuple(one) for one in exact.tolist()}
    assert len(shared) >= 0.98 * max(len(pixels), len(exact))  # 72 corners inside the ellipse


@pytest.mark.parametrize("ends", [(2, 10, 12, 10), (7, 4, 7, 14), (12, 10, 2, 10)])
def test_rotated_rectangle(tmp_path, ends):
    x1, y1, x2, y2 = ends
    roi = box(
        TYPE.FREEHAND,
        subtype=SUBTYPE.ROTATED_RECT,
        x1=x1,
        y1=y1,
        x2=x2,
        y2=y2,
        integer_coordinates=np.zeros((0, 2), np.int32),
    )
    pixels = read_one(tmp_path, roi, parameter=6.0).pixels[0]
    expected = rectangle_pixels(2, 7, 10, 6) if y1 == y2 else rectangle_pixels(4, 4, 6, 10)
    assert pixels.tolist() == expected.tolist()


def test_composite_of_a_ring_and_a_curve(tmp_path):
    k = 4 * (np.sqrt(2) - 1) / 3 * 10  # a circle of radius 10 about (10, 10) as four cubic curves
    circle = [
        0,
        20,
        10,
        3,
        20,
        10 + k,
        10 + k,
        20,
        10,
        20,
        3,
        10 - k,
        20,
        0,
        10 + k,
        0,
        10,
        3,
        0,
        10 - k,
        10 - k,
        0,
        10,
        0,
    ]
    circle += [3, 10 + k, 0, 20, 10 - k, 20, 10, 4]
    hole = [0, 8, 8, 1, 12, 8, 1, 12, 12, 1, 8, 12, 4]
    path = np.array(circle + hole, dtype=np.float32)
    roi = box(TYPE.RECT, 0, 0, 20, 20, multi_coordinates=path, shape_roi_size=path.size)
    pixels = read_one(tmp_path, roi).pixels[0]
    expected = {tuple(one) for one in oval_pixels(0, 0, 20, 20).tolist()} - {
        tuple(one) for one in rectangle_pixels(8, 8, 4, 4).tolist()
    }
    assert {tuple(one) for one in pixels.tolist()} == expected


def test_quadratic_curves(tmp_path):
    path = np.array([0, 0, 0, 2, 10, 0, 10, 10, 1, 0, 10, 4], dtype=np.float32)
    roi = box(TYPE.RECT, 0, 0, 10, 10, multi_coordinates=path, shape_roi_size=path.size)
    assert len(read_one(tmp_path, roi).pixels[0]) == pytest.approx(
        50 + 100 / 3, abs=3
    )  # a parabola beside its chord


@pytest.mark.parametrize("path", [[1, 0, 0], [7, 1, 1], [0, 1], [0, np.nan, 1], [0, 1, 1, 3, 1, 1]])
def test_damaged_composites(tmp_path, path):
    path = np.array(path, dtype=np.float32)
    roi = box(TYPE.RECT, multi_coordinates=path, shape_roi_size=path.size)
    with pytest.raises(FormatError, match="damaged outline"):
        read_one(tmp_path, roi)
    roi.roitype = TYPE.OVAL  # has no outline at all
    with pytest.raises(FormatError, match="damaged outline"):
        read_one(tmp_path, roi)


def test_vertices_that_are_nowhere(tmp_path):
    roi = roifile.ImagejRoi.frompoints(np.array([[1, 1], [9, 2], [7, 8.5]]))
    roi.subpixel_coordinates[0] = np.nan
    with pytest.raises(FormatError, match="vertices that are no numbers"):
        read_one(tmp_path, roi)


@pytest.mark.parametrize("kind", [TYPE.LINE, TYPE.POINT, TYPE.POLYLINE, TYPE.FREELINE, TYPE.ANGLE])
def test_lines_and_points_have_no_area(tmp_path, kind):
    roi = roifile.ImagejRoi.frompoints(np.array([[1, 1], [4, 5], [9, 2]]))
    roi.roitype = kind
    with pytest.raises(FormatError, match=f"is a {kind.name.lower()} selection, which has no area"):
        read_one(tmp_path, roi)


def test_texts_and_splines_are_refused(tmp_path):
    with pytest.raises(FormatError, match="is a text selection"):
        read_one(tmp_path, box(TYPE.RECT, subtype=SUBTYPE.TEXT))
    roi = roifile.ImagejRoi.frompoints(np.array([[1, 1], [9, 2], [7, 8]]))
    roi.options |= OPTIONS.SPLINE_FIT
    with pytest.raises(FormatError, match="is a spline"):
        read_one(tmp_path, roi)


# -- zip files -----------------------------------------------------------------------------------------------


def test_zip_keeps_order_and_names(tmp_path):
    rois = [box(TYPE.RECT, left=number, name=name) for number, name in enumerate(("zebra", "ape", ""))]
    with zipfile.ZipFile(tmp_path / "RoiSet.zip", "w") as archive:
        archive.writestr("README.txt", "x")
        archive.writestr("__MACOSX/._a.roi", b"junk")
        for number, roi in enumerate(rois):
            archive.writestr(f"{number:04}-0007.roi", roi.tobytes())
    table = read_roi_table(tmp_path / "RoiSet.zip")
    assert table.names == ("zebra", "ape", "0002-0007")
    assert table.ids == (1, 2, 3)
    assert [pixels[0, 1] for pixels in table.pixels] == [0, 1, 2]


def test_nothing_is_unpacked_to_disk(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with zipfile.ZipFile(folder / "evil.zip", "w") as archive:
        archive.writestr("../../evil.roi", box(TYPE.RECT).tobytes())
        archive.writestr("/tmp/roitrace-evil.roi", box(TYPE.RECT).tobytes())
    assert len(read_roi_table(folder / "evil.zip")) == 2
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["evil.zip", "folder"]


def test_zip_bombs_are_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.roi", bytes(imagej.MAX_ENTRY_BYTES + 1))
    assert (tmp_path / "bomb.zip").stat().st_size < 100_000
    with pytest.raises(FormatError, match="unpacks to more than"):
        read_roi_table(tmp_path / "bomb.zip")
    (tmp_path / "long.roi").write_bytes(b"Iout" + bytes(imagej.MAX_ENTRY_BYTES))
    with pytest.raises(FormatError, match="a ROI has at most"):
        read_roi_table(tmp_path / "long.roi")
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            roi = box(TYPE.RECT)
            roi.name = str(number)
            archive.writestr(f"{number}.roi", roi.tobytes().ljust(1000, b"\0"))
    assert len(read_roi_table(tmp_path / "all.zip")) == 3
    monkeypatch.setattr(imagej, "MAX_TOTAL_BYTES", 2999)
    with pytest.raises(FormatError, match="unpacks to more than 2,999 bytes"):
        read_roi_table(tmp_path / "all.zip")
    monkeypatch.setattr(imagej, "MAX_ENTRIES", 2)
    monkeypatch.setattr(imagej, "MAX_TOTAL_PIXELS", 50)
    for count, message in ((3, r"holds 3 \.roi files, expected 1 to 2"), (2, "claim more than 50 pixels")):
        with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
            for number in range(count):
                archive.writestr(f"{number}.roi", box(TYPE.RECT).tobytes())
        with pytest.raises(FormatError, match=message):
            read_roi_table(tmp_path / "many.zip")


def test_damaged_files(tmp_path):
    path = tmp_path / "RoiSet.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(FormatError, match=r"holds 0 \.roi files"):
        read_roi_table(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.roi", b"Iout" + bytes(10))
    with pytest.raises(FormatError, match=r"a in .* is no ImageJ ROI, or damaged"):
        read_roi_table(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.roi", b"nothing" * 30)
    with pytest.raises(FormatError, match="is no ImageJ ROI"):
        read_roi_table(path)
    roi = roifile.ImagejRoi.frompoints(np.array([[1, 1], [9, 2], [7, 8]]))
    (tmp_path / "a.roi").write_bytes(roi.tobytes()[:70])
    with pytest.raises(FormatError, match="damaged"):
        read_roi_table(tmp_path / "a.roi")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.roi", bytes(range(256)) * 8)
    content = bytearray(path.read_bytes())
    content[40:60] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(FormatError, match="cannot be read as zip"):
        read_roi_table(path)
    path.write_bytes(content[:60])
    with pytest.raises(FormatError):
        read_roi_table(path)


# -- written and read back -----------------------------------------------------------------------------------

pixel_sets = st.sets(st.tuples(st.integers(0, 7), st.integers(0, 9)), min_size=1, max_size=50)


@settings(max_examples=40, deadline=None)
@given(st.lists(pixel_sets, min_size=1, max_size=4))
def test_round_trip(tmp_path_factory, sets):
    path = tmp_path_factory.mktemp("rois") / "RoiSet.zip"
    table = table_of(*(sorted(one) for one in sets))
    assert write_roi_table(table, path) == ()
    again = read_roi_table(path)
    assert again.names == table.names
    assert [one.tolist() for one in again.pixels] == [one.tolist() for one in table.pixels]


def test_imagej_sees_what_it_can_show(tmp_path):
    square, bent = [[0, 0], [0, 1], [1, 0], [1, 1]], [[0, 0], [1, 0], [1, 1]]
    ring = [[y, x] for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    apart = [[0, 0], [4, 4]]
    write_roi_table(table_of(square, bent, ring, apart), tmp_path / "RoiSet.zip")
    rois = roifile.roiread(tmp_path / "RoiSet.zip")
    assert [roi.roitype for roi in rois] == [TYPE.RECT, TYPE.TRACED, TYPE.RECT, TYPE.RECT]
    assert [roi.composite for roi in rois] == [False, False, True, True]
    assert (rois[0].left, rois[0].top, rois[0].right, rois[0].bottom) == (0, 0, 2, 2)
    assert [len(loop) for loop in rois[2].coordinates(multi=True)] == [5, 5]  # closed


def test_far_from_the_origin(tmp_path):
    table = table_of([[40_000, 50_000], [40_001, 50_000], [40_001, 50_001]], [[60_000, 60_001]])
    write_roi_table(table, tmp_path / "far.zip")
    assert [one.tolist() for one in read_roi_table(tmp_path / "far.zip").pixels] == [
        one.tolist() for one in table.pixels
    ]


def test_one_roi_file_and_names(tmp_path):
    table = table_of([[1, 2]], names=("soma/1 ä",))
    write_roi_table(table, tmp_path / "a.roi")
    assert read_roi_table(tmp_path / "a.roi").names == ("soma/1 ä",)
    write_roi_table(table, tmp_path / "a.zip")
    assert read_roi_table(tmp_path / "a.zip").names == ("soma/1 ä",)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["1_soma_1 ä.roi"]
    with pytest.raises(ArgumentError, match="would hold 2 ROIs"):
        write_roi_table(table_of([[1, 2]], [[1, 3]]), tmp_path / "b.roi")


def test_the_same_rois_give_the_same_bytes(tmp_path):
    table = table_of([[1, 2]], [[3, 4], [5, 6]])
    for name in ("a.zip", "b.zip"):
        write_roi_table(table, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_what_is_lost_is_said(tmp_path):
    table = RoiTable(("a",), (7,), (np.array([[1, 2]]),), weights=(np.ones(1),), accepted=(False,))
    assert write_roi_table(table, tmp_path / "a.zip") == ("ids", "weights", "which ROIs were rejected")
    table = RoiTable(("a", "b"), (1, 2), (np.zeros((0, 2), int), np.array([[1, 2]])))
    assert write_roi_table(table, tmp_path / "b.zip") == ("ids", "ROI 'a', which has no pixels")
    assert read_roi_table(tmp_path / "b.zip").names == ("b",)
    with pytest.raises(ArgumentError, match="no ROIs with pixels to write"):
        write_roi_table(table_of([]), tmp_path / "c.zip")


# -- made by ImageJ ------------------------------------------------------------------------------------------


@needs_data
def test_masks_equal_those_of_imagej():
    folder = DATA / "neurofinder_neuhof" / "reference"
    table = read_roi_table(folder / "imagej_RoiSet.zip")
    with np.load(folder / "imagej_roi_stats.npz") as reference:
        names, masks = reference["names"], reference["masks"]
    assert sorted(table.names) == sorted(names)
    equal = 0
    for name, mask in zip(names, masks, strict=True):
        pixels = table.pixels[table.names.index(name)]
        on_frame = pixels[((pixels >= 0) & (pixels < mask.shape)).all(axis=1)]
        equal += np.argwhere(mask).tolist() == on_frame.tolist()
    assert equal == len(masks) == 18


@needs_data
def test_means_equal_those_of_multi_measure():
    folder = DATA / "imagej_multimeasure_cell2"
    table = read_roi_table(folder / "RoiSet.zip")
    source = open_recording_file(folder / "*.tif").sources[0][0]
    frames = source.read(slice(0, 3), slice(0, 1040), slice(0, 1392))
    printed = np.genfromtxt(folder / "Results.xls", skip_header=1)[[0, 2, 3], 1:]
    means = [[frame[tuple(pixels.T)].mean() for pixels in table.pixels] for frame in frames]
    np.testing.assert_allclose(means, printed, atol=5.01e-4, rtol=0)


@needs_data
def test_raw_traces_equal_those_of_fissa():
    folder = DATA / "fissa_b"
    table = read_roi_table(folder / "rois.zip")
    with np.load(folder / "expected_plain.npz") as reference:
        for trial in range(3):
            movie = tifffile.imread(folder / "images" / f"AVG_A0{trial + 1}.tif")
            for cell, pixels in enumerate(table.pixels):
                trace = movie[:, pixels[:, 0], pixels[:, 1]].mean(axis=1)
                np.testing.assert_allclose(trace, reference[f"raw_cell{cell}_trial{trial}"][0], rtol=1e-12)
