from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation

from roitrace import stat
from roitrace.baseline import baseline
from roitrace.errors import ArgumentError
from roitrace.extraction import extract
from roitrace.kernels.rolling import gaussian_smooth
from roitrace.neuropil import neuropil
from roitrace.neuropil_correction import correct_neuropil
from roitrace.normalization import normalize
from roitrace.quality import MEASURES, noise, peak_snr, quality
from roitrace.rois import Rois
from tests.trace_strategies import chunked, labelled, nothing_computed, trace_values


@settings(max_examples=40, deadline=None)
@given(trace_values(missing=False))
def test_noise_is_the_scaled_deviation_of_the_differences(values):
    result = noise(labelled(values)).values
    if values.shape[1] < 2:
        assert np.isnan(result).all()
        return
    difference = np.diff(values, axis=1)
    centred = np.abs(difference - np.median(difference, axis=1, keepdims=True))
    np.testing.assert_allclose(result, 1.4826 * np.median(centred, axis=1) / np.sqrt(2), rtol=1e-14)
    deviation = median_abs_deviation(difference, axis=1, scale="normal")
    np.testing.assert_allclose(result, deviation / np.sqrt(2), rtol=2e-6)


def test_noise_estimates_the_standard_deviation_beneath_a_signal():
    rng = np.random.default_rng(0)
    time = np.arange(50_000)
    signal = 100 * np.sin(time / 2000) + 500 * (time % 1000 < 3)
    assert noise(labelled(signal + rng.normal(0, 5.0, time.size))).item() == pytest.approx(5.0, rel=0.03)


def test_differences_over_borders_and_missing_samples_do_not_count():
    values = np.array([0.0, 1.0, 3.0, 1000.0, 1002.0, np.nan, 5000.0, 5003.0])
    trace = labelled(values, session=[0, 0, 0, 1, 1, 1, 1, 1])
    expected = 1.4826 * np.median(np.abs(np.array([1, 2, 2, 3]) - 2.0)) / np.sqrt(2)
    assert noise(trace).item() == pytest.approx(expected)
    assert np.isnan(noise(labelled([1.0, np.nan, 2.0])).item())


@settings(max_examples=25, deadline=None)
@given(trace_values(missing=False), st.floats(0.01, 100.0), st.floats(-1e3, 1e3))
def test_noise_follows_the_factor_alone_and_snr_neither(values, factor, offset):
    trace = labelled(values)
    moved = trace * factor + offset
    scale = 100 * factor + abs(offset)
    np.testing.assert_allclose(noise(moved), noise(trace) * factor, rtol=1e-9, atol=1e-12 * scale)
    assume((noise(trace) > 1e-6).all())
    np.testing.assert_allclose(peak_snr(moved, window=2.0), peak_snr(trace, window=2.0), rtol=1e-6, atol=1e-6)


def test_peak_snr_is_the_99th_percentile_above_f0_over_the_noise():
    rng = np.random.default_rng(1)
    values = rng.normal(100.0, 5.0, (2, 2000)) + 80 * (np.arange(2000) % 400 < 20)
    values[0, 50] = np.nan
    trace = labelled(values)
    result = peak_snr(trace, window=30.0)
    f0 = baseline(trace, window=30.0).values
    for row in range(2):
        above = gaussian_smooth(values[row], np.array([0, 2000]), 5.0) - f0[row]
        expected = np.nanpercentile(above, 99) / noise(trace).values[row]
        assert result.values[row] == pytest.approx(expected, rel=1e-12)
    assert (result > 10).all()


def test_peak_snr_without_noise_or_samples_is_nan():
    result = peak_snr(labelled([[5.0] * 20, [np.nan] * 20]), window="5 frames")
    assert np.isnan(result.values).all()


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_chunking_gives_the_same_bits(data):
    trace = labelled(data.draw(trace_values()))
    with nothing_computed():
        lazy = data.draw(chunked(trace))
        results = noise(lazy), peak_snr(lazy, window=1.5)
    xr.testing.assert_identical(results[0].compute(), noise(trace))
    xr.testing.assert_identical(results[1].compute(), peak_snr(trace, window=1.5))


# -- the table --------------------------------------------------------------------------------------------------


def movie(frames=500, seed=0):
    rng = np.random.default_rng(seed)
    decay = np.exp(-np.arange(60) / 12)
    calcium = np.stack([np.convolve(rng.random(frames) < 0.01, decay)[:frames] for _ in range(3)])
    rois = Rois.from_pixels(
        [
            [(y, x) for y in range(2, 8) for x in range(2, 8)],
            [(y, x) for y in range(5, 11) for x in range(6, 12)],
            [(0, 19), (1, 19)],
        ],
        shape=(20, 20),
    )
    values = (
        100
        + np.einsum("rt,ryx->tyx", 60 * calcium, rois.to_masks().values)
        + rng.normal(0, 6, (frames, 20, 20))
    )
    recording = xr.DataArray(values.round().clip(0, 255).astype("uint8"), dims=("time", "y", "x"))
    return recording.assign_coords(time=("time", np.arange(frames) / 10, {"units": "s"})), rois


def test_every_measure_is_there_and_means_what_it_says():
    recording, rois = movie()
    asked = ("mean", "median", "max", stat.split_half(0))
    traces = extract(recording, rois, asked, neuropil=neuropil(rois, min_pixels=60))
    table = quality(traces, rois, saturation=250, window=10.0).compute()
    of_more = {"coverage", "neuropil_coefficient", "interpolated_fraction"}
    of_motion = {"dy_correlation", "dx_correlation", "residual_motion"}
    assert set(table.data_vars) == set(MEASURES) - of_more - of_motion
    computed = traces.compute()
    f = computed["mean"].values
    np.testing.assert_allclose(table["level"], np.median(f, axis=1))
    np.testing.assert_array_equal(table["noise"], noise(computed))
    np.testing.assert_array_equal(table["peak_snr"], peak_snr(computed, window=10.0))
    np.testing.assert_allclose(table["suite2p_snr"], 1 - np.diff(f).var(axis=1) / (2 * f.var(axis=1)))
    np.testing.assert_allclose(table["skewness"], scipy.stats.skew(f, axis=1))
    dff = normalize(computed, window=10.0)["dff"].values
    expected = 100 * np.median(np.abs(np.diff(dff)), axis=1) / np.sqrt(10)
    np.testing.assert_allclose(table["nu"], expected, rtol=1e-9)
    ends = np.median(f[:, -50:], axis=1) - np.median(f[:, :50], axis=1)
    np.testing.assert_allclose(table["drift"], ends / np.median(f, axis=1))
    halves = [np.corrcoef(*pair)[0, 1] for pair in zip(computed["half_a"], computed["half_b"], strict=True)]
    np.testing.assert_allclose(table["split_half_reliability"], [2 * r / (1 + r) for r in halves])
    pairs = zip(computed["mean"], computed["median"], strict=True)
    np.testing.assert_allclose(table["mean_median_correlation"], [np.corrcoef(*pair)[0, 1] for pair in pairs])
    np.testing.assert_allclose(table["saturated_fraction"], (computed["max"] >= 250).mean("time"))
    np.testing.assert_allclose(table["overlap_fraction"], [6 / 36, 6 / 36, 0])
    assert table["border_distance"].values.tolist() == [2, 5, 0]
    assert table["finite_fraction"].values.tolist() == [1, 1, 1]
    assert table["level"].attrs == {"long_name": "median of F", "units": "count"}


def test_coverage_and_the_neuropil_coefficient_come_from_what_made_them():
    recording, rois = movie(60)
    values = recording.values.astype(np.float64)
    values[:30, 5, 3] = np.nan
    traces = extract(
        recording.copy(data=values), rois, "mean", neuropil=neuropil(rois, min_pixels=60)
    ).compute()
    np.testing.assert_allclose(quality(traces, window=3.0)["coverage"], [1 - 0.5 / 36, 1, 1])
    corrected = correct_neuropil(traces, r=0.4)
    table = quality(corrected, window=3.0)
    assert table["neuropil_coefficient"].values.tolist() == [0.4] * 3
    assert table.attrs["statistic"] == "fcorr"
    assert (table["neuropil_correlation"] < 0.9).all()


def test_bleaching_has_a_time():
    t = np.arange(1200) / 10
    trace = 100 + 100 * np.exp(-t / 20) + np.random.default_rng(0).normal(0, 1, t.size)
    table = quality(labelled(trace), window=20.0)
    assert table["bleach_time"].item() == pytest.approx(20, rel=0.1)
    assert table["bleach_time"].attrs["units"] == "s"
    assert table["drift"].item() < -0.3
    frames = quality(labelled(trace, rate=None), window=None, smoothing=None)
    assert frames["bleach_time"].item() == pytest.approx(200, rel=0.1)
    assert frames["bleach_time"].attrs["units"] == "frame"
    assert np.isnan(frames["nu"]).all()


def test_a_trace_without_samples_has_no_measures():
    table = quality(labelled([[np.nan] * 20, [5.0] * 20]), window="5 frames", smoothing=None)
    assert table["finite_fraction"].values.tolist() == [0, 1]
    assert all(np.isnan(table[name].values[0]) for name in table.data_vars if name != "finite_fraction")
    assert np.isnan(table["skewness"].values[1])
    assert table["level"].values[1] == 5


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_the_table_is_lazy_and_has_the_same_bits(data):
    trace = labelled(data.draw(trace_values()))
    both = xr.Dataset(
        {"mean": trace, "median": trace * 0.5, "max": trace + 1},
        attrs={"primary": "mean", "frame_rate": 10.0},
    )
    with nothing_computed():
        lazy = quality(
            data.draw(chunked(both["mean"]))
            .to_dataset(name="mean")
            .assign(median=both["median"].chunk(), max=both["max"].chunk())
            .assign_attrs(both.attrs),
            saturation=100,
            window=1.5,
        )
    xr.testing.assert_identical(lazy.compute(), quality(both, saturation=100, window=1.5))


def test_a_table_needs_its_own_rois_and_the_brightest_pixels():
    recording, rois = movie(30)
    traces = extract(recording, rois, "mean").compute()
    with pytest.raises(ArgumentError, match="there are 2 ROIs and 3 traces"):
        quality(traces, rois[:2], window=1.0)
    with pytest.raises(ArgumentError, match="saturation=255 needs the brightest pixel"):
        quality(traces, saturation=255, window=1.0)
