"""Motion, bad frames and bad pixels on the command line."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import roitrace as rt


@pytest.fixture
def troubled(work):
    """Give a recording that jumps, with two bad frames and a hot pixel; the true jump in a CSV."""
    movie = np.load(work / "movie.npy")
    movie[20:30] = np.roll(movie[20:30], 3, axis=1)
    movie[:, 11, 40] += 900
    movie[7], movie[50] = 0, movie[49]
    np.save(work / "troubled.npy", movie)
    dy = np.where((np.arange(60) >= 20) & (np.arange(60) < 30), -3, 0)
    rows = [f"{frame},{shift},0" for frame, shift in enumerate(dy)]
    (work / "shifts.csv").write_text("\n".join(["frame,dy,dx", *rows]) + "\n", encoding="utf-8")
    return work


@pytest.mark.usefixtures("troubled")
def test_info_tells_of_motion_in_words(call):
    answer = call("info", "troubled.npy", "--motion", "-q")
    assert answer.code == 0
    assert "displacement 95 percentile px" in answer.out
    assert "roitrace does not register" in answer.out
    moved = json.loads(call("info", "troubled.npy", "--motion", "--json", "-q").out)
    assert moved["displacement_largest_px"] == pytest.approx(3, abs=0.5)
    still = json.loads(call("info", "troubled.npy", "--motion", "--json", "-q", "--shifts", "shifts.csv").out)
    assert still["displacement_95_percentile_px"] < 1
    assert "displacement" not in call("info", "troubled.npy").out


@pytest.mark.usefixtures("work")
def test_info_motion_of_results_is_refused(call):
    assert call("run", "job.yaml", "-q").code == 0
    answer = call("info", "out.zarr", "--motion")
    assert answer.code == 2
    assert "looks at recordings" in answer.err


def test_check_finds_and_writes_what_extract_takes(troubled, call):
    saved = ("--save-bad-frames", "frames.csv", "--save-bad-pixels", "pixels.csv")
    answer = call("check", "troubled.npy", *saved, "--json", "-q")
    assert answer.code == 0
    facts = json.loads(answer.out)
    assert (facts["bad_frames"], facts["bad_frames_constant"], facts["bad_frames_duplicate"]) == (2, 1, 1)
    assert facts["bad_pixels"] == 1
    with (troubled / "frames.csv").open(encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["frame", "why"], ["7", "constant"], ["50", "duplicate"]]
    assert (troubled / "pixels.csv").read_text(encoding="utf-8").split() == ["y,x", "11,40"]
    assert call("check", "troubled.npy", *saved, "-q").code == 1
    roi = np.zeros((40, 48), np.uint8)
    roi[8:16, 36:44] = 1
    np.save(troubled / "roi.npy", roi)
    options = ("--shifts", "shifts.csv", "--bad-frames", "frames.csv", "--bad-pixels", "pixels.csv", "-q")
    done = call("extract", "troubled.npy", "roi.npy", "t.zarr", *options, "--bad-frame-policy", "interpolate")
    assert done.code == 0, done.err
    traces = rt.load(troubled / "t.zarr")["traces"].to_dataset()
    recording = rt.exclude(rt.open_recording("troubled.npy"), pixels=np.load(troubled / "roi.npy") > 1)
    bad = np.zeros((40, 48), bool)
    bad[11, 40] = True
    recording = rt.exclude(
        rt.shift(rt.exclude(recording, pixels=bad), "shifts.csv"), frames=[7, 50], policy="interpolate"
    )
    expected = rt.extract(recording, roi > 0, "mean").compute()
    np.testing.assert_array_equal(traces["mean"].values, expected["mean"].values)
    assert traces["n_valid"].values[0].min() == 0
    assert np.flatnonzero(traces["interpolated"].values).tolist() == [7, 50]


def test_frames_and_pixels_of_a_part_are_those_of_the_file(troubled, call):
    part = ("--time", "5:40", "--y", "5:35", "--x", "10:48")
    saved = ("--save-bad-frames", "frames.csv", "--save-bad-pixels", "pixels.csv")
    assert call("check", "troubled.npy", *part, *saved, "-q").code == 0
    assert (troubled / "frames.csv").read_text(encoding="utf-8").split()[1:] == ["7,constant"]
    assert (troubled / "pixels.csv").read_text(encoding="utf-8").split()[1:] == ["11,40"]
    options = ("--bad-frames", "frames.csv", "--bad-pixels", "pixels.csv", "--json", "-q")
    facts = json.loads(call("check", "troubled.npy", *part, *options).out)
    assert (facts["bad_frames"], facts["bad_frames_missing"], facts["bad_pixels"]) == (1, 1, 0)
    numbers = json.loads(call("check", "troubled.npy", *part, "--bad-frames", "7,50", "--json", "-q").out)
    assert numbers["bad_frames_missing"] == 1


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--bad-frames", "99"), 2, "frame 99 is not there, the file has 60"),
        (("--bad-frames", "none.csv"), 2, "does not exist"),
        (("--bad-frames", "7", "--bad-frame-policy", "drop"), 2, "expected one of nan, skip, interpolate"),
        (("--bad-frames", "7", "--bad-frame-policy", "skip"), 2, "counts frames of the file"),
        (("--shifts", "movie.npy"), 2, "expected (frames, 2)"),
        (("--bad-pixels", "movie.npy"), 2, "expected a bool image"),
        (("--bad-pixels", "far.csv"), 2, "pixel [100, 2] is not there, the frame is 40 x 48"),
    ],
)
def test_wrong_options_are_told_in_words(work, call, options, code, says):
    (work / "far.csv").write_text("y,x\n100,2\n", encoding="utf-8")
    answer = call("check", "movie.npy", *options)
    assert answer.code in {1, code}
    assert says in answer.err
    assert "Traceback" not in answer.err
