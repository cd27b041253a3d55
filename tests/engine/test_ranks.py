from __future__ import annotations

import time
import warnings
from contextlib import contextmanager

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace import stat
from roitrace.engine.blocks import as_dask
from roitrace.engine.foreign import DaskSource
from roitrace.engine.plan import RESERVED_BYTES
from roitrace.engine.rank_plan import RankJob, RankPlan, plan_ranks
from roitrace.engine.ranks import rank_images, rank_job
from roitrace.engine.statistics import resolve
from roitrace.errors import BudgetError
from roitrace.projection import project
from tests.block_sources import ArraySource, GeneratedSource, counted_reads
from tests.strategies import chunkings, samples, shapes, sources

PERCENTILES = (0.0, 12.3, 50.0, 90.0, 100.0)
ASKED = resolve(["median", *(stat.percentile(q, name=f"p{q:g}") for q in PERCENTILES)])


def expected(values, skipna):
    """NumPy on the float64 cast; a list of images in the order of `ASKED`."""
    median, percentile = (np.nanmedian, np.nanpercentile) if skipna else (np.median, np.percentile)
    cast = values.astype(np.float64)
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return [median(cast, axis=0), *(percentile(cast, q, axis=0) for q in PERCENTILES)]


def plan_of(source, method, *, segments=1, rows=None):
    height, width = source.shape[1:]
    y_edges = tuple(sorted({*range(0, height, rows or height), height}))
    return RankPlan(method, y_edges, (0, width), segments, 2 * source.chunks[0], 1, 0, 1, "")


def check(array, source, values, plan, skipna):
    images = rank_images(array, source, ASKED, plan, skipna=skipna)
    found = dask.compute(images, scheduler="sync")[0]
    for one, image in zip(ASKED, expected(values, skipna), strict=True):
        np.testing.assert_array_equal(found[one.name], image, err_msg=str(one))


@settings(max_examples=40, deadline=None)
@given(st.data(), shapes(max_frames=60, max_side=6), st.booleans())
@pytest.mark.parametrize("method", ["columns", "counting"])
def test_equal_to_numpy_bit_by_bit(method, data, shape, skipna):
    values = data.draw(samples(shape))
    source = data.draw(sources(values))
    segments = data.draw(st.integers(1, 4)) if method == "counting" else 1
    plan = plan_of(source, method, segments=segments, rows=data.draw(st.integers(1, shape[1])))
    check(as_dask(source), source, values, plan, skipna)


@settings(max_examples=15, deadline=None)
@given(st.data(), shapes(max_frames=30, max_side=5), st.booleans())
def test_foreign_arrays_give_the_same(data, shape, skipna):
    values = data.draw(samples(shape))
    array = da.from_array(values, chunks=data.draw(chunkings(shape)))
    plan = plan_of(DaskSource(array), data.draw(st.sampled_from(["columns", "counting"])))
    check(array, None, values, plan, skipna)


@pytest.mark.parametrize("dtype", ["uint16", "int16"])
def test_rows_wider_than_the_table_of_bins(dtype):
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(0)
    values = rng.integers(limits.min, limits.max, (501, 3, 4), dtype, endpoint=True)
    values[:, 1] //= 7
    values[:, 2] = 5
    source = ArraySource(values, (100, 2, 4))
    check(as_dask(source), source, values, plan_of(source, "columns"), skipna=True)


def test_projections_of_sums_and_of_ranks_in_one_call():
    values = np.random.default_rng(0).integers(0, 99, (40, 5, 6)).astype("uint16")
    recording = xr.DataArray(as_dask(ArraySource(values, (9, 5, 6))), dims=("time", "y", "x"))
    images = project(recording, ("median", "mean", stat.percentile(90))).compute()
    assert list(images) == ["median", "mean", "percentile"]
    np.testing.assert_array_equal(images["median"], np.median(values, axis=0))
    np.testing.assert_array_equal(images["percentile"], np.percentile(values, 90, axis=0))


@pytest.mark.parametrize(("budget", "method", "reads"), [(64, "columns", 1), (20, "counting", 2)])
def test_every_chunk_is_read_as_often_as_the_plan_says(budget, method, reads):
    values = np.random.default_rng(0).integers(0, 2**16, (12000, 24, 48)).astype("uint16")
    with counted_reads("ranks") as counts:
        source = ArraySource(values, (100, 24, 48), "ranks")
        memory = RESERVED_BYTES + budget * 2**20
        plan = plan_ranks(rank_job(source, ASKED[:1]), memory, 1)
        assert (plan.method, plan.passes) == (method, reads)
        image = rank_images(as_dask(source), source, ASKED[:1], plan, skipna=True)["median"].compute()
        assert set(counts.values()) == {reads}
    np.testing.assert_array_equal(image, np.median(values, axis=0))


OPEN = {"now": 0, "most": 0}


class _SlowSource(GeneratedSource):
    """Counts how many tasks read at once."""

    @contextmanager
    def open(self):
        OPEN["now"] += 1
        OPEN["most"] = max(OPEN["most"], OPEN["now"])
        try:
            time.sleep(0.02)
            with super().open() as reader:
                yield reader
        finally:
            OPEN["now"] -= 1


@pytest.mark.parametrize("asked", ["median", ("median", "mean")])
@pytest.mark.parametrize("transformed", [False, True])
def test_no_more_tasks_run_at_once_than_fit_the_budget(asked, transformed):
    source = _SlowSource((400, 64, 256), (20, 64, 256), np.dtype("uint16"))
    recording = xr.DataArray(as_dask(source), dims=("time", "y", "x"))
    movie = recording.chunk(time=20) + 0 if transformed else recording
    budget = RESERVED_BYTES + 12 * 2**20
    plan = plan_ranks(rank_job(source, ASKED[:1]), budget, 4)
    assert plan.workers == 1 < plan.n_tasks
    OPEN.update(now=0, most=0)
    project(movie, asked, budget=budget, workers=4).compute(scheduler="threads", num_workers=4)
    # slabs of the mean are small enough to run side by side
    assert OPEN["most"] == 1 or (asked != "median" and OPEN["most"] <= 4)


def job(shape, chunks, itemsize=2, n_statistics=1):
    return RankJob(shape, chunks, (0, 0, 0), itemsize, n_statistics)


def test_columns_are_held_while_they_fit():
    tiled = job((20_000, 512, 512), (256, 64, 64))
    plan = plan_ranks(tiled, RESERVED_BYTES + 500 * 2**20, 2)
    assert (plan.method, plan.passes, plan.n_parts) == ("columns", 1, 64)
    assert "20,000 frames of 64 x 64 pixels" in plan.reason


@pytest.mark.parametrize(("itemsize", "passes"), [(1, 1), (2, 2), (4, 4), (8, 8)])
def test_one_pass_per_digit_where_they_do_not(itemsize, passes):
    tiled = job((10_000_000, 512, 512), (256, 64, 64), itemsize)
    plan = plan_ranks(tiled, RESERVED_BYTES + 500 * 2**20, 2)
    assert (plan.method, plan.passes, plan.segments) == ("counting", passes, 1)
    assert plan.peak_bytes <= RESERVED_BYTES + 500 * 2**20


def test_full_frames_are_counted_by_all_workers_side_by_side():
    plan = plan_ranks(job((100_000, 512, 512), (8, 512, 512)), RESERVED_BYTES + 800 * 2**20, 2)
    assert (plan.method, plan.passes, plan.segments, plan.workers) == ("counting", 2, 2, 2)


def test_strips_multiply_the_passes():
    plan = plan_ranks(job((100_000, 1024, 1024), (1, 1024, 1024)), RESERVED_BYTES + 300 * 2**20, 1)
    assert plan.method == "counting"
    strips = len(plan.y_edges) - 1
    assert strips > 1
    assert plan.passes == 2 * strips
    assert f"for {strips} strips" in plan.reason


def test_refuses_with_numbers():
    with pytest.raises(BudgetError, match=r"decode chunks of \(256, 1024, 1024\).*give budget='[0-9]+ MiB'"):
        plan_ranks(job((100_000, 1024, 1024), (256, 1024, 1024)), RESERVED_BYTES + 100 * 2**20, 2)


def test_the_budget_that_is_named_is_enough():
    large = job((100_000, 1024, 1024), (256, 1024, 1024))
    with pytest.raises(BudgetError) as refusal:
        plan_ranks(large, RESERVED_BYTES, 2)
    named = int(refusal.value.next_step.split("'")[1].split(" ")[0]) * 2**20
    assert plan_ranks(large, named, 2).peak_bytes <= named


def test_blocks_of_a_foreign_array_are_its_chunks():
    source = DaskSource(da.zeros((10, 6, 8), chunks=((3, 4, 3), 6, (2, 3, 3)), dtype="u1"))
    assert source.chunks == (4, 6, 3)
    assert source.offset == (1, 0, 1)
