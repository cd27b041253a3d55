"""Projections of the means of bins of frames: max, std and correlation."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import roitrace as rt
from roitrace import stat
from roitrace.engine.blocks import as_dask
from roitrace.errors import ArgumentError, ConfigError, MetadataError
from tests.block_sources import ArraySource, counted_reads
from tests.strategies import chunkings, samples, shapes
from tests.test_projection_images import exact_correlation


def labelled(values, rate=10.0) -> xr.DataArray:
    attrs = {} if rate is None else {"frame_rate": rate}
    return xr.DataArray(values, dims=("time", "y", "x"), attrs=attrs)


def bin_means(values: np.ndarray, length: int) -> np.ndarray:
    """Means over whole bins ``(bin, y, x)``; NaN where a bin has no valid sample."""
    whole = values[: len(values) // length * length].astype(np.float64)
    bins = whole.reshape(-1, length, *values.shape[1:])
    valid = ~np.isnan(bins)
    with np.errstate(invalid="ignore"):
        return np.where(valid, bins, 0).sum(axis=1) / np.where(valid.any(axis=1), valid.sum(axis=1), np.nan)


def asked(length: int):
    text = f"{length} frames"
    return (
        "mean",
        "max",
        stat.max(bin=text, name="bin_max"),
        stat.std(bin=text, name="bin_std"),
        stat.std(bin=text, ddof=1, name="bin_std1"),
        stat.correlation(bin=text, detrend=None, name="bin_correlation"),
        stat.correlation(bin=text, detrend=f"{3 * length} frames", name="bin_detrended"),
    )


@settings(max_examples=25, deadline=None)
@given(st.data(), shapes(max_frames=40), st.integers(2, 9))
def test_images_of_bins_are_those_of_numpy(data, shape, length):
    shape = (max(shape[0], length), *shape[1:])
    values = data.draw(samples(shape, infinite=False))
    chunks = tuple(data.draw(st.integers(1, size + 2)) for size in shape)
    array = (
        as_dask(ArraySource(values, chunks))
        if data.draw(st.booleans())
        else da.from_array(values, chunks=data.draw(chunkings(shape)))
    )
    images = rt.project(labelled(array), asked(length), workers=data.draw(st.sampled_from([1, 3]))).compute()
    means = bin_means(values, length)
    known = ~np.isnan(means)
    largest = np.where(known, means, -np.inf).max(axis=0)
    largest = np.where(np.isinf(largest), np.nan, largest)
    scale = max(1.0, float(np.nanmax(np.abs(means), initial=0)))
    if values.dtype.kind in "iu":
        np.testing.assert_array_equal(images["bin_max"], largest)
    else:
        np.testing.assert_allclose(images["bin_max"], largest, rtol=1e-12, atol=1e-12 * scale)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = np.where(known, means, 0).sum(axis=0) / count
        squares = (np.where(known, means - centre, 0) ** 2).sum(axis=0)
        for name, ddof in (("bin_std", 0), ("bin_std1", 1)):
            expected = np.where(count > ddof, np.sqrt(squares / (count - ddof)), np.nan)
            np.testing.assert_allclose(images[name], expected, rtol=1e-9, atol=1e-7 * scale)
    plain = rt.project(labelled(values), ("mean", "max")).compute()
    for name in ("mean", "max"):
        np.testing.assert_array_equal(images[name], plain[name])


@settings(max_examples=15, deadline=None)
@given(st.data(), st.sampled_from(["uint8", "int16", "uint16", "uint32", "float32"]), st.integers(2, 7))
def test_correlation_of_bins_is_that_of_the_array_of_bins_and_has_no_seams(data, dtype, length):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    values = rng.integers(0, 200, (length * data.draw(st.integers(3, 9)) + 1, 5, 6)).astype(dtype)
    chunks = tuple(data.draw(st.integers(1, size + 2)) for size in values.shape)
    images = rt.project(
        labelled(as_dask(ArraySource(values, chunks))),
        asked(length),
        workers=data.draw(st.sampled_from([1, 3])),
    ).compute()
    sums = (bin_means(values, length) * length).round().astype(np.int64)
    np.testing.assert_allclose(images["bin_correlation"], exact_correlation(sums, 0), atol=1e-9)
    np.testing.assert_allclose(images["bin_detrended"], exact_correlation(sums, 3), atol=1e-9)


@settings(max_examples=12, deadline=None)
@given(st.data(), shapes(max_frames=40), st.integers(2, 9))
def test_bits_do_not_depend_on_chunks(data, shape, length):
    shape = (max(shape[0], length), *shape[1:])
    values = data.draw(samples(shape, infinite=False))
    results = []
    for workers in (1, 2, 4):
        chunks = tuple(data.draw(st.integers(1, size + 2)) for size in shape)
        recording = labelled(as_dask(ArraySource(values, chunks)))
        results.append(rt.project(recording, asked(length), workers=workers).compute())
    for other in results[1:]:
        xr.testing.assert_identical(results[0], other)


@pytest.mark.parametrize("dtype", ["uint16", "int8", "int32", "float32"])
def test_bins_across_the_borders_of_lanes(dtype):
    values = np.random.default_rng(3).integers(0, 99, (1100, 4, 5)).astype(dtype)
    sums = values[:1099].reshape(157, 7, 4, 5).sum(axis=1).astype(np.int64)
    for workers in (1, 2, 4):  # a lane is 256 frames at least, which no bin of 7 ends with
        recording = labelled(as_dask(ArraySource(values, (4, 2, 5))))
        images = rt.project(recording, asked(7), workers=workers).compute()
        np.testing.assert_allclose(images["bin_detrended"], exact_correlation(sums, 3), atol=1e-9)
        np.testing.assert_array_equal(images["bin_max"], sums.max(axis=0) / 7)


def test_large_samples_of_16_bits_stay_exact_in_long_bins():
    values = np.full((2**16 + 5, 1, 2), 65535, np.uint16)
    values[7] = 0
    image = rt.project(labelled(values), stat.max(bin="65536 frames")).compute()["max"]
    assert image.values[0].tolist() == [65535 * 65535 / 65536] * 2
    low = rt.project(labelled(values.astype(np.int32) * -(2**15)), stat.max(bin="65536 frames")).compute()[
        "max"
    ]
    assert low.values[0, 0] == -(2**15) * 65535 * 65535 / 65536


def test_the_same_read_gives_bins_and_traces():
    def refuse(*_, **__):
        raise AssertionError("computed")

    values = np.random.default_rng(0).integers(0, 99, (40, 8, 8), dtype=np.uint16)
    with counted_reads("bins") as reads:
        recording = labelled(as_dask(ArraySource(values, (7, 4, 4), "bins")))
        with dask.config.set(scheduler=refuse):
            traces = rt.extract(
                recording, np.ones((8, 8), bool), "mean", projections=("mean", "max", "std"), bin_seconds=0.5
            )
        assert not reads
        traces = traces.compute(scheduler="sync")
    assert set(reads.values()) == {1}
    np.testing.assert_array_equal(traces["projection_max"], bin_means(values, 5).max(axis=0))
    np.testing.assert_array_equal(traces["projection_mean"], values.mean(axis=0))
    assert traces["projection_max"].attrs["statistic"] == "max(bin_frames=5)"


def test_missing_samples_hide_pixels_unless_they_are_passed_over():
    values = np.random.default_rng(0).random((20, 3, 3))
    values[4, 0, 0] = np.nan
    images = rt.project(labelled(values), "max", bin_seconds=0.5, skipna=False).compute()["max"]
    assert np.isnan(images.values).sum() == 1
    assert not np.isnan(rt.project(labelled(values), "max", bin_seconds=0.5).compute()["max"]).any()


def test_the_plan_counts_bins():
    recording = labelled(as_dask(ArraySource(np.zeros((64, 256, 256), np.uint16), (16, 64, 64))))
    plain = rt.plan(recording, projections=("max", "std"), workers=1)
    more = rt.plan(recording, projections=(stat.max(bin="4 frames"), stat.std(bin="4 frames")), workers=1)
    assert more.peak_bytes > plain.peak_bytes


def test_configuration_and_command_line_take_bins(tmp_path):
    from roitrace.cli.main import main
    from roitrace.config import make_config

    values = np.random.default_rng(0).integers(0, 99, (40, 8, 8), dtype=np.uint16)
    np.save(tmp_path / "movie.npy", values)
    job = {"recording": {"path": "a.npy"}, "output": {"path": "b.zarr"}}
    images = make_config(job | {"projections": {"bin_seconds": 2.0}}).images()
    assert [str(one) for one in images] == ["mean", "max(bin_seconds=2)", "std(ddof=0, bin_seconds=2)"]
    own = {"statistics": [{"max": {"bin_frames": 4, "name": "peaks"}}, "mean"]}
    assert str(make_config(job | {"projections": own}).images()[0]) == "max(bin_frames=4)"
    with pytest.raises(ConfigError, match="says nothing about mean"):
        make_config(job | {"projections": {"statistics": ["mean"], "bin_seconds": 1.0}})
    paths = [str(tmp_path / name) for name in ("movie.npy", "images.zarr")]
    options = ["--frame-rate", "10", "--bin-seconds", "0.4", "--statistics", "mean,max", "-q"]
    assert main(["project", *paths, *options]) == 0
    found = rt.load(paths[1])["projections"]["max"].values
    np.testing.assert_array_equal(found, bin_means(values, 4).max(axis=0))


@pytest.mark.parametrize(
    ("statistics", "bin_seconds", "rate", "kind", "says"),
    [
        ("max", 0.1, 10.0, ArgumentError, "has 1 frames, expected 2 to 40"),
        ("max", 9.0, 10.0, ArgumentError, "has 90 frames, expected 2 to 40, as many as the recording has"),
        ("max", 1.0, None, MetadataError, "bin_seconds=1"),
        ("mean", 1.0, 10.0, ArgumentError, "it is for max, std, correlation"),
        ("max", -1, 10.0, ArgumentError, "above 0"),
        (stat.max(bin="1 frames"), None, 10.0, ArgumentError, "has 1 frames"),
    ],
)
def test_bins_that_cannot_be_are_refused(statistics, bin_seconds, rate, kind, says):
    with pytest.raises(kind) as problem:
        rt.project(labelled(np.zeros((40, 2, 2)), rate), statistics, bin_seconds=bin_seconds)
    assert says in str(problem.value)


def test_traces_have_no_bins():
    with pytest.raises(ArgumentError, match="is an image and no trace"):
        rt.extract(labelled(np.zeros((40, 2, 2))), np.ones((2, 2), bool), stat.max(bin="4 frames"))
    with pytest.raises(ArgumentError, match="expected 0 <= bin_frames <= 65536"):
        stat.max(bin="70000 frames")
