from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.rois import Rois
from roitrace.view.edges import trace_outlines
from roitrace.view.report.encoding import unpack
from roitrace.view.report.pictures import encode_mask, encode_outlines, reduced


def decoded(outlines):
    moves = unpack(outlines["corners"], np.dtype("int32")).reshape(-1, 2)
    return np.cumsum(moves, axis=0), unpack(outlines["sizes"], np.dtype("int32"))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_outlines_come_back_on_wide_frames(seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros((40, 900), dtype=np.int32)
    for label in range(1, 12):
        y, x = rng.integers(0, 36), rng.integers(0, 896)
        labels[y : y + 3, x : x + 4] = label
    rois = Rois.from_labels(labels)
    expected = trace_outlines(rois.indptr, rois.pixels, rois.shape)
    corners, sizes = decoded(encode_outlines(rois))
    np.testing.assert_array_equal(corners, expected.vertices + 0.5)
    np.testing.assert_array_equal(sizes, np.diff(expected.indptr))


@pytest.mark.parametrize("name", ["mean", "max", "min"])
@pytest.mark.parametrize("shape", [(6, 9), (7, 8), (2, 2)])
def test_squares_become_pixels(name, shape):
    image = np.random.default_rng(0).normal(size=shape)
    image[0, 0] = np.nan
    got = reduced(image, 3, name)
    reduce = {"mean": np.nanmean, "max": np.nanmax, "min": np.nanmin}[name]
    for y, x in np.ndindex(got.shape):
        square = image[3 * y : 3 * y + 3, 3 * x : 3 * x + 3]
        assert got[y, x] == pytest.approx(reduce(square))


def test_a_square_without_numbers_stays_without():
    assert np.isnan(reduced(np.full((2, 2), np.nan), 2)).all()


def test_half_of_a_square_makes_a_pixel_of_a_mask():
    mask = xr.DataArray(np.array([[True, True, False, False], [False, False, True, False]]), dims=("y", "x"))
    encoded = encode_mask(mask, 2)
    assert encoded["shape"] == [1, 2]
    assert unpack(encoded["bits"], np.dtype("uint8")).tolist() == [1, 0]
