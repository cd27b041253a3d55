"""Results whose writing was stopped at every step go on where they were, and end with the bytes of an undisturbed run."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import dask
import numpy as np
import pytest

import roitrace as rt
from roitrace.engine import slab_layer
from roitrace.errors import StoreError
from roitrace.results import load, save
from roitrace.store import commits
from roitrace.store.journal import Journal


class Killed(BaseException):
    """The process is gone."""


def digest(folder):
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    path = tmp_path_factory.mktemp("movie") / "movie.npy"
    random = np.random.default_rng(0)
    np.save(path, random.poisson(50, (5000, 12, 16)).astype("uint16"))
    return path


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    """Every file is a commit group, sums are kept after every slab, and a slab is short."""
    monkeypatch.setattr(commits, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(slab_layer, "KEEP_SECONDS", 0.0)


def rois():
    labels = np.zeros((12, 16), int)
    labels[1:4, 1:5], labels[6:10, 8:13] = 1, 2
    return rt.Rois.from_labels(labels)


def traces(movie, **more):
    recording = rt.open_recording(movie, frame_rate=10)
    return rt.extract(recording, rois(), ("mean", "median"), **{"budget": "2 GiB", "workers": 2} | more)


@pytest.fixture
def slabs_read(monkeypatch):
    """Frames of each slab that is read."""
    read, bounds = slab_layer.read_slab, []

    def counted(source, table, tiles, request, span, *more):
        bounds.append(span)
        return read(source, table, tiles, request, span, *more)

    monkeypatch.setattr(slab_layer, "read_slab", counted)
    return bounds


def killed_after(monkeypatch, n_records, call):
    """Make a call that dies when it has made so many records in the journal; return whether it did."""
    append, left = Journal.append, [n_records]

    def counted(self, lane, record):
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        append(self, lane, record)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", counted)
        try:
            call()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("overwrite", [False, True])
def test_same_bytes_after_a_stop_at_every_record(tmp_path, movie, monkeypatch, overwrite):
    def call(name):
        found = {"rois": rois(), "traces": traces(movie, projections=("mean", "std"))}
        with dask.config.set(scheduler="sync"):
            save(found, tmp_path / name, overwrite=overwrite, parameters={"a": 1})

    call("whole.zarr")
    expected = digest(tmp_path / "whole.zarr")
    for stop_at in range(40):
        name = f"{stop_at}.zarr"
        if overwrite:
            save({"rois": rois()}, tmp_path / name)
            old = digest(tmp_path / name)
        if not killed_after(monkeypatch, stop_at, lambda name=name: call(name)):
            break
        if overwrite:
            assert digest(tmp_path / name) == old
        else:
            with pytest.raises(StoreError, match="does not exist|is no results store|is unfinished"):
                load(tmp_path / name)
        call(name)
        assert digest(tmp_path / name) == expected
        left = {one.name for one in tmp_path.iterdir()}
        assert left == {"whole.zarr", name}
        shutil.rmtree(tmp_path / name)
    assert stop_at > 5


def test_only_what_is_missing_is_read(tmp_path, movie, monkeypatch, slabs_read):
    def call():
        with dask.config.set(scheduler="sync"):
            save({"traces": traces(movie)}, tmp_path / "a.zarr")

    call()
    everything = sorted(slabs_read)
    assert len(everything) > 4
    shutil.rmtree(tmp_path / "a.zarr")
    slabs_read.clear()
    assert killed_after(monkeypatch, 3, call)
    done = {
        key
        for one in Journal.of(tmp_path / "a.zarr").records()
        for key in (f["key"] for f in one.get("files", ()))
    }
    assert "traces/mean/c/0/0" in done
    slabs_read.clear()
    call()
    assert slabs_read
    assert min(slabs_read)[1] > 2048
    assert len(slabs_read) < len(everything)
