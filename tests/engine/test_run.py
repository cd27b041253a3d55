from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from roitrace.conversion import convert
from roitrace.engine.blocks import as_dask
from roitrace.engine.places import available_workers, worker_processes
from roitrace.engine.run import execute
from roitrace.errors import StoreError
from roitrace.extraction import extract
from roitrace.projection import project
from tests.block_sources import ArraySource, FailingSource, GeneratedSource, counted_reads, recording_file

VALUES = np.random.default_rng(0).integers(0, 99, (60, 6, 8), dtype=np.uint16)
MASK = np.ones((6, 8), bool)


def labelled(data) -> xr.DataArray:
    return xr.DataArray(data, dims=("time", "y", "x"))


def told_well(told) -> bool:
    return told[-1][0] == told[-1][1] > 0 and [done for done, _ in told] == sorted({done for done, _ in told})


def test_objects_come_back_in_memory_and_in_order():
    recording = labelled(da.from_array(VALUES, chunks=(7, 6, 8)))
    traces, images, total = execute(
        extract(recording, MASK, "mean"), project(recording, "max"), recording.sum()
    )
    assert traces["mean"].chunks is None
    np.testing.assert_array_equal(images["max"], VALUES.max(axis=0))
    assert total.item() == VALUES.sum()


def test_what_is_asked_for_together_is_read_once():
    with counted_reads("together") as reads:
        recording = labelled(as_dask(ArraySource(VALUES, (10, 6, 8), "together")))
        traces = extract(recording, MASK, ("mean", "median"), projections="max")
        execute(traces["mean"], traces["median"], traces["projection_max"])
        assert set(reads.values()) == {1}


def test_progress_on_threads():
    told = []
    recording = labelled(as_dask(GeneratedSource((4000, 8, 8), (10, 8, 8), np.dtype("uint8"))))
    execute(
        extract(recording, np.ones((8, 8), bool), "mean"), workers=2, progress=lambda *now: told.append(now)
    )
    assert told[0][0] == 0
    assert told_well(told)


def test_the_scheduler_that_is_active_is_used():
    threads = set()

    def note(block):
        import threading

        threads.add(threading.get_ident())
        return block

    array = da.ones((8, 4, 4), chunks=(1, 4, 4)).map_blocks(note)
    with dask.config.set(scheduler="sync"):
        execute(array, workers=4)
    assert len(threads) == 1


def test_threads_that_compute_at_once_do_not_share_a_pool():
    halfway, both = threading.Event(), threading.Barrier(2, timeout=20)

    def first(block):
        both.wait()
        return block

    def second(block):
        both.wait()
        halfway.wait(20)
        return block

    def compute(function):
        array = da.ones((2, 3), chunks=(2, 3)).map_blocks(function, meta=np.empty((0, 0)))
        (done,) = execute((array.sum() + array.sum()) * 2, workers=1)
        return float(done)

    with ThreadPoolExecutor(2) as people:
        long, short = people.submit(compute, second), people.submit(compute, first)
        assert short.result(20) == 24
        halfway.set()
        assert long.result(20) == 24


def test_on_a_cluster(cluster):
    told = []
    recording = labelled(as_dask(ArraySource(VALUES, (10, 6, 8))))
    lazy = extract(recording, MASK, ("mean", "median"), projections="std")
    with cluster.as_current():
        assert (worker_processes(), available_workers()) == (2, 1)
        (plain,) = execute(lazy)
        (told_result,) = execute(lazy, progress=lambda *now: told.append(now))
    assert told_well(told)
    expected = lazy.compute(scheduler="sync")
    xr.testing.assert_identical(plain, expected)
    xr.testing.assert_identical(told_result, expected)


def test_a_recording_is_converted_on_a_cluster(cluster, tmp_path):
    with cluster.as_current():
        result = convert(
            recording_file(ArraySource(VALUES, (10, 6, 8))), tmp_path / "a.zarr", chunks=(16, 3, 4)
        )
        assert (worker_processes(), available_workers()) == (2, 1)
    np.testing.assert_array_equal(result, VALUES)


@pytest.mark.parametrize("progress", [None, lambda *_: None])
def test_errors_of_tasks_arrive_as_they_are(cluster, progress):
    failing = FailingSource((100, 8, 8), (10, 8, 8), np.dtype("uint8"), good_frames=60)
    lazy = extract(labelled(as_dask(failing)), np.ones((8, 8), bool), "mean")
    with pytest.raises(StoreError, match="frame 60 cannot be read; this source fails on purpose"):
        execute(lazy, progress=progress)
    with (
        cluster.as_current(),
        pytest.raises(StoreError, match="frame 60 cannot be read; this source fails on purpose"),
    ):
        execute(lazy, progress=progress)
