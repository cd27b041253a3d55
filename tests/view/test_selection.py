from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from roitrace.errors import ArgumentError
from roitrace.view.selection import (
    accepted_rois,
    frame_times,
    in_memory,
    roi_names,
    roi_positions,
    shown_traces,
)


@pytest.mark.parametrize(("units", "unit", "label"), [("s", "s", "time (s)"), ("1", "frames", "frame")])
def test_times_are_seconds_only_where_they_say_so(units, unit, label):
    trace = xr.DataArray([1, 2, 3], dims="time", coords={"time": ("time", [0, 2, 4], {"units": units})})
    times = frame_times(trace)
    assert (times.values.tolist(), times.unit, times.label, times.interval) == ([0, 2, 4], unit, label, 2)


@pytest.mark.parametrize(("times", "even"), [([0, 1, 2.4], True), ([0, 1, 2, 4], False), ([5], True)])
def test_gaps_are_found(times, even):
    trace = xr.DataArray(np.zeros(len(times)), dims="time", coords={"time": times})
    assert frame_times(trace).even is even


def test_the_primary_statistic_is_shown_with_its_attributes(traces):
    shown = shown_traces(traces.transpose("time", "roi"))
    assert (shown.name, shown.dims, shown.attrs["units"]) == ("mean", ("roi", "time"), "count")


def test_names_and_acceptance_default_to_positions_and_all():
    bare = xr.DataArray(np.zeros((2, 3)), dims=("roi", "time"))
    assert roi_names(bare) == ("0", "1")
    assert accepted_rois(bare).tolist() == [True, True]


def test_the_first_of_equal_names_is_meant():
    assert roi_positions(["a", "a"], "a") == [0]


def test_a_bool_or_float_is_no_roi():
    with pytest.raises(ArgumentError, match=r"1\.5 is no ROI"):
        roi_positions(["a", "b"], [1.5])


def test_infinite_values_count_as_missing():
    assert np.isnan(in_memory(xr.DataArray([np.inf, -np.inf]))).all()
