from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from matplotlib.path import Path

from roitrace.frame import Frame
from roitrace.rois import Rois
from roitrace.view.edges import trace_outlines
from roitrace.view.outlines import outline_width, paths_of_rois
from roitrace.view.pixel_grid import PixelGrid

stacks = npst.arrays(np.bool_, st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)))


def unit_edges(corners):
    """Directed unit steps around a closed loop of corners."""
    steps = []
    for begin, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = int(np.abs(end - begin).sum())
        step = (end - begin) / length
        steps += [(*(begin + n * step), *(begin + (n + 1) * step)) for n in range(length)]
    return steps


def expected_edges(mask):
    """Every side of a pixel that has no neighbour, clockwise on screen."""
    padded = np.pad(mask, 1)
    edges = set()
    for y, x in np.argwhere(mask):
        sides = {
            (0, 1): (x - 0.5, y - 0.5, x + 0.5, y - 0.5),
            (1, 2): (x + 0.5, y - 0.5, x + 0.5, y + 0.5),
            (2, 1): (x + 0.5, y + 0.5, x - 0.5, y + 0.5),
            (1, 0): (x - 0.5, y + 0.5, x - 0.5, y - 0.5),
        }
        edges |= {side for (dy, dx), side in sides.items() if not padded[y + dy, x + dx]}
    return edges


@given(stacks)
@settings(max_examples=50, deadline=None)
def test_outlines_are_the_pixel_edges_each_once_and_enclose_the_pixels(masks):
    rois = Rois.from_masks(masks)
    outlines = trace_outlines(rois.indptr, rois.pixels, rois.shape)
    assert np.all(np.diff(outlines.rows) >= 0)
    for number, mask in enumerate(masks):
        loops = [
            outlines.vertices[outlines.indptr[i] : outlines.indptr[i + 1]]
            for i in np.flatnonzero(outlines.rows == number)
        ]
        edges = [edge for loop in loops for edge in unit_edges(loop)]
        assert len(edges) == len(set(edges))
        assert set(edges) == expected_edges(mask)
        enclosed = sum(
            np.sum(loop[:, 0] * np.roll(loop[:, 1], -1) - np.roll(loop[:, 0], -1) * loop[:, 1]) / 2
            for loop in loops
        )
        assert enclosed == mask.sum()
        for loop in loops:
            turns = np.roll(loop, -1, axis=0) - loop
            assert np.all((turns != 0).any(axis=1))
            assert np.all((turns * np.roll(turns, 1, axis=0)).sum(axis=1) == 0)  # a corner at every vertex


def test_pixels_that_touch_at_a_corner_have_their_own_loops():
    outlines = trace_outlines(np.array([0, 2]), np.array([0, 3]), (2, 2))
    assert np.diff(outlines.indptr).tolist() == [4, 4]


def test_no_roi_and_an_empty_roi_have_no_loops():
    for indptr in ([0], [0, 0, 0]):
        outlines = trace_outlines(np.array(indptr), np.zeros(0, dtype=np.int64), (3, 3))
        assert outlines.vertices.shape == (0, 2)
        paths = paths_of_rois(outlines, PixelGrid.of(Frame((3, 3))), len(indptr) - 1)
        assert [len(path.vertices) for path in paths] == [0] * (len(indptr) - 1)


def test_a_ring_is_one_path_with_a_hole_in_data_units():
    ring = np.ones((3, 3), dtype=bool)
    ring[1, 1] = False
    rois = Rois.from_mask(ring)
    grid = PixelGrid((3, 3), origin=(10.0, 20.0), step=(2.0, 4.0), unit="µm")
    (path,) = paths_of_rois(trace_outlines(rois.indptr, rois.pixels, rois.shape), grid, 1)
    assert path.codes.tolist() == ([Path.MOVETO] + [Path.LINETO] * 3 + [Path.CLOSEPOLY]) * 2
    assert path.vertices[:4].tolist() == [[18, 9], [30, 9], [30, 15], [18, 15]]
    assert path.vertices[5:9].tolist() == [[22, 11], [22, 13], [26, 13], [26, 11]]


@pytest.mark.parametrize(("pixel", "width"), [(0.1, 0.3), (1.0, 0.7), (30.0, 1.1)])
def test_outlines_are_thin_where_pixels_are_small(pixel, width):
    assert outline_width(pixel) == width
