from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from roitrace import stat
from roitrace.kernels.locations import huber_locations, weighted_medians
from roitrace.kernels.sorting import NETWORK_LIMIT
from tests.strategies import samples


def huber(matrix, k=1.345, needed=1):
    out = np.empty((1, matrix.shape[1]))
    indptr = np.array([0, len(matrix)])
    huber_locations(matrix, indptr, np.array([needed]), k, out)
    return out[0]


def weighted(matrix, weights, needed=0.0):
    out = np.empty((1, matrix.shape[1]))
    indptr = np.array([0, len(matrix)])
    weighted_medians(matrix, indptr, weights, np.array([needed]), out)
    return out[0]


def direct_huber(x, k):
    """Root of the sum of clipped residuals."""
    x = x[~np.isnan(x)]
    scale = 1.4826 * np.median(np.abs(x - np.median(x)))
    if scale == 0:
        return np.median(x)
    return brentq(lambda c: np.clip((x - c) / scale, -k, k).sum(), x.min(), x.max(), xtol=1e-14 * scale)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 40), st.sampled_from([0.7, 1.345, 3.0]))
def test_huber_is_the_root_of_its_equation(data, entries, k):
    matrix = data.draw(samples((entries, 6, 1), infinite=False))[:, :, 0]
    result = huber(matrix, k)
    for frame in range(6):
        column = matrix[:, frame].astype(np.float64)
        if np.isnan(column).all():
            assert np.isnan(result[frame])
            continue
        spread = np.nanmax(column) - np.nanmin(column)
        assert result[frame] == pytest.approx(direct_huber(column, k), abs=1e-9 * spread, rel=1e-12)


def test_huber_is_the_mean_for_a_wide_limit_and_ignores_how_far_outliers_are():
    x = np.random.default_rng(0).normal(100, 5, (60, 1))
    assert huber(x, 1e3).item() == pytest.approx(x.mean(), rel=1e-12)
    x[:3] = 1e4
    near = huber(x).item()
    x[:3] = 1e7
    assert huber(x).item() == pytest.approx(near, rel=1e-12)
    assert abs(near - 100) < 3


def test_huber_of_equal_halves_and_infinite_samples():
    assert huber(np.array([[5], [5], [5], [9]], np.uint8)).item() == 5.0
    with_one = np.array([[1.0], [2.0], [3.0], [4.0], [np.inf]])
    assert np.isfinite(huber(with_one).item())
    assert np.isnan(huber(np.array([[np.inf], [np.inf], [1.0]])).item())
    assert np.isnan(huber(np.array([[1.0], [np.nan]]), needed=2).item())


def direct_weighted_median(x, w):
    """Middle of the interval where the weighted sum of distances is least."""
    keep = ~np.isnan(x) & (w > 0)
    x, w = x[keep], w[keep]
    if not x.size:
        return np.nan
    order = np.argsort(x, kind="stable")
    x, w = x[order], w[order]
    candidates = x[
        np.array([(w[x < one].sum() <= w.sum() / 2) and (w[x > one].sum() <= w.sum() / 2) for one in x])
    ]
    return (candidates.min() + candidates.max()) / 2


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_weighted_median_splits_the_weight(data, entries, seed):
    matrix = data.draw(samples((entries, 5, 1), infinite=False))[:, :, 0]
    weights = np.random.default_rng(seed).integers(0, 5, entries).astype(np.float64)
    result = weighted(matrix, weights)
    for frame in range(5):
        expected = direct_weighted_median(matrix[:, frame].astype(np.float64), weights)
        np.testing.assert_array_equal(result[frame], expected)
    np.testing.assert_array_equal(weighted(matrix, weights * 0.3), result)


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(1, 30))
def test_with_equal_weights_it_is_the_median(data, entries):
    matrix = data.draw(samples((entries, 5, 1), infinite=False))[:, :, 0]
    expected = np.full(5, np.nan)
    for frame in range(5):
        column = matrix[:, frame].astype(np.float64)
        if not np.isnan(column).all():
            expected[frame] = np.nanmedian(column)
    np.testing.assert_array_equal(weighted(matrix, np.full(entries, 0.1)), expected)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize(("entries", "frames"), [(33, 300), (NETWORK_LIMIT + 76, 6)])
def test_many_frames_and_large_rois(dtype, entries, frames):
    rng = np.random.default_rng(4)
    matrix = rng.poisson(40, (entries, frames)).astype(dtype)
    if dtype is np.float32:
        matrix[rng.random(matrix.shape) < 0.1] = np.nan
    weights = rng.integers(0, 5, entries).astype(np.float64)
    columns = matrix.T.astype(np.float64)
    expected = [direct_weighted_median(column, weights) for column in columns]
    np.testing.assert_array_equal(weighted(matrix, weights), expected)
    np.testing.assert_allclose(huber(matrix), [direct_huber(column, 1.345) for column in columns], rtol=1e-12)
    np.testing.assert_array_equal(huber(np.ascontiguousarray(matrix[:, 5:])), huber(matrix)[5:])


def test_too_little_weight_gives_nan():
    matrix = np.array([[1.0], [np.nan], [3.0]])
    assert np.isnan(weighted(matrix, np.array([1.0, 8.0, 1.0]), needed=9.0)).all()
    assert weighted(matrix, np.array([1.0, 8.0, 1.0]), needed=2.0).item() == 2.0
    assert np.isnan(weighted(matrix, np.zeros(3))).all()


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"huber\(k=0\)"):
        stat.huber(0)
