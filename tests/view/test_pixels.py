from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from roitrace.errors import ArgumentError
from roitrace.view.pixels import plot_pixels
from tests.view.drawing import draw, heading


@pytest.fixture
def matrix():
    values = np.random.default_rng(0).integers(0, 1000, (5, 40)).astype(np.uint16)
    return xr.DataArray(
        values,
        dims=("pixel", "time"),
        coords={
            "roi": ("pixel", ["a", "a", "b", "b", "b"]),
            "time": ("time", np.arange(40) / 4, {"units": "s"}),
        },
        name="pixels",
        attrs={"units": "count"},
    )


def test_the_matrix_of_one_roi_in_seconds_and_counts(ax, matrix):
    plot_pixels(matrix, roi="b", ax=ax)
    draw(ax)
    np.testing.assert_array_equal(ax.images[0].get_array(), matrix[2:])
    assert ax.images[0].get_extent() == [-0.125, 9.875, 2.5, -0.5]
    assert ax.get_xlim() == (-0.125, 9.875)
    assert (ax.get_xlabel(), heading(ax)) == ("time (s)", "ROI b: 3 pixels")
    assert ax.child_axes[0].get_ylabel() == "fluorescence (counts)"


def test_frames_where_no_time_is_known(ax, matrix):
    plot_pixels(matrix.drop_vars("time"), roi=0, ax=ax)
    assert ax.get_xlabel() == "frame"
    assert ax.images[0].get_extent() == [-0.5, 39.5, 1.5, -0.5]


def test_frames_where_the_recording_has_a_gap(ax, matrix):
    gap = matrix.isel(time=[0, 1, 2, 3, 30, 31])
    plot_pixels(gap, roi="a", ax=ax)
    assert ax.get_xlabel() == "frame"
    assert ax.images[0].get_extent() == [-0.5, 5.5, 1.5, -0.5]


@pytest.mark.parametrize("lazy", [False, True])
def test_long_recordings_show_means_of_frames(ax, lazy):
    values = np.random.default_rng(0).normal(size=(2, 4001))
    values[0, :6] = np.nan
    matrix = xr.DataArray(values, dims=("pixel", "time"))
    plot_pixels(matrix.chunk(time=1000) if lazy else matrix, ax=ax)
    shown = draw(ax).images[0].get_array()
    assert shown.shape == (2, 1334)
    np.testing.assert_allclose(shown[1, 0], values[1, :3].mean())
    np.testing.assert_allclose(shown[1, -1], values[1, 3999:].mean())
    assert shown.mask[0, :2].all()
    assert not shown.mask[0, 2]
    assert ax.get_xlabel() == "frame, means of 3 frames"
    assert ax.get_xlim() == (-0.5, 4000.5)
    assert ax.images[0].get_extent()[1] == 1334 * 3 - 0.5


def test_only_the_pixels_drawn_are_computed(ax, matrix):
    def refuse(_block):
        raise AssertionError

    bad = xr.apply_ufunc(refuse, matrix[2:].chunk(), dask="parallelized", output_dtypes=[matrix.dtype])
    lazy = xr.concat([matrix[:2].chunk(), bad], "pixel")
    plot_pixels(lazy, roi="a", ax=ax)
    np.testing.assert_array_equal(ax.images[0].get_array(), matrix[:2])
    with pytest.raises(AssertionError):
        plot_pixels(lazy, roi="b", ax=ax)


@pytest.mark.parametrize("value", [3.0, np.nan])
def test_one_pixel_and_one_frame(ax, value):
    plot_pixels(xr.DataArray([[value]], dims=("pixel", "time")), ax=ax)
    assert heading(draw(ax)) == "1 pixel"


def test_names_are_drawn_as_written(ax, matrix):
    plot_pixels(matrix[:2].assign_coords(roi=("pixel", ["$x", "$x"])), ax=ax)
    assert heading(draw(ax)) == "ROI $x: 2 pixels"


def test_what_is_not_there_is_refused(ax, matrix):
    with pytest.raises(ArgumentError, match="pixels of 2 ROIs; choose one with roi=, for example roi='a'"):
        plot_pixels(matrix, ax=ax)
    with pytest.raises(ArgumentError, match="no ROI is named 'z'; names are a, b"):
        plot_pixels(matrix, roi="z", ax=ax)
    with pytest.raises(ArgumentError, match="do not say which ROI"):
        plot_pixels(matrix.drop_vars("roi"), roi="a", ax=ax)
    with pytest.raises(ArgumentError, match=r"dims of the pixel traces are \('roi', 'time'\)"):
        plot_pixels(matrix.drop_vars("roi").rename(pixel="roi"), ax=ax)
    with pytest.raises(ArgumentError, match="0 pixels and 40 frames"):
        plot_pixels(matrix[:0], ax=ax)
    with pytest.raises(ArgumentError, match="5 pixels and 0 frames"):
        plot_pixels(matrix[:, :0].drop_vars("roi"), ax=ax)
    assert not ax.has_data()


@pytest.mark.parametrize("lazy", [False, True])
def test_large_rois_show_means_of_pixels(ax, lazy):
    values = np.random.default_rng(0).normal(size=(4001, 3))
    matrix = xr.DataArray(values, dims=("pixel", "time"), coords={"roi": ("pixel", ["a"] * 4001)})
    plot_pixels(matrix.chunk(time=2) if lazy else matrix, ax=ax)
    shown = draw(ax).images[0].get_array()
    assert shown.shape == (1334, 3)
    np.testing.assert_allclose(shown[0], values[:3].mean(axis=0))
    np.testing.assert_allclose(shown[-1], values[3999:].mean(axis=0))
    assert ax.get_ylabel() == "pixel, row by row, means of 3"
    assert ax.get_ylim() == (4000.5, -0.5)
    assert ax.get_title(loc="left") == "ROI a: 4,001 pixels"
