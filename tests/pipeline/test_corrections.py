"""A whole job on a recording that moves and has bad frames: with what the configuration says about them."""

from __future__ import annotations

import numpy as np
import pytest

import roitrace as rt
from roitrace.config import make_config
from roitrace.errors import ArgumentError
from roitrace.pipeline.planning import plan_job
from roitrace.pipeline.recording import open_part
from roitrace.pipeline.run import run

TRUTH_FRAMES = 240


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """Simulate jitter and faults, with the shifts and bad frames of the truth beside the recording."""
    folder = tmp_path_factory.mktemp("moving")
    path = rt.simulate(
        folder / "recording.zarr",
        shape=(TRUTH_FRAMES, 96, 96),
        n_rois=8,
        seed=4,
        frame_rate=15,
        jitter=2.0,
        jitter_time=0.3,
        dropped_frames=4,
        saturated_frames=3,
    )
    truth = rt.load_truth(path).traces
    np.save(folder / "shifts.npy", -np.stack([truth["motion_y"].values, truth["motion_x"].values], axis=1))
    np.save(folder / "bad.npy", truth["bad_frame"].values)
    rt.write_rois(rt.load_truth(path).rois.with_weights(None), folder / "cells.tif")
    return folder


def job(folder, name, **recording):
    return {
        "recording": {"path": str(folder / "recording.zarr"), **recording},
        "rois": {"path": str(folder / "cells.tif")},
        "extract": {"statistics": ["mean"]},
        "normalize": {"offset": 100},
        "weights": None,
        "compare": None,
        "figures": None,
        "output": {"path": str(folder / f"{name}.zarr"), "overwrite": True},
        "resources": {"budget": "1 GiB", "workers": 2},
    }


def corrected(folder, **more):
    return {"shifts": str(folder / "shifts.npy"), "bad_frames": str(folder / "bad.npy")} | more


def test_a_moving_recording_is_warned_of_and_a_corrected_one_is_nearer_to_the_truth(moving):
    notes: list[str] = []
    plain = run(job(moving, "plain"), note=notes.append)
    assert any("the recording moves" in note for note in notes)
    notes.clear()
    repaired = run(job(moving, "repaired", **corrected(moving)), note=notes.append)
    assert not any("moves" in note for note in notes)
    truth = rt.load_truth(moving / "recording.zarr").traces
    bad = truth["bad_frame"].values
    errors = {}
    for name, tree in (("plain", plain), ("repaired", repaired)):
        f = tree["traces"]["mean"].values[:, ~bad]
        expected = truth["total"].values[:, ~bad]
        errors[name] = np.nanmedian(np.sqrt(np.nanmean((f / expected - 1) ** 2, axis=1)))
    assert errors["repaired"] < 0.5 * errors["plain"]
    assert (repaired["quality"]["residual_motion"] < 1).all()
    assert (plain["quality"]["residual_motion"] > 1).all()
    assert {"dy_correlation", "dx_correlation"} <= set(repaired["quality"].data_vars)
    assert np.isnan(repaired["traces"]["mean"].values[:, bad]).all()
    assert repaired.attrs["source"] != plain.attrs["source"]
    assert "shifts.npy" not in repaired.attrs["parameters"]


@pytest.mark.parametrize("policy", ["skip", "interpolate"])
def test_policies_of_a_whole_job(moving, policy):
    tree = run(job(moving, policy, **corrected(moving, bad_frame_policy=policy, motion=False)))
    traces = tree["traces"]
    bad = rt.load_truth(moving / "recording.zarr").traces["bad_frame"].values
    if policy == "skip":
        assert traces.sizes["time"] == TRUTH_FRAMES - bad.sum()
        assert "truth" not in tree.children
    else:
        assert traces["interpolated"].values.tolist() == bad.tolist()
        inner = bad & (np.arange(TRUTH_FRAMES) > 0) & (np.arange(TRUTH_FRAMES) < TRUTH_FRAMES - 1)
        known = np.isfinite(traces["mean"].values[:, ~bad]).all(axis=1)
        assert np.isfinite(traces["mean"].values[known][:, inner]).all()
        assert tree["quality"]["interpolated_fraction"].values.max() == pytest.approx(bad.mean())
    assert "motion" not in tree.children


def test_numbers_count_frames_and_pixels_of_the_file(moving):
    section = make_config(
        job(moving, "part", time=[10, 60], y=[20, 80], bad_frames=[12, 200], bad_pixels=[[25, 3], [0, 0]])
    ).recording
    part = open_part(section)
    assert np.flatnonzero(part["bad_frame"]).tolist() == [2]
    assert np.isnan(part.values[0]).nonzero()[0].tolist() == [5]
    sample = open_part(section, frames=slice(0, 10))
    np.testing.assert_array_equal(sample.values, part.values[:10])


def test_shifts_of_the_file_serve_a_part(moving):
    section = make_config(job(moving, "part", time=[10, 60], shifts=str(moving / "shifts.npy"))).recording
    whole = rt.shift(rt.open_recording(moving / "recording.zarr"), moving / "shifts.npy")
    np.testing.assert_array_equal(open_part(section).values, whole.values[10:60])


@pytest.mark.parametrize("convert", ["no", "yes"])
def test_the_plan_counts_corrections(moving, convert):
    plain = plan_job(make_config(job(moving, "plan", convert=convert)))
    moved = plan_job(make_config(job(moving, "plan", convert=convert, **corrected(moving))))
    assert moved.steps["extract"].peak_bytes > plain.steps["extract"].peak_bytes
    assert any("motion" in note for note in moved.notes)
    quiet = plan_job(make_config(job(moving, "plan", convert=convert, motion=False)))
    assert not any("motion" in note for note in quiet.notes)


def test_a_copy_is_corrected_when_it_is_read(moving):
    direct = run(job(moving, "direct", **corrected(moving, motion=False)))
    copied = run(job(moving, "copied", convert="yes", **corrected(moving, motion=False)))
    np.testing.assert_array_equal(direct["traces"]["mean"].values, copied["traces"]["mean"].values)


@pytest.mark.parametrize(
    ("recording", "says"),
    [({"bad_frames": [999]}, "frame 999 is not there"), ({"bad_pixels": [[0, 500]]}, "pixel [0, 500]")],
)
def test_numbers_off_the_file_are_refused(moving, recording, says):
    with pytest.raises(ArgumentError) as problem:
        run(job(moving, "wrong", **recording))
    assert says in str(problem.value)
