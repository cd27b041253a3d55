from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.kernels.moments import (
    STRIP,
    add_block,
    add_float,
    add_series,
    add_squares_wide,
    close_float,
    merge_float,
)
from tests.strategies import FLOAT_DTYPES, INTEGER_DTYPES, samples, shapes

WIDE_FRAME = (3, 2, STRIP + 7)
TOP, SIDE = 2, 1  # where blocks lie in the images


def images_of(block, wants=(True, True, True, True), *, time_last=False):
    """Add a block to images a little larger than itself: total, squares, minimum, maximum."""
    shape = (block.shape[1] + TOP + 1, block.shape[2] + SIDE + 3)
    limits = np.finfo(block.dtype) if block.dtype.kind == "f" else np.iinfo(block.dtype)
    ends = (np.inf, -np.inf) if block.dtype.kind == "f" else (limits.max, limits.min)
    images = [
        np.full(shape, -7, np.int64),
        np.zeros(shape, np.uint64),
        *(np.full(shape, end, block.dtype) for end in ends),
    ]
    before = [image.copy() for image in images]
    if time_last:
        add_series(np.ascontiguousarray(block.transpose(1, 2, 0)), (TOP, SIDE), *images, np.array(wants))
    else:
        add_block(block, (TOP, SIDE), *images, np.array(wants))
    inside = np.zeros(shape, bool)
    inside[TOP:-1, SIDE:-3] = True
    for image, old, wanted in zip(images, before, wants, strict=True):
        changed = ~inside if wanted else inside | True
        np.testing.assert_array_equal(image[changed], old[changed])
    return [image[TOP:-1, SIDE:-3] for image in images]


def exact_sum(values):
    """Sums over time in Python's integers."""
    return values.astype(object).sum(axis=0)


def wide_squares(block):
    shape = (block.shape[1] + TOP, block.shape[2] + SIDE)
    high, low = np.zeros(shape, np.uint64), np.zeros(shape, np.uint64)
    add_squares_wide(block, (TOP, SIDE), high, low)
    return (high.astype(object) * 2**64 + low.astype(object))[TOP:, SIDE:]


@settings(max_examples=40, deadline=None)
@given(st.data(), shapes(), st.tuples(*[st.booleans()] * 4), st.booleans())
def test_sums_squares_and_extremes_of_integers_are_exact(data, shape, wants, time_last):
    block = data.draw(samples(shape, dtypes=INTEGER_DTYPES))
    wants = (wants[0], wants[1] and block.dtype.itemsize < 4, *wants[2:])
    total, squares, lowest, highest = images_of(block, wants, time_last=time_last)
    if wants[0]:
        assert (total.astype(object) == exact_sum(block) - 7).all()
    if wants[1]:
        assert (squares.astype(object) == exact_sum(block.astype(object) ** 2)).all()
    if wants[2]:
        np.testing.assert_array_equal(lowest, block.min(axis=0))
    if wants[3]:
        np.testing.assert_array_equal(highest, block.max(axis=0))
    assert (wide_squares(block) == exact_sum(block.astype(object) ** 2)).all()


@pytest.mark.parametrize("dtype", ["uint32", "int32"])
def test_squares_of_32_bits_carry_into_the_second_limb(dtype):
    limits = np.iinfo(dtype)
    block = np.full((20, 1, 2), limits.max if dtype == "uint32" else limits.min, dtype)
    squares = wide_squares(block)
    assert (squares > 2**64).all()
    assert (squares == 20 * int(block[0, 0, 0]) ** 2).all()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32"])
def test_frames_wider_than_a_strip(dtype):
    limits = np.iinfo(dtype)
    block = np.random.default_rng(1).integers(limits.min, limits.max, WIDE_FRAME, dtype, endpoint=True)
    total, squares, lowest, highest = images_of(block, (True, block.itemsize < 4, True, True))
    np.testing.assert_array_equal(total, block.sum(axis=0, dtype=np.int64) - 7)
    np.testing.assert_array_equal(lowest, block.min(axis=0))
    np.testing.assert_array_equal(highest, block.max(axis=0))
    if block.itemsize < 4:
        np.testing.assert_array_equal(squares, (block.astype(np.int64) ** 2).sum(axis=0))


@settings(max_examples=40, deadline=None)
@given(st.data(), shapes(), st.booleans(), st.booleans())
def test_extremes_pass_over_nan(data, shape, with_minimum, with_maximum):
    block = data.draw(samples(shape, dtypes=FLOAT_DTYPES))
    _, _, lowest, highest = images_of(block, (False, False, with_minimum, with_maximum))
    there = np.where(np.isnan(block), np.inf, block).min(axis=0)
    np.testing.assert_array_equal(lowest, there if with_minimum else np.inf)
    there = np.where(np.isnan(block), -np.inf, block).max(axis=0)
    np.testing.assert_array_equal(highest, there if with_maximum else -np.inf)


def sums_of(block):
    shape = block.shape[1:]
    number, total, origin, steps, squares = np.zeros(shape, np.int64), *np.zeros((4, *shape))
    add_float(block, (0, 0), number, total, origin, steps, squares)
    close_float(*(one.reshape(-1) for one in (number, origin, steps, squares)))
    return number, total, origin, squares


@settings(max_examples=40, deadline=None)
@given(st.data(), shapes(max_frames=60), st.integers(0, 60))
def test_float_sums_pass_over_nan_and_merge(data, shape, cut):
    block = data.draw(samples(shape, dtypes=FLOAT_DTYPES, infinite=False))
    valid = ~np.isnan(block)
    values = np.where(valid, block, 0).astype(np.float64)
    count = valid.sum(axis=0)
    size = np.abs(values).sum(axis=0)
    mean = np.divide(values.sum(axis=0), count, out=np.zeros(shape[1:]), where=count > 0)
    deviations = (np.where(valid, values - mean, 0) ** 2).sum(axis=0)

    first, second = sums_of(block[:cut]), sums_of(block[cut:])
    merge_float(*(one.ravel() for one in first), *(one.ravel() for one in second))
    for sums in (sums_of(block), first):
        np.testing.assert_array_equal(sums[0], count)
        assert (np.abs(sums[1] - values.sum(axis=0)) <= 1e-12 * size).all()
        assert (np.abs(sums[2] - mean) * np.maximum(count, 1) <= 1e-12 * size).all()
        assert (np.abs(sums[3] - deviations) <= 1e-12 * (values**2).sum(axis=0)).all()


def test_float_sums_go_in_order():
    block = np.array([1e16, 1.0, -1e16, 1.0]).reshape(4, 1, 1)
    assert sums_of(block)[1].item() == 1.0  # ((1e16 + 1) - 1e16) + 1


def test_merging_nothing_changes_nothing():
    block = np.arange(6.0).reshape(3, 1, 2)
    sums, nothing = sums_of(block), sums_of(block[:0])
    merge_float(*(one.ravel() for one in sums), *(one.ravel() for one in nothing))
    for one, other in zip(sums, sums_of(block), strict=True):
        np.testing.assert_array_equal(one, other)
    merge_float(*(one.ravel() for one in nothing), *(one.ravel() for one in sums))
    for one, other in zip(nothing, sums, strict=True):
        np.testing.assert_array_equal(one, other)
