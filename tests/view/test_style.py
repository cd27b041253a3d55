from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis.extra import numpy as npst
from matplotlib import rc_context
from matplotlib.figure import Figure

from roitrace.view.naming import shown_name, value_unit
from roitrace.view.palette import OKABE_ITO, colour, robust_limits
from roitrace.view.style import displayable, drawn_axes, leave_room, split_axes, value_label
from tests.view.drawing import boxes_overlap


@given(npst.arrays(np.float64, npst.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6)))
@settings(max_examples=50, deadline=None)
def test_contrast_limits_are_always_finite_and_ascending(values):
    with np.errstate(over="ignore"):
        values = np.clip(values, -1e15, 1e15)
    low, high = robust_limits(values)
    assert np.isfinite([low, high]).all()
    assert low < high or low == high == low - 0.5  # beyond 2^53 half a count is lost


def test_one_hot_pixel_does_not_move_the_contrast():
    values = np.tile(np.arange(100.0), (100, 1))
    hot = values.copy()
    hot[0, 0] = 1e9
    assert robust_limits(hot)[1] <= robust_limits(values)[1] + 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\t c", "a b c"),
        ("$x$", "$x$"),
        ("細胞", "□□"),
        ("é µ Δ", "é µ Δ"),
        ("x" * 70, "x" * 59 + "…"),
        (7, "7"),
    ],
)
def test_text_is_shown_on_one_line_with_boxes_for_missing_characters(text, shown):
    assert displayable(text) == shown


def test_a_font_without_boxes_has_question_marks(monkeypatch):
    monkeypatch.setattr("roitrace.view.style._drawable", lambda *_: frozenset(map(ord, "ab?")))
    assert displayable("aéb") == "a?b"


def test_the_fonts_asked_for_are_looked_into():
    with rc_context({"font.family": ["DejaVu Sans Mono", "DejaVu Sans"]}):
        assert displayable("ΔF/F ☃") == "ΔF/F ☃"


@pytest.mark.parametrize(
    ("name", "attrs", "unit", "label"),
    [
        ("mean", {"units": "count"}, "counts", "mean (counts)"),
        ("trimmed_mean", {}, "counts", "trimmed mean (counts)"),
        ("var", {"units": "count^2"}, "counts²", "var (counts²)"),
        ("projection_max", {"units": "count"}, "counts", "max (counts)"),
        ("dff", {"units": "1"}, "ΔF/F", "ΔF/F"),
        ("robust_zscore", {"units": "1"}, "robust z-score", "robust z-score"),
        ("correlation", {"units": "1"}, "", "correlation"),
        ("power", {"units": "mW"}, "mW", "power (mW)"),
    ],
)
def test_labels_carry_units(name, attrs, unit, label):
    assert value_unit(name, attrs) == unit
    assert value_label(name, attrs) == label


def test_an_array_without_a_name():
    assert shown_name(xr.DataArray([1.0]), "trace") == "trace"
    assert shown_name(xr.DataArray([1.0], name="mean"), "trace") == "mean"


def test_colours_repeat_in_order():
    assert [colour(number) for number in range(len(OKABE_ITO) + 1)] == [*OKABE_ITO, OKABE_ITO[0]]


@pytest.mark.parametrize("layout", ["constrained", None])
@pytest.mark.parametrize("placed", [False, True])
def test_axes_are_divided_within_their_place(layout, placed):
    figure = Figure(layout=layout)
    ax = figure.add_axes((0.1, 0.2, 0.6, 0.5)) if placed else figure.add_subplot()
    before = ax.get_position()
    parts = [part.get_position() for part in split_axes(ax, (2.0, 1.0, 1.0))]
    assert figure.axes[0] is ax
    assert parts[0].width == pytest.approx(2 * parts[1].width)
    assert (parts[0].x0, parts[2].x1) == pytest.approx((before.x0, before.x1))
    assert not boxes_overlap(parts[0], parts[1])
    assert not boxes_overlap(parts[1], parts[2])


def test_room_is_left_only_without_a_layout_engine():
    plain, laid_out = Figure().add_subplot(), Figure(layout="constrained").add_subplot()
    widths = [ax.get_position().width for ax in (plain, laid_out)]
    for ax in (plain, laid_out):
        leave_room(ax, 0.25)
    assert plain.get_position().width == pytest.approx(0.75 * widths[0])
    assert laid_out.get_position().width == widths[1]


def test_axes_are_made_only_where_none_are_given():
    import matplotlib.pyplot as plt

    given = Figure().subplots()
    assert drawn_axes(given, (3, 2)) is given
    assert plt.get_fignums() == []
    made = drawn_axes(None, (3, 2))
    try:
        assert plt.fignum_exists(made.figure.number)
        assert made.figure.get_size_inches().tolist() == [3, 2]
    finally:
        plt.close(made.figure)
