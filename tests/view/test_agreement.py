from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from roitrace.errors import ArgumentError
from roitrace.view.agreement import plot_comparison
from tests.view.drawing import draw, heading, texts


def panels(ax):
    draw(ax)
    left, right = ax.figure.axes
    assert left is ax
    return left, right


def test_both_traces_of_a_roi_and_frame_against_frame(ax, traces):
    plot_comparison(traces, "b", ax=ax)
    left, right = panels(ax)
    np.testing.assert_array_equal(left.lines[0].get_ydata(), traces["mean"][1])
    np.testing.assert_array_equal(left.lines[1].get_ydata(), traces["median"][1])
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["mean", "median"]
    assert (left.get_xlabel(), left.get_ylabel(), heading(left)) == (
        "time (s)",
        "fluorescence (counts)",
        "ROI b",
    )
    np.testing.assert_array_equal(
        right.lines[0].get_xydata(), np.stack([traces["mean"][1], traces["median"][1]], 1)
    )
    ends = right.lines[1].get_xydata()
    np.testing.assert_allclose(ends[:, 1], 0.9 * ends[:, 0] + 4)
    assert texts(right) == ["slope 0.900\noffset 4\nr 1.000"]
    assert (right.get_xlabel(), right.get_ylabel()) == ("mean (counts)", "median (counts)")


def test_all_rois(ax, traces):
    plot_comparison(traces, ax=ax)
    left, right = panels(ax)
    np.testing.assert_allclose(left.lines[0].get_xdata(), traces["mean"].mean("time"))
    np.testing.assert_allclose(left.lines[0].get_ydata(), traces["median"].mean("time"))
    np.testing.assert_array_equal(left.lines[1].get_xdata(), left.lines[1].get_ydata())
    np.testing.assert_allclose(right.lines[0].get_xdata(), [0.9] * 3)
    np.testing.assert_allclose(right.lines[0].get_ydata(), [1.0] * 3)
    assert heading(left) == "3 ROIs, dashed: equal"
    assert heading(right) == "medians: slope 0.900, offset 4, r 1.000"
    assert right.get_xlabel() == "slope of median on mean"


@pytest.mark.parametrize("roi", [None, 0])
def test_lazy_traces_give_the_same_figure(ax, traces, roi):
    from matplotlib.figure import Figure

    other = Figure(layout="constrained").subplots()
    plot_comparison(traces, roi, ax=ax)
    plot_comparison(traces.chunk(time=7), roi, ax=other)
    for one, two in zip(panels(ax), panels(other), strict=True):
        assert (heading(one), texts(one)) == (heading(two), texts(two))
        for line, same in zip(one.lines, two.lines, strict=True):
            np.testing.assert_allclose(line.get_xydata(), same.get_xydata())


def test_frames_without_a_number_are_left_out(ax, traces):
    traces["mean"][0, :5] = np.nan
    traces["median"][0, 9] = np.inf
    plot_comparison(traces, 0, ax=ax)
    assert texts(panels(ax)[1]) == ["slope 0.900\noffset 4\nr 1.000"]


@pytest.mark.parametrize("value", [7.0, np.nan])
@pytest.mark.parametrize("roi", [None, 1])
@pytest.mark.parametrize("frames", [1, 6])
def test_constant_and_missing_traces_have_no_line(ax, value, roi, frames):
    flat = xr.DataArray(np.full((2, frames), value), dims=("roi", "time"))
    plot_comparison(xr.Dataset({"mean": flat, "median": flat}), roi, ax=ax)
    left, right = panels(ax)
    if roi is None:
        assert heading(right) == "no ROI varies in both"
    else:
        assert texts(right) == ["no line: one of\nthem is constant"]
        assert left.get_xlabel() == "frame"


def test_no_rois(ax, traces):
    plot_comparison(traces.isel(roi=[]), ax=ax)
    assert heading(panels(ax)[0]) == "0 ROIs, dashed: equal"


def test_numbers_stand_where_the_dots_leave_room(ax, traces):
    traces["median"] = 500 - traces["mean"]
    plot_comparison(traces, 0, ax=ax)
    (text,) = panels(ax)[1].texts
    assert text.get_horizontalalignment() == "right"


def test_many_dots_are_one_picture_in_vector_files(ax):
    values = xr.DataArray(np.random.default_rng(0).normal(size=(1, 5000)), dims=("roi", "time"))
    plot_comparison(xr.Dataset({"mean": values, "median": values}), 0, ax=ax)
    dots = panels(ax)[1].lines[0]
    assert dots.get_rasterized()
    assert dots.get_xdata().size == 5000


def test_names_are_drawn_as_written(ax, traces):
    odd = traces.rename(mean="$m", median="_\\x{$").assign_coords(roi=["$1", "b", "c"])
    plot_comparison(odd, "$1", ("$m", "_\\x{$"), ax=ax)
    left, right = panels(ax)
    assert heading(left) == "ROI $1"
    assert (right.get_xlabel(), right.get_ylabel()) == ("$m (counts)", "\\x{$ (counts)")
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["$m", "\\x{$"]
    plot_comparison(odd, None, ("$m", "_\\x{$"), ax=left)
    draw(left)


def test_what_is_not_there_is_refused(ax, traces):
    with pytest.raises(ArgumentError, match="expected two names"):
        plot_comparison(traces, statistics=("mean",), ax=ax)
    with pytest.raises(ArgumentError, match="no statistic 'mode'"):
        plot_comparison(traces, statistics=("mean", "mode"), ax=ax)
    with pytest.raises(ArgumentError, match="no ROI is named 'z'"):
        plot_comparison(traces, "z", ax=ax)
    with pytest.raises(ArgumentError, match="the traces have no frames"):
        plot_comparison(traces.isel(time=[]), ax=ax)
    with pytest.raises(ArgumentError, match="a DataArray, expected a Dataset"):
        plot_comparison(traces["mean"], ax=ax)
    assert not ax.has_data()
