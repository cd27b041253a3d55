"""Results written to a bucket are those that are written to disk; jobs that were stopped go on there too."""

from __future__ import annotations

import numpy as np
import pytest

import roitrace as rt
from roitrace import results_writer
from roitrace.engine import slab_layer
from roitrace.errors import OutputExistsError, StoreError
from roitrace.results import load, save
from roitrace.store import commits
from roitrace.store.journal import Journal
from roitrace.store.places import place_of
from tests.cloud.contents import contents
from tests.test_resuming import Killed, rois


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    path = tmp_path_factory.mktemp("movie") / "movie.npy"
    np.save(path, np.random.default_rng(0).poisson(50, (3000, 12, 16)).astype("uint16"))
    return path


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(commits, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(slab_layer, "KEEP_SECONDS", 0.0)


def groups(movie):
    recording = rt.open_recording(movie, frame_rate=10)
    lazy = rt.extract(
        recording, rois(), ("mean", "median"), projections=("mean", "std"), budget="2 GiB", workers=2
    )
    return {"rois": rois(), "traces": lazy, "normalized": rt.normalize(lazy, window="20 s")}


def test_results_are_the_same_objects_and_read_the_same(movie, bucket, tmp_path):
    save(groups(movie), tmp_path / "a.zarr")
    made = save(groups(movie), f"{bucket}/a.zarr")
    assert str(made) == f"{bucket}/a.zarr"
    assert contents(made) == contents(tmp_path / "a.zarr")
    assert set(place_of(bucket).lengths()) == {f"a.zarr/{key}" for key in contents(made)}
    one, other = load(tmp_path / "a.zarr"), load(made)
    for group in ("traces", "normalized"):
        for name, variable in one[group].data_vars.items():
            np.testing.assert_array_equal(other[group][name].values, variable.values)


@pytest.mark.parametrize("n_records", [0, 1, 3])
def test_results_that_were_stopped_go_on_and_end_the_same(movie, bucket, tmp_path, monkeypatch, n_records):
    save(groups(movie), tmp_path / "a.zarr")
    store = f"{bucket}/a.zarr"
    with monkeypatch.context() as killing:
        append, left = Journal.append, [n_records]

        def counted(self, lane, record):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            append(self, lane, record)

        killing.setattr(Journal, "append", counted)
        with pytest.raises(Killed):
            save(groups(movie), store)
    with pytest.raises(StoreError, match=r"is unfinished: its job was stopped|is unfinished or damaged"):
        load(store)
    with pytest.raises(StoreError, match="was begun by another job"):
        save(groups(movie), store, parameters={"other": 1})
    save(groups(movie), store)
    assert contents(place_of(store)) == contents(tmp_path / "a.zarr")
    assert set(place_of(bucket).lengths()) == {f"a.zarr/{key}" for key in contents(place_of(store))}


def test_results_replace_others_only_when_they_are_whole(movie, bucket, tmp_path, monkeypatch):
    store = place_of(f"{bucket}/a.zarr")
    save({"rois": rois()}, store)
    before = contents(store)
    with pytest.raises(OutputExistsError, match="exists already"):
        save(groups(movie), store)
    with monkeypatch.context() as killing:
        killing.setattr(results_writer, "commit", _killed)
        with pytest.raises(Killed):
            save(groups(movie), store, overwrite=True)
    assert contents(store) == before
    save(groups(movie), store, overwrite=True)
    save(groups(movie), tmp_path / "a.zarr")
    assert contents(store) == contents(tmp_path / "a.zarr")
    assert set(place_of(bucket).lengths()) == {f"a.zarr/{key}" for key in contents(store)}


def _killed(*_, **__):
    raise Killed


def test_results_are_read_from_a_web_server_that_lists_nothing(movie, web):
    folder, server = web
    save(groups(movie), folder / "a.zarr")
    server.log.failing = lambda _method, path: 404 if path.endswith("/") else 0
    one, other = load(folder / "a.zarr"), load(f"{server.address}/a.zarr")
    assert sorted(one.children) == sorted(other.children)
    for group in ("traces", "normalized"):
        for name, variable in one[group].data_vars.items():
            np.testing.assert_array_equal(other[group][name].values, variable.values)
    (manifest,) = folder.glob("a.zarr/**/manifest")
    manifest.unlink()
    for unfinished in (False, True):
        with pytest.raises(
            StoreError, match="is unfinished: its job was stopped; finish it where it was begun"
        ):
            load(f"{server.address}/a.zarr", unfinished=unfinished)
