"""Baselines by other definitions, each beside the formulation of its source."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.baseline import baseline
from roitrace.baseline_methods import fit_bleaching
from roitrace.choices import BASELINES
from roitrace.errors import ArgumentError, MetadataError
from roitrace.kernels.modes import rolling_mode
from roitrace.normalization import STATUS, normalize
from tests.trace_strategies import borders_within, chunked, labelled, nothing_computed, trace_values

RATE = 10.0
OPTIONS = {"first": {"first": 2.0}, "frames": {"frames": [(0.0, 1.0), (3.0, 4.0)]}}


def active(frames=600, seed=0):
    rng = np.random.default_rng(seed)
    calcium = np.convolve(rng.random(frames) < 0.01, np.exp(-np.arange(60) / 15))[:frames]
    return 200.0 + 80 * calcium + rng.normal(0, 4, frames)


def options_of(method, trace):
    return {"reference": trace * 0 + 7.0} if method == "ratio" else OPTIONS.get(method, {})


# -- each by its source -----------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(trace_values(missing=False), st.sampled_from([0.3, 1.0, 2.0, 60.0]), st.sampled_from([0.0, 3.0, 10.0]))
def test_maximin_is_suite2ps(values, window, sigma):
    result = baseline(labelled(values), method="maximin", window=window, smoothing=f"{sigma} frames")
    flow = scipy.ndimage.gaussian_filter(values, [0.0, sigma])
    flow = scipy.ndimage.minimum_filter1d(flow, int(window * RATE))
    flow = scipy.ndimage.maximum_filter1d(flow, int(window * RATE))
    np.testing.assert_array_equal(result, flow)


@settings(max_examples=15, deadline=None)
@given(trace_values(missing=False), st.sampled_from([1.0, 2.0, 5.0, 30.0]))
def test_lowpass_percentile_is_fissas(values, rate):
    result = baseline(labelled(values, rate=rate), method="lowpass_percentile", percentile=5)
    if rate > 2:
        taps = scipy.signal.firwin(30, cutoff=2 / rate, window="hamming")
        values = scipy.signal.filtfilt(taps, [1.0], values, axis=1, padlen=min(90, values.shape[1] - 1))
    expected = np.percentile(values, 5, axis=1)[:, None]
    np.testing.assert_allclose(result, np.broadcast_to(expected, result.shape), rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.data(), trace_values(max_rois=1), st.sampled_from([0, 1, 4, 100]))
def test_the_mode_is_the_most_frequent_count_of_each_window(data, values, half):
    trace = np.where(np.isfinite(values[0]), values[0], np.nan)
    borders = data.draw(borders_within(trace.size))
    result = rolling_mode(trace, borders, half)
    for begin, end in pairwise(borders):
        for t in range(begin, end):
            window = np.rint(trace[max(begin, t - half) : min(end, t + half + 1)])
            levels, counts = np.unique(window[np.isfinite(window)], return_counts=True)
            expected = levels[np.argmax(counts)] if levels.size else np.nan
            np.testing.assert_array_equal(result[t], expected)


def test_the_mode_is_smoothed_by_a_mean():
    trace = active()
    result = baseline(labelled(trace), method="mode", window=9.0).values[0]
    mode = rolling_mode(trace, np.array([0, 600]), 45)
    expected = [mode[max(0, t - 25) : t + 26].mean() for t in range(600)]
    np.testing.assert_allclose(result, expected, rtol=1e-12)
    assert np.abs(result - 200).max() < 12


def test_the_first_seconds_and_chosen_frames_of_each_segment():
    trace = np.arange(100.0)
    session = np.repeat([0, 1], [60, 40])
    labelled_trace = labelled(trace, session=session)
    result = baseline(labelled_trace, method="first", first=2.0).values[0]
    np.testing.assert_array_equal(result, np.repeat([9.5, 69.5], [60, 40]))
    result = baseline(labelled_trace, method="frames", frames=[(0.0, 1.0), (7.0, 8.0)]).values[0]
    np.testing.assert_array_equal(result, np.repeat([4.5, 74.5], [60, 40]))
    chosen = np.zeros(100, dtype=bool)
    chosen[[3, 5]] = True
    result = baseline(labelled_trace, method="frames", frames=chosen).values[0]
    np.testing.assert_array_equal(result, np.repeat([4.0, np.nan], [60, 40]))


def test_percentile_and_median_are_the_rolling_ones():
    trace = labelled(active())
    whole = baseline(trace, method="percentile", smoothing=None)
    np.testing.assert_array_equal(whole, np.full((1, 600), np.percentile(trace, 8)))
    np.testing.assert_array_equal(
        baseline(trace, method="rolling_median", window=5.0), baseline(trace, percentile=50, window=5.0)
    )


@pytest.mark.parametrize(
    ("fast", "slow", "parts"), [(60.0, 900.0, (80, 150, 300)), (30.0, 400.0, (0, 200, 100))]
)
def test_bleaching_curves_are_found_beneath_activity(fast, slow, parts):
    rng = np.random.default_rng(0)
    t = np.arange(3000)
    curve = parts[0] * np.exp(-t / fast) + parts[1] * np.exp(-t / slow) + parts[2]
    calcium = np.convolve(rng.random(3000) < 0.003, np.exp(-np.arange(60) / 15))[:3000]
    fit = fit_bleaching(curve * (1 + calcium), 8)
    assert np.abs(fit.curve / curve - 1)[20:].max() < 0.05
    assert fit.time_constant == pytest.approx((parts[0] * fast + parts[1] * slow) / sum(parts[:2]), rel=0.2)
    result = baseline(labelled(curve * (1 + calcium)), method="bleaching")
    np.testing.assert_array_equal(result[0], fit.curve)


def test_what_does_not_bleach_has_no_time_constant():
    assert np.isnan(fit_bleaching(np.full(500, 7.0)).time_constant)
    assert fit_bleaching(np.full(7, 7.0)) is None


def test_the_ratio_takes_out_what_both_channels_share():
    rng = np.random.default_rng(1)
    movement = 1 + 0.3 * np.sin(np.arange(600) / 9)
    calcium = active(seed=1)
    reference = labelled(50 * movement)
    result = normalize(labelled(calcium * movement), baseline="ratio", reference=reference, window=30.0)
    expected = normalize(labelled(calcium), window=30.0)
    np.testing.assert_allclose(result["dff"], expected["dff"], rtol=1e-9, atol=1e-12)
    dark = reference.copy(data=np.where(rng.random(600) < 0.1, 0.0, reference.values))
    assert (
        normalize(labelled(calcium), baseline="ratio", reference=dark)["status"].item() & STATUS["small_f0"]
    )


# -- all of them ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", BASELINES)
def test_no_method_looks_over_a_border(method):
    rng = np.random.default_rng(2)
    session = np.repeat([0, 1, 2], [150, 120, 130])
    trace = active(400)
    chosen = {"frames": {"frames": rng.random(400) < 0.5}}
    options = {"window": 3.0} | (chosen.get(method) or options_of(method, labelled(trace)))
    result = baseline(labelled(trace, session=session), method=method, **_sessions(options, session)).values[
        0
    ]
    for begin, end in [(0, 150), (150, 270), (270, 400)]:
        others = rng.normal(500, 100, 400)
        others[begin:end] = trace[begin:end]
        again = baseline(
            labelled(others, session=session), method=method, **_sessions(options, session)
        ).values[0]
        np.testing.assert_array_equal(again[begin:end], result[begin:end])


def _sessions(options, session):
    if "reference" not in options:
        return options
    return options | {"reference": options["reference"].assign_coords(session=("time", session))}


@pytest.mark.parametrize("method", BASELINES)
def test_a_factor_scales_f0(method):
    trace = labelled(np.rint(active()))
    options = {"window": 20.0} | options_of(method, trace)
    result = baseline(trace * 4, method=method, **options)
    expected = baseline(trace, method=method, **options) * 4
    if method == "mode":  # whole counts
        np.testing.assert_allclose(result, expected, atol=16)
    else:
        np.testing.assert_allclose(result, expected, rtol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.data(), st.sampled_from(BASELINES))
def test_any_chunking_gives_the_same_bits(data, method):
    trace = labelled(data.draw(trace_values()))
    options = {"window": 1.5} | (
        {"frames": np.ones(trace.shape[1], bool)} if method == "frames" else options_of(method, trace)
    )
    expected = baseline(trace, method=method, **options)
    with nothing_computed():
        lazy = baseline(data.draw(chunked(trace)), method=method, **options)
    xr.testing.assert_identical(lazy.compute(), expected)


@pytest.mark.parametrize("method", BASELINES)
def test_missing_samples_do_not_spread(method):
    values = active()
    values[100:110] = np.nan
    trace = labelled(values)
    result = baseline(trace, method=method, window=20.0, **options_of(method, trace))
    assert np.isfinite(result.values[0, :100]).all()
    assert np.isfinite(result.values[0, 110:]).all()


def test_normalize_takes_any_method_and_counts_small_f0():
    trace = labelled(np.stack([active(), np.random.default_rng(0).normal(0, 5, 600)]))
    result = normalize(trace, baseline="maximin", window=20.0, smoothing="10 frames")
    f0 = baseline(trace, method="maximin", window=20.0, smoothing="10 frames")
    np.testing.assert_array_equal(result["f0"], f0)
    assert result.attrs["baseline"] == "maximin"
    assert result["n_small_f0"].values.tolist() == [0, 600]
    assert result["status"].values.tolist() == [0, STATUS["small_f0"]]


def test_frames_without_a_baseline_are_flagged():
    trace = labelled(active(), session=np.repeat([0, 1], 300))
    result = normalize(trace, baseline="frames", frames=[(0.0, 1.0)])
    assert result["status"].item() == STATUS["no_baseline"]
    assert np.isnan(result["dff"].values[0, 300:]).all()
    assert np.isfinite(result["dff"].values[0, :300]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "als"}, "there is no baseline 'als', expected one of rolling_percentile"),
        ({"method": "first"}, "the baseline 'first' needs first="),
        ({"method": "frames"}, "the baseline 'frames' needs frames="),
        ({"method": "ratio"}, "the baseline 'ratio' needs reference="),
        (
            {"first": 3.0},
            "first= is for the baseline 'first', the baseline asked for is 'rolling_percentile'",
        ),
        ({"method": "first", "first": "0 frames"}, "shorter than one frame"),
        ({"method": "frames", "frames": np.ones(3, bool)}, r"frames has dtype bool and shape \(3,\)"),
        ({"method": "frames", "frames": [(100.0, 200.0)]}, "frames choose no frame"),
        ({"method": "bleaching", "percentile": 101}, "percentile=101"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        baseline(labelled(active(50)), **options)


def test_the_lowpass_needs_a_frame_rate_and_the_reference_the_same_frames():
    with pytest.raises(MetadataError, match="cutoff of 1 Hz"):
        baseline(labelled(active(50), rate=None), method="lowpass_percentile")
    with pytest.raises(ArgumentError, match="reference has sizes"):
        baseline(labelled(active(50)), method="ratio", reference=labelled(active(49)))
