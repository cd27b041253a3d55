from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from benchmarks.motion import dff_errors

import roitrace as rt
from roitrace.engine.blocks import as_dask
from roitrace.errors import ArgumentError, BudgetError
from roitrace.motion import MotionSummary, summarize_motion
from roitrace.simulation import SimulatedSource
from tests.block_sources import ArraySource, GeneratedSource, counted_reads
from tests.shared_data import DATA, needs_data


def recording_of(**options) -> tuple[xr.DataArray, np.ndarray]:
    """A simulated recording and the motion of its tissue ``(2, time)``."""
    defaults = {"shape": (120, 128, 128), "n_rois": 14, "seed": 3, "jitter_time": 0.2}
    source = SimulatedSource(**(defaults | options))
    movie = xr.DataArray(as_dask(source), dims=("time", "y", "x"), attrs={"frame_rate": 30.0})
    return movie, source.scene().motion


# -- what is measured ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("light", [{}, {"brightness": 2.0, "haze": 1.0, "background": 0.4}])
def test_jitter_is_measured_and_named(light):
    recording, moved = recording_of(jitter=2.0, **light)
    motion = rt.residual_motion(recording, samples=40).compute()
    frames = motion["frame"].values
    errors = np.stack([motion["dy"], motion["dx"]]) + moved[:, frames]
    errors -= np.median(errors, axis=1, keepdims=True)
    assert np.percentile(np.abs(errors), 95) < 0.5
    summary = summarize_motion(motion)
    assert summary.told == summary.samples == 40
    assert "pixels (95th percentile)" in summary.warning
    assert "does not register" in summary.warning


def test_still_tissue_is_still_and_its_repair_too():
    recording, _ = recording_of(jitter=0.0)
    summary = summarize_motion(rt.residual_motion(recording, samples=40))
    assert summary.warning is None
    assert summary.largest < 0.5
    moving, moved = recording_of(jitter=2.0)
    repaired = rt.shift(moving, -moved.T)
    again = summarize_motion(rt.residual_motion(repaired, samples=40))
    assert again.warning is None
    assert again.percentile_95 < 0.5


def test_the_measured_shift_moves_a_frame_back():
    recording, _ = recording_of(jitter=0.0, shape=(40, 128, 128))
    movie = recording.values
    movie[7] = np.roll(movie[7], (4, -3), axis=(0, 1))
    motion = rt.residual_motion(xr.DataArray(movie, dims=recording.dims), samples=40).compute()
    assert motion["dy"].values[7] == pytest.approx(-4, abs=0.5)
    assert motion["dx"].values[7] == pytest.approx(3, abs=0.5)


def test_noise_alone_tells_nothing():
    noise = np.random.default_rng(0).normal(100, 10, (40, 128, 128)).astype(np.float32)
    noise[3] = np.nan
    noise[4] = 7
    summary = summarize_motion(rt.residual_motion(xr.DataArray(noise, dims=("time", "y", "x"))))
    assert summary.told < summary.samples / 2
    assert np.isnan(summary.percentile_95)
    assert "could not be told" in summary.warning


def test_up_to_one_pixel_is_no_warning():
    assert MotionSummary(60, 60, 0.3, 1.0, 2.0).warning is None
    assert MotionSummary(60, 60, 0.3, 1.1, 2.0).warning is not None


@needs_data
def test_a_registered_recording_of_a_laboratory_is_still():
    movie = rt.open_recording(DATA / "neurofinder_neuhof" / "movie_600x240x240_u16.tif")
    summary = summarize_motion(rt.residual_motion(movie))
    assert summary.told == summary.samples
    assert summary.median < 1


# -- how it is read -----------------------------------------------------------------------------------------------


def test_few_chunks_are_read_lazily():
    def refuse(*_, **__):
        raise AssertionError("computed")

    values = np.random.default_rng(0).integers(0, 99, (400, 16, 16), dtype=np.uint8)
    with counted_reads("motion") as reads:
        recording = xr.DataArray(as_dask(ArraySource(values, (10, 8, 8), "motion")), dims=("time", "y", "x"))
        with dask.config.set(scheduler=refuse):
            motion = rt.residual_motion(recording, samples=32)
        assert not reads
        motion.compute(scheduler="sync")
    assert set(reads.values()) == {1}
    assert len({time for time, _, _ in reads}) == 16
    assert motion.sizes["time"] == 32
    times = motion["frame"].values
    assert times[0] < 10
    assert times[-1] >= 390


def test_large_frames_stay_within_the_budget():
    source = GeneratedSource((100, 4096, 4096), (100, 4096, 4096), np.dtype("uint16"))
    recording = xr.DataArray(as_dask(source), dims=("time", "y", "x"))
    with pytest.raises(BudgetError, match="fewer samples"):
        rt.residual_motion(recording, budget="1 GiB")


@pytest.mark.parametrize(("frames", "samples"), [(1, 60), (10, 1)])
def test_one_frame_cannot_move(frames, samples):
    with pytest.raises(ArgumentError, match="at least 2"):
        rt.residual_motion(xr.DataArray(np.zeros((frames, 4, 4)), dims=("time", "y", "x")), samples=samples)


# -- quality ------------------------------------------------------------------------------------------------------


def test_a_trace_that_follows_the_motion_is_told():
    rng = np.random.default_rng(0)
    shifts = xr.Dataset({"dy": ("time", rng.normal(0, 2, 300)), "dx": ("time", rng.normal(0, 2, 300))})
    values = 100 + rng.normal(0, 1, (2, 300))
    values[1] += 3 * shifts["dx"].values
    traces = xr.Dataset({"mean": (("roi", "time"), values)}, attrs={"primary": "mean"})
    table = rt.quality(traces, motion=shifts, window=None, smoothing=None)
    assert table["dx_correlation"].values[1] == pytest.approx(
        np.corrcoef(values[1], shifts["dx"])[0, 1], abs=1e-12
    )
    assert abs(table["dx_correlation"].values[0]) < 0.2
    assert "residual_motion" not in table
    sampled = shifts.isel(time=slice(0, 300, 10)).assign_coords(frame=("time", np.arange(0, 300, 10)))
    table = rt.quality(traces, motion=sampled, window=None, smoothing=None)
    lengths = np.hypot(sampled["dy"], sampled["dx"])
    assert table["residual_motion"].values.tolist() == [float(np.percentile(lengths, 95))] * 2
    assert table["dy_correlation"].values[0] == pytest.approx(
        np.corrcoef(values[0, ::10], sampled["dy"])[0, 1], abs=1e-12
    )


def test_shifts_that_were_applied_are_used_where_no_motion_is_given():
    movie = xr.DataArray(np.random.default_rng(0).random((50, 8, 8)), dims=("time", "y", "x"))
    moves = np.random.default_rng(1).integers(-1, 2, (50, 2))
    traces = rt.extract(rt.shift(movie, moves), np.pad(np.ones((4, 4), bool), 2), "mean").compute()
    table = rt.quality(traces, window=None, smoothing=None)
    expected = np.corrcoef(traces["mean"].values[0], moves[:, 0])[0, 1]
    assert table["dy_correlation"].values[0] == pytest.approx(expected, abs=1e-12)
    assert "dy_correlation" not in rt.quality(traces.drop_vars(["dy", "dx"]), window=None, smoothing=None)


@pytest.mark.parametrize(
    ("motion", "says"),
    [
        (
            xr.Dataset({"dy": ("time", np.zeros(9)), "dx": ("time", np.zeros(9))}),
            "of 9 frames, and the traces have 20",
        ),
        (xr.Dataset({"mean": ("time", np.zeros(20))}), "no dy and dx"),
        (
            xr.Dataset({"dy": ("time", [0.0]), "dx": ("time", [0.0])}, coords={"frame": ("time", [20])}),
            "same recording",
        ),
    ],
)
def test_motion_of_other_frames_is_refused(motion, says):
    trace = xr.DataArray(np.random.default_rng(0).random((1, 20)), dims=("roi", "time"), name="mean")
    with pytest.raises(ArgumentError) as problem:
        rt.quality(trace, motion=motion, window=None, smoothing=None)
    assert says in str(problem.value)


# -- what it is for -----------------------------------------------------------------------------------------------


def test_one_pixel_changes_f_by_per_cents_and_moving_back_repairs_it():
    """All frames of a noise-free scene, moved by one pixel: F of true masks, before and after the repair."""
    source = SimulatedSource(
        shape=(60, 160, 160), n_rois=25, seed=1, noise=False, hot_pixels=0, vignetting=0.0, dtype="float64"
    )
    movie = xr.DataArray(
        source.read(slice(0, 60), slice(0, 160), slice(0, 160)) - source.detector_offset,
        dims=("time", "y", "x"),
    )
    rois = source.scene().rois.with_weights(None)
    f = rt.extract(movie, rois, "mean")["mean"].values
    moved = rt.shift(movie, np.tile([1, 0], (60, 1)))
    change = np.abs(rt.extract(moved, rois, "mean")["mean"].values / f - 1).mean(axis=1)
    assert 0.03 < np.nanmedian(change) < 0.08
    repaired = rt.extract(rt.shift(moved, np.tile([-1, 0], (60, 1))), rois, "mean")["mean"].values
    inside = np.isfinite(repaired).all(axis=1)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(repaired[inside], f[inside], rtol=0.02)


def test_the_benchmark_shows_what_jitter_costs_and_that_moving_back_repairs_it():
    scores = dff_errors(1, shape=(250, 96, 96), n_rois=10)
    assert scores["jitter"]["rmse"] > 1.05 * scores["still"]["rmse"]
    assert scores["jitter, moved back"]["rmse"] < 1.03 * scores["still"]["rmse"]
    assert scores["jitter, moved back"]["correlation"] > scores["jitter"]["correlation"]
