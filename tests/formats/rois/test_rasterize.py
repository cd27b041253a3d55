from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.errors import FormatError
from roitrace.formats.rois import rasterize
from roitrace.formats.rois.outline import pixel_outlines
from roitrace.formats.rois.rasterize import (
    oval_pixels,
    polygon_pixels,
    rectangle_pixels,
    rounded_rectangle_pixels,
)

corner = st.tuples(st.integers(-3, 12), st.integers(-3, 12))
sub_pixel = st.tuples(st.floats(-3, 12, width=16), st.floats(-3, 12, width=16))


def inside(loops, x, y):
    """Even-odd test of one point, edge by edge; lower edge ends belong to the edge, upper ones do not."""
    odd = False
    for loop in loops:
        for (x1, y1), (x2, y2) in zip(loop, [*loop[1:], loop[0]], strict=True):
            if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
                odd = not odd
    return odd


def by_definition(loops):
    """Pixels (x, y) whose point (x + 0.5 - eps, y + 0.5) is inside."""
    return [[y, x] for y in range(-6, 16) for x in range(-6, 16) if inside(loops, x + 0.5 - 1e-8, y + 0.5)]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.lists(corner, min_size=3, max_size=7) | st.lists(sub_pixel, min_size=3, max_size=7),
        min_size=1,
        max_size=3,
    )
)
def test_polygons_by_definition(loops):
    pixels = polygon_pixels([np.array(loop) for loop in loops])
    assert pixels.dtype == np.int64
    assert pixels.tolist() == by_definition(loops)


@settings(max_examples=50, deadline=None)
@given(st.integers(-4, 4), st.integers(-4, 4), st.integers(0, 11), st.integers(0, 11))
def test_boxes_by_definition(left, top, width, height):
    grid = [(y, x) for y in range(top, top + height) for x in range(left, left + width)]
    assert rectangle_pixels(left, top, width, height).tolist() == [list(pixel) for pixel in grid]
    a, b = width / 2, height / 2
    oval = [[y, x] for y, x in grid if ((x + 0.5 - left - a) / a) ** 2 + ((y + 0.5 - top - b) / b) ** 2 <= 1]
    assert oval_pixels(left, top, width, height).tolist() == oval


def test_rounded_corners():
    whole = rounded_rectangle_pixels(0, 0, 10, 6, 0 + 1)
    assert len(whole) == 60
    rounded = {tuple(pixel) for pixel in rounded_rectangle_pixels(2, 3, 10, 6, 4).tolist()}
    missing = {tuple(pixel) for pixel in rectangle_pixels(2, 3, 10, 6).tolist()} - rounded
    assert missing == {(3, 2), (3, 11), (8, 2), (8, 11)}
    assert rounded_rectangle_pixels(2, 3, 7, 6, 100).tolist() == oval_pixels(2, 3, 7, 6).tolist()


@settings(max_examples=50, deadline=None)
@given(st.sets(st.tuples(st.integers(-2, 5), st.integers(-2, 5)), max_size=40))
def test_outlines_enclose_exactly_their_pixels(pixels):
    yx = np.array(sorted(pixels), dtype=np.int64).reshape(-1, 2)
    loops = pixel_outlines(yx)
    assert polygon_pixels(loops).tolist() == yx.tolist()
    for loop in loops:
        steps = np.roll(loop, -1, axis=0) - loop
        assert ((steps == 0).sum(axis=1) == 1).all()  # along x or along y
        assert ((steps[:, 0] == 0) != (np.roll(steps, 1, axis=0)[:, 0] == 0)).all()  # every corner turns


def test_parts_that_touch_at_a_corner_stay_apart():
    assert [loop.tolist() for loop in pixel_outlines(np.array([[0, 0], [1, 1]]))] == [
        [[0, 0], [1, 0], [1, 1], [0, 1]],
        [[1, 1], [2, 1], [2, 2], [1, 2]],
    ]
    ring = np.argwhere(np.pad(np.zeros((1, 1)), 1, constant_values=1))
    assert [loop.tolist() for loop in pixel_outlines(ring)] == [
        [[0, 0], [3, 0], [3, 3], [0, 3]],
        [[1, 1], [1, 2], [2, 2], [2, 1]],
    ]


def test_unreasonable_sizes_are_refused(monkeypatch):
    monkeypatch.setattr(rasterize, "MAX_PIXELS", 100)
    square = np.array([[0, 0], [11, 0], [11, 11], [0, 11]])
    for shape in (
        lambda: polygon_pixels([square]),
        lambda: oval_pixels(0, 0, 11, 11),
        lambda: rectangle_pixels(0, 0, 11, 11),
    ):
        with pytest.raises(FormatError, match="a ROI claims 121 pixels"):
            shape()
