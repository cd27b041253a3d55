"""Results whose writing was stopped at every step go on where they were, and end with the bytes of an undisturbed run."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr

import roitrace as rt
from roitrace.engine import slab_layer
from roitrace.errors import OutputBusyError, OutputExistsError, StoreError
from roitrace.results import load, save
from roitrace.store import commits, files, swap
from roitrace.store.journal import Journal
from roitrace.store.lock import writing_alone


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

    def counted(source, layout, request, span, *more):
        bounds.append(span)
        return read(source, layout, request, span, *more)

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


# -- what is refused ---------------------------------------------------------------------------------------------


def begun(tmp_path, movie, monkeypatch, **parameters):
    """Begin results and die."""
    with dask.config.set(scheduler="sync"):
        assert killed_after(
            monkeypatch,
            3,
            lambda: save({"traces": traces(movie)}, tmp_path / "a.zarr", parameters=parameters),
        )


def test_other_parameters_are_refused_by_name(tmp_path, movie, monkeypatch):
    begun(tmp_path, movie, monkeypatch, normalize={"offset": 100})
    before = digest(tmp_path)
    with pytest.raises(StoreError, match=r"normalize.offset was 100, now 90"):
        save({"traces": traces(movie)}, tmp_path / "a.zarr", parameters={"normalize": {"offset": 90}})
    assert digest(tmp_path) == before
    save(
        {"traces": traces(movie)},
        tmp_path / "a.zarr",
        parameters={"normalize": {"offset": 90}},
        overwrite=True,
    )
    assert load(tmp_path / "a.zarr").attrs["parameters"] == '{"normalize": {"offset": 90}}'


def test_another_recording_is_refused(tmp_path, movie, monkeypatch):
    begun(tmp_path, movie, monkeypatch)
    changed = np.load(movie)
    changed[-1] += 1
    np.save(tmp_path / "changed.npy", changed)
    with pytest.raises(StoreError, match="another content of the recording"):
        save({"traces": traces(tmp_path / "changed.npy")}, tmp_path / "a.zarr")


def test_other_statistics_of_the_same_name_are_refused(tmp_path, movie, monkeypatch):
    recording = rt.open_recording(movie, frame_rate=10)

    def call(cut):
        asked = rt.stat.trimmed_mean(cut, name="trimmed")
        with dask.config.set(scheduler="sync"):
            save({"traces": rt.extract(recording, rois(), asked)}, tmp_path / "a.zarr")

    assert killed_after(monkeypatch, 3, lambda: call(0.1))
    with pytest.raises(StoreError, match="another computation of traces/trimmed"):
        call(0.2)
    call(0.1)


def test_a_moved_recording_and_another_budget_are_no_change(tmp_path, movie, monkeypatch):
    save({"traces": traces(movie)}, tmp_path / "whole.zarr")
    begun(tmp_path, movie, monkeypatch)
    shutil.copy(movie, tmp_path / "moved.npy")
    save({"traces": traces(tmp_path / "moved.npy", budget="1 GiB", workers=1)}, tmp_path / "a.zarr")
    assert digest(tmp_path / "a.zarr") == digest(tmp_path / "whole.zarr")


def test_one_writer(tmp_path, movie):
    with writing_alone(tmp_path / "a.zarr"), pytest.raises(OutputBusyError, match="another job is writing"):
        save({"traces": traces(movie)}, tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_lost_its_records_at_its_end_does_nothing_again(tmp_path, movie, monkeypatch, slabs_read):
    def call():
        save({"traces": traces(movie, projections=("mean",))}, tmp_path / "a.zarr", parameters={"a": 1})

    def killed_on_the_way(journal, _):
        for lane in journal.folder.glob("lane-*"):
            lane.unlink()
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("roitrace.results.end_job", killed_on_the_way)
        call()
    expected = digest(tmp_path / "a.zarr")
    slabs_read.clear()
    with monkeypatch.context() as patched:
        patched.setattr("roitrace.results_writer.drafting", None)
        patched.setattr("roitrace.engine.unit_writes.drafting", None)
        call()
    assert not slabs_read
    assert digest(tmp_path / "a.zarr") == expected
    assert [one.name for one in tmp_path.iterdir()] == ["a.zarr"]


def stopped_between_names(monkeypatch, call):
    """Make a call that dies when the old output has lost its name, and the new one has none yet."""
    with monkeypatch.context() as patched, pytest.raises(Killed):
        move, moved = files.move, []

        def counted(source, target):
            moved.append(source)
            if len(moved) == 2:
                raise Killed
            move(source, target)

        patched.setattr(swap, "move", counted)
        call()


def test_another_call_after_a_stop_between_the_names_keeps_results(tmp_path, movie, monkeypatch):
    def call(number):
        save({"traces": traces(movie)}, tmp_path / "a.zarr", overwrite=True, parameters={"a": number})

    def number():
        return json.loads(load(tmp_path / "a.zarr").attrs["parameters"])["a"]

    call(1)
    stopped_between_names(monkeypatch, lambda: call(2))
    assert not (tmp_path / "a.zarr").exists()
    assert killed_after(monkeypatch, 1, lambda: call(3))
    assert number() == 2
    call(3)
    assert number() == 3
    assert [one.name for one in tmp_path.iterdir()] == ["a.zarr"]


def test_another_call_after_a_stop_between_the_names_keeps_the_recording(tmp_path, movie, monkeypatch):
    def call(frames):
        rt.convert(movie, tmp_path / "a.zarr", overwrite=True, chunks=(frames, 12, 16))

    call(16)
    stopped_between_names(monkeypatch, lambda: call(32))
    assert not (tmp_path / "a.zarr").exists()
    assert killed_after(monkeypatch, 1, lambda: call(64))
    assert rt.verify(tmp_path / "a.zarr").ok
    np.testing.assert_array_equal(rt.open_recording(tmp_path / "a.zarr").values, np.load(movie))
    call(64)
    assert rt.verify(tmp_path / "a.zarr").ok
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.zarr", "a.zarr.run"]


@pytest.mark.parametrize("left", ["", "lock", "sums/", "sums/1/a", "spool/a/", "journal/", "journal/ sums/"])
def test_what_the_end_of_a_job_left_is_removed(tmp_path, movie, left):
    # folders: after a power cut, as their removal was not durable
    store = save(traces(movie), tmp_path / "a.zarr")
    beside = tmp_path / "a.zarr.run"
    beside.mkdir()
    for one in left.split():
        (beside / one).parent.mkdir(parents=True, exist_ok=True)
        (beside / one).mkdir() if one.endswith("/") else (beside / one).touch()
    with pytest.raises(OutputExistsError):
        save(traces(movie), store)
    assert not beside.exists()


def test_unfinished_says_how_to_go_on(tmp_path, movie, monkeypatch):
    begun(tmp_path, movie, monkeypatch)
    with pytest.raises(
        StoreError, match=r"no group is finished, and \d+ files? in all (is|are) safe; to continue: "
    ):
        load(tmp_path / "a.zarr")
    assert list(load(tmp_path / "a.zarr", unfinished=True).children) == []


def test_damaged_sums_count_as_none(tmp_path):
    from roitrace.engine.moments import new_moments
    from roitrace.engine.sums_files import SumsFiles

    kept = SumsFiles(tmp_path / "sums")
    kept.keep(0, 3, new_moments((4, 5), np.dtype("uint16"), frozenset({"total", "spread"})))
    assert kept.newest(0) == 3
    file = tmp_path / "sums" / "lane-0"
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert kept.newest(0) is None
        file.write_bytes(whole[:place])
        assert kept.newest(0) is None


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32"])
@pytest.mark.parametrize(
    "statistics", [("mean", "std", "max", "min"), ("argmax", "skewness", "difference_std", "correlation")]
)
def test_sums_of_every_kind_go_on(tmp_path, monkeypatch, slabs_read, dtype, statistics):
    random = np.random.default_rng(1)
    np.save(tmp_path / "movie.npy", random.poisson(50, (3000, 6, 7)).astype(dtype))

    def call(name):
        images = rt.project(rt.open_recording(tmp_path / "movie.npy", frame_rate=10), statistics, workers=2)
        with dask.config.set(scheduler="sync"):
            save({"projections": images}, tmp_path / name)

    call("whole.zarr")
    everything = len(slabs_read)
    keep, left = slab_layer.SumsFiles.keep, [2]

    def stopped(self, *arguments):
        keep(self, *arguments)
        left[0] -= 1
        if not left[0]:
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(slab_layer.SumsFiles, "keep", stopped)
        call("a.zarr")
    slabs_read.clear()
    call("a.zarr")
    assert len(slabs_read) == everything - 2
    assert digest(tmp_path / "a.zarr") == digest(tmp_path / "whole.zarr")
    assert not (tmp_path / "a.zarr.run").exists()


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_finished_parts_of_medians_are_kept(tmp_path, monkeypatch, dtype):
    from roitrace.engine import rank_layer

    random = np.random.default_rng(1)
    recording = xr.DataArray(random.poisson(50, (300, 64, 64)).astype(dtype), dims=("time", "y", "x"))
    rt.convert(recording, tmp_path / "movie.zarr", chunks=(64, 16, 16))
    kept, made = rank_layer.write_sums, []

    def call(name):
        images = rt.project(rt.open_recording(tmp_path / "movie.zarr"), ("median",), workers=1)
        with dask.config.set(scheduler="sync"):
            save({"projections": images}, tmp_path / name)

    def counted(*arguments):
        kept(*arguments)
        made.append(arguments[0].name)
        if len(made) == stop_at:
            raise Killed

    monkeypatch.setattr(rank_layer, "write_sums", counted)
    stop_at = 0
    call("whole.zarr")
    parts = len(made)
    assert parts > 3
    made.clear()
    stop_at = 2
    with pytest.raises(Killed):
        call("a.zarr")
    made.clear()
    stop_at = 0
    call("a.zarr")
    assert len(made) == parts - 2
    assert digest(tmp_path / "a.zarr") == digest(tmp_path / "whole.zarr")
    assert not (tmp_path / "a.zarr.run").exists()
