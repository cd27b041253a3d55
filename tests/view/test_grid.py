from __future__ import annotations

import numpy as np
import pytest

from roitrace.errors import AlignmentError
from roitrace.frame import Frame
from roitrace.view.grid import draw_colour_bar, draw_image, finish_grid_axes, points_per_pixel
from roitrace.view.pixel_grid import PixelGrid, require_same_frame
from tests.view.drawing import draw, texts


def micrometres(y, x):
    return Frame((len(y), len(x)), np.asarray(y, dtype=float), np.asarray(x, dtype=float), "micrometer")


def test_extent_reaches_the_outer_pixel_edges():
    grid = PixelGrid.of(micrometres([10, 12, 14], [0, 1, 2, 3]))
    assert grid.extent == (-0.5, 3.5, 15, 9)
    assert grid.unit == "µm"


def test_an_unlabelled_frame_is_drawn_in_pixels():
    grid = PixelGrid.of(Frame((2, 3)))
    assert (grid.extent, grid.unit) == ((-0.5, 2.5, 1.5, -0.5), "pixels")


def test_pixel_coordinates_of_a_crop_are_kept():
    grid = PixelGrid.of(Frame((2, 2), np.array([5.0, 6.0]), np.array([7.0, 8.0])))
    assert (grid.extent, grid.unit) == ((6.5, 8.5, 6.5, 4.5), "pixels")


def test_unevenly_spaced_rows_are_drawn_by_index():
    grid = PixelGrid.of(micrometres([0, 1, 5], [0, 1]))
    assert (grid.extent, grid.unit) == ((-0.5, 1.5, 2.5, -0.5), "pixels")


def test_a_single_row_has_square_pixels():
    assert PixelGrid.of(micrometres([3], [0, 2, 4])).extent == (-1, 5, 4, 2)
    assert PixelGrid.of(micrometres([3], [1])).extent == (0.5, 1.5, 3.5, 2.5)


def test_a_window_lies_where_it_was_cut_out():
    grid = PixelGrid.of(micrometres([10, 12, 14], [0, 1, 2, 3]))
    assert grid.window(slice(1, 3), slice(2, 4)).extent == (1.5, 3.5, 15, 11)
    assert grid.place(np.array([[2.0, 1.0]])).tolist() == [[2.0, 12.0]]


@pytest.mark.parametrize(("scale_bar", "shown", "label"), [(True, ["1 µm"], ""), (False, [], "x (µm)")])
def test_axes_show_a_scale_bar_or_labels(ax, scale_bar, shown, label):
    finish_grid_axes(ax, PixelGrid.of(micrometres(range(6), range(6))), scale_bar=scale_bar)
    assert texts(draw(ax)) == shown
    assert ax.get_xlabel() == label
    assert ax.get_ylim() == (5.5, -0.5)


def test_without_a_pixel_size_there_is_no_scale_bar(ax):
    finish_grid_axes(ax, PixelGrid.of(Frame((4, 4))), scale_bar=True)
    assert (ax.get_xlabel(), ax.get_ylabel(), texts(ax)) == ("x (pixels)", "y (pixels)", [])


def test_points_per_pixel_of_the_side_that_binds(ax):
    figure = ax.figure
    figure.set_layout_engine(None)
    ax.set_position((0, 0, 1, 1))  # 8 x 6 inches
    assert points_per_pixel(ax, PixelGrid.of(Frame((6, 80)))) == pytest.approx(7.2)
    assert points_per_pixel(ax, PixelGrid.of(Frame((60, 8)))) == pytest.approx(7.2)
    assert points_per_pixel(ax, PixelGrid.of(Frame((0, 8)))) == 1.0


@pytest.mark.parametrize(
    ("limits", "extend"), [((0, 9), "neither"), ((1, 9), "min"), ((0, 8), "max"), ((1, 8), "both")]
)
def test_colour_bar_says_where_values_lie_beyond_it(ax, limits, extend):
    values = np.append(np.arange(10.0), [np.nan, 5.0]).reshape(3, 4)
    bar = draw_colour_bar(ax, draw_image(ax, values, PixelGrid.of(Frame((3, 4))), limits=limits), "counts")
    assert (bar.extend, bar.ax.get_ylabel()) == (extend, "counts")


def test_images_are_embedded_pixel_by_pixel_up_to_a_size(ax):
    small, large = np.zeros((4, 4)), np.zeros((1025, 4))
    shown = [draw_image(ax, values, PixelGrid.of(Frame(values.shape))) for values in (small, large)]
    assert [image.get_interpolation() for image in shown] == ["none", "auto"]


def test_other_frames_are_refused():
    with pytest.raises(AlignmentError, match="the mask is 2 x 3 pixels, the image 3 x 2"):
        require_same_frame(Frame((2, 3)), Frame((3, 2)), "the mask", "the image")
