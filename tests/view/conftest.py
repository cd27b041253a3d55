from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from roitrace.frame import Frame
from roitrace.rois import Rois

mpl.use("agg")


@pytest.fixture
def ax():
    return Figure((8, 6), layout="constrained").subplots()


@pytest.fixture
def frame():
    """30 x 40 pixels of 2 x 2 micrometres."""
    return Frame((30, 40), np.arange(30) * 2.0, np.arange(40) * 2.0, "micrometer")


@pytest.fixture
def image(frame):
    values = np.random.default_rng(0).normal(100, 10, frame.shape)
    values[4:9, 4:9] = 300
    values[0, 0] = 1e6
    return frame.image(values, "mean", units="count")


@pytest.fixture
def rois(frame):
    """Three ROIs, of which the first two overlap in one pixel; the last is rejected."""
    squares = [np.argwhere(np.ones((4, 4))) + corner for corner in ((2, 2), (5, 5), (20, 30))]
    weights = [np.arange(1.0, 17.0)] * 3
    return Rois.from_pixels(
        squares, frame=frame, weights=weights, names=["a", "b", "c"], accepted=[True, True, False]
    )


@pytest.fixture
def traces(rois):
    rng = np.random.default_rng(1)
    mean = 100 + 10 * rng.standard_normal((3, 50)).cumsum(axis=1)
    time = ("time", np.arange(50) / 10, {"units": "s"})
    return xr.Dataset(
        {
            "mean": (("roi", "time"), mean, {"units": "count"}),
            "median": (("roi", "time"), 0.9 * mean + 4, {"units": "count"}),
            "n_pixels": ("roi", rois.n_pixels),
        },
        coords=rois.coords() | {"time": time},
        attrs={"primary": "mean", "frame_rate": 10.0},
    )
