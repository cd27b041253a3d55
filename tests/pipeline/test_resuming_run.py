"""A whole job that dies anywhere goes on with the same call, takes no finished step again, and ends with the same bytes."""

from __future__ import annotations

import numpy as np
import pytest

import roitrace as rt
from roitrace.errors import StoreError
from roitrace.pipeline.run import run
from roitrace.results import load
from roitrace.store import commits
from roitrace.store.journal import Journal

from .conftest import digest, segmenting_job


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(commits, "COMMIT_SECONDS", 0.0)


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    random = np.random.default_rng(0)
    movie = random.poisson(20.0, (120, 40, 48)).astype("uint16")
    for y, x in ((5, 5), (20, 30), (28, 8)):
        movie[:, y : y + 8, x : x + 8] += random.poisson(60.0, (120, 1, 1)).astype("uint16")
    path = tmp_path_factory.mktemp("movie") / "movie.npy"
    np.save(path, movie)
    return path


@pytest.fixture(scope="module")
def whole(movie, tmp_path_factory):
    """Bytes of an undisturbed run, and how many records its journal had."""
    folder, append, records = tmp_path_factory.mktemp("whole"), Journal.append, []

    def counted(self, lane, record):
        records.append(record)
        append(self, lane, record)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(commits, "COMMIT_SECONDS", 0.0)
        patched.setattr(Journal, "append", counted)
        run(segmenting_job(movie, folder))
    return digest(folder / "out.zarr"), (folder / "traces.csv").read_bytes(), len(records)


def killed_after(monkeypatch, n_records, job):
    append, left = Journal.append, [n_records]

    def counted(self, lane, record):
        if not left[0]:
            raise Killed
        left[0] -= 1
        append(self, lane, record)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Journal, "append", counted)
        run(job)


@pytest.mark.parametrize("part", [0.0, 0.4, 0.7, 0.95])
def test_same_bytes_after_a_stop(movie, tmp_path, monkeypatch, whole, part):
    expected, table, records = whole
    killed_after(monkeypatch, int(part * records), segmenting_job(movie, tmp_path))
    with pytest.raises(StoreError, match="does not exist|is unfinished|is no results store"):
        load(tmp_path / "out.zarr")
    run(segmenting_job(movie, tmp_path))
    assert digest(tmp_path / "out.zarr") == expected
    assert (tmp_path / "traces.csv").read_bytes() == table
    beside = {one.name for one in (tmp_path / "out.zarr.run").iterdir()}
    assert beside.isdisjoint({"journal", "lock", "sums", "spool", "failure.json"})


def test_stopped_while_files_are_exported(movie, tmp_path, monkeypatch, whole):
    from roitrace.pipeline import exports

    export, projected = exports.export, []

    def stopped(*arguments, **options):
        export(*arguments, **options)
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(exports, "export", stopped)
        run(segmenting_job(movie, tmp_path))
    run(segmenting_job(movie, tmp_path), progress=lambda step, *_: projected.append(step))
    assert digest(tmp_path / "out.zarr") == whole[0]
    assert not {"project", "extract", "normalize", "quality"} & set(projected)


def test_changes_are_refused_by_name(movie, tmp_path, monkeypatch):
    killed_after(monkeypatch, 5, segmenting_job(movie, tmp_path))
    with pytest.raises(StoreError, match="rois.segment.cell_diameter was .*9 px.*, now .*8 px"):
        run(segmenting_job(movie, tmp_path, rois={"segment": {"cell_diameter": "8 px"}}))
    other = tmp_path / "other.npy"
    np.save(other, np.load(movie)[::-1])
    with pytest.raises(StoreError, match="another source content"):
        run(segmenting_job(other, tmp_path))
    np.save(tmp_path / "moved.npy", np.load(movie))
    assert "traces" in run(segmenting_job(tmp_path / "moved.npy", tmp_path)).children


def test_changed_file_of_rois_is_refused(movie, tmp_path, monkeypatch):
    labels = np.zeros((40, 48), np.uint8)
    labels[5:13, 5:13] = 1
    np.save(tmp_path / "labels.npy", labels)
    job = segmenting_job(movie, tmp_path, rois={"path": str(tmp_path / "labels.npy")})
    killed_after(monkeypatch, 5, job)
    labels[20:28, 30:38] = 2
    np.save(tmp_path / "labels.npy", labels)
    with pytest.raises(StoreError, match="another content of rois.path"):
        run(job)
    assert len(rt.Rois.from_labels(labels)) == 2
