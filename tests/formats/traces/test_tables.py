"""CSV, Parquet and npy, read back by pandas, pyarrow and NumPy."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from roitrace.errors import ArgumentError
from roitrace.formats.traces import parquet
from roitrace.kernels.filling import interpolate_missing
from tests.formats.traces.results import exported, make_results

EXACT = {} if Version(pd.__version__) >= Version("3.1") else {"float_precision": "round_trip"}


def read(path, **options):
    return pd.read_csv(path, **EXACT, **options)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_wide_csv(tmp_path, dtype, missing):
    results = make_results(missing=missing)
    said = exported(results, tmp_path / "a.csv", dtype=dtype)
    table = read(tmp_path / "a.csv", index_col="time", dtype={"time": np.float64})
    traces = results["traces"]
    assert list(table.columns) == list(results["rois"].names)
    np.testing.assert_array_equal(table.index, traces["time"].values)
    np.testing.assert_array_equal(table.values.T.astype(dtype), traces["mean"].values.astype(dtype))
    assert len(said) == 1
    for part in (
        "the trace neuropil",
        "the trace dff",
        "pixels of the ROIs",
        "projections",
        "rejected",
        "median",
    ):
        assert part in said[0]


def test_csv_with_rois_in_rows(tmp_path):
    results = make_results(missing=0.1)
    exported(results, tmp_path / "a.csv", statistic="dff", roi_axis=0)
    table = read(tmp_path / "a.csv", index_col="roi")
    np.testing.assert_array_equal(table.values, results["normalized"]["dff"].values)
    np.testing.assert_array_equal(table.columns.astype(float), results["traces"]["time"].values)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tidy(tmp_path, monkeypatch, suffix, dtype):
    monkeypatch.setattr(parquet, "_ROWS", 700)  # several row groups
    results = make_results(missing=0.1)
    path = tmp_path / f"a.{suffix}"
    exported(results, path, statistic=["median", "mean"], layout="tidy", dtype=dtype)
    table = read(path) if suffix == "csv" else pd.read_parquet(path)
    assert list(table.columns) == ["roi", "time", "median", "mean"]
    traces = results["traces"]
    np.testing.assert_array_equal(table["roi"], np.repeat(results["rois"].names, 400))
    np.testing.assert_array_equal(table["time"], np.tile(traces["time"].values, 5))
    for name in ("median", "mean"):
        expected = traces[name].values.ravel().astype(dtype)
        np.testing.assert_array_equal(table[name].to_numpy().astype(dtype), expected)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_wide_parquet(tmp_path, dtype):
    results = make_results(missing=0.1)
    exported(results, tmp_path / "a.parquet", dtype=dtype)
    table = pd.read_parquet(tmp_path / "a.parquet").set_index("time")
    assert table.iloc[:, 0].dtype == dtype
    np.testing.assert_array_equal(table.values.T, results["traces"]["mean"].values.astype(dtype))
    about = json.loads(pq.read_schema(tmp_path / "a.parquet").metadata[b"roitrace"])
    assert about["frame_rate"] == 7.5


def test_parquet_refuses_too_many_columns(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_MOST_COLUMNS", 4)
    with pytest.raises(ArgumentError, match="5 ROIs would make as many columns.*tidy"):
        exported(make_results(), tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("roi_axis", [None, 0, 1])
def test_npy(tmp_path, roi_axis):
    results = make_results(missing=0.1)
    exported(results, tmp_path / "a.npy", statistic="dff", dtype="float32", roi_axis=roi_axis)
    expected = results["normalized"]["dff"].values.astype(np.float32)
    matrix = np.load(tmp_path / "a.npy")
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, expected.T if roi_axis == 1 else expected)


def test_frames_without_a_rate(tmp_path):
    traces = make_results()["traces"].drop_vars("time")
    exported(traces.drop_attrs(deep=False).assign_attrs(primary="mean"), tmp_path / "a.csv")
    table = read(tmp_path / "a.csv", index_col="frame")
    assert table.index.tolist() == list(range(400))


@pytest.mark.parametrize("suffix", ["csv", "npy"])
def test_filled_frames_are_listed_beside(tmp_path, suffix):
    results = make_results(missing=0.1)
    exported(results, tmp_path / f"a.{suffix}", statistic="mean", fill="interpolate")
    matrix = (
        np.load(tmp_path / "a.npy") if suffix == "npy" else read(tmp_path / "a.csv", index_col=0).values.T
    )
    check_filled(results, matrix, read(tmp_path / "a.filled.csv"))
    exported(make_results(), tmp_path / f"a.{suffix}", fill="interpolate", overwrite=True)
    assert sorted(one.name for one in tmp_path.iterdir()) == [f"a.{suffix}"]


def check_filled(results, matrix, listed):
    """Compare filled traces and their list with NumPy."""
    original, time = results["traces"]["mean"].values, results["traces"]["time"].values
    marks = np.zeros(original.shape, dtype=bool)
    for row in listed.itertuples():
        assert row.trace == "mean"
        marks[results["rois"].names.index(row.roi), row.first_frame : row.last_frame + 1] = True
    np.testing.assert_array_equal(marks, np.isnan(original))
    for row, filled in zip(original, matrix, strict=True):
        known = np.isfinite(row)
        np.testing.assert_array_equal(filled, np.interp(time, time[known], row[known]))


def test_filled_frames_are_a_column(tmp_path):
    results = make_results(missing=0.1)
    exported(results, tmp_path / "a.parquet", statistic="mean", layout="tidy", fill="interpolate")
    table = pd.read_parquet(tmp_path / "a.parquet")
    np.testing.assert_array_equal(table["filled"], np.isnan(results["traces"]["mean"].values.ravel()))
    about = json.loads(pq.read_schema(tmp_path / "a.parquet").metadata[b"roitrace"])
    assert len(about["filled"]) > 10


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.one_of(st.just(np.nan), st.floats(-1e6, 1e6)), min_size=1, max_size=40),
    cut=st.integers(0, 40),
)
def test_interpolation(values, cut):
    given_, time = np.array(values), np.cumsum(np.arange(1.0, len(values) + 1))
    borders = np.unique([0, min(cut, len(values)), len(values)])
    filled = given_.copy()
    runs = interpolate_missing(filled, time, borders)
    marks = np.zeros(len(values), dtype=bool)
    for first, last in runs:
        assert not marks[first : last + 1].any()
        marks[first : last + 1] = True
    for start, stop in pairwise(borders.tolist()):
        part = given_[start:stop]
        known = np.isfinite(part)
        if not known.any():
            assert np.isnan(filled[start:stop]).all()
            assert not marks[start:stop].any()
            continue
        np.testing.assert_array_equal(marks[start:stop], ~known)
        expected = np.interp(time[start:stop], time[start:stop][known], part[known])
        np.testing.assert_array_equal(filled[start:stop], np.where(known, part, expected))
