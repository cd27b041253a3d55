from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import roitrace as rt
from roitrace.engine.blocks import as_dask
from roitrace.errors import ArgumentError, BudgetError, LazyInputError
from roitrace.frame_checks import FRAME_FLAGS
from tests.block_sources import ArraySource, GeneratedSource, counted_reads
from tests.shared_data import DATA, needs_data
from tests.strategies import chunkings, samples, shapes


def labelled(values) -> xr.DataArray:
    return xr.DataArray(values, dims=("time", "y", "x"), attrs={"frame_rate": 10.0})


def scene(n_frames=200, seed=0) -> np.ndarray:
    """Cells on a dark ground that flicker, with shot noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :64]
    cells = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 18) for cy, cx in rng.uniform(4, 44, (12, 2)))
    activity = 1 + 0.5 * np.abs(np.sin(np.arange(n_frames) / 17))[:, None, None]
    return rng.poisson(100 + 20 + 80 * cells * activity).astype(np.uint16)


def reasons(found: xr.Dataset) -> dict[int, list[str]]:
    bits = found["reason"].values
    return {
        int(frame): [name for name, bit in FRAME_FLAGS.items() if bits[frame] & bit]
        for frame in np.flatnonzero(bits)
    }


def test_planted_frames_are_found_for_their_reasons_and_no_others():
    movie = scene()
    rng = np.random.default_rng(1)
    movie[10] = 0
    movie[30] = movie[29]
    movie[60:64] = rng.poisson(100, movie[60:64].shape)
    movie[90, :, :20] = 4095
    movie[120, 20:30] += rng.integers(0, 200, (10, 1)).astype(np.uint16)
    found = rt.find_bad_frames(labelled(movie), saturation=4095).compute()
    expected = {10: ["constant"], 30: ["duplicate"], **{frame: ["dark"] for frame in range(60, 64)}}
    assert reasons(found) == expected | {90: ["saturated"], 120: ["row_noise"]}
    assert found["bad_frame"].values.sum() == len(expected) + 2


def test_missing_frames_are_found_beyond_a_border_that_is_always_missing():
    movie = scene().astype(np.float32)
    movie[:, :6] = np.nan
    movie[5] = np.nan
    movie[50, 20:40] = np.nan
    movie[80, 20] = np.nan
    found = rt.find_bad_frames(labelled(movie)).compute()
    assert {frame: why[0] for frame, why in reasons(found).items()} == {5: "missing", 50: "missing"}


def test_clean_recordings_have_no_bad_frames():
    assert not rt.find_bad_frames(labelled(scene(400, seed=3)))["bad_frame"].values.any()
    bleached = scene(300, seed=4) * np.linspace(1, 0.6, 300)[:, None, None]
    assert not rt.find_bad_frames(labelled(bleached))["bad_frame"].values.any()


def test_a_simulated_recording_is_clean(tmp_path):
    path = rt.simulate(tmp_path / "a.zarr", shape=(300, 64, 64), n_rois=6, seed=2)
    assert not rt.find_bad_frames(rt.open_recording(path))["bad_frame"].values.any()


@needs_data
def test_a_real_recording_is_clean_and_a_torn_one_is_not():
    mouse = rt.open_recording(DATA / "neurofinder_neuhof" / "movie_600x240x240_u16.tif")
    assert rt.find_bad_frames(mouse)["bad_frame"].values.mean() < 0.01


@settings(max_examples=25, deadline=None)
@given(st.data(), shapes(max_frames=12))
def test_measures_are_those_of_numpy_and_do_not_depend_on_chunks(data, shape):
    values = data.draw(samples(shape, infinite=False))
    chunks = tuple(data.draw(st.integers(1, size + 2)) for size in shape)
    arrays = [as_dask(ArraySource(values, chunks)), da.from_array(values, chunks=data.draw(chunkings(shape)))]
    one, other = (rt.find_bad_frames(labelled(array)).compute() for array in arrays)
    xr.testing.assert_identical(one, other)
    flat = values.reshape(shape[0], -1).astype(np.float64)
    valid = np.isfinite(flat)
    for frame in range(shape[0]):
        own = flat[frame][valid[frame]]
        assert one["missing_fraction"].values[frame] == pytest.approx(1 - own.size / flat.shape[1])
        if own.size:
            scale = max(1.0, np.abs(own).max())
            assert one["mean"].values[frame] == pytest.approx(own.mean(), abs=1e-12 * scale)
            assert one["std"].values[frame] == pytest.approx(own.std(), abs=1e-7 * scale)


def test_one_lazy_read_within_the_budget():
    def refuse(*_, **__):
        raise AssertionError("computed")

    with counted_reads("frames") as reads:
        values = np.random.default_rng(0).integers(0, 9, (20, 16, 16), dtype=np.uint8)
        with dask.config.set(scheduler=refuse):
            found = rt.find_bad_frames(labelled(as_dask(ArraySource(values, (4, 4, 4), "frames"))))
        assert not reads
        found.compute(scheduler="sync")
    assert len(reads) == 5 * 4 * 4
    assert set(reads.values()) == {1}
    large = labelled(as_dask(GeneratedSource((4096, 4096, 4096), (256, 64, 64), np.dtype("uint16"))))
    with pytest.raises(BudgetError):
        rt.find_bad_frames(large, budget="320 MiB")
    assert rt.find_bad_frames(large, budget="2 GiB", workers=2)["bad_frame"].sizes["time"] == 4096


@pytest.mark.parametrize("limits", [{"max_saturated": 2}, {"max_missing": -1}, {"k": 0}])
def test_limits_out_of_range_are_refused(limits):
    with pytest.raises(ArgumentError, match="expected"):
        rt.find_bad_frames(labelled(np.zeros((3, 4, 4))), **limits)


# -- pixels -------------------------------------------------------------------------------------------------------


def test_hot_and_dead_pixels_are_found_and_cells_stay(tmp_path):
    path = rt.simulate(
        tmp_path / "a.zarr", shape=(200, 96, 96), n_rois=10, seed=5, hot_pixels=6, hot_flicker=0
    )
    hot = np.argwhere(
        rt.find_bad_pixels(rt.project(rt.open_recording(path), "mean").compute()["mean"]).values
    )
    clean = rt.simulate(tmp_path / "b.zarr", shape=(200, 96, 96), n_rois=10, seed=5, hot_pixels=0)
    image = rt.project(rt.open_recording(clean), "mean").compute()["mean"]
    planted = np.argwhere(rt.project(rt.open_recording(path), "mean")["mean"].values - image.values > 500)
    assert len(planted) == 6
    assert hot.tolist() == planted.tolist()
    assert not rt.find_bad_pixels(image).any()
    image[8, 9] = 0
    assert np.argwhere(rt.find_bad_pixels(image).values).tolist() == [[8, 9]]


def test_excluded_hot_pixels_leave_the_trace():
    movie = np.random.default_rng(0).poisson(100, (50, 12, 12)).astype(np.uint16)
    clean = movie[:, 2:10, 2:10].reshape(50, -1)
    movie[:, 5, 6] = 4000
    roi = np.zeros((12, 12), bool)
    roi[2:10, 2:10] = True
    recording = labelled(movie)
    bad = rt.find_bad_pixels(rt.project(recording, "mean").compute()["mean"])
    traces = rt.extract(rt.exclude(recording, pixels=bad), roi, "mean").compute()
    assert traces["n_valid"].values[0].tolist() == [63] * 50
    np.testing.assert_allclose(traces["mean"].values[0], clean.mean(axis=1), atol=1)


def test_images_that_are_lazy_or_no_images_are_refused():
    recording = labelled(np.zeros((3, 4, 4)))
    with pytest.raises(LazyInputError, match="compute"):
        rt.find_bad_pixels(rt.project(recording, "mean")["mean"])
    with pytest.raises(ArgumentError, match="expected \\(y, x\\)"):
        rt.find_bad_pixels(recording)
    with pytest.raises(ArgumentError, match="k=0"):
        rt.find_bad_pixels(recording[0], k=0)
