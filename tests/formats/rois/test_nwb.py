from __future__ import annotations

import sys
from datetime import UTC, datetime

import h5py
import numpy as np
import pynwb
import pytest

import roitrace as rt
from roitrace.errors import ArgumentError, FormatError, MissingDependencyError
from roitrace.formats.registry import read_roi_table, write_roi_table
from roitrace.formats.rois.format import RoiOptions
from roitrace.formats.rois.nwb import write_nwb
from roitrace.formats.rois.table import RoiTable

PIXELS = (np.array([[0, 4], [2, 3]]), np.array([[4, 1], [5, 2], [5, 3]]))
WEIGHTS = (np.array([0.5, 1.0]), np.array([2.0, 3.0, 4.0]))
TABLE = RoiTable(("a", "b"), (4, 9), PIXELS, (6, 5), WEIGHTS, (True, False))


def nwb_file():
    file = pynwb.NWBFile(
        session_description="a", identifier="b", session_start_time=datetime(2020, 1, 1, tzinfo=UTC)
    )
    plane = file.create_imaging_plane(
        name="plane",
        optical_channel=pynwb.ophys.OpticalChannel(name="c", description="d", emission_lambda=500.0),
        description="d",
        device=file.create_device(name="microscope"),
        excitation_lambda=900.0,
        indicator="GCaMP6f",
        location="V1",
    )
    module = file.create_processing_module(name="ophys", description="ophys")
    segmentation = pynwb.ophys.ImageSegmentation()
    module.add(segmentation)
    return file, plane, segmentation


def segmentation_of(path, *names):
    """Write a file by pynwb's own methods, one PlaneSegmentation per name, of the kind of mask that the name says."""
    file, plane, segmentation = nwb_file()
    for name in names:
        table = segmentation.create_plane_segmentation(name=name, description="d", imaging_plane=plane)
        for number, (yx, weights) in enumerate(zip(PIXELS, WEIGHTS, strict=True)):
            if name.startswith("pixel"):
                table.add_roi(
                    pixel_mask=[(x, y, w) for (y, x), w in zip(yx, weights, strict=True)], id=10 + number
                )
            elif name.startswith("voxel"):
                z = number if name.endswith("planes") else 3
                mask = [(x, y, z, w) for (y, x), w in zip(yx, weights, strict=True)]
                table.add_roi(voxel_mask=mask, id=10 + number)
            else:
                image = np.zeros((5, 6))  # x, y
                image[yx[:, 1], yx[:, 0]] = weights
                table.add_roi(image_mask=image, id=10 + number)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def same(table, shape=None):
    assert table.shape == shape
    for one, other in zip(table.pixels, PIXELS, strict=True):
        assert one.tolist() == other.tolist()
    for one, other in zip(table.weights, WEIGHTS, strict=True):
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize(("kind", "shape"), [("pixel", None), ("voxel", None), ("image", (6, 5))])
def test_every_kind_of_mask(tmp_path, kind, shape):
    table = read_roi_table(segmentation_of(tmp_path / "a.nwb", kind))
    assert (table.ids, table.names, table.axis_order) == ((10, 11), ("10", "11"), "xy")
    same(table, shape)


def test_one_of_several(tmp_path):
    path = segmentation_of(tmp_path / "a.nwb", "pixel", "image")
    with pytest.raises(
        ArgumentError, match=r"holds /processing/ophys/ImageSegmentation/image, .*name one of them: "
    ):
        read_roi_table(path)
    same(read_roi_table(f"{path}::pixel"))
    same(read_roi_table(f"{path}::/processing/ophys/ImageSegmentation/image"), (6, 5))
    with pytest.raises(ArgumentError, match="and 0 are called 'other'"):
        read_roi_table(path, RoiOptions(name="other"))


def test_one_of_several_planes(tmp_path):
    path = segmentation_of(tmp_path / "a.nwb", "voxel planes")
    with pytest.raises(ArgumentError, match=r"has ROIs in the planes 0, 1; choose one with plane="):
        read_roi_table(path)
    table = read_roi_table(path, RoiOptions(plane=1))
    assert [len(yx) for yx in table.pixels] == [0, 3]
    with pytest.raises(ArgumentError, match="no ROIs in plane 2"):
        read_roi_table(path, RoiOptions(plane=2))


def test_what_is_written_is_valid_and_reads_back(tmp_path):
    path = tmp_path / "a.nwb"
    assert write_roi_table(TABLE, path) == ()
    assert pynwb.validate(path=str(path)) == []
    table = read_roi_table(path)
    assert (table.ids, table.names, table.accepted) == (TABLE.ids, TABLE.names, TABLE.accepted)
    same(table)
    with pynwb.NWBHDF5IO(path, "r") as io:
        masks = io.read().processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]["pixel_mask"]
        assert [tuple(pixel) for pixel in masks[0]] == [(4, 0, 0.5), (3, 2, 1.0)]  # x, y, weight


def test_no_rois(tmp_path):
    write_roi_table(RoiTable((), (), (), (6, 5)), tmp_path / "a.nwb")
    assert pynwb.validate(path=str(tmp_path / "a.nwb")) == []
    assert len(read_roi_table(tmp_path / "a.nwb")) == 0


def test_without_pynwb(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(
        MissingDependencyError,
        match=r"needs the package pynwb; install it with: pip install 'roitrace\[nwb\]'",
    ):
        write_nwb(TABLE, str(tmp_path / "a.nwb"))


def test_rows_and_columns_that_were_mixed_up(tmp_path):
    """A file in which some tool wrote y before x, on a frame that is not square."""
    write_roi_table(TABLE.transposed(), tmp_path / "a.nwb")
    with pytest.warns(
        UserWarning, match=r"a\.nwb: rows and columns were exchanged: only yx fits the frame of 6 x 5"
    ):
        rois = rt.read_rois(tmp_path / "a.nwb", recording=np.zeros((6, 5)))
    assert rois.coordinates(1).to_yx().tolist() == PIXELS[1].tolist()
    assert rois.attrs["axis_order"] == "yx"
    assert rt.read_rois(tmp_path / "a.nwb", recording=np.zeros((5, 6)), axis_order="xy").shape == (5, 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda table: table["pixel_mask_index"].write_direct(np.array([2, 4], "u1")),
            "index of pixel_mask does not fit",
        ),
        (
            lambda table: table["pixel_mask_index"].write_direct(np.array([9, 5], "u1")),
            "index of pixel_mask does not fit",
        ),
        (lambda table: table.__delitem__("pixel_mask_index"), "pixel_mask has no index"),
        (lambda table: table.__delitem__("pixel_mask"), "has no pixel_mask"),
        (lambda table: table.__delitem__("id"), "cannot be read as NWB"),
        (lambda table: table["id"].resize((1,)), "1 ids and 2 masks"),
        (lambda table: table.attrs.modify("neurodata_type", "Other"), "holds no PlaneSegmentation"),
    ],
)
def test_malformed(tmp_path, change, message):
    path = segmentation_of(tmp_path / "a.nwb", "pixel")
    with h5py.File(path, "r+") as file:
        change(file["processing/ophys/ImageSegmentation/pixel"])
    with pytest.raises(FormatError, match=message):
        read_roi_table(path)


def test_plain_columns(tmp_path):
    path = segmentation_of(tmp_path / "a.nwb", "pixel", "image")
    with h5py.File(path, "r+") as file:
        table = file["processing/ophys/ImageSegmentation/pixel"]
        table["Accepted"] = np.array([0, 1])
        table["roi_name"] = ["soma", "axon"]
        del table["pixel_mask"]
        table["pixel_mask"] = np.zeros((5, 3))
    with pytest.raises(FormatError, match="pixel_mask has no weight, x, y"):
        read_roi_table(f"{path}::pixel")
    with h5py.File(path, "r+") as file:
        image = file["processing/ophys/ImageSegmentation/image"]
        image["Accepted"], image["roi_name"] = np.array([0, 1]), ["soma", "axon"]
    table = read_roi_table(f"{path}::image")
    assert (table.names, table.accepted) == (("soma", "axon"), (False, True))


def test_image_masks_that_are_no_stack(tmp_path):
    path = segmentation_of(tmp_path / "a.nwb", "image")
    with h5py.File(path, "r+") as file:
        table = file["processing/ophys/ImageSegmentation/image"]
        del table["image_mask"]
        table["image_mask"] = np.zeros((2, 5))
    with pytest.raises(FormatError, match=r"image_mask has shape \(2, 5\), expected \(roi, x, y\)"):
        read_roi_table(path)


def test_nwb_by_another_name(tmp_path):
    segmentation_of(tmp_path / "a.nwb", "pixel").rename(tmp_path / "a.h5")
    same(read_roi_table(tmp_path / "a.h5"))


def test_cut_short(tmp_path):
    path = tmp_path / "a.nwb"
    write_roi_table(TABLE, path)
    whole = path.read_bytes()
    for part in (0.1, 0.5, 0.9, 0.99):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(FormatError, match="cannot be read as NWB"):
            read_roi_table(path)
