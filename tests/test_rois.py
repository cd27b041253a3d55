from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.errors import AlignmentError, ArgumentError, LazyInputError
from roitrace.frame import Frame
from roitrace.rois import Rois, as_rois
from tests.strategies import roi_pixels, roi_sets

FRAME = (7, 9)
LABELS = np.array([[5, 5, 0], [0, 2, 2], [9, 0, 2]])


def flat(pixels, width):
    return [sorted((row[:, 0] * width + row[:, 1]).tolist()) for row in pixels]


def rows_of(rois):
    return [rois.row(number).tolist() for number in range(len(rois))]


# -- made from ----------------------------------------------------------------------------------------------------


def test_a_mask_is_one_roi():
    mask = np.zeros(FRAME, bool)
    mask[1, 2] = mask[3, 4:6] = True
    rois = Rois.from_mask(mask, name="soma")
    assert rows_of(rois) == [[11, 31, 32]]
    assert (rois.names, rois.ids.tolist(), rois.shape) == (("soma",), [1], FRAME)
    assert Rois.from_mask(mask).names == ("1",)
    assert Rois.from_mask(np.zeros(FRAME, bool)).n_pixels.tolist() == [0]
    with pytest.raises(ArgumentError, match="the mask has dtype int64, expected bool"):
        Rois.from_mask(mask.astype(int))


def test_a_label_image_is_one_roi_per_value():
    rois = Rois.from_labels(LABELS)
    assert rois.ids.tolist() == [2, 5, 9]
    assert rois.names == ("2", "5", "9")
    assert rows_of(rois) == [[4, 5, 8], [0, 1], [6]]
    assert len(Rois.from_labels(np.zeros(FRAME, np.uint8))) == 0
    with pytest.raises(ArgumentError, match="dtype float64, expected integers"):
        Rois.from_labels(LABELS.astype(float))
    with pytest.raises(ArgumentError, match="the label image holds -1"):
        Rois.from_labels(LABELS - 1)
    with pytest.raises(LazyInputError):
        Rois.from_labels(xr.DataArray(LABELS, dims=("y", "x")).chunk())


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 9), st.integers(1, 9))
def test_pixels_in_any_order_become_rows_and_images_and_rows_again(data, height, width):
    pixels = data.draw(roi_pixels((height, width)))
    rois = Rois.from_pixels(pixels, shape=(height, width))
    assert rows_of(rois) == flat(pixels, width)
    assert rois.n_pixels.tolist() == [len(row) for row in pixels]
    masks = rois.to_masks()
    assert masks.dtype == bool
    assert Rois.from_masks(masks).equals(rois)
    np.testing.assert_array_equal(rois.to_mask(), masks.any("roi"))
    for number, row in enumerate(pixels):
        yx = rois.coordinates(number).to_yx()
        assert sorted(map(tuple, row.tolist())) == list(map(tuple, yx.tolist()))
        np.testing.assert_array_equal(rois.coordinates(number).to_xy(), yx[:, ::-1])


def test_masks_may_hold_weights_and_names():
    masks = xr.DataArray(np.zeros((2, *FRAME)), dims=("cell", "y", "x"), coords={"cell": ["a", "b"]})
    masks[0, 1, 1:3] = [0.5, 2.0]
    masks[1, 1, 2] = 1.0
    rois = Rois.from_masks(masks)
    assert rois.names == ("a", "b")
    assert rois.weights.tolist() == [0.5, 2.0, 1.0]
    assert Rois.from_masks(masks, names=["x", "y"]).names == ("x", "y")
    np.testing.assert_array_equal(rois.to_masks().values, masks.values)


@pytest.mark.parametrize(
    ("masks", "error", "message"),
    [
        (np.ones(FRAME, bool), ArgumentError, r"shape \(7, 9\), expected \(roi, y, x\)"),
        (
            xr.DataArray(np.ones((2, 9, 7), bool), dims=("roi", "x", "y")),
            ArgumentError,
            r"dims \('roi', 'x', 'y'\), expected \(roi, y, x\)",
        ),
        (
            xr.DataArray(np.ones((2, 7, 9), bool), dims=("roi", "y", "x")).chunk(),
            LazyInputError,
            "the masks are lazy",
        ),
        (-np.ones((1, 7, 9)), ArgumentError, "weights of 1 hold negative"),
        (np.full((1, 7, 9), np.nan), ArgumentError, "weights of 1 hold negative, infinite or NaN"),
    ],
)
def test_masks_that_are_refused(masks, error, message):
    with pytest.raises(error, match=message):
        Rois.from_masks(masks)


def test_weights_follow_their_pixels():
    pixels = [[[3, 1], [0, 2], [1, 1]], [[0, 2]]]
    rois = Rois.from_pixels(pixels, shape=FRAME, weights=[[3.0, 1.0, 2.0], [9.0]])
    assert rois.row_weights(0).tolist() == [1.0, 2.0, 3.0]
    coordinates = rois.coordinates("1")
    assert coordinates["y_index"].values.tolist() == [0, 1, 3]
    assert coordinates["weight"].values.tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ArgumentError, match="these ROIs have no weights; make some"):
        rois.with_weights(None).row_weights(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either shape="),
        ({"shape": FRAME, "frame": Frame(FRAME)}, "give either shape="),
        ({"shape": FRAME, "names": ["a"]}, "2 ROIs but 1 names"),
        ({"shape": FRAME, "names": ["a", "b", "c"]}, "2 ROIs but 3 names"),
        ({"shape": FRAME, "ids": [1]}, "2 ROIs but 1 ids"),
        ({"shape": FRAME, "accepted": [True]}, "2 ROIs but 1 accepted flags"),
        ({"shape": FRAME, "weights": [[1.0, 2.0]]}, "2 ROIs but 1 arrays of weights"),
        ({"shape": FRAME, "weights": [[1.0], [1.0]]}, "ROI number 0 has 2 pixels but weights of shape"),
        ({"shape": FRAME, "weights": [[1.0, -1.0], [1.0]]}, "weights of 1 hold negative"),
        ({"shape": FRAME, "weights": [[0.0, 0.0], [1.0]], "names": ["a", "b"]}, "all weights of a are 0"),
        ({"shape": FRAME, "names": ["a", "a"]}, "two ROIs share the name 'a'"),
        ({"shape": FRAME, "ids": [3, 3]}, "two ROIs share the id 3; make the ids unique"),
        ({"shape": FRAME, "off_frame": "clip"}, "off_frame='clip', expected 'raise' or 'drop'"),
        (
            {"shape": (1, 1)},
            r"ROI number 0 has 2 pixels outside the frame of 1 x 1, the first at y_index 2, x_index 3",
        ),
    ],
)
def test_pixels_that_are_refused_with_their_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        Rois.from_pixels([[[2, 3], [2, 4]], [[0, 0]]], **options)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        ([[[1, 1], [2, 2], [1, 1]]], "ROI number 0 lists the pixel y_index 1, x_index 1 twice"),
        ([[[1.0, 1.0]]], r"float64 with shape \(1, 2\), expected integers \(n, 2\)"),
        ([[[1, 1, 1]]], r"shape \(1, 3\), expected integers"),
        ([[1, 2]], r"shape \(2,\), expected integers"),
        ([[[-1, 0]]], "outside the frame"),
        ([[[0, 9]]], "outside the frame"),
    ],
)
def test_pixels_that_are_refused(pixels, message):
    with pytest.raises(ArgumentError, match=message):
        Rois.from_pixels(pixels, shape=FRAME)


def test_pixels_off_the_frame_are_dropped_and_counted():
    rois = Rois.from_pixels(
        [[[0, 0], [7, 0], [0, -1]], [[9, 9]]], shape=FRAME, weights=[[1.0, 5.0, 6.0], [2.0]], off_frame="drop"
    )
    assert rows_of(rois) == [[0], []]
    assert rois.n_outside.tolist() == [2, 1]
    assert rois.weights.tolist() == [1.0]


def test_a_frame_may_come_from_a_recording():
    recording = xr.DataArray(
        np.zeros((2, *FRAME)),
        dims=("time", "y", "x"),
        coords={"y": np.arange(7) * 0.5, "x": np.arange(9) * 0.5},
    )
    rois = Rois.from_pixels([[[2, 4]]], frame=recording, ids=[7], accepted=[False])
    assert rois.coordinates(0)["y"].item() == 1.0
    assert rois.coordinates(0)["x"].item() == 2.0
    assert (rois.ids.tolist(), rois.accepted.tolist()) == ([7], [False])


def test_anything_that_stands_for_rois():
    rois = Rois.from_labels(LABELS)
    assert as_rois(rois) is rois
    assert len(as_rois(LABELS)) == 3
    assert len(as_rois(LABELS > 0)) == 1
    with pytest.raises(ArgumentError, match="expected two axes"):
        as_rois(np.zeros((2, 3, 4), bool))


# -- shown as -----------------------------------------------------------------------------------------------------


def test_labels_show_ids():
    np.testing.assert_array_equal(Rois.from_labels(LABELS).to_labels(), LABELS)
    shared = Rois.from_pixels([[[0, 0], [0, 1]], [[0, 1], [0, 2]]], shape=(1, 3), ids=[4, 8])
    with pytest.raises(ArgumentError, match="1 pixels belong to several ROIs"):
        shared.to_labels()
    assert shared.to_labels(overlap="first").values.tolist() == [[4, 4, 8]]
    assert shared.to_labels(overlap="last").values.tolist() == [[4, 8, 8]]
    with pytest.raises(ArgumentError, match="overlap='both'"):
        shared.to_labels(overlap="both")
    with pytest.raises(ArgumentError, match="ids start at 0"):
        Rois.from_pixels([[[0, 0]]], shape=(1, 1), ids=[0]).to_labels()


def test_a_summary_in_one_line():
    assert (
        repr(Rois.from_labels(LABELS))
        == "<Rois: 3 of a frame 3 x 3, 2 pixels in the median, 3 accepted, no weights>"
    )
    assert "0 of a frame" in repr(Rois.from_labels(LABELS * 0))


# -- chosen and changed -------------------------------------------------------------------------------------------

THREE = Rois.from_pixels(
    [[[0, 0], [0, 1]], [[0, 1], [0, 2], [3, 3]], [[6, 8]]],
    shape=FRAME,
    names=["a", "b", "c"],
    ids=[10, 20, 30],
    weights=[[1.0, 2.0], [3.0, 4.0, 5.0], [6.0]],
    accepted=[True, False, True],
)


@pytest.mark.parametrize(
    ("key", "names"),
    [
        (0, "a"),
        (-1, "c"),
        (np.int64(1), "b"),
        ("b", "b"),
        (slice(1, None), "bc"),
        (slice(None, None, -1), "cba"),
        (["c", "a"], "ca"),
        ([2, 0], "ca"),
        (np.array([2, 1]), "cb"),
        (("a", -1), "ac"),
        (np.array([True, False, True]), "ac"),
        ([], ""),
    ],
)
def test_rois_are_chosen_by_position_name_or_condition(key, names):
    chosen = THREE[key]
    assert chosen.names == tuple(names)
    for name in names:
        whole = THREE.names.index(name)
        own = chosen.names.index(name)
        assert chosen.row(own).tolist() == THREE.row(whole).tolist()
        assert chosen.row_weights(own).tolist() == THREE.row_weights(whole).tolist()
        assert chosen.ids[own] == THREE.ids[whole]
        assert chosen.accepted[own] == THREE.accepted[whole]


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        (lambda: THREE[3], "there is no ROI at position 3; there are 3"),
        (lambda: THREE[-4], "no ROI at position -4"),
        (lambda: THREE["d"], "no ROI is named 'd'; names are a, b, c"),
        (lambda: THREE[["a", "d"]], "no ROI is named 'd'"),
        (lambda: THREE[["a", "a"]], "ROI a is asked for twice"),
        (lambda: THREE[1.0], "1.0 chooses no ROIs"),
        (lambda: THREE.by_id(11), "no ROI has the id 11; ids are 10, 20, 30"),
        (lambda: THREE.where([1, 0, 1]), r"dtype int64 and shape \(3,\), expected bool"),
        (lambda: THREE.where([True]), r"shape \(1,\), expected bool and \(3,\)"),
        (lambda: THREE.drop("d"), "no ROI is named 'd'"),
        (lambda: THREE.merge(["a"]), "merge needs at least two different ROIs, got a"),
        (lambda: THREE.merge(["a", 0]), "merge needs at least two different ROIs, got a, a"),
        (lambda: THREE.merge(["a", "b"], name="c"), "two ROIs share the name 'c'"),
        (lambda: THREE.with_weights([1.0]), r"\(1,\) weights for 6 pixels"),
        (
            lambda: THREE.with_weights([[1.0, 1.0], [1, 1, np.inf], [1]]),
            "weights of b hold negative, infinite",
        ),
        (lambda: THREE.with_weights(np.array([1.0, 1, 0, 0, 0, 1])), "all weights of b are 0"),
    ],
)
def test_choices_that_are_refused(choose, message):
    with pytest.raises(ArgumentError, match=message):
        choose()


def test_by_id_keeps_the_order_asked_for():
    assert THREE.by_id([30, 10]).names == ("c", "a")
    assert THREE.by_id(20).names == ("b",)


def test_where_and_drop():
    assert THREE.where(THREE.accepted).names == ("a", "c")
    assert THREE.where(xr.DataArray(THREE.n_pixels > 1, dims="roi")).names == ("a", "b")
    assert THREE.drop("b").names == ("a", "c")
    assert THREE.drop([0, -1]).names == ("b",)
    assert len(THREE.drop([])) == 3


def test_iterating_gives_single_rois():
    assert [one.names for one in THREE] == [("a",), ("b",), ("c",)]


def test_merging_counts_shared_pixels_once_and_adds_their_weights():
    merged = THREE.merge(["b", "a"], name="ab")
    assert merged.names == ("ab", "c")
    assert merged.ids.tolist() == [20, 30]  # place, id and flags are those of the first that was named
    assert merged.row(0).tolist() == [0, 1, 2, 30]
    assert merged.row_weights(0).tolist() == [1.0, 5.0, 4.0, 5.0]
    assert merged.accepted.tolist() == [False, True]
    plain = THREE.with_weights(None).merge([0, 2])
    assert (plain.names, plain.weights) == (("a", "b"), None)
    assert plain.row(0).tolist() == [0, 1, 62]


def test_merging_adds_up_what_fell_off_the_frame():
    rois = Rois.from_pixels([[[0, 0], [9, 9]], [[8, 8]], [[1, 1]]], shape=FRAME, off_frame="drop")
    assert rois.merge([0, 1]).n_outside.tolist() == [2, 0]


def test_merging_refuses_a_name_that_is_taken():
    with pytest.raises(ArgumentError, match="two ROIs share the name 'c'"):
        THREE.merge(["a", "b"], name="c")


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(2, 9), st.integers(2, 9))
def test_splitting_divides_the_pixels_and_leaves_the_rest(data, height, width):
    rois = data.draw(roi_sets((height, width)))
    rois = rois.with_weights(None if rois.weights is None else rois.weights + 1)
    numbers = [n for n in range(len(rois)) if rois.n_pixels[n] >= 2]
    if not numbers:
        return
    number = data.draw(st.sampled_from(numbers))
    parts = data.draw(st.integers(2, min(4, int(rois.n_pixels[number]))))
    divided = rois.split(number, parts)
    count = len(divided) - len(rois) + 1
    assert 2 <= count <= parts
    pieces = [divided.row(number + place) for place in range(count)]
    np.testing.assert_array_equal(np.sort(np.concatenate(pieces)), rois.row(number))
    assert all((np.diff(piece) > 0).all() for piece in pieces)
    assert max(piece.size for piece in pieces) == pieces[0].size
    assert (divided.ids[number], divided.names[number]) == (rois.ids[number], rois.names[number])
    assert len(set(divided.ids.tolist())) == len(set(divided.names)) == len(divided)
    others = [n for n in range(len(rois)) if n != number]
    rest = divided[list(rois.names)].drop(rois.names[number])
    assert rest.equals(rois[others])
    if rois.weights is not None:
        masks = divided.to_masks().values
        np.testing.assert_array_equal(
            masks[number : number + count].sum(axis=0), rois.to_masks().values[number]
        )


def test_splitting_along_an_image():
    rois = Rois.from_labels(np.array([[4, 4, 4, 0, 9], [4, 4, 4, 0, 9]])).reject("4", "two cells")
    divided = rois.split("4", np.array([[True, True, False, False, False]] * 2))
    assert divided.names == ("4", "4_2", "9")
    assert divided.ids.tolist() == [4, 10, 9]
    assert rows_of(divided) == [[0, 1, 5, 6], [2, 7], [4, 9]]
    assert divided.reasons == ("two cells", "two cells", "")
    assert divided.accepted.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (1, "1 parts of ROI c, which has 1 pixels; it cannot be split"),
        (np.zeros(FRAME, int), "one value under all of ROI c"),
        (np.zeros(FRAME), "dtype float64"),
        (np.zeros((2, 2), int), r"shape \(2, 2\), expected integers or booleans of \(7, 9\)"),
    ],
)
def test_splits_that_are_refused(parts, message):
    with pytest.raises(ArgumentError, match=message):
        THREE.split("c", parts)
    with pytest.raises(ArgumentError, match="all weights of b_2 are 0"):
        THREE.with_weights([[1, 1], [1, 0, 1], [1]]).split("b", np.arange(63).reshape(FRAME) == 2)
    with pytest.raises(ArgumentError, match="two ROIs share the name 'a_2'"):
        Rois.from_pixels([[[0, 0], [0, 1]], [[1, 1]]], shape=FRAME, names=["a", "a_2"]).split("a")


def test_what_was_done_is_told_and_kept(tmp_path):
    rois = THREE.reject(["a", 2], "too  dim").accept("b").drop("c").split("b").merge(["b", "a"], name="x y")
    assert rois.history == (
        "rejected a, c: too dim",
        "accepted b",
        "left out c",
        "split b into b, b_2",
        "merged b, a into x y",
    )
    assert THREE.where(np.ones(3, bool)).history == ()
    rois.to_dataset().to_netcdf(tmp_path / "rois.nc")
    loaded = Rois.from_dataset(xr.load_dataset(tmp_path / "rois.nc"))
    assert loaded.history == rois.history
    assert loaded.equals(rois)
    assert "history" not in loaded.attrs


def test_accept_and_reject_leave_a_reason():
    judged = THREE.reject(["a", 2], "too dim").accept("b")
    assert judged.accepted.tolist() == [False, True, False]
    assert judged.reasons == ("too dim", "", "too dim")
    assert THREE.accepted.tolist() == [True, False, True]


def test_weights_may_be_flat_or_per_roi():
    flat_weights = np.arange(1.0, 7)
    assert THREE.with_weights(flat_weights).equals(THREE)
    assert THREE.with_weights([[1, 2], [3, 4, 5], [6]]).equals(THREE)
    assert THREE.with_weights(None).weights is None


# -- on another frame ---------------------------------------------------------------------------------------------


def labelled_frame(shape, y=0.0, x=0.0):
    return Frame(shape, y + np.arange(shape[0]) * 0.5, x + np.arange(shape[1]) * 0.5, "micrometer")


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 9), st.integers(1, 9))
def test_a_crop_keeps_what_is_inside(data, height, width):
    rois = data.draw(roi_sets((height, width)))
    whole = Rois.from_pixels(
        [rois.coordinates(number).to_yx() for number in range(len(rois))],
        frame=labelled_frame((height, width)),
        weights=None if rois.weights is None else [rois.row_weights(number) for number in range(len(rois))],
    )
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    size = data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    crop = whole.within(labelled_frame(size, top * 0.5, left * 0.5))
    inside = (slice(None), slice(top, top + size[0]), slice(left, left + size[1]))
    np.testing.assert_array_equal(crop.to_masks().values, whole.to_masks().values[inside])
    np.testing.assert_array_equal(crop.n_outside, whole.n_pixels - crop.n_pixels)
    assert crop.names == whole.names
    assert crop.frame.shape == size


def test_frames_that_do_not_line_up_are_refused():
    rois = Rois.from_pixels([[[1, 1]]], frame=labelled_frame(FRAME))
    with pytest.raises(AlignmentError, match="the recording has y from 0.25"):
        rois.within(labelled_frame((3, 3), y=0.25))
    with pytest.raises(
        AlignmentError, match="the recording is 3 x 3 pixels, the frame of the ROIs 7 x 9 pixels"
    ):
        rois.within(Frame((3, 3)))
    assert rois.within(Frame(FRAME)).pixels.tolist() == [10]


# -- overlap ------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 6), st.integers(1, 6))
def test_overlaps_are_counted(data, height, width):
    rois = data.draw(roi_sets((height, width)))
    # a pixel of weight 0 belongs to its ROI all the same
    masks = rois.with_weights(None).to_masks().values.reshape(len(rois), height * width)
    shared = masks.astype(int) @ masks.astype(int).T
    np.testing.assert_array_equal(rois.overlap_matrix().toarray(), shared)
    members = masks.sum(axis=0)
    expected = [np.nan if not mask.any() else (members[mask] > 1).mean() for mask in masks]
    np.testing.assert_allclose(rois.overlap_fraction(), expected)


# -- as a table ---------------------------------------------------------------------------------------------------


def test_as_many_pixels_as_are_counted():
    dataset = Rois.from_labels(np.array([[0, 1, 1], [2, 2, 0]])).to_dataset()
    dataset["n_pixels"] = dataset["n_pixels"] + 1
    with pytest.raises(ArgumentError, match="the ROIs count 6 pixels and hold 4"):
        Rois.from_dataset(dataset)


@settings(max_examples=30, deadline=None)
@given(st.data(), st.booleans())
def test_a_dataset_holds_everything(data, labelled):
    frame = labelled_frame(FRAME) if labelled else Frame(FRAME)
    drawn = data.draw(roi_sets(FRAME))
    rois = Rois.from_pixels(
        [drawn.coordinates(number).to_yx() for number in range(len(drawn))],
        frame=frame,
        weights=None
        if drawn.weights is None
        else [drawn.row_weights(number) for number in range(len(drawn))],
        names=[f"cell {number}" for number in range(len(drawn))],
        ids=[7 * number for number in range(len(drawn))],
    )
    if len(rois):
        rois = rois.reject(0, "out of focus")
    again = Rois.from_dataset(rois.to_dataset())
    assert again.equals(rois)
    assert again.frame.units == frame.units
    np.testing.assert_array_equal(again.n_outside, rois.n_outside)


def test_a_dataset_survives_the_disk(tmp_path):
    rois = THREE.reject("a", "dim")
    rois.to_dataset().to_netcdf(tmp_path / "rois.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "rois.nc", engine="h5netcdf") as dataset:
        assert Rois.from_dataset(dataset).equals(rois)


def test_equality_sees_every_part():
    assert THREE.equals(THREE[:])
    assert not THREE.equals(THREE[:2])
    assert not THREE.equals(THREE.reject("a"))
    assert not THREE.equals(THREE.with_weights(None))
    assert not THREE.equals(THREE.with_weights(np.ones(6)))
    assert not THREE.equals(THREE[["b", "a", "c"]])
