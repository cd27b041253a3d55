"""Every verb does what the library does, and verb by verb is the same as the whole job."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

import roitrace as rt
from roitrace.results import load


def test_verb_by_verb_is_the_whole_job(call):
    assert call("convert", "movie.npy", "movie.zarr", "--frame-rate", 10, "-q").code == 0
    assert call("project", "movie.zarr", "images.zarr", "-q").code == 0
    assert call("segment", "images.zarr", "cells.zarr", "--cell-diameter", "9px").code == 0
    options = ("--weights", "brightness", "--images", "images.zarr", "-q")
    assert call("extract", "movie.zarr", "cells.zarr", "traces.zarr", *options).code == 0
    assert call("normalize", "traces.zarr", "dff.zarr", "-q").code == 0
    assert call("compare", "traces.zarr", "comparison.zarr", "-q").code == 0
    assert call("run", "job.yaml", "-q").code == 0
    whole = load("out.zarr")
    for store, group, names in (
        ("images.zarr", "projections", ("mean", "max", "std")),
        ("cells.zarr", "mask", ("mask",)),
        ("traces.zarr", "traces", ("mean", "median", "trimmed_mean", "weighted_mean", "status")),
        ("dff.zarr", "normalized", ("dff", "f0")),
        ("comparison.zarr", "comparison", ("slope", "peak_snr")),
    ):
        for name in names:
            np.testing.assert_array_equal(load(store)[group][name].values, whole[group][name].values)


def test_run_prints_a_table(work, call):
    answer = call("run", "job.yaml")
    assert answer.code == 0
    assert "medians over cells" in answer.out
    assert "weighted_mean" in answer.out
    assert "3 found" in answer.out
    assert str(work / "out.zarr") in answer.out
    assert "extract: " in answer.err


def test_run_prints_the_truth_of_simulations(call):
    settings = ["simulate={shape: [200, 64, 64], n_rois: 5, frame_rate: 15}", "recording.path=made.zarr"]
    settings += ["recording.frame_rate=15", "rois.segment.cell_diameter=12 um"]
    answer = call("run", "job.yaml", *(one for setting in settings for one in ("--set", setting)), "-q")
    assert answer.code == 0
    assert "of 5 true ones among them (precision" in answer.out
    assert "true masks: correlation" in " ".join(answer.out.split())


def test_run_as_json(work, call):
    answer = call("run", "job.yaml", "--json", "-q")
    summary = json.loads(answer.out)
    assert answer.err == ""
    assert summary["cells"] == 3
    assert summary["truth"] is None
    assert summary["output"] == str(work / "out.zarr")
    assert [one["statistic"] for one in summary["statistics"]] == [
        "mean",
        "median",
        "trimmed_mean",
        "weighted_mean",
    ]
    assert summary["peak_memory_bytes"] > 0


def test_options_win_over_the_file(work, call):
    assert call("run", "job.yaml", "-q").code == 0
    assert call("run", "job.yaml", "-q", "--overwrite", "--budget", "700 MiB", "--workers", 1).code == 0
    configuration = json.loads((work / "out.zarr.run" / "run.json").read_text())["configuration"]
    assert configuration["resources"] == {"budget": 700 * 2**20, "workers": 1}
    assert configuration["output"]["overwrite"] is True


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_scheduler(call, scheduler):
    assert call("project", "movie.npy", "images.zarr", "-q", "--scheduler", scheduler).code == 0
    np.testing.assert_array_equal(
        load("images.zarr")["projections"]["max"].values, np.load("movie.npy").max(axis=0)
    )


def test_no_cells_ends_well(call):
    answer = call("run", "job.yaml", "--set", "rois={threshold: {method: value, value: 1e6}}", "-q")
    assert answer.code == 0
    assert "0 found" in answer.out
    assert load("out.zarr")["rois"].sizes["roi"] == 0
    call("project", "movie.npy", "images.zarr", "-q")
    answer = call(
        "segment", "images.zarr", "cells.zarr", "--threshold", "value", "--set", "threshold.value=1e6"
    )
    assert answer.code == 0
    assert "no cells were found" in answer.err


def test_no_cells_says_what_to_try(call):
    answer = call("run", "job.yaml", "--set", "rois={threshold: {method: value, value: 1e6}}")
    assert "no cells were found: look at the projections, then try another image" in answer.err


def test_info_of_a_recording(call):
    answer = call("info", "movie.npy", "--json", "--frame-rate", 4, "--pixel-size", "1.5,2", "--time", "10:")
    facts = json.loads(answer.out)
    assert facts["shape"] == [50, 40, 48]
    assert facts["dtype"] == "uint16"
    assert facts["frame_rate"] == 4.0
    assert (facts["frame_interval"], facts["pixel_height"], facts["pixel_width"]) == (
        "0.25 s",
        "1.5 micrometer",
        "2 micrometer",
    )
    assert facts["missing"] == ["acquisition time"]
    assert facts["storage"]["chunk"] == [1, 40, 48]
    assert facts["conversion"]["chunks_per_trace"] == 1
    lines = {line[:17].strip(): line[17:].strip() for line in call("info", "movie.npy").out.splitlines()}
    assert lines["format"] == "npy"
    assert lines["axes"] == "time 60, y 40, x 48"
    assert lines["frame rate"] == "unknown"
    assert lines["missing"] == "frame rate, pixel size, acquisition time"
    assert lines["chunk"] == "1 x 40 x 48 (time x height x width), memory-mapped"
    assert lines["one trace reads"].startswith("60 chunks")
    assert lines["convert"] == "not needed: the recording is small"
    assert lines["note 1"].startswith("axes taken as 60 frames")


def test_info_of_results(call):
    call("project", "movie.npy", "images.zarr", "-q")
    facts = json.loads(call("info", "images.zarr", "--json").out)
    assert facts["kind"] == "roitrace results"
    assert "mean (y 40, x 48)" in facts["projections"]
    table = call("info", "images.zarr").out
    assert "projections   max, mean, std   y 40, x 48" in table
    assert "projections  mean, max, std" in table
    assert "{" not in table


def test_convert_a_part_of_the_options(call):
    answer = call("convert", "movie.npy", "movie.zarr", "--chunks", "16,32,32", "--json", "-q")
    assert json.loads(answer.out)["shape"] == [60, 40, 48]
    np.testing.assert_array_equal(rt.open_recording("movie.zarr").values, np.load("movie.npy"))


def test_simulate(call):
    said = call("simulate", "small.zarr", "--shape", "20,32,32", "--n-rois", 1, "-q").out
    assert "axes            time 20, y 32, x 32" in said
    assert "bytes           40.0 KiB" in said
    answer = call(
        "simulate",
        "made.zarr",
        "--shape",
        "50,48,48",
        "--n-rois",
        3,
        "--seed",
        5,
        "--set",
        "haze=0",
        "-q",
        "--json",
    )
    assert json.loads(answer.out)["shape"] == [50, 48, 48]
    assert rt.load_truth("made.zarr").parameters["haze"] == 0
    assert len(rt.load_truth("made.zarr").rois) == 3


def test_segment_for_other_programs(call):
    call("project", "movie.npy", "images.zarr", "-q")
    assert call("segment", "images.zarr", "RoiSet.zip", "--cell-diameter", "9px").code == 0
    assert call("segment", "images.zarr", "labels.tif", "--cell-diameter", "9px").code == 0
    assert call("segment", "images.zarr", "cells.zarr", "--cell-diameter", "9px").code == 0
    labels = tifffile.imread("labels.tif")
    for rois in ("RoiSet.zip", "labels.tif", "cells.zarr"):
        answer = call(
            "extract", "movie.npy", rois, "traces.zarr", "--statistics", "mean", "--overwrite", "-q"
        )
        assert answer.code == 0
        expected = np.load("movie.npy")[:, labels == 1].mean(axis=1)
        np.testing.assert_allclose(load("traces.zarr")["traces"]["mean"].values[0], expected, rtol=1e-12)


def test_segment_by_a_threshold(call):
    call("project", "movie.npy", "images.zarr", "-q")
    settings = (
        "--set",
        "threshold.percentile=90",
        "--set",
        "clean.min_pixels=20",
        "--set",
        "label.connectivity=1",
    )
    assert call("segment", "images.zarr", "cells.zarr", "--threshold", "percentile", *settings).code == 0
    mask = rt.clean_mask(rt.threshold(np.load("movie.npy").mean(axis=0), percentile=90), min_pixels=20)
    np.testing.assert_array_equal(load("cells.zarr")["mask"]["mask"].values, mask.values)


def test_extract_with_parameters(call):
    call("project", "movie.npy", "images.zarr", "-q")
    call("segment", "images.zarr", "cells.zarr", "--cell-diameter", "9px")
    statistics = "mean,{percentile: {q: 90, name: p90}},trimmed_mean"
    options = (
        "--statistics",
        statistics,
        "--proportion-to-cut",
        0.25,
        "--weights",
        "proximity",
        "-q",
        "--json",
    )
    answer = call("extract", "movie.npy", "cells.zarr", "traces.zarr", *options)
    assert json.loads(answer.out)["statistics"] == ["mean", "p90", "trimmed_mean", "weighted_mean"]
    traces = load("traces.zarr")["traces"].to_dataset()
    assert traces["trimmed_mean"].attrs["statistic"] == "trimmed_mean(proportion_to_cut=0.25)"


def test_normalize_in_frames(call):
    call("project", "movie.npy", "images.zarr", "-q")
    call("segment", "images.zarr", "cells.zarr", "--cell-diameter", "9px")
    call("extract", "movie.npy", "cells.zarr", "traces.zarr", "-q")
    options = ("--window", "30 frames", "--smoothing", "0", "--statistic", "median", "--offset", 5, "-q")
    assert call("normalize", "traces.zarr", "dff.zarr", *options).code == 0
    traces = load("traces.zarr")["traces"].to_dataset().compute()
    expected = rt.normalize(traces, statistic="median", offset=5, window="30 frames", smoothing=None)
    np.testing.assert_array_equal(load("dff.zarr")["normalized"]["dff"].values, expected["dff"].values)
    parameters = json.loads(load("dff.zarr").attrs["parameters"])
    assert parameters["normalize"]["statistic"] == "median"
    assert parameters["extract"]["overlap"] == "keep"


def test_rois_go_along_to_where_pixels_are_exported(call):
    extracted(call, "--neuropil", "suite2p")
    assert call("correct-neuropil", "traces.zarr", "fcorr.zarr", "-q").code == 0
    assert call("normalize", "fcorr.zarr", "dff.zarr", "--window", "5 s", "-q").code == 0
    cells = rt.read_rois("cells.zarr")
    assert rt.read_rois("fcorr.zarr").equals(cells)
    assert rt.read_rois("dff.zarr").equals(cells)
    assert call("export", "fcorr.zarr", "plane0", "--format", "suite2p", "-q").code == 0
    assert len(rt.read_rois("plane0")) == len(cells)


def test_compare_only_prints(work, call):
    call("run", "job.yaml", "-q")
    before = sorted(path.name for path in work.iterdir())
    answer = call("compare", "out.zarr", "-q", "--json")
    rows = json.loads(answer.out)["statistics"]
    assert [one["statistic"] for one in rows] == ["mean", "median", "trimmed_mean", "weighted_mean"]
    assert rows[0]["slope"] == 1.0
    assert sorted(path.name for path in work.iterdir()) == before
    assert "trimmed_mean" in call("compare", "out.zarr", "-q").out


def extracted(call, *options):
    call("project", "movie.npy", "images.zarr", "-q")
    call("segment", "images.zarr", "cells.zarr", "--cell-diameter", "9px")
    answer = call("extract", "movie.npy", "cells.zarr", "traces.zarr", "--frame-rate", 10, "-q", *options)
    assert answer.code == 0
    return load("traces.zarr")["traces"].to_dataset().compute()


def test_overlap_rules_neuropil_and_corrections(call):
    traces = extracted(call, "--overlap", "keep,nearest", "--neuropil", "suite2p", "--statistics", "mean,max")
    assert traces["overlap"].values.tolist() == ["keep", "nearest"]
    rois = rt.Rois.from_dataset(load("traces.zarr")["rois"].to_dataset().load())
    rings = rt.Rois.from_dataset(load("traces.zarr")["neuropil"].to_dataset().load())
    assert rings.equals(rt.neuropil(rois))
    assert call("correct-neuropil", "traces.zarr", "fcorr.zarr", "--r", "fit", "--offset", 5, "-q").code == 0
    first = traces.isel(overlap=0, drop=True)
    expected = rt.correct_neuropil(first, r="fit", offset=5)
    fcorr = load("fcorr.zarr")["corrected"]
    np.testing.assert_array_equal(fcorr["fcorr"].values, expected["fcorr"].values)
    answer = call("normalize", "fcorr.zarr", "dff.zarr", "--window", "3 s", "--offset", 5, "-q", "--json")
    assert json.loads(answer.out)["of"] == "fcorr"
    dff = rt.normalize(expected, window="3 s", offset=5)
    np.testing.assert_array_equal(load("dff.zarr")["normalized"]["dff"].values, dff["dff"].values)
    assert call("correct-neuropil", "dff.zarr", "no.zarr", "-q").code == 2


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        (
            ("--baseline", "maximin", "--smoothing", "4 frames"),
            {"baseline": "maximin", "smoothing": "4 frames"},
        ),
        (("--baseline", "first", "--first", "2 s"), {"baseline": "first", "first": "2 s"}),
        (
            ("--baseline", "frames", "--frames", "0:1,3:4.5"),
            {"baseline": "frames", "frames": [[0, 1], [3, 4.5]]},
        ),
    ],
)
def test_baselines(call, options, meant):
    traces = extracted(call)
    assert call("normalize", "traces.zarr", "dff.zarr", *options, "-q").code == 0
    expected = rt.normalize(traces, **meant)
    np.testing.assert_array_equal(load("dff.zarr")["normalized"]["dff"].values, expected["dff"].values)


def test_baseline_ratio_and_epochs_that_are_none(call):
    traces = extracted(call)
    assert (
        call(
            "normalize", "traces.zarr", "dff.zarr", "--baseline", "ratio", "--reference", "traces.zarr", "-q"
        ).code
        == 0
    )
    expected = rt.normalize(traces, baseline="ratio", reference=traces)
    np.testing.assert_array_equal(load("dff.zarr")["normalized"]["dff"].values, expected["dff"].values)
    answer = call("normalize", "traces.zarr", "x.zarr", "--baseline", "frames", "--frames", "0-30", "-q")
    assert answer.code == 2
    assert "epochs such as 0:30,90:120" in answer.err


def test_compare_recordings(work, call):
    extracted(call)
    np.save(work / "half.npy", np.load(work / "movie.npy") // 2)
    options = ("--frame-rate", 10, "-q", "--output", "difference.zarr", "--figure", "difference.png")
    answer = call("compare-recordings", "cells.zarr", "movie.npy", "half.npy", *options)
    assert answer.code == 0
    assert "noise ratio" in answer.out
    table = load("difference.zarr")["recordings"].to_dataset()
    assert table["recording"].values.tolist() == ["movie.npy", "half.npy"]
    np.testing.assert_allclose(table["slope"].sel(recording="half.npy").values, 0.5, atol=0.02)
    assert (work / "difference.png").stat().st_size > 0
    twice = call("compare-recordings", "cells.zarr", "movie.npy", "movie.npy", "-q")
    assert (twice.code, twice.lines[0]) == (2, "error: movie.npy is given twice")


def test_quality_rejects_with_reasons(call):
    traces = extracted(call)
    rois = rt.Rois.from_dataset(load("traces.zarr")["rois"].to_dataset().load())
    table = rt.quality(traces, rois)
    limit = float(np.sort(table["noise"].values)[-1])
    answer = call("quality", "traces.zarr", "judged.zarr", "--rule", f"noise < {limit!r}", "-q")
    assert answer.code == 0
    assert "peak_snr" in answer.out
    assert "rejected  1" in answer.out
    judged = rt.Rois.from_dataset(load("judged.zarr")["rois"].to_dataset().load())
    assert judged.accepted.sum() == len(rois) - 1
    np.testing.assert_array_equal(load("judged.zarr")["quality"]["peak_snr"].values, table["peak_snr"].values)
    rows = json.loads(call("quality", "traces.zarr", "--json", "-q").out)["rois"]
    assert [row["roi"] for row in rows] == list(rois.names)
    assert rows[0]["noise"] == float(table["noise"][0])
    assert call("quality", "traces.zarr", "--rule", "noise < much", "-q").code == 2


# -- rois ----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("default::UserWarning")  # they are notes here
def test_rois_from_one_program_to_another(work, call):
    assert call("project", "movie.npy", "images.zarr", "-q").code == 0
    assert call("segment", "images.zarr", "RoiSet.zip", "--cell-diameter", "9px").code == 0
    answer = call("rois", "RoiSet.zip", "plane0", "--format", "suite2p", "--recording", "movie.npy")
    assert answer.code == 0
    assert "does not keep: ids (suite2p counts from 0)" in answer.err
    assert "40 x 48" in answer.out
    answer = call("rois", "plane0", "labels.tif", "--json")
    assert json.loads(answer.out)["rois"] == 3
    assert json.loads(answer.out)["axis_order"] == "yx"
    drawn = rt.read_rois(work / "RoiSet.zip", recording=np.zeros((40, 48)))
    np.testing.assert_array_equal(rt.read_rois(work / "labels.tif").to_mask(), drawn.to_mask())
    answer = call("extract", "movie.npy", "plane0", "f.zarr", "--convention", "suite2p", "-q")
    assert answer.code == 0
    expected = rt.extract(rt.open_recording("movie.npy"), drawn, "mean").compute()["mean"]
    np.testing.assert_allclose(load("f.zarr")["traces"]["weighted_mean"], expected, rtol=1e-12)
    assert call("rois", "RoiSet.zip", "a.csv", "--shape", "40,48").code == 0
    transposed = call("rois", "a.csv", "b.csv", "--shape", "48,40", "--axis-order", "xy")
    assert transposed.code == 0
    assert (
        rt.read_rois(work / "b.csv", recording=np.zeros((48, 40))).n_pixels.tolist()
        == drawn.n_pixels.tolist()
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("RoiSet.zip", "a.csv"), 2, "there is no file RoiSet.zip"),
        (("a.csv", "b.csv"), 2, "does not say how large the image was"),
        (("a.csv", "b.xyz", "--shape", "40,48"), 2, "ROIs cannot be written as 'b.xyz'"),
        (("a.csv", "b.csv", "--shape", "40,48", "--format", "abc"), 2, "no format is named 'abc'"),
        (("a.csv", "a.csv", "--shape", "40,48"), 1, "exists already"),
        (("a.csv", "b.csv", "--shape", "40"), 2, "expected 2 whole numbers"),
        (("a.csv", "b.csv", "--shape", "40,48", "--recording", "movie.npy"), 2, "not both"),
        (("a.csv", "b.csv", "--shape", "40,48", "--axis-order", "zy"), 2, "expected one of auto, yx, xy"),
        (("a.csv", "b.csv", "--shape", "40,48", "--support", "2"), 2, "expected a part of the maximum"),
        (("bad.csv", "b.csv", "--shape", "40,48"), 1, "none for y_index"),
    ],
)
def test_rois_that_cannot_be_converted(work, call, arguments, code, message):
    (work / "a.csv").write_text("roi,y,x\n1,2,3\n")
    (work / "bad.csv").write_text("roi,x\n1,3\n")
    answer = call("rois", *arguments)
    assert answer.code == code
    assert message in " ".join(answer.err.split())
    assert not (work / "b.csv").exists()


# -- init -------------------------------------------------------------------------------------------------------


def test_init_lists_examples(call):
    answer = call("init", "--list")
    assert answer.code == 0
    names = [line.split()[0] for line in answer.out.splitlines()]
    assert {"quickstart", "tiff", "hdf5", "imagej_rois"} <= set(names)


@pytest.mark.parametrize("name", ["quickstart", "tiff", "hdf5", "imagej_rois", "suite2p_rois", "threshold"])
def test_init_writes_an_example_that_is_right(work, call, name):
    from roitrace.config import read_config

    assert call("init", name, "--folder", "new").code == 0
    config = read_config(work / "new" / f"{name}.yaml")
    assert config.output.path == str(work / "new" / "results" / f"{name}.zarr")


def test_init_begins_with_quickstart(call):
    answer = call("init")
    assert answer.out == "quickstart.yaml is written; next: roitrace run quickstart.yaml\n"
    assert call("init").code == 1
    assert call("init", "--overwrite").code == 0


def test_init_writes_the_tutorial(work, call):
    assert call("init", "tutorial").code == 0
    assert json.loads((work / "tutorial.ipynb").read_text())["nbformat"] == 4


def test_several_files_are_sessions_unless_they_are_said_to_be_continuous(call):
    np.save("second.npy", np.load("movie.npy"))
    call("convert", "movie.npy", "second.npy", "both.zarr", "-q")
    assert json.loads(call("info", "both.zarr", "--json").out)["sessions"] == 2
    call("convert", "movie.npy", "second.npy", "one.zarr", "--continuous", "-q")
    assert json.loads(call("info", "one.zarr", "--json").out)["sessions"] == 1


def test_init_of_a_cluster_says_how_it_is_used(call):
    assert "next: roitrace run CONFIG --cluster slurm.yaml" in call("init", "slurm").out
