from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from roitrace.engine import places
from roitrace.engine.blocks import as_dask
from roitrace.engine.places import (
    Limits,
    Workers,
    available_workers,
    limits_of,
    planning_for,
    worker_processes,
)
from roitrace.engine.plan import RESERVED_BYTES, Job, plan_slabs
from roitrace.errors import BudgetError, JobError
from roitrace.planning import plan
from tests.block_sources import GeneratedSource

MIB = 2**20
MOVIE = xr.DataArray(
    as_dask(GeneratedSource((4096, 64, 64), (64, 64, 64), np.dtype("uint16"))), dims=("time", "y", "x")
)


def cluster_of(processes=4, on_one_machine=2, threads=3, memory=None, beside=0) -> Workers:
    return Workers(processes, on_one_machine, threads, memory, beside)


def test_one_process_has_all_of_the_budget():
    assert limits_of("1 GiB", 3) == Limits(1024 * MIB, 3)
    assert limits_of(512 * MIB, None) == Limits(512 * MIB, available_workers())
    assert worker_processes() == 1


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        (cluster_of(), 1000 * MIB // 2),
        (cluster_of(on_one_machine=1), 1000 * MIB),
        (cluster_of(beside=RESERVED_BYTES), (1000 * MIB - RESERVED_BYTES) // 2),
        (cluster_of(memory=600 * MIB), 420 * MIB),
        (cluster_of(memory=8000 * MIB), 500 * MIB),
    ],
)
def test_workers_of_a_machine_share_its_budget(workers, expected):
    with planning_for(workers):
        assert limits_of("1000 MiB", 1) == Limits(expected, 3)
        assert worker_processes() == 4
    assert worker_processes() == 1


def test_a_cluster_says_what_it_has(cluster):
    with cluster.as_current():
        assert worker_processes() == 2
        assert available_workers() == 1
        budget, at_once = limits_of("2 GiB", 8)
        assert at_once == 1
        # both workers, and this process beside them, are on this machine
        assert budget == (2048 * MIB - RESERVED_BYTES) // 2


def test_a_cluster_without_workers_is_refused(cluster, monkeypatch):
    monkeypatch.setattr(places, "workers_of", lambda _: {})
    with cluster.as_current(), pytest.raises(JobError, match=r"has no workers yet; start workers"):
        limits_of("1 GiB", None)


def test_what_a_client_has_asked_by_itself_is_not_the_answer(cluster, monkeypatch):
    # every two seconds it asks without workers, and may keep that answer just before it returns another
    monkeypatch.setattr(cluster, "scheduler_info", lambda **_: {"workers": {}})
    with cluster.as_current():
        assert worker_processes() == 2


def test_a_client_that_is_closed_is_refused(cluster, monkeypatch):
    monkeypatch.setattr(cluster, "status", "closed")
    with cluster.as_current(), pytest.raises(JobError, match="does not answer"):
        limits_of("1 GiB", None)


def test_the_plan_speaks_of_each_worker():
    with planning_for(cluster_of(memory=700 * MIB)):
        planned = plan(MOVIE, np.ones((64, 64), bool), budget="2 GiB").check()
    assert "on each of    4 workers of the cluster, 3 threads" in str(planned)
    assert planned.to_dict()["processes"] == 4
    assert planned.budget == int(0.7 * 700 * MIB)
    assert planned.peak_bytes <= 490 * MIB


def test_what_a_worker_cannot_hold_is_refused():
    with planning_for(cluster_of(memory=400 * MIB)):
        refused = plan(MOVIE, np.ones((64, 64), bool), budget="2 GiB")
    words = r"on each of 4 workers \(3 threads, 400.0 MiB, 2 on a machine\): one task needs .* the budget is 280.0 MiB"
    with pytest.raises(BudgetError, match=words):
        refused.check()


@pytest.mark.parametrize(("room", "lanes"), [(400, 12), (24, 1)])
def test_lanes_of_all_workers_unless_a_worker_holds_fewer_tasks_than_threads(room, lanes):
    job = Job(
        (100_000, 512, 512),
        (64, 64, 64),
        (0, 0, 0),
        2,
        n_entries=1000,
        largest_roi=10,
        output_bytes=800,
        image_bytes=8,
    )
    planned = plan_slabs(job, RESERVED_BYTES + room * MIB, 3, 3, processes=4)
    assert planned.lanes == lanes
    assert planned.workers == min(3, lanes)
