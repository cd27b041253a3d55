from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from roitrace.view.report.encoding import encode_image, encode_trace, pack, unpack

NUMBERS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=1, max_dims=2, max_side=20),
    elements=st.one_of(
        st.floats(-1e300, 1e300), st.floats(-10, 10), st.sampled_from([np.nan, np.inf, -np.inf])
    ),
)


@settings(max_examples=50, deadline=None)
@given(NUMBERS, st.floats(0, 100))
@example(np.array([1.0, 1.0]), 2.225073858507203e-309)
@example(np.array([1.0, np.nextafter(1.0, 2.0)]), 2.225073858507203e-309)
def test_no_number_moves_by_more_than_half_a_step_and_missing_ones_stay_missing(values, noise):
    codes = encode_trace(values, noise)
    back, known = codes.values(), np.isfinite(values)
    assert (np.isnan(back) == ~known).all()
    room = 0.5001 * codes.step + 1e-12 * np.abs(values[known]).max(initial=0.0)
    assert (np.abs(back[known] - values[known]) <= room).all()


def test_a_step_is_a_sixth_of_the_noise():
    assert encode_trace(np.array([0.0, 100.0]), 3.0).step == 0.5


def test_one_hot_pixel_does_not_make_the_steps_of_an_image_coarse():
    image = np.random.default_rng(0).normal(100, 10, (64, 64))
    image[3, 3] = 3000.0
    assert encode_image(image).step < 0.1


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_integers_come_back(dtype, data):
    values = data.draw(hnp.arrays(dtype, st.integers(0, 50)))
    np.testing.assert_array_equal(unpack(pack(values), np.dtype(dtype)), values)
