from __future__ import annotations

import csv
import json
import math
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import skimage.filters
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from roitrace.choices import THRESHOLDS
from roitrace.errors import AlignmentError, ArgumentError, LazyInputError
from roitrace.frame import Frame
from roitrace.levels import HISTOGRAM, LOCAL
from roitrace.rois import Rois
from roitrace.threshold import clean_mask, label_rois, threshold
from tests.shared_data import DATA, needs_data

quick = settings(max_examples=30, deadline=None)
masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=14))
images = arrays(
    st.sampled_from([np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64]),
    array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
    elements=st.integers(0, 100),
)
REFERENCE = DATA / "neurofinder_neuhof" / "reference"


def cells(seed: int = 0, shape: tuple[int, int] = (48, 60)) -> np.ndarray[Any, Any]:
    """Bright discs on an uneven, noisy background."""
    random = np.random.default_rng(seed)
    y, x = np.indices(shape)
    image = 100.0 + x
    for centre_y, centre_x in random.uniform(5, np.array(shape) - 5, (8, 2)):
        image += 80 * ((y - centre_y) ** 2 + (x - centre_x) ** 2 < 20)
    return image + random.normal(0, 3, shape)


def micrometres(values: np.ndarray[Any, Any], pixel_size: tuple[float, float] = (1.5, 1.5)) -> xr.DataArray:
    y, x = (np.arange(size) * step for size, step in zip(values.shape, pixel_size, strict=True))
    return Frame(values.shape, y, x, "micrometer").image(values, "mean")  # type: ignore[arg-type]


def arguments(method: str) -> dict[str, Any]:
    """What a method cannot do without."""
    return {"value": {"value": 150}, "percentile": {"percentile": 90}}.get(
        method, {"block_size": 9} if method in LOCAL else {}
    )


# -- what is selected --------------------------------------------------------------------------------------------


@given(image=images, level=st.floats(-10, 110))
@quick
def test_a_value_selects_what_reaches_it(image: np.ndarray[Any, Any], level: float) -> None:
    mask = threshold(image, value=level)
    np.testing.assert_array_equal(mask.values, image.astype(np.float64) >= level)
    assert (mask.attrs["method"], mask.attrs["comparison"], mask.attrs["level"]) == ("value", ">=", level)


def test_a_float32_image_is_compared_in_float64() -> None:
    image = np.full((2, 2), 0.1, dtype=np.float32)
    level = float(image[0, 0])
    assert threshold(image, value=level).values.all()
    assert not threshold(image, value=np.nextafter(level, 1)).values.any()


@given(image=images, percentile=st.floats(0, 100))
@quick
def test_a_percentile_selects_ties_too(image: np.ndarray[Any, Any], percentile: float) -> None:
    mask = threshold(image, percentile=percentile)
    level = np.percentile(image.astype(np.float64), percentile)
    np.testing.assert_array_equal(mask.values, image >= level)
    assert mask.values.any()
    assert (mask.attrs["method"], mask.attrs["percentile"]) == ("percentile", percentile)


def test_percentile_95_keeps_the_top_twentieth() -> None:
    image = np.random.default_rng(1).permutation(400).reshape(20, 20)
    assert threshold(image, percentile=95).values.sum() == 20


@given(image=images, k=st.floats(-2, 2))
@quick
def test_mean_sd_selects_what_is_above(image: np.ndarray[Any, Any], k: float) -> None:
    values = image.astype(np.float64)
    level = values.mean() + k * values.std()
    assume(np.abs(values - level).min() > 1e-6)
    mask = threshold(image, "mean_sd", k=k)
    np.testing.assert_array_equal(mask.values, values > level)
    assert mask.attrs["comparison"] == ">"


@pytest.mark.parametrize("method", HISTOGRAM)
def test_histogram_methods_select_what_is_above_the_level_of_scikit_image(method: str) -> None:
    image = cells()
    low, high = np.percentile(image, (0.1, 99.9))
    level = getattr(skimage.filters, f"threshold_{method}")(np.clip(image, low, high))
    mask = threshold(image, method)
    np.testing.assert_array_equal(mask.values, image > level)
    expected = {"method": method, "comparison": ">", "level": level, "range_low": low, "range_high": high}
    assert mask.attrs == expected


@pytest.mark.parametrize("method", ["mean", "gaussian", "median"])
def test_local_statistics_select_what_is_above_the_level_of_scikit_image(method: str) -> None:
    image = cells()
    mask = threshold(image, f"local_{method}", block_size=15, offset=-4)
    level = skimage.filters.threshold_local(image, 15, method=method, offset=-4)
    np.testing.assert_array_equal(mask.values, image > level)
    assert mask.attrs["block_size"] == 15
    assert mask.attrs["offset"] == -4
    assert mask.attrs["level_min"] == level.min()
    assert mask.attrs["level_max"] == level.max()


def test_niblack_and_sauvola_are_those_of_scikit_image() -> None:
    image = cells()
    low, high = np.percentile(image, (0.1, 99.9))
    niblack = skimage.filters.threshold_niblack(image, 15, k=-0.4)
    sauvola = skimage.filters.threshold_sauvola(image, 15, k=0.2, r=(high - low) / 2)
    mask = threshold(image, "niblack", block_size=15, k=-0.4)
    np.testing.assert_array_equal(mask.values, image > niblack)
    assert mask.attrs["k"] == -0.4
    mask = threshold(image, "sauvola", block_size=15)
    np.testing.assert_array_equal(mask.values, image > sauvola)
    assert mask.attrs["k"] == 0.2


def test_an_adaptive_level_follows_the_background() -> None:
    x = np.arange(60)
    spots = np.zeros((60, 60), dtype=bool)
    spots[10:14, 5:9] = spots[40:44, 50:54] = True
    image = 10.0 * x + 60 * spots
    assert threshold(image, value=300).values[10, 20:29].sum() == 0
    mask = threshold(image, "local_median", block_size=15, offset=-30).values
    np.testing.assert_array_equal(mask, spots)


@pytest.mark.parametrize(
    ("given_arguments", "method"), [({"value": 300}, "value"), ({"percentile": 95}, "percentile")]
)
def test_a_level_given_alone_chooses_the_method(given_arguments: dict[str, Any], method: str) -> None:
    image = cells()
    alone = threshold(image, **given_arguments)
    xr.testing.assert_identical(alone, threshold(image, method, **given_arguments))


@pytest.mark.parametrize("method", THRESHOLDS)
def test_labels_and_attributes_go_with_the_mask(method: str) -> None:
    image = micrometres(cells())
    mask = threshold(image, method, **arguments(method))
    assert mask.dims == ("y", "x")
    assert mask.dtype == np.bool_
    assert mask.name == "mask"
    xr.testing.assert_identical(mask.coords.to_dataset(), image.coords.to_dataset())
    assert mask.attrs["method"] == method
    assert json.loads(json.dumps(mask.attrs)) == mask.attrs


@pytest.mark.parametrize("method", THRESHOLDS)
def test_a_gain_leaves_the_mask_as_it_is(method: str) -> None:
    image, given_arguments = cells(), arguments(method)
    scaled = {name: 4 * one if name == "value" else one for name, one in given_arguments.items()}
    np.testing.assert_array_equal(
        threshold(image, method, **given_arguments).values, threshold(4 * image, method, **scaled).values
    )


# -- images that are hard ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", THRESHOLDS)
def test_nan_is_never_selected_and_does_not_spread(method: str) -> None:
    image = cells()
    holed = image.copy()
    holed[:6] = np.nan
    holed[30, 40] = np.nan
    mask = threshold(holed, method, **arguments(method)).values
    assert not mask[np.isnan(holed)].any()
    if method in LOCAL:
        far = np.zeros(image.shape, dtype=bool)
        far[11:25] = True
        # the range that gives Sauvola its r moves a little
        expected = threshold(image, method, block_size=9).values
        assert np.mean(mask[far] == expected[far]) > (0.98 if method == "sauvola" else 0.9999)
        assert math.isfinite(threshold(holed, method, block_size=9).attrs["level_max"])
    else:
        finite = holed[np.isfinite(holed)].reshape(1, -1)
        expected = threshold(finite, method, **arguments(method))
        assert threshold(holed, method, **arguments(method)).attrs == expected.attrs
        np.testing.assert_array_equal(mask[np.isfinite(holed)], expected.values[0])


@pytest.mark.parametrize("method", ["local_mean", "local_gaussian", "local_median"])
def test_missing_pixels_do_not_lower_the_level_beside_them(method: str) -> None:
    image = np.random.default_rng(0).normal(100, 1, (40, 40))
    image[10:30, 10:30] = np.nan
    assert not threshold(image, method, block_size=9, offset=-10).values.any()


@pytest.mark.parametrize("method", [one for one in THRESHOLDS if one not in {"value", "percentile"}])
@pytest.mark.parametrize("value", [0, 0.1, 1000.3, 7])
def test_in_a_flat_image_nothing_is_above_the_rest(method: str, value: float) -> None:
    mask = threshold(np.full((20, 30), value), method, **arguments(method))
    assert not mask.values.any()


def test_in_a_flat_part_nothing_is_above_the_rest() -> None:
    image = np.full((40, 60), 0.1)
    image[5:15, 5:15] += np.random.default_rng(0).normal(50, 1, (10, 10))
    assert not threshold(image, "local_mean", block_size=9).values[:, 25:].any()


def test_a_hot_pixel_does_not_move_the_level() -> None:
    image = cells()
    hot = image.copy()
    hot[3, 3] = 65535
    assert threshold(hot).attrs["level"] == pytest.approx(threshold(image).attrs["level"], rel=0.01)
    assert skimage.filters.threshold_otsu(hot) > 1.3 * skimage.filters.threshold_otsu(image)


@pytest.mark.parametrize("method", HISTOGRAM)
@given(image=images)
@settings(max_examples=15, deadline=None)
def test_any_image_gives_a_mask_or_a_clear_error(method: str, image: np.ndarray[Any, Any]) -> None:
    problem = ""
    try:
        mask = threshold(image, method)
    except ArgumentError as error:
        problem = error.problem
    if problem:
        assert "finds no level" in problem
    else:
        np.testing.assert_array_equal(mask.values, image > mask.attrs["level"])


# -- within drawn regions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["value", "percentile", "mean_sd", *HISTOGRAM])
def test_each_region_has_its_own_level(method: str) -> None:
    image = cells()
    left, right = np.zeros((2, *image.shape), dtype=bool)
    left[4:40, 3:25] = True
    right[10:44, 28:58] = True
    rois = Rois.from_masks(np.stack([left, right]), names=["soma", "other"])
    mask = threshold(image, method, within=rois, **arguments(method))
    expected = np.zeros(image.shape, dtype=bool)
    for number, region in enumerate((left, right)):
        alone = threshold(image[region].reshape(1, -1), method, **arguments(method))
        expected[region] = alone.values[0]
        for name in ("level", "range_low", "range_high"):
            assert mask.attrs[name][number] == alone.attrs[name]
    np.testing.assert_array_equal(mask.values, expected)
    assert mask.attrs["regions"] == ["soma", "other"]
    assert json.loads(json.dumps(mask.attrs)) == mask.attrs


def test_one_drawn_cell_may_be_a_mask_or_a_label_image() -> None:
    image = micrometres(cells())
    drawn = np.zeros(image.shape, dtype=bool)
    drawn[10:30, 10:30] = True
    mask = threshold(image, percentile=75, within=drawn)
    assert mask.values.sum() == 100
    assert not mask.values[~drawn].any()
    xr.testing.assert_identical(mask, threshold(image, percentile=75, within=image.copy(data=drawn)))
    xr.testing.assert_identical(mask, threshold(image, percentile=75, within=drawn.astype(np.uint8)))


def test_regions_that_overlap_select_what_either_selects() -> None:
    image = np.arange(20.0).reshape(2, 10)
    rois = Rois.from_masks(np.stack([image < 15, image >= 5]))
    mask = threshold(image, percentile=50, within=rois)
    assert mask.attrs["level"] == [7, 12]
    np.testing.assert_array_equal(mask.values, image >= 7)


def test_a_region_without_a_finite_pixel_selects_nothing() -> None:
    image = cells()
    image[:, :10] = np.nan
    regions = np.zeros(image.shape, dtype=int)
    regions[:, :10], regions[:, 30:] = 1, 2
    mask = threshold(image, within=regions)
    assert math.isnan(mask.attrs["level"][0])
    assert mask.attrs["level"][1] == threshold(image[:, 30:]).attrs["level"]
    assert not mask.values[:, :30].any()


def test_adaptive_methods_see_the_image_around_the_region() -> None:
    image = cells()
    drawn = np.zeros(image.shape, dtype=bool)
    drawn[10:40, 10:40] = True
    mask = threshold(image, "local_mean", block_size=11, within=drawn)
    np.testing.assert_array_equal(mask.values, drawn & threshold(image, "local_mean", block_size=11).values)
    assert mask.attrs["regions"] == ["1"]


def test_regions_of_another_frame_are_refused() -> None:
    with pytest.raises(AlignmentError):
        threshold(cells(), within=np.ones((4, 5), dtype=bool))


# -- bad input ---------------------------------------------------------------------------------------------------


def test_a_lazy_image_is_refused() -> None:
    with pytest.raises(LazyInputError, match="not computed"):
        threshold(micrometres(cells()).chunk(y=10))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((3, 4), np.nan), "none of the image's 12 pixels is finite"),
        (np.zeros((0, 4)), "none of the image's 0 pixels"),
        (np.ones((3, 4), dtype=bool), "dtype bool"),
        (np.ones((3, 4), dtype=complex), "complex128 in it; expected real numbers"),
        (np.ones((2, 3, 4)), "two axes"),
    ],
)
def test_what_is_no_image_is_refused(image: np.ndarray[Any, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        threshold(image)


@pytest.mark.parametrize(
    ("method", "given_arguments", "message"),
    [
        ("otsuu", {}, "did you mean 'otsu'"),
        ("adaptive mean", {}, "did you mean 'local_mean'"),
        ("?", {}, "choose one of them"),
        ("value", {}, "'value' is asked without its level; give value="),
        ("percentile", {}, "give percentile="),
        ("otsu", {"value": 3, "percentile": 5}, "two levels"),
        ("li", {"value": 3}, "'li' does not use it; it belongs to value"),
        ("otsu", {"k": 3}, "it belongs to mean_sd, niblack, sauvola"),
        ("otsu", {"block_size": 3}, "it belongs to local_mean"),
        ("value", {"value": 3, "offset": 1}, "it belongs to local_mean"),
        ("local_mean", {"block_size": 3, "k": 1}, "it belongs to mean_sd"),
        ("percentile", {"percentile": 101}, "percentile=101, expected 0 to 100"),
        ("percentile", {"percentile": -0.1}, "expected 0 to 100"),
        ("value", {"value": math.nan}, "value=nan, expected a finite number"),
        ("mean_sd", {"k": math.inf}, "k=inf"),
        ("local_mean", {"block_size": 8}, "block_size=8, expected an odd number"),
        ("local_mean", {"block_size": -3}, "odd number"),
        ("niblack", {"block_size": 7.5}, "odd number"),
        ("local_median", {"block_size": 49}, "block_size=49 is larger than the image, 48 x 60"),
        ("sauvola", {}, "no default block size here: the image's pixel size is not known"),
    ],
)
def test_bad_arguments_are_named(method: str, given_arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        threshold(cells(), method, **given_arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("pixel_size", "block"),
    [((1.5, 1.5), 25), ((1.44, 1.44), 25), ((1.2, 3.0), [31, 13]), ((0.5, 0.5), [47, 59])],
)
def test_the_default_block_is_three_cells_wide(pixel_size: tuple[float, float], block: Any) -> None:
    mask = threshold(micrometres(cells(), pixel_size), "local_mean")
    assert mask.attrs["block_size"] == block


# -- clean -------------------------------------------------------------------------------------------------------


@given(mask=masks, smallest=st.integers(0, 9), largest=st.integers(0, 30))
@quick
def test_components_of_the_wrong_size_go(mask: np.ndarray[Any, Any], smallest: int, largest: int) -> None:
    labels, count = scipy.ndimage.label(mask, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    expected = mask & (sizes >= smallest)[labels] & (sizes <= largest)[labels]
    cleaned = clean_mask(mask, min_pixels=smallest, max_pixels=largest)
    np.testing.assert_array_equal(cleaned.values, expected)


@given(mask=masks, radius=st.integers(1, 2))
@quick
def test_opening_and_closing_are_those_of_scipy_inside(mask: np.ndarray[Any, Any], radius: int) -> None:
    # far from the edge, where scipy takes what lies outside for background
    padded = np.pad(mask, 4 * radius)
    offset_y, offset_x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = offset_y**2 + offset_x**2 <= radius**2
    np.testing.assert_array_equal(
        clean_mask(padded, opening=radius).values, scipy.ndimage.binary_opening(padded, disc)
    )
    np.testing.assert_array_equal(
        clean_mask(padded, closing=radius).values, scipy.ndimage.binary_closing(padded, disc)
    )


def test_the_edge_of_the_image_does_not_erode() -> None:
    mask = np.zeros((8, 8), dtype=bool)
    mask[:5, :5] = True
    opened = clean_mask(mask, opening=1).values
    assert opened[0, 0]
    assert not opened[4, 4]
    np.testing.assert_array_equal(clean_mask(mask, closing=2).values, mask)


def test_a_gap_is_closed_before_the_hole_is_filled_and_the_hole_before_the_opening() -> None:
    y, x = np.indices((20, 20))
    distance = np.hypot(y - 10, x - 10)
    ring = (distance <= 6) & (distance > 3)
    ring[10, 12:18] = False
    assert not clean_mask(ring, fill_holes=True).values[10, 10]
    cleaned = clean_mask(ring, closing=1, fill_holes=True, opening=3).values
    assert cleaned[10, 10]
    assert cleaned.sum() > 90


@pytest.mark.parametrize(("fill", "filled"), [(False, 0), (0, 0), (3, 1), (4, 5), (True, 14)])
def test_holes_are_filled_up_to_a_size(fill: bool | int, filled: int) -> None:
    mask = np.ones((9, 12), dtype=bool)
    mask[1, 1] = mask[4:6, 1:3] = mask[3:6, 7:10] = mask[0, 5] = False
    assert clean_mask(mask, fill_holes=fill).values.sum() - mask.sum() == filled


def test_components_at_the_border_go_when_asked() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[0, 0] = mask[1, 1] = mask[4:6, 4:6] = True
    assert clean_mask(mask, clear_border=True).values.sum() == 4
    assert clean_mask(mask).values.sum() == 6


def test_what_was_done_is_added_to_the_attributes() -> None:
    mask = threshold(micrometres(cells()))
    once = clean_mask(mask, min_pixels=5, fill_holes=True)
    twice = clean_mask(once, opening=1)
    assert once.attrs == mask.attrs | {"cleaned": "fill_holes=True, min_pixels=5"}
    assert twice.attrs["cleaned"] == "fill_holes=True, min_pixels=5; opening=1"
    assert clean_mask(mask).attrs == mask.attrs
    xr.testing.assert_identical(twice.coords.to_dataset(), mask.coords.to_dataset())


def test_the_mask_given_is_left_alone() -> None:
    mask = threshold(cells()).values
    before = mask.copy()
    clean_mask(mask, opening=1, closing=1, fill_holes=True, clear_border=True, min_pixels=4)
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize("name", ["min_pixels", "max_pixels", "fill_holes", "opening", "closing"])
def test_negative_sizes_are_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"{name}=-1, expected 0 or more"):
        clean_mask(np.ones((3, 3), dtype=bool), **{name: -1})


@pytest.mark.parametrize("function", [clean_mask, label_rois])
def test_only_masks_are_taken(function: Any) -> None:
    with pytest.raises(ArgumentError, match="dtype int64, expected bool"):
        function(np.ones((3, 3), dtype=np.int64))
    with pytest.raises(LazyInputError):
        function(xr.DataArray(np.ones((3, 3), dtype=bool), dims=("y", "x")).chunk())


# -- label -------------------------------------------------------------------------------------------------------


@given(mask=masks, connectivity=st.sampled_from([1, 2]))
@quick
def test_one_roi_per_component_in_raster_order(mask: np.ndarray[Any, Any], connectivity: int) -> None:
    rois = label_rois(mask, connectivity=connectivity)
    structure = scipy.ndimage.generate_binary_structure(2, connectivity)
    labels, count = scipy.ndimage.label(mask, structure)
    np.testing.assert_array_equal(rois.to_labels().values, labels)
    assert rois.ids.tolist() == list(range(1, count + 1))
    assert list(rois.names) == [str(one) for one in rois.ids]
    starts = rois.pixels[rois.indptr[:-1]]
    assert (np.diff(starts) > 0).all()


def two_touching_discs() -> np.ndarray[Any, Any]:
    y, x = np.indices((30, 40))
    return (np.hypot(y - 15, x - 12) <= 7) | (np.hypot(y - 15, x - 24) <= 7)


@pytest.mark.parametrize("min_distance", [None, 5])
def test_touching_discs_are_split_by_distance(min_distance: int | None) -> None:
    mask = two_touching_discs()
    assert len(label_rois(mask)) == 1
    rois = label_rois(mask, split="distance", min_distance=min_distance)
    assert len(rois) == 2
    np.testing.assert_array_equal(rois.to_mask().values, mask)
    assert rois.attrs["split"] == "distance"
    # the median component is two discs large
    expected = round(math.sqrt(mask.sum() / math.pi))
    assert rois.attrs["min_distance"] == (min_distance or expected)


def test_touching_discs_are_split_by_intensity() -> None:
    mask = two_touching_discs()
    y, x = np.indices(mask.shape)
    image = np.exp(-((y - 15) ** 2 + (x - 12) ** 2) / 30) + np.exp(-((y - 15) ** 2 + (x - 24) ** 2) / 30)
    image -= 10
    image[15, 6] = np.nan
    rois = label_rois(mask, split="intensity", image=image, min_distance=4)
    assert len(rois) == 2
    assert abs(int(rois.n_pixels[0]) - int(rois.n_pixels[1])) <= 15
    assert len(label_rois(mask, split="intensity", image=image, min_distance=20)) == 1


@given(mask=masks, connectivity=st.sampled_from([1, 2]), split=st.sampled_from(["distance", "intensity"]))
@quick
def test_splitting_loses_no_pixel(mask: np.ndarray[Any, Any], connectivity: int, split: str) -> None:
    image = np.random.default_rng(0).normal(size=mask.shape) if split == "intensity" else None
    rois = label_rois(mask, connectivity=connectivity, split=split, image=image)
    assert rois.pixels.size == mask.sum()
    np.testing.assert_array_equal(rois.to_mask().values, mask)
    assert len(rois) >= len(label_rois(mask, connectivity=connectivity))


def test_an_empty_mask_gives_no_rois() -> None:
    for split in (None, "distance"):
        assert len(label_rois(np.zeros((5, 6), dtype=bool), split=split)) == 0


def test_rois_carry_the_frame_and_where_they_came_from() -> None:
    mask = threshold(micrometres(cells()), "li")
    rois = label_rois(mask, connectivity=1)
    assert rois.frame.units == "micrometer"
    np.testing.assert_array_equal(rois.frame.centres[1], mask["x"].values)
    assert rois.attrs == mask.attrs | {"connectivity": 1}


@pytest.mark.parametrize(
    ("given_arguments", "message"),
    [
        ({"connectivity": 8}, "connectivity=8, expected 1"),
        ({"split": "watershed"}, "split='watershed', expected None, 'distance' or 'intensity'"),
        ({"split": "intensity"}, "without an image"),
        ({"split": "distance", "image": np.ones((3, 4))}, "nothing else uses it"),
        ({"image": np.ones((3, 4))}, "split=None with an image"),
        ({"min_distance": 3}, "min_distance=3 with split=None"),
        ({"split": "distance", "min_distance": 0}, "give 1 or more pixels"),
    ],
)
def test_bad_label_arguments_are_named(given_arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        label_rois(np.ones((3, 4), dtype=bool), **given_arguments)
    assert message in str(caught.value)


def test_the_image_to_split_on_is_of_the_same_frame() -> None:
    with pytest.raises(AlignmentError, match="the mask"):
        label_rois(np.ones((3, 4), dtype=bool), split="intensity", image=np.ones((4, 4)))


# -- against ImageJ ----------------------------------------------------------------------------------------------


def imagej_rows() -> list[dict[str, str]]:
    if not DATA.is_dir():
        return []
    with (REFERENCE / "imagej_thresholds.csv").open() as file:
        return list(csv.DictReader(file))


@needs_data
def test_masks_and_counts_of_imagej_at_the_same_level() -> None:
    projections = np.load(REFERENCE / "imagej_zproject.npz")
    reference = np.load(REFERENCE / "imagej_labels.npz")
    rows = imagej_rows()
    assert len(rows) == 39
    compared = 0
    for row in rows:
        mask = threshold(projections[row["image"]], value=float(row["lower"]))
        rois = label_rois(mask)
        assert mask.values.sum() == int(row["pixels"])
        assert len(rois) == int(row["particles8"])
        name = f"{row['image']}_{row['method']}"
        if f"{name}_mask" in reference:
            np.testing.assert_array_equal(mask.values, reference[f"{name}_mask"])
            np.testing.assert_array_equal(rois.to_labels().values, reference[f"{name}_conn8"])
            compared += 1
    assert compared == 6
