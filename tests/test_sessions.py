"""Sessions side by side: what each gives alone, on one time axis, and nothing reaches across."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import roitrace as rt
from roitrace.errors import ArgumentError, LazyInputError
from roitrace.traces import time_axis


def recording(n_frames, seed, rate=10.0, start=0.0):
    random = np.random.default_rng(seed)
    movie = random.integers(50, 500, (n_frames, 12, 14), dtype=np.uint16)
    time = start + np.arange(n_frames) / rate
    return xr.DataArray(
        movie,
        dims=("time", "y", "x"),
        coords={"time": ("time", time, {"units": "s"})},
        attrs={"frame_rate": rate},
    )


CELLS = rt.Rois.from_pixels([[(1, 1), (1, 2)], [(1, 2), (5, 5), (6, 5)]], shape=(12, 14))


def refuse(*_, **__):
    raise LazyInputError("something was computed")


def test_each_session_is_what_it_is_alone():
    parts = {"dark": recording(30, 1), "light": recording(45, 2)}
    with dask.config.set(scheduler=refuse):
        lazy = rt.extract_sessions(
            parts, CELLS, ("mean", "max"), starts=[0, 100], overlap=["keep", "exclude"]
        )
    traces = lazy.compute()
    assert dict(traces.sizes) == {"overlap": 2, "roi": 2, "time": 75}
    for name, one in parts.items():
        alone = rt.extract(one, CELLS, ("mean", "max"), overlap=["keep", "exclude"]).compute()
        own = traces.sel(time=traces["session"] == name)
        for statistic in ("mean", "max"):
            np.testing.assert_array_equal(own[statistic].values, alone[statistic].values)
    assert traces["time"].values[30] == 100.0
    axis = time_axis(traces["mean"].sel(overlap="keep"))
    assert axis.borders.tolist() == axis.sessions.tolist() == [0, 30, 75]
    assert axis.interval == pytest.approx(0.1)


def test_times_of_their_own_are_kept_and_others_laid_end_to_end():
    own = rt.extract_sessions([recording(5, 0), recording(5, 1, start=60.0)], CELLS, "mean")
    assert own["time"].values[5] == 60.0
    assert own["session"].values.tolist() == [0] * 5 + [1] * 5
    joined = rt.extract_sessions([recording(5, 0), recording(5, 1)], CELLS, "mean", starts="end_to_end")
    np.testing.assert_allclose(joined["time"].values[4:6], [0.4, 0.6])


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([], {}, "no recordings"),
        ([recording(5, 0), recording(5, 1)], {}, "session 1 begins at 0, before session 0 ends at 0.4"),
        ([recording(5, 0), recording(5, 1)], {"starts": [0]}, "expected 2 finite numbers"),
        ([recording(5, 0), recording(5, 1)], {"starts": ["a", "b"]}, "expected 2 finite numbers"),
        (recording(5, 0), {}, "recordings is one DataArray, expected several"),
        ([recording(5, 0), recording(5, 1)], {"starts": "somewhere"}, "expected one number per recording"),
        ([recording(5, 0), recording(5, 1, rate=20)], {"starts": [0, 9]}, "frame rate 20"),
        ([recording(5, 0)], {"projections": "mean"}, "one image for all"),
    ],
)
def test_what_does_not_go_together_is_refused(given, options, message):
    with pytest.raises(ArgumentError, match=message):
        rt.extract_sessions(given, CELLS, "mean", **options)


METHODS = [
    *({"method": method} for method in ("zscore", "robust_zscore", "minmax", "dff")),
    *(
        {"baseline": baseline}
        for baseline in ("percentile", "rolling_median", "mode", "maximin", "lowpass_percentile", "bleaching")
    ),
    {"baseline": "first", "first": "1 s"},
]


@pytest.mark.parametrize("options", METHODS, ids=lambda one: "-".join(map(str, one.values())))
@given(st.integers(0, 2**32), st.integers(10, 60), st.integers(10, 60))
@settings(max_examples=8, deadline=None)
def test_nothing_leaks_from_one_session_into_another(options, seed, first, second):
    random = np.random.default_rng(seed)
    window = {"window": "3 s", "smoothing": "0.3 s"}
    times = np.concatenate([np.arange(first) / 10, 500 + np.arange(second) / 10])

    def normalized(values):
        trace = xr.DataArray(
            values,
            dims=("roi", "time"),
            coords={
                "time": ("time", times, {"units": "s"}),
                "session": ("time", np.repeat(["a", "b"], [first, second])),
            },
            name="mean",
        )
        result = rt.normalize(trace, **options, **window)
        return result[result.attrs["primary"]].values[:, :first]

    values = random.gamma(5.0, 20.0, (2, first + second))
    other = values.copy()
    other[:, first:] = random.gamma(2.0, 900.0, (2, second))
    np.testing.assert_array_equal(normalized(values), normalized(other))
