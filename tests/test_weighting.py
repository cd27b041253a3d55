from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from roitrace.errors import AlignmentError, ArgumentError, LazyInputError
from roitrace.extraction import extract
from roitrace.rois import Rois
from roitrace.weighting import effective_pixels, pixel_weights


@st.composite
def some_rois(draw):
    """Overlapping ROIs of scattered pixels, some touching the frame's edge, at times one without pixels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    masks = rng.random((draw(st.integers(1, 4)), *shape)) < draw(st.sampled_from([0.1, 0.6, 1.0]))
    return Rois.from_masks(masks)


def disc(radius=6, size=20, **coords):
    y, x = np.ogrid[:size, :size]
    inside = (y - 9) ** 2 + (x - 9) ** 2 <= radius**2
    return Rois.from_mask(xr.DataArray(inside, dims=("y", "x"), coords=coords))


def in_micrometres(height, width, size=20):
    return {
        "y": ("y", np.arange(size) * height, {"units": "micrometer"}),
        "x": ("x", np.arange(size) * width, {"units": "micrometer"}),
    }


# -- brightness -------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(some_rois(), st.integers(0, 2**32 - 1))
def test_brightness_is_what_the_image_has_above_the_background(rois, seed):
    image = np.random.default_rng(seed).integers(0, 4000, rois.shape).astype(np.uint16)
    expected = np.maximum(image.ravel()[rois.pixels] - np.percentile(image.astype(float), 5), 0)
    rows = np.repeat(np.arange(len(rois)), rois.n_pixels)
    assume((np.bincount(rows, expected, len(rois)) > 0)[rois.n_pixels > 0].all())
    weighted = pixel_weights(rois, image=image)
    np.testing.assert_array_equal(weighted.weights, expected)
    assert weighted.weights.dtype == np.float64
    assert rois.weights is None


def test_background_may_be_given_and_missing_pixels_do_not_move_it():
    rois = Rois.from_mask(np.array([[False, True, True, True]]))
    image = np.array([[np.nan, 5.0, 9.0, 30.0]])
    assert pixel_weights(rois, image=image, background=7).weights.tolist() == [0.0, 2.0, 23.0]
    expected = np.array([5.0, 9.0, 30.0]) - np.percentile([5.0, 9.0, 30.0], 5)
    np.testing.assert_array_equal(pixel_weights(rois, image=image).weights, np.maximum(expected, 0))
    assert pixel_weights(rois, image=image, background=7).attrs["weights"] == "brightness(background=7)"


def test_dim_and_missing_rois_are_named():
    rois = Rois.from_labels(np.array([[1, 1, 2, 2, 3, 3]]))
    image = np.array([[3.0, 4.0, 50.0, 60.0, 2.0, 1.0]])
    with pytest.raises(
        ArgumentError, match=r"no pixel of ROI 1, 3 is brighter than the background 4; .*rois\.drop"
    ):
        pixel_weights(rois, image=image, background=4)
    image[0, 2] = np.nan
    with pytest.raises(ArgumentError, match="NaN or infinite inside ROI 2"):
        pixel_weights(rois, image=image, background=0)
    many = Rois.from_labels(np.arange(1, 9)[None])
    with pytest.raises(ArgumentError, match="ROI 1, 2, 3, 4, 5 and 3 more"):
        pixel_weights(many, image=np.zeros((1, 8)))
    with pytest.raises(ArgumentError, match="NaN or infinite inside"):
        pixel_weights(many, image=np.full((1, 8), np.nan))


def test_brightness_needs_a_usable_image():
    rois = disc()
    with pytest.raises(ArgumentError, match="need an image"):
        pixel_weights(rois)
    with pytest.raises(ArgumentError, match="background=nan"):
        pixel_weights(rois, image=np.ones((20, 20)), background=np.nan)
    with pytest.raises(LazyInputError, match="lazy"):
        pixel_weights(rois, image=xr.DataArray(np.ones((20, 20)), dims=("y", "x")).chunk())
    with pytest.raises(AlignmentError, match="the image is 20 x 21 pixels, the frame of the ROIs 20 x 20"):
        pixel_weights(rois, image=np.ones((20, 21)))
    moved = in_micrometres(1.0, 1.0)
    image = xr.DataArray(np.ones((20, 20)), dims=("y", "x"), coords=moved)
    with pytest.raises(AlignmentError, match="with other coordinates"):
        pixel_weights(disc(**in_micrometres(2.0, 2.0)), image=image)


# -- place ------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(some_rois())
def test_proximity_is_a_gaussian_of_the_distance_to_the_centroid(rois):
    assume(rois.pixels.size)
    weighted = pixel_weights(rois, "proximity")
    for number in range(len(rois)):
        yx = rois.coordinates(number).to_yx()
        if len(yx):
            squared = ((yx - yx.mean(axis=0)) ** 2).sum(axis=1)
            expected = np.exp(-squared / (2 * len(yx) / np.pi))
            np.testing.assert_allclose(weighted.row_weights(number), expected, rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(some_rois())
def test_edge_is_the_distance_to_the_nearest_pixel_outside(rois):
    weighted = pixel_weights(rois, "edge")
    for number, mask in enumerate(rois.to_masks().values):
        distance = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        np.testing.assert_array_equal(weighted.row_weights(number), distance[mask])


@pytest.mark.parametrize("by", ["proximity", "edge"])
def test_the_pixel_size_does_not_matter_but_its_shape_does(by):
    plain = pixel_weights(disc(), by).weights
    np.testing.assert_array_equal(pixel_weights(disc(**in_micrometres(0.7, 0.7)), by).weights, plain)
    flat = pixel_weights(disc(**in_micrometres(2.0, 0.5)), by)
    assert not np.allclose(flat.weights, plain)
    mask = disc().to_mask().values
    if by == "edge":
        expected = distance_transform_edt(mask, sampling=(2.0, 0.5))[mask]
    else:
        y, x = np.nonzero(mask)
        squared = (2.0 * (y - y.mean())) ** 2 + (0.5 * (x - x.mean())) ** 2
        expected = np.exp(-squared / (2 * y.size * 2.0 * 0.5 / np.pi))
    np.testing.assert_allclose(flat.weights, expected, rtol=1e-12)


def test_the_middle_weighs_most():
    rois = disc()
    middle = np.flatnonzero(rois.pixels == 9 * 20 + 9)[0]
    for by in ("proximity", "edge"):
        weights = pixel_weights(rois, by).weights
        assert weights.argmax() == middle
        # a disc looks the same from left and right, from above and below
        np.testing.assert_allclose(weights, weights[::-1], rtol=1e-12)


# -- products and the user's own --------------------------------------------------------------------------------


def test_several_rules_are_their_product():
    rois = disc()
    image = np.random.default_rng(0).normal(500, 50, (20, 20))
    expected = pixel_weights(rois, image=image).weights * pixel_weights(rois, "proximity").weights
    for by in (("brightness", "proximity"), ["brightness", "proximity"], "brightness * proximity"):
        weighted = pixel_weights(rois, by, image=image)
        np.testing.assert_allclose(weighted.weights, expected, rtol=1e-15)
        assert weighted.attrs["weights"].endswith(" * proximity")
    mixed = pixel_weights(rois, ("edge", image, lambda pixels: pixels["y"].values + 1.0)).weights
    own = image.ravel()[rois.pixels] * (rois.pixels // 20 + 1.0)
    np.testing.assert_allclose(mixed, pixel_weights(rois, "edge").weights * own, rtol=1e-15)


def test_own_weights_as_arrays_an_image_or_a_function():
    rois = Rois.from_labels(np.array([[1, 1, 2], [0, 2, 2]]))
    image = np.array([[4.0, 5.0, 1.0], [9.0, 2.0, 3.0]])
    flat = [4.0, 5.0, 1.0, 2.0, 3.0]
    labelled = xr.DataArray(image, dims=("y", "x"))
    assert pixel_weights(rois, image).weights.tolist() == flat
    assert pixel_weights(rois, labelled).weights.tolist() == flat
    assert pixel_weights(rois, np.array(flat)).weights.tolist() == flat
    assert pixel_weights(rois, [np.array([4, 5]), [1, 2, 3]]).weights.tolist() == flat

    def by_column(pixels):
        return pixels["x_index"] + 1

    weighted = pixel_weights(rois, by_column)
    assert weighted.weights.tolist() == [1.0, 2.0, 3.0, 2.0, 3.0]
    assert weighted.attrs["weights"] == "by_column"


def test_weights_give_the_weighted_mean_of_numpy():
    rois = disc()
    frame = np.random.default_rng(1).normal(size=(20, 20))
    weights = pixel_weights(rois, ("proximity", "edge")).weights
    values = frame.ravel()[rois.pixels]
    assert (weights * values).sum() / weights.sum() == pytest.approx(np.average(values, weights=weights))


def test_order_of_the_rois_does_not_matter():
    rois = Rois.from_masks(np.random.default_rng(2).random((4, 9, 9)) < 0.5)
    image = np.random.default_rng(3).random((9, 9))
    by = ("brightness", "proximity", "edge")
    shuffled = pixel_weights(rois[[2, 0, 3, 1]], by, image=image, background=-1)
    assert shuffled.equals(pixel_weights(rois, by, image=image, background=-1)[[2, 0, 3, 1]])


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("loudness", "by='loudness', expected brightness, proximity, edge"),
        ("proximity * loudness", "by='loudness'"),
        ((), "by is empty"),
        (np.ones(3), r"array of shape \(3,\), the ROIs have 4 pixels"),
        (np.ones((1, 2, 2)), r"shape \(1, 2, 2\)"),
        ([np.ones(2)], "1 arrays of weights for 2 ROIs"),
        ([np.ones(2), np.ones(3)], r"ROI 2 has 2 pixels but weights of shape \(3,\)"),
        (lambda _: np.ones(5), "ROI 1 has 2 pixels"),
        ([[1, -1], [1, 1]], "weights of 1 hold negative"),
        ([[1, 1], [np.nan, 1]], "weights of 2 hold negative, infinite or NaN"),
        ([[1, 1], [0, 0]], "all weights of 2 are 0"),
    ],
)
def test_wrong_weights_are_refused(by, message):
    with pytest.raises(ArgumentError, match=message):
        pixel_weights(Rois.from_labels(np.array([[1, 1, 2, 2]])), by)


def test_an_image_of_weights_has_the_frame_of_the_rois():
    with pytest.raises(AlignmentError, match="the image of weights is 3 x 3"):
        pixel_weights(disc(), np.ones((3, 3)))


# -- effective number -------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(1e-300, 1e300))
def test_effective_pixels_are_kishs_number(count, seed, factor):
    weights = np.random.default_rng(seed).random(count) + 1e-3
    rois = Rois.from_mask(np.ones((1, count), dtype=bool)).with_weights(weights * factor)
    result = effective_pixels(rois).item()
    assert result == pytest.approx(weights.sum() ** 2 / (weights**2).sum(), rel=1e-12)
    assert 1 - 1e-12 <= result <= count * (1 + 1e-12)


def test_effective_pixels_of_equal_missing_and_no_weights():
    rois = Rois.from_masks(np.array([[[True, True, True]], [[False, False, False]]]), names=["a", "b"])
    np.testing.assert_array_equal(effective_pixels(rois), [3.0, np.nan])
    np.testing.assert_array_equal(effective_pixels(rois.with_weights([7.0, 7.0, 7.0])), [3.0, np.nan])
    assert effective_pixels(rois)["roi"].values.tolist() == ["a", "b"]


# -- from frames ------------------------------------------------------------------------------------------------


def sample(frames=400, seed=0):
    """Frames of a disc that flickers, brightest in the middle, in noise that grows to the right."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:20, :20]
    signal = np.convolve(rng.normal(size=frames + 30), np.hanning(31), "valid")[:frames]
    shape = np.exp(-((y - 9) ** 2 + (x - 9) ** 2) / 30)
    noise = 1.0 + x / 10
    return 500 + 20 * signal[:, None, None] * shape + rng.normal(size=(frames, 20, 20)) * noise


def test_frames_tell_signal_noise_and_company():
    rois, frames = disc(), sample()
    pixels = frames.reshape(len(frames), -1)[:, rois.pixels]
    noise = np.diff(pixels, axis=0).var(axis=0) / 2
    weights = pixel_weights(rois, "inverse_variance", frames=frames).weights
    np.testing.assert_allclose(weights, 1 / noise)
    weights = pixel_weights(rois, "snr", frames=frames).weights
    np.testing.assert_allclose(weights, np.sqrt(np.maximum(pixels.var(axis=0) - noise, 0) / noise))
    weights = pixel_weights(rois, "correlation", frames=frames).weights
    expected = [np.corrcoef(one, pixels.mean(axis=1))[0, 1] for one in pixels.T]
    np.testing.assert_allclose(weights, np.maximum(expected, 0), atol=1e-12)


def test_dead_pixels_weigh_nothing():
    rois, frames = disc(), sample()
    frames[:, 9, 9] = 65535.0
    dead = np.flatnonzero(rois.pixels == 9 * 20 + 9)
    for by in ("snr", "correlation", "inverse_variance"):
        weights = pixel_weights(rois, by, frames=frames).weights
        assert weights[dead] == 0
        assert np.isfinite(weights).all()


def test_weights_from_frames_say_which_frames():
    frames = xr.DataArray(sample(), dims=("time", "y", "x"), coords={"time": np.arange(400) / 10})
    rois = pixel_weights(disc(), "snr * proximity", frames=frames[:100])
    assert (rois.attrs["weights"], rois.attrs["weights_frames"]) == ("snr * proximity", 100)
    assert rois.attrs["weights_time"] == [0.0, 9.9]
    inside = extract(frames, rois, ("mean", "weighted_mean"))
    assert inside["weighted_mean"].attrs["in_sample"] == 1
    assert "in_sample" not in inside["mean"].attrs
    assert extract(frames[100:], rois, "weighted_mean")["weighted_mean"].attrs["in_sample"] == 0
    untimed = pixel_weights(disc(), "snr", frames=frames.values)
    assert extract(frames[100:], untimed, "weighted_mean")["weighted_mean"].attrs["in_sample"] == 1
    plain = pixel_weights(rois, "edge")
    assert "in_sample" not in extract(frames, plain, "weighted_mean")["weighted_mean"].attrs


@pytest.mark.parametrize("by", ["snr", "correlation", "inverse_variance"])
def test_frames_have_to_be_usable(by):
    rois, frames = disc(), sample(10)
    with pytest.raises(ArgumentError, match=f"weights by {by} need frames"):
        pixel_weights(rois, by)
    with pytest.raises(ArgumentError, match="3 frames or more"):
        pixel_weights(rois, by, frames=frames[:2])
    with pytest.raises(AlignmentError, match="the frames are 19 x 20 pixels"):
        pixel_weights(rois, by, frames=frames[:, 1:])
    with pytest.raises(LazyInputError, match="the frames are lazy"):
        pixel_weights(rois, by, frames=xr.DataArray(frames, dims=("time", "y", "x")).chunk())
    frames[0, 9, 9] = np.nan
    with pytest.raises(ArgumentError, match="NaN or infinite inside ROIs"):
        pixel_weights(rois, by, frames=frames)
