from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation

from roitrace.baseline import baseline
from roitrace.kernels.rolling import gaussian_smooth
from roitrace.quality import noise, peak_snr
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
