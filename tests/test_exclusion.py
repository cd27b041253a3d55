from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import roitrace as rt
from roitrace.engine.blocks import as_dask, source_of
from roitrace.errors import ArgumentError, FormatError, LazyInputError
from roitrace.sources import Window
from roitrace.traces import time_axis
from tests.block_sources import ArraySource, counted_reads
from tests.strategies import chunkings, roi_sets, samples, shapes, sources


def labelled(values, **coords) -> xr.DataArray:
    return xr.DataArray(values, dims=("time", "y", "x"), coords=coords, attrs={"frame_rate": 10.0})


def recordings(data, values):
    """A recording of a source or of a dask array of any blocks."""
    if data.draw(st.booleans()):
        return labelled(as_dask(data.draw(sources(values))))
    return labelled(da.from_array(values, chunks=data.draw(chunkings(values.shape))))


def bad_ones(data, size) -> np.ndarray:
    bad = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    bad[data.draw(st.integers(0, size - 1))] = False
    return bad


# -- what NumPy says ----------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.data(), shapes(max_frames=14))
def test_nan_and_skip_are_what_numpy_makes_of_the_array(data, shape):
    values = data.draw(samples(shape))
    frames = bad_ones(data, shape[0])
    pixels = bad_ones(data, shape[1] * shape[2]).reshape(shape[1:])
    rois = data.draw(roi_sets(shape[1:]))
    blank = values.astype(np.result_type(values.dtype, np.float32))
    blank[frames] = np.nan
    blank[:, pixels] = np.nan
    blank = blank if frames.any() or pixels.any() else values
    kept = blank[~frames] if pixels.any() else values[~frames]
    recording = recordings(data, values)
    for policy, expected in (("nan", blank), ("skip", kept)):
        changed = rt.exclude(recording, frames=frames, pixels=pixels, policy=policy)
        np.testing.assert_array_equal(changed.values, expected)
        asked = {"statistics": ("mean", "median", "std"), "projections": ("mean", "max", "median")}
        found = rt.extract(changed, rois, **asked).compute()
        for name, variable in rt.extract(labelled(expected), rois, **asked).compute().data_vars.items():
            np.testing.assert_array_equal(found[name].values, variable.values, err_msg=f"{policy} {name}")


@settings(max_examples=20, deadline=None)
@given(st.data(), shapes(max_frames=14))
def test_skipped_frames_leave_dtype_and_exactness(data, shape):
    values = data.draw(samples(shape))
    frames = bad_ones(data, shape[0])
    changed = rt.exclude(recordings(data, values), frames=np.flatnonzero(frames), policy="skip")
    assert changed.dtype == values.dtype
    np.testing.assert_array_equal(changed.values, values[~frames])
    assert changed["time"].values.tolist() == np.flatnonzero(~frames).tolist()


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(2, 30))
def test_interpolated_traces_are_those_of_numpy(data, n_frames):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    values = rng.integers(0, 999, (n_frames, 2, 3), dtype=np.uint16)
    frames = bad_ones(data, n_frames)
    assume(frames.any())
    times = np.cumsum(rng.uniform(0.9, 1.1, n_frames))
    if gap := data.draw(st.booleans()):
        times[n_frames // 2 :] += 10
    recording = labelled(as_dask(ArraySource(values, (3, 2, 2))), time=("time", times, {"units": "s"}))
    traces = rt.extract(
        rt.exclude(recording, frames=frames, policy="interpolate"), np.ones((2, 3), bool), ("mean", "max")
    ).compute()
    assert traces["interpolated"].values.tolist() == frames.tolist()
    assert (traces["n_valid"].values[0] == 0).tolist() == frames.tolist()
    parts = [slice(0, n_frames // 2), slice(n_frames // 2, None)] if gap else [slice(None)]
    for name, own in (("mean", values.mean(axis=(1, 2))), ("max", values.max(axis=(1, 2)).astype(float))):
        expected = np.full(n_frames, np.nan)
        for part in parts:
            good = ~frames[part]
            if good.any():
                t = times[part]
                expected[part] = np.interp(t, t[good], own[part][good], left=np.nan, right=np.nan)
        np.testing.assert_allclose(traces[name].values[0], expected, rtol=1e-12)


def test_a_shifted_recording_can_lose_frames_and_pixels():
    values = np.random.default_rng(0).integers(0, 99, (9, 6, 7), dtype=np.uint8)
    moves = np.random.default_rng(1).integers(-2, 3, (9, 2))
    pixels = np.zeros((6, 7), bool)
    pixels[2, 3] = True
    part = Window(ArraySource(np.pad(values, 2), (4, 3, 3)), (2, 2, 2), values.shape)
    recording = labelled(as_dask(part))
    one = rt.exclude(rt.shift(rt.exclude(recording, pixels=pixels), moves), frames=[0, 5], policy="skip")
    other = rt.exclude(
        rt.shift(rt.exclude(labelled(recording.values), pixels=pixels), moves), frames=[0, 5], policy="skip"
    )
    inside = (slice(None), slice(2, 4), slice(2, 5))
    np.testing.assert_array_equal(one.values[inside], other.values[inside])
    assert np.isnan(one.values[0]).sum() >= 1
    twice = rt.exclude(one, frames=[1], policy="skip")
    np.testing.assert_array_equal(twice.values, one.values[[0, 2, 3, 4, 5, 6]])
    assert one["dy"].values.tolist() == moves[[1, 2, 3, 4, 6, 7, 8], 0].tolist()


# -- truth of the time axis, what is read -------------------------------------------------------------------------


def test_a_gap_begins_a_segment_and_results_can_be_saved(tmp_path):
    recording = labelled(
        np.random.default_rng(0).normal(100, 1, (40, 4, 4)), time=("time", np.arange(40) / 10, {"units": "s"})
    )
    roi = np.ones((4, 4), bool)
    skipped = rt.extract(rt.exclude(recording, frames=[7, 8, 20], policy="skip"), roi, "mean")
    assert time_axis(skipped["mean"]).borders.tolist() == [0, 7, 18, 37]
    marked = rt.extract(rt.exclude(recording, frames=[7, 8, 20], policy="interpolate"), roi, "mean")
    rt.save({"traces": marked}, tmp_path / "a.zarr")
    kept = rt.load(tmp_path / "a.zarr")["traces"].to_dataset()
    assert np.flatnonzero(kept["interpolated"].values).tolist() == [7, 8, 20]
    np.testing.assert_array_equal(kept["mean"].values, marked["mean"].values)
    table = rt.quality(kept, window=None, smoothing=None).compute()
    assert table["interpolated_fraction"].values.tolist() == [3 / 40]


def test_exclusion_is_lazy_and_reads_once():
    def refuse(*_, **__):
        raise AssertionError("computed")

    values = np.random.default_rng(0).integers(0, 9, (12, 8, 8), dtype=np.uint8)
    roi = np.ones((8, 8), bool)
    with counted_reads("excluded") as reads:
        recording = labelled(as_dask(ArraySource(values, (4, 4, 4), "excluded")))
        with dask.config.set(scheduler=refuse):
            changed = rt.exclude(recording, frames=[3], pixels=np.eye(8, dtype=bool), policy="interpolate")
            traces = rt.extract(changed, roi, projections=("mean",))
        assert not reads
        traces.compute(scheduler="sync")
    assert set(reads.values()) == {1}
    assert source_of(changed.data) is not None


# -- where bad frames are from ------------------------------------------------------------------------------------


def test_bad_frames_come_from_lists_masks_files_and_other_programs(tmp_path):
    mask = np.zeros(6, bool)
    mask[[1, 4]] = True
    np.save(tmp_path / "mask.npy", mask)
    np.save(tmp_path / "numbers.npy", np.array([4, 1]))
    np.save(tmp_path / "ops.npy", {"badframes": mask, "yoff": np.zeros(6), "xoff": np.zeros(6)})
    (tmp_path / "bad.csv").write_text("frame,why\n4,light\n1,\n", encoding="utf-8")
    recording = labelled(np.ones((6, 2, 2)))
    given_ones = [[1, 4], mask, xr.DataArray(mask, dims="time"), tmp_path / "mask.npy", tmp_path]
    given_ones += [tmp_path / name for name in ("numbers.npy", "ops.npy", "bad.csv")]
    given_ones += [rt.read_shifts(tmp_path / "ops.npy"), str(tmp_path / "bad.csv")]
    for frames in given_ones:
        assert rt.exclude(recording, frames=frames)["bad_frame"].values.tolist() == mask.tolist()


def test_a_mask_of_the_file_serves_its_parts():
    source = Window(ArraySource(np.ones((6, 2, 2)), (2, 2, 2)), (3, 0, 0), (3, 2, 2))
    mask = np.array([1, 0, 0, 0, 1, 0], bool)
    changed = rt.exclude(labelled(as_dask(source)), frames=mask)
    assert changed["bad_frame"].values.tolist() == [False, True, False]


def test_no_bad_frames_change_nothing():
    recording = labelled(np.ones((6, 2, 2), np.uint8))
    changed = rt.exclude(recording, frames=[], pixels=np.zeros((2, 2), bool))
    assert changed.dtype == np.uint8
    assert not changed["bad_frame"].any()


@pytest.mark.parametrize(
    ("given_one", "says"),
    [
        ({"frames": [6]}, "frame 6 is not there: the recording has 6"),
        ({"frames": [-1]}, "frame -1 is not there"),
        ({"frames": np.zeros(5, bool)}, "5 bools for frames"),
        ({"frames": [0.5]}, "float64"),
        ({"frames": np.ones(6, bool)}, "all 6 frames are bad"),
        ({"frames": xr.Dataset({"dy": ("time", np.zeros(6))})}, "no bad_frame"),
        ({"pixels": np.zeros((2, 3), bool)}, "expected bool of shape (2, 2)"),
        ({"pixels": np.zeros((2, 2))}, "float64"),
        ({"frames": [1], "policy": "drop"}, "expected one of nan, skip, interpolate"),
    ],
)
def test_what_does_not_fit_is_refused(given_one, says):
    with pytest.raises(ArgumentError) as problem:
        rt.exclude(labelled(np.ones((6, 2, 2))), **given_one)
    assert says in str(problem.value)


def test_lazy_frames_are_refused():
    recording = labelled(np.ones((6, 2, 2)))
    with pytest.raises(LazyInputError, match="compute"):
        rt.exclude(recording, frames=rt.find_bad_frames(recording))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "frame\n1.5\n", "no whole number"),
        ("a.csv", "index\n1\n", "no frame"),
        ("a.npy", np.zeros((3, 2)), "float64 of shape (3, 2)"),
        ("a.npy", {"Ly": 3}, "no badframes"),
        ("a.mat", "", "no file of bad frames"),
        ("none.csv", None, "does not exist"),
    ],
)
def test_files_without_bad_frames_are_refused(tmp_path, name, content, says):
    path = tmp_path / name
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    elif content is not None:
        np.save(path, content)
    with pytest.raises(FormatError) as problem:
        rt.exclude(labelled(np.ones((6, 2, 2))), frames=path)
    assert says in str(problem.value)
