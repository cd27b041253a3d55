from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace import stat
from roitrace.choices import OVERLAP_RULES
from roitrace.errors import ArgumentError
from roitrace.extraction import STATUS_FLAGS, extract
from roitrace.normalization import normalize
from roitrace.overlap import Unmixing, overlap_rules, settle, shares
from roitrace.rois import Rois
from tests.strategies import roi_sets

SHAPE = (6, 7)


def recording(seed=0, frames=9, dtype=np.uint16):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 5000, (frames, *SHAPE)).astype(dtype)
    return xr.DataArray(values, dims=("time", "y", "x"))


def two_cells():
    """Two rows of pixels that share two, with bell-shaped weights."""
    row = np.stack([np.zeros(7, np.int64), np.arange(7)], axis=1)
    bell = np.exp(-((np.arange(7) - 3.0) ** 2) / 4)
    return Rois.from_pixels([row[:5], row[2:]], shape=SHAPE, weights=[bell[2:], bell[:5]])


# -- one pixel, one place ---------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(roi_sets(SHAPE))
def test_rules_give_every_pixel_its_place(rois):
    members = np.bincount(rois.pixels, minlength=42)
    assert settle(rois, "keep") is rois
    excluded, nearest = settle(rois, "exclude"), settle(rois, "nearest")
    for number in range(len(rois)):
        own = rois.row(number)
        np.testing.assert_array_equal(excluded.row(number), own[members[own] == 1])
        assert np.isin(nearest.row(number), own).all()
    np.testing.assert_array_equal(np.sort(nearest.pixels), np.flatnonzero(members))
    totals = np.bincount(rois.pixels, shares(rois), 42)
    np.testing.assert_allclose(totals[members > 0], 1.0)


def test_nearest_is_the_nearest_centroid_in_micrometres():
    cells = Rois.from_pixels([[(0, 0), (0, 1), (0, 2)], [(0, 2), (4, 2)]], shape=SHAPE)
    assert settle(cells, "nearest").n_pixels.tolist() == [3, 1]
    coords = {"y": ("y", np.arange(6) * 0.1), "x": ("x", np.arange(7) * 5.0)}
    flat = xr.DataArray(np.zeros(SHAPE), dims=("y", "x"), coords=coords)
    flat["y"].attrs["units"] = flat["x"].attrs["units"] = "micrometer"
    cells = Rois.from_pixels([[(0, 0), (0, 1), (0, 2)], [(0, 2), (4, 2)]], frame=flat)
    assert settle(cells, "nearest").n_pixels.tolist() == [2, 2]


def test_shares_go_by_weight_and_else_evenly():
    cells = Rois.from_pixels([[(0, 0), (0, 1)], [(0, 1), (0, 2)]], shape=SHAPE, weights=[[1, 3], [1, 5]])
    assert shares(cells).tolist() == [1.0, 0.75, 0.25, 1.0]
    assert shares(cells.with_weights(None)).tolist() == [1.0, 0.5, 0.5, 1.0]
    nothing = cells.with_weights([[1.0, 0.0], [0.0, 1.0]])
    assert shares(nothing).tolist() == [1.0, 0.5, 0.5, 1.0]


# -- least squares ----------------------------------------------------------------------------------------------


def direct(movie, rois, number):
    """What the mean of a ROI is in the least squares fit of all of its group, by `numpy.linalg.lstsq`."""
    design = rois.to_masks().values.reshape(len(rois), -1).astype(float)
    used = design.any(axis=0)
    full = np.vstack([design[:, used], np.ones(used.sum())]).T
    found = np.linalg.lstsq(full, movie.reshape(len(movie), -1)[:, used].T, rcond=None)[0]
    own = design[number] > 0
    weights = design[number][own]
    mean = found[-1] + found[number] * weights.mean()
    return mean, found[-1] + found[number] * (weights**2).sum() / weights.sum()


def test_unmixing_is_least_squares_with_a_background():
    cells, movie = two_cells(), recording()
    traces = extract(movie, cells, ("mean", "weighted_mean"), overlap="least_squares").compute()
    for number in range(2):
        mean, weighted = direct(movie.values.astype(float), cells, number)
        np.testing.assert_allclose(traces["mean"][number], mean, rtol=1e-9)
        np.testing.assert_allclose(traces["weighted_mean"][number], weighted, rtol=1e-9)
    assert (traces["status"] == 0).all()


def test_it_takes_the_neighbour_out_and_leaves_the_background_in():
    cells = two_cells()
    footprints = cells.to_masks().values
    levels = np.abs(np.random.default_rng(3).normal(100, 50, (2, 30)))
    movie = 40.0 + np.einsum("rt,ryx->tyx", levels, footprints)
    traces = extract(
        xr.DataArray(movie, dims=("time", "y", "x")), cells, "mean", overlap=("keep", "least_squares")
    )
    alone = 40.0 + levels * [[footprints[n][footprints[n] > 0].mean()] for n in range(2)]
    np.testing.assert_allclose(traces["mean"].sel(overlap="least_squares"), alone, rtol=1e-9)
    assert (traces["mean"].sel(overlap="keep") > alone).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_rois_that_share_nothing_keep_their_means(seed, weighted):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, SHAPE)
    rois = Rois.from_labels(labels)
    if weighted:
        rois = rois.with_weights(rng.random(rois.pixels.size) + 0.01)
    movie = recording(seed)
    names = ("mean", "weighted_mean") if weighted else ("mean",)
    traces = extract(movie, rois, names, overlap=OVERLAP_RULES).compute()
    for name in names:
        for rule in OVERLAP_RULES[1:]:
            np.testing.assert_allclose(
                traces[name].sel(overlap=rule), traces[name].sel(overlap="keep"), rtol=1e-9, err_msg=rule
            )


def test_rois_that_cannot_be_told_apart_have_no_trace():
    same = Rois.from_pixels([[(0, 0), (0, 1)]] * 2 + [[(3, 3)], np.zeros((0, 2), int)], shape=SHAPE)
    traces = extract(recording(), same, "mean", overlap="least_squares").compute()
    assert np.isnan(traces["mean"]).all("time").values.tolist() == [True, True, False, True]
    flags = [STATUS_FLAGS["not_separable"]] * 2 + [0, STATUS_FLAGS["empty"]]
    assert traces["status"].values.tolist() == flags


def test_a_group_solves_its_normal_equations_once():
    unmixing = Unmixing.of(two_cells())
    assert len(unmixing.groups) == 1
    assert unmixing.groups[0].tolist() == list(range(7))
    assert unmixing.mean.matrix.shape == (2, 3)


# -- in extract -------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(roi_sets(SHAPE, weighted=True), st.sampled_from(["uint16", "int32", "float64"]), st.integers(0, 99))
def test_several_rules_are_what_each_gives_alone(rois, dtype, seed):
    movie = recording(seed, dtype=dtype)
    if len(rois) == 0:
        return
    together = extract(
        movie.chunk(time=(2, 7), y=(4, 2)), rois, ("mean", "weighted_mean"), overlap=OVERLAP_RULES
    )
    together = together.compute()
    assert together["mean"].dims == ("overlap", "roi", "time")
    for rule in OVERLAP_RULES:
        alone = extract(movie, rois, ("mean", "weighted_mean"), overlap=rule).compute()
        for name in ("mean", "weighted_mean", "n_pixels", "status"):
            np.testing.assert_array_equal(
                together[name].sel(overlap=rule), alone[name], err_msg=f"{rule} {name}"
            )


def test_split_is_a_mean_weighted_by_shares():
    cells, movie = two_cells(), recording()
    part = shares(cells)
    traces = extract(movie, cells, ("mean", "weighted_mean", "weighted_median"), overlap="split").compute()
    for number in range(2):
        entries = slice(cells.indptr[number], cells.indptr[number + 1])
        pixels = movie.values.reshape(9, -1)[:, cells.row(number)].astype(float)
        np.testing.assert_allclose(traces["mean"][number], np.average(pixels, axis=1, weights=part[entries]))
        weights = part[entries] * cells.row_weights(number)
        np.testing.assert_allclose(
            traces["weighted_mean"][number], np.average(pixels, axis=1, weights=weights)
        )


def test_overlap_fraction_is_part_of_the_results():
    traces = extract(recording(), two_cells(), "mean", overlap="exclude").compute()
    np.testing.assert_allclose(traces["overlap_fraction"], [0.6, 0.6])
    assert traces["n_pixels"].values.tolist() == [2, 2]


def test_by_default_only_statistics_with_a_meaning_are_computed():
    traces = extract(recording(), two_cells(), overlap=("keep", "least_squares"))
    assert {"mean", "weighted_mean"} == {
        name for name in traces.data_vars if "mean" in name or "median" in name
    }


@pytest.mark.parametrize(
    ("overlap", "name"), [("split", "median"), ("least_squares", "max"), (("keep", "split"), "std")]
)
def test_statistics_without_a_meaning_are_refused(overlap, name):
    with pytest.raises(ArgumentError, match=f"pixels to several ROIs in parts, which '{name}' cannot take"):
        extract(recording(), two_cells(), ("mean", name), overlap=overlap)


@pytest.mark.parametrize("overlap", ["drop", ("keep", "keep"), ()])
def test_wrong_rules_are_refused(overlap):
    with pytest.raises(ArgumentError, match="overlap="):
        overlap_rules(overlap)


def test_own_weights_of_a_statistic_make_its_own_footprints():
    cells, movie = two_cells(), recording()
    own = np.linspace(1, 2, cells.pixels.size)
    statistics = ("mean", stat.weighted_mean(weights=own, name="own"))
    traces = extract(movie, cells, statistics, overlap="least_squares").compute()
    expected = extract(movie, cells.with_weights(own), "weighted_mean", overlap="least_squares").compute()
    np.testing.assert_array_equal(traces["own"], expected["weighted_mean"])


def test_traces_of_several_rules_are_chosen_from_before_they_are_normalised():
    traces = extract(recording(), two_cells(), "mean", overlap=("keep", "exclude"))
    with pytest.raises(ArgumentError, match=r"choose one with traces\.sel\(overlap=\.\.\.\)"):
        normalize(traces, window=None, smoothing=None)
    result = normalize(traces.sel(overlap="exclude"), window=None, smoothing=None)
    assert result["dff"].dims == ("roi", "time")
