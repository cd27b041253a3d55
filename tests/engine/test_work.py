"""Tasks say what they work on, and a watcher is told: on threads and on a cluster, whatever the way of reading."""

from __future__ import annotations

import threading
import time

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.conversion import convert
from roitrace.engine.blocks import as_dask
from roitrace.engine.run import dashboard_link, execute
from roitrace.errors import StoreError
from roitrace.extraction import extract
from roitrace.projection import project
from roitrace.watching import Standing, Watcher, Work
from tests.block_sources import ArraySource, FailingSource, recording_file

VALUES = np.random.default_rng(0).integers(0, 99, (60, 6, 8), dtype=np.uint16)
MASK = np.ones((6, 8), bool)


class Seen(Watcher):
    """Keeps all that it is told."""

    def __init__(self, *, wants_times: bool = False) -> None:
        self.standings: list[Standing] = []
        self.times = []
        self._wants_times = wants_times

    def watch(self, standing):
        self.standings.append(standing)

    def time_tasks(self, times):
        self.times += times

    @property
    def wants_times(self):
        return self._wants_times

    @property
    def last(self):
        return self.standings[-1]


def labelled(data) -> xr.DataArray:
    return xr.DataArray(data, dims=("time", "y", "x"))


def direct():
    return labelled(as_dask(ArraySource(VALUES, (10, 6, 8))))


def foreign():
    return labelled(da.from_array(VALUES, chunks=(7, 3, 8)))


def check_whole(seen, work):
    assert seen.last.done == seen.last.whole
    assert seen.last.whole.frames == pytest.approx(work.frames)
    assert seen.last.whole.nbytes == work.nbytes
    assert seen.last.tasks == seen.last.all_tasks
    parts = [one.part for one in seen.standings]
    assert parts == sorted(parts)
    assert parts[-1] == 1.0


@pytest.mark.parametrize("recording", [direct, foreign])
@pytest.mark.parametrize(
    ("lazy", "passes"),
    [
        (lambda it: extract(it, MASK, "mean"), 1),
        (lambda it: extract(it, MASK, ("mean", "median"), projections="max"), 1),
        (lambda it: project(it, ("mean", "std")), 1),
        (lambda it: project(it, "median"), 1),
    ],
)
def test_frames_and_bytes_of_a_read(recording, lazy, passes):
    seen = Seen()
    execute(lazy(recording()), workers=2, progress=seen)
    check_whole(seen, Work(60 * passes, VALUES.nbytes * passes))
    assert seen.standings[0].tasks == 0
    assert not seen.times


def test_chunks_without_pixels_count_for_nothing():
    corner = np.zeros((6, 8), bool)
    corner[0, 0] = True
    seen = Seen()
    execute(extract(labelled(as_dask(ArraySource(VALUES, (10, 3, 4)))), corner, "mean"), progress=seen)
    check_whole(seen, Work(60, VALUES.nbytes // 4))


def test_bytes_of_a_copy(tmp_path):
    seen = Seen()
    file = recording_file(ArraySource(VALUES, (10, 6, 8)))
    convert(file, tmp_path / "a.zarr", chunks=(16, 3, 4), progress=seen)
    check_whole(seen, Work(60, VALUES.nbytes))
    seen = Seen()
    convert(labelled(da.from_array(VALUES, chunks=7)), tmp_path / "b.zarr", progress=seen)
    check_whole(seen, Work(60, VALUES.nbytes))


def test_times_of_tasks():
    seen = Seen(wants_times=True)
    execute(extract(direct(), MASK, "mean"), workers=2, progress=seen)
    slabs = [one for one in seen.times if one.work.nbytes]
    assert sum(one.work.frames for one in slabs) == 60
    assert sum(one.work.nbytes for one in slabs) == VALUES.nbytes
    assert all(one.seconds > 0 and one.worker for one in seen.times)
    assert len(seen.times) == seen.last.all_tasks


def test_on_a_cluster(cluster):
    seen = Seen(wants_times=True)
    lazy = extract(direct(), MASK, ("mean", "median"), projections="std")
    with cluster.as_current():
        assert dashboard_link().endswith("/status")
        (result,) = execute(lazy, progress=seen)
    xr.testing.assert_identical(result, lazy.compute(scheduler="sync"))
    check_whole(seen, Work(60, VALUES.nbytes))
    slabs = [one for one in seen.times if one.kind == "slabs"]
    assert sum(one.work.frames for one in slabs) == pytest.approx(60)
    assert all(one.worker.startswith("tcp://") and 0 < one.seconds < 60 for one in slabs)


def test_a_copy_on_a_cluster(cluster, tmp_path):
    seen = Seen()
    with cluster.as_current():
        file = recording_file(ArraySource(VALUES, (10, 6, 8)))
        convert(file, tmp_path / "a.zarr", chunks=(16, 3, 4), progress=seen)
    check_whole(seen, Work(60, VALUES.nbytes))


def test_a_cluster_counts_tasks_and_not_collections(cluster):
    told = []

    def slowly(block):
        time.sleep(0.3)  # what ends before the scheduler's first message is not counted
        return block

    recording = labelled(da.from_array(VALUES, chunks=(7, 6, 8)).map_blocks(slowly, dtype=VALUES.dtype))
    with cluster.as_current():
        lazy = project(recording, "mean")["mean"]
        execute(lazy, progress=lambda *now: told.append(now))
        seen = Seen()
        execute(lazy, progress=seen)
    assert lazy.data.npartitions == 1
    assert told[-1][0] == told[-1][1] >= 9
    check_whole(seen, Work(60, VALUES.nbytes))


def test_a_watcher_hears_its_own_thread_only():
    seen, others = Seen(wants_times=True), (Seen(), Seen())

    def elsewhere(block, block_info):
        (number,) = block_info[None]["chunk-location"]
        thread = threading.Thread(target=lambda: execute(project(direct(), "max"), progress=others[number]))
        thread.start()
        thread.join()
        return block

    execute(da.ones(2, chunks=1).map_blocks(elsewhere, dtype=float, meta=np.ones(0)), progress=seen)
    assert seen.last.whole == Work()
    assert len(seen.times) == seen.last.all_tasks
    for other in others:
        check_whole(other, Work(60, VALUES.nbytes))


def test_who_raises_stops_the_work(cluster):
    class Cancelling(Watcher):
        def watch(self, standing):
            raise KeyboardInterrupt(standing)

    with pytest.raises(KeyboardInterrupt):
        execute(project(direct(), "max"), progress=Cancelling())
    with cluster.as_current(), pytest.raises(KeyboardInterrupt):
        execute(project(direct(), "max"), progress=Cancelling())


def test_no_dashboard_where_there_is_no_cluster():
    assert dashboard_link() is None


def test_a_failing_task_ends_the_watching(cluster):
    failing = FailingSource((100, 8, 8), (10, 8, 8), np.dtype("uint8"), good_frames=60)
    lazy = extract(labelled(as_dask(failing)), np.ones((8, 8), bool), "mean")
    seen = Seen(wants_times=True)
    with cluster.as_current(), pytest.raises(StoreError, match="frame 60"):
        execute(lazy, progress=seen)
    assert all(one.part < 1 for one in seen.standings)


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.integers(1, 20)] * 2),
    st.integers(1, 8),
    st.integers(1, 4),
)
def test_work_of_a_box(shape, frame, itemsize, passes):
    work = Work.of(shape, frame, itemsize, passes=passes)
    assert work.nbytes == np.zeros(shape, f"V{itemsize}").nbytes * passes
    assert work.frames == pytest.approx(shape[0] * passes * (shape[1] * shape[2]) / (frame[0] * frame[1]))


def test_part_without_work_is_that_of_the_tasks():
    assert Standing(1, 4).part == 0.25
    assert Standing(0, 0).part == 1.0
    assert Standing(1, 4, Work(1, 6), Work(2, 8)).part == 0.75
