from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.view.scale_bar import draw_corner_bars, draw_length_bar, round_length
from tests.view.drawing import draw, texts


@given(st.floats(1e-9, 1e9))
@settings(max_examples=50, deadline=None)
def test_lengths_are_round_and_near_the_limit(limit):
    length = round_length(limit)
    assert limit / 2.5000001 <= length <= limit * 1.000001
    assert f"{length:e}"[:8] in {"1.000000", "2.000000", "5.000000"}


@pytest.mark.parametrize(("left", "right"), [(0, 100), (100, 0)])
def test_length_bar_ends_at_the_right_edge(ax, left, right):
    ax.set(xlim=(left, right), ylim=(0, 1))
    draw_length_bar(ax, left, right, "µm")
    begin, end = ax.lines[0].get_xdata()
    assert (abs(end - begin), end) == (20, right)
    assert texts(draw(ax)) == ["20 µm"]
    assert ax.get_xlim() == (left, right)
    assert ax.lines[0].get_window_extent().y1 < ax.get_window_extent().y0


def test_corner_bars_meet(ax):
    ax.set(xlim=(0, 60), ylim=(-1, 9))
    draw_corner_bars(ax, time=(10, "s"), value=(2, "ΔF/F"))
    value, time = ax.lines
    assert (value.get_xdata().tolist(), value.get_ydata().tolist()) == ([60, 60], [-1, 1])
    assert (time.get_xdata().tolist(), time.get_ydata().tolist()) == ([50, 60], [-1, -1])
    assert texts(draw(ax)) == ["2 ΔF/F", "10 s"]


def test_value_bar_alone_and_without_unit(ax):
    draw_corner_bars(ax, time=None, value=(0.5, ""))
    assert texts(draw(ax)) == ["0.5"]
