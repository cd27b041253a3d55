"""Export: what is chosen, what is refused, that nothing is left half done, and that long traces are streamed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr

from roitrace.errors import (
    ArgumentError,
    BudgetError,
    MissingDependencyError,
    OutputExistsError,
    StoreError,
)
from roitrace.extraction import extract
from roitrace.formats.traces import registry
from roitrace.formats.traces.format import TraceFormat
from roitrace.frame import Frame
from roitrace.results import load, save
from roitrace.rois import Rois
from tests.formats.traces.results import exported, make_results, make_rois

ROOT = Path(__file__).parents[1]


def names_in(folder):
    return sorted(one.name for one in folder.iterdir())


# -- what is chosen -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        (None, {"traces": {"mean", "neuropil"}, "normalized": {"dff"}}),
        ("median", {"traces": {"median"}}),
        (["dff", "median"], {"traces": {"median"}, "normalized": {"dff"}}),
        ("normalized/dff", {"normalized": {"dff"}}),
        ("all", {"traces": {"mean", "median", "neuropil"}, "normalized": {"dff"}}),
    ],
)
def test_statistics(tmp_path, statistic, expected):
    exported(make_results(), tmp_path / "a.zarr", statistic=statistic)
    tree = load(tmp_path / "a.zarr")
    assert {"rois", "projections", "mask", "comparison"} <= set(tree.children)
    kept = {
        group: {name for name, one in tree[group].data_vars.items() if one.dims == ("roi", "time")}
        for group in ("traces", "normalized")
        if group in tree.children
    }
    assert kept == expected


def test_what_names_chooses_is_not_said_to_be_lost(tmp_path):
    assert exported(make_results(), tmp_path / "a.zarr", statistic="median") == []


def test_same_name_in_two_groups(tmp_path):
    results = make_results()
    results["normalized"] = (
        results["normalized"].rename(dff="mean").assign_attrs(primary="mean", method="mean")
    )
    exported(results, tmp_path / "a.npy", statistic="mean")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), results["traces"]["mean"].values)
    exported(results, tmp_path / "b.npy", statistic="normalized/mean")
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), results["normalized"]["mean"].values)


def test_several_overlap_rules(tmp_path):
    movie = xr.DataArray(np.random.default_rng(0).random((50, 20, 30)), dims=("time", "y", "x"))
    rois = Rois.from_pixels([[(1, 1), (1, 2)], [(1, 2), (1, 3)]], shape=(20, 30))
    traces = extract(movie, rois, ("mean",), overlap=["keep", "exclude"]).compute()
    exported(traces, tmp_path / "a.npy", statistic="mean (exclude)")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), traces["mean"].sel(overlap="exclude").values)


def test_a_data_array_and_a_normalized_dataset(tmp_path):
    results = make_results()
    exported(results["traces"]["median"], tmp_path / "a.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), results["traces"]["median"].values)
    exported(results["normalized"], tmp_path / "a.zarr")
    assert set(load(tmp_path / "a.zarr").children) == {"normalized"}


def test_corrected_traces(tmp_path):
    from roitrace.neuropil_correction import correct_neuropil

    results = make_results()
    corrected = correct_neuropil(results["traces"], r=0.5)
    given = {"rois": results["rois"], "corrected": corrected}
    exported(given, tmp_path / "s2p", "suite2p")
    f, fneu = (np.load(tmp_path / f"s2p/{name}.npy") for name in ("F", "Fneu"))
    np.testing.assert_array_equal(f, corrected["fcorr"].values.astype(np.float32))
    np.testing.assert_array_equal(fneu, corrected["fneu"].values.astype(np.float32))
    # it must not be subtracted a second time
    assert np.load(tmp_path / "s2p/ops.npy", allow_pickle=True).item()["neucoeff"] == 0
    exported(results | {"corrected": corrected}, tmp_path / "raw", "suite2p")
    assert np.load(tmp_path / "raw/ops.npy", allow_pickle=True).item()["neucoeff"] == 0.7
    np.testing.assert_array_equal(
        np.load(tmp_path / "raw/F.npy"), results["traces"]["mean"].values.astype(np.float32)
    )
    exported(corrected, tmp_path / "a.zarr")
    assert set(load(tmp_path / "a.zarr")["corrected"].data_vars) >= {"fcorr", "fneu", "r", "status"}


def test_another_channel_is_no_default(tmp_path):
    results = make_results()
    results["reference"] = results["traces"][["mean", "neuropil"]]
    exported(results, tmp_path / "a.zarr")
    assert set(load(tmp_path / "a.zarr").children) == set(results) - {"reference"}


def test_rois_are_those_of_the_traces(tmp_path):
    results = make_results(n_rois=3)
    results["rois"] = make_rois(5)
    exported(results, tmp_path / "s2p", "suite2p", statistic="mean")
    assert len(np.load(tmp_path / "s2p/stat.npy", allow_pickle=True)) == 3
    results["rois"] = make_rois(2)
    with pytest.raises(ArgumentError, match="ROIs that the group rois does not hold, the first 'cell 2, µ'"):
        exported(results, tmp_path / "other", "suite2p")


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a.xyz", {}, "'a.xyz' does not say which format is meant"),
        ("a", {}, "'a' does not say which format is meant.*suite2p is a folder"),
        ("a.csv", {"format": "excel"}, "no format is named 'excel'; choose one of zarr, netcdf"),
        ("a.csv", {"dtype": "int8"}, "dtype='int8', expected 'float64' or 'float32'"),
        ("a.csv", {"fill": "zero"}, "fill='zero', expected 'nan' or 'interpolate'"),
        ("a.csv", {"roi_axis": 2}, "roi_axis=2, expected 0 or 1"),
        ("a.csv", {"layout": "long"}, "layout='long', expected 'wide' or 'tidy'"),
        ("a.h5", {"layout": "tidy"}, "layout= means nothing to hdf5; it takes roi_axis"),
        ("a.nwb", {"roi_axis": 1}, "roi_axis= means nothing to nwb"),
        ("a.csv", {"into": "b.nwb"}, "into= means nothing to csv"),
        ("a.csv", {"spikes": np.zeros((5, 400))}, "spikes= means nothing to csv"),
        ("a.zarr", {"metadata": {}}, "metadata= means nothing to zarr; it takes no options of its own"),
        ("a.csv", {"statistic": "sum"}, "no statistic 'sum'; they hold mean, median, neuropil, dff"),
        ("a.csv", {"statistic": 3}, "no statistic '3'; they hold"),
        ("a", {"format": "suite2p", "spikes": "many"}, "spikes is a str that holds no numbers"),
        ("a.csv", {"statistic": []}, "not one statistic that was asked for"),
    ],
)
def test_wrong_calls(tmp_path, name, options, said):
    with pytest.raises(ArgumentError, match=said):
        exported(make_results(), tmp_path / name, **options)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ({}, "nothing to export: no traces .* among no groups at all"),
        ({"projections": xr.Dataset({"mean": (("y", "x"), np.zeros((2, 2)))})}, "among projections"),
        (xr.Dataset({"mean": (("roi", "time"), np.zeros((0, 5)))}), "the traces are 0 roi x 5 time"),
        (xr.Dataset({"mean": (("roi", "time"), np.zeros((5, 0)))}), "the traces are 5 roi x 0 time"),
        (
            {"traces": xr.Dataset({"mean": (("roi", "time", "depth"), np.zeros((2, 3, 4)))})},
            "the traces have the dim depth besides roi and time",
        ),
        (3, "results are a int"),
    ],
)
def test_nothing_to_export(tmp_path, results, said):
    with pytest.raises(ArgumentError, match=said):
        exported(results, tmp_path / "a.csv")
    assert names_in(tmp_path) == []


def test_traces_of_other_rois(tmp_path):
    results = make_results()
    results["normalized"] = results["normalized"].isel(roi=[0, 1, 2])
    with pytest.raises(ArgumentError, match="dff has sizes"):
        exported(results, tmp_path / "a.zarr")


def test_stores_that_are_none(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        exported(tmp_path / "none.zarr", tmp_path / "a.csv")
    save(make_results(), tmp_path / "a.zarr")
    with pytest.raises(ArgumentError, match="is the store that is exported"):
        exported(tmp_path / "a.zarr", tmp_path / "a.zarr", overwrite=True)
    (tmp_path / "a.zarr/traces/mean/c/0/0").write_bytes(b"damaged")
    with pytest.raises(StoreError, match="mean in .*traces is damaged in chunk"):
        exported(tmp_path / "a.zarr", tmp_path / "a.csv")
    assert names_in(tmp_path) == ["a.zarr"]


def test_missing_package_names_the_extra(tmp_path, monkeypatch):
    nwb = next(one for one in registry.TRACE_FORMATS if one.name == "nwb")
    lacking = TraceFormat("nwb", (".nwb",), nwb.writer, needs=("no_such_package", "nwb"))
    monkeypatch.setattr(registry, "TRACE_FORMATS", (lacking,))
    with pytest.raises(
        MissingDependencyError,
        match=r"the format nwb needs the package no_such_package; .*pip install 'roitrace\[nwb\]'",
    ):
        exported(make_results(), tmp_path / "a.nwb")


def test_beyond_the_range_of_float32(tmp_path):
    traces = make_results()["traces"]
    traces["mean"].values[1, 3] = 1e300
    for given in (traces, traces.chunk({"time": 100})):
        for name in ("a.npy", "a.zarr"):
            with pytest.raises(ArgumentError, match="'mean' holds values beyond the range of float32"):
                exported(given, tmp_path / name, dtype="float32")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_part_of_a_mapped_file(tmp_path, dtype):
    whole = np.random.default_rng(0).random((6, 50))
    np.save(tmp_path / "whole.npy", whole)
    part = np.load(tmp_path / "whole.npy", mmap_mode="r")[2:5, 10:]
    traces = xr.Dataset({"mean": (("roi", "time"), part)}, attrs={"primary": "mean"})
    exported(traces, tmp_path / "a.zarr", dtype=dtype)
    np.testing.assert_array_equal(load(tmp_path / "a.zarr")["traces"]["mean"], whole[2:5, 10:].astype(dtype))


def test_a_format_of_another_package(tmp_path, monkeypatch):
    def write_sizes(table, path, options):
        Path(path).write_text(f"{table.shape} {options.given()}")
        return ("everything",)

    theirs = TraceFormat("sizes", (".sizes",), write_sizes, options=frozenset({"layout"}))
    monkeypatch.setattr(registry, "formats_of_others", lambda *_: (theirs,))
    assert exported(make_results(), tmp_path / "a.sizes", statistic="mean", layout="wide") == [
        "a.sizes does not keep: everything"
    ]
    assert (tmp_path / "a.sizes").read_text() == "(5, 400) {'layout'}"


def test_axes_in_the_other_order(tmp_path):
    results = make_results()
    results["traces"] = results["traces"].transpose("time", "roi")
    for name in ("a.npy", "a.nc"):
        exported(results, tmp_path / name, statistic="mean")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), results["traces"]["mean"].values.T)
    with xr.open_dataset(tmp_path / "a.nc", group="traces", engine="h5netcdf") as opened:
        assert opened["mean"].dims == ("roi", "time")
        np.testing.assert_array_equal(opened["mean"].values, results["traces"]["mean"].values.T)


# -- places -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.csv", "a.nc", "a.h5", "a.parquet", "a.npy", "a.zarr"])
def test_what_is_there_is_replaced_only_on_demand(tmp_path, name):
    exported(make_results(n_rois=3), tmp_path / name)
    with pytest.raises(OutputExistsError, match="exists already"):
        exported(make_results(), tmp_path / name)
    exported(make_results(n_rois=4), tmp_path / name, overwrite=True)
    assert names_in(tmp_path) == [name]
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        exported(
            make_results(),
            tmp_path / "taken",
            name.split(".")[1].replace("nc", "netcdf").replace("h5", "hdf5"),
            overwrite=True,
        )
    assert names_in(tmp_path / "taken") == ["mine.txt"]


def test_a_list_of_filled_frames_is_not_overwritten(tmp_path):
    (tmp_path / "a.filled.csv").write_text("mine")
    with pytest.raises(OutputExistsError, match="a.filled.csv exists already"):
        exported(make_results(), tmp_path / "a.csv")
    assert names_in(tmp_path) == ["a.filled.csv"]


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    exported(make_results(n_rois=3), tmp_path / "a.csv")
    before = (tmp_path / "a.csv").read_bytes()

    def fail(table, path, options):  # noqa: ARG001
        Path(path).write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(registry, "TRACE_FORMATS", (TraceFormat("csv", (".csv",), fail),))
    with pytest.raises(OSError, match="disk full"):
        exported(make_results(), tmp_path / "a.csv", overwrite=True)
    assert names_in(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_bytes() == before


def test_given_traces_are_not_changed(tmp_path):
    results = make_results(missing=0.1)
    before = results["traces"].copy(deep=True)
    exported(results, tmp_path / "a.nc", fill="interpolate")
    xr.testing.assert_identical(results["traces"], before)


# -- filling ------------------------------------------------------------------------------------------------------


def test_sessions_are_filled_each_by_itself(tmp_path):
    values = np.array([[1.0, np.nan, 3.0, np.nan, np.nan, 7.0, np.nan, np.nan]])
    time = ("time", [0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 20.0, 21.0], {"units": "s"})
    traces = xr.Dataset(
        {"mean": (("roi", "time"), values)}, {"roi": ["a"], "time": time}, {"primary": "mean"}
    )
    said = exported(traces, tmp_path / "a.npy", fill="interpolate")
    assert "nothing to fill from in 1 trace: " in said[0]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), [[1, 2, 3, 3, 7, 7, np.nan, np.nan]])
    listed = (tmp_path / "a.filled.csv").read_text().splitlines()
    assert listed == ["trace,roi,first_frame,last_frame", "mean,a,1,1", "mean,a,3,3", "mean,a,4,4"]


# -- lazy, streamed -----------------------------------------------------------------------------------------------


def make_lazy(reads):
    """Traces by two statistics of a lazy recording that counts how often its blocks are read."""
    import dask.array as da

    movie = np.random.default_rng(0).integers(0, 999, (600, *(20, 30)), dtype=np.uint16)

    def count(block):
        reads.append(block.shape)
        return block

    lazy = da.from_array(movie, chunks=(100, 20, 30)).map_blocks(count, dtype=movie.dtype, meta=movie[:0])
    frame = Frame((20, 30))
    recording = xr.DataArray(lazy, dims=("time", "y", "x"), attrs={"frame_rate": 7.5})
    rois = Rois.from_pixels([[(1, 1), (1, 2), (5, 7)], [(9, 2), (1, 3)]], frame=frame)
    return extract(recording, rois, ("mean", "median"), projections=("max",)), movie


@pytest.mark.parametrize("name", ["a.csv", "a.nc", "a.h5", "a.parquet", "a.npy", "a.zarr"])
def test_one_read_of_the_recording(tmp_path, name):
    reads = []
    traces, movie = make_lazy(reads)
    exported(traces, tmp_path / name, statistic="all")
    assert len(reads) == 6
    if name == "a.npy":
        expected = movie[:, [1, 1, 5], [1, 2, 7]].mean(axis=1)
        np.testing.assert_array_equal(np.load(tmp_path / name)[0], expected)
    assert names_in(tmp_path) == [name]


def test_what_is_wrong_is_said_before_anything_is_read(tmp_path):
    def refuse(*_, **__):
        raise AssertionError("something was computed")

    traces, _movie = make_lazy([])
    with dask.config.set(scheduler=refuse):
        for name, options in (
            ("a.csv", {"statistic": "sum"}),
            ("a.nwb", {}),
            ("a.csv", {"budget": "200 MiB"}),
            ("a.xyz", {}),
        ):
            with pytest.raises((ArgumentError, BudgetError, ValueError)) as error:
                exported(traces, tmp_path / name, **options)
            assert "something was computed" not in str(error.value)
        with pytest.raises(AssertionError, match="something was computed"):
            exported(traces, tmp_path / "a.csv")


def test_blocks_that_do_not_fit(tmp_path):
    traces, _movie = make_lazy([])
    with pytest.raises(BudgetError, match="traces come in blocks of .*the budget is 200.0 MiB"):
        exported(traces, tmp_path / "a.csv", budget="200 MiB")


def test_progress(tmp_path):
    steps = []
    traces, _movie = make_lazy([])
    exported(traces, tmp_path / "a.csv", progress=lambda *step: steps.append(step))
    assert {step for step, _, _ in steps} == {"compute", "write"}
    assert steps[-1][1] == steps[-1][2]


@pytest.mark.memory
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="anonymous memory is read from /proc")
def test_long_traces_take_no_more_memory_than_short_ones():
    done = subprocess.run(
        [sys.executable, "-m", "tests.export_memory"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, (short, long) in json.loads(done.stdout).items():
        # the longer traces take 60 MiB more: in memory, once, they would show
        assert long - short < 45 * 2**20, name
