from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import roitrace as rt
from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.registry import read_roi_table, write_roi_table
from roitrace.formats.rois.format import RoiOptions
from roitrace.formats.rois.suite2p import suite2p_stat
from roitrace.formats.rois.table import RoiTable
from tests.shared_data import DATA, needs_data

PIXELS = (np.array([[1, 2], [1, 3], [2, 3]]), np.array([[2, 3], [4, 0]]))
WEIGHTS = (np.array([0.5, 0.25, 1.0]), np.array([3.0, 2.0]))


@pytest.fixture
def plane(tmp_path):
    """A plane as suite2p writes it: more fields than ROIs need, two ROIs of which one is no cell."""
    folder = tmp_path / "suite2p" / "plane0"
    folder.mkdir(parents=True)
    stat = np.array(
        [
            {
                "ypix": yx[:, 0].astype("int32"),
                "xpix": yx[:, 1].astype("int32"),
                "lam": lam.astype("float32"),
                "med": [1, 2],
                "radius": np.float64(1.5),
            }
            for yx, lam in zip(PIXELS, WEIGHTS, strict=True)
        ]
    )
    np.save(folder / "stat.npy", stat, allow_pickle=True)
    np.save(folder / "iscell.npy", np.array([[1.0, 0.9], [0.0, 0.2]]))
    ops = {"Ly": 6, "Lx": 5, "fs": 30.0, "data_path": [Path("somewhere")], "meanImg": np.zeros((6, 5))}
    np.save(folder / "ops.npy", ops, allow_pickle=True)
    return folder


def test_a_plane(plane):
    for path in (plane / "stat.npy", plane, plane.parent, plane.parent.parent):
        table = read_roi_table(path)
        assert (table.ids, table.names, table.shape) == ((0, 1), ("0", "1"), (6, 5))
        assert table.accepted == (True, False)
        assert [yx.tolist() for yx in table.pixels] == [yx.tolist() for yx in PIXELS]
        assert [row.tolist() for row in table.weights] == [row.tolist() for row in WEIGHTS]
    rois = rt.read_rois(plane)
    assert len(rois) == 2
    assert rois.accepted.tolist() == [True, False]


def test_one_of_several_planes(plane):
    (plane.parent / "plane1").mkdir()
    np.save(plane.parent / "plane1" / "stat.npy", np.array([], object), allow_pickle=True)
    with pytest.raises(ArgumentError, match="several planes: plane0, plane1 fit"):
        read_roi_table(plane.parent)
    assert len(read_roi_table(plane.parent, RoiOptions(plane=0))) == 2
    with pytest.raises(ArgumentError, match="none fit"):
        read_roi_table(plane.parent, RoiOptions(plane=2))


def test_without_the_files_beside(plane):
    for name in ("iscell.npy", "ops.npy"):
        (plane / name).unlink()
    table = read_roi_table(plane)
    assert table.accepted is None
    assert table.shape is None
    np.save(plane / "ops.npy", {"Ly": np.int64(6), "Lx": 5, "function": np.mean}, allow_pickle=True)
    (note,) = read_roi_table(plane).notes
    assert note.startswith("the size of the frame is not known")


def test_what_is_written_reads_back(tmp_path):
    table = RoiTable(("0", "1"), (0, 1), PIXELS, (6, 5), WEIGHTS, (True, False))
    assert write_roi_table(table, tmp_path / "plane0", format="suite2p") == ()
    assert sorted(file.name for file in (tmp_path / "plane0").iterdir()) == [
        "iscell.npy",
        "ops.npy",
        "stat.npy",
    ]
    again = read_roi_table(tmp_path / "plane0")
    assert (again.ids, again.shape, again.accepted) == (table.ids, table.shape, table.accepted)
    for name in ("pixels", "weights"):
        for one, other in zip(getattr(again, name), getattr(table, name), strict=True):
            np.testing.assert_array_equal(one, other)
    stat = np.load(tmp_path / "plane0" / "stat.npy", allow_pickle=True)
    assert {"ypix", "xpix", "lam", "overlap", "med", "npix", "radius", "npix_norm", "compact"} <= stat[
        0
    ].keys()
    assert (stat[0]["ypix"].dtype, stat[0]["lam"].dtype) == (np.int32, np.float32)
    assert stat[0]["overlap"].tolist() == [False, False, True]
    assert np.load(tmp_path / "plane0" / "iscell.npy").tolist() == [[1, 1], [0, 0]]


def test_what_is_not_kept_is_said(tmp_path):
    table = RoiTable(("a", "b"), (1, 2), PIXELS, (6, 5), (WEIGHTS[0] / 3, WEIGHTS[1]))
    assert write_roi_table(table, tmp_path / "stat.npy") == (
        "names",
        "weights beyond single precision",
        "ids (suite2p counts from 0)",
    )
    with pytest.raises(ArgumentError, match="have no frame"):
        write_roi_table(RoiTable(("0",), (0,), PIXELS[:1]), tmp_path / "b_stat.npy")


def test_drawn_rois_have_no_weights(tmp_path):
    write_roi_table(RoiTable(("0", "1"), (0, 1), PIXELS, (6, 5)), tmp_path / "stat.npy")
    assert read_roi_table(tmp_path / "stat.npy").weights is None


@pytest.mark.parametrize("yx", [np.zeros((0, 2), int), np.array([[3, 3]])])
def test_shapes_of_tiny_rois(yx):
    (record,) = suite2p_stat(RoiTable(("0",), (0,), (yx,), (6, 5)))
    assert record["radius"] == 0
    assert record["npix"] == len(yx)


class Evil:
    def __reduce__(self):
        return (Path("executed").write_text, ("yes",))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"ypix": [1, 2]}, "entry 0 has no ypix and xpix"),
        ({"ypix": [1, 2], "xpix": [1]}, "2 ypix and 1 xpix"),
        ({"ypix": [1.5], "xpix": [1]}, "ypix holds 1.5, expected whole numbers"),
        ({"ypix": [np.nan], "xpix": [1]}, "ypix holds nan"),
        ({"ypix": [1e30], "xpix": [1]}, "ypix holds 1e"),
        ({"ypix": ["a"], "xpix": [1]}, "expected whole numbers"),
        ({"ypix": [1], "xpix": [1], "lam": [1.0, 2.0]}, "1 pixels and 2 lam"),
        ({"ypix": [1], "xpix": [1], "lam": Evil()}, "which is not plain data"),
        (7, "entry 0 has no ypix"),
    ],
)
def test_malformed(tmp_path, monkeypatch, record, message):
    monkeypatch.chdir(tmp_path)
    stat = np.empty(1, object)
    stat[0] = record
    np.save(tmp_path / "stat.npy", stat, allow_pickle=True)
    with pytest.raises(FormatError, match=message):
        read_roi_table(tmp_path / "stat.npy")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("yx", "lam", "message"),
    [
        ([[1, 1], [1, 1]], None, "lists the pixel y_index 1, x_index 1 twice"),
        ([[1, 1], [1, 2]], [1.0, -1.0], "negative, infinite or NaN"),
        ([[1, 1], [1, 2]], [1.0, np.nan], "negative, infinite or NaN"),
        ([[1, 1], [1, 2]], [0.0, 0.0], "all weights of 0 are 0"),
    ],
)
def test_pixels_that_make_no_roi(tmp_path, yx, lam, message):
    record = {"ypix": np.array(yx)[:, 0], "xpix": np.array(yx)[:, 1]} | ({} if lam is None else {"lam": lam})
    np.save(tmp_path / "stat.npy", np.array([record]), allow_pickle=True)
    with pytest.raises(FormatError, match=message):
        rt.read_rois(tmp_path / "stat.npy", recording=np.zeros((4, 5)))


def test_files_that_do_not_belong_together(plane):
    np.save(plane / "iscell.npy", np.ones((3, 2)))
    with pytest.raises(
        FormatError, match=r"iscell\.npy holds float64 of shape \(3, 2\), stat\.npy beside it 2 ROIs"
    ):
        read_roi_table(plane)


def test_cut_short(plane):
    whole = (plane / "stat.npy").read_bytes()
    for size in range(0, len(whole) - 1, 97):
        (plane / "stat.npy").write_bytes(whole[:size])
        with pytest.raises(FormatError):
            read_roi_table(plane / "stat.npy")


@needs_data
def test_fluorescence_of_suite2p(tmp_path):
    """F of 177 ROIs from a stat.npy, as suite2p's own files hold it; its samples are half of the recording's."""
    folder = DATA / "neurofinder_neuhof"
    with np.load(folder / "reference" / "suite2p_extraction.npz") as reference:
        expected = dict(reference)
    borders = np.flatnonzero(np.diff(expected["roi"])) + 1
    names = ("ypix", "xpix", "lam", "overlap")
    columns = [np.split(expected[name], borders) for name in names]
    stat = np.array([dict(zip(names, one, strict=True)) for one in zip(*columns, strict=True)])
    np.save(tmp_path / "stat.npy", stat, allow_pickle=True)
    recording = rt.open_recording(folder / "movie_600x240x240_u16.tif") // 2
    rois = rt.read_rois(tmp_path / "stat.npy", recording=recording)
    assert "the image shows the ROIs at yx" in rois.attrs["axis_order_reason"]
    traces = rt.extract(recording, rois, convention="suite2p").compute()
    np.testing.assert_allclose(traces["weighted_mean"], expected["F"], rtol=2e-4, atol=1e-6)
