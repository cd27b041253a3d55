"""Borders between files stay known from the files to the results, and nothing is filtered across them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import xarray as xr

import roitrace as rt
from roitrace.formats.registry import open_recording_file
from roitrace.traces import time_axis
from tests.formats.reading import movie
from tests.formats.recordings.test_suite2p import write_plane

LENGTHS = (4, 6, 3)
NUMBERS = np.repeat(np.arange(3), LENGTHS)


@pytest.fixture
def files(tmp_path):
    paths = []
    for number, frames in enumerate(LENGTHS):
        paths.append(tmp_path / f"run{number}.tif")
        tifffile.imwrite(paths[-1], movie((frames, 5, 6), seed=number), photometric="minisblack")
    return paths


def test_files_are_sessions(files):
    recording = rt.open_recording(files, frame_rate=5)
    np.testing.assert_array_equal(recording["session"], NUMBERS)
    assert recording["session"].dims == ("time",)
    assert "sessions of their own" in recording.attrs["notes"]
    part = rt.open_recording(files, frame_rate=5, time=slice(2, 11))
    np.testing.assert_array_equal(part["session"], NUMBERS[2:11])


def test_files_that_were_recorded_in_one_go_are_none(files):
    recording = rt.open_recording(files, continuous=True)
    assert "session" not in recording.coords
    assert "sessions" not in recording.attrs.get("notes", "")
    assert "session" not in rt.open_recording(files[0]).coords


def test_files_of_one_frame_each_are_none(tmp_path):
    for number in range(3):
        tifffile.imwrite(tmp_path / f"f{number}.tif", movie((5, 6)))
    assert "session" not in rt.open_recording(tmp_path).coords


def test_sessions_within_files_stay(tmp_path):
    planes = [
        write_plane(tmp_path / str(number), movie(dtype="int16"), frames_per_folder=[3, 4])
        for number in range(2)
    ]
    assert open_recording_file(planes).metadata.sessions == (3, 4, 3, 4)
    assert open_recording_file(planes, continuous=True).metadata.sessions == ()


def test_a_store_keeps_them(files, tmp_path):
    store = tmp_path / "movie.zarr"
    recording = rt.convert(files, store, frame_rate=5)
    np.testing.assert_array_equal(recording["session"], NUMBERS)
    with xr.open_zarr(store) as plain:
        assert "session" in plain.coords
    again = rt.convert(recording, tmp_path / "again.zarr")
    np.testing.assert_array_equal(again["session"], NUMBERS)
    lazy = rt.convert(recording.isel(time=slice(5, None)) * 2, tmp_path / "lazy.zarr")
    np.testing.assert_array_equal(lazy["session"], NUMBERS[5:] - 1)


def test_the_finished_part_of_a_store_keeps_them(files, tmp_path):
    store = tmp_path / "movie.zarr"
    rt.convert(files, store, frame_rate=5, chunks=(4, 5, 6))
    file = open_recording_file(store)
    (store / "fluorescence" / "manifest").unlink()
    for shard in sorted((store / "fluorescence" / "c").iterdir())[2:]:
        for chunk in sorted(shard.rglob("*"), reverse=True):
            chunk.unlink() if chunk.is_file() else chunk.rmdir()
        shard.rmdir()
    assert file.metadata.sessions == LENGTHS
    found = rt.open_recording(store, unfinished=True)
    np.testing.assert_array_equal(found["session"], NUMBERS[: found.sizes["time"]])


def test_traces_and_results_keep_them_and_segments_follow(files, tmp_path):
    recording = rt.open_recording(files, frame_rate=5)
    mask = np.zeros((5, 6), bool)
    mask[1:4, 1:4] = True
    traces = rt.extract(recording, mask, ("mean",)).compute()
    np.testing.assert_array_equal(traces["session"], NUMBERS)
    assert time_axis(traces["mean"]).borders.tolist() == [0, 4, 10, 13]
    np.testing.assert_array_equal(rt.pixel_traces(recording, mask)["session"], NUMBERS)
    rt.save({"traces": traces}, tmp_path / "results.zarr")
    loaded = rt.load(tmp_path / "results.zarr")["traces"].to_dataset()
    np.testing.assert_array_equal(loaded["session"], NUMBERS)
    assert time_axis(loaded["mean"]).borders.tolist() == [0, 4, 10, 13]
    dff = rt.normalize(traces, method="dff", window="5 frames", smoothing=None)
    np.testing.assert_array_equal(dff["session"], NUMBERS)
