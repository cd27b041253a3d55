"""Thunder on Spark: the movie as one record per pixel, keyed by column and row."""

from __future__ import annotations

import numpy as np

import roitrace as rt
from tests.shared_data import DATA, needs_data

pytestmark = needs_data
THUNDER = DATA / "thunder_mouse"


def test_pixel_traces_are_the_series(cut):
    recording = cut(np.load(THUNDER / "images_500x64x64_i16.npz")["images"])
    records = np.fromfile(THUNDER / "series_key01_00000-key00_00000.bin", dtype="<i2").reshape(-1, 502)
    x, y, series = records[:, 0], records[:, 1], records[:, 2:]

    matrix = rt.pixel_traces(recording, np.ones((64, 64), dtype=bool)).compute()

    assert matrix.dtype == np.int16
    order = np.lexsort((x, y))
    np.testing.assert_array_equal(matrix["y_index"], y[order])
    np.testing.assert_array_equal(matrix["x_index"], x[order])
    np.testing.assert_array_equal(matrix, series[order])


def test_one_roi_per_pixel_is_the_series(cut):
    recording = cut(np.load(THUNDER / "images_500x64x64_i16.npz")["images"])
    records = np.fromfile(THUNDER / "series_key01_00000-key00_00000.bin", dtype="<i2").reshape(-1, 502)[::37]
    rois = rt.Rois.from_pixels(records[:, None, 1::-1], shape=(64, 64))

    traces = rt.extract(recording, rois, ("mean", "median")).compute()

    np.testing.assert_array_equal(traces["mean"], records[:, 2:])
    np.testing.assert_array_equal(traces["median"], records[:, 2:])
