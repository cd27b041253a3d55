"""NumPy and SciPy, region by region, on the labelled neurons of Neurofinder."""

from __future__ import annotations

import json

import numpy as np
import pytest

import roitrace as rt
from tests.shared_data import DATA, needs_data

pytestmark = needs_data
NEUHOF = DATA / "neurofinder_neuhof"
STATISTICS = {
    "mean": rt.stat.mean(),
    "median": rt.stat.median(),
    "trim_mean_0.1": rt.stat.trimmed_mean(0.1, name="trim_mean_0.1"),
    "trim_mean_0.25": rt.stat.trimmed_mean(0.25, name="trim_mean_0.25"),
    "std_ddof1": rt.stat.std(ddof=1, name="std_ddof1"),
}


@pytest.fixture(scope="module")
def rois():
    regions = json.loads((NEUHOF / "regions_crop.json").read_text())
    return rt.Rois.from_pixels(
        [region["coordinates"] for region in regions],
        shape=(240, 240),
        ids=[region["id"] for region in regions],
    )


@pytest.fixture(scope="module")
def traces(neuhof, rois):
    return rt.extract(neuhof, rois, STATISTICS.values()).compute()


@pytest.fixture(scope="module")
def scipy_numbers(reference):
    return reference("scipy_region_stats.npz")


def test_some_of_the_neurons_overlap(rois, scipy_numbers):
    assert len(rois) == 111
    assert rois.overlap_fraction().max() > 0
    np.testing.assert_array_equal(rois.n_pixels, scipy_numbers["area"])


@pytest.mark.parametrize("statistic", STATISTICS)
def test_equal_numbers(traces, scipy_numbers, statistic):
    expected = scipy_numbers[statistic]
    np.testing.assert_array_equal(traces[statistic].astype(expected.dtype), expected)
