"""Many recordings in one job: all that can be done is done, nothing is done twice, one table tells."""

from __future__ import annotations

import csv
import json
import shutil
from contextlib import contextmanager

import numpy as np
import pytest

import roitrace as rt
from roitrace.config import make_config
from roitrace.errors import ConfigError, JobError, OutputExistsError
from roitrace.pipeline.recordings.planning import plan_recordings
from roitrace.pipeline.recordings.run import run_recordings
from roitrace.pipeline.run import run
from roitrace.watching import Watcher

from ..conftest import digest


def write_movie(path, seed):
    random = np.random.default_rng(seed)
    movie = random.poisson(20.0, (40, 40, 48)).astype("uint16")
    for y, x in ((5, 5), (20, 30), (28, 8)):
        movie[:, y : y + 8, x : x + 8] += random.poisson(60.0, (40, 1, 1)).astype("uint16")
    np.save(path, movie)


def job_of(folder, **sections):
    return {
        "recording": {"path": str(folder / "table.csv"), "frame_rate": 10, "motion": False},
        "rois": {"segment": {"cell_diameter": "9 px"}},
        "weights": None,
        "extract": {"statistics": ["mean"]},
        "compare": None,
        "figures": None,
        "output": {"path": str(folder / "results" / "{animal}-{name}.zarr")},
    } | sections


class Parts:
    """Notes which steps belonged to which recording."""

    def __init__(self):
        self.told = []
        self._now = None

    def step(self, name):
        self.told.append((self._now, name))
        return _Deaf()

    @contextmanager
    def within(self, title, number, count):
        self._now = (title, number, count)
        yield


class _Deaf(Watcher):
    def watch(self, standing):
        assert standing.tasks <= standing.all_tasks


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Run a job over two recordings and one that is broken."""
    folder = tmp_path_factory.mktemp("many")
    for seed, name in enumerate(("a", "b")):
        write_movie(folder / f"{name}.npy", seed)
    (folder / "c.npy").write_bytes(b"no recording")
    (folder / "table.csv").write_text("path,animal\na.npy,007\nc.npy,007\nb.npy,m2\n")
    notes, parts = [], Parts()
    return folder, run_recordings(job_of(folder), progress=parts, note=notes.append), notes, parts


@pytest.fixture
def again(made, tmp_path):
    """Give a copy of what was made, to be changed."""
    shutil.copytree(made[0], tmp_path / "many")
    return tmp_path / "many"


def statuses(summary):
    return {row["recording"]: row["status"] for row in summary.rows}


def test_one_that_fails_does_not_stop_the_others(made):
    folder, summary, notes, parts = made
    assert statuses(summary) == {"a": "done", "c": "failed", "b": "done"}
    assert list(summary.failed) == ["c"]
    assert "named like npy" in summary.failed["c"]
    assert any(one.startswith("c failed: ") for one in notes)
    assert {name for name, _ in parts.told} == {("a", 1, 3), ("b", 3, 3)}
    assert {step for name, step in parts.told if name == ("b", 3, 3)} >= {"project", "extract", "normalize"}
    assert {one.name for one in (folder / "results").iterdir()} >= {"007-a.zarr", "m2-b.zarr"}
    assert not (folder / "results" / "007-c.zarr").exists()


def test_results_are_those_of_single_jobs(made, tmp_path):
    folder = made[0]
    recording = job_of(folder)["recording"] | {"path": str(folder / "b.npy")}
    run(job_of(folder, recording=recording, output={"path": str(tmp_path / "single.zarr")}))
    assert digest(tmp_path / "single.zarr") == digest(folder / "results" / "m2-b.zarr")


def test_the_table(made):
    folder, summary, *_ = made
    with (folder / "results" / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["recording"], row["animal"], row["status"]) for row in rows] == [
        ("a", "007", "done"),
        ("c", "007", "failed"),
        ("b", "m2", "done"),
    ]
    first, broken, _ = rows
    tree = rt.load(first["output"])
    quality = tree["quality"].to_dataset()
    accepted = tree["rois"].to_dataset()["accepted"].values
    assert int(first["cells"]) == accepted.size == 3
    assert float(first["median_noise"]) == np.median(quality["noise"].values[accepted])
    assert float(first["seconds"]) > 0
    assert broken["cells"] == ""
    assert "named like npy" in broken["error"]
    frame = summary.to_dataframe()
    assert frame["status"].tolist() == ["done", "failed", "done"]
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    stored = pandas.read_parquet(folder / "results" / "summary.parquet")
    assert stored["recording"].tolist() == ["a", "c", "b"]
    assert stored["median_noise"].iloc[0] == float(first["median_noise"])
    assert stored["animal"].iloc[0] == "007"


def test_nothing_is_done_twice(again):
    before = digest(again / "results")
    summary = run_recordings(job_of(again))
    assert statuses(summary) == {"a": "unchanged", "c": "failed", "b": "unchanged"}
    after = digest(again / "results")
    assert {name: one for name, one in after.items() if "summary" not in name} == {
        name: one for name, one in before.items() if "summary" not in name
    }
    assert summary.rows[0]["cells"] == 3


def test_what_has_changed_is_done_again(again):
    write_movie(again / "b.npy", 9)
    write_movie(again / "c.npy", 3)
    notes = []
    summary = run_recordings(job_of(again), note=notes.append)
    assert statuses(summary) == {"a": "unchanged", "c": "done", "b": "done"}
    assert "b is run again, changed: recording" in notes
    assert not summary.failed


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda job: job | {"normalize": {"offset": 5}}, "changed: normalize"),
        (lambda job: job | {"extract": {"statistics": ["mean", "max"]}}, "changed: extract.statistics"),
        (lambda job: job | {"output": job["output"] | {"overwrite": True}}, "asked to overwrite"),
    ],
)
def test_another_configuration(again, change, told):
    (again / "table.csv").write_text("path,animal\na.npy,007\n")
    notes = []
    summary = run_recordings(change(job_of(again)), note=notes.append)
    assert statuses(summary) == {"a": "done"}
    assert any(one.startswith(f"a is run again, {told}") for one in notes)


def test_what_changes_no_result_changes_nothing(again):
    (again / "table.csv").write_text("path,animal,session\na.npy,007,3\n")
    resources = {"budget": "1 GiB", "workers": 1}
    summary = run_recordings(job_of(again, resources=resources))
    assert statuses(summary) == {"a": "unchanged"}
    assert summary.rows[0]["session"] == "3"


def test_edited_decisions_are_obeyed(again):
    (again / "table.csv").write_text("path,animal\na.npy,007\n")
    decisions = again / "results" / "007-a.zarr.rois.csv"
    lines = decisions.read_text().splitlines()
    with decisions.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0] |= {"accepted": "no", "reason": "blood vessel"}
    with decisions.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0].split(","))
        writer.writeheader()
        writer.writerows(rows)
    notes = []
    summary = run_recordings(job_of(again), note=notes.append)
    assert "a is run again, changed: decisions" in notes
    assert summary.rows[0]["accepted"] == summary.rows[0]["cells"] - 1
    assert statuses(run_recordings(job_of(again))) == {"a": "unchanged"}


def test_damaged_results_are_made_anew(again):
    (again / "table.csv").write_text("path,animal\na.npy,007\n")
    (again / "results" / "007-a.zarr.rois.csv").unlink()  # with it, nobody would dare to replace the cells
    (next((again / "results" / "007-a.zarr" / "traces" / "mean" / "c").rglob("*"))).rename(again / "gone")
    notes = []
    summary = run_recordings(job_of(again), note=notes.append)
    assert statuses(summary) == {"a": "done"}
    assert "a is run again, unfinished or damaged" in notes


def test_results_of_others_are_not_touched(again):
    shutil.rmtree(again / "results" / "007-a.zarr.run")
    before = digest(again / "results")
    with pytest.raises(OutputExistsError, match="were not made by a job over many recordings"):
        run_recordings(job_of(again))
    assert digest(again / "results") == before


def test_an_interrupted_job_leaves_its_table(again, monkeypatch):
    write_movie(again / "b.npy", 9)

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("roitrace.pipeline.recordings.run.run", stop)
    with pytest.raises(KeyboardInterrupt):
        run_recordings(job_of(again))
    with (again / "results" / "summary.csv").open(newline="") as file:
        rows = {row["recording"]: row["status"] for row in csv.DictReader(file)}
    assert rows == {"a": "unchanged", "c": "failed", "b": "not run"}


def test_what_was_interrupted_goes_on(again, monkeypatch):
    (again / "table.csv").write_text("path,animal\na.npy,new\n")

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("roitrace.pipeline.run.normalize_traces", stop)
        run_recordings(job_of(again))
    notes = []
    assert statuses(run_recordings(job_of(again), note=notes.append)) == {"a": "done"}
    assert "a is run again, unfinished or damaged" in notes
    assert statuses(run_recordings(job_of(again))) == {"a": "unchanged"}
    assert digest(again / "results" / "new-a.zarr") == digest(again / "results" / "007-a.zarr")


def test_a_change_that_failed_is_not_taken_for_done(again, monkeypatch):
    (again / "table.csv").write_text("path,animal\na.npy,007\n")
    changed = job_of(again, normalize={"offset": 5})

    def fail(*_, **__):
        raise JobError("enough")

    with monkeypatch.context() as patch:
        patch.setattr("roitrace.pipeline.run.normalize_traces", fail)
        assert run_recordings(changed).failed == {"a": "enough"}
    assert statuses(run_recordings(changed)) == {"a": "done"}


def test_one_recording_is_another_verb(made, tmp_path):
    job = job_of(
        tmp_path, recording={"path": str(tmp_path / "a.npy")}, output={"path": str(tmp_path / "a.zarr")}
    )
    with pytest.raises(ConfigError, match="describe one recording"):
        run_recordings(job)
    with pytest.raises(ConfigError, match="call run_recordings"):
        run(job_of(made[0]))


def test_plan(made):
    plan = plan_recordings(make_config(job_of(made[0])))
    a, c, _ = plan.rows
    assert a["to_do"] == "unchanged"
    assert a["frames"] == 40
    assert a["recording_bytes"] == 40 * 40 * 48 * 2
    assert a["animal"] == "007"
    assert c["to_do"].startswith("error: ")
    totals = plan.totals()
    assert totals["recordings"] == 3
    assert totals["to_do"] == 0
    assert totals["cannot_be_opened"] == 1
    overwritten = make_config(job_of(made[0], output=job_of(made[0])["output"] | {"overwrite": True}))
    totals = plan_recordings(overwritten).totals()
    assert totals["to_do"] == 2
    assert totals["frames"] == 80
    assert totals["bytes_to_read"] >= 2 * 2 * 40 * 40 * 48 * 2
    assert totals["peak_bytes"] > 0
    json.dumps(plan.to_dict())
