"""suite2p 1.1.0: its neuropil masks pixel by pixel, and its F and Fneu from one read."""

from __future__ import annotations

import numpy as np
import pytest

import roitrace as rt
from tests.shared_data import needs_data

pytestmark = needs_data


@pytest.fixture(scope="module")
def suite2p(reference):
    return dict(reference("suite2p_extraction.npz"))


@pytest.fixture(scope="module")
def rois(suite2p):
    yx = np.stack([suite2p["ypix"], suite2p["xpix"]], axis=1)
    borders = np.flatnonzero(np.diff(suite2p["roi"])) + 1
    weights = np.split(suite2p["lam"].astype(np.float64), borders)
    return rt.Rois.from_pixels(np.split(yx, borders), shape=(240, 240), weights=weights)


@pytest.fixture(scope="module")
def masks(suite2p):
    return np.split(suite2p["neuropil_flat"], np.flatnonzero(np.diff(suite2p["neuropil_roi"])) + 1)


def test_its_masks_pixel_by_pixel(rois, masks):
    rings = rt.neuropil(rois, weight_percentile=50)
    for number, mask in enumerate(masks):
        np.testing.assert_array_equal(rings.row(number), mask)


def test_all_that_the_default_changes_is_that_dim_pixels_of_cells_stay_out(rois, masks):
    rings = rt.neuropil(rois)
    cells = rois.to_mask().values.ravel()
    same = [np.array_equal(rings.row(number), mask) for number, mask in enumerate(masks)]
    assert sum(same) == 115
    assert not cells[rings.pixels].any()
    for number in np.flatnonzero(~np.array(same)).tolist():
        assert cells[masks[number]].any()


def test_f_and_fneu_from_one_read(suite2p, neuhof, rois):
    rings = rt.neuropil(rois, weight_percentile=50)
    traces = rt.extract(neuhof // 2, rois, convention="suite2p", neuropil=rings).compute()
    np.testing.assert_allclose(traces["weighted_mean"], suite2p["F"], rtol=2e-4)
    np.testing.assert_allclose(traces["neuropil"], suite2p["Fneu"], rtol=2e-4)
    assert traces.attrs["primary"] == "weighted_mean"
    corrected = rt.correct_neuropil(traces)["fcorr"]
    np.testing.assert_allclose(corrected, suite2p["F"] - 0.7 * suite2p["Fneu"], rtol=1e-3, atol=0.1)
