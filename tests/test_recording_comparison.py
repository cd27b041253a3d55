"""The same ROIs on several recordings: differences per ROI, against NumPy and the other verbs."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr

import roitrace as rt
from roitrace.errors import ArgumentError, LazyInputError

CELLS = rt.Rois.from_pixels([[(1, 1), (1, 2), (2, 1)], [(5, 5), (6, 5)]], shape=(12, 14))


def recording(values):
    time = np.arange(len(values)) / 10
    return xr.DataArray(
        values,
        dims=("time", "y", "x"),
        coords={"time": ("time", time, {"units": "s"})},
        attrs={"frame_rate": 10.0},
    )


@pytest.fixture(scope="module")
def movies():
    random = np.random.default_rng(0)
    clean = 200 + 100 * (random.random((120, 1, 1)) > 0.9) * np.ones((1, 12, 14))
    raw = random.poisson(clean).astype(np.uint16)
    denoised = ((raw + 3 * clean) / 4).round().astype(np.uint16)
    return {"raw": recording(raw), "denoised": recording(denoised), "later": recording(raw[:90] + 50)}


def refuse(*_, **__):
    raise LazyInputError("something was computed")


def test_numbers_are_those_of_the_other_verbs(movies):
    with dask.config.set(scheduler=refuse):
        lazy = rt.compare_recordings({name: one.chunk(time=40) for name, one in movies.items()}, CELLS)
    table = lazy.compute()
    traces = {name: rt.extract(one, CELLS, "mean").compute() for name, one in movies.items()}
    assert table["correlation"].dims == ("recording", "roi")
    for name, one in traces.items():
        own = table.sel(recording=name)
        for measure, expected in (("noise", rt.noise(one)), ("peak_snr", rt.peak_snr(one))):
            np.testing.assert_array_equal(own[measure].values, expected.values)
        np.testing.assert_array_equal(own["level"].values, one["mean"].median("time").values)
        np.testing.assert_array_equal(
            own["noise_ratio"].values, rt.noise(one).values / rt.noise(traces["raw"]).values
        )
        difference = rt.peak_snr(one).values - rt.peak_snr(traces["raw"]).values
        np.testing.assert_array_equal(own["peak_snr_difference"].values, difference)
    x, y = traces["raw"]["mean"].values, traces["denoised"]["mean"].values
    denoised = table.sel(recording="denoised")
    for roi in range(2):
        slope, offset = np.polyfit(x[roi], y[roi], 1)
        assert denoised["slope"].values[roi] == pytest.approx(slope)
        assert denoised["offset"].values[roi] == pytest.approx(offset)
        assert denoised["correlation"].values[roi] == pytest.approx(np.corrcoef(x[roi], y[roi])[0, 1])
    assert (denoised["noise_ratio"] < 0.5).all()
    assert (denoised["peak_snr_difference"] > 0).all()


def test_other_times_are_compared_by_level_and_noise_only(movies):
    later = rt.compare_recordings(movies, CELLS).sel(recording="later").compute()
    assert np.isnan(later["correlation"].values).all()
    assert np.isfinite(later["noise_ratio"].values).all()
    assert later["level_difference"].values == pytest.approx([50, 50], abs=3)


def test_the_reference_can_be_another(movies):
    table = rt.compare_recordings(movies, CELLS, "median", against="denoised")
    assert table.attrs["against"] == "denoised"
    assert table.attrs["statistic"] == "median"
    np.testing.assert_array_equal(table["noise_ratio"].sel(recording="denoised").values, 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"against": "cooked"}, "no recording"),
        ({"overlap": ["keep", "exclude"]}, "expected one rule"),
    ],
)
def test_mistakes_are_refused(movies, options, message):
    with pytest.raises(ArgumentError, match=message):
        rt.compare_recordings(movies, CELLS, **options)


def test_one_recording_is_too_few(movies):
    with pytest.raises(ArgumentError, match="expected two or more"):
        rt.compare_recordings({"raw": movies["raw"]}, CELLS)
