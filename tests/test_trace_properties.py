"""What scaling, shifting, reordering and cutting of traces may not change."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import roitrace as rt

SEEDS = st.integers(0, 2**32)


def traces(seed, n_rois=3, n_frames=80):
    random = np.random.default_rng(seed)
    values = np.round(random.gamma(4.0, 60.0, (n_rois, n_frames)), 3)
    coords = {"time": ("time", np.arange(n_frames) / 10, {"units": "s"}), "roi": ["a", "b", "c"][:n_rois]}
    return xr.DataArray(values, dims=("roi", "time"), coords=coords, name="mean")


def normalized(trace, method="dff", **options):
    return rt.normalize(trace, method, **({"window": "3 s", "smoothing": "0.2 s"} | options))


@pytest.mark.parametrize(
    "baseline", ["rolling_percentile", "percentile", "rolling_median", "maximin", "lowpass_percentile"]
)
@given(SEEDS, st.integers(-3, 6))
@settings(max_examples=10, deadline=None)
def test_dff_does_not_depend_on_the_gain(baseline, seed, power):
    trace = traces(seed)
    own = normalized(trace, baseline=baseline)["dff"].values
    np.testing.assert_allclose(
        normalized(trace * 2.0**power, baseline=baseline)["dff"].values, own, atol=1e-12
    )


@pytest.mark.parametrize("method", ["zscore", "robust_zscore", "minmax"])
@given(SEEDS, st.floats(0.1, 50), st.floats(-1000, 1000))
@settings(max_examples=10, deadline=None)
def test_scores_depend_on_neither_gain_nor_level(method, seed, gain, level):
    trace = traces(seed)
    own = normalized(trace, method)[method].values
    np.testing.assert_allclose(normalized(trace * gain + level, method)[method].values, own, atol=1e-7)


@given(SEEDS, st.permutations([0, 1, 2]), st.integers(1, 3), st.integers(1, 80))
@settings(max_examples=15, deadline=None)
def test_order_and_chunks_of_traces_do_not_matter(seed, order, rois, frames):
    trace, neuropil = traces(seed), traces(seed + 1)
    for step in (
        lambda one, _: normalized(one),
        lambda one, other: rt.correct_neuropil(one, other, r="fit"),
        lambda one, _: rt.quality(one, window="3 s"),
    ):
        own = step(trace, neuropil)
        moved = step(trace.isel(roi=order), neuropil.isel(roi=order))
        cut = step(trace.chunk(roi=rois, time=frames), neuropil.chunk(roi=rois, time=frames))
        for name in own.data_vars:
            np.testing.assert_array_equal(moved[name].values, own[name].isel(roi=order).values)
            np.testing.assert_array_equal(cut[name].values, own[name].values)


@given(SEEDS, st.floats(0.5, 20), st.floats(-100, 100))
@settings(max_examples=15, deadline=None)
def test_a_fitted_r_depends_on_neither_gain_nor_level(seed, gain, level):
    neuropil = traces(seed)
    trace = traces(seed + 1) + 0.6 * neuropil
    own = rt.correct_neuropil(trace, neuropil, r="fit")["r"].values
    moved = rt.correct_neuropil(gain * trace + level, gain * neuropil, r="fit")["r"].values
    np.testing.assert_allclose(moved, own, atol=1e-6)
