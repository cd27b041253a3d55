"""ImageJ 1.53t, Image > Stacks > Z Project."""

from __future__ import annotations

import numpy as np
import pytest

import roitrace as rt
from tests.shared_data import needs_data

pytestmark = needs_data


@pytest.fixture(scope="module")
def imagej(reference):
    return reference("imagej_zproject.npz")


@pytest.fixture(scope="module")
def images(neuhof):
    lazy = rt.project(neuhof, ("sum", "min", "max", "mean", rt.stat.std(ddof=1)))
    assert all(image.chunks is not None for image in lazy.values())
    return lazy.compute()


@pytest.mark.parametrize("statistic", ["min", "max"])
def test_extremes_are_equal(images, imagej, statistic):
    np.testing.assert_array_equal(images[statistic], imagej[statistic])


def test_sums_are_equal(images, imagej):
    assert imagej["sum"].max() < 2**24, "ImageJ's float32 would round larger sums"
    np.testing.assert_array_equal(images["sum"], imagej["sum"])


def test_mean_rounds_to_imagej_16_bit(images, imagej):
    np.testing.assert_array_equal(np.floor(images["mean"] + 0.5), imagej["avg"])


def test_std_rounds_to_imagej_float32(images, imagej):
    np.testing.assert_array_equal(images["std"].astype(np.float32), imagej["std"])


def test_the_same_bits_in_any_blocks(neuhof, images):
    whole = rt.project(neuhof.compute(), ("mean", rt.stat.std(ddof=1))).compute()
    np.testing.assert_array_equal(images["mean"], whole["mean"])
    np.testing.assert_array_equal(images["std"], whole["std"])
