from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.baseline import baseline
from roitrace.errors import ArgumentError, MetadataError
from roitrace.kernels.rolling import gaussian_smooth
from tests.trace_strategies import chunked, labelled, nothing_computed, trace_values


def direct(trace, borders, half_window, sigma, percentile):
    """F0 of one trace, window by window."""
    smooth = gaussian_smooth(trace, np.asarray(borders), sigma)
    f0 = np.full(trace.size, np.nan)
    for begin, end in pairwise(borders):
        for t in range(begin, end):
            window = smooth[max(begin, t - half_window) : min(end, t + half_window + 1)]
            window = window[np.isfinite(window)]
            if window.size:
                f0[t] = np.percentile(window, percentile)
    return f0


@settings(max_examples=40, deadline=None)
@given(trace_values(), st.sampled_from([0.5, 1.0, 2.3, 60.0]), st.floats(0, 100))
def test_it_is_the_percentile_of_each_centred_window(values, window, percentile):
    result = baseline(labelled(values, rate=10.0), window=window, percentile=percentile)
    borders = [0, values.shape[1]]
    for row, f0 in zip(values, result.values, strict=True):
        np.testing.assert_array_equal(f0, direct(row, borders, round(window * 10) // 2, 5.0, percentile))


def test_defaults_are_the_eighth_percentile_of_a_minute_smoothed_by_half_a_second():
    values = np.random.default_rng(0).normal(100.0, 5.0, (1, 1500))
    result = baseline(labelled(values, rate=7.5))
    np.testing.assert_array_equal(result.values[0], direct(values[0], [0, 1500], 225, 3.75, 8.0))
    assert result.attrs["window_frames"] == 451
    assert result.attrs["smoothing_frames"] == pytest.approx(3.75)
    assert (result.name, result.attrs["percentile"], result.attrs["statistic"]) == ("f0", 8.0, "mean")


def test_no_window_reaches_over_a_gap_or_a_session():
    rng = np.random.default_rng(1)
    time = np.concatenate([np.arange(50), 60 + np.arange(50)]) / 10
    session = np.repeat([0, 1, 2], [50, 20, 30])
    values = rng.normal(100.0, 5.0, 100)
    trace = labelled(values, time=time, session=session)
    result = baseline(trace, window=3.0).values[0]
    np.testing.assert_array_equal(result, direct(values, [0, 50, 70, 100], 15, 5.0, 8.0))
    for begin, end in [(0, 50), (50, 70), (70, 100)]:
        others = rng.normal(-1e6, 1e6, 100)
        others[begin:end] = values[begin:end]
        again = baseline(labelled(others, time=time, session=session), window=3.0).values[0]
        np.testing.assert_array_equal(again[begin:end], result[begin:end])


def test_the_whole_segment_may_be_the_window():
    values = np.random.default_rng(2).normal(size=(2, 40))
    result = baseline(labelled(values, rate=None), window=None, smoothing=None, percentile=30)
    expected = np.percentile(values, 30, axis=1)[:, None]
    np.testing.assert_array_equal(result, np.broadcast_to(expected, values.shape))
    assert result.attrs["window_frames"] == 40


@settings(max_examples=25, deadline=None)
@given(trace_values(), st.floats(0.01, 100.0), st.floats(-100.0, 100.0))
def test_it_follows_a_factor_and_an_offset(values, factor, offset):
    trace = labelled(np.where(np.isfinite(values), values, np.nan))
    expected = baseline(trace, window=2.0) * factor + offset
    result = baseline(trace * factor + offset, window=2.0)
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-9 * (100 * factor + abs(offset)))


def test_frames_do_for_seconds():
    values = np.random.default_rng(3).normal(size=(2, 300))
    counted = labelled(values, rate=None)
    result = baseline(counted, window="100 frames", smoothing="5 frames")
    np.testing.assert_array_equal(
        result, baseline(labelled(values, rate=10.0), window="10 s", smoothing="500 ms")
    )
    with pytest.raises(MetadataError, match=r"window=60.0 is asked in seconds"):
        baseline(counted)
    with pytest.raises(MetadataError, match=r"smoothing=0.5 is asked in seconds"):
        baseline(counted, window="100 frames")


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_chunking_gives_the_same_bits(data):
    trace = labelled(data.draw(trace_values()))
    expected = baseline(trace, window=1.5)
    with nothing_computed():
        lazy = baseline(data.draw(chunked(trace)), window=1.5)
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), expected)


def test_each_roi_is_on_its_own():
    trace = labelled(np.random.default_rng(4).normal(size=(5, 200)))
    order = [3, 0, 4, 2, 1]
    xr.testing.assert_identical(baseline(trace[order], window=5.0), baseline(trace, window=5.0)[order])


@pytest.mark.parametrize("percentile", [-0.1, 100.1, np.nan, "8"])
def test_a_percentile_out_of_range_is_refused(percentile):
    with pytest.raises(ArgumentError, match=r"percentile=.*, expected a number from 0 to 100"):
        baseline(labelled(np.ones(9)), percentile=percentile)
