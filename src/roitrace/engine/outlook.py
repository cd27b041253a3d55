"""What a call will take, before a sample is read: chunks, bytes, tasks, memory. Metadata only."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from roitrace.engine.arithmetic import direct_source, readable
from roitrace.engine.foreign import DaskSource
from roitrace.engine.places import available_workers, of_each_worker, worker_processes
from roitrace.engine.plan import (
    RESERVED_BYTES,
    SlabPlan,
    block_bytes,
    least_slabs,
    plan_blocks,
    plan_slabs,
)
from roitrace.engine.rank_plan import RankPlan, least_ranks, plan_ranks
from roitrace.engine.ranks import rank_job
from roitrace.engine.reductions import job_of, streamed, streamed_job
from roitrace.engine.request import SlabLayout
from roitrace.engine.slab import read_slab
from roitrace.errors import BudgetError
from roitrace.sources import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    import dask.array as da
    from numpy.typing import NDArray

    from roitrace.engine.regions import RoiTable
    from roitrace.engine.request import Request
    from roitrace.engine.statistics import Statistic
    from roitrace.sources import BlockSource

__all__ = ["Outlook", "ReadOutlook", "look_ahead", "seconds_of"]

_Plan = TypeVar("_Plan")

_CALIBRATION_SECONDS = 1.0
# picking ranks takes this many times as long as decoding, measured
_RANKING = 2.5


@dataclass(frozen=True)
class ReadOutlook:
    """One way through the recording.

    Attributes
    ----------
    what : str
        For people: what it is for.
    chunks_read, chunks_skipped : int
        Storage chunks, counted once per pass.
    bytes_decoded : int
        Of all passes.
    passes : int
        How often each of these chunks is decoded.
    tasks, workers : int
        Tasks, and how many run at once.
    task_bytes : int
        Projected peak memory of a task.
    why : str
        Reason for the passes, for people; empty for a single one.
    """

    what: str
    chunks_read: int
    chunks_skipped: int
    bytes_decoded: int
    passes: int
    tasks: int
    workers: int
    task_bytes: int
    why: str = ""


@dataclass(frozen=True)
class Outlook:
    """What a call will take.

    Attributes
    ----------
    chunks : tuple of int
        Storage chunk ``(time, y, x)``.
    direct : bool
        Whether the storage is read directly; otherwise the blocks of a dask array are computed.
    reads : tuple of ReadOutlook
        Ways through the recording.
    stored_bytes : int or None
        What is read of the files, where their size is known without listing them.
    problem : BudgetError or None
        Why it does not fit; the numbers are then those of the smallest plan.
    """

    chunks: tuple[int, int, int]
    direct: bool
    reads: tuple[ReadOutlook, ...]
    stored_bytes: int | None
    problem: BudgetError | None

    @property
    def peak_bytes(self) -> int:
        """Projected peak of all processes, imports included."""
        return RESERVED_BYTES + max((read.workers * read.task_bytes for read in self.reads), default=0)


def look_ahead(
    array: da.Array,
    table: RoiTable,
    pixels: NDArray[np.int64],
    request: Request,
    projections: tuple[Statistic, ...],
    *,
    budget: int,
    workers: int,
) -> Outlook:
    """Say what `reduce_recording` would do with the same arguments."""
    direct = direct_source(array)
    source = DaskSource(array) if direct is None else direct
    columns = _n_chunks(source)
    reads = []
    problem: BudgetError | None = None
    if request.statistics or request.pixels or request.moments:
        used = columns if request.moments else _columns_with(pixels, source)
        of_blocks = direct is None and streamed(array, table, request, budget, workers) is None
        if of_blocks:
            job = job_of(array, None, table, request)
            longest = max(array.chunks[0])
            needed = block_bytes(job, longest)
            slabs_of_blocks, problem = _or_least(
                lambda memory, _: plan_blocks(job, array.chunks[0], memory),
                budget,
                workers,
                RESERVED_BYTES + needed,
            )
            at_once = workers if problem is None else 1
            run = (len(slabs_of_blocks) + len(array.chunks[0]) * used, at_once, needed)
        else:
            job, _ = streamed_job(array, source, table, pixels, request)

            def slabs(memory: int, count: int) -> SlabPlan:
                return plan_slabs(job, memory, count, available_workers(), worker_processes())

            plan, problem = _or_least(slabs, budget, workers, least_slabs(job))
            run = (len(plan.bounds), plan.workers, plan.task_bytes)
        reads.append(_read(source, _purpose(request), used, columns, *run))
    ranked = tuple(one for one in projections if one.declaration.order is not None)
    if ranked:
        rank = rank_job(source, ranked)

        def ranks(memory: int, count: int) -> RankPlan:
            return plan_ranks(rank, memory, count, worker_processes())

        chosen, trouble = _or_least(ranks, budget, workers, least_ranks(rank))
        problem = problem or trouble
        names = ", ".join(one.name for one in ranked)
        reads.append(
            _read(
                source,
                f"projections {names} over time ({chosen.method})",
                columns,
                columns,
                chosen.n_tasks,
                chosen.workers,
                chosen.task_bytes,
                chosen.passes,
                chosen.reason,
            )
        )
    return Outlook(source.chunks, direct is not None, tuple(reads), _stored_bytes(source, reads), problem)


def seconds_of(
    array: da.Array, table: RoiTable, pixels: NDArray[np.int64], request: Request, outlook: Outlook
) -> float:
    """Read the first frames for about a second, and return how long the whole would take.

    One task runs alone; others are expected to be as fast beside it.
    """
    source = readable(array)
    frames = source.chunks[0]
    if not (request.statistics or request.pixels or request.moments):
        request = replace(request, moments=frozenset({"minimum"}))
    layout = SlabLayout.of(request, table, pixels, source, frames, source.chunks[1:])
    first, taken = 0, 0.0
    while first < source.shape[0] and taken < _CALIBRATION_SECONDS:
        last = min(source.shape[0], first + frames - (first + source.offset[0]) % frames)
        begin = time.perf_counter()
        read_slab(source, layout, request, (first, last), frames)
        # the first read compiles and opens what later ones find ready
        taken = time.perf_counter() - begin if first == 0 else taken + time.perf_counter() - begin
        first = last
    per_frame = taken / first
    total = 0.0
    for read in outlook.reads:
        factor = _RANKING * read.passes if read.why else 1.0
        total += per_frame * source.shape[0] * factor / max(1, min(read.workers, read.tasks))
    return total


def _or_least(
    make: Callable[[int, int], _Plan], budget: int, workers: int, least: int
) -> tuple[_Plan, BudgetError | None]:
    """Return the plan for a budget, or the smallest one and what is wrong."""
    try:
        with of_each_worker():
            return make(budget, workers), None
    except BudgetError as problem:
        return make(least, 1), problem


def _purpose(request: Request) -> str:
    parts = ["traces"] if request.statistics else []
    parts += ["pixel matrix"] if request.pixels else []
    parts += ["projections"] if request.moments else []
    return " and ".join(parts)


def _read(
    source: BlockSource,
    what: str,
    used: int,
    columns: int,
    tasks: int,
    workers: int,
    task_bytes: int,
    passes: int = 1,
    why: str = "",
) -> ReadOutlook:
    along = -(-(source.shape[0] + source.offset[0]) // source.chunks[0])
    chunk = math.prod(source.chunks) * source.dtype.itemsize
    return ReadOutlook(
        what,
        used * along,
        (columns - used) * along,
        passes * used * along * chunk,
        passes,
        tasks,
        workers,
        task_bytes,
        why,
    )


def _n_chunks(source: BlockSource) -> int:
    """Chunks side by side in a frame."""
    return math.prod(-(-(source.shape[axis] + source.offset[axis]) // source.chunks[axis]) for axis in (1, 2))


def _columns_with(pixels: NDArray[np.int64], source: BlockSource) -> int:
    """Chunks side by side in a frame that hold a pixel."""
    y, x = np.divmod(pixels, source.shape[2])
    row = (y + source.offset[1]) // source.chunks[1]
    column = (x + source.offset[2]) // source.chunks[2]
    return int(np.unique(row * (source.shape[2] + source.chunks[2]) + column).size)


def _stored_bytes(source: BlockSource, reads: list[ReadOutlook]) -> int | None:
    """Bytes read of a single file, where one holds the recording."""
    while isinstance(source, Window):
        source = source.source
    path: Any = getattr(source, "path", None)
    if path is None or not Path(path).is_file():
        return None
    whole = _n_chunks(source) * -(-source.shape[0] // source.chunks[0])
    return sum(Path(path).stat().st_size * read.passes * read.chunks_read // whole for read in reads)
