from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.optimize
import tifffile
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import roitrace as rt
from roitrace.errors import ArgumentError, LazyInputError, MetadataError
from roitrace.frame import Frame
from roitrace.rois import Rois
from roitrace.segmentation import segment, segment_steps
from tests.shared_data import DATA, needs_data

NEUHOF = DATA / "neurofinder_neuhof"


def matched(found: Rois, truth: Rois, least: float = 0.5) -> int:
    """One-to-one matches at an intersection over union of at least `least`."""
    if not len(found):
        return 0
    one, other = (rois.to_masks().values.reshape(len(rois), -1).astype(np.float32) for rois in (found, truth))
    shared = one @ other.T
    overlap = shared / (one.sum(1)[:, None] + other.sum(1) - shared)
    overlap[overlap < least] = 0
    return int(np.count_nonzero(overlap[scipy.optimize.linear_sum_assignment(-overlap)]))


def disc(y: float, x: float, diameter: float, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    rows, columns = np.indices(shape)
    return np.hypot(rows - y, columns - x) <= diameter / 2


def truth_of(discs: list[np.ndarray[Any, Any]]) -> Rois:
    return Rois.from_masks(np.stack(discs))


def scene(seed: int, diameter: float = 10, noise: float = 6) -> tuple[np.ndarray[Any, Any], Rois]:
    """Cells of different brightness and size, some hollow, on haze, uneven light and noise."""
    random = np.random.default_rng(seed)
    shape = (140, 150)
    image, discs, centres = np.zeros(shape), [], np.empty((0, 2))
    while len(discs) < 25:
        centre = random.uniform(0, shape)
        if (np.hypot(*(centres - centre).T) < 1.05 * diameter).any():
            continue
        size = diameter * random.uniform(0.85, 1.15)
        cell = disc(*centre, size, shape)
        hollow = random.random() < 0.3
        image += random.uniform(40, 300) * (cell - 0.5 * hollow * disc(*centre, 0.5 * size, shape))
        centres = np.vstack([centres, centre])
        discs.append(cell)
    image = scipy.ndimage.gaussian_filter(image, 0.08 * diameter)
    haze = scipy.ndimage.gaussian_filter(random.normal(size=shape), 3 * diameter)
    light = 1 - 0.4 * np.linspace(-1, 1, shape[1]) ** 2
    image = light * (400 + 40 * haze / haze.std() + image)
    return image + random.normal(0, noise, shape), truth_of(discs)


def micrometres(values: np.ndarray[Any, Any], pixel_size: tuple[float, float]) -> xr.DataArray:
    y, x = (np.arange(size) * step for size, step in zip(values.shape, pixel_size, strict=True))
    return Frame(values.shape, y, x, "micrometer").image(values, "mean")  # type: ignore[arg-type]


# -- the recording labelled by hand --------------------------------------------------------------------------------


@cache
def movie() -> np.ndarray[Any, Any]:
    return tifffile.imread(NEUHOF / "movie_600x240x240_u16.tif").astype(np.float64)


@cache
def projections() -> dict[str, np.ndarray[Any, Any]]:
    return {"mean": movie().mean(0), "max": movie().max(0), "std": movie().std(0)}


def with_hot_pixel(projection: str, hot: str) -> np.ndarray[Any, Any]:
    """A projection of the movie with one pixel at 65535, in no, one or every frame, or in the projection itself."""
    image = projections()[projection].copy()
    y, x = 100, 57
    series = movie()[:, y, x].copy()
    if hot == "one frame":
        series[123] = 65535
    elif hot == "every frame":
        series[:] = 65535
    if hot:
        image[y, x] = 65535 if hot == "image" else getattr(series, projection)()
    return image


@cache
def neurons() -> Rois:
    regions = json.loads((NEUHOF / "regions_crop.json").read_text())
    return Rois.from_pixels([np.array(region["coordinates"]) for region in regions], shape=(240, 240))


@needs_data
@pytest.mark.parametrize("hot", ["", "one frame", "every frame", "image"])
@pytest.mark.parametrize(("projection", "least"), [("mean", 16), ("max", 12), ("std", 12)])
def test_labelled_neurons_are_found(projection: str, least: int, hot: str) -> None:
    assert len(neurons()) == 111
    found = segment(with_hot_pixel(projection, hot), cell_diameter="10 px")
    assert matched(found, neurons()) >= least
    assert len(found) <= 100


@needs_data
def test_as_many_neurons_in_a_third_of_the_objects_of_suite2p() -> None:
    table = np.load(NEUHOF / "reference" / "suite2p_extraction.npz")
    pixels = np.stack([table["ypix"], table["xpix"]], axis=1)
    suite2p = Rois.from_pixels([pixels[table["roi"] == one] for one in range(177)], shape=(240, 240))
    assert matched(suite2p, neurons()) == 17
    found = segment(projections()["mean"], cell_diameter="10 px")
    assert matched(found, neurons()) >= 17
    assert len(found) <= 177 / 3


@needs_data
@pytest.mark.parametrize("diameter", [9, 11])
def test_the_diameter_need_not_be_exact(diameter: float) -> None:
    found = segment(projections()["mean"], cell_diameter=diameter)
    assert matched(found, neurons()) >= 15
    assert len(found) <= 100


@cache
def images() -> xr.Dataset:
    recording = rt.open_recording(NEUHOF / "movie_600x240x240_u16.tif", frame_rate=7.5)
    return rt.project(recording, ("mean", "std", "correlation", "skewness")).compute()


@needs_data
@pytest.mark.parametrize(
    ("on", "least", "most"),
    [
        ("correlation", 12, 70),
        (("mean", "correlation"), 18, 80),
        (("mean", "std", "skewness"), 23, 100),
    ],
)
def test_labelled_neurons_are_found_on_other_images_and_on_several(
    on: str | tuple[str, ...], least: int, most: int
) -> None:
    found = segment(images(), on=on, cell_diameter="10 px")
    assert matched(found, neurons()) >= least
    assert len(found) <= most


@needs_data
def test_the_size_of_labelled_neurons_is_estimated() -> None:
    true = float(np.median(np.sqrt(4 / np.pi * neurons().n_pixels)))
    found = segment(images(), on="mean", cell_diameter="auto")
    assert float(found.attrs["diameter"].removesuffix(" px")) == pytest.approx(true, rel=0.15)
    assert matched(found, neurons()) >= 17
    assert len(found) <= 100


# -- scenes with a known truth -------------------------------------------------------------------------------------


@pytest.mark.parametrize("diameter", [7.0, 10.0, 15.0])
def test_most_cells_of_a_scene_are_found_and_little_else(diameter: float) -> None:
    n_truth = n_found = right = 0
    for seed in (11, 12, 13):
        image, truth = scene(seed, diameter)
        found = segment(image, cell_diameter=diameter)
        n_truth, n_found, right = n_truth + len(truth), n_found + len(found), right + matched(found, truth)
    assert right >= 0.75 * n_truth
    assert right >= 0.9 * n_found


def test_bright_and_dim_cells_both_keep_their_size() -> None:
    shape = (60, 90)
    discs = [disc(30, 20, 11, shape), disc(30, 65, 11, shape)]
    image = scipy.ndimage.gaussian_filter(100 + 40.0 * discs[0] + 400.0 * discs[1], 1)
    image += np.random.default_rng(0).normal(0, 1, shape)
    assert matched(segment(image, cell_diameter=11), truth_of(discs), least=0.8) == 2


def test_touching_cells_are_two() -> None:
    shape = (50, 60)
    discs = [disc(25, 22, 11, shape), disc(25, 34, 11, shape)]
    image = scipy.ndimage.gaussian_filter(100 + 60.0 * discs[0] + 80.0 * discs[1], 1.0)
    found = segment(image, cell_diameter=11)
    assert len(found) == 2
    assert matched(found, truth_of(discs), least=0.7) == 2


def test_a_dark_nucleus_belongs_to_its_cell() -> None:
    cell, nucleus = disc(25, 25, 14, (50, 50)), disc(25, 25, 6, (50, 50))
    found = segment(100 + 50.0 * (cell & ~nucleus), cell_diameter=14)
    assert len(found) == 1
    assert found.to_mask().values[25, 25]
    assert matched(found, truth_of([cell]), least=0.8) == 1


def test_a_cell_cut_by_the_border_is_found() -> None:
    cell = disc(1, 25, 12, (50, 50))
    found = segment(100 + 50.0 * cell, cell_diameter=12)
    assert matched(found, truth_of([cell]), least=0.7) == 1


@pytest.mark.parametrize("slope", [(0.0, 0.0), (0.8, 0.5), (-3.0, 2.0)])
def test_a_slope_hides_no_cell_and_makes_none(slope: tuple[float, float]) -> None:
    shape = (80, 80)
    discs = [disc(*centre, 10, shape) for centre in ((20, 20), (20, 60), (60, 20), (60, 60))]
    y, x = np.indices(shape)
    image = 1000 + slope[0] * y + slope[1] * x + 60 * np.sum(discs, axis=0)
    found = segment(image + np.random.default_rng(0).normal(0, 3, shape), cell_diameter=10)
    assert len(found) == 4
    assert matched(found, truth_of(discs), least=0.7) == 4


def test_a_thread_is_no_cell() -> None:
    cell = disc(20, 20, 10, (90, 90))
    image = 100 + 50.0 * cell
    image[70:72, 5:35] += 100
    image[40:80, 60:62] += 100
    found = segment(scipy.ndimage.gaussian_filter(image, 1), cell_diameter=10)
    assert len(found) == 1
    assert matched(found, truth_of([cell])) == 1


@pytest.mark.parametrize(
    ("diameter", "within"), [(6.0, 0.35), (8.0, 0.2), (10.0, 0.2), (14.0, 0.2), (20.0, 0.2)]
)
def test_the_diameter_of_a_scene_is_estimated(diameter: float, within: float) -> None:
    image, truth = scene(21, diameter)
    image[3, 3] = 65535
    image[:, :4] = np.nan
    found = segment(image, cell_diameter="auto")
    assert float(found.attrs["diameter"].removesuffix(" px")) == pytest.approx(diameter, rel=within)
    assert found.attrs["cell_diameter"] == "auto"
    assert matched(found, truth) >= 0.8 * matched(segment(image, cell_diameter=diameter), truth)


def test_an_estimated_diameter_is_in_micrometres_where_they_are_known() -> None:
    image, _ = scene(22, 10)
    flat = segment(image, cell_diameter="auto")
    labelled = segment(micrometres(image, (1.5, 1.5)), cell_diameter="auto")
    taken = float(flat.attrs["diameter"].removesuffix(" px"))
    assert float(labelled.attrs["diameter"].removesuffix(" um")) == pytest.approx(1.5 * taken, rel=0.01)
    np.testing.assert_array_equal(labelled.to_labels().values, flat.to_labels().values)


def test_the_estimate_follows_pixels_that_are_not_square() -> None:
    shape = (60, 200)
    rows, columns = np.indices(shape)
    ovals = [np.hypot((rows - y) * 2, columns - x) <= 8 for y in (12, 30, 48) for x in range(20, 190, 35)]
    image = scipy.ndimage.gaussian_filter(100 + 50.0 * np.sum(ovals, axis=0), (0.5, 1))
    found = segment(micrometres(image, (2, 1)), cell_diameter="auto")
    assert matched(found, truth_of(ovals), least=0.75) == len(ovals)


@pytest.mark.parametrize("on", [("a", "b"), ("b", "a")])
def test_a_cell_that_one_image_shows_is_found_on_several(on: tuple[str, str]) -> None:
    shape = (60, 90)
    discs = [disc(30, 20, 10, shape), disc(30, 65, 10, shape)]
    noise = np.random.default_rng(0).normal(0, 1, (2, *shape))
    pair = {name: 100 * 10.0**n + 60 * 10.0**n * discs[n] + noise[n] for n, name in enumerate("ab")}
    dataset = xr.Dataset({name: (("y", "x"), one) for name, one in pair.items()})
    found = segment(dataset, on=on, cell_diameter=10)
    assert matched(found, truth_of(discs), least=0.8) == 2
    assert found.attrs["on"] == list(on)
    steps = segment_steps(dataset, on=on, cell_diameter=10)
    assert steps["projection"].values.tolist() == list(on)
    assert steps["contrast"].dims == ("projection", "y", "x")
    for number, name in enumerate("ab"):
        assert set(steps["source"].values[discs[number]].tolist()) <= {-1, on.index(name)}
    assert (steps["source"].values[steps["labels"].values == 0] == -1).all()
    assert len(steps.attrs["mask_level"]) == 2
    one = segment(dataset, on="a", cell_diameter=10)
    assert one.equals(segment(dataset["a"], cell_diameter=10))
    assert segment(dataset[["a"]], cell_diameter=10).equals(one)


def test_the_same_image_twice_is_the_image() -> None:
    image, _ = scene(23)
    dataset = xr.Dataset({"one": (("y", "x"), image), "two": (("y", "x"), 3 * image + 7)})
    both = segment(dataset, on=("one", "two"), cell_diameter=10)
    alone = segment(image, cell_diameter=10)
    assert len(both) == len(alone)
    assert matched(both, alone, least=0.9) == len(alone)


# -- what does not disturb -----------------------------------------------------------------------------------------


def test_a_bright_vessel_is_no_cell_and_hides_none_far_from_it() -> None:
    image, _ = scene(24)
    rows, columns = np.indices(image.shape)
    vessel = np.abs(columns - 40 - 0.5 * rows) < 4
    found = segment(image + 900.0 * scipy.ndimage.gaussian_filter(vessel.astype(float), 1), cell_diameter=10)
    usual = segment(image, cell_diameter=10)
    distance = scipy.ndimage.distance_transform_edt(~vessel).ravel()

    def far(rois: Rois) -> Rois:
        return rois.where([bool((distance[rois.row(n)] > 15).all()) for n in range(len(rois))])

    assert len(far(usual)) >= 8
    assert matched(far(found), far(usual), least=0.7) >= 0.8 * len(far(usual))
    assert len(found) <= len(usual) + 2


def test_saturation_keeps_the_cells() -> None:
    image, truth = scene(25)
    usual = matched(segment(image, cell_diameter=10), truth)
    clipped = np.minimum(image, np.percentile(image, 95))
    found = segment(clipped, cell_diameter=10)
    assert matched(found, truth) >= 0.9 * usual
    assert len(found) <= 1.1 * len(truth)


def test_a_crop_keeps_the_cells_inside() -> None:
    image, _ = scene(26)
    whole = segment(image, cell_diameter=10)
    part = segment(image[20:120, 30:140], cell_diameter=10)
    placed = np.zeros(image.shape, dtype=np.int64)
    placed[20:120, 30:140] = part.to_labels().values
    inside = np.zeros(image.shape, dtype=bool)
    inside[30:110, 40:130] = True
    kept = whole.where([bool(inside.ravel()[whole.row(n)].all()) for n in range(len(whole))])
    assert len(kept) >= 5
    assert matched(Rois.from_labels(placed), kept, least=0.8) >= len(kept) - 1


# -- what changes nothing ------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 50), gain=st.floats(1e-3, 1e3), offset=st.floats(-1000, 1000))
@settings(max_examples=8, deadline=None)
def test_gain_and_offset_leave_the_cells_as_they_are(seed: int, gain: float, offset: float) -> None:
    image, _ = scene(seed)
    found = segment(image, cell_diameter=10)
    scaled = segment(gain * (image + offset), cell_diameter=10)
    # rounding may move single pixels over a level
    assert len(found) == len(scaled)
    assert np.mean(found.to_labels().values != scaled.to_labels().values) < 1e-3


def test_a_power_of_two_leaves_every_pixel_as_it_is() -> None:
    image, _ = scene(3)
    assert segment(image, cell_diameter=10).equals(segment(64 * image, cell_diameter=10))


@given(down=st.integers(-15, 15), right=st.integers(-15, 15))
@settings(max_examples=8, deadline=None)
def test_shifting_the_image_shifts_the_cells(down: int, right: int) -> None:
    image, _ = scene(4)
    height, width = image.shape
    found = segment(image[15 : height - 15, 15 : width - 15], cell_diameter=10)
    shifted = segment(
        image[15 + down : height - 15 + down, 15 + right : width - 15 + right], cell_diameter=10
    )
    # both in the coordinates of the whole image, where neither has a border near
    placed = np.zeros((2, height, width), dtype=np.int64)
    placed[0, 15 : height - 15, 15 : width - 15] = found.to_labels()
    placed[1, 15 + down : height - 15 + down, 15 + right : width - 15 + right] = shifted.to_labels()
    whole = np.zeros((height, width), dtype=bool)
    whole[30 + 10 : height - 30 - 10, 30 + 10 : width - 30 - 10] = True
    first, second = (
        rois.where([bool(whole.ravel()[rois.row(n)].all()) for n in range(len(rois))])
        for rois in map(Rois.from_labels, placed)
    )
    assert len(first) >= 3
    assert matched(first, second, least=0.9) >= min(len(first), len(second)) - 1
    assert abs(len(first) - len(second)) <= 1


@pytest.mark.parametrize("value", [65535, -65535])
def test_one_hot_or_dead_pixel_changes_one_cell_at_most(value: float) -> None:
    image, _ = scene(5)
    found = segment(image, cell_diameter=10)
    for y, x in ((70, 75), (0, 0), (3, 149)):
        hot = image.copy()
        hot[y, x] = value
        changed = segment(hot, cell_diameter=10)
        assert matched(changed, found, least=0.9) >= len(found) - 1
        assert len(changed) <= len(found) + 1


def test_nan_is_in_no_cell_and_changes_none_far_away() -> None:
    image, _ = scene(6)
    found = segment(image, cell_diameter=10)
    holed = image.copy()
    holed[:, :12] = np.nan
    holed[:-1, 5] = np.inf
    holed[-1, 5] = image[-1, 5]
    holed[100, 100] = np.nan
    holed[::37, ::41] = np.inf
    changed = segment(holed, cell_diameter=10)
    assert not changed.to_mask().values[~np.isfinite(holed)].any()
    far = found.where(
        [rows.min() > 40 for rows in (np.divmod(found.row(n), 150)[1] for n in range(len(found)))]
    )
    assert matched(changed, far, least=0.8) >= len(far) - 1


def test_missing_pixels_are_no_edge() -> None:
    shape = (80, 100)
    discs = [disc(*centre, 10, shape) for centre in ((20, 20), (20, 60), (60, 20), (60, 60))]
    image = 1000 + 8.0 * np.indices(shape)[1] + 60 * np.sum(discs, axis=0)
    image += np.random.default_rng(0).normal(0, 3, shape)
    image[:, 80:] = np.nan
    found = segment(image, cell_diameter=10)
    assert len(found) == 4
    assert matched(found, truth_of(discs), least=0.7) == 4


def test_the_image_given_is_left_alone() -> None:
    image, _ = scene(7)
    image[5, 5] = np.nan
    before = image.copy()
    segment(image, cell_diameter=10)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_any_dtype(dtype: str) -> None:
    image = np.rint(scene(8)[0])
    expected = segment(image, cell_diameter=10)
    assert segment(image.astype(dtype), cell_diameter=10).equals(expected)


# -- nothing to find -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("diameter", [6, 10, 16])
def test_noise_alone_has_no_cells(diameter: float) -> None:
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(100, 10, (200, 200))
        assert len(segment(noise, cell_diameter=diameter)) == 0
        assert len(segment(noise, cell_diameter=diameter, min_snr=0, min_contrast=0)) > 0


@pytest.mark.parametrize("value", [0.0, 0.1, 1234.567])
def test_a_flat_image_has_no_cells(value: float) -> None:
    image = np.full((50, 60), value)
    assert len(segment(image, cell_diameter=10, min_snr=0, min_contrast=0)) == 0
    image[20, 20] = 65535
    assert len(segment(image, cell_diameter=10)) == 0


def test_no_cells_are_rois_of_the_frame_all_the_same() -> None:
    image = micrometres(np.ones((30, 40)), (1, 1))
    found = segment(image)
    assert found.shape == (30, 40)
    assert found.frame.units == "micrometer"
    assert int(segment_steps(image)["labels"].max()) == 0


@given(
    y=st.floats(12, 38),
    x=st.floats(12, 58),
    height=st.floats(1e-3, 1e5),
    offset=st.floats(-1e4, 1e4),
)
@settings(max_examples=20, deadline=None)
def test_one_clean_cell_is_one_cell(y: float, x: float, height: float, offset: float) -> None:
    cell = disc(y, x, 9, (50, 70))
    found = segment(offset + height * cell, cell_diameter=9)
    assert len(found) == 1
    assert matched(found, truth_of([cell]), least=0.8) == 1


# -- units and steps -----------------------------------------------------------------------------------------------


def test_micrometres_follow_the_pixel_size() -> None:
    image, _ = scene(9)
    pixels = segment(image, cell_diameter="10 px")
    assert pixels.equals(segment(image, cell_diameter=np.int64(10)))
    labelled = segment(micrometres(image, (1.2, 1.2)))
    assert labelled.frame.units == "micrometer"
    np.testing.assert_array_equal(labelled.to_labels().values, pixels.to_labels().values)


def test_pixels_need_not_be_square() -> None:
    shape = (60, 100)
    rows, columns = np.indices(shape)
    ovals = [np.hypot((rows - y) * 2, columns - x) <= 7 for y, x in ((15, 30), (30, 60), (45, 20), (44, 80))]
    image = scipy.ndimage.gaussian_filter(100 + 50.0 * np.sum(ovals, axis=0), (0.5, 1))
    found = segment(micrometres(image, (2, 1)), cell_diameter="14 um")
    assert len(found) == 4
    assert matched(found, truth_of(ovals), least=0.75) == 4
    assert matched(segment(image, cell_diameter=14), truth_of(ovals), least=0.75) == 0


def test_steps_are_those_of_segment() -> None:
    image = micrometres(scene(10)[0], (1.2, 1.2))
    image[3, 3] = 65535
    image[50, 60] = np.nan
    steps, found = segment_steps(image), segment(image)
    np.testing.assert_array_equal(steps["labels"].values, found.to_labels().values)
    xr.testing.assert_identical(steps["labels"].coords.to_dataset(), image.coords.to_dataset())
    assert list(steps) == [
        "image", "background", "contrast", "mask", "basins", "labels", "overlap", "level",
    ]  # fmt: skip
    assert float(steps["image"][3, 3]) < 1000
    assert np.isnan(steps["image"][50, 60])
    assert np.isnan(steps["contrast"][50, 60])
    cells = steps["labels"].values > 0
    mask, basins = steps["mask"].values, steps["basins"].values
    np.testing.assert_array_equal(mask, basins > 0)
    assert mask[cells].all()
    assert (steps["overlap"].values[cells] >= 0.55).all()
    assert np.isnan(steps["overlap"].values[~cells]).all()
    assert (steps["level"].values[cells] >= steps.attrs["mask_level"]).all()
    assert found.attrs == steps.attrs
    assert found.attrs["cell_diameter"] == "12 um"
    assert json.loads(json.dumps(found.attrs)) == found.attrs


def test_cells_are_like_the_disc_and_numbered_in_raster_order() -> None:
    image, _ = scene(13)
    found = segment(image, cell_diameter=10)
    area = np.pi * 25
    assert found.ids.tolist() == list(range(1, len(found) + 1))
    assert (np.diff(found.pixels[found.indptr[:-1]]) > 0).all()
    y, x = np.divmod(found.pixels, image.shape[1])
    inside = (y > 0) & (y < image.shape[0] - 1) & (x > 0) & (x < image.shape[1] - 1)
    whole = np.logical_and.reduceat(inside, found.indptr[:-1])
    assert (found.n_pixels[whole] >= 0.55 * area * 0.95).all()
    assert (found.n_pixels <= area / 0.55 * 1.05).all()
    for number in range(len(found)):
        _, parts = scipy.ndimage.label(found[number].to_mask().values, np.ones((3, 3)))
        assert parts == 1


def test_each_step_answers_to_its_parameter() -> None:
    image, _ = scene(14)
    usual = segment_steps(image, cell_diameter=10)

    def other(**parameters: Any) -> xr.Dataset:
        return segment_steps(image, cell_diameter=10, **parameters)

    assert other(smoothing=0.3)["contrast"].std() < usual["contrast"].std()
    assert other(background=3)["background"].std() < usual["background"].std()
    assert other(k=3)["mask"].sum() < usual["mask"].sum()
    assert other(max_hole=0)["mask"].sum() <= usual["mask"].sum()
    assert other(opening=0)["mask"].sum() > usual["mask"].sum()
    assert other(seed_distance=0.2)["basins"].max() > usual["basins"].max()
    assert other(n_levels=1)["labels"].max() < usual["labels"].max()
    assert other(min_overlap=0.8)["labels"].max() < usual["labels"].max()
    assert other(min_contrast=8)["labels"].max() < usual["labels"].max()
    assert other(min_snr=100)["labels"].max() < usual["labels"].max()


# -- bad input -----------------------------------------------------------------------------------------------------


def test_micrometres_need_a_pixel_size() -> None:
    with pytest.raises(MetadataError, match="cell_diameter='12 um' is in micrometres") as caught:
        segment(np.ones((50, 50)))
    assert '"10 px"' in caught.value.next_step


def test_a_lazy_image_is_refused() -> None:
    with pytest.raises(LazyInputError, match="not computed"):
        segment(micrometres(np.ones((50, 50)), (1, 1)).chunk(y=10))


@pytest.mark.parametrize(
    ("given_arguments", "message"),
    [
        ({"cell_diameter": "ten"}, "'ten' is no length"),
        ({"cell_diameter": 1}, "1 x 1 pixels in an image of 50 x 60, expected 2 pixels or more"),
        ({"cell_diameter": "61 px"}, "61 x 61 pixels"),
        ({"cell_diameter": float("nan")}, "nan x nan pixels"),
        ({"smoothing": -0.1}, "smoothing=-0.1, expected a finite number >= 0"),
        ({"k": float("inf")}, "k=inf"),
        ({"background": 0.1}, "background=0.1 is no wider than smoothing=0.12"),
        ({"n_levels": 0}, "n_levels=0, expected 1"),
        ({"n_levels": 2.5}, "n_levels=2.5, expected 1"),
        ({"min_overlap": 1.2}, "min_overlap=1.2, expected 0 to 1"),
        ({"min_overlp": 0.5}, "segment has no option 'min_overlp'; did you mean 'min_overlap'?"),
        ({"diameter": 0.5}, "segment has no option 'diameter'; options are smoothing"),
        ({"cell_diameter": "auto"}, "finds nothing bright and round in the image of 50 x 60"),
        ({"on": "mean"}, "on='mean' chooses from several images, but one was given"),
    ],
)
def test_bad_arguments_are_named(given_arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        segment(np.ones((50, 60)), **({"cell_diameter": 10} | given_arguments))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("on", "message"),
    [
        (None, "the Dataset holds a, b; choose with on="),
        ("mean", "there is no image 'mean'; there are a, b"),
        (("a", "mean"), "there is no image 'mean'"),
        ((), "expected one or more different names"),
        (("a", "a"), "expected one or more different names"),
    ],
)
def test_images_that_cannot_be_chosen(on: Any, message: str) -> None:
    dataset = xr.Dataset({"a": (("y", "x"), np.ones((50, 60))), "b": (("y", "x"), np.ones((50, 60)))})
    with pytest.raises(ArgumentError) as caught:
        segment(dataset, on=on, cell_diameter=10)
    assert message in str(caught.value)


@pytest.mark.parametrize("dtype", [bool, complex])
def test_what_is_no_image_is_refused(dtype: type) -> None:
    with pytest.raises(ArgumentError, match="expected (integers or floats|real numbers)"):
        segment(np.ones((20, 30), dtype=dtype), cell_diameter=10)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_without_a_finite_pixel_is_refused(value: float) -> None:
    with pytest.raises(ArgumentError, match="none of the image's 600 pixels is finite"):
        segment(np.full((20, 30), value), cell_diameter=10)
