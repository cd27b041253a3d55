from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.errors import ArgumentError, BudgetError, MetadataError
from roitrace.traces import check_same_axes, map_rois, pick_trace, statistic_names, time_axis
from tests.trace_strategies import chunked, labelled, nothing_computed, trace_values


def some_traces(**attrs):
    trace = labelled(np.ones((2, 5)))
    dataset = xr.Dataset({"mean": trace, "median": trace + 1, "n_valid": trace.astype(np.int64)}, attrs=attrs)
    return dataset.assign(n_pixels=("roi", [3.0, 4.0]))


# -- which variable ---------------------------------------------------------------------------------------------


def test_primary_is_taken_unless_another_is_named():
    traces = some_traces(primary="median", frame_rate=10.0)
    assert pick_trace(traces).name == "median"
    assert pick_trace(traces, "mean").name == "mean"
    assert pick_trace(traces).attrs == {"frame_rate": 10.0}
    assert statistic_names(traces) == ("mean", "median")


def test_picking_leaves_the_input_alone_and_orders_the_dims():
    trace = labelled(np.ones((2, 5))).assign_attrs(note="kept").transpose("time", "roi")
    picked = pick_trace(trace)
    assert picked.dims == ("roi", "time")
    assert trace.attrs["note"] == "kept"
    assert trace.dims == ("time", "roi")


def test_one_trace_and_an_unnamed_one_will_do():
    assert pick_trace(labelled([[1, 2]], name=None)[0].drop_vars("roi")).name == "trace"


@pytest.mark.parametrize(
    ("traces", "statistic", "message"),
    [
        (some_traces(), None, "mean, median"),
        (xr.Dataset(), None, "there are no traces"),
        (some_traces(primary="mode"), None, "no statistic 'mode'"),
        (some_traces(primary="mean"), "mode", "no statistic 'mode'; they have mean, median"),
        (labelled([[1.0]]), "median", "asked of a DataArray named 'mean'"),
        (np.ones((2, 5)), None, "ndarray, expected a Dataset or DataArray"),
        (some_traces(primary="n_pixels"), None, r"dims \('roi',\)"),
        (labelled([[1j]]), None, "complex128, expected real numbers"),
    ],
)
def test_what_is_no_trace_is_refused(traces, statistic, message):
    with pytest.raises(ArgumentError, match=message):
        pick_trace(traces, statistic)


def test_other_axes_are_refused():
    trace = labelled(np.ones((2, 5)))
    check_same_axes(trace, trace.transpose("time", "roi"), "neuropil")
    with pytest.raises(ArgumentError, match="neuropil has sizes"):
        check_same_axes(trace, trace[:, :4], "neuropil")
    with pytest.raises(ArgumentError, match="other values along time"):
        check_same_axes(trace, trace.assign_coords(time=trace["time"] + 1), "neuropil")
    with pytest.raises(ArgumentError, match="other values along roi"):
        check_same_axes(trace, trace[::-1], "neuropil")


# -- time -------------------------------------------------------------------------------------------------------


def test_regular_time_is_one_segment():
    axis = time_axis(labelled(np.ones(100), rate=30.0))
    assert axis.borders.tolist() == [0, 100]
    assert axis.interval == pytest.approx(1 / 30)
    assert axis.half_window("60 s") == 900
    assert axis.half_window(60) == axis.half_window("1 min") == axis.half_window("1800 frames") == 900
    assert axis.half_window("1801 frames") == 900
    assert axis.half_window(None) == 100
    assert axis.sigma(0.5) == axis.sigma("500 ms") == pytest.approx(15.0)
    assert axis.sigma("2.5 frames") == 2.5
    assert axis.sigma(0) == axis.sigma(None) == 0.0


@pytest.mark.parametrize(("step", "begins"), [(1.5, []), (1.51, [3]), (-5.0, [3]), (0.0, [3])])
def test_a_gap_or_a_step_back_begins_a_segment(step, begins):
    time = np.array([0.0, 1.0, 2.0, 2.0 + step, 3.0 + step, 4.0 + step, 5.0 + step])
    assert time_axis(labelled(np.ones(7), time=time)).borders.tolist() == [0, *begins, 7]


def test_a_session_begins_a_segment():
    trace = labelled(np.ones(6), session=["a", "a", "b", "b", "b", "a"])
    assert time_axis(trace).borders.tolist() == [0, 2, 5, 6]
    alone = labelled(np.ones(6)).assign_coords(session="a")
    assert time_axis(alone).borders.tolist() == [0, 6]


def test_gaps_in_frame_counts_begin_segments():
    trace = labelled(np.ones(10), rate=None)
    assert time_axis(trace[:, [0, 1, 2, 6, 7, 8]]).borders.tolist() == [0, 3, 6]
    assert time_axis(trace[:, ::3]).borders.tolist() == [0, 4]


def test_interval_comes_from_time_before_the_frame_rate():
    assert time_axis(labelled(np.ones(9), rate=10.0)[:, ::2]).interval == pytest.approx(0.2)
    assert time_axis(labelled(np.ones(1), rate=10.0)).interval == pytest.approx(0.1)
    assert time_axis(labelled(np.ones(9), rate=10.0).drop_vars("time")).interval == pytest.approx(0.1)
    counted = labelled(np.ones(9), rate=None).assign_attrs(frame_rate=10.0)
    assert time_axis(counted).interval == pytest.approx(0.1)
    assert time_axis(counted[:, ::2]).interval == pytest.approx(0.2)
    assert time_axis(labelled(np.ones(9), rate=None)).interval is None


def test_seconds_of_a_recording_without_frame_rate_are_refused():
    axis = time_axis(labelled(np.ones(9), rate=None))
    assert axis.half_window("5 frames") == 2
    with pytest.raises(MetadataError, match=r"window=60.0 is asked in seconds.*window=\"100 frames\""):
        axis.half_window(60.0)
    with pytest.raises(MetadataError, match=r"smoothing='0\.5 s'"):
        axis.sigma("0.5 s")


@pytest.mark.parametrize("duration", ["soon", "5 parsecs", "", -1.0, "-3 frames", np.nan, np.inf, True, [1]])
def test_what_is_no_duration_is_refused(duration):
    with pytest.raises(ArgumentError, match=r"smoothing=.* is no duration"):
        time_axis(labelled(np.ones(9))).sigma(duration)


def test_a_window_below_one_frame_is_refused():
    with pytest.raises(ArgumentError, match=r"window=0\.01 is shorter than one frame"):
        time_axis(labelled(np.ones(9))).half_window(0.01)


def test_unusable_times_are_refused():
    with pytest.raises(ArgumentError, match="no frames"):
        time_axis(labelled(np.ones((2, 0))))
    with pytest.raises(ArgumentError, match="not all finite"):
        time_axis(labelled(np.ones(3), time=[0.0, np.nan, 2.0]))
    dates = labelled(np.ones(3)).assign_coords(time=np.array([0, 1, 2], dtype="datetime64[s]"))
    with pytest.raises(ArgumentError, match="datetime64"):
        time_axis(dates)


# -- ROI by ROI -------------------------------------------------------------------------------------------------


def reverse_and_add(trace, other):
    return trace[::-1] + other, float(trace[0])


def mapped(trace, other, **options):
    outputs = {"reversed": np.float64, "first": np.float64}
    return map_rois(reverse_and_add, trace, other, outputs=outputs, over_time=("reversed",), **options)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_lazy_and_in_memory_give_the_same(data):
    trace = labelled(data.draw(trace_values(missing=False)))
    expected = mapped(trace, trace * 2)
    np.testing.assert_array_equal(expected["reversed"], trace.values[:, ::-1] + trace.values * 2)
    np.testing.assert_array_equal(expected["first"], trace.values[:, 0])
    with nothing_computed():
        lazy = mapped(data.draw(chunked(trace)), data.draw(chunked(trace * 2)))
    for name, result in expected.items():
        assert lazy[name].chunks is not None
        xr.testing.assert_identical(lazy[name].compute(), result)


def test_labels_stay():
    result = mapped(labelled(np.ones((2, 3))), labelled(np.ones((2, 3))))
    assert result["reversed"]["time"].attrs == {"units": "s"}
    assert result["first"]["roi_id"].values.tolist() == [1, 2]
    assert result["first"].name == "first"


def test_integers_become_float64():
    result = mapped(labelled(np.array([[1, 2, 3]], dtype=np.uint8)), labelled(np.array([[255, 255, 255]])))
    np.testing.assert_array_equal(result["reversed"], [[258.0, 257.0, 256.0]])


def test_blocks_of_few_rois_fit_the_budget():
    trace = xr.DataArray(da.zeros((1000, 100_000), chunks=(1000, 1000)), dims=("roi", "time"))
    lazy = mapped(trace, trace, budget="364 MiB", workers=2)["reversed"]
    assert lazy.chunksizes["time"] == (100_000,)
    assert set(lazy.chunksizes["roi"]) == {4, 1000 % 4 or 4}
    with pytest.raises(BudgetError, match=r"100,000 frames takes 6.1 MiB .* 2 workers .* fewer workers"):
        mapped(trace, trace, budget="310 MiB", workers=2)
    assert mapped(trace, trace, budget="310 MiB", workers=1)["reversed"].chunksizes["roi"][0] == 1


def test_smaller_blocks_of_rois_are_kept():
    trace = labelled(np.ones((6, 4))).chunk({"roi": 2, "time": 1})
    assert mapped(trace, trace)["reversed"].chunks == ((2, 2, 2), (4,))
