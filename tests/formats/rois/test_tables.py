"""CSV of pixels, napari's shapes, Neurofinder's JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

import roitrace as rt
from roitrace.errors import AlignmentError, ArgumentError, FormatError
from roitrace.formats.registry import read_roi_table, write_roi_table
from roitrace.formats.rois.table import RoiTable
from tests.shared_data import DATA, needs_data


def text(tmp_path, content, name="pixels.csv"):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "content",
    [
        "roi,y_index,x_index,weight\n3,0,1,0.5\n3,0,2,1\nsoma,4,4,2\n",
        "Cell ID;Row;Col;Lam\n3;0;1;0.5\n3;0;2;1\nsoma;4;4;2\n",
        "\ufeffx\ty\tNeuron\tw\n1\t0\t3\t0.5\n2.0\t0\t3\t1\n4\t4.0\tsoma\t2\n\n",
        "weight,y-pixel,x pixel,roi,other\n1,0,2,3,a\n2,4,4,soma,b\n0.5,0,1,3,c\n",
    ],
)
def test_columns_are_found_by_their_names(tmp_path, content):
    table = read_roi_table(text(tmp_path, content))
    assert (table.names, table.ids, table.settled) == (("3", "soma"), (1, 2), True)
    rois = rt.read_rois(tmp_path / "pixels.csv", recording=np.zeros((5, 6)))
    assert rois.coordinates("3").to_yx().tolist() == [[0, 1], [0, 2]]
    assert rois.weights.tolist() == [0.5, 1, 2]


def test_whole_numbers_are_ids(tmp_path):
    table = read_roi_table(text(tmp_path, "id,y,x,accepted\n7,0,0,1\n0,1,1,no\n7,2,2,True\n"))
    assert (table.names, table.ids, table.accepted) == (("7", "0"), (7, 0), (True, False))
    table = read_roi_table(text(tmp_path, "roi,id,y,x\na,7,0,0\nb,5,1,1\n"))
    assert (table.names, table.ids) == (("a", "b"), (7, 5))
    assert read_roi_table(text(tmp_path, "roi,y,x\n01,0,0\n")).ids == (1,)
    assert len(read_roi_table(text(tmp_path, "roi,y,x\n"))) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "1,2,3\n4,5,6\n",
            r"has the columns 1, 2, 3, and none for y_index, x_index, roi; name them roi, y_index",
        ),
        ("roi,y\n1,2\n", "none for x_index"),
        ("roi,y,x,y\n1,2,3,4\n", "two columns 'y'"),
        ("roi,y,x\n1,2\n", "line 2: 2 values, the first line names 3; the file may be cut short"),
        ("roi,y,x\n1,2,3\n1,a,3\n", "y, line 3: 'a' is no number"),
        ("roi,y,x\n1,2.5,3\n", "y holds 2.5, expected whole numbers"),
        ("roi,y,x\n1,nan,3\n", "y holds nan"),
        ("roi,y,x\n1,1e300,3\n", "y holds 1e"),
        ("roi,y,x\n ,1,3\n", "line 2: no ROI is named"),
        ("roi,y,x,accepted\n1,1,3,maybe\n", "line 2: 'maybe' is no flag"),
        ("roi,y,x,accepted\n1,1,3,1\n1,1,4,0\n", "accepted differs within ROI '1'"),
        ("roi,id,y,x\na,1,1,3\na,2,1,4\n", "id differs within ROI 'a'"),
        ("roi,y,x\n1,1,1\n1,1,1\n", "lists the pixel y_index 1, x_index 1 twice"),
        ("roi,id,y,x\na,1,1,3\nb,1,1,4\n", "two ROIs share the id 1"),
        ("roi,y,x,weight\n1,1,1,-1\n", "negative, infinite or NaN"),
        ('roi,y,x\n"1,1,1\n', "line"),
        ("roi,y,x\n" + "1" * 200_000 + ",1,1\n", "line 2: field larger than field limit"),
    ],
)
def test_what_is_wrong_with_a_csv(tmp_path, content, message):
    with pytest.raises(FormatError, match=message):
        rt.read_rois(text(tmp_path, content), recording=np.zeros((5, 6)))


def test_no_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"roi,y,x\n\xff\xfe,1,1\n")
    with pytest.raises(FormatError, match="cannot be read as text"):
        read_roi_table(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes(b"roi,y,x\n\0,1,1\n")
    with pytest.raises(FormatError, match="named like"):
        read_roi_table(tmp_path / "a.csv")


def test_what_a_csv_does_not_keep(tmp_path):
    table = RoiTable(
        ("a", "b"), (1, 2), (np.zeros((0, 2), int), np.array([[0, 1]])), (3, 4), accepted=(True, False)
    )
    assert write_roi_table(table, tmp_path / "a.csv") == ("ROI 'a', which has no pixels",)
    assert (tmp_path / "a.csv").read_text().splitlines() == ["roi,id,y_index,x_index,accepted", "b,2,0,1,0"]
    with pytest.raises(ArgumentError, match="a ROI is named ' a', which a CSV does not keep"):
        write_roi_table(RoiTable((" a",), (1,), (np.array([[0, 1]]),)), tmp_path / "b.csv")


def test_pixels_off_the_frame_are_said(tmp_path):
    path = text(tmp_path, "roi,y,x\n1,1,1\n1,-1,1\n2,9,9\n")
    with pytest.warns(UserWarning, match="2 pixels of 2 ROIs lie off the frame and are left out"):
        rois = rt.read_rois(path, recording=np.zeros((5, 6)))
    assert rois.n_outside.tolist() == [1, 1]
    assert rois.n_pixels.tolist() == [1, 0]
    with pytest.raises(AlignmentError, match="no pixel of the ROIs .* lies on the frame of 1 x 1"):
        rt.read_rois(path, recording=np.zeros((1, 1)))


SHAPES = "index,shape-type,vertex-index,axis-0,axis-1\n"


def test_napari_shapes(tmp_path):
    """A pixel belongs to the shape that holds its centre, which is at whole numbers."""
    path = text(
        tmp_path,
        SHAPES
        + "0.0,rectangle,0,0.6,0.6\n0,rectangle,1,0.6,3.4\n0,rectangle,2,2.4,3.4\n0,rectangle,3,2.4,0.6\n"
        "1,polygon,0,3.5,-0.5\n1,polygon,1,3.5,1.5\n1,polygon,2,4.5,1.5\n1,polygon,3,4.5,-0.5\n"
        "2,ellipse,0,5,5\n2,ellipse,1,5,9\n2,ellipse,2,9,9\n2,ellipse,3,9,5\n",
    )
    table = read_roi_table(path)
    assert table.ids == (0, 1, 2)
    assert table.pixels[0].tolist() == [[1, 1], [1, 2], [1, 3], [2, 1], [2, 2], [2, 3]]
    assert table.pixels[1].tolist() == [[4, 0], [4, 1]]
    y, x = np.mgrid[:12, :12]
    inside = np.argwhere((y - 7) ** 2 + (x - 7) ** 2 < 4)
    assert {tuple(one) for one in inside.tolist()} <= {tuple(one) for one in table.pixels[2].tolist()}
    assert len(table.pixels[2]) <= len(inside) + 4  # those at the very edge
    stacked = "index,shape-type,vertex-index,axis-0,axis-1,axis-2\n" + "".join(
        f"0,polygon,{n},12,{y},{x}\n"
        for n, (y, x) in enumerate([(0.5, 0.5), (0.5, 2.5), (1.5, 2.5), (1.5, 0.5)])
    )
    assert read_roi_table(text(tmp_path, stacked)).pixels[0].tolist() == [[1, 1], [1, 2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SHAPES + "0,line,0,1,1\n0,line,1,2,2\n", "shape 0 is a line, which has no area"),
        (SHAPES + "0,ellipse,0,1,1\n0,ellipse,1,2,2\n", "has 2 vertices, expected the 4 corners"),
        (SHAPES + "0,polygon,0,a,1\n", "no number"),
        (SHAPES + "0,polygon,0,1,1\n0,polygon,1,nan,3\n0,polygon,2,4,4\n", "no numbers, or too far"),
        (SHAPES + "0.5,polygon,0,1,1\n", "index holds 0.5"),
        ("index,shape-type,axis-0\n0,polygon,1\n", "has the columns index, shape-type, axis-0"),
        (SHAPES + "0,polygon,0,0,0\n0,polygon,1,9e6,0\n0,polygon,2,9e6,9e6\n", "crosses 18,000,000 rows"),
        (
            SHAPES + "0,rectangle,0,0,0\n0,rectangle,1,0,9e3\n0,rectangle,2,9e3,9e3\n0,rectangle,3,9e3,0\n",
            "claims .* pixels",
        ),
    ],
)
def test_what_is_wrong_with_shapes(tmp_path, content, message):
    with pytest.raises(FormatError, match=message):
        read_roi_table(text(tmp_path, content))


def test_many_large_shapes(tmp_path, monkeypatch):
    monkeypatch.setattr("roitrace.formats.rois.napari_shapes.MAX_TOTAL_PIXELS", 3)
    corners = [(0.5, 0.5), (0.5, 2.5), (1.5, 2.5), (1.5, 0.5)]
    rows = [f"{n},polygon,{v},{y},{x}\n" for n in range(2) for v, (y, x) in enumerate(corners)]
    with pytest.raises(FormatError, match="claim more than 3 pixels"):
        read_roi_table(text(tmp_path, SHAPES + "".join(rows)))


@pytest.mark.parametrize(
    ("content", "ids", "names"),
    [
        ([{"id": 9, "coordinates": [[1, 2]]}, {"id": 0, "coordinates": []}], (9, 0), ("9", "0")),
        ([{"id": "a", "coordinates": [[1, 2]]}, {"id": "b", "coordinates": [[3, 4]]}], (1, 2), ("a", "b")),
        ([{"coordinates": [[1.0, 2.0]]}], (1,), ("1",)),
        ([], (), ()),
    ],
)
def test_neurofinder(tmp_path, content, ids, names):
    table = read_roi_table(text(tmp_path, json.dumps(content), "regions.json"))
    assert (table.ids, table.names) == (ids, names)
    assert [yx.tolist() for yx in table.pixels] == [one["coordinates"] for one in content]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": 1}', "is no list of regions"),
        ('[{"id": 1}]', "is no list of regions"),
        ('[{"id": 1, "coordinates": [[1, 2], [3]]}]', "no pairs of row and column"),
        ('[{"id": 1, "coordinates": [1, 2]}]', r"shape \(2,\)"),
        ('[{"id": 1, "coordinates": [["a", "b"]]}]', "expected whole numbers"),
        ('[{"id": 1, "coordinates": [[NaN, 1]]}]', "holds nan"),
        ('[{"id": 1, "coordinates": [[1e400, 1]]}]', "holds inf"),
        ('[{"id": 1, "coordinates": [[1, 2.5]]}]', "holds 2.5"),
        ('[{"id": 1, "coordinates": [[' + "9" * 40 + ", 1]]}]", "whole numbers"),
        ('[{"id": 1, "coordinates": {"a": 1}}]', "shape|whole numbers"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('[{"id": 1, "coordinates": ' + "[" * 50_000 + "]" * 50_000 + "}]", "cannot be read as JSON"),
        ('[{"id": 1, "coor', "cannot be read as JSON"),
        ('[{"id": 1, "coordinates": [[1, 2], [1, 2]]}]', "twice"),
        ('[{"id": 1, "coordinates": [[1, 2]]}, {"id": 1, "coordinates": [[1, 2]]}]', "share the id 1"),
    ],
)
def test_malformed_neurofinder(tmp_path, content, message):
    with pytest.raises(FormatError, match=message):
        rt.read_rois(text(tmp_path, content, "regions.json"), recording=np.zeros((5, 6)))


def test_large_json(tmp_path, monkeypatch):
    monkeypatch.setattr("roitrace.bounded_json.MOST_BYTES", 3)
    with pytest.raises(FormatError, match="more than 3 B of JSON"):
        read_roi_table(text(tmp_path, "[    ]", "regions.json"))


def test_what_neurofinder_does_not_keep(tmp_path):
    table = RoiTable(
        ("a",), (4,), (np.array([[1, 2]]),), (5, 6), weights=(np.array([2.0]),), accepted=(False,)
    )
    lost = write_roi_table(table, tmp_path / "regions.json")
    assert lost == ("names", "weights", "which ROIs were rejected")
    assert json.loads((tmp_path / "regions.json").read_text()) == [{"id": 4, "coordinates": [[1, 2]]}]


@needs_data
def test_labelled_neurons(tmp_path):
    """111 neurons that people outlined; a tool that wrote x before y is found out by the recording."""
    folder = DATA / "neurofinder_neuhof"
    recording = rt.open_recording(folder / "movie_600x240x240_u16.tif")
    rois = rt.read_rois(folder / "regions_crop.json", recording=recording)
    assert len(rois) == 111
    assert rois.attrs["axis_order"] == "yx"
    assert rois.attrs["axis_order_reason"] == "both orders fit the frame; the image shows the ROIs at yx"
    regions = json.loads((folder / "regions_crop.json").read_text())
    swapped = [
        {"id": one["id"], "coordinates": [pixel[::-1] for pixel in one["coordinates"]]} for one in regions
    ]
    path = text(tmp_path, json.dumps(swapped), "swapped.json")
    with pytest.warns(
        UserWarning, match="rows and columns were exchanged: both orders fit .* the ROIs at xy"
    ):
        again = rt.read_rois(path, recording=recording)
    assert again.equals(rois)
    assert rt.read_rois(path, recording=recording, axis_order="xy").equals(rois)
    mean = rt.project(recording, "mean")["mean"].compute()
    with pytest.warns(UserWarning, match="rows and columns were exchanged"):
        assert rt.read_rois(path, recording=mean).equals(rois)
    assert not rt.read_rois(path, recording=recording, axis_order="yx").equals(rois)
