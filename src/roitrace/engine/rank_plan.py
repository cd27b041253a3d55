"""How medians and percentiles over time are cut: whole columns of frames, or passes that count digits. Pure integers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from roitrace.engine.plan import RESERVED_BYTES, chunk_borders
from roitrace.errors import BudgetError
from roitrace.units import format_budget, format_bytes

__all__ = ["RankJob", "RankPlan", "counter_dtype", "least_ranks", "plan_ranks"]

DIGITS = 256
READ_BYTES = 2 * 2**20
"""Read at once."""

_SLACK_BYTES = 4 * 2**20
_LEAST_PIXELS = 1024


@dataclass(frozen=True)
class RankJob:
    """What is asked, in integers.

    Attributes
    ----------
    shape, chunks, offset : tuple of int
        Of the recording and its storage chunks ``(time, y, x)``.
    itemsize : int
        Bytes of a sample.
    n_statistics : int
        Medians and percentiles that are asked for.
    halo : int
        Rows, besides those of a part, that a reader keeps of the frames that are read together.
    ahead_bytes : int
        What a reader fetches before it is asked for.
    """

    shape: tuple[int, int, int]
    chunks: tuple[int, int, int]
    offset: tuple[int, int, int]
    itemsize: int
    n_statistics: int
    halo: int = 0
    ahead_bytes: int = 0


@dataclass(frozen=True)
class RankPlan:
    """How medians and percentiles over time are computed.

    Attributes
    ----------
    method : str
        ``"columns"``: all frames of a part are held and sorted; ``"counting"``: the digits of the samples are counted, one
        pass per digit.
    y_edges, x_edges : tuple of int
        Borders of the parts of the frame, which are computed one by one.
    segments : int
        Spans of time that different tasks count at once, for one part.
    batch_frames : int
        Frames of one read.
    passes : int
        How often each chunk is decoded.
    task_bytes, workers : int
        Memory of one task at its peak, tasks at once.
    reason : str
        Why, for people.
    """

    method: str
    y_edges: tuple[int, ...]
    x_edges: tuple[int, ...]
    segments: int
    batch_frames: int
    passes: int
    task_bytes: int
    workers: int
    reason: str

    @property
    def n_parts(self) -> int:
        """Parts of the frame."""
        return (len(self.y_edges) - 1) * (len(self.x_edges) - 1)

    @property
    def n_tasks(self) -> int:
        """Tasks of all parts and passes."""
        return self.n_parts if self.segments == 1 else self.passes * (self.segments + 1)

    @property
    def peak_bytes(self) -> int:
        """Projected peak of the whole job, imports included."""
        return RESERVED_BYTES + self.workers * self.task_bytes


def plan_ranks(job: RankJob, budget: int, workers: int, processes: int = 1) -> RankPlan:
    """Choose what decodes least: whole columns where they fit, otherwise counting.

    Budget and workers are those of a process; several `processes` share the parts, if all workers of a process fit.

    Raises
    ------
    BudgetError
        If not even the counters of a row of pixels fit.
    """
    plans = []
    for count in range(workers, 0, -1):
        room = (budget - RESERVED_BYTES) // count
        together = count * processes if count == workers else count
        plans += [
            replace(plan, workers=count)
            for plan in (_columns(job, room, together), _counting(job, room, together))
            if plan is not None
        ]
    if plans:
        return min(plans, key=lambda plan: (_time(plan), plan.method != "columns", -plan.workers))
    smallest = least_ranks(job) - RESERVED_BYTES
    raise BudgetError(
        f"medians and percentiles over time need {format_bytes(smallest)} per task, of it {format_bytes(_fixed_bytes(job))} to "
        f"decode chunks of {job.chunks}, and {format_bytes(RESERVED_BYTES)} for the program itself; the budget is "
        f"{format_bytes(budget)}",
        f"give budget={format_budget(RESERVED_BYTES + smallest)!r} or more, or convert the recording to smaller chunks",
    )


def least_ranks(job: RankJob) -> int:
    """Return the smallest budget with which `plan_ranks` finds a plan."""
    pixel_bytes = min(_column_bytes(job), _counting_bytes(job))
    return RESERVED_BYTES + _fixed_bytes(job) + _part_shape(job)[1] * pixel_bytes


def _time(plan: RankPlan) -> float:
    """Count the recordings that are decoded one after the other, on all workers together."""
    at_once = plan.workers if plan.segments > 1 else min(plan.workers, plan.n_parts)
    return plan.passes / at_once


def _columns(job: RankJob, room: int, workers: int) -> RankPlan | None:
    strips = _strips(job, room, _column_bytes(job))
    if strips is None:
        return None
    # what is one chunk wide is decoded by every worker, but sorted by all of them at once
    strips = max(strips, min(-(-workers // _n_chunk_columns(job)), _part_shape(job)[0]))
    fits = f"all {job.shape[0]:,} frames of {_size(job, strips)} pixels take {format_bytes(_part_pixels(job, strips) * _column_bytes(job))}"
    why = f"{fits} and fit into a task"
    if strips > 1:
        why += f"; each chunk is decoded {strips} times, since it is wider than that"
    plan = RankPlan("columns", (), (), 1, _batch(job, strips), strips, 0, workers, why)
    return _with_parts(plan, job, strips, _column_bytes(job))


def _counting(job: RankJob, room: int, workers: int) -> RankPlan | None:
    strips = _strips(job, room, _counting_bytes(job))
    if strips is None:
        return None
    time_chunks = -(-(job.shape[0] + job.offset[0]) // job.chunks[0])
    segments = 1 if _n_chunk_columns(job) >= workers else min(workers, time_chunks)
    digits = job.itemsize
    column = format_bytes(_part_pixels(job, 1) * _column_bytes(job))
    why = (
        f"all {job.shape[0]:,} frames of {_size(job, 1)} pixels would take {column}: {digits} "
        f"{'pass counts' if digits == 1 else 'passes count'} the samples' digits of 8 bits"
        + (f", for {strips} strips of the frame whose counters fit" if strips > 1 else "")
    )
    plan = RankPlan("counting", (), (), segments, _batch(job, strips), digits * strips, 0, workers, why)
    return _with_parts(plan, job, strips, _counting_bytes(job))


def _with_parts(plan: RankPlan, job: RankJob, strips: int, pixel_bytes: int) -> RankPlan:
    height, width = _part_shape(job)
    rows = -(-height // strips)
    y_edges = {job.shape[1]}
    for first, last in pairwise(chunk_borders(job.shape[1], height, job.offset[1])):
        y_edges |= set(range(first, last, rows))
    x_edges = chunk_borders(job.shape[2], width, job.offset[2])
    needed = _fixed_bytes(job) + _part_pixels(job, strips) * pixel_bytes
    return replace(plan, y_edges=tuple(sorted(y_edges)), x_edges=tuple(x_edges), task_bytes=needed)


def _part_shape(job: RankJob) -> tuple[int, int]:
    """Height and width of a part: a chunk, or several where chunks are tiny."""
    height, width = min(job.chunks[1], job.shape[1]), min(job.chunks[2], job.shape[2])
    wider = max(1, _LEAST_PIXELS // (height * width))
    width = width * min(wider, -(-job.shape[2] // width))
    taller = max(1, _LEAST_PIXELS // (height * width))
    return height * min(taller, -(-job.shape[1] // height)), width


def _n_chunk_columns(job: RankJob) -> int:
    height, width = _part_shape(job)
    return -(-job.shape[1] // height) * -(-job.shape[2] // width)


def _part_pixels(job: RankJob, strips: int) -> int:
    height, width = _part_shape(job)
    return -(-height // strips) * width


def _size(job: RankJob, strips: int) -> str:
    height, width = _part_shape(job)
    return f"{-(-height // strips)} x {width}"


def _strips(job: RankJob, room: int, pixel_bytes: int) -> int | None:
    """Return into how many strips a part has to be cut to fit; None if not even one row does."""
    height, width = _part_shape(job)
    rows = (room - _fixed_bytes(job)) // (width * pixel_bytes)
    return None if rows < 1 else -(-height // min(rows, height))


def _column_bytes(job: RankJob) -> int:
    """Bytes per pixel with all frames in memory."""
    return job.shape[0] * job.itemsize + 8 * (4 + 6 * job.n_statistics)


def _counting_bytes(job: RankJob) -> int:
    """Bytes per pixel with counters: keys, ranks and results besides."""
    targets = 1 if job.itemsize == 1 else job.n_statistics
    return DIGITS * counter_dtype(job.shape[0]).itemsize * targets + 8 * (4 + 10 * job.n_statistics)


def counter_dtype(frames: int) -> np.dtype[np.unsignedinteger]:
    """Return the smallest counters of so many frames: what is counted is fetched from memory for every few frames."""
    return np.dtype(np.uint16 if frames < 2**16 else np.uint32)


def _fixed_bytes(job: RankJob) -> int:
    """Bytes of a task that do not depend on the part."""
    chunk = math.prod(job.chunks) * job.itemsize
    return (
        3 * chunk + 2 * READ_BYTES + _SLACK_BYTES + job.ahead_bytes + _kept_bytes(job, max(chunk, READ_BYTES))
    )


def _kept_bytes(job: RankJob, read: int) -> int:
    """Bytes that a reader keeps around a read of so many bytes."""
    if not job.halo:
        return 0
    height, width = min(job.chunks[1], job.shape[1]), min(job.chunks[2], job.shape[2])
    reached = min(height + job.halo, job.shape[1]) * min(width + job.halo, job.shape[2])
    return read * -(-reached // (height * width))


def _batch(job: RankJob, strips: int) -> int:
    """Frames of one read: whole chunks, some megabytes."""
    frame = _part_pixels(job, strips) * job.itemsize * job.chunks[0]
    return job.chunks[0] * max(1, READ_BYTES // max(1, frame))
