"""How each step did is told beside the store: what was read, how fast, how much memory, each task."""

from __future__ import annotations

import csv
import json
import time

import numpy as np
import pytest

from roitrace.pipeline.performance import Performance, anonymous_memory, write_performance
from roitrace.watching import Standing, TaskTime, Watcher, Work


@pytest.fixture(scope="module")
def told(finished):
    return json.loads((finished / "results.zarr.run" / "performance.json").read_text())


def test_steps_of_a_job(told):
    steps = {one["step"]: one for one in told["steps"]}
    # found cells and true ones are extracted one after the other
    for name, frames in (("simulate", 300), ("project", 300), ("extract", 600)):
        assert steps[name]["frames"] == frames
        assert steps[name]["bytes"] == frames * 64 * 64 * 2
        assert steps[name]["frames_per_second"] == pytest.approx(frames / steps[name]["seconds"], rel=0.5)
        assert steps[name]["bytes_per_second"] > 0
        assert steps[name]["tasks"]
    assert steps["extract"]["planned_peak_bytes"] > 2**28
    assert steps["normalize"]["bytes"] is None
    assert steps["normalize"]["planned_peak_bytes"] is None
    assert [one["begin"] for one in told["steps"]] == sorted(one["begin"] for one in told["steps"])
    assert told["budget"] == 2**30
    assert told["workers"] == 2
    assert told["dashboard"] is None


def test_memory_against_the_plan(told):
    if anonymous_memory() is None:
        pytest.skip("the system does not tell")
    assert told["peak_memory_bytes"] == max(one["peak_memory_bytes"] for one in told["steps"])
    assert told["peak_memory_bytes"] > 2**24
    assert told["planned_peak_bytes"] > 2**28


def test_times_of_tasks(finished):
    with (finished / "results.zarr.run" / "tasks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    read = [row for row in rows if row["step"] == "extract" and int(row["bytes"])]
    assert sum(float(row["frames"]) for row in read) == 600
    assert all(float(row["seconds"]) >= 0 and float(row["begin"]) >= 0 for row in rows)
    assert all(int(row["bytes"]) or float(row["seconds"]) >= 0.01 for row in rows)


def test_memory_is_sampled_while_a_step_runs():
    if anonymous_memory() is None:
        pytest.skip("the system does not tell")
    performance = Performance()
    with performance.measured("large", None):
        held = np.ones(2**26, np.uint8)
        time.sleep(0.3)
        del held
    before = anonymous_memory()
    assert performance.steps[0].peak_bytes > before + 2**25


def test_a_step_that_computes_twice_counts_both():
    performance, seen = Performance(), []
    with performance.measured("both", lambda *now: seen.append(now)) as record:
        for tasks in (0, 1, 2, 0, 1):
            record.watch(Standing(tasks, 2, Work(10 * tasks, 100 * tasks), Work(20, 200)))
    assert record.work == Work(30, 300)
    assert seen == [(0, 2), (1, 2), (2, 2), (0, 2), (1, 2)]


def test_who_else_wants_times_gets_them():
    class Wants(Watcher):
        wants_times = True

        def __init__(self):
            self.times = []

        def watch(self, standing):
            raise AssertionError(standing)

        def time_tasks(self, times):
            self.times += times

    performance, other = Performance(), Wants()
    one = TaskTime("slabs", 5.0, 0.001, "w")
    with performance.measured("step", other) as record:
        record.time_tasks([one])
    assert other.times == [one]
    assert record.times == [one]


def test_short_tasks_without_work_are_only_counted(tmp_path):
    performance = Performance()
    with performance.measured("step", None) as record:
        record.time_tasks(
            [
                TaskTime("pick", 5.0, 0.001, "w"),
                TaskTime("pick", 5.0, 0.003, "w"),
                TaskTime("slabs", 6.0, 0.001, "w", Work(3, 12)),
                TaskTime("finish", 7.0, 2.0, "w"),
            ]
        )
    write_performance(tmp_path, performance, {"step": 7}, {"budget": 3})
    rows = (tmp_path / "tasks.csv").read_text().splitlines()
    assert rows[1:] == ["step,slabs,1.0,0.001,w,3,12", "step,finish,2.0,2.0,w,0.0,0"]
    told = json.loads((tmp_path / "performance.json").read_text())
    assert told["budget"] == 3
    assert told["steps"][0]["planned_peak_bytes"] == 7
    assert told["steps"][0]["tasks"]["pick"] == {
        "count": 2,
        "seconds": 0.004,
        "median_seconds": 0.002,
        "longest_seconds": 0.003,
    }


def test_watching_costs_little():
    """A task of 5 ms, which is short, is told in less than 1 % of its time."""
    performance = Performance()
    with performance.measured("step", None) as record:
        begin = time.thread_time()
        for tasks in range(2000):
            record.watch(Standing(tasks, 2000, Work(tasks, tasks), Work(2000, 2000)))
        each = (time.thread_time() - begin) / 2000
    assert each < 5e-5
