"""Appending gives the bytes of converting everything anew, and what was there before stays whole at every instant."""

from __future__ import annotations

import errno
import os
import shutil
from itertools import pairwise

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.appending import append
from roitrace.conversion import convert
from roitrace.errors import ArgumentError, FileAccessError, FormatError, StoreError
from roitrace.recording import open_recording
from roitrace.store import commits, files
from roitrace.store.journal import Journal
from roitrace.store.origin import remembered
from roitrace.verification import verify
from tests.block_sources import ArraySource, counted_reads, recording_file
from tests.store.killed import contents, kill_at

MOVIE = np.random.default_rng(3).integers(0, 500, (60, 16, 24), dtype=np.uint16)
CHUNKS = (8, 8, 8)


@pytest.fixture(autouse=True)
def one_after_the_other():
    with dask.config.set(scheduler="sync"):
        yield


@pytest.fixture
def work(tmp_path):
    """Give a folder with a movie in two parts, a store of the first, and one of both."""
    np.save(tmp_path / "first.npy", MOVIE[:41])
    np.save(tmp_path / "second.npy", MOVIE[41:])
    convert(tmp_path / "first.npy", tmp_path / "out" / "a.zarr", chunks=CHUNKS, frame_rate=5, pixel_size=1.5)
    return tmp_path


def anew(work, **options):
    parts = [work / "first.npy", work / "second.npy"]
    convert(parts, work / "anew.zarr", chunks=CHUNKS, frame_rate=5, pixel_size=1.5, **options)
    return contents(work / "anew.zarr")


@pytest.mark.parametrize("options", [{}, {"continuous": True}])
def test_a_second_file_gives_the_bytes_of_both_converted_anew(work, options):
    store = work / "out" / "a.zarr"
    recording = append(work / "second.npy", store, **options)
    np.testing.assert_array_equal(recording, MOVIE)
    assert contents(store) == anew(work, **options)
    assert (
        contents(work / "out/a.zarr.run").keys()
        == contents(work / "anew.zarr.run").keys()
        == {"convert.json"}
    )
    assert ("session" in recording.coords) != bool(options)
    # it is remembered what it is made from
    (store / "fluorescence/c/6/0/0").unlink()
    assert verify(store, repair=True).ok
    assert contents(store) == anew_of(work)


def anew_of(work):
    return contents(work / "anew.zarr")


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=2, max_size=4), st.integers(1, 9))
def test_any_parts_one_after_the_other(tmp_path_factory, lengths, step):
    folder = tmp_path_factory.mktemp("parts")
    borders = np.cumsum([0, *lengths])
    parts = [ArraySource(MOVIE[a:b], (3, 5, 7)) for a, b in pairwise(borders)]
    convert(recording_file(parts[0], frame_rate=4.0), folder / "a.zarr", chunks=(step, 8, 8))
    for part in parts[1:]:
        append(recording_file(part, frame_rate=4.0), folder / "a.zarr", continuous=True)
    whole = ArraySource(MOVIE[: borders[-1]], (8, 16, 24))
    convert(recording_file(whole, frame_rate=4.0), folder / "b.zarr", chunks=(step, 8, 8))
    assert contents(folder / "a.zarr") == contents(folder / "b.zarr")
    shutil.rmtree(folder)


def test_only_what_is_new_is_read(tmp_path):
    convert(recording_file(ArraySource(MOVIE[:40], (8, 16, 24))), tmp_path / "a.zarr", chunks=CHUNKS)
    times = {key: (tmp_path / "a.zarr" / key).stat().st_mtime_ns for key in contents(tmp_path / "a.zarr")}
    with counted_reads("new") as reads:
        append(
            recording_file(ArraySource(MOVIE[40:], (4, 16, 24), "new")), tmp_path / "a.zarr", continuous=True
        )
        assert sum(reads.values()) == len(reads) == 5
    kept = [f"fluorescence/c/{number}/0/0" for number in range(5)]
    assert {key: (tmp_path / "a.zarr" / key).stat().st_mtime_ns for key in kept} == {
        key: times[key] for key in kept
    }


def test_a_file_that_has_grown(tmp_path):
    file, store = tmp_path / "movie.npy", tmp_path / "a.zarr"
    np.save(file, MOVIE[:41])
    convert(file, store, chunks=CHUNKS, frame_rate=5, pixel_size=(1, 2))
    np.testing.assert_array_equal(append(file, store), MOVIE[:41])
    np.save(file, MOVIE)
    np.testing.assert_array_equal(append(file, store), MOVIE)
    convert(file, tmp_path / "b.zarr", chunks=CHUNKS, frame_rate=5, pixel_size=(1, 2))
    assert contents(store) == contents(tmp_path / "b.zarr")
    np.save(file, MOVIE[:50])
    with pytest.raises(StoreError, match="has 50 frames, .* 60: it has not grown"):
        append(file, store)
    np.save(file, np.concatenate([MOVIE[::-1], MOVIE]))
    with pytest.raises(StoreError, match="the first 60 frames of the source are not those of"):
        append(file, store)
    assert verify(store).ok


def test_a_series_with_more_files(work):
    store = work / "out" / "a.zarr"
    append([work / "first.npy", work / "second.npy"], store)
    assert contents(store) == anew(work)


def test_what_does_not_fit_is_refused_and_nothing_changes(work):
    store = work / "out" / "a.zarr"
    before = contents(work / "out")
    np.save(work / "wide.npy", np.zeros((5, 16, 25), np.uint16))
    np.save(work / "deep.npy", np.zeros((5, 16, 24), np.float32))
    for file in ("wide.npy", "deep.npy"):
        with pytest.raises(FormatError, match="they are not one recording"):
            append(work / file, store)
    with pytest.raises(ArgumentError, match="what is appended is a transformed recording"):
        append(open_recording(work / "second.npy") * 2, store)
    with pytest.raises(StoreError, match="is no recording store of roitrace's"):
        append(work / "second.npy", work / "second.npy")
    assert contents(work / "out") == before


@pytest.mark.parametrize("torn", [False, True])
def test_killed_at_any_operation_the_old_recording_is_whole_and_the_append_goes_on(work, monkeypatch, torn):
    monkeypatch.setattr(commits, "COMMIT_BYTES", 1)
    store = work / "out" / "a.zarr"
    expected = anew(work)
    shutil.copytree(work / "out", work / "before")
    number, seen = -9, set()
    while kill_at(
        number := number + (23 if torn else 17), lambda: append(work / "second.npy", store), torn=torn
    ):
        assert verify(store).ok
        recording = open_recording(store)
        seen.add(recording.sizes["time"])
        np.testing.assert_array_equal(recording, MOVIE[: recording.sizes["time"]])
        with xr.open_zarr(store) as dataset:
            np.testing.assert_array_equal(dataset["fluorescence"], MOVIE[: dataset.sizes["time"]])
            np.testing.assert_array_equal(dataset["time"], np.arange(dataset.sizes["time"]) / 5)
        if Journal.of(store).job() is not None:
            if not torn:
                with pytest.raises(
                    StoreError,
                    match="another job on .* was interrupted; to end it: give the same command again",
                ):
                    convert(work / "first.npy", store, chunks=CHUNKS, frame_rate=5)
            append(work / "second.npy", store)
        elif recording.sizes["time"] == 41:
            append(work / "second.npy", store)
        assert contents(store) == expected
        assert contents(work / "out" / "a.zarr.run").keys() - {"lock"} == {"convert.json"}
        shutil.rmtree(work / "out")
        shutil.copytree(work / "before", work / "out")
    assert seen == {41, 60}


def test_the_same_call_again_appends_nothing(work, caplog):
    store = work / "out" / "a.zarr"
    append(work / "second.npy", store)
    before = contents(store)
    assert append(work / "second.npy", store).sizes["time"] == 60
    assert contents(store) == before
    assert "are those of" in caplog.text
    assert "nothing is appended" in caplog.text


def test_other_frames_in_a_file_of_the_same_name_are_appended(work):
    store = work / "out" / "a.zarr"
    append(work / "second.npy", store)
    np.save(work / "second.npy", MOVIE[:19])
    np.testing.assert_array_equal(append(work / "second.npy", store)[60:], MOVIE[:19])


def test_missing_space_is_told_before_the_first_write(work, monkeypatch):
    store, usage = work / "out" / "a.zarr", shutil.disk_usage(work)
    before = contents(work / "out")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(FileAccessError, match=r"would take about .* more, .*nothing was written"):
        append(work / "second.npy", store)
    assert contents(work / "out") == before
    # only what is new needs room
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=MOVIE.nbytes // 2))
    append(work / "second.npy", store)


def test_another_append_than_the_one_that_was_stopped_is_refused_by_name(work):
    store = work / "out" / "a.zarr"
    np.save(work / "other.npy", MOVIE[::-1])
    assert kill_at(30, lambda: append(work / "other.npy", store))
    left = contents(work / "out")
    with pytest.raises(StoreError) as refused:
        append(work / "second.npy", store)
    said, _, differences = refused.value.problem.partition(": ")
    assert said == (
        f"an append of {work / 'other.npy'} to {store} was interrupted, and {work / 'second.npy'} is given now"
    )
    assert set(differences.split("; ")) == {
        "another source content",
        "shape was [101, 16, 24], now [60, 16, 24]",
        "another set of coordinates",
    }
    assert refused.value.next_step == (
        f"to go on with it, give the same command again: roitrace append {work / 'other.npy'} {store}; "
        "to give it up and append what is given now, add overwrite=True (--overwrite)"
    )
    assert contents(work / "out").keys() - {"a.zarr.run/lock"} == left.keys() - {"a.zarr.run/lock"}
    with pytest.raises(
        StoreError, match="an append of .*other.npy to .* a recording that is no file is given"
    ):
        append(recording_file(ArraySource(MOVIE[:5], (4, 16, 24))), store)
    np.testing.assert_array_equal(append(work / "other.npy", store)[41:], MOVIE[::-1])


def test_what_changes_of_an_append_that_was_stopped_is_refused_by_name(work):
    store, expected = work / "out" / "a.zarr", anew(work)
    assert kill_at(30, lambda: append(work / "second.npy", store))
    with pytest.raises(StoreError, match="and .*second.npy is given now: .*another set of coordinates"):
        append(work / "second.npy", store, continuous=True)
    np.save(work / "second.npy", MOVIE[:19])
    with pytest.raises(StoreError, match="and .*second.npy is given now: another source content; to go on"):
        append(work / "second.npy", store)
    np.save(work / "moved.npy", MOVIE[41:])
    append(work / "moved.npy", store)
    assert contents(store) == expected


@pytest.mark.parametrize(("number", "cause"), [(errno.EDQUOT, "quota"), (errno.EIO, "input/output error")])
@pytest.mark.parametrize("failing", [100, 250, 340])
def test_what_the_file_system_refuses_is_told_and_the_append_goes_on(
    work, monkeypatch, failing, number, cause
):
    store, done, perform = work / "out" / "a.zarr", 0, files.perform

    def fails(operation, path, call, *arguments):
        nonlocal done
        done += 1
        if done == failing:
            raise OSError(number, os.strerror(number), str(path))
        return perform(operation, path, call, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(files, "perform", fails)
        with pytest.raises(FileAccessError, match=f"{cause}.*; what was finished of {store} is safe") as told:
            append(work / "second.npy", store)
    again = f"then give the same command again: roitrace append {work / 'second.npy'} {store}"
    assert told.value.next_step.endswith(again)
    assert verify(store).ok
    append(work / "second.npy", store)
    assert contents(store) == anew(work)


def test_an_append_that_is_given_up_makes_room_first(work, monkeypatch):
    store, usage = work / "out" / "a.zarr", shutil.disk_usage(work)
    np.save(work / "other.npy", MOVIE[::-1])
    assert kill_at(100, lambda: append(work / "other.npy", store))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(FileAccessError, match="would take about"):
        append(work / "second.npy", store, overwrite=True)
    assert contents(work / "out/a.zarr.run").keys() == {"convert.json"}


# stopped while files are staged, when they have been put into effect, while they are moved in, while the job is ended
STOPS = pytest.mark.parametrize("operation", [100, 370, 450, 620])


@STOPS
def test_overwriting_gives_up_an_append_that_was_stopped(work, operation):
    store = work / "out" / "a.zarr"
    np.save(work / "other.npy", MOVIE[::-1])
    assert kill_at(operation, lambda: append(work / "other.npy", store))
    in_effect = operation > 100
    append(work / "second.npy", store, overwrite=True)
    names = ["first.npy", *["other.npy"] * in_effect, "second.npy"]
    convert([work / name for name in names], work / "anew.zarr", chunks=CHUNKS, frame_rate=5, pixel_size=1.5)
    assert contents(store) == contents(work / "anew.zarr")
    assert remembered(store) == remembered(work / "anew.zarr")
    assert contents(work / "out/a.zarr.run").keys() == {"convert.json"}


@STOPS
def test_a_conversion_in_its_place_leaves_nothing_of_an_append_that_was_stopped(work, operation):
    store = work / "out" / "a.zarr"
    np.save(work / "other.npy", MOVIE[::-1])
    assert kill_at(operation, lambda: append(work / "other.npy", store))
    again = {"chunks": CHUNKS, "frame_rate": 5, "pixel_size": 1.5}
    with pytest.raises(StoreError, match="to end it: .*; to begin anew, ask to overwrite it"):
        convert(work / "first.npy", store, **again)
    # until it is whole, what was there before is
    assert kill_at(150, lambda: convert(work / "first.npy", store, overwrite=True, **again))
    assert verify(store).ok
    assert open_recording(store).sizes["time"] in ({41} if operation == 100 else {41, 101})
    convert(work / "first.npy", store, overwrite=True, **again)
    np.testing.assert_array_equal(open_recording(store), MOVIE[:41])
    assert contents(work / "out/a.zarr.run").keys() == {"convert.json"}


def test_a_reader_that_was_open_before_reads_on(work):
    store = work / "out" / "a.zarr"
    old = open_recording(store)
    from roitrace.engine.blocks import source_of

    with source_of(old.data).open() as reader:
        whole = slice(0, 16), slice(0, 24)
        np.testing.assert_array_equal(reader.read(slice(0, 8), *whole), MOVIE[:8])
        append(work / "second.npy", store)
        np.testing.assert_array_equal(reader.read(slice(40, 41), *whole), MOVIE[40:41])
    np.testing.assert_array_equal(old, MOVIE[:41])
