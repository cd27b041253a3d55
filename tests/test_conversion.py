"""A conversion goes on where it was stopped, whatever stopped it, and ends with the same bytes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys

import dask
import numpy as np
import pytest
import xarray as xr

from roitrace.conversion import convert
from roitrace.errors import FileAccessError, OutputBusyError, OutputExistsError, StoreError
from roitrace.recording import open_recording
from roitrace.simulation import load_truth, simulate
from roitrace.store import commits, files, lock
from roitrace.store.commits import committed_files
from roitrace.store.journal import Journal
from tests.store.killed import contents, kill_at

MOVIE = np.random.default_rng(3).integers(0, 500, (40, 16, 24), dtype=np.uint16)
OTHER = np.random.default_rng(4).integers(0, 500, (40, 16, 24), dtype=np.uint16)
CHUNKS = (8, 8, 8)
N_SMALL = 9
"""Files that get their names before the first shard: of the journal, metadata, coordinates."""


@pytest.fixture(autouse=True)
def one_after_the_other():
    with dask.config.set(scheduler="sync"):
        yield


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Give a folder with a movie, where every shard is a commit group."""
    monkeypatch.setattr(commits, "COMMIT_BYTES", 1)
    np.save(tmp_path / "movie.npy", MOVIE)
    np.save(tmp_path / "other.npy", OTHER)
    return tmp_path


def job(folder, movie="movie.npy", workers=2, **options):
    return convert(
        folder / movie, folder / "out" / "a.zarr", chunks=CHUNKS, frame_rate=5, workers=workers, **options
    )


@pytest.fixture
def expected(work):
    job(work)
    whole = contents(work / "out")
    shutil.rmtree(work / "out")
    return whole


@pytest.mark.parametrize("torn", [False, True])
def test_killed_at_any_operation_it_goes_on_and_ends_with_the_same_bytes(work, expected, torn):
    number, resumed = 0, 0
    while kill_at(number := number + (23 if torn else 17), lambda: job(work), torn=torn):
        store, done = work / "out" / "a.zarr", {}
        if (
            store.exists()
            and (store / "zarr.json").exists()
            and not (store / "fluorescence/manifest").exists()
        ):
            with pytest.raises(StoreError, match=r"is unfinished: (no|\d+ of 40) frames were written"):
                open_recording(store)
            done = committed_files(Journal.of(store), store)
        times = {key: (store / key).stat().st_mtime_ns for key in done}
        resumed += bool(done)
        if Journal.of(store).job() is not None or not store.exists():
            job(work)
        # what was durable was not written again
        assert {key: (store / key).stat().st_mtime_ns for key in done} == times
        left = contents(work / "out")
        assert left.keys() - {"a.zarr.run/lock"} == expected.keys(), number
        assert {key: left[key] for key in expected} == expected
        shutil.rmtree(work / "out")
    assert resumed > 3


@pytest.mark.parametrize("torn", [False, True])
def test_while_it_overwrites_the_old_store_or_the_new_one_is_there(work, expected, torn):
    job(work, "other.npy")
    old = work / "old"
    shutil.copytree(work / "out", old)
    number, replaced = 1, set()
    while kill_at(number := number + (37 if torn else 29), lambda: job(work, overwrite=True), torn=torn):
        store = work / "out" / "a.zarr"
        if store.exists():
            whole = open_recording(store).values
            assert (whole == OTHER).all() or (whole == MOVIE).all()
            replaced.add(bool((whole == MOVIE).all()))
        if Journal.of(store).job() is not None:
            job(work, overwrite=True)
        left = contents(work / "out")
        if (open_recording(store).values == MOVIE).all():
            assert {key: data for key, data in left.items() if not key.endswith("lock")} == expected
        shutil.rmtree(work / "out")
        shutil.copytree(old, work / "out")
    assert False in replaced


def test_what_is_there_can_be_opened_and_the_command_is_told(work):
    assert kill_at(N_SMALL + 4, lambda: job(work, workers=1), only="rename")
    assert len(committed_files(Journal.of(work / "out/a.zarr"), work / "out/a.zarr")) == 3
    with pytest.raises(StoreError) as caught:
        open_recording(work / "out/a.zarr")
    assert "a.zarr is unfinished: 24 of 40 frames were written" in caught.value.problem
    command = caught.value.next_step.partition(": ")[2].partition("; or")[0]
    part = open_recording(work / "out/a.zarr", unfinished=True)
    np.testing.assert_array_equal(part, MOVIE[:24])
    subprocess.run(
        command.replace("roitrace", f"{sys.executable} -m roitrace", 1), shell=True, check=True, cwd="/"
    )
    np.testing.assert_array_equal(open_recording(work / "out/a.zarr"), MOVIE)


def test_another_job_does_not_go_on_with_it(work, expected):
    store = work / "out" / "a.zarr"
    assert kill_at(N_SMALL + 3, lambda: job(work), only="rename")
    assert committed_files(Journal.of(store), store)
    before = contents(store)
    for other, words in (
        ({"frame_rate": 6}, "frame_rate was 5.0, now 6.0; another set of coordinates"),
        ({"chunks": (8, 16, 16)}, r"chunks were \[8, 8, 8\], now \[8, 16, 16\]"),
    ):
        given = {"chunks": CHUNKS, "frame_rate": 5, **other}
        with pytest.raises(StoreError, match=f"was begun by another job: {words}"):
            convert(work / "movie.npy", store, **given)
    with pytest.raises(StoreError, match="was begun by another job: another source content") as refused:
        job(work, "other.npy")
    assert (
        f"to go on with that one, give the same command again: roitrace convert {work / 'movie.npy'} {store}"
        in refused.value.next_step
    )
    assert contents(store) == before
    # a copy elsewhere is the same source
    (work / "elsewhere").mkdir()
    shutil.move(work / "movie.npy", work / "elsewhere" / "renamed.npy")
    job(work, "elsewhere/renamed.npy")
    left = contents(work / "out")
    assert {key: left[key] for key in expected if "run" not in key} == {
        key: data for key, data in expected.items() if "run" not in key
    }


def test_another_job_may_overwrite_an_unfinished_one(work):
    assert kill_at(N_SMALL + 3, lambda: job(work), only="rename")
    job(work, "other.npy", overwrite=True)
    np.testing.assert_array_equal(open_recording(work / "out/a.zarr"), OTHER)
    assert sorted(one.name for one in (work / "out").iterdir()) == ["a.zarr", "a.zarr.run"]


def test_finished_files_that_somebody_removed_are_written_again(work, expected):
    store = work / "out" / "a.zarr"
    assert kill_at(N_SMALL + 3, lambda: job(work), only="rename")
    shutil.rmtree(store)
    job(work)
    assert contents(work / "out") == expected


def test_a_whole_store_is_not_touched(work):
    job(work)
    before = contents(work / "out")
    with pytest.raises(OutputExistsError, match="the recording .*a.zarr exists already"):
        job(work)
    assert contents(work / "out") == before
    (work / "plain").mkdir()
    with pytest.raises(StoreError, match="is no zarr store, it will not be overwritten"):
        convert(work / "movie.npy", work / "plain", overwrite=True)
    assert list((work / "plain").iterdir()) == []


def test_drafts_that_a_job_killed_at_its_very_end_left_behind_go(work):
    job(work)
    before = contents(work / "out")
    (work / "out/a.zarr/fluorescence/c/0/0/0.1234.partial").write_bytes(b"x")
    (work / "out/a.zarr.run/journal").mkdir()
    with pytest.raises(OutputExistsError):
        job(work)
    assert contents(work / "out") == before


def test_one_writer(work, monkeypatch):
    perform = files.perform
    seen = []

    def meanwhile(operation, path, call, *arguments):
        if operation == "rename" and "fluorescence/c" in str(path) and not seen:
            seen.append(path)
            with pytest.raises(
                OutputBusyError, match=f"another job is writing .*a.zarr: process {os.getpid()}"
            ):
                job(work)
        return perform(operation, path, call, *arguments)

    monkeypatch.setattr(files, "perform", meanwhile)
    job(work)
    assert seen


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.ENOSPC, "no space is left"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EMFILE, "too many files are open"),
        (errno.EIO, "input/output error"),
    ],
)
def test_what_the_file_system_refuses_is_told_and_the_job_goes_on(work, expected, monkeypatch, number, cause):
    perform = files.perform
    for failing in (1, 20, 41, 60, 83, 100, 117):
        done = 0

        def fails(operation, path, call, *arguments, failing=failing):
            nonlocal done
            done += 1
            if done == failing:
                return perform(operation, path, _refuse, number)
            return perform(operation, path, call, *arguments)

        for module in (files, lock):
            monkeypatch.setattr(module, "perform", fails)
        with pytest.raises(FileAccessError, match=cause) as caught:
            job(work)
        for module in (files, lock):
            monkeypatch.setattr(module, "perform", perform)
        if failing > 20:
            assert "what was finished of" in caught.value.problem
            assert "roitrace convert" in caught.value.next_step
        job(work)
        assert contents(work / "out") == expected
        shutil.rmtree(work / "out")


def _refuse(number):
    raise OSError(number, os.strerror(number))


def test_missing_space_is_told_before_the_first_write(work, monkeypatch):
    usage = shutil.disk_usage(work)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    with pytest.raises(FileAccessError, match=r"would take about .* has 9.8 KiB left.*nothing was written"):
        job(work)
    assert not (work / "out").exists()
    # noise of 9 bits takes less than 16
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=int(MOVIE.nbytes * 0.8)))
    job(work)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    with pytest.raises(FileAccessError, match="nothing was written"):
        job(work, overwrite=True)


def test_groups_hold_several_small_files(work, monkeypatch):
    monkeypatch.setattr(commits, "COMMIT_BYTES", 2**20)
    records = []
    append = Journal.append
    monkeypatch.setattr(
        Journal,
        "append",
        lambda self, lane, record: (records.append((lane, len(record["files"]))), append(self, lane, record)),
    )
    job(work)
    assert sorted(records) == [("0", 3), ("1", 2)]


def test_a_lazily_transformed_recording_goes_on(work):
    recording = open_recording(work / "movie.npy", frame_rate=5)
    target = work / "out" / "a.zarr"

    def transformed():
        return convert(recording * 2.0 - 3, target, chunks=CHUNKS)

    assert kill_at(N_SMALL + 3, transformed, only="rename")
    assert committed_files(Journal.of(target), target)
    np.testing.assert_array_equal(transformed(), MOVIE * 2.0 - 3)
    with pytest.raises(OutputExistsError):
        transformed()


def test_simulations_go_on_too(tmp_path, monkeypatch):
    monkeypatch.setattr(commits, "COMMIT_BYTES", 1)
    out = tmp_path / "out"

    def made(**more):
        return simulate(out / "a.zarr", shape=(60, 32, 32), n_rois=2, seed=1, workers=1, **more)

    made()
    expected = contents(out)
    shutil.rmtree(out)
    number, resumed = 0, 0
    while kill_at(number := number + 60, made):
        if (out / "a.truth.zarr.run" / "journal" / "job").exists():
            with pytest.raises(StoreError, match="by another job"):
                made(haze=0)
            made()
            resumed += 1
        elif not (out / "a.zarr").exists():
            made()
        left = contents(out)
        assert {key: data for key, data in left.items() if not key.endswith("lock")} == expected
        shutil.rmtree(out)
    assert resumed > 3
    with pytest.raises(OutputExistsError, match="the recording .* exists already"):
        made()
    made(overwrite=True)
    assert contents(out) == expected
    assert load_truth(out / "a.zarr").parameters["seed"] == 1


def test_others_open_a_store_without_a_warning(work):
    job(work)
    for consolidated in (True, False):
        with xr.open_zarr(work / "out/a.zarr", consolidated=consolidated) as dataset:
            assert set(dataset.variables) == {"fluorescence", "time", "y", "x"}
            np.testing.assert_array_equal(dataset["fluorescence"], MOVIE)
    origin = json.loads((work / "out/a.zarr.run/convert.json").read_text())
    assert origin == {
        "files": [str(work / "movie.npy")],
        "options": {"frame_rate": 5, "chunks": list(CHUNKS)},
    }
