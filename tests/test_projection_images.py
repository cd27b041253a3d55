"""Local correlation, skewness, noise, argmax and coefficient of variation, from the same read as the mean."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace import stat
from roitrace.engine.blocks import as_dask
from roitrace.errors import ArgumentError, MetadataError
from roitrace.extraction import extract
from roitrace.projection import project
from tests.block_sources import ArraySource, counted_reads
from tests.strategies import FLOAT_DTYPES, INTEGER_DTYPES, chunkings, samples, shapes, sources

PERIODS = (0, 3, 7)
CORRELATIONS = tuple(stat.correlation(detrend=f"{n} frames" if n else None, name=f"c{n}") for n in PERIODS)
ASKED = (*CORRELATIONS, "skewness", "argmax", "difference_std", "mean")


def recording_of(array):
    return xr.DataArray(array, dims=("time", "y", "x"))


def deviations(values, period):
    """Exact deviations (time, y, x) from the means of blocks, times a number that makes them integers."""
    frames = values.shape[0]
    period = period or frames
    parts = [values[first : first + period].astype(object) for first in range(0, frames, period)]
    lengths = {len(part) for part in parts}
    scale = int(np.lcm.reduce(list(lengths)))
    return np.concatenate([scale * part - part.sum(axis=0) * (scale // len(part)) for part in parts])


def exact_correlation(values, period):
    """Mean of r over the existing neighbours that vary, from integers."""
    steps = deviations(values, period)
    height, width = values.shape[1:]
    own = (steps * steps).sum(axis=0)
    image = np.full((height, width), np.nan)
    for y, x in product(range(height), range(width)):
        found = []
        for down, right in product((-1, 0, 1), repeat=2):
            other = y + down, x + right
            inside = 0 <= other[0] < height and 0 <= other[1] < width
            if (down or right) and inside and own[y, x] and own[other]:
                shared = (steps[:, y, x] * steps[:, other[0], other[1]]).sum()
                found.append(float(shared) / (float(own[y, x]) ** 0.5 * float(own[other]) ** 0.5))
        if found:
            image[y, x] = np.mean(found)
    return image


def exact_skewness(values):
    def one(series):
        mean = Fraction(sum(series), len(series))
        second = sum((value - mean) ** 2 for value in series) / len(series)
        third = sum((value - mean) ** 3 for value in series) / len(series)
        return float(third) / float(second) ** 1.5 if second else np.nan

    return np.apply_along_axis(one, 0, values.astype(object)).astype(np.float64)


def exact_change_deviation(values):
    changes = np.diff(values.astype(object), axis=0)
    n = len(changes)
    if not n:
        return np.full(values.shape[1:], np.nan)
    numerator = n * (changes**2).sum(axis=0) - changes.sum(axis=0) ** 2
    return np.sqrt(numerator.astype(np.float64)) / n


@settings(max_examples=30, deadline=None)
@given(st.data(), shapes(max_frames=30, max_side=5))
def test_integer_recordings_are_exact(data, shape):
    values = data.draw(samples(shape, dtypes=INTEGER_DTYPES))
    images = project(recording_of(as_dask(data.draw(sources(values)))), ASKED, workers=2).compute()
    for period in PERIODS:
        np.testing.assert_allclose(
            images[f"c{period}"], exact_correlation(values, period), rtol=0, atol=1e-12
        )
    np.testing.assert_allclose(images["skewness"], exact_skewness(values), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(images["argmax"], values.argmax(axis=0))
    np.testing.assert_allclose(images["difference_std"], exact_change_deviation(values), rtol=1e-12)
    np.testing.assert_allclose(images["mean"], values.mean(axis=0, dtype=np.float64), rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.data(), shapes(max_frames=40, max_side=6))
def test_same_bits_for_any_chunking(data, shape):
    values = data.draw(samples(shape, infinite=False))
    arrays = [
        as_dask(ArraySource(values, shape)),
        as_dask(data.draw(sources(values))),
        as_dask(data.draw(sources(values))),
        da.from_array(values, chunks=data.draw(chunkings(shape))),
    ]
    first, *others = (
        project(recording_of(array), ASKED, workers=workers).compute()
        for workers, array in enumerate(arrays, start=1)
    )
    for other in others:
        for name in first:
            np.testing.assert_array_equal(first[name], other[name], err_msg=str(name))


@settings(max_examples=25, deadline=None)
@given(st.data(), shapes(max_frames=40, max_side=5))
def test_float_recordings(data, shape):
    values = data.draw(samples(shape, dtypes=FLOAT_DTYPES, infinite=False))
    images = project(recording_of(as_dask(data.draw(sources(values)))), ASKED).compute()
    valid = ~np.isnan(values)
    peaks = np.where(valid, values, -np.inf).argmax(axis=0)
    np.testing.assert_array_equal(images["argmax"], np.where(valid.any(axis=0), peaks, np.nan))
    missing = ~valid.all(axis=0)
    assert np.isnan(images["c0"].values[missing]).all()
    steps = np.diff(values.astype(np.float64), axis=0)
    count = (~np.isnan(steps)).sum(axis=0)
    known = count > 0
    noise = np.full(shape[1:], np.nan)
    noise[known] = np.nanstd(steps[:, known], axis=0)
    np.testing.assert_allclose(images["difference_std"], noise, rtol=1e-9, atol=1e-9)


def test_local_correlation_of_floats():
    rng = np.random.default_rng(0)
    values = rng.normal(500, 3, (300, 6, 7)) + rng.normal(0, 3, (300, 1, 1))
    values[:, 2, 3] = 7.5
    image = project(
        recording_of(as_dask(ArraySource(values, (100, 4, 3)))), stat.correlation(detrend=None)
    ).compute()
    scaled = np.rint(values * 2**30).astype(np.int64)
    np.testing.assert_allclose(image["correlation"], exact_correlation(scaled, 0), atol=1e-8)
    assert np.isnan(image["correlation"][2, 3])


def test_drift_that_pixels_share_does_not_count():
    rng = np.random.default_rng(0)
    drift = np.repeat(np.arange(20), 50)[:, None, None] * 40
    values = (rng.poisson(100, (1000, 8, 8)) + drift).astype("uint16")
    recording = recording_of(as_dask(ArraySource(values, (128, 4, 4))))
    images = project(
        recording, (stat.correlation(detrend=None, name="raw"), stat.correlation(detrend="50 frames"))
    )
    assert (images["raw"].compute() > 0.9).all()
    assert (abs(images["correlation"].compute()) < 0.1).all()


def test_seconds_are_blocks_of_frames():
    values = np.random.default_rng(0).integers(0, 99, (90, 4, 5)).astype("uint8")
    recording = recording_of(as_dask(ArraySource(values, (20, 4, 5)))).assign_attrs(frame_rate=0.5)
    images = project(
        recording, ("correlation", stat.correlation(detrend="30 frames", name="frames"))
    ).compute()
    np.testing.assert_array_equal(images["correlation"], images["frames"])
    assert images["correlation"].attrs["statistic"] == "correlation(detrend_seconds=0, detrend_frames=30)"


def test_seconds_need_a_frame_rate():
    recording = recording_of(np.zeros((9, 4, 5), "uint8"))
    with pytest.raises(MetadataError, match=r"correlation\(detrend_seconds=60\) is asked in seconds"):
        project(recording, "correlation")


def test_everything_comes_from_one_read():
    values = np.random.default_rng(0).integers(0, 999, (100, 12, 20)).astype("uint16")
    with counted_reads("images") as counts:
        recording = recording_of(as_dask(ArraySource(values, (16, 5, 8), "images")))
        mask = np.zeros((12, 20), bool)
        mask[2:5, 3:9] = True
        traces = extract(recording, mask, "mean", projections=ASKED).compute()
        assert set(counts.values()) == {1}
    np.testing.assert_allclose(traces["projection_c3"], exact_correlation(values, 3), atol=1e-12)


def test_coefficient_of_variation():
    values = np.random.default_rng(0).poisson(50, (200, 3, 4)).astype("uint16") + 100
    values[:, 0, 0] = 90
    asked = stat.coefficient_of_variation(offset=100)
    image = project(recording_of(values), asked).compute()["coefficient_of_variation"]
    expected = values.std(axis=0) / (values.mean(axis=0) - 100)
    expected[0, 0] = np.nan
    np.testing.assert_allclose(image, expected, rtol=1e-12)


def test_coefficient_of_variation_needs_the_offset():
    with pytest.raises(ArgumentError, match="coefficient_of_variation needs offset="):
        project(recording_of(np.zeros((9, 4, 5), "uint8")), "coefficient_of_variation")


@pytest.mark.parametrize("name", ["correlation", "argmax", "difference_std", "skewness"])
def test_images_are_no_traces(name):
    with pytest.raises(ArgumentError, match=f"'{name}' is an image and no trace"):
        extract(recording_of(np.zeros((9, 4, 5), "uint8")), np.ones((4, 5), bool), name)
