from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from roitrace.errors import AlignmentError, ArgumentError, FormatError
from roitrace.frame import Frame
from roitrace.roi_files import read_rois, write_rois
from roitrace.rois import Rois
from tests.shared_data import DATA, needs_data


@pytest.fixture
def frame():
    return Frame((20, 30), np.arange(20) * 2.0, np.arange(30) * 2.0, "micrometer")


@pytest.fixture
def rois(frame):
    """A ring, two parts that touch at a corner, and a block over the ring."""
    ring = [[y, x] for y in range(3, 8) for x in range(3, 8) if (y, x) != (5, 5)]
    return Rois.from_pixels(
        [ring, [[0, 0], [1, 1]], [[6, 6], [6, 7], [6, 8]]], frame=frame, names=["ring", "2", "block"]
    )


def test_imagej_round_trip(tmp_path, rois, frame):
    write_rois(rois, tmp_path / "RoiSet.zip")
    for recording in (
        frame,
        rois,
        frame.image(np.zeros(frame.shape)),
        xr.DataArray(np.zeros((2, 20, 30)), dims=("time", "y", "x"), coords=frame.coords()),
    ):
        assert read_rois(tmp_path / "RoiSet.zip", recording=recording).equals(rois)
    plain = read_rois(tmp_path / "RoiSet.zip", recording=np.zeros(frame.shape))
    assert not plain.frame.labelled
    assert plain.attrs == {
        "source": "RoiSet.zip",
        "axis_order": "xy",
        "axis_order_reason": "the format says so",
    }
    with pytest.raises(ArgumentError, match="does not say how large"):
        read_rois(tmp_path / "RoiSet.zip")


@pytest.mark.parametrize("suffix", [".tif", ".png", ".npy"])
def test_label_image_round_trip(tmp_path, frame, suffix):
    labels = np.zeros(frame.shape, int)
    labels[2:5, 3:9], labels[10, 10], labels[12:, 20:] = 9, 2, 4
    rois = Rois.from_labels(frame.image(labels))
    path = tmp_path / f"labels{suffix}"
    write_rois(rois, path)
    assert read_rois(path, recording=frame).equals(rois)
    assert read_rois(path).shape == (20, 30)
    with pytest.raises(AlignmentError, match="is 20 x 30, the recording 20 x 31"):
        read_rois(path, recording=np.zeros((20, 31)))
    assert len(read_rois(path, as_mask=True)) == 1


def test_pixels_off_the_frame_are_counted(tmp_path, rois):
    write_rois(rois, tmp_path / "RoiSet.zip")
    small = read_rois(tmp_path / "RoiSet.zip", recording=np.zeros((6, 30)))
    assert small.n_pixels.tolist() == [14, 2, 0]
    assert small.n_outside.tolist() == [10, 0, 3]


def test_what_the_file_does_not_keep_is_said(tmp_path, rois):
    with pytest.warns(UserWarning, match=r"RoiSet\.zip does not keep: weights, which ROIs were rejected"):
        write_rois(
            rois.with_weights(np.arange(1.0, 30.0)[: rois.pixels.size]).reject("2"), tmp_path / "RoiSet.zip"
        )
    with pytest.warns(UserWarning, match=r"does not keep: names, 2 overlapping pixels \(each stays with"):
        write_rois(rois, tmp_path / "a.tif")
    with pytest.warns(UserWarning, match="why ROIs were accepted or rejected"):
        write_rois(rois[["2"]].accept("2", "round"), tmp_path / "2.zip")


@needs_data
def test_rois_of_imagej_on_their_frame():
    folder = DATA / "neurofinder_neuhof" / "reference"
    with np.load(folder / "imagej_roi_stats.npz") as reference:
        names, masks = list(reference["names"]), reference["masks"]
    rois = read_rois(folder / "imagej_RoiSet.zip", recording=masks[0])
    np.testing.assert_array_equal(rois[names].to_masks().values, masks)
    assert rois.n_outside[rois.names.index("rect_offscreen")] == 21 * 19 - 16 * 15


@pytest.mark.parametrize("name", ["cells.zarr", "cells.csv"])
def test_the_table_of_decisions_is_obeyed(tmp_path, rois, frame, name):
    path = tmp_path / name
    write_rois(rois, path)
    first, *others = rois.names
    table = tmp_path / f"{name}.rois.csv"
    table.write_text(f"roi,accepted,reason,note\n{first},no,vessel,\n", encoding="utf-8")
    read = read_rois(path, recording=frame)
    assert read.accepted.tolist() == [False, *[True] * len(others)]
    assert read.reasons[0] == "vessel"
    with pytest.warns(UserWarning, match=r"rois.csv is from before and still decides"):
        write_rois(rois, path, overwrite=True)
    table.write_text("roi,accepted,reason,note\nnobody,no,,\n", encoding="utf-8")
    with pytest.raises(FormatError, match=r"rois.csv, line 2: there is no ROI 'nobody'"):
        read_rois(path, recording=frame)
