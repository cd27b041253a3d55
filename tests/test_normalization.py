from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation, zscore

from roitrace.baseline import baseline
from roitrace.choices import NORMALIZATIONS
from roitrace.errors import ArgumentError, BudgetError, MetadataError
from roitrace.normalization import STATUS, normalize
from roitrace.quality import noise
from tests.trace_strategies import chunked, labelled, nothing_computed, trace_values


def active_cells(n_rois=3, n_frames=2000, rate=20.0):
    """Traces around 100 counts, noise 5, with transients, bleaching by a third."""
    rng = np.random.default_rng(0)
    frames = np.arange(n_frames)
    values = rng.normal(0.0, 5.0, (n_rois, n_frames)) + 100 * np.exp(-0.4 * frames / n_frames)
    return labelled(values + 60 * (frames % 500 < 30), rate=rate)


def with_gaps(values):
    return np.where(np.isfinite(values), values, np.nan)


# -- dF/F -------------------------------------------------------------------------------------------------------


def test_dff_is_the_default_and_a_fraction_of_f0():
    trace = active_cells()
    result = normalize(trace)
    f0 = baseline(trace)
    np.testing.assert_array_equal(result["f0"], f0)
    np.testing.assert_array_equal(result["dff"], (trace.values - f0.values) / f0.values)
    np.testing.assert_array_equal(result["noise"], noise(trace))
    assert set(result.data_vars) == {"dff", "f0", "noise", "n_small_f0", "status"}
    assert result["status"].dtype == np.uint8
    assert not result["status"].any()
    assert result.attrs["method"] == result.attrs["primary"] == "dff"
    assert result.attrs["statistic"] == "mean"
    assert result.attrs["percentile"] == 8.0
    assert result.attrs["window_frames"] == 1201
    assert result["time"].attrs == {"units": "s"}


def test_flags_are_described_as_cf_says():
    status = normalize(active_cells())["status"]
    assert status.attrs["flag_masks"].dtype == np.uint8
    assert (
        dict(zip(status.attrs["flag_meanings"].split(), status.attrs["flag_masks"].tolist(), strict=True))
        == STATUS
    )


def test_f0_no_higher_than_the_noise_gives_nan_and_a_flag():
    trace = active_cells()
    low = trace.copy(data=trace.values - np.array([[0.0], [75.0], [300.0]]))
    result = normalize(low, window=10.0)
    unsure = result["f0"].values <= result["noise"].values[:, None]
    assert result["status"].values.tolist() == [0, STATUS["small_f0"], STATUS["small_f0"]]
    assert not unsure[0].any()
    assert 0 < unsure[1].sum() < unsure[1].size
    assert unsure[2].all()
    np.testing.assert_array_equal(np.isnan(result["dff"]), unsure)


def test_a_constant_trace_has_no_transients_and_one_of_zeros_no_dff():
    result = normalize(labelled([[5.0] * 30, [0.0] * 30]), window=1.0)
    np.testing.assert_allclose(result["dff"][0], 0.0, atol=1e-15)
    assert np.isnan(result["dff"][1]).all()
    assert result["status"].values.tolist() == [0, STATUS["small_f0"]]


def test_one_frame_has_f0_and_unknown_noise():
    result = normalize(labelled([[5.0], [-5.0]]))
    np.testing.assert_array_equal(result["dff"], [[0.0], [np.nan]])
    assert np.isnan(result["noise"]).all()
    assert result["status"].values.tolist() == [0, STATUS["small_f0"]]


@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_missing_samples_stay_missing_and_hurt_no_others(missing):
    trace = active_cells(1)
    trace.values[0, 100:120] = missing
    result = normalize(trace)
    assert np.isfinite(result["f0"]).all()
    assert np.flatnonzero(~np.isfinite(result["dff"].values[0])).tolist() == list(range(100, 120))


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 1000.0))
def test_dff_does_not_know_the_gain(factor):
    trace = active_cells(1, 300)
    np.testing.assert_allclose(
        normalize(trace * factor)["dff"], normalize(trace)["dff"], rtol=1e-8, atol=1e-11
    )


def test_offset_is_taken_off_first():
    trace = active_cells()
    result = normalize(trace + 40.0, offset=40.0)
    np.testing.assert_allclose(result["dff"], normalize(trace)["dff"], rtol=1e-10, atol=1e-12)
    assert result.attrs["offset"] == 40.0
    assert float(abs(normalize(trace + 40.0)["dff"]).max()) < 0.8 * float(abs(result["dff"]).max())


def test_neuropil_is_taken_off_before_f0():
    trace = active_cells()
    neuropil = labelled(np.random.default_rng(1).normal(50.0, 3.0, trace.shape), rate=20.0, name="neuropil")
    result = normalize(trace + 10, neuropil=neuropil + 10, offset=10.0, neuropil_factor=0.5)
    expected = normalize(trace - 0.5 * neuropil)
    np.testing.assert_allclose(result["dff"], expected["dff"], rtol=1e-9, atol=1e-12)
    assert result.attrs["neuropil_factor"] == 0.5
    assert "neuropil_factor" not in expected.attrs
    shuffled = neuropil.transpose("time", "roi").to_dataset(name="mean").assign_attrs(primary="mean")
    again = normalize(trace + 10, neuropil=shuffled + 10, offset=10.0, neuropil_factor=0.5)
    xr.testing.assert_identical(again, result)


def test_missing_neuropil_never_leaves_an_uncorrected_trace():
    trace = active_cells(2)
    neuropil = xr.zeros_like(trace)
    neuropil.values[1] = np.nan
    result = normalize(trace, neuropil=neuropil)
    assert np.isfinite(result["dff"][0]).all()
    assert np.isnan(result["dff"][1]).all()
    assert result["status"].values.tolist() == [0, STATUS["all_nan"]]


# -- other scales -----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(trace_values())
def test_zscore_is_that_of_scipy(values):
    result = normalize(labelled(values), "zscore")
    trace = with_gaps(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = zscore(trace, axis=1, nan_policy="omit")
    span = np.array([np.ptp(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in trace])
    expected[~(span > 0)] = np.nan
    finite = np.isfinite(values)
    np.testing.assert_allclose(result["zscore"].values[finite], expected[finite], rtol=1e-9, atol=1e-9)
    flags = np.where(np.isnan(span), STATUS["all_nan"], np.where(span == 0, STATUS["constant"], 0))
    np.testing.assert_array_equal(result["status"], flags)


@settings(max_examples=40, deadline=None)
@given(trace_values())
def test_robust_zscore_is_median_and_scaled_mad(values):
    result = normalize(labelled(values), "robust_zscore")
    for row, scaled, status in zip(
        values, result["robust_zscore"].values, result["status"].values, strict=True
    ):
        samples = row[np.isfinite(row)]
        spread = median_abs_deviation(samples) if samples.size else np.nan
        if not spread > 0:
            assert np.isnan(scaled).all()
            assert status == STATUS["mad_zero" if samples.size else "all_nan"]
            continue
        expected = (samples - np.median(samples)) / (1.4826 * spread)
        np.testing.assert_allclose(scaled[np.isfinite(row)], expected, rtol=1e-12, atol=1e-12)
        in_sd = (samples - np.median(samples)) / median_abs_deviation(samples, scale="normal")
        np.testing.assert_allclose(scaled[np.isfinite(row)], in_sd, rtol=2e-6, atol=1e-12)
        assert status == 0


@settings(max_examples=40, deadline=None)
@given(trace_values())
def test_minmax_reaches_from_0_to_1(values):
    result = normalize(labelled(values), "minmax")
    for row, scaled, status in zip(values, result["minmax"].values, result["status"].values, strict=True):
        samples = row[np.isfinite(row)]
        if not samples.size or np.ptp(samples) == 0:
            assert np.isnan(scaled).all()
            assert status == STATUS["constant" if samples.size else "all_nan"]
            continue
        assert (np.nanmin(scaled), np.nanmax(scaled), status) == (0.0, 1.0, 0)
        np.testing.assert_array_equal(scaled[np.isfinite(row)], (samples - samples.min()) / np.ptp(samples))


@pytest.mark.parametrize("method", ["zscore", "robust_zscore", "minmax"])
def test_those_scales_know_neither_gain_nor_offset(method):
    trace = active_cells(2, 400)
    np.testing.assert_allclose(
        normalize(trace * 7.5 - 300.0, method)[method], normalize(trace, method)[method], atol=1e-9
    )
    np.testing.assert_allclose(
        normalize(trace, method, offset=55.0)[method], normalize(trace, method)[method], atol=1e-9
    )


@pytest.mark.parametrize("method", NORMALIZATIONS)
def test_a_row_without_samples_is_flagged(method):
    result = normalize(labelled([[np.nan] * 5, [1.0, 2.0, 1.5, 3.0, 2.5]]), method)
    assert np.isnan(result[method][0]).all()
    assert result["status"][0] == STATUS["all_nan"]


# -- any input --------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.data(), st.sampled_from(NORMALIZATIONS))
def test_any_chunking_gives_the_same_bits(data, method):
    trace = labelled(data.draw(trace_values()))
    neuropil = trace.copy(data=trace.values / 3).rename("neuropil")
    expected = normalize(trace, method, neuropil=neuropil, window=1.5)
    with nothing_computed():
        lazy = normalize(data.draw(chunked(trace)), method, neuropil=data.draw(chunked(neuropil)), window=1.5)
    assert all(variable.chunks is not None for variable in lazy.data_vars.values())
    xr.testing.assert_identical(lazy.compute(), expected)


@pytest.mark.parametrize("method", NORMALIZATIONS)
def test_each_roi_is_on_its_own(method):
    trace = active_cells(5, 300)
    order = [3, 0, 4, 2, 1]
    xr.testing.assert_identical(normalize(trace[order], method), normalize(trace, method).isel(roi=order))


def test_the_primary_or_a_named_statistic_of_a_dataset():
    trace = active_cells()
    traces = xr.Dataset(
        {"mean": trace, "median": trace - 20},
        attrs={"primary": "mean", "frame_rate": 20.0, "source": "a.tif"},
    )
    xr.testing.assert_equal(normalize(traces), normalize(trace))
    result = normalize(traces, statistic="median")
    xr.testing.assert_equal(result, normalize(trace - 20))
    assert result.attrs["statistic"] == "median"
    assert (result.attrs["source"], result.attrs["frame_rate"]) == ("a.tif", 20.0)
    assert traces.attrs["primary"] == "mean"
    # the result says which of its variables is next
    np.testing.assert_array_equal(normalize(result, "minmax").attrs["statistic"], "dff")


def test_no_segment_knows_the_others():
    trace = active_cells(1, 400).assign_coords(session=("time", np.repeat([0, 1], 200)))
    changed = trace.copy(data=np.where(trace["session"] == 0, trace.values, trace.values * 3 + 1000))
    first, second = normalize(trace), normalize(changed)
    np.testing.assert_array_equal(first["f0"][:, :200], second["f0"][:, :200])
    assert (first["f0"][:, 200:] != second["f0"][:, 200:]).all()


def test_parameters_are_checked():
    trace = active_cells(2, 50)
    with pytest.raises(ArgumentError, match="method='df/f', expected one of dff, zscore"):
        normalize(trace, "df/f")
    with pytest.raises(ArgumentError, match="offset=nan"):
        normalize(trace, offset=np.nan)
    with pytest.raises(ArgumentError, match=r"neuropil_factor=-0\.1"):
        normalize(trace, neuropil=trace, neuropil_factor=-0.1)
    with pytest.raises(ArgumentError, match=r"neuropil_factor=1\.1, expected 0 to 1"):
        normalize(trace, neuropil=trace, neuropil_factor=1.1)
    with pytest.raises(ArgumentError, match="neuropil has sizes"):
        normalize(trace, neuropil=trace[:1])
    with pytest.raises(ArgumentError, match="neuropil has sizes"):
        normalize(trace[0], neuropil=trace)
    with pytest.raises(ArgumentError, match="percentile=101"):
        normalize(trace, percentile=101)
    with pytest.raises(ArgumentError, match="no statistic 'mode'"):
        normalize(xr.Dataset({"mean": trace}), statistic="mode")
    with pytest.raises(ArgumentError, match="no frames"):
        normalize(trace[:, :0], "zscore")


def test_seconds_need_a_frame_rate():
    counted = labelled(np.random.default_rng(0).normal(100, 1, (1, 50)), rate=None)
    with pytest.raises(MetadataError, match="window"):
        normalize(counted)
    assert np.isfinite(normalize(counted, window="21 frames", smoothing="2 frames")["dff"]).all()
    assert np.isfinite(normalize(counted, "zscore")["zscore"]).all()


def test_a_trace_beyond_the_budget_is_refused():
    lazy = active_cells(2, 2000).chunk({"time": 100})
    with pytest.raises(BudgetError, match=r"one ROI over 2,000 frames .* the budget is 300.0 MiB"):
        normalize(lazy, budget="300 MiB", workers=1)
