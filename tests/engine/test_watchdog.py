from __future__ import annotations

import time

import dask
import dask.array as da
import pytest

from roitrace.engine.run import execute
from roitrace.engine.watchdog import Pulse, Vigil
from roitrace.errors import JobError


def vigil() -> Vigil:
    return Vigil(without_workers=60, without_progress=600, now=0.0)


def test_a_job_that_moves_is_left_alone():
    watch = vigil()
    for now in range(0, 10_000, 500):
        watch.look(Pulse(workers=2, computed=float(now)), now)


def test_no_worker_for_a_minute():
    watch = vigil()
    watch.look(Pulse(2, 1.0), 10)
    watch.look(Pulse(0, 2.0), 60)
    with pytest.raises(
        JobError, match=r"no worker for 61.*run the same command again.*patience-without-workers"
    ):
        watch.look(Pulse(0, 3.0), 71)


def test_workers_that_come_back_in_time():
    watch = vigil()
    for now in range(0, 500, 100):
        watch.look(Pulse(0 if now % 200 else 1, float(now)), now)
        watch.look(Pulse(1, float(now)), now + 50)


def test_workers_that_have_never_been_there_may_take_longer():
    watch = vigil()
    watch.look(Pulse(0, 0.0), 599)
    with pytest.raises(JobError, match="no task has finished for 10m.* on 0 workers"):
        watch.look(Pulse(0, 0.0), 601)


def test_workers_that_live_and_do_nothing():
    watch = vigil()
    watch.look(Pulse(2, 5.0), 100)
    watch.look(Pulse(2, 5.0), 699)
    with pytest.raises(JobError, match="no task has finished"):
        watch.look(Pulse(2, 5.0), 701)


def test_tasks_that_no_worker_takes(cluster):
    with dask.annotate(resources={"such_as_nobody_has": 1}):
        lazy = da.ones((4, 4), chunks=2).map_blocks(lambda block: block + 1)
    begin, before = time.monotonic(), set(cluster.futures)
    settings = {"roitrace.patience-without-progress": "1s", "optimization.fuse.active": False}
    with (
        cluster.as_current(),
        dask.config.set(settings),
        pytest.raises(JobError, match="no task has finished"),
    ):
        execute(lazy)
    assert time.monotonic() - begin < 20
    assert set(cluster.futures) <= before


def test_tasks_that_someone_cancels(cluster):
    from distributed import Future

    def cancel(_done: int, _total: int) -> None:
        cluster.cancel([Future(key, cluster) for key in list(cluster.futures)], force=True)

    with dask.annotate(resources={"such_as_nobody_has": 1}):
        lazy = da.ones((4, 4), chunks=2).map_blocks(lambda block: block + 1)
    with cluster.as_current(), pytest.raises(JobError, match="lost the job's tasks"):
        execute(lazy, progress=cancel)
