from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import skimage.filters
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.choices import THRESHOLDS
from roitrace.errors import ArgumentError
from roitrace.levels import (
    HISTOGRAM,
    LOCAL,
    Level,
    clipped_range,
    fill_from_nearest,
    global_level,
    local_level,
)

quick = settings(max_examples=30, deadline=None)


def test_every_method_is_of_one_family() -> None:
    assert ("value", "percentile", "mean_sd", *HISTOGRAM, *LOCAL) == THRESHOLDS


def two_populations(seed: int, dtype: str) -> np.ndarray[Any, Any]:
    """A histogram with two peaks, in which every method finds a level."""
    random = np.random.default_rng(seed)
    values = np.concatenate([random.normal(30, 4, 700), random.normal(90, 6, 300)])
    return values.astype(dtype).reshape(20, 50)


@pytest.mark.parametrize("method", HISTOGRAM)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "float32", "float64"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5, deadline=None)
def test_histogram_methods_are_those_of_scikit_image_on_the_clipped_samples(
    method: str, dtype: str, seed: int
) -> None:
    samples = two_populations(seed, dtype)
    low, high = np.percentile(samples.astype(np.float64), (0.1, 99.9))
    wide = samples.astype(np.float64)
    if np.issubdtype(samples.dtype, np.integer):
        low, high, wide = math.floor(low), math.ceil(high), samples.astype(np.int64)
    expected = getattr(skimage.filters, f"threshold_{method}")(np.clip(wide, low, high))
    assert global_level(samples, method) == Level(float(expected), float(low), float(high))


def test_wide_integers_are_binned_instead_of_counted() -> None:
    samples = two_populations(1, "int64") * 10_000_000
    found = global_level(samples.astype(np.int32), "otsu")
    assert np.count_nonzero(samples > found.level) == 300


@pytest.mark.parametrize("method", [*HISTOGRAM, "mean_sd", "percentile"])
def test_samples_that_are_not_finite_do_not_move_the_level(method: str) -> None:
    samples = two_populations(2, "float64")
    parameter = 75.0 if method == "percentile" else 1.5
    holed = np.concatenate([samples.ravel(), [np.nan, np.inf, -np.inf]])
    assert global_level(holed, method, parameter) == global_level(samples.ravel(), method, parameter)


def test_without_a_finite_sample_there_is_no_level() -> None:
    found = global_level(np.array([np.nan, np.inf]), "otsu")
    assert all(math.isnan(one) for one in (found.level, found.low, found.high))


@pytest.mark.parametrize("method", [*HISTOGRAM, "mean_sd"])
@pytest.mark.parametrize("value", [0.1, 7, 3e8])
def test_equal_samples_are_their_own_level(method: str, value: float) -> None:
    assert global_level(np.full(37, value), method, 2.0) == Level(value, value, value)


def test_a_method_that_finds_no_level_says_so() -> None:
    with pytest.raises(ArgumentError, match="'minimum' finds no level") as caught:
        global_level(np.arange(1000.0), "minimum")
    assert "otsu" in caught.value.next_step


@given(
    samples=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60),
    k=st.floats(-3, 3),
    percentile=st.floats(0, 100),
)
@quick
def test_mean_sd_and_percentile_are_those_of_numpy(samples: list[float], k: float, percentile: float) -> None:
    values = np.array(samples)
    mean_sd = values.mean() + k * values.std()
    np.testing.assert_allclose(global_level(values, "mean_sd", k).level, mean_sd, atol=1e-6)
    assert global_level(values, "percentile", percentile).level == np.percentile(values, percentile)


@pytest.mark.parametrize("method", ["mean", "gaussian", "median"])
@given(seed=st.integers(0, 2**32 - 1), block=st.sampled_from([(3, 3), (7, 7), (5, 9)]))
@settings(max_examples=10, deadline=None)
def test_local_statistics_are_those_of_scikit_image(method: str, seed: int, block: tuple[int, int]) -> None:
    values = np.random.default_rng(seed).normal(100, 10, (12, 15))
    level = local_level(values, f"local_{method}", block, k=0.2, half_range=1)
    np.testing.assert_array_equal(level, skimage.filters.threshold_local(values, block, method=method))


@given(seed=st.integers(0, 2**32 - 1), k=st.floats(-1, 1), half_range=st.floats(1, 100))
@quick
def test_niblack_and_sauvola_are_their_formulas(seed: int, k: float, half_range: float) -> None:
    values = np.random.default_rng(seed).normal(100, 10, (12, 15))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, 2, mode="reflect"), (5, 5))
    mean, sd = windows.mean(axis=(2, 3)), windows.std(axis=(2, 3))
    niblack = local_level(values, "niblack", (5, 5), k=k, half_range=half_range)
    sauvola = local_level(values, "sauvola", (5, 5), k=k, half_range=half_range)
    np.testing.assert_allclose(niblack, mean - k * sd, rtol=1e-9)
    np.testing.assert_allclose(sauvola, mean * (1 + k * (sd / half_range - 1)), rtol=1e-9, atol=1e-9)


def test_range_leaves_out_a_hot_pixel_and_what_is_not_finite() -> None:
    samples = np.concatenate([np.linspace(0, 1, 5000), [1e9, np.nan]])
    low, high = clipped_range(samples)
    assert 0 < low < 0.01
    assert 0.99 < high < 1


def test_filling_takes_the_nearest_finite_pixel() -> None:
    values = np.array([[1.0, np.nan, np.nan], [np.nan, np.nan, np.inf], [np.nan, 8.0, np.nan]])
    filled = fill_from_nearest(values)
    np.testing.assert_array_equal(filled[[0, 2], [0, 1]], [1, 8])
    assert filled[0, 1] == 1
    assert filled[1, 1] == 8
    assert set(filled.ravel()) == {1.0, 8.0}


def test_filling_leaves_a_whole_image_alone() -> None:
    values = np.random.default_rng(3).normal(size=(4, 5))
    np.testing.assert_array_equal(fill_from_nearest(values), values)
