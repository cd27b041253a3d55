"""The whole job on small recordings: what it leaves behind, and how it ends when something is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dask
import numpy as np
import pytest
import tifffile
import xarray as xr
import yaml

import roitrace as rt
from roitrace.config import read_config
from roitrace.errors import (
    AlignmentError,
    ArgumentError,
    JobError,
    MetadataError,
    OutputExistsError,
    StoreError,
)
from roitrace.pipeline.run import run
from roitrace.results import load
from roitrace.rois import Rois

from .conftest import digest, job_of

pytestmark = pytest.mark.filterwarnings("error")


def cells_movie(folder, n_frames=120, dtype="uint16", name="movie.npy"):
    """Three bright squares that flicker, without frame rate or pixel size."""
    random = np.random.default_rng(0)
    movie = random.poisson(20.0, (n_frames, 40, 48)).astype(dtype)
    for y, x in ((5, 5), (20, 30), (28, 8)):
        movie[:, y : y + 8, x : x + 8] += random.poisson(60.0, (n_frames, 1, 1)).astype(dtype)
    np.save(folder / name, movie)
    return movie


def own_job(folder, name="own", **sections):
    return {
        "recording": {"path": str(folder / "movie.npy"), "frame_rate": 10},
        "rois": {"segment": {"cell_diameter": "9 px"}},
        "figures": None,
        "output": {"path": str(folder / f"{name}.zarr")},
    } | sections


def test_results_are_complete(finished):
    tree = load(finished / "results.zarr")
    assert set(tree.children) == {
        "projections",
        "mask",
        "rois",
        "motion",
        "traces",
        "quality",
        "normalized",
        "comparison",
        "truth",
    }
    rois = Rois.from_dataset(tree["rois"].to_dataset())
    assert len(rois) > 0
    assert rois.weights is not None
    np.testing.assert_array_equal(tree["mask"]["mask"].values, rois.to_mask().values)
    assert set(tree["projections"].data_vars) == {"mean", "max", "std"}


def test_traces_are_those_of_the_verbs(finished):
    tree = load(finished / "results.zarr")
    recording = rt.open_recording(finished / "recording.zarr")
    rois = Rois.from_dataset(tree["rois"].to_dataset())
    statistics = ("mean", "median", "trimmed_mean", "weighted_mean")
    traces = rt.extract(recording, rois, statistics).compute()
    written = tree["traces"].to_dataset().compute()
    assert "modality" in written.attrs.pop("no_neuropil")
    xr.testing.assert_identical(written, traces)
    dff = rt.normalize(traces, "dff", offset=100)
    for name in ("dff", "f0", "noise", "status"):
        np.testing.assert_array_equal(tree["normalized"][name].values, dff[name].values)
    comparison = rt.compare(traces)
    np.testing.assert_array_equal(tree["comparison"]["slope"].values, comparison["slope"].values)
    assert tree["comparison"]["statistic"].values.tolist() == list(statistics)
    images = rt.project(recording, ("mean", "max", "std")).compute()
    for name in images.data_vars:
        np.testing.assert_array_equal(tree["projections"][name].values, images[name].values)


def test_truth_is_compared(finished):
    tree = load(finished / "results.zarr")
    truth = rt.load_truth(finished / "recording.zarr")
    rois = Rois.from_dataset(tree["rois"].to_dataset())
    pairs = rt.match_rois(rois, truth.rois)
    assert float(tree["truth/cells"]["recall"]) == float(pairs["recall"])
    assert tree["truth/true_masks"].sizes["roi"] == 6
    assert tree["truth/found_masks"].sizes["roi"] == pairs.sizes["pair"]
    assert float(tree["truth/true_masks"]["median_correlation"].sel(statistic="mean")) > 0.5


def test_figures_are_drawn(finished):
    names = {path.name for path in (finished / "results.zarr.figures").iterdir()}
    images = {"projections.png", "mask.png", "rois.png"}
    traces = {"traces.png", "comparison.png", "quality.png"}
    example = {"example_comparison.png", "example_pixels.png", "example_weights.png"}
    assert names == images | traces | example


def test_store_holds_only_what_was_computed(finished):
    for path in (finished / "results.zarr").rglob("zarr.json"):
        text = path.read_text()
        for word in (str(finished), "recording.zarr", "budget", "workers", "2026-"):
            assert word not in text
    attrs = load(finished / "results.zarr").attrs
    parameters = json.loads(attrs["parameters"])
    assert parameters["simulate"]["seed"] == 3
    assert parameters["normalize"]["offset"] == 100
    assert len(attrs["source"]) == 64


def test_run_is_recorded_beside_the_store(finished):
    record = json.loads((finished / "results.zarr.run" / "run.json").read_text())
    assert record["configuration"]["recording"]["path"] == str(finished / "recording.zarr")
    assert record["seconds"] > 0
    assert record["peak_memory_bytes"] > 2**20
    assert {"simulate", "project", "segment", "extract", "normalize", "compare"} <= set(
        record["seconds_per_step"]
    )
    log = (finished / "results.zarr.run" / "log.txt").read_text()
    assert log.index("extract begins") < log.index("extract ends") < log.index("the job ends")


@pytest.mark.parametrize(("scheduler", "workers"), [("sync", 1), ("threads", 1), ("threads", 4)])
def test_same_bytes_wherever_it_runs(finished, tmp_path, scheduler, workers):
    job = job_of(finished, resources={"budget": "2 GiB", "workers": workers})
    job["output"] = {"path": str(tmp_path / "other name.zarr")}
    with dask.config.set(scheduler=scheduler, num_workers=workers):
        run(job)
    assert digest(tmp_path / "other name.zarr") == digest(finished / "results.zarr")


@pytest.mark.slow
def test_same_bytes_on_a_cluster(finished, tmp_path):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        run(job_of(finished, output={"path": str(tmp_path / "cluster.zarr")}))
    assert digest(tmp_path / "cluster.zarr") == digest(finished / "results.zarr")


def test_progress_and_notes(finished, tmp_path):
    steps, notes = [], []
    run(
        job_of(finished, output={"path": str(tmp_path / "a.zarr")}),
        progress=lambda step, done, total: steps.append((step, done, total)),
        note=notes.append,
    )
    assert {step for step, done, total in steps if done == total} >= {
        "project",
        "extract",
        "normalize",
        "compare",
    }
    assert all(0 <= done <= total for _, done, total in steps)
    assert notes == [f"the simulated recording {finished / 'recording.zarr'} is there already"]


def test_other_recording_is_not_overwritten(finished, tmp_path):
    before = digest(finished / "recording.zarr")
    job = job_of(finished, output={"path": str(tmp_path / "a.zarr")})
    job["simulate"] = job["simulate"] | {"seed": 4}
    with pytest.raises(OutputExistsError, match="is not the recording that simulate: describes"):
        run(job)
    assert digest(finished / "recording.zarr") == before


def test_existing_output_is_not_touched(finished):
    before = digest(finished)
    with pytest.raises(OutputExistsError, match="exists already"):
        run(job_of(finished))
    assert digest(finished) == before


def test_overwrite_gives_the_same_results(finished, tmp_path):
    shutil.copytree(finished / "results.zarr", tmp_path / "results.zarr")
    run(job_of(finished, output={"path": str(tmp_path / "results.zarr"), "overwrite": True}))
    assert digest(tmp_path / "results.zarr") == digest(finished / "results.zarr")


def test_recording_of_ones_own(tmp_path):
    movie = cells_movie(tmp_path)
    tree = run(own_job(tmp_path))
    assert "truth" not in tree.children
    rois = Rois.from_dataset(tree["rois"].to_dataset())
    assert len(rois) == 3
    coordinates = rois.coordinates(0)
    pixels = movie[:, coordinates["y_index"].values, coordinates["x_index"].values]
    np.testing.assert_array_equal(tree["traces"]["median"].values[0], np.median(pixels, axis=1))


def test_part_of_a_recording(tmp_path):
    movie = cells_movie(tmp_path)
    part = {"path": str(tmp_path / "movie.npy"), "frame_rate": 10, "time": [20, 100], "x": [10, 48]}
    tree = run(own_job(tmp_path, recording=part))
    np.testing.assert_array_equal(tree["projections"]["mean"].values, movie[20:100, :, 10:].mean(axis=0))
    assert tree["traces"]["time"].values[0] == 2.0


def test_statistics_with_parameters(tmp_path):
    cells_movie(tmp_path)
    statistics = ["median", {"trimmed_mean": {"proportion_to_cut": 0.25, "name": "trim25"}}, "trimmed_mean"]
    tree = run(own_job(tmp_path, extract={"statistics": statistics, "primary": "median"}, weights=None))
    traces = tree["traces"].to_dataset()
    assert {"median", "trim25", "trimmed_mean"} <= set(traces.data_vars)
    assert traces.attrs["primary"] == "median"
    assert traces["trim25"].attrs["statistic"] == "trimmed_mean(proportion_to_cut=0.25)"
    assert tree["normalized"].attrs["statistic"] == "median"


def test_threshold_of_ones_own(tmp_path):
    movie = cells_movie(tmp_path)
    rois = {
        "image": "max",
        "threshold": {"method": "percentile", "percentile": 90},
        "clean": {"min_pixels": 20, "fill_holes": True},
        "label": {"split": "intensity", "min_distance": 6},
    }
    tree = run(own_job(tmp_path, rois=rois))
    mask = rt.clean_mask(
        rt.threshold(movie.max(axis=0).astype(float), percentile=90), min_pixels=20, fill_holes=True
    )
    np.testing.assert_array_equal(tree["mask"]["mask"].values, mask.values)
    assert tree["mask"]["mask"].attrs["method"] == "percentile"


def test_steps_that_are_left_out(tmp_path):
    cells_movie(tmp_path)
    job = own_job(tmp_path, normalize=None, compare=None, weights=None, quality=None)
    job["recording"] = {"path": str(tmp_path / "movie.npy")}
    tree = run(job)
    assert set(tree.children) == {"projections", "mask", "rois", "motion", "traces"}
    assert "weighted_mean" not in tree["traces"]


def test_comparison_without_frame_rate(tmp_path):
    cells_movie(tmp_path)
    job = own_job(tmp_path, normalize=None)
    job["recording"] = {"path": str(tmp_path / "movie.npy")}
    assert np.isfinite(run(job)["comparison"]["peak_snr"].values).all()


# -- ROIs from files --------------------------------------------------------------------------------------------


def test_rois_of_an_earlier_job(tmp_path):
    cells_movie(tmp_path)
    first = run(own_job(tmp_path))
    second = run(own_job(tmp_path, "second", rois={"path": str(tmp_path / "own.zarr")}))
    for name in ("mean", "weighted_mean"):
        np.testing.assert_array_equal(second["traces"][name].values, first["traces"][name].values)


def test_rois_of_the_whole_frame_on_a_part_of_it(tmp_path):
    cells_movie(tmp_path)
    labels = np.zeros((40, 48), dtype=np.uint8)
    labels[20:28, 30:38], labels[28:36, 8:16] = 1, 2
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    part = {"path": str(tmp_path / "movie.npy"), "frame_rate": 10, "x": [20, 48]}
    job = own_job(tmp_path, recording=part, rois={"path": str(tmp_path / "labels.tif")})
    traces = run(job)["traces"].to_dataset()
    assert traces["n_pixels"].values.tolist() == [64, 0]
    assert traces["status"].values.tolist() == [0, 2]
    assert np.isnan(traces["mean"].values[1]).all()


def test_rois_of_another_frame(tmp_path):
    cells_movie(tmp_path)
    np.save(tmp_path / "labels.npy", np.ones((39, 48), dtype=np.uint8))
    steps = []
    with pytest.raises(AlignmentError, match="39 x 48, the recording 40 x 48"):
        run(
            own_job(tmp_path, rois={"path": str(tmp_path / "labels.npy")}),
            progress=lambda *one: steps.append(one),
        )
    assert steps == []
    assert not (tmp_path / "own.zarr").exists()


def test_part_that_does_not_line_up(tmp_path):
    cells_movie(tmp_path)
    run(own_job(tmp_path))
    np.save(tmp_path / "other.npy", np.ones((50, 30, 30), dtype=np.uint8))
    job = own_job(tmp_path, "second", rois={"path": str(tmp_path / "own.zarr")})
    job["recording"] = {"path": str(tmp_path / "other.npy"), "frame_rate": 10, "pixel_size": 0.7}
    with pytest.raises(AlignmentError):
        run(job)


def test_store_without_rois(tmp_path):
    cells_movie(tmp_path)
    rt.save({"projections": xr.Dataset({"mean": (("y", "x"), np.ones((40, 48)))})}, tmp_path / "images.zarr")
    with pytest.raises(ArgumentError, match="holds no ROIs"):
        run(own_job(tmp_path, rois={"path": str(tmp_path / "images.zarr")}))


def test_dark_rois_have_no_weights_unless_asked(tmp_path):
    cells_movie(tmp_path)
    labels = np.zeros((40, 48), dtype=np.uint8)
    labels[5:13, 5:13] = 1
    np.save(tmp_path / "movie.npy", np.where(labels, 0, 50).astype(np.uint16)[None].repeat(30, axis=0))
    np.save(tmp_path / "labels.npy", labels)
    job = own_job(tmp_path, rois={"path": str(tmp_path / "labels.npy")})
    notes = []
    tree = run(job, note=notes.append)
    assert "weighted_mean" not in tree["traces"]
    assert notes[0].startswith("no weights, and no weighted mean: no pixel of ROI 1 is brighter")
    job = own_job(
        tmp_path, "asked", rois={"path": str(tmp_path / "labels.npy")}, weights={"by": "brightness"}
    )
    with pytest.raises(ArgumentError, match="is brighter than the background"):
        run(job)


def test_weights_of_the_file_stay_unless_others_are_asked(tmp_path):
    movie = cells_movie(tmp_path)
    rois = Rois.from_pixels([[[5, 5], [6, 6]]], shape=(40, 48), weights=[[3.0, 1.0]])
    rt.save({"rois": rois}, tmp_path / "mine.zarr")
    job = own_job(tmp_path, rois={"path": str(tmp_path / "mine.zarr")})
    expected = (3.0 * movie[:, 5, 5] + movie[:, 6, 6]) / 4
    np.testing.assert_allclose(run(job)["traces"]["weighted_mean"].values[0], expected, rtol=1e-12)
    other = own_job(tmp_path, "other", rois=job["rois"], weights={"by": "proximity"})
    expected = 0.5 * movie[:, 5, 5] + 0.5 * movie[:, 6, 6]
    np.testing.assert_allclose(run(other)["traces"]["weighted_mean"].values[0], expected, rtol=1e-12)


# -- copies -----------------------------------------------------------------------------------------------------


def test_copy_gives_the_same_results(tmp_path):
    cells_movie(tmp_path)
    run(own_job(tmp_path, "in place"))
    recording = {"path": str(tmp_path / "movie.npy"), "frame_rate": 10, "convert": True}
    notes = []
    run(own_job(tmp_path, "copied", recording=recording), note=notes.append)
    assert notes == [f"the recording was copied to {tmp_path / 'copied.recording.zarr'}"]
    assert digest(tmp_path / "copied.zarr") == digest(tmp_path / "in place.zarr")


def test_automatic_copy_says_what_it_does(tmp_path):
    cells_movie(tmp_path)
    recording = {"path": str(tmp_path / "movie.npy"), "frame_rate": 10, "convert": "auto"}
    notes = []
    run(own_job(tmp_path, recording=recording), note=notes.append)
    assert "in place takes about" in notes[0]
    assert notes[0].endswith(("it is copied", "it is read in place"))
    assert (tmp_path / "own.recording.zarr").exists() == notes[0].endswith("it is copied")


# -- how it ends when there is nothing to do --------------------------------------------------------------------


def test_no_cells_is_no_failure(tmp_path):
    cells_movie(tmp_path)
    notes = []
    job = own_job(tmp_path, rois={"threshold": {"method": "value", "value": 1e6}}, figures={"dpi": 40})
    tree = run(job, note=notes.append)
    assert set(tree.children) == {"projections", "mask", "rois", "motion"}
    assert tree["rois"].sizes["roi"] == 0
    assert not tree["mask"]["mask"].values.any()
    assert notes[0].startswith("no cells were found: look at the projections, then try another image")


def test_no_cells_in_a_simulation(tmp_path):
    job = job_of(tmp_path, rois={"threshold": {"method": "value", "value": 1e9}})
    tree = run(job)
    assert float(tree["truth/cells"]["recall"]) == 0.0


def test_nan_everywhere(tmp_path):
    np.save(tmp_path / "movie.npy", np.full((20, 16, 16), np.nan, dtype=np.float32))
    with pytest.raises(JobError, match="the recording is NaN everywhere"):
        run(own_job(tmp_path))
    assert not (tmp_path / "own.zarr").exists()


def test_seconds_without_a_frame_rate(tmp_path):
    cells_movie(tmp_path)
    job = own_job(tmp_path)
    job["recording"] = {"path": str(tmp_path / "movie.npy")}
    steps = []
    with pytest.raises(MetadataError, match="is asked in seconds"):
        run(job, progress=lambda *one: steps.append(one))
    assert steps == []


def test_baselines_that_cannot_be_are_refused_before_a_sample_is_read(tmp_path):
    cells_movie(tmp_path)
    steps = []
    section = {"baseline": "first", "first": "0.001 s"}
    with pytest.raises(ArgumentError, match="first='0.001 s' is shorter than one frame"):
        run(own_job(tmp_path, normalize=section), progress=lambda *one: steps.append(one))
    assert steps == []


def test_failure_is_recorded(tmp_path):
    np.save(tmp_path / "movie.npy", np.full((20, 16, 16), np.nan, dtype=np.float32))
    with pytest.raises(JobError):
        run(own_job(tmp_path))
    record = json.loads((tmp_path / "own.zarr.run" / "failure.json").read_text())
    assert record["error"].startswith("NoNumbersError: the projection 'mean' has no numbers")
    cells_movie(tmp_path)
    still_there = []
    run(
        own_job(tmp_path),
        progress=lambda *_: still_there.append((tmp_path / "own.zarr.run" / "failure.json").exists()),
    )
    assert set(still_there) == {False}
    told = ["log.txt", "performance.json", "run.json", "tasks.csv"]
    assert sorted(path.name for path in (tmp_path / "own.zarr.run").iterdir()) == told


def test_example_that_is_not_there(tmp_path):
    cells_movie(tmp_path)
    with pytest.raises(ArgumentError, match=r"figures\.example: no ROI is named 'nobody'"):
        run(own_job(tmp_path, figures={"example": "nobody"}))


def test_truth_that_is_gone(tmp_path):
    run(job_of(tmp_path))
    for path in sorted((tmp_path / "recording.truth.zarr").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (tmp_path / "recording.truth.zarr").rmdir()
    job = job_of(tmp_path, "again")
    del job["simulate"]
    assert "truth" not in run(job).children
    with pytest.raises(OutputExistsError):
        run(job_of(tmp_path, "third"))


@pytest.mark.parametrize("form", [str, Path, read_config, lambda path: yaml.safe_load(path.read_text())])
def test_config_in_every_form(tmp_path, monkeypatch, form):
    cells_movie(tmp_path)
    path = tmp_path / "job.yaml"
    path.write_text(
        "recording: {path: movie.npy, frame_rate: 10}\nfigures: null\noutput: {path: a.zarr}\n"
        "rois: {segment: {cell_diameter: 9 px}}"
    )
    monkeypatch.chdir(tmp_path)
    run(form(path))
    assert (tmp_path / "a.zarr").is_dir()


def test_unfinished_results_are_refused_as_rois(tmp_path):
    cells_movie(tmp_path)
    xr.Dataset(attrs={"kind": "roitrace results", "status": "unfinished"}).to_zarr(
        tmp_path / "half.zarr", zarr_format=3, consolidated=False
    )
    with pytest.raises(StoreError, match="is unfinished"):
        run(own_job(tmp_path, rois={"path": str(tmp_path / "half.zarr")}))
