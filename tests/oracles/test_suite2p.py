"""suite2p 1.1.0: F and Fneu of its own ROIs, on the half scale of its binary file."""

from __future__ import annotations

import numpy as np
import pytest

import roitrace as rt
from tests.shared_data import needs_data

pytestmark = needs_data
SHAPE = (240, 240)


@pytest.fixture(scope="module")
def suite2p(reference):
    return dict(reference("suite2p_extraction.npz"))


@pytest.fixture(scope="module")
def halved(neuhof):
    """What suite2p keeps of 16-bit samples; a lazily transformed recording."""
    return neuhof // 2


@pytest.fixture(scope="module")
def rois(suite2p):
    yx = np.stack([suite2p["ypix"], suite2p["xpix"]], axis=1)
    borders = np.flatnonzero(np.diff(suite2p["roi"])) + 1
    return rt.Rois.from_pixels(
        np.split(yx, borders), shape=SHAPE, weights=np.split(suite2p["lam"].astype(np.float64), borders)
    )


def test_overlaps_are_where_suite2p_marks_them(suite2p, rois):
    shared = np.bincount(rois.pixels, minlength=SHAPE[0] * SHAPE[1]) > 1
    np.testing.assert_array_equal(shared[suite2p["ypix"] * SHAPE[1] + suite2p["xpix"]], suite2p["overlap"])


def test_fluorescence(suite2p, halved, rois):
    traces = rt.extract(halved, rois, "weighted_mean", overlap="exclude").compute()
    assert len(rois) == 177
    assert (traces["n_pixels"] < rois.n_pixels).any()
    np.testing.assert_allclose(traces["weighted_mean"], suite2p["F"], rtol=2e-4, atol=1e-6)


def test_shared_pixels_matter(suite2p, halved, rois):
    kept = rt.extract(halved, rois, "weighted_mean").compute()["weighted_mean"]
    assert not np.allclose(kept, suite2p["F"], rtol=2e-4, atol=1e-6)


def test_neuropil(suite2p, halved):
    flat = suite2p["neuropil_flat"]
    borders = np.flatnonzero(np.diff(suite2p["neuropil_roi"])) + 1
    yx = np.stack(np.divmod(flat, SHAPE[1]), axis=1)
    rings = rt.Rois.from_pixels(np.split(yx, borders), shape=SHAPE)
    traces = rt.extract(halved, rings, "mean").compute()["mean"]
    np.testing.assert_allclose(traces, suite2p["Fneu"], rtol=2e-4)
