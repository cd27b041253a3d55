from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.ndimage
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import roitrace as rt
from roitrace.errors import AlignmentError, ArgumentError, LazyInputError
from roitrace.frame import Frame
from roitrace.rois import Rois
from roitrace.transfer import transfer
from tests.shared_data import DATA, needs_data
from tests.strategies import roi_sets

SHAPE = (80, 96)


def place(seed=0):
    """A scene that is larger than what a recording shows of it."""
    random = np.random.default_rng(seed)
    cells = np.zeros((120, 136))
    cells[tuple(random.integers(0, side, 400) for side in cells.shape)] = random.uniform(1, 3, 400)
    return 100 + 800 * scipy.ndimage.gaussian_filter(cells, 2.5), cells


def recordings(down, right, noise=1.0):
    """Two views of the scene: what is at (y, x) in the first is at (y + down, x + right) in the second."""
    scene, _ = place()
    random = np.random.default_rng(1)
    views = (scene[20:100, 20:116], scene[20 - down : 100 - down, 20 - right : 116 - right])
    return [view + random.normal(0, noise, SHAPE) for view in views]


def some_rois():
    centres = ((20, 20), (40, 60), (70, 85), (3, 3))
    rows, columns = np.indices(SHAPE)
    masks = np.stack([np.hypot(rows - y, columns - x) <= 5 for y, x in centres])
    return Rois.from_masks(masks, names=["a", "b", "c", "d"]).reject("b", "dim")


@settings(max_examples=25, deadline=None)
@given(st.integers(-18, 18), st.integers(-18, 18), st.floats(0.1, 10.0), st.floats(-50, 50))
def test_the_offset_is_found_whatever_gain_and_level(down, right, gain, level):
    before, after = recordings(down, right)
    after = gain * after + level
    after[60, 25] = 65535
    moved = transfer(some_rois(), before, after)
    assert moved.offset == (down, right)
    assert moved.table.attrs["offset_px"] == [down, right]
    assert moved.table.attrs["found"] == 1
    assert moved.table.attrs["image_fit"] > 0.5
    fits = moved.table["fit"].values
    assert (fits[np.isfinite(fits)] > 0.6).all()


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(4, 12), st.integers(4, 12), st.integers(-5, 5), st.integers(-5, 5))
def test_rois_move_and_keep_all_else(data, height, width, down, right):
    rois = data.draw(roi_sets((height, width)))
    image = np.random.default_rng(0).normal(size=(height, width))
    moved = transfer(rois, image, image, (down, right)).rois
    for number in range(len(rois)):
        expected = [
            (y + down, x + right)
            for y, x in rois.coordinates(number).to_yx().tolist()
            if 0 <= y + down < height and 0 <= x + right < width
        ]
        assert moved.coordinates(number).to_yx().tolist() == list(map(list, expected))
    assert moved.names == rois.names
    np.testing.assert_array_equal(moved.ids, rois.ids)
    np.testing.assert_array_equal(moved.n_pixels + moved.n_outside, rois.n_pixels + rois.n_outside)
    back = transfer(moved, image, image, (-down, -right)).rois
    inside = moved.n_outside == 0
    assert back.where(inside).equals(rois.where(inside))


def test_flags_reasons_history_and_weights_stay():
    before, after = recordings(3, -2)
    rois = some_rois()
    rois = rois.with_weights(np.arange(1.0, rois.pixels.size + 1))
    moved = transfer(rois, before, after).rois
    assert moved.accepted.tolist() == [True, False, True, True]
    assert moved.reasons[1] == "dim"
    assert moved.history == (
        "rejected b: dim",
        "moved by 3 px down, -2 px right to another recording",
    )
    np.testing.assert_array_equal(moved.row_weights(0), rois.row_weights(0))


def test_those_that_leave_the_frame_are_told():
    before, after = recordings(-8, 0)
    moved = transfer(some_rois(), before, after)
    assert moved.table["outside_fraction"].values.tolist()[:3] == [0, 0, 0]
    assert 0.9 < moved.table["outside_fraction"].values[3] < 1
    assert moved.rois.n_outside[3] == some_rois().n_pixels[3] - moved.rois.n_pixels[3]
    assert "moved by -8 px down, 0 px right" in str(moved)
    assert str(moved).endswith("leaving the frame, all or in part: d")


def test_the_table_shows_which_cell_does_not_fit():
    before, after = recordings(4, 4, noise=0.2)
    shown = after.copy()
    shown[44 - 9 : 44 + 10, 64 - 9 : 64 + 10] = np.random.default_rng(2).normal(110, 10, (19, 19))
    moved = transfer(some_rois(), before, shown)
    fits = moved.table["fit"].values
    assert moved.offset == (4, 4)
    assert abs(fits[1]) < 0.4
    assert (fits[[0, 2]] > 0.9).all()
    assert (moved.table["fit_before"].values[[0, 2]] < fits[[0, 2]]).all()


def test_fit_is_pearson_s_correlation_around_the_roi():
    random = np.random.default_rng(3)
    one, other = random.normal(size=(2, 30, 30))
    other += one
    rois = Rois.from_pixels([[(10, 10), (10, 11)]], shape=(30, 30))
    table = transfer(rois, one, other, (2, 1)).table
    rows, columns = np.indices((30, 30))
    near = np.minimum(np.hypot(rows - 10, columns - 10), np.hypot(rows - 10, columns - 11)) <= 3
    y, x = np.nonzero(near)
    expected = np.corrcoef(one[y, x], other[y + 2, x + 1])[0, 1]
    assert float(table["fit"][0]) == pytest.approx(expected)
    assert float(table["fit_before"][0]) == pytest.approx(np.corrcoef(one[y, x], other[y, x])[0, 1])


def test_frames_may_differ_in_size_and_have_coordinates():
    before, after = recordings(5, 7)
    frames = [Frame(SHAPE, np.arange(80) * 1.5, np.arange(96) * 1.5, "micrometer")]
    frames.append(Frame((70, 96), 30 + np.arange(70) * 1.5, np.arange(96) * 1.5, "micrometer"))
    labelled = [frames[0].image(before), frames[1].image(after[:70])]
    rois = Rois.from_pixels([[(20, 20)], [(69, 5)]], frame=frames[0])
    moved = transfer(rois, *labelled)
    assert moved.offset == (5, 7)
    assert moved.rois.frame.same_as(frames[1])
    assert moved.rois.n_pixels.tolist() == [1, 0]


def test_images_of_different_places_are_told():
    before, _ = recordings(0, 0)
    elsewhere = np.random.default_rng(9).normal(size=SHAPE)
    question = "do they show the same place?"
    assert question in str(transfer(some_rois(), before, elsewhere))
    assert question not in str(transfer(some_rois(), before, before))
    assert question in str(transfer(some_rois(), before, np.ones(SHAPE), (0, 0)))


def test_missing_pixels_do_not_matter():
    before, after = recordings(-3, 2)
    before[:, :6] = np.nan
    after[10:14] = np.nan
    assert transfer(some_rois(), before, after).offset == (-3, 2)


@pytest.mark.parametrize(
    ("offset", "message"),
    [((1.5, 2), "two whole numbers of pixels"), (3, "two whole numbers"), (("a", "b"), "two whole numbers")],
)
def test_offsets_that_are_refused(offset, message):
    before, after = recordings(0, 0)
    with pytest.raises(ArgumentError, match=message):
        transfer(some_rois(), before, after, offset)


def test_what_does_not_fit_is_refused():
    before, after = recordings(0, 0)
    rois = some_rois()
    with pytest.raises(AlignmentError, match="the ROIs lie on 80 x 96 pixels, from_image has 79 x 96"):
        transfer(rois, before[1:], after)
    with pytest.raises(LazyInputError, match="to_image is lazy"):
        transfer(rois, before, xr.DataArray(after, dims=("y", "x")).chunk())
    with pytest.raises(ArgumentError, match="an image is flat"):
        transfer(rois, before, np.ones(SHAPE))
    small = Rois.from_pixels([[(0, 0)]], shape=(5, 5))
    with pytest.raises(ArgumentError, match="share 5 x 5 pixels, too few"):
        transfer(small, before[:5, :5], after)
    sizes = [Frame(SHAPE, np.arange(80) * s, np.arange(96) * s, "micrometer") for s in (1.0, 1.2)]
    with pytest.raises(AlignmentError, match=r"1 x 1 um, one of to_image 1.2 x 1.2 um"):
        transfer(rois.within(Frame(SHAPE)), sizes[0].image(before), sizes[1].image(after))


@needs_data
def test_halves_of_a_real_recording_that_was_moved():
    folder = DATA / "neurofinder_neuhof"
    movie = rt.open_recording(folder / "movie_600x240x240_u16.tif").compute().values.astype(float)
    regions = json.loads((folder / "regions_crop.json").read_text())
    cells = [np.array(region["coordinates"]) for region in regions]
    before, after = movie[:300, :220, :225].mean(axis=0), movie[300:, 13:233, 7:232].mean(axis=0)
    inside = [one for one in cells if (one < (220, 225)).all()]
    moved = transfer(Rois.from_pixels(inside, shape=before.shape), before, after)
    assert moved.offset == (-13, -7)
    assert float(moved.table["fit"].median()) > 0.9
    assert float(moved.table["fit"].median()) > float(moved.table["fit_before"].median()) + 0.3
