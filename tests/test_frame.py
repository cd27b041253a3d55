from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from roitrace.errors import AlignmentError, ArgumentError, LazyInputError
from roitrace.frame import Frame, frame_of, image_values


def grid(height=6, width=8, *, y=0.0, x=0.0, step=0.5, units="micrometer") -> Frame:
    return Frame((height, width), y + np.arange(height) * step, x + np.arange(width) * step, units)


def test_a_frame_without_labels_counts_pixels():
    frame = Frame((2, 3))
    assert not frame.labelled
    assert frame.pixel_size is None
    assert frame.coords() == {}
    assert [axis.tolist() for axis in frame.centres] == [[0.0, 1.0], [0.0, 1.0, 2.0]]
    assert frame.image(np.zeros((2, 3))).coords.to_dataset().sizes == {}


def test_a_labelled_frame_knows_its_pixels():
    frame = grid(step=0.5)
    assert frame.pixel_size == (0.5, 0.5)
    assert grid(units="1").pixel_size is None
    assert Frame((1, 8), np.zeros(1), np.arange(8.0), "micrometer").pixel_size is None
    image = frame.image(np.ones((6, 8)), "mask", made_by="hand")
    assert image.name == "mask"
    assert image.attrs == {"made_by": "hand"}
    assert image["y"].attrs["units"] == "micrometer"
    assert frame_of(image).same_as(frame)


def test_the_frame_of_anything():
    assert frame_of(np.zeros((4, 5))).shape == (4, 5)
    assert frame_of([[1, 2, 3]]).shape == (1, 3)
    assert frame_of(np.zeros((9, 4, 5))).shape == (4, 5)
    assert frame_of(xr.DataArray(np.zeros((5, 4, 9)), dims=("x", "y", "time"))).shape == (4, 5)
    half = xr.DataArray(np.zeros((4, 5)), dims=("y", "x"), coords={"y": np.arange(4.0)})
    assert not frame_of(half).labelled
    assert frame_of(grid().image(np.zeros((6, 8)))).units == "micrometer"
    with pytest.raises(ArgumentError, match=r"an array of shape \(4,\) has no y and x axes"):
        frame_of(np.zeros(4))
    with pytest.raises(ArgumentError, match=r"dims are \('row', 'col'\), expected y and x"):
        frame_of(xr.DataArray(np.zeros((4, 5)), dims=("row", "col")))


def test_the_same_grid():
    assert grid().same_as(grid())
    assert grid().same_as(Frame((6, 8)))
    assert Frame((6, 8)).same_as(grid())
    assert not grid().same_as(Frame((8, 6)))
    assert not grid().same_as(grid(units="1"))
    assert not grid().same_as(grid(y=1e-9))
    assert not grid().same_as(grid(x=0.5))


def test_where_a_crop_begins():
    whole = grid(20, 30)
    crop = Frame((5, 6), whole.y[3:8], whole.x[10:16], "micrometer")
    assert crop.origin_in(whole, this="the crop", that="the whole") == (3, 10)
    assert whole.origin_in(whole, this="a", that="b") == (0, 0)
    assert Frame((20, 30)).origin_in(whole, this="a", that="b") == (0, 0)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            grid(5, 5, y=100),
            r"the mask has y from 100 to 102 \(5 pixels\), the recording from 0 to 9.5 \(20 pixels\)",
        ),
        (grid(5, 5, x=0.25), "the mask has x from 0.25 to 2.25"),
        (grid(5, 5, step=1.0), "no exact part of the second; take both from the same frame"),
        (grid(25, 5), "the mask has y"),
        (grid(5, 5, y=-0.5), "the mask has y"),
        (
            grid(5, 5, units="1"),
            "the mask has y and x in pixels, the recording in micrometer; give both the same pixel size",
        ),
        (
            Frame((5, 5)),
            "the mask is 5 x 5 pixels, the recording 20 x 30 pixels, and they carry no coordinates",
        ),
    ],
)
def test_frames_that_do_not_line_up(part, message):
    with pytest.raises(AlignmentError, match=message):
        part.origin_in(grid(20, 30), this="the mask", that="the recording")


def test_image_values_are_those_of_images_in_memory():
    values = np.arange(6).reshape(2, 3)
    image = xr.DataArray(values, dims=("y", "x"))
    assert image_values(image) is not None
    np.testing.assert_array_equal(image_values(image), values)
    np.testing.assert_array_equal(image_values(values.tolist()), values)
    with pytest.raises(
        LazyInputError, match=r"the mask is lazy: .* call \.compute\(\) on it first \(48 bytes\)"
    ):
        image_values(image.chunk(), "the mask")
    with pytest.raises(LazyInputError, match="is lazy"):
        image_values(image.chunk().data)
    with pytest.raises(ArgumentError, match=r"has dims \('x', 'y'\), expected \('y', 'x'\)"):
        image_values(image.T)
    with pytest.raises(ArgumentError, match=r"has shape \(6,\), expected two axes"):
        image_values(values.ravel())
