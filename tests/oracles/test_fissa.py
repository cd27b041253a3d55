"""FISSA 1.0: raw traces of polygons that ImageJ drew, and mean images, of three trials."""

from __future__ import annotations

import numpy as np
import pytest

import roitrace as rt
from tests.shared_data import DATA, needs_data

pytestmark = [needs_data, pytest.mark.parametrize("trial", [0, 1, 2])]
FISSA = DATA / "fissa_b"


@pytest.fixture(scope="module")
def expected():
    return dict(np.load(FISSA / "expected_plain.npz"))


@pytest.fixture
def recording(trial, cut):
    return cut(rt.open_recording(FISSA / "images" / f"AVG_A0{trial + 1}.tif").compute())


def test_mean_image(recording, expected, trial):
    image = rt.project(recording, "mean").compute()["mean"]
    np.testing.assert_allclose(image, expected["means"][trial], rtol=1e-12)


def test_raw_traces(recording, expected, trial):
    rois = rt.read_rois(FISSA / "rois.zip", recording=recording)
    traces = rt.extract(recording, rois, "mean").compute()["mean"]
    assert len(rois) == 2
    for cell in range(2):
        np.testing.assert_allclose(traces[cell], expected[f"raw_cell{cell}_trial{trial}"][0], rtol=1e-12)
