"""ImageJ 1.53t: masks at the levels of its auto-thresholds, and Analyze Particles on them."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import roitrace as rt
from tests.shared_data import DATA, needs_data

pytestmark = needs_data
NEUHOF = DATA / "neurofinder_neuhof"


@pytest.fixture(scope="module")
def levels():
    """Image, level, pixels and particles of 13 methods on 3 projections."""
    with (NEUHOF / "reference" / "imagej_thresholds.csv").open() as table:
        return list(csv.DictReader(table))


def test_as_many_pixels_and_particles(reference, levels):
    images = dict(reference("imagej_zproject.npz"))
    assert len(levels) == 39
    for row in levels:
        mask = rt.threshold(images[row["image"]], value=float(row["lower"]))
        assert mask.sum() == int(row["pixels"]), row
        assert len(rt.label_rois(mask)) == int(row["particles8"]), row


@pytest.mark.parametrize("method", ["Otsu", "Triangle"])
@pytest.mark.parametrize("image", ["avg", "std", "max"])
def test_the_same_masks_and_labels(reference, levels, image, method):
    imagej = reference("imagej_labels.npz")
    (level,) = [float(row["lower"]) for row in levels if (row["image"], row["method"]) == (image, method)]
    mask = rt.threshold(reference("imagej_zproject.npz")[image], value=level)
    np.testing.assert_array_equal(mask, imagej[f"{image}_{method}_mask"])
    np.testing.assert_array_equal(rt.label_rois(mask).to_labels(), imagej[f"{image}_{method}_conn8"])
