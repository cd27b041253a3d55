"""ImageJ 1.53t, ROI Manager > Multi Measure on 18 ROIs of all shapes; 1.48v on 10 rectangles."""

from __future__ import annotations

import numpy as np
import pytest

import roitrace as rt
from tests.shared_data import DATA, needs_data

pytestmark = needs_data
MULTI_MEASURE = DATA / "imagej_multimeasure_cell2"


@pytest.fixture(scope="module")
def imagej(reference):
    return dict(reference("imagej_roi_stats.npz"))


@pytest.fixture(scope="module")
def rois(imagej):
    return rt.Rois.from_masks(imagej["masks"], names=imagej["names"].tolist())


@pytest.fixture(scope="module")
def traces(neuhof, rois):
    lazy = rt.extract(neuhof, rois, ("mean", "median", "min", "max", rt.stat.std(ddof=1)))
    assert lazy["mean"].chunks is not None
    return lazy.compute()


def test_the_same_areas(traces, imagej):
    np.testing.assert_array_equal(np.broadcast_to(traces["n_pixels"], (600, 18)).T, imagej["area"])


@pytest.mark.parametrize("statistic", ["mean", "min", "max"])
def test_equal_numbers(traces, imagej, statistic):
    np.testing.assert_array_equal(traces[statistic], imagej[statistic])


def test_std_is_the_same_but_for_one_pixel(traces, imagej):
    several = imagej["area"][:, 0] > 1
    np.testing.assert_allclose(traces["std"].values[several], imagej["std"][several], rtol=1e-12)
    # one sample has no spread that could be estimated: NaN here, 0 in ImageJ
    assert np.count_nonzero(~several) == 1
    assert np.isnan(traces["std"].values[~several]).all()
    assert (imagej["std"][~several] == 0).all()


def test_median_is_the_same_where_one_pixel_is_in_the_middle(traces, imagej):
    odd = imagej["area"][:, 0] % 2 == 1
    assert 0 < np.count_nonzero(odd) < odd.size
    np.testing.assert_array_equal(traces["median"].values[odd], imagej["median"][odd])


def test_median_of_an_even_count_averages_what_imagej_takes_the_upper_of(neuhof, rois, traces, imagej):
    pixels = rt.pixel_traces(neuhof, rois).compute()
    for number, name in enumerate(rois.names):
        ordered = np.sort(pixels.values[pixels["roi"].values == name], axis=0)
        lower, upper = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
        np.testing.assert_array_equal(upper, imagej["median"][number])
        np.testing.assert_array_equal((lower.astype(np.float64) + upper) / 2, traces["median"].values[number])


def test_reads_the_masks_that_imagej_draws(neuhof, imagej):
    rois = rt.read_rois(DATA / "neurofinder_neuhof" / "reference" / "imagej_RoiSet.zip", recording=neuhof)
    assert rois.names == tuple(imagej["names"])
    np.testing.assert_array_equal(rois.to_masks(), imagej["masks"])


def test_multi_measure_of_a_lab(cut):
    """Three decimals are printed; rows 1, 3 and 4 of the table are the three files."""
    files = sorted(MULTI_MEASURE.glob("*.tif"))
    recording = cut(rt.open_recording(files).compute())
    rois = rt.read_rois(MULTI_MEASURE / "RoiSet.zip", recording=recording)
    table = np.genfromtxt(MULTI_MEASURE / "Results.xls", delimiter="\t", skip_header=1)
    means = rt.extract(recording, rois, "mean").compute()["mean"]
    assert means.shape == (10, 3)
    np.testing.assert_allclose(means.values.T, table[[0, 2, 3], 1:], rtol=0, atol=5.0001e-4)
