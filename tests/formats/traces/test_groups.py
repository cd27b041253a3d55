"""NetCDF, HDF5 and zarr: everything of the chosen traces, read back by xarray and h5py."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import xarray as xr

from roitrace.results import load
from roitrace.rois import Rois
from tests.formats.traces.results import exported, make_results

TRACES = (("traces", "mean"), ("traces", "neuropil"), ("normalized", "dff"))


def opened(path):
    if path.suffix == ".zarr":
        return load(path)
    tree = xr.open_datatree(path, engine="h5netcdf")
    tree.load()
    tree.close()
    return tree


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_groups_come_back(tmp_path, suffix, dtype):
    results = make_results(missing=0.1)
    said = exported(results, tmp_path / f"a.{suffix}", dtype=dtype)
    assert said == [f"a.{suffix} does not keep: median (name them with statistic=)"]
    tree = opened(tmp_path / f"a.{suffix}")
    for group, name in TRACES:
        trace = tree[group][name]
        assert trace.dtype == dtype
        np.testing.assert_array_equal(trace.values, results[group][name].values.astype(dtype))
        assert trace.attrs.items() >= results[group][name].attrs.items()
    assert "median" not in tree["traces"]
    for name in ("status", "n_pixels", "roi", "roi_id", "accepted", "time"):
        np.testing.assert_array_equal(tree["traces"][name].values, results["traces"][name].values)
    assert set(tree["traces"].coords) == set(results["traces"].coords)
    assert tree["traces"]["time"].attrs["units"] == "s"
    assert tree["traces"].attrs["primary"] == "mean"
    assert Rois.from_dataset(tree["rois"].to_dataset()).equals(results["rois"])
    np.testing.assert_array_equal(tree["projections"]["max"].values, results["projections"]["max"].values)
    np.testing.assert_array_equal(tree["mask"]["mask"].values, results["mask"].values)
    assert tree["comparison"]["slope"].dims == ("statistic", "roi")
    assert tree["comparison"]["statistic"].values.tolist() == ["mean", "median"]


@pytest.mark.parametrize("roi_axis", [0, 1])
def test_hdf5(tmp_path, roi_axis):
    results = make_results(missing=0.1)
    exported(results, tmp_path / "a.h5", statistic="all", roi_axis=roi_axis)
    with h5py.File(tmp_path / "a.h5") as file:
        for group, name in (*TRACES, ("traces", "median")):
            values = file[group][name][()]
            expected = results[group][name].values
            np.testing.assert_array_equal(values.T if roi_axis else values, expected)
            dims = [one.label for one in file[group][name].dims]
            assert dims == (["time", "roi"] if roi_axis else ["roi", "time"])
            assert file[group][name].dims[1 - roi_axis][0][0] == 0.0
        names = file["traces/roi"].asstr()[()].tolist()
        assert names == list(results["rois"].names)
        np.testing.assert_array_equal(file["traces/accepted"][()], results["rois"].accepted)
        assert file["traces"].attrs["frame_rate"] == 7.5
        assert file["traces/mean"].attrs["units"] == "count"


def test_netcdf_with_rois_in_columns(tmp_path):
    results = make_results()
    exported(results, tmp_path / "a.nc", roi_axis=1)
    tree = opened(tmp_path / "a.nc")
    assert tree["traces"]["mean"].dims == ("time", "roi")
    np.testing.assert_array_equal(tree["traces"]["mean"].values.T, results["traces"]["mean"].values)


@pytest.mark.parametrize("suffix", ["nc", "zarr", "h5"])
def test_filled_frames_are_listed(tmp_path, suffix):
    results = make_results(missing=0.1)
    path = tmp_path / f"a.{suffix}"
    exported(results, path, statistic="mean", fill="interpolate")
    tree = xr.open_datatree(path, engine="h5netcdf", phony_dims="sort") if suffix == "h5" else opened(path)
    marks = np.zeros((5, 400), dtype=bool)
    listed = tree["filled"]
    for roi, first, last in zip(
        listed["of_roi"].values, listed["first_frame"].values, listed["last_frame"].values, strict=True
    ):
        marks[results["rois"].names.index(str(roi)), first : last + 1] = True
    np.testing.assert_array_equal(marks, np.isnan(results["traces"]["mean"].values))
    assert np.isfinite(tree["traces"]["mean"].values).all()
    tree.close()


def test_counts_of_valid_pixels_are_kept(tmp_path):
    results = make_results()
    valid = np.random.default_rng(3).integers(0, 12, (5, 400), dtype=np.int32)
    results["traces"]["n_valid"] = (("roi", "time"), valid)
    for suffix in ("nc", "zarr"):
        exported(results, tmp_path / f"a.{suffix}", dtype="float32")
        kept = opened(tmp_path / f"a.{suffix}")["traces"]["n_valid"]
        assert kept.dtype == np.int32
        np.testing.assert_array_equal(kept.values, valid)


def test_provenance_is_kept(tmp_path):
    from roitrace.results import save

    save(make_results(), tmp_path / "a.zarr", parameters={"b": [1]}, source="digest")
    exported(tmp_path / "a.zarr", tmp_path / "b.zarr")
    exported(str(tmp_path / "b.zarr"), tmp_path / "b.nc")
    for tree in (load(tmp_path / "b.zarr"), opened(tmp_path / "b.nc")):
        assert tree.attrs["source"] == "digest"
        assert tree.attrs["parameters"] == '{"b": [1]}'
    assert "status" not in opened(tmp_path / "b.nc").attrs
