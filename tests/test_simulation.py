from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import roitrace.simulation.truth
from roitrace.errors import ArgumentError, BudgetError, OutputExistsError, StoreError
from roitrace.frame import frame_of
from roitrace.kernels.detector import normal_quantiles
from roitrace.recording import open_recording
from roitrace.simulation import SimulatedSource, load_truth, simulate
from roitrace.simulation.source import SimulationOptions

SHAPE = (60, 70, 90)
# nothing but the cells: every other part off
BARE: dict[str, Any] = {
    "noise": False,
    "dtype": "float64",
    "background": 0,
    "haze": 0,
    "texture": 0,
    "vignetting": 0,
    "bleaching": 0,
    "hot_pixels": 0,
}


def make(**options: Any) -> SimulatedSource:
    return SimulatedSource(**({"shape": SHAPE, "n_rois": 12, "seed": 5} | options))


def whole(source: SimulatedSource) -> np.ndarray:
    n_frames, height, width = source.shape
    return source.read(slice(0, n_frames), slice(0, height), slice(0, width))


def clean(**options: Any) -> np.ndarray:
    """Expected counts, everything on but noise and hot pixels."""
    return whole(make(**({"noise": False, "dtype": "float64", "hot_pixels": 0} | options)))


def light(**options: Any) -> np.ndarray:
    """Expected photons."""
    source = make()
    return (clean(**options) - source.detector_offset) / source.detector_gain


# -- one recording, whichever way it is read ---------------------------------------------------------------------


def part(size: int) -> st.SearchStrategy[slice]:
    return st.tuples(st.integers(0, size - 1), st.integers(1, size)).map(
        lambda at: slice(at[0], min(sum(at), size))
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"noise": False, "dtype": "float64"}, {"dtype": "float32", "shot_noise": False, "hot_pixels": 200}],
    ids=["default", "clean", "read noise only"],
)
@given(time=part(SHAPE[0]), y=part(SHAPE[1]), x=part(SHAPE[2]))
@settings(max_examples=40, deadline=None)
def test_a_block_has_the_same_bits_however_it_is_cut_out(
    options: dict[str, Any], time: slice, y: slice, x: slice
) -> None:
    source = make(**options)
    block = source.read(time, y, x)
    assert block.dtype == source.dtype
    assert block.tobytes() == whole(source)[time, y, x].tobytes()


def test_a_copy_sent_elsewhere_draws_the_same_recording() -> None:
    source = make(haze_scale="40 um")
    sent = pickle.dumps(source)
    assert len(sent) < 4000
    roitrace.simulation.scene.draw_scene.cache_clear()
    assert pickle.loads(sent) == source
    first = whole(pickle.loads(sent))
    roitrace.simulation.scene.draw_scene.cache_clear()
    np.testing.assert_array_equal(whole(source), first)


def test_identity_is_that_of_the_parameters() -> None:
    assert make().identity() == make(haze=np.float32(6), dtype=np.dtype(">u2"), shape=[60, 70, 90]).identity()
    assert make().identity() != make(seed=6).identity()
    assert make(noise=False).identity() != make().identity()
    assert SimulatedSource(**make(haze=3).parameters()) == make(haze=3)


def test_seeds_give_different_scenes_and_noise() -> None:
    one, other = whole(make(seed=1)), whole(make(seed=2))
    assert not make(seed=1).scene().rois.equals(make(seed=2).scene().rois)
    assert np.mean(one == other) < 0.05
    noise = [whole(make(seed=seed, n_rois=0, haze=0, texture=0)).astype(float).ravel() for seed in (1, 2)]
    assert abs(np.corrcoef(noise)[0, 1]) < 0.05


def test_every_option_is_an_attribute_and_every_attribute_an_option() -> None:
    names = [one.name for one in dataclasses.fields(SimulatedSource) if one.init]
    assert names == ["shape", "n_rois", "seed", *SimulationOptions.__annotations__]


# -- light ---------------------------------------------------------------------------------------------------------


def test_expected_light_is_the_sum_of_its_parts() -> None:
    cells = light(background=0, haze=0)
    steady = light(haze=0, brightness=0)
    haze = light(background=0, brightness=0)
    for one in (cells, steady, haze):
        assert one.max() > 0.5
    np.testing.assert_allclose(light(), cells + steady + haze, rtol=1e-12)


def test_cells_are_footprints_times_their_fluorescence() -> None:
    source = make(**BARE)
    scene = source.scene()
    levels = scene.brightness * (1 + scene.activity.dff(0, SHAPE[0], np.arange(12)))
    expected = np.einsum("tr,ryx->tyx", levels, scene.rois.to_masks().values)
    photons = (whole(source) - source.detector_offset) / source.detector_gain
    np.testing.assert_allclose(photons, expected, atol=1e-11)


def test_vignetting_darkens_towards_the_corners() -> None:
    ratio = light(vignetting=0.4) / light(vignetting=0)
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape), rtol=1e-12)
    image = ratio[0]
    assert image.min() == pytest.approx(0.6)
    assert image.min() == min(image[0, 0], image[0, -1], image[-1, 0], image[-1, -1])
    assert image.max() == pytest.approx(1, abs=1e-3)
    assert np.all(np.diff(image, n=2, axis=0) < 0)


def test_bleaching_is_a_double_exponential() -> None:
    ratio = light(bleaching=0.3, bleaching_times=(0.5, 4.0)) / light(bleaching=0)
    seconds = np.arange(SHAPE[0]) / 30
    left = np.exp(-seconds / 0.5) / 3 + np.exp(-seconds / 4) * 2 / 3
    np.testing.assert_allclose(
        ratio, np.broadcast_to((0.7 + 0.3 * left)[:, None, None], ratio.shape), rtol=1e-12
    )


def test_texture_is_a_fixed_pattern_of_background_and_haze_alone() -> None:
    ratio = light(texture=0.2, brightness=0) / light(texture=0, brightness=0)
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape), rtol=1e-6)
    assert ratio[0].mean() == pytest.approx(1, abs=1e-5)
    assert ratio[0].std() == pytest.approx(0.2, rel=0.1)
    np.testing.assert_array_equal(
        light(texture=0.2, background=0, haze=0), light(texture=0, background=0, haze=0)
    )


def test_gain_and_offset_turn_photons_into_counts() -> None:
    photons = clean(detector_gain=1, detector_offset=0)
    np.testing.assert_allclose(clean(detector_gain=7, detector_offset=-30), 7 * photons - 30, rtol=1e-12)


def test_texture_is_as_coarse_as_asked() -> None:
    def neighbours(scale: str) -> float:
        image = make(texture=0.1, texture_scale=scale, n_rois=0).scene().still.light.texture
        return float(np.corrcoef(image[1:].ravel(), image[:-1].ravel())[0, 1])

    assert neighbours("0.4 um") < 0.6
    assert neighbours("3 um") > 0.9


# -- haze ------------------------------------------------------------------------------------------------------------


def haze(**options: Any) -> np.ndarray:
    """Fluctuating haze of an empty field, photons (time, y, x)."""
    source = make(
        **(BARE | {"brightness": 0, "haze": 5, "shape": (1500, 60, 60), "haze_scale": "20 um"} | options)
    )
    return (
        source.read(slice(0, 1500), slice(0, 60), slice(0, 60)) - source.detector_offset
    ) / source.detector_gain


def test_haze_keeps_its_mean_and_fluctuates_as_much_as_asked() -> None:
    images = haze(haze_fluctuation=0.15, haze_correlation=0, haze_time=1)
    assert images.min() > 0
    assert images.mean() == pytest.approx(5, rel=0.02)
    assert images.std(axis=0).mean() / 5 == pytest.approx(0.15, rel=0.15)
    np.testing.assert_allclose(haze(haze_fluctuation=0), 5)


def test_haze_is_smooth_in_space_and_slow_in_time() -> None:
    images = haze(haze_correlation=0, haze_time=2)
    deviation = images.std()
    assert np.abs(np.diff(images, axis=0)).max() < 0.15 * deviation
    assert np.abs(np.diff(images, axis=1)).max() < 0.5 * deviation
    slow = haze(haze_correlation=0, haze_time=8)
    assert np.abs(np.diff(slow, axis=0)).mean() < 0.5 * np.abs(np.diff(images, axis=0)).mean()


def test_haze_follows_the_activity_of_the_cells_as_far_as_asked() -> None:
    def agreement(correlation: float) -> float:
        options = {"haze_correlation": correlation, "haze_scale": "60 um", "event_rate": 0.05, "haze_time": 1}
        source = make(shape=(1500, 60, 60), **options)
        activity = source.scene().activity.dff(0, 1500, np.arange(12)).mean(axis=1)
        return float(np.corrcoef(haze(**options).mean(axis=(1, 2)), activity)[0, 1])

    assert abs(agreement(0)) < 0.35
    assert agreement(1) > 0.5
    assert agreement(1) > agreement(0.5) > agreement(0)


# -- detector --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [0.01, 0.05, 0.5, 3.0, 50.0, 1000.0])
def test_shot_noise_has_the_moments_of_a_poisson_variable(mean: float) -> None:
    n = 10**6
    source = make(
        **BARE
        | {
            "shape": (100, 100, 100),
            "n_rois": 0,
            "background": mean,
            "noise": True,
            "read_noise": 0,
            "detector_gain": 1,
        }
    )
    photons = whole(source).ravel() - source.detector_offset
    assert photons.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / n))
    assert photons.var() == pytest.approx(mean, rel=5 * np.sqrt((2 + 1 / mean) / n))
    if mean >= 1:
        assert scipy.stats.skew(photons) == pytest.approx(mean**-0.5, rel=0.02, abs=0.0125)


def test_no_light_makes_no_shot_noise() -> None:
    source = make(**BARE | {"n_rois": 0, "noise": True, "read_noise": 0})
    assert np.all(whole(source) == source.detector_offset)


@pytest.mark.parametrize("shot_noise", [False, True])
def test_read_noise_is_normal_and_independent_between_pixels_and_frames(shot_noise: bool) -> None:
    options = {
        "shape": (100, 100, 100),
        "n_rois": 0,
        "noise": True,
        "read_noise": 8,
        "shot_noise": shot_noise,
    }
    noise = whole(make(**BARE | options)) - 100
    assert noise.mean() == pytest.approx(0, abs=5 * 8 / 1000)
    assert noise.std() == pytest.approx(8, rel=0.005)
    assert scipy.stats.kurtosis(noise.ravel()) == pytest.approx(0, abs=0.025)
    for axis in range(3):
        along = np.moveaxis(noise, axis, 0)
        assert abs(np.corrcoef(along[1:].ravel(), along[:-1].ravel())[0, 1]) < 0.005


def test_shot_and_read_noise_add_independently() -> None:
    options = {"shape": (100, 100, 100), "n_rois": 0, "background": 9, "detector_gain": 10, "read_noise": 40}
    both = whole(make(**BARE | options | {"noise": True}))
    assert both.std() == pytest.approx(np.hypot(30, 40), rel=0.005)


def test_noise_false_leaves_the_scene_as_it_is() -> None:
    still = {
        "bleaching": 0,
        "haze": 0,
        "amplitude": 0,
        "shape": (400, 40, 40),
        "n_rois": 3,
        "dtype": "float64",
    }
    noisy, expected = whole(make(**still)), whole(make(noise=False, **still))
    assert (
        np.array_equal(expected, np.broadcast_to(expected[0], expected.shape)) is False
    )  # hot pixels flicker
    error = (noisy.mean(axis=0) - expected.mean(axis=0)) / np.sqrt((20 * (expected[0] - 100) + 100) / 400)
    cold = expected.std(axis=0) == 0
    assert np.abs(error[cold]).max() < 5


def test_normal_quantiles_are_normal() -> None:
    values = normal_quantiles().astype(np.float64)
    assert values.size == 65536
    assert values.mean() == 0
    assert values.std() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(
        values[64:-64], scipy.stats.norm.ppf((np.arange(65536) + 0.5) / 65536)[64:-64], rtol=1e-3
    )


def test_hot_pixels_add_their_level_always_or_half_of_the_time() -> None:
    added = clean(hot_pixels=40, hot_level=1000, hot_flicker=0.25) - clean()
    on = np.abs(added) > 1
    assert np.count_nonzero(on.any(axis=0)) == 40
    share = on.mean(axis=0)
    assert np.count_nonzero(share == 1) == 30
    flickering = share[(share > 0) & (share < 1)]
    assert flickering.size == 10
    assert 0.3 < flickering.mean() < 0.7
    assert 500 <= added[on].min() < added[on].max() <= 1500
    np.testing.assert_array_equal(added[~on], 0)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32"])
def test_integers_are_rounded_and_saturate(dtype: str) -> None:
    options = {"hot_pixels": 5, "hot_level": 1e6, "detector_offset": -50, "noise": True}
    info = np.iinfo(dtype)
    expected = np.clip(np.floor(clean(**options) + 0.5), info.min, info.max).astype(dtype)
    np.testing.assert_array_equal(whole(make(dtype=dtype, **options)), expected)
    if info.bits <= 16:
        assert expected.max() == info.max
    if info.min == 0:
        assert expected.min() == 0


def test_float32_is_the_float64_recording_narrowed() -> None:
    np.testing.assert_array_equal(
        whole(make(dtype="float32")), whole(make(dtype="float64")).astype(np.float32)
    )


# -- cells -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("touching", "overlapping"), [(0.0, 0.0), (0.4, 0.2), (0.0, 1.0), (1.0, 0.0)])
def test_as_many_cells_touch_and_overlap_as_asked(touching: float, overlapping: float) -> None:
    source = make(shape=(1, 200, 200), n_rois=40, touching=touching, overlapping=overlapping)
    rois = source.scene().rois
    shared = rois.overlap_fraction()
    assert np.mean(shared > 0) == pytest.approx(overlapping)
    assert np.all(shared[shared > 0] > 0.1)
    assert np.all(shared < 0.65)
    masks = rois.to_masks().values > 0
    alone = 0
    side_by_side = 0
    for number, mask in enumerate(masks):
        others = np.delete(masks, number, axis=0).any(axis=0)
        near = scipy.ndimage.binary_dilation(mask, np.ones((3, 3))) & others
        far = scipy.ndimage.binary_dilation(mask, np.ones((5, 5))) & others
        alone += not far.any()
        side_by_side += bool(near.any()) and shared[number] == 0
    assert side_by_side == round(touching * 40)
    assert alone == 40 - round((touching + overlapping) * 40)


def test_cells_are_whole_somas_of_the_diameter_asked_for() -> None:
    source = make(
        shape=(1, 400, 400), n_rois=150, diameter_spread=0.1, cell_diameter="15 um", overlapping=0, touching=0
    )
    rois = source.scene().rois
    diameter = 2 * np.sqrt(rois.n_pixels / np.pi) * 1.2
    assert diameter.mean() == pytest.approx(15, rel=0.05)
    assert np.log(diameter).std() == pytest.approx(0.1, abs=0.04)
    for roi, mask in zip(rois, rois.to_masks().values, strict=True):
        assert scipy.ndimage.label(mask > 0)[1] == 1
        assert roi.weights is not None
        assert roi.weights.max() == 1
        assert roi.weights.min() >= 0.2
    assert np.array_equal(rois.ids, np.arange(1, 151))
    assert np.all(np.diff([int(rois.row(n)[0]) for n in range(150)]) > 0)


def test_irregularity_and_nucleus_shape_the_footprint() -> None:
    def one(**options: Any) -> np.ndarray:
        options = {
            "shape": (1, 80, 80),
            "n_rois": 1,
            "diameter_spread": 0,
            "cell_diameter": "30 px",
        } | options
        rois = make(**options).scene().rois
        y, x = np.divmod(rois.pixels, 80)
        return rois.to_masks().values[0][y.min() : y.max() + 1, x.min() : x.max() + 1]

    round_cell = one(irregularity=0, nucleus=0)
    assert round_cell.shape == (31, 31)
    np.testing.assert_allclose(round_cell, round_cell.T, atol=1e-12)
    assert np.abs(one(irregularity=0.2, nucleus=0).shape - np.array([31, 31])).max() > 0
    assert round_cell[15, 15] == 1
    assert one(irregularity=0, nucleus=0.4)[15, 15] == pytest.approx(0.6)
    assert one(irregularity=0, nucleus=0.9)[15, 15] == 0


def test_pixels_that_are_not_square_leave_cells_round_in_micrometres() -> None:
    rois = (
        make(shape=(1, 200, 200), pixel_size=(0.6, 1.8), n_rois=10, irregularity=0, touching=0, overlapping=0)
        .scene()
        .rois
    )
    assert rois.frame.pixel_size == pytest.approx((0.6, 1.8))
    for number in range(10):
        y, x = np.divmod(rois.row(number), 200)
        assert (np.ptp(y) * 0.6) / (np.ptp(x) * 1.8) == pytest.approx(1, abs=0.3)


def test_brightness_is_log_normal() -> None:
    options = {"shape": (1, 500, 500), "n_rois": 400, "brightness": 10, "touching": 0, "overlapping": 0}
    level = make(brightness_spread=0.5, **options).scene().brightness
    assert np.median(level) == pytest.approx(10, rel=0.1)
    assert np.log(level).std() == pytest.approx(0.5, rel=0.1)
    np.testing.assert_array_equal(make(brightness_spread=0, **options).scene().brightness, 10)


def test_options_of_one_part_leave_the_others_alone() -> None:
    reference = make().scene()
    brighter = make(brightness=50, brightness_spread=1, haze=0, texture=0, noise=False).scene()
    assert brighter.rois.equals(reference.rois)
    np.testing.assert_array_equal(
        brighter.activity.dff(0, 60, np.arange(12)), reference.activity.dff(0, 60, np.arange(12))
    )
    busier = make(event_rate=3, haze_correlation=0).scene()
    assert busier.rois.equals(reference.rois)
    np.testing.assert_array_equal(busier.brightness, reference.brightness)


# -- activity --------------------------------------------------------------------------------------------------------


def test_dff_is_the_spikes_convolved_with_the_transient_of_the_cell() -> None:
    source = make(shape=(3000, 70, 90), cell_variation=0.3)
    activity = source.scene().activity
    assert np.ptp(activity.decay) > 0.1
    dff, spikes = activity.dff(0, 3000, np.arange(12)), activity.spike_counts(0, 3000)
    seconds = np.arange(3000) / 30
    for cell in range(12):
        rise, decay = activity.rise[cell], activity.decay[cell]
        transient = -np.expm1(-seconds / rise) * np.exp(-seconds / decay)
        fine = np.linspace(0, 5 * decay, 200_001)
        transient *= activity.amplitude[cell] / np.max(-np.expm1(-fine / rise) * np.exp(-fine / decay))
        expected = np.convolve(spikes[:, cell], transient)[:3000]
        np.testing.assert_allclose(dff[:, cell], expected, atol=2e-6 * max(spikes[:, cell].sum(), 1))


def test_cells_fire_as_often_as_asked_and_in_bursts() -> None:
    options = {"shape": (9000, 200, 200), "n_rois": 50, "event_rate": 0.4, "cell_variation": 0}
    single = make(burst_probability=0, **options).scene().activity.spikes.counts.sum()
    expected = 0.4 * 300 * 50
    assert single == pytest.approx(expected, abs=5 * np.sqrt(expected))
    bursts = make(burst_probability=0.5, burst_spikes=5, **options).scene().activity
    assert bursts.spikes.counts.sum() == pytest.approx(expected * 3, rel=0.08)
    train = bursts.spike_counts(0, 9000)
    assert train.sum(axis=1).max() < 50
    pairs = np.mean(train[:-1] * train[1:]) / train.mean() ** 2
    assert pairs > 5
    silent = make(**options | {"event_rate": 0}).scene().activity
    assert silent.dff(0, 100, np.arange(50)).max() == 0


# -- truth and store -------------------------------------------------------------------------------------------------


def test_truth_agrees_with_the_noise_free_recording(tmp_path: Any) -> None:
    options = {
        "shape": (200, 70, 90),
        "n_rois": 12,
        "seed": 5,
        "noise": False,
        "dtype": "float64",
        "hot_pixels": 0,
    }
    options |= {"overlapping": 0.5, "event_rate": 0.5}
    path = simulate(tmp_path / "clean.zarr", **options)
    truth = load_truth(path)
    source = SimulatedSource(**options)
    assert SimulatedSource(**truth.parameters) == source
    assert truth.rois.equals(source.scene().rois)
    traces = truth.traces.load()
    recording = open_recording(path)
    assert truth.rois.frame.same_as(frame_of(recording))
    np.testing.assert_array_equal(traces["time"], recording["time"])
    assert traces.attrs["frame_rate"] == recording.attrs["frame_rate"] == 30
    assert traces["time"].attrs == recording["time"].attrs

    images = recording.values.reshape(200, -1)
    rows = [truth.rois.row(number) for number in range(12)]
    mean = np.stack([images[:, row].mean(axis=1) for row in rows])
    np.testing.assert_allclose(traces["total"], mean, rtol=1e-10)

    def under_masks(**change: Any) -> np.ndarray:
        part = whole(SimulatedSource(**(options | change))).reshape(200, -1) - source.detector_offset
        return np.stack([part[:, row].mean(axis=1) for row in rows])

    np.testing.assert_allclose(traces["neuropil"], under_masks(brightness=0), rtol=1e-6)  # float32 texture
    at_rest = under_masks(amplitude=0, haze_fluctuation=0)
    own = traces["own"].values
    change = own - own / (1 + traces["dff"].values)
    np.testing.assert_allclose(traces["visible_dff"], change / at_rest, atol=1e-9)

    dark = (
        whole(SimulatedSource(**(options | {"background": 0, "haze": 0}))).reshape(200, -1)
        - source.detector_offset
    )
    rest = whole(SimulatedSource(**(options | {"background": 0, "haze": 0, "amplitude": 0}))).reshape(200, -1)
    rest -= source.detector_offset
    alone = np.flatnonzero(truth.rois.overlap_fraction() == 0)
    assert 0 < alone.size < 12
    assert traces["dff"].max() > 0.5
    for number in alone:
        row = rows[number]
        np.testing.assert_allclose(
            dark[:, row] / rest[:, row] - 1, np.tile(traces["dff"][number], (row.size, 1)).T, atol=1e-6
        )
        np.testing.assert_allclose(traces["own"][number], dark[:, row].mean(axis=1), rtol=1e-10)
    np.testing.assert_array_equal(traces["spikes"], source.scene().activity.spike_counts(0, 200).T)


def test_truth_is_the_same_in_many_blocks(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"shape": (100, 40, 40), "n_rois": 3, "seed": 1}
    one = load_truth(simulate(tmp_path / "one.zarr", **options)).traces.load()
    monkeypatch.setattr(roitrace.simulation.truth, "_BLOCK", 3 * 32)
    many = load_truth(simulate(tmp_path / "many.zarr", **options)).traces.load()
    assert many["dff"].encoding["chunks"] == (3, 32)
    assert {str(name) for name in many["dff"].coords} == {"time", "roi", "roi_id", "accepted"}
    xr.testing.assert_allclose(one, many, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_simulate_writes_what_the_source_says(tmp_path: Any, dtype: str) -> None:
    calls: list[tuple[int, int]] = []
    options = {
        "shape": (300, 48, 80),
        "n_rois": 4,
        "seed": 2,
        "dtype": dtype,
        "frame_rate": 12.5,
        "pixel_size": (2, 1),
    }
    path = simulate(
        str(tmp_path / "demo.zarr"), progress=lambda *counts: calls.append(counts), workers=2, **options
    )
    assert path == tmp_path / "demo.zarr"
    recording = open_recording(path)
    assert recording.dtype == dtype
    np.testing.assert_array_equal(recording.values, whole(SimulatedSource(**options)))
    np.testing.assert_allclose(recording["time"], np.arange(300) / 12.5)
    np.testing.assert_array_equal(recording["y"], 2.0 * np.arange(48))
    assert recording["x"].attrs["units"] == "micrometer"
    assert calls
    assert calls[-1][0] == calls[-1][1]


def test_a_field_without_cells_has_a_truth_too(tmp_path: Any) -> None:
    truth = load_truth(simulate(tmp_path / "empty.zarr", shape=(30, 32, 32), n_rois=0, seed=0))
    assert len(truth.rois) == 0
    assert dict(truth.traces.sizes) == {"roi": 0, "time": 30}


def test_what_is_there_is_replaced_only_when_asked(tmp_path: Any) -> None:
    options: dict[str, Any] = {"shape": (20, 40, 40), "n_rois": 2}
    path = simulate(tmp_path / "demo.zarr", seed=1, **options)
    before = open_recording(path).values
    with pytest.raises(OutputExistsError, match=r"demo\.zarr exists"):
        simulate(path, seed=2, **options)
    assert load_truth(path).parameters["seed"] == 1
    np.testing.assert_array_equal(open_recording(path).values, before)
    simulate(path, seed=2, overwrite=True, **options)
    assert load_truth(path).parameters["seed"] == 2
    assert not np.array_equal(open_recording(path).values, before)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["demo.truth.zarr", "demo.zarr"]


def test_a_truth_alone_is_not_overwritten(tmp_path: Any) -> None:
    options: dict[str, Any] = {"shape": (20, 40, 40), "n_rois": 2, "seed": 1}
    path = simulate(tmp_path / "demo.zarr", **options)
    path.rename(tmp_path / "moved.zarr")
    with pytest.raises(OutputExistsError, match=r"the truth .*demo\.truth\.zarr exists"):
        simulate(path, **options)
    assert not path.exists()


def test_load_truth_says_what_is_missing(tmp_path: Any) -> None:
    with pytest.raises(StoreError, match=r"no truth at .*none\.truth\.zarr"):
        load_truth(tmp_path / "none.zarr")
    path = simulate(tmp_path / "demo.zarr", shape=(20, 40, 40), n_rois=2, seed=1)
    place = tmp_path / "demo.truth.zarr"
    assert load_truth(place).rois.equals(load_truth(path).rois)
    root = (place / "zarr.json").read_text()
    (place / "zarr.json").write_text(root.replace("roitrace truth", "something else"))
    with pytest.raises(StoreError, match="no finished truth"):
        load_truth(path)
    (place / "zarr.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        load_truth(path)


def test_a_budget_too_small_is_refused(tmp_path: Any) -> None:
    with pytest.raises(BudgetError, match="budget"):
        simulate(tmp_path / "demo.zarr", shape=(20, 40, 40), n_rois=2, seed=1, budget="1 MiB")


# -- wrong calls -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (10, 20)}, r"shape=\(10, 20\), expected three counts"),
        ({"shape": (0, 20, 20)}, "expected three counts"),
        ({"shape": (10, 20.5, 20)}, "expected three counts"),
        ({"n_rois": -1}, "n_rois=-1, expected an integer >= 0"),
        ({"n_rois": 2.5}, "n_rois=2.5"),
        ({"seed": "x"}, "seed='x'"),
        ({"hot_pixels": 70 * 90 + 1}, "a frame has 6300 pixels"),
        ({"pixel_size": (1.0, 0.0)}, "pixel_size=.*expected two numbers > 0"),
        ({"pixel_size": (1.0,)}, "expected two numbers"),
        ({"bleaching_times": (1.0, np.nan)}, "bleaching_times=.*expected two numbers > 0"),
        ({"cell_diameter": "0 um"}, "cell_diameter='0 um', expected a length > 0"),
        ({"haze_scale": "3 s"}, "'3 s' is no length"),
        ({"nucleus": 1.5}, "nucleus=1.5, expected a number >= 0 and <= 1"),
        ({"frame_rate": 0}, "frame_rate=0, expected a number > 0"),
        ({"haze": np.nan}, "haze=nan"),
        ({"haze": "much"}, "haze='much', expected a number >= 0"),
        ({"detector_offset": np.inf}, "detector_offset=inf"),
        ({"touching": 0.7, "overlapping": 0.7}, "add up to more than 1"),
        ({"dtype": "complex64"}, "dtype='complex64'"),
        ({"dtype": "pixels"}, "dtype='pixels'"),
    ],
)
def test_parameters_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make(**options)


def test_cells_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Any) -> None:
    with pytest.raises(
        ArgumentError,
        match=r"500 cells of 12 um do not fit into a frame of 60 x 60 pixels: there was room for \d+",
    ):
        simulate(tmp_path / "demo.zarr", shape=(10, 60, 60), n_rois=500, seed=0)
    with pytest.raises(ArgumentError, match="there was room for 0"):
        simulate(tmp_path / "demo.zarr", shape=(10, 6, 60), n_rois=1, seed=0)
    assert not list(tmp_path.iterdir())


def test_unknown_options_are_refused_with_the_nearest_name(tmp_path: Any) -> None:
    shape: dict[str, Any] = {"shape": (10, 60, 60), "n_rois": 1, "seed": 0}
    with pytest.raises(ArgumentError, match="no option 'brigthness'; did you mean 'brightness'"):
        simulate(tmp_path / "demo.zarr", **shape, brigthness=3)
    with pytest.raises(ArgumentError, match="no option 'qqq'; options are frame_rate, "):
        simulate(tmp_path / "demo.zarr", **shape, qqq=3)


# -- motion and faults --------------------------------------------------------------------------------------------


def test_jitter_moves_the_tissue_under_light_and_detector() -> None:
    quiet = {"noise": False, "hot_pixels": 0, "vignetting": 0.0, "dtype": "float64"}
    still, moved = make(**quiet), make(**quiet, jitter=2.0, jitter_time=0.05)
    dy, dx = moved.scene().motion
    assert (np.abs([dy, dx]).max(axis=1) >= 2).all()
    everything = tuple(slice(0, size) for size in SHAPE)
    frames, expected = moved.read(*everything), still.read(*everything)
    for t in range(SHAPE[0]):
        rows = np.clip(np.arange(SHAPE[1]) - dy[t], 0, SHAPE[1] - 1)
        columns = np.clip(np.arange(SHAPE[2]) - dx[t], 0, SHAPE[2] - 1)
        np.testing.assert_array_equal(frames[t], expected[t][np.ix_(rows, columns)])


def test_blocks_of_a_moving_recording_fit_together() -> None:
    source = make(jitter=3.0, dropped_frames=3, saturated_frames=2)
    whole = source.read(*(slice(0, size) for size in SHAPE))
    for part in ((slice(3, 20), slice(0, 7), slice(60, 90)), (slice(0, 60), slice(31, 32), slice(11, 12))):
        np.testing.assert_array_equal(source.read(*part), whole[part])


def test_jitter_has_the_spread_and_the_correlation_asked_for() -> None:
    motion = make(shape=(20_000, 48, 48), n_rois=0, jitter=3.0, jitter_time=0.5).scene().motion
    assert motion.std() == pytest.approx(3.0, rel=0.1)
    lag = round(0.5 * 30)
    assert np.corrcoef(motion[0, lag:], motion[0, :-lag])[0, 1] == pytest.approx(np.exp(-1), abs=0.1)


def test_faulty_frames_are_dropped_and_saturated(tmp_path) -> None:
    path = simulate(
        tmp_path / "a.zarr",
        shape=(40, 48, 48),
        n_rois=3,
        seed=1,
        dropped_frames=3,
        saturated_frames=2,
        jitter=1.0,
    )
    movie, truth = open_recording(path).values, load_truth(path).traces
    assert (movie == 0).all(axis=(1, 2)).sum() == 3
    assert (movie == 65535).all(axis=(1, 2)).sum() == 2
    assert (np.ptp(movie, axis=(1, 2)) == 0).tolist() == truth["bad_frame"].values.tolist()
    assert (
        truth["motion_y"].values.tolist()
        == make(shape=(40, 48, 48), n_rois=3, seed=1, jitter=1.0).scene().motion[0].tolist()
    )


def test_more_faults_than_frames_are_refused() -> None:
    with pytest.raises(ArgumentError, match="dropped_frames=50 and saturated_frames=20"):
        make(dropped_frames=50, saturated_frames=20)
