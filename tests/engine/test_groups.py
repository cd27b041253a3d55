"""Every further statistic through `extract`, and several groups of ROIs in one read."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace import stat
from roitrace.engine.blocks import as_dask
from roitrace.errors import ArgumentError
from roitrace.extraction import extract
from roitrace.neuropil import neuropil
from roitrace.projection import project
from roitrace.rois import Rois
from tests.block_sources import ArraySource, counted_reads
from tests.strategies import INTEGER_DTYPES, chunkings, roi_sets, samples

FURTHER = ("interquartile_mean", "huber", "sem", stat.split_half(3), "weighted_median", "mean")
NAMES = ("interquartile_mean", "huber", "sem", "half_a", "half_b", "weighted_median", "mean")


def movie_of(values, chunks=None):
    recording = xr.DataArray(values, dims=("time", "y", "x"))
    return recording if chunks is None else recording.chunk(dict(zip(recording.dims, chunks, strict=True)))


def interquartile(x):
    """By repeating every sample four times: then quarters are whole."""
    return np.sort(np.repeat(x, 4))[x.size : 3 * x.size].mean()


@settings(max_examples=30, deadline=None)
@given(st.data(), st.sampled_from([*INTEGER_DTYPES, "float64"]))
def test_further_statistics_are_those_of_numpy(data, dtype):
    shape = (5, 6, 7)
    values = data.draw(samples(shape, dtypes=(dtype,), infinite=False))
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, nan=3.0)
    rois = data.draw(roi_sets(shape[1:], weighted=True))
    result = extract(movie_of(values), rois, FURTHER).compute()
    for number, count in enumerate(rois.n_pixels):
        if count == 0:
            assert all(np.isnan(result[name][number]).all() for name in NAMES)
            continue
        pixels = values.reshape(5, -1)[:, rois.row(number)].astype(np.float64)
        size = np.abs(pixels).max() * 1e-12
        expected = [interquartile(one) for one in pixels]
        np.testing.assert_allclose(result["interquartile_mean"][number], expected, rtol=1e-15, atol=size)
        if count > 1:
            errors = scipy.stats.sem(pixels, axis=1)
            np.testing.assert_allclose(result["sem"][number], errors, rtol=1e-9, atol=size)
            halves = result["half_a"][number] * (count // 2) + result["half_b"][number] * (count - count // 2)
            np.testing.assert_allclose(halves, pixels.sum(axis=1), rtol=1e-12, atol=size * count)
        else:
            assert np.isnan(result["sem"][number]).all()
            assert np.isnan(result["half_a"][number]).all()


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_chunking_gives_the_same_bits(data):
    shape = (9, 6, 7)
    values = data.draw(samples(shape))
    rois = data.draw(roi_sets(shape[1:], weighted=True))
    rings = neuropil(rois, rule="allen", reach=2)
    options = {"overlap": ("keep", "exclude", "nearest"), "neuropil": rings}
    whole = extract(movie_of(values), rois, FURTHER, **options).compute()
    cut = extract(movie_of(values, data.draw(chunkings(shape))), rois, FURTHER, **options).compute()
    xr.testing.assert_identical(cut, whole)


def test_halves_depend_on_seed_and_id_alone():
    rng = np.random.default_rng(0)
    rois = Rois.from_masks(rng.random((3, 6, 7)) < 0.6)
    movie = movie_of(rng.integers(0, 999, (8, 6, 7)).astype("uint16"))
    first = extract(movie, rois, stat.split_half(1)).compute()
    again = extract(movie, rois[[2, 0]], ("mean", stat.split_half(1))).compute()
    np.testing.assert_array_equal(again["half_a"], first["half_a"][[2, 0]])
    assert not np.array_equal(extract(movie, rois, stat.split_half(2)).compute()["half_a"], first["half_a"])
    assert set(extract(movie, rois, "split_half").data_vars) >= {"half_a", "half_b"}


def test_the_standard_error_is_a_projection_too():
    values = np.random.default_rng(0).integers(0, 999, (30, 4, 5)).astype("uint16")
    image = project(movie_of(values), "sem").compute()["sem"]
    np.testing.assert_allclose(image, scipy.stats.sem(values.astype(float), axis=0), rtol=1e-12)


def test_everything_comes_from_one_read_of_the_chunks_that_are_needed():
    values = np.random.default_rng(0).integers(0, 999, (40, 32, 32)).astype("uint16")
    rois = Rois.from_pixels(
        [[(2, 2), (2, 3), (3, 3)], [(3, 3), (4, 3)]], shape=(32, 32), weights=[[1, 2, 3], [1, 2]]
    )
    rings = neuropil(rois, min_pixels=60)
    with counted_reads("groups") as reads:
        source = ArraySource(values, (10, 8, 8), "groups")
        recording = xr.DataArray(as_dask(source), dims=("time", "y", "x"))
        everything = ("keep", "exclude", "split", "nearest", "least_squares")
        traces = extract(
            recording, rois, ("mean", "weighted_mean"), overlap=everything, neuropil=rings, projections=()
        )
        traces = traces.compute(scheduler="sync")
        assert reads
        assert set(reads.values()) == {1}
        touched = {
            (y // 8, x // 8) for y, x in zip(*np.divmod(np.r_[rois.pixels, rings.pixels], 32), strict=True)
        }
        assert {(y, x) for _, y, x in reads} == touched
    expected = values.reshape(40, -1)[:, rings.row(0)].mean(axis=1)
    np.testing.assert_allclose(traces["neuropil"][0], expected)


def test_neuropil_of_other_rois_is_refused():
    rois = Rois.from_labels(np.kron(np.array([[1, 0], [0, 2]]), np.ones((9, 9), int)))
    movie = movie_of(np.ones((3, 18, 18), "uint8"))
    with pytest.raises(
        ArgumentError, match="neuropil has 1 ROIs, the first 1; the ROIs are 2, the first 1, 2"
    ):
        extract(movie, rois, neuropil=neuropil(rois)[[0]])
    with pytest.raises(ArgumentError, match="neuropil is a ndarray, expected Rois"):
        extract(movie, rois, neuropil=np.zeros((18, 18), bool))


def test_conventions():
    rois = Rois.from_labels(np.eye(3, dtype=int)).with_weights(np.ones(3))
    movie = movie_of(np.ones((3, 3, 3), "uint8"))
    traces = extract(movie, rois, convention="suite2p")
    assert traces["weighted_mean"].attrs["overlap"] == "exclude"
    assert (
        extract(movie, rois, "max", convention="suite2p", overlap="nearest")["max"].attrs["overlap"]
        == "nearest"
    )
    with pytest.raises(ArgumentError, match="convention='caiman', expected 'suite2p'"):
        extract(movie, rois, convention="caiman")
    # without lam every pixel counts once
    once = extract(movie, rois.with_weights(None), convention="suite2p")
    np.testing.assert_array_equal(once["weighted_mean"], traces["weighted_mean"])


def test_no_rois_give_no_traces():
    none = Rois.from_labels(np.zeros((3, 3), int))
    movie = movie_of(np.ones((3, 3, 3), "uint8"))
    traces = extract(
        movie, none, "mean", overlap=("keep", "split", "least_squares"), neuropil=neuropil(none)
    ).compute()
    assert traces["mean"].shape == (3, 0, 3)
    assert traces["neuropil"].shape == (0, 3)
