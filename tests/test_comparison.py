from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import linregress

from roitrace.comparison import compare, score_traces
from roitrace.errors import ArgumentError, BudgetError, MetadataError
from roitrace.matching import match_rois
from roitrace.normalization import normalize
from roitrace.quality import noise, peak_snr
from roitrace.rois import Rois
from tests.trace_strategies import chunked, labelled, nothing_computed, trace_values

MEASURES = ["correlation", "slope", "offset", "rms_difference", "mean_difference", "noise", "peak_snr"]


def extracted(n_rois=3, n_frames=400, missing=False):
    """Traces by two statistics, as `extract` gives them."""
    rng = np.random.default_rng(0)
    mean = 100 + rng.normal(0, 3.0, (n_rois, n_frames)) + 40 * (np.arange(n_frames) % 100 < 10)
    median = 0.8 * mean + 5 + rng.normal(0, 1.0, mean.shape)
    if missing:
        median[:, 20:40] = np.nan
    mean, median = labelled(mean, rate=20.0), labelled(median, rate=20.0)
    counts = mean.astype(np.int64)
    return xr.Dataset(
        {"mean": mean, "median": median, "n_valid": counts}, attrs={"primary": "mean", "frame_rate": 20.0}
    )


# -- statistics against each other ------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [False, True])
def test_measures_are_those_of_numpy_and_scipy(missing):
    traces = extracted(missing=missing)
    result = compare(traces, window=5.0)
    assert list(result.data_vars) == MEASURES
    assert result["slope"].dims == ("statistic", "roi")
    assert result["statistic"].values.tolist() == ["mean", "median"]
    assert result.attrs["against"] == "mean"
    for name in ("mean", "median"):
        for roi in range(3):
            x, y = traces["mean"].values[roi], traces[name].values[roi]
            both = np.isfinite(y)
            line = linregress(x[both], y[both])
            one = result.sel(statistic=name).isel(roi=roi)
            assert one["correlation"].item() == pytest.approx(line.rvalue, rel=1e-12)
            assert one["slope"].item() == pytest.approx(line.slope, rel=1e-12)
            assert one["offset"].item() == pytest.approx(line.intercept, rel=1e-10, abs=1e-10)
            difference = (y - x)[both]
            assert one["rms_difference"].item() == pytest.approx(np.sqrt(np.mean(difference**2)), rel=1e-12)
            assert one["mean_difference"].item() == pytest.approx(np.mean(difference), rel=1e-12)
        np.testing.assert_array_equal(result["noise"].sel(statistic=name), noise(traces, statistic=name))
        expected = peak_snr(traces, statistic=name, window=5.0)
        np.testing.assert_array_equal(result["peak_snr"].sel(statistic=name), expected)


def test_the_reference_agrees_with_itself():
    own = compare(extracted(), window=5.0).sel(statistic="mean")
    for name, expected in [("correlation", 1), ("slope", 1), ("rms_difference", 0), ("mean_difference", 0)]:
        np.testing.assert_allclose(own[name], expected, rtol=1e-14)
    np.testing.assert_allclose(own["offset"], 0, atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.05, 20.0), st.floats(-500.0, 500.0))
def test_gain_and_offset_are_found_again(factor, offset):
    traces = extracted(1, 100)[["mean"]]
    traces["other"] = traces["mean"] * factor + offset
    result = compare(traces, window=2.0).sel(statistic="other")
    assert result["slope"].item() == pytest.approx(factor, rel=1e-9)
    assert result["offset"].item() == pytest.approx(offset, rel=1e-9, abs=1e-6 * factor)
    assert result["correlation"].item() == pytest.approx(1.0)
    expected = (traces["other"] - traces["mean"]).mean().item()
    assert result["mean_difference"].item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_constant_and_missing_traces_give_nan():
    values = np.array([[5.0] * 9, [np.nan] * 9, [1.0, 2, 3, 4, 5, 6, 7, 8, 9]])
    traces = xr.Dataset({"mean": labelled(values), "flat": labelled(np.full((3, 9), 2.0))})
    result = compare(traces, against="mean", window="3 frames", smoothing=0)
    flat = result.sel(statistic="flat")
    assert np.isnan(flat["correlation"]).all()
    np.testing.assert_array_equal(flat["slope"], [np.nan, np.nan, 0.0])
    np.testing.assert_array_equal(flat["offset"], [np.nan, np.nan, 2.0])
    np.testing.assert_array_equal(flat["mean_difference"], [-3.0, np.nan, -3.0])
    assert np.isnan(result.sel(statistic="mean")["peak_snr"].values[1])


def test_another_reference_and_a_choice_of_statistics():
    traces = extracted()
    result = compare(traces, against="median", statistics=["mean"], window=5.0)
    assert result["statistic"].values.tolist() == ["mean"]
    expected = linregress(traces["median"].values[0], traces["mean"].values[0]).slope
    assert result["slope"].values[0, 0] == pytest.approx(expected)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_chunking_gives_the_same_bits(data):
    values = data.draw(trace_values())
    attrs = {"primary": "mean", "frame_rate": 10.0}
    traces = xr.Dataset({"mean": labelled(values), "median": labelled(values[:, ::-1])}, attrs=attrs)
    expected = compare(traces, window=1.5)
    lazy = traces.map(lambda trace: data.draw(chunked(trace)))
    lazy.attrs = traces.attrs
    with nothing_computed():
        lazy = compare(lazy, window=1.5)
    assert lazy["slope"].chunks is not None
    xr.testing.assert_identical(lazy.compute(), expected)


def test_each_roi_is_on_its_own():
    traces, order = extracted(5), [3, 0, 4, 2, 1]
    shuffled = compare(traces.isel(roi=order), window=5.0)
    xr.testing.assert_identical(shuffled, compare(traces, window=5.0).isel(roi=order))


def test_what_cannot_be_compared_is_refused():
    traces = extracted()
    with pytest.raises(ArgumentError, match="expected a Dataset"):
        compare(traces["mean"])
    with pytest.raises(ArgumentError, match="no statistic 'mode'"):
        compare(traces, against="mode")
    with pytest.raises(ArgumentError, match="no statistic 'mode'"):
        compare(traces, statistics=["mode"])
    with pytest.raises(ArgumentError, match="no statistic to compare"):
        compare(traces, statistics=[])
    with pytest.raises(ArgumentError, match="percentile"):
        compare(traces, percentile=-1)
    with pytest.raises(BudgetError):
        compare(traces.chunk(), budget="300 MiB", workers=1)
    counted = traces.assign_coords(time=("time", np.arange(400.0), {"units": "1"}))
    del counted.attrs["frame_rate"]
    counted["mean"].attrs.clear()
    with pytest.raises(MetadataError, match="window"):
        compare(counted)
    assert np.isfinite(compare(counted, window="100 frames", smoothing="10 frames")["peak_snr"]).all()


# -- statistics against the truth -------------------------------------------------------------------------------


def simulated(n_rois=4, n_frames=500):
    """True dF/F, and traces of it by two statistics, the median with more noise."""
    rng = np.random.default_rng(2)
    truth = labelled(
        1.5 * (np.arange(n_frames) % 100 < 8) * rng.random((n_rois, n_frames)), rate=20.0, name="dff"
    )
    level = 100.0 * np.arange(1, n_rois + 1)[:, None]
    clean = level * (1 + truth)
    traces = xr.Dataset(
        {
            "mean": clean + rng.normal(0, 2.0, truth.shape),
            "median": clean + rng.normal(0, 6.0, truth.shape),
        },
        attrs={"primary": "mean", "frame_rate": 20.0},
    )
    return traces, truth


def test_scores_are_correlation_and_error_of_dff():
    traces, truth = simulated()
    scores = score_traces(traces + 50.0, truth, offset=50.0, window=15.0)
    assert scores["statistic"].values.tolist() == ["mean", "median"]
    for name in ("mean", "median"):
        dff = normalize(traces + 50.0, statistic=name, offset=50.0, window=15.0)["dff"].values
        rmse = np.sqrt(np.mean((dff - truth.values) ** 2, axis=1))
        r = [np.corrcoef(one, true)[0, 1] for one, true in zip(dff, truth.values, strict=True)]
        here = scores.sel(statistic=name)
        np.testing.assert_allclose(here["rmse"], rmse, rtol=1e-12)
        np.testing.assert_allclose(here["correlation"], r, rtol=1e-12)
        assert here["median_rmse"].item() == pytest.approx(np.median(rmse), rel=1e-12)
        assert here["median_correlation"].item() == pytest.approx(np.median(r), rel=1e-12)
        assert here["n_scored"].item() == 4
    assert (scores["rmse"].sel(statistic="mean") < scores["rmse"].sel(statistic="median")).all()


def test_scores_follow_the_baseline_asked_for():
    traces, truth = simulated()
    scores = score_traces(traces["mean"], truth, baseline="first", first="20 frames")
    dff = normalize(traces["mean"], baseline="first", first="20 frames")["dff"].values
    np.testing.assert_allclose(
        scores["rmse"][0], np.sqrt(np.mean((dff - truth.values) ** 2, axis=1)), rtol=1e-12
    )
    assert scores.attrs == {"offset": 0.0, "baseline": "first", "first_frames": 20}


def test_a_wrong_level_is_not_refitted_away():
    traces, truth = simulated()
    right = score_traces(traces, truth, statistics=["mean"], window=15.0)
    wrong = score_traces(traces + 100.0, truth, statistics=["mean"], window=15.0)
    np.testing.assert_allclose(wrong["correlation"], right["correlation"], atol=0.02)
    assert (wrong["rmse"] > 1.5 * right["rmse"]).all()


def paired_rois():
    """Truth in the order a, b, c, d; found are d, b and a cell that is none."""
    truth = Rois.from_labels(np.repeat(np.arange(1, 5), 2)[None]).to_masks()
    true = Rois.from_masks(truth.values, names=["cell 0", "cell 1", "cell 2", "cell 3"])
    masks = np.zeros((3, 1, 8), dtype=bool)
    masks[0, 0, 6:8] = masks[1, 0, 2:4] = True
    masks[2, 0, 1:3] = True
    return Rois.from_masks(masks, names=["p", "q", "r"]), true


def test_found_cells_are_scored_against_their_partners():
    traces, truth = simulated()
    found, true = paired_rois()
    pairs = match_rois(found, true)
    assert pairs["truth_index"].values.tolist() == [3, 1]
    of_found = traces.isel(roi=[3, 1, 0]).assign_coords(roi=["p", "q", "r"])
    scores = score_traces(of_found, truth, pairs, window=15.0)
    assert scores["roi"].values.tolist() == ["p", "q"]
    assert scores["truth_roi"].values.tolist() == ["cell 3", "cell 1"]
    expected = score_traces(traces, truth, window=15.0).isel(roi=[3, 1])
    np.testing.assert_array_equal(scores["rmse"], expected["rmse"])
    with nothing_computed():
        lazy = score_traces(
            of_found.chunk({"roi": 1, "time": 90}), truth.chunk({"time": 77}), pairs, window=15.0
        )
    xr.testing.assert_identical(lazy.compute(), scores)


def test_without_pairs_or_samples_there_is_nothing_to_score():
    traces, truth = simulated()
    found, true = paired_rois()
    none = match_rois(found.where(np.zeros(3, dtype=bool)), true)
    for kind in (traces, traces.chunk()):
        scores = score_traces(kind.isel(roi=slice(0)), truth, none, window=15.0).compute()
        assert scores["n_scored"].values.tolist() == [0, 0]
        assert np.isnan(scores["median_rmse"]).all()
    traces["mean"][0] = np.nan
    scores = score_traces(traces, truth, window=15.0)
    assert scores["n_scored"].values.tolist() == [3, 4]
    assert np.isfinite(scores["median_rmse"]).all()


def test_one_dataarray_is_one_statistic():
    traces, truth = simulated()
    one = score_traces(traces["median"], truth, window=15.0)
    assert one["statistic"].values.tolist() == ["median"]
    expected = score_traces(traces, truth, window=15.0)["rmse"].sel(statistic=["median"])
    np.testing.assert_array_equal(one["rmse"], expected)


def test_a_truth_of_other_cells_or_frames_is_refused():
    traces, truth = simulated()
    found, true = paired_rois()
    pairs = match_rois(found, true)
    with pytest.raises(ArgumentError, match="the truth has sizes"):
        score_traces(traces, truth[:2])
    with pytest.raises(ArgumentError, match="the truth has other values along roi"):
        score_traces(traces, truth[::-1])
    with pytest.raises(ArgumentError, match="the truth has other values along time"):
        score_traces(traces, truth.assign_coords(time=truth["time"] + 1))
    with pytest.raises(ArgumentError, match="expect the found ROI 'p' where the traces have 'cell 0'"):
        score_traces(traces, truth, pairs)
    with pytest.raises(ArgumentError, match="truth ROI at position 3, there are 2 traces"):
        score_traces(traces.isel(roi=[0, 1, 2]).assign_coords(roi=["p", "q", "r"]), truth[:2], pairs)
    with pytest.raises(ArgumentError, match="expected roi and time"):
        score_traces(traces["mean"][0], truth)
    with pytest.raises(ArgumentError, match="no statistic to score"):
        score_traces(traces, truth, statistics=[])
