from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from roitrace.errors import ArgumentError
from roitrace.view.palette import REJECTED, colour
from roitrace.view.traces import plot_traces, stacked_baselines
from tests.view.drawing import ODD_NAMES, draw, heading, texts


def lines(ax):
    return [line for line in ax.lines if line.get_gid() != "scale bar"]


def names(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


@given(
    npst.arrays(np.float64, st.tuples(st.integers(0, 5), st.integers(1, 300)), elements=st.floats(-1e6, 1e6))
)
@example(np.array([[1.0], [0.0], [0.0]]))
@example(np.array([[1e6, 0.0], [0.0, 1e6], [0.0, 1e-20], [1e-20, 0.0], [0.0, 1e-20]]))
@example(np.full((3, 2), 1e6) * [[1.0], [1.0], [1 + 1e-15]])
@example(np.array([[0.0, 5e-324], [5e-324, 0.0]]))
@settings(max_examples=50, deadline=None)
def test_stacked_traces_never_cross(traces):
    stacked = traces + stacked_baselines(traces)[:, None]
    assert np.all(np.diff(stacked, axis=0) < 0)


def test_baselines_of_missing_traces_are_apart():
    baselines = stacked_baselines(np.full((3, 4), np.nan))
    assert baselines[-1] == 0
    assert np.all(np.diff(baselines) < 0)


def test_accepted_traces_are_stacked_with_bars(ax, traces):
    plot_traces(traces, ax=ax)
    draw(ax)
    assert names(ax) == ["a", "b"]
    assert heading(ax) == "mean, 2 of 3 ROIs"
    for number, line in enumerate(lines(ax)):
        given = traces["mean"].values[number]
        np.testing.assert_allclose(np.diff(line.get_ydata()), np.diff(given))
        np.testing.assert_array_equal(line.get_xdata(), traces["time"])
        assert line.get_color() == colour(number)
    value, duration = texts(ax)
    assert value.endswith(" counts")
    assert duration == "0.5 s"
    assert ax.get_xticks().size == 0


def test_rois_are_chosen_by_name_and_position_in_that_order(ax, traces):
    plot_traces(traces, "median", ["c", 0], ax=ax)
    assert names(draw(ax)) == ["c", "a"]
    assert [line.get_color() for line in lines(ax)] == [REJECTED, colour(0)]
    assert heading(ax) == "median, 2 of 3 ROIs"


def test_axes_in_seconds_or_frames(traces):
    from matplotlib.figure import Figure

    for shown, label in ((traces, "time (s)"), (traces.drop_vars("time"), "frame")):
        ax = plot_traces(shown, ax=Figure().subplots(), scale_bars=False)
        draw(ax)
        assert ax.get_xlabel() == label
        assert len(texts(ax)) == 1


def test_bars_count_frames_where_no_time_is_known(ax, traces):
    plot_traces(traces.drop_vars("time"), ax=ax)
    assert texts(ax)[1] == "5 frames"


def test_a_single_trace_has_an_axis_of_values(ax, traces):
    plot_traces(traces["mean"], rois="b", ax=ax, scale_bars=False)
    draw(ax)
    np.testing.assert_array_equal(lines(ax)[0].get_ydata(), traces["mean"][1])
    assert (ax.get_ylabel(), ax.get_xlabel(), heading(ax)) == ("mean (counts)", "time (s)", "mean, ROI b")
    assert texts(ax) == []


def test_dff_has_its_own_unit(ax, traces):
    dff = xr.Dataset({"dff": (traces["mean"] / 100 - 1).assign_attrs(units="1")}, attrs={"primary": "dff"})
    plot_traces(dff, ax=ax)
    assert texts(ax)[0].endswith(" ΔF/F")
    assert heading(ax) == "ΔF/F, 2 of 3 ROIs"


def test_long_traces_are_drawn_by_their_extremes(ax):
    values = np.random.default_rng(0).normal(size=(1, 100_000))
    plot_traces(xr.DataArray(values, dims=("roi", "time"), name="mean"), ax=ax, scale_bars=False)
    (line,) = lines(ax)
    assert line.get_ydata().size == 4000
    assert (line.get_ydata().min(), line.get_ydata().max()) == (values.min(), values.max())


def test_only_the_traces_drawn_are_computed(ax, traces):
    def refuse(_block):
        raise AssertionError

    wanted, other = traces["mean"][:1].chunk(), traces["mean"][1:].chunk().copy()
    other = xr.apply_ufunc(refuse, other, dask="parallelized", output_dtypes=[float])
    lazy = xr.concat([wanted, other], "roi")
    plot_traces(lazy, rois=0, ax=ax, scale_bars=False)
    np.testing.assert_array_equal(lines(ax)[0].get_ydata(), traces["mean"][0])
    with pytest.raises(AssertionError):
        plot_traces(lazy, rois=1, ax=ax)


def test_twenty_of_many_are_drawn(ax):
    traces = xr.DataArray(np.random.default_rng(0).normal(size=(30, 9)), dims=("roi", "time"), name="mean")
    plot_traces(traces, ax=ax)
    assert len(lines(ax)) == 20
    assert heading(ax) == "mean, 20 of 30 ROIs"
    assert names(ax)[:2] == ["0", "1"]


def test_of_very_many_rows_some_are_named(ax):
    traces = xr.DataArray(np.random.default_rng(0).normal(size=(100, 9)), dims=("roi", "time"), name="mean")
    plot_traces(traces, rois=range(100), ax=ax)
    assert len(lines(ax)) == 100
    assert names(ax) == [str(number) for number in range(0, 100, 3)]


def test_missing_traces_say_so(ax, traces):
    traces["mean"][0] = np.nan
    traces["mean"][1, 10:20] = np.inf
    plot_traces(traces, ax=ax)
    assert texts(draw(ax)).count("no data") == 1
    assert np.isnan(lines(ax)[1].get_ydata()).sum() == 10


def test_rejected_traces_are_drawn_where_nothing_is_accepted(ax, traces):
    plot_traces(traces.assign_coords(accepted=("roi", [False] * 3)), ax=ax)
    assert [line.get_color() for line in lines(ax)] == [REJECTED] * 3


@pytest.mark.parametrize("scale_bars", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (0, 5), (1, 5), (2, 5)])
@pytest.mark.parametrize("value", [5.0, np.nan])
def test_constant_missing_and_tiny_traces(ax, scale_bars, shape, value):
    traces = xr.DataArray(np.full(shape, value), dims=("roi", "time"), name="mean")
    plot_traces(traces, ax=ax, scale_bars=scale_bars)
    draw(ax)
    assert len(lines(ax)) == shape[0]
    assert np.isfinite([*ax.get_xlim(), *ax.get_ylim()]).all()


def test_names_are_drawn_as_written(ax, traces):
    plot_traces(traces.assign_coords(roi=list(ODD_NAMES)), rois=[0, 1, 2], ax=ax)
    assert names(draw(ax)) == ["$a_1$", "\\frac{", "□□ 2 □"]


def test_one_trace_without_a_roi_axis(ax, traces):
    plot_traces(traces["mean"][0], ax=ax, scale_bars=False)
    assert heading(draw(ax)) == "mean, ROI a"


def test_what_is_not_there_is_refused(ax, traces):
    with pytest.raises(ArgumentError, match="no statistic 'mode'"):
        plot_traces(traces, "mode", ax=ax)
    with pytest.raises(ArgumentError, match="no ROI is named 'z'; names are a, b, c"):
        plot_traces(traces, rois="z", ax=ax)
    with pytest.raises(ArgumentError, match="no ROI at position 3; there are 3"):
        plot_traces(traces, rois=[3], ax=ax)
    with pytest.raises(ArgumentError, match="the traces have no frames"):
        plot_traces(traces.isel(time=slice(0)), ax=ax)
    with pytest.raises(ArgumentError, match="expected real numbers along roi and time"):
        plot_traces(traces["n_pixels"], ax=ax)
    assert not ax.has_data()
