"""SIMA 1.3: signals of a motion-corrected movie, whose moving borders are NaN."""

from __future__ import annotations

import numpy as np
import pytest

import roitrace as rt
from tests.shared_data import DATA, needs_data

pytestmark = needs_data


@pytest.fixture(scope="module")
def sima():
    return dict(np.load(DATA / "sima_example_h5" / "sima_plain.npz"))


@pytest.fixture(scope="module")
def recording(sima, cut):
    assert np.isnan(sima["movie_motion_corrected"]).any()
    return cut(sima["movie_motion_corrected"])


@pytest.fixture(scope="module")
def rois(sima):
    return rt.Rois.from_masks(sima["masks"].astype(bool))


def test_mean_frame(sima, recording):
    image = rt.project(recording, "mean").compute()["mean"]
    np.testing.assert_allclose(image, sima["sima_mean_frame"], rtol=1e-12)


def test_raw_signals(sima, recording, rois):
    """Signals of 86 ROIs, in nine of which pixels go missing.

    SIMA's raw signal is area * (mean over the valid pixels of (f / mean_frame - 1), + 1). Its movie is float32.
    """
    relative = recording / rt.project(recording, "mean").compute()["mean"]
    traces = rt.extract(relative, rois, "mean", min_coverage=0).compute()
    signals = traces["mean"] * traces["n_pixels"]
    assert np.count_nonzero((traces["n_valid"] < traces["n_pixels"]).any("time")) == 9
    np.testing.assert_allclose(signals, sima["sima_raw"], rtol=1e-6)


def test_frames_with_too_few_pixels_are_nan_unless_asked_for(recording, rois):
    traces = rt.extract(recording, rois, "mean").compute()
    enough = traces["n_valid"] >= 0.9 * traces["n_pixels"]
    assert not enough.all()
    np.testing.assert_array_equal(np.isnan(traces["mean"]), ~enough)
