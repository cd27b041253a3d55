from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.errors import ArgumentError
from roitrace.extraction import STATUS_FLAGS, extract
from roitrace.kernels.contamination import cross_validated_ratio, robust_ratio
from roitrace.neuropil import neuropil
from roitrace.neuropil_correction import STATUS, correct_neuropil
from roitrace.rois import Rois
from roitrace.traces import statistic_names
from tests.trace_strategies import chunked, labelled, nothing_computed, trace_values


def contaminated(r, *, frames=1500, seed=0, noise=1.0):
    """A cell with sparse transients, a slow neuropil, and r of it in the cell."""
    rng = np.random.default_rng(seed)
    decay = np.exp(-np.arange(80) / 12)
    cell = np.convolve(rng.random(frames) < 0.004, decay)[:frames] * 90
    slow = np.convolve(rng.normal(size=frames + 120), np.hanning(40), "valid")[:frames] * 4 + 200
    return 100 + cell + r * slow + rng.normal(0, noise, frames), slow + rng.normal(0, noise / 10, frames)


@settings(max_examples=25, deadline=None)
@given(trace_values(), st.floats(0, 1), st.floats(-50, 50))
def test_a_given_r_is_a_subtraction(values, r, offset):
    f, fneu = labelled(values), labelled(values[::-1] * 0.5 + 3)
    result = correct_neuropil(f, fneu, r=r, offset=offset)
    known = np.where(np.isfinite(values), values, np.nan)
    other = np.where(np.isfinite(fneu.values), fneu.values, np.nan)
    expected = known - r * (other - offset)
    missing = ~np.isfinite(expected).any(axis=1)
    np.testing.assert_array_equal(result["fcorr"], expected)
    np.testing.assert_array_equal(result["f"], values)
    np.testing.assert_array_equal(result["fneu"], fneu)
    assert (result["status"].values == missing * STATUS["all_nan"]).all()
    assert result.attrs["primary"] == "fcorr"


def test_one_r_per_roi():
    f = labelled(np.full((2, 5), 10.0))
    result = correct_neuropil(f, f * 0.5, r=[0.2, 1.0])
    assert result["fcorr"][:, 0].values.tolist() == [9.0, 5.0]
    assert result["r"].values.tolist() == [0.2, 1.0]


@pytest.mark.parametrize("fit", ["fit", "cross_validated"])
@pytest.mark.parametrize("r", [0.0, 0.35, 0.7, 0.95])
def test_fits_find_r_beneath_transients(fit, r):
    # smoothness tells little where every frame is noisy
    noise = 1.0 if fit == "fit" else 0.1
    found = [
        correct_neuropil(*(labelled(one) for one in contaminated(r, seed=seed, noise=noise)), r=fit)
        for seed in range(3)
    ]
    values = np.array([one["r"].item() for one in found])
    kept = np.array([one["status"].item() == 0 for one in found])
    assert kept.any()
    assert np.median(np.abs(values[kept] - r)) < 0.06


@pytest.mark.parametrize("fit", ["fit", "cross_validated"])
@pytest.mark.parametrize("r", [-0.5, 1.6])
def test_fits_beyond_their_bounds_fall_back(fit, r):
    f, fneu = (labelled(one) for one in contaminated(r, noise=0.1))
    result = correct_neuropil(f, fneu, r=fit, r_fallback=0.4)
    if fit == "cross_validated" and r < 0:  # it searches from 0 on
        assert result["r"].item() == pytest.approx(0.0, abs=0.01)
        return
    assert result["r"].item() == 0.4
    assert result["status"].item() == STATUS["r_fallback"]


@pytest.mark.parametrize("fit", ["fit", "cross_validated"])
def test_nothing_to_fit_falls_back(fit):
    f = labelled(np.random.default_rng(0).normal(100, 5, (1, 60)))
    flat = correct_neuropil(f, f * 0 + 7, r=fit)
    assert (flat["r"].item(), flat["status"].item()) == (0.7, STATUS["r_fallback"])
    short = correct_neuropil(f[:, :7], f[:, :7] * 2, r=fit)
    assert short["status"].item() == STATUS["r_fallback"]


def test_robust_slope_is_the_least_squares_slope_without_outliers_and_hardly_moved_by_them():
    rng = np.random.default_rng(1)
    x = rng.normal(100, 10, 4000)
    y = 30 + 0.6 * x + rng.normal(0, 1, 4000)
    assert robust_ratio(y, x) == pytest.approx(np.polyfit(x, y, 1)[0], abs=2e-3)
    y[:200] += 500
    assert robust_ratio(y, x) == pytest.approx(0.6, abs=5e-3)


def test_the_smoothest_difference_by_direct_search():
    f, fneu = contaminated(0.6, frames=400, seed=3)
    n = 100
    steps = np.diff(np.eye(n), axis=0)
    smooth = np.linalg.inv(np.eye(n) + 0.05 * steps.T @ steps)

    def error(r):
        total = 0.0
        for fold in range(4):
            x = fneu[fold * n : (fold + 1) * n]
            scale = x.max() - x.min()
            a, b = (f[fold * n : (fold + 1) * n] - x.min()) / scale, (x - x.min()) / scale
            rest = a - r * b
            total += np.sqrt(np.mean((smooth @ rest - rest) ** 2)) / a.mean()
        return total

    candidates = np.arange(0, 2, 0.001)
    best = candidates[np.argmin([error(r) for r in candidates])]
    assert cross_validated_ratio(f, fneu, np.array([0, 400])) == pytest.approx(best, abs=1.5e-3)


def test_smoothness_does_not_reach_over_segments():
    f, fneu = contaminated(0.5, frames=800, seed=4)
    jump = f + np.repeat([0.0, 1e4], 400)
    whole = cross_validated_ratio(jump, fneu, np.array([0, 400, 800]))
    assert whole == pytest.approx(cross_validated_ratio(f, fneu, np.array([0, 400, 800])), abs=0.15)


@settings(max_examples=15, deadline=None)
@given(st.data(), st.sampled_from(["fit", "cross_validated", 0.7]))
def test_any_chunking_gives_the_same_bits(data, r):
    f = labelled(data.draw(trace_values()))
    fneu = labelled(np.abs(f.values) * 0.3 + np.arange(f.shape[1]))
    with nothing_computed():
        lazy = correct_neuropil(data.draw(chunked(f)), data.draw(chunked(fneu)), r=r)
    xr.testing.assert_identical(lazy.compute(), correct_neuropil(f, fneu, r=r))


def test_neuropil_of_few_pixels_gives_nan_never_an_uncorrected_trace():
    masks = np.zeros((2, 30, 30), dtype=bool)
    masks[0, 3:6, 3:6] = masks[1, 20:24, 20:24] = True
    rois = Rois.from_masks(masks)
    rings = neuropil(rois, rule="allen", reach=4)
    valid = np.ones((30, 30), dtype=bool)
    valid[:10, :10] = False
    few = neuropil(rois, rule="allen", reach=4, valid=valid)
    movie = xr.DataArray(
        np.random.default_rng(0).integers(0, 99, (20, 30, 30)).astype("uint16"), dims=("time", "y", "x")
    )
    traces = extract(movie, rois, "mean", neuropil=few).compute()
    assert traces["n_neuropil_pixels"].values.tolist() == [0, few.n_pixels[1]]
    assert np.isnan(traces["neuropil"][0]).all()
    assert traces["status"].values.tolist() == [STATUS_FLAGS["few_neuropil_pixels"], 0]
    result = correct_neuropil(traces)
    assert np.isnan(result["fcorr"][0]).all()
    assert np.isfinite(result["fcorr"][1]).all()
    assert result["status"].values.tolist() == [STATUS["few_neuropil_pixels"] | STATUS["all_nan"], 0]
    expected = movie.values.reshape(20, -1)[:, rings.row(1)].mean(axis=1)
    np.testing.assert_allclose(result["fneu"][1], expected)


def test_neuropil_is_no_trace_of_a_cell():
    rois = Rois.from_mask(np.pad(np.ones((3, 3), dtype=bool), 20))
    movie = xr.DataArray(np.ones((4, 43, 43), dtype="uint8"), dims=("time", "y", "x"))
    traces = extract(movie, rois, ("mean", "max"), neuropil=neuropil(rois))
    assert statistic_names(traces) == ("mean", "max")
    assert statistic_names(correct_neuropil(traces)) == ("f", "fcorr")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r": "ols"}, "r='ols', expected a number"),
        ({"r": -0.1}, "r=-0.1, expected a number from 0 to 1"),
        ({"r": [0.2, 1.1]}, "expected a number from 0 to 1, or one for each of"),
        ({"r": [0.1, 0.2, 0.3]}, "one for each of 2 ROIs"),
        ({"r": np.nan}, "r=nan"),
        ({"r": ["a"]}, "expected a number from 0 to 1"),
        ({"offset": np.inf}, "offset=inf"),
        ({"r_fallback": np.nan}, "r_fallback=nan"),
        ({"r_fallback": 1.5}, "r_fallback=1.5, expected 0 to 1"),
    ],
)
def test_wrong_numbers_are_refused(options, message):
    f = labelled(np.ones((2, 9)))
    with pytest.raises(ArgumentError, match=message):
        correct_neuropil(f, f, **options)


def test_neuropil_has_to_be_there_and_of_the_same_rois():
    f = labelled(np.ones((2, 9)))
    with pytest.raises(ArgumentError, match="the traces have no neuropil"):
        correct_neuropil(f)
    with pytest.raises(ArgumentError, match="neuropil has sizes"):
        correct_neuropil(f, f[:1])
