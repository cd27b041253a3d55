"""What people decide about cells, from the command line: the table is written, obeyed, and kept when cells are found anew."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import roitrace as rt
from roitrace.results import load


def rows(path):
    with Path(path).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def decide(path, **decisions):
    """Edit the table: name of a ROI to accepted, reason, note."""
    edited = [
        row | dict(zip(("accepted", "reason", "note"), decisions.get(f"roi{row['roi']}", ()), strict=False))
        for row in rows(path)
    ]
    with Path(path).open("w", encoding="utf-8", newline="") as lines:
        table = csv.DictWriter(lines, ["roi", "accepted", "reason", "note"])
        table.writeheader()
        table.writerows(edited)


@pytest.fixture
def images(call):
    assert (
        call(
            "project",
            "movie.npy",
            "images.zarr",
            "-q",
            "--statistics",
            "mean,std,correlation",
            "--frame-rate",
            10,
        ).code
        == 0
    )
    return "images.zarr"


def test_segment_writes_a_table_that_extract_obeys(call, images):
    answer = call("segment", images, "cells.zarr", "--cell-diameter", "9px")
    assert answer.code == 0, answer.err
    assert "cells.zarr.rois.csv" in answer.out
    assert rows("cells.zarr.rois.csv") == [
        {"roi": str(number), "accepted": "yes", "reason": "", "note": ""} for number in (1, 2, 3)
    ]
    decide("cells.zarr.rois.csv", roi2=("no", "vessel"))
    assert call("extract", "movie.npy", "cells.zarr", "traces.zarr", "-q").code == 0
    traces = load("traces.zarr")
    assert traces["traces"]["accepted"].values.tolist() == [True, False, True]
    assert rt.Rois.from_dataset(traces["rois"].to_dataset().load()).reasons == ("", "vessel", "")


def test_finding_cells_anew_keeps_decisions_and_says_what_changed(call, images):
    segment = ("segment", images, "cells.zarr", "--overwrite", "--cell-diameter")
    assert call(*segment, "9px").code == 0
    decide("cells.zarr.rois.csv", roi1=("no", "vessel", "see day 2"), roi3=("yes", "", "nice"))
    again = call(*segment, "9.5px", "--filter", "area_px >= 1000")
    assert again.code == 0
    assert (
        "against the earlier results: 3 cells kept, 0 new, 0 gone; decisions and notes kept: 2" in again.err
    )
    table = rows("cells.zarr.rois.csv")
    assert [(row["accepted"], row["note"]) for row in table] == [
        ("no", "see day 2"),
        ("no", ""),
        ("no", "nice"),
    ]
    assert table[0]["reason"] == "vessel"
    assert table[1]["reason"].startswith("area_px ")
    # a rule that goes takes its rejections with it; what a person decided stays
    assert call(*segment, "9px").code == 0
    assert [row["accepted"] for row in rows("cells.zarr.rois.csv")] == ["no", "yes", "yes"]
    assert [row["note"] for row in rows("cells.zarr.rois.csv")] == ["see day 2", "", "nice"]
    stored = load("cells.zarr")["rois"]
    assert stored["by_hand"].values.tolist() == [True, False, False]
    assert stored["note"].values.tolist() == ["see day 2", "", "nice"]


def test_decisions_about_cells_that_are_gone_are_kept_aside(call, images):
    segment = ("segment", images, "cells.zarr", "--overwrite", "--cell-diameter", "9px")
    assert call(*segment).code == 0
    decide("cells.zarr.rois.csv", roi1=("no", "vessel"))
    gone = call(*segment, "--set", "segment.min_overlap=0.99")
    assert gone.code == 0
    assert (
        "0 cells kept, 0 new, 3 gone (1, 2, 3); decisions and notes kept: 0, lost with their cell: 1 (1)"
        in gone.err
    )
    assert "the earlier table is kept in" in gone.err
    assert rows("cells.zarr.rois.csv") == []
    assert rows("cells.zarr.rois.earlier.csv")[0] == {
        "roi": "1",
        "accepted": "no",
        "reason": "vessel",
        "note": "",
    }


def test_run_obeys_the_table_when_it_runs_again(call):
    assert call("run", "job.yaml", "-q").code == 0
    decide("out.zarr.rois.csv", roi2=("no", "out of focus", "ask Ann"))
    again = call("run", "job.yaml", "--overwrite", "--set", "quality.rules=[n_pixels >= 5]")
    assert again.code == 0, again.err
    assert "3 cells kept, 0 new, 0 gone; decisions and notes kept: 1" in again.err
    tree = load("out.zarr")
    assert tree["traces"]["accepted"].values.tolist() == [True, False, True]
    assert tree["rois"]["reason"].values.tolist() == ["", "out of focus", ""]
    assert rows("out.zarr.rois.csv")[1] == {
        "roi": "2",
        "accepted": "no",
        "reason": "out of focus",
        "note": "ask Ann",
    }
    # a rule rejects all but the cell that a person accepts
    decide("out.zarr.rois.csv", roi1=("yes", "sure"))
    ruled = call("run", "job.yaml", "--overwrite", "-q", "--set", "quality.rules=[n_pixels >= 5000]")
    assert ruled.code == 0, ruled.err
    tree = load("out.zarr")
    assert tree["rois"]["accepted"].values.tolist() == [True, False, False]
    assert tree["rois"]["reason"].values.tolist()[:2] == ["sure", "out of focus"]
    assert [row["accepted"] for row in rows("out.zarr.rois.csv")] == ["yes", "no", "no"]


def test_a_mistake_in_the_table_stops_before_anything_is_read(call):
    assert call("run", "job.yaml", "-q").code == 0
    Path("out.zarr.rois.csv").write_text("roi,accepted,reason,note\n1,perhaps,,\n", encoding="utf-8")
    Path("movie.npy").unlink()
    answer = call("run", "job.yaml", "--overwrite", "-q")
    assert answer.code == 1
    assert "out.zarr.rois.csv, line 2: accepted is 'perhaps' for ROI '1', expected yes or no" in answer.err
    assert load("out.zarr")["rois"].sizes["roi"] == 3


def test_a_table_without_its_results_is_not_obeyed_blindly(call, images, work):
    assert call("segment", images, "cells.zarr", "--cell-diameter", "9px").code == 0
    (work / "cells.zarr").rename(work / "moved.zarr")
    answer = call("segment", images, "cells.zarr", "--cell-diameter", "9px")
    assert answer.code == 2
    assert "is a table of decisions about the cells of cells.zarr, but these are not there" in answer.err
    assert "move the table away to begin anew" in answer.err
    assert rows("cells.zarr.rois.csv")


def test_several_images_an_estimated_diameter_and_filters(call, images):
    options = ("--image", "mean, correlation", "--cell-diameter", "auto", "--json")
    answer = call(
        "segment", images, "cells.zarr", *options, "--filter", "activity >= -9", "--filter", "border_px < 1"
    )
    assert answer.code == 0, answer.err
    facts = json.loads(answer.out)
    assert facts["rois"] == facts["accepted"] == 3
    assert facts["cell_diameter"].endswith(" px")
    stored = rt.Rois.from_dataset(load("cells.zarr")["rois"].to_dataset().load())
    assert list(stored.attrs["on"]) == ["mean", "correlation"]
    projections = load(images)["projections"].to_dataset().load()
    expected = rt.segment(projections, on=("mean", "correlation"), cell_diameter="auto")
    np.testing.assert_array_equal(stored.pixels, expected.pixels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--filter", "size > 3"), "a rule about one of area_px"),
        (("--filter", "peak_snr > 3"), "a rule about one of area_px"),
        (("--filter", "area_px = 3"), "is no rule"),
        (
            ("--image", "mean,correlation", "--threshold", "otsu"),
            "one image with a threshold, not mean, correlation",
        ),
        (("--image", "mean,meen"), "holds no projection 'meen'"),
        (("--cell-diameter", "large"), "'large' is no length"),
    ],
)
def test_what_segment_refuses(call, images, options, message):
    answer = call("segment", images, "cells.zarr", *options)
    assert answer.code == 2
    assert message in answer.err
    assert not Path("cells.zarr").exists()
    assert not Path("cells.zarr.rois.csv").exists()


@pytest.mark.filterwarnings("ignore:.* does not keep")
def test_transfer_moves_cells_and_their_decisions(call):
    movie = np.load("movie.npy")
    np.save("first.npy", movie[:, 3:, 2:])
    np.save("second.npy", movie[:, :-3, :-2])
    for name in ("first", "second"):
        assert call("project", f"{name}.npy", f"{name}-images.zarr", "-q", "--statistics", "mean").code == 0
    assert call("segment", "first-images.zarr", "first.zarr", "--cell-diameter", "9px").code == 0
    decide("first.zarr.rois.csv", roi2=("no", "vessel"))
    answer = call(
        "transfer", "first.zarr", "first-images.zarr", "second-images.zarr", "second.zarr", "--json"
    )
    assert answer.code == 0, answer.err
    facts = json.loads(answer.out)
    assert facts["offset"] == [3, 2]
    assert "median fit of the ROIs 1.00" in facts["result"]
    before, after = (
        rt.Rois.from_dataset(load(f"{name}.zarr")["rois"].to_dataset().load()) for name in ("first", "second")
    )
    assert after.accepted.tolist() == [True, False, True]
    assert after.names == before.names
    np.testing.assert_array_equal(
        after.coordinates(0).to_yx(), before.coordinates(0).to_yx() + np.array([3, 2])
    )
    assert load("second.zarr")["transfer"]["fit"].sizes == {"roi": 3}
    assert rows("second.zarr.rois.csv")[1]["reason"] == "vessel"
    given = call(
        "transfer", "first.zarr", "first-images.zarr", "second-images.zarr", "set.zip", "--offset=-1,0"
    )
    assert given.code == 0, given.err
    assert "moved by -1 px down, 0 px right" in given.out
    wrong = call(
        "transfer", "first.zarr", "first-images.zarr", "second-images.zarr", "b.zarr", "--offset", "1"
    )
    assert wrong.code == 2
    assert "expected two whole numbers of pixels such as 3,-2" in wrong.err
