from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from roitrace.engine.plan import (
    LEAF_FRAMES,
    RESERVED_BYTES,
    Job,
    grow_block,
    plan_blocks,
    plan_slabs,
)
from roitrace.errors import BudgetError
from roitrace.units import parse_bytes

GIB = 2**30


@st.composite
def jobs(draw):
    """Jobs of every size, on any chunk grid, with or without ROIs and projections."""
    shape = (draw(st.integers(1, 200_000)), draw(st.integers(1, 2048)), draw(st.integers(1, 2048)))
    chunks = tuple(draw(st.integers(1, limit)) for limit in (600, 700, 700))
    offset = tuple(draw(st.integers(0, step - 1)) for step in chunks)
    n_entries = draw(st.integers(0, 10**6))
    return Job(
        shape=shape,
        chunks=chunks,
        offset=offset,
        itemsize=draw(st.sampled_from([1, 2, 4, 8])),
        n_entries=n_entries,
        largest_roi=min(n_entries, draw(st.integers(0, 5000))),
        output_bytes=draw(st.integers(0, 10**6)),
        batch_bytes=draw(st.integers(0, 10**6)),
        image_bytes=draw(st.sampled_from([0, 8, 36, 112])),
        leaf_aligned=draw(st.booleans()),
    )


def planned(job, budget, workers):
    """Plan, where the budget is large enough."""
    try:
        return plan_slabs(job, budget, workers)
    except BudgetError:
        assume(False)


@settings(max_examples=150, deadline=None)
@given(jobs(), st.integers(1, 16), st.sampled_from([512 * 2**20, GIB, 8 * GIB, 64 * GIB]))
def test_slabs_cover_the_recording_and_no_chunk_belongs_to_two(job, workers, budget):
    plan = planned(job, budget, workers)
    assert plan.bounds[0][0] == 0
    assert plan.bounds[-1][1] == job.shape[0]
    for (_, stop), (start, _) in pairwise(plan.bounds):
        assert stop == start
        assert (start + job.offset[0]) % job.chunks[0] == 0
    assert all(start < stop for start, stop in plan.bounds)
    assert plan.batch_frames % job.chunks[0] == 0
    assert all(tile % chunk == 0 for tile, chunk in zip(plan.tile, job.chunks[1:], strict=True))


@settings(max_examples=150, deadline=None)
@given(jobs(), st.integers(1, 16), st.sampled_from([400 * 2**20, GIB, 8 * GIB]))
def test_plans_stay_within_the_budget(job, workers, budget):
    plan = planned(job, budget, workers)
    assert 1 <= plan.workers <= workers
    assert plan.peak_bytes == RESERVED_BYTES + plan.workers * plan.task_bytes <= budget


@settings(max_examples=100, deadline=None)
@given(jobs(), st.integers(1, 8))
def test_float_sums_over_time_begin_on_leaves_or_go_on_from_the_slab_before(job, workers):
    plan = planned(job, 64 * GIB, workers)
    if job.leaf_aligned and job.image_bytes and plan.lanes > 1:
        assert all(start % LEAF_FRAMES == 0 for start, _ in plan.bounds)


@settings(max_examples=100, deadline=None)
@given(jobs(), st.integers(1, 8), st.integers(1, 8), st.sampled_from([400 * 2**20, GIB, 64 * GIB]))
def test_no_more_slabs_can_run_at_once_than_the_plan_has_workers_for(job, workers, processors, budget):
    try:
        plan = plan_slabs(job, budget, workers, processors)
    except BudgetError:
        assume(False)
    free = [number for number in range(len(plan.bounds)) if plan.before(number) is None]
    assert len(free) <= plan.workers or plan.workers == workers >= processors
    if job.image_bytes:
        assert len(free) <= plan.workers  # sums over time of slabs that wait to be merged would pile up
    if plan.lanes:
        assert len(free) == len(plan.lane_ends) == plan.lanes
        assert plan.lane_ends[-1] == len(plan.bounds) - 1
        assert all(plan.before(number) in {None, number - 1} for number in range(len(plan.bounds)))


@settings(max_examples=100, deadline=None)
@given(jobs(), st.integers(1, 8))
def test_without_projections_a_tile_is_one_chunk(job, workers):
    # A larger tile would read chunks that hold no pixel of any ROI.
    plan = planned(job, 64 * GIB, workers)
    if not job.image_bytes:
        assert plan.tile == job.chunks[1:]


@settings(max_examples=100, deadline=None)
@given(jobs(), st.integers(1, 4))
def test_the_budget_that_a_refusal_names_is_enough(job, workers):
    try:
        plan_slabs(job, RESERVED_BYTES + 2**20, workers)
    except BudgetError as error:
        stated = re.search(r"budget='([^']+)'", error.next_step)
        plan = plan_slabs(job, parse_bytes(stated[1]), workers)
        assert plan.workers >= 1
        assert "one task needs" in error.problem
        assert "the budget is 301.0 MiB" in error.problem


def test_a_long_recording_has_more_slabs_not_larger_ones():
    def plan(frames):
        job = Job((frames, 512, 512), (256, 64, 64), (0, 0, 0), 2, 60_000, 200, 16_000, 50_000, 20)
        return plan_slabs(job, GIB, 2)

    short, long = plan(20_000), plan(160_000)
    assert long.task_bytes == short.task_bytes
    assert len(long.bounds) == pytest.approx(8 * len(short.bounds), abs=8)


def test_fewer_workers_where_the_budget_is_small():
    job = Job((10_000, 512, 512), (256, 512, 512), (0, 0, 0), 2, 60_000, 200, 16_000, 50_000)
    assert plan_slabs(job, 64 * GIB, 8).workers == 8
    few = plan_slabs(job, GIB, 8)
    assert 1 <= few.workers < 8


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(*[st.integers(1, 600)] * 3),
    st.tuples(*[st.integers(1, 3000)] * 3),
    st.sampled_from([1, 2, 4, 8]),
    st.integers(1, 2**26),
)
def test_blocks_grow_by_whole_chunks_to_about_the_target(chunks, shape, itemsize, target):
    block = grow_block(chunks, shape, itemsize, target)
    size = itemsize * block[0] * block[1] * block[2]
    assert all(step % chunk == 0 for step, chunk in zip(block, chunks, strict=True))
    assert block == chunks or size <= target
    assert all(
        step < length + chunk
        for step, length, chunk in zip(block, shape, chunks, strict=True)
        if step > chunk
    )


# -- foreign arrays -----------------------------------------------------------------------------------------------


def foreign_job(chunk, **more):
    return Job((sum(chunk), 512, 512), (max(chunk), 512, 512), (0, 0, 0), 2, **more)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=60))
def test_blocks_are_grouped_in_order(chunk):
    groups = plan_blocks(foreign_job(chunk), tuple(chunk), 64 * GIB)
    assert [first for first, _ in groups[1:]] == [last for _, last in groups[:-1]]
    assert (groups[0][0], groups[-1][1]) == (0, len(chunk))
    for first, last in groups:
        assert last - first == 1 or sum(chunk[first:last]) <= LEAF_FRAMES


def test_groups_of_blocks_shrink_to_the_budget():
    # Blocks of one frame: 256 of them would hold half a gigabyte of pixels.
    job = foreign_job([1] * 1000, n_entries=10**6)
    wide = plan_blocks(job, (1,) * 1000, 64 * GIB)
    narrow = plan_blocks(job, (1,) * 1000, RESERVED_BYTES + 100 * 2**20)
    assert len(wide) == 4
    assert len(narrow) > 10


def test_foreign_blocks_beyond_the_budget_are_refused_with_numbers():
    job = foreign_job([5000])
    with pytest.raises(
        BudgetError, match=r"blocks of \(5000, 512, 512\).*mostly blocks of the array, 4\.9 GiB"
    ) as caught:
        plan_blocks(job, (5000,), GIB)
    stated = re.search(r"budget='([^']+)'", caught.value.next_step)
    assert plan_blocks(job, (5000,), parse_bytes(stated[1])) == ((0, 1),)
