from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from roitrace.kernels.rolling import gaussian_smooth, rolling_percentile
from tests.trace_strategies import borders_within, trace_values


def windows(trace, borders, half_window):
    """The finite samples of each frame's window, one frame after the other."""
    for begin, end in pairwise(borders):
        for t in range(begin, end):
            window = trace[max(begin, t - half_window) : min(end, t + half_window + 1)]
            yield window[np.isfinite(window)]


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(0, 70), st.sampled_from([0.0, 8.0, 50.0, 99.0, 100.0]) | st.floats(0, 100))
def test_rolling_percentile_has_the_bits_of_numpy(data, half_window, percentile):
    trace = data.draw(trace_values(max_rois=1))[0]
    borders = data.draw(borders_within(trace.size))
    expected = [
        np.percentile(window, percentile) if window.size else np.nan
        for window in windows(trace, borders, half_window)
    ]
    result = rolling_percentile(trace, borders, half_window, percentile)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("percentile", [0.0, 8.0, 93.0, 100.0])
def test_rolling_percentile_of_a_long_trace_with_jumps(percentile):
    # Half a million ranks, and windows whose values lie far apart in them: all levels of the index are walked.
    rng = np.random.default_rng(1)
    n_frames = 500_000
    trace = rng.normal(size=n_frames) + 1000.0 * (np.arange(n_frames) // 1000 % 7) * rng.choice(
        [-1, 1], n_frames
    )
    trace[200_000:201_000] = np.nan
    result = rolling_percentile(trace, np.array([0, 123_456, n_frames]), 200, percentile)
    for t in [0, 1, 123_455, 123_456, 200_300, n_frames - 1, *rng.integers(0, n_frames, 300)]:
        begin, end = (0, 123_456) if t < 123_456 else (123_456, n_frames)
        window = trace[max(begin, t - 200) : min(end, t + 201)]
        window = window[np.isfinite(window)]
        np.testing.assert_array_equal(result[t], np.percentile(window, percentile) if window.size else np.nan)


@settings(max_examples=50, deadline=None)
@given(st.data(), st.floats(0.05, 30.0))
def test_smoothing_is_a_weighted_average_of_the_segment(data, sigma):
    trace = data.draw(trace_values(max_rois=1))[0]
    borders = data.draw(borders_within(trace.size))
    expected = np.full(trace.size, np.nan)
    for begin, end in pairwise(borders):
        for t in range(begin, end):
            k = np.arange(begin, end) - t
            weights = np.exp(-0.5 * (k / sigma) ** 2) * (np.abs(k) <= int(4 * sigma + 0.5))
            segment = trace[begin:end]
            finite = np.isfinite(segment)
            if finite[t - begin]:
                expected[t] = np.average(segment[finite], weights=weights[finite])
    np.testing.assert_allclose(gaussian_smooth(trace, borders, sigma), expected, rtol=1e-12)


def test_smoothing_far_from_ends_is_that_of_scipy():
    trace = np.random.default_rng(2).normal(size=3000)
    result = gaussian_smooth(trace, np.array([0, 3000]), 15.0)
    np.testing.assert_allclose(result[100:-100], gaussian_filter1d(trace, 15.0)[100:-100], atol=1e-14)


def test_no_smoothing_leaves_the_samples():
    trace = np.array([1.0, np.inf, 3.0, np.nan])
    np.testing.assert_array_equal(gaussian_smooth(trace, np.array([0, 4]), 0.0), [1.0, np.nan, 3.0, np.nan])
    np.testing.assert_array_equal(gaussian_smooth(trace[:1], np.array([0, 1]), 0.0), [1.0])
