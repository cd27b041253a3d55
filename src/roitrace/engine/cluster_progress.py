"""Compute on a dask cluster, and tell how far it is: the scheduler counts tasks by kind; no result comes here for that."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dask
from dask.base import is_dask_collection
from dask.utils import key_split
from distributed import Future, futures_of
from distributed.client import ClosedClientError
from distributed.diagnostics.progressbar import MultiProgressBar

from roitrace.engine.watchdog import RESUME, wait_for
from roitrace.engine.work import work_by_kind
from roitrace.errors import JobError
from roitrace.watching import NO_WORK, Standing, TaskTime, Watcher, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["execute_on"]


def execute_on(
    client: Any, lazy: tuple[Any, ...], progress: Callable[[int, int], object] | Watcher | None
) -> tuple[Any, ...]:
    """Compute on the cluster of a client; what was computed stays there until all of it is done.

    Raises
    ------
    JobError
        As `wait_for`; if the cluster ends before it has the tasks, too.
    """
    try:
        return _execute_on(client, lazy, progress)
    except ClosedClientError as error:
        raise JobError(f"the cluster has ended: {error}", RESUME) from error


def _execute_on(
    client: Any, lazy: tuple[Any, ...], progress: Callable[[int, int], object] | Watcher | None
) -> tuple[Any, ...]:
    kinds = work_by_kind(one for one in lazy if is_dask_collection(one))
    with _timed(client, progress, kinds):
        persisted = dask.persist(*lazy)
        futures = [future for one in persisted if is_dask_collection(one) for future in futures_of(one)]
        if progress is None or not futures:
            wait_for(client, futures)
        else:
            _watch(client, futures, progress, kinds)
        gathered = client.compute(list(persisted))
        wait_for(client, [one for one in gathered if isinstance(one, Future)])
        return tuple(client.gather(gathered))


def _watch(
    client: Any,
    futures: list[Any],
    progress: Callable[[int, int], object] | Watcher,
    kinds: Mapping[str, Work],
) -> None:
    """Report until all futures are done or one has failed; always from this thread."""
    counts = _Counts(futures, client.scheduler.address)
    feed = asyncio.run_coroutine_threadsafe(counts.listen(), client.loop.asyncio_loop)
    told = -1

    def tell() -> None:
        nonlocal told
        standing = counts.standing(kinds)
        if standing.tasks <= told:
            return
        told = standing.tasks
        if isinstance(progress, Watcher):
            progress.watch(standing)
        else:
            progress(standing.tasks, standing.all_tasks)

    try:
        wait_for(client, futures, tell)
    finally:
        feed.cancel()
    if all(one.status == "finished" for one in futures):
        counts.end()
    tell()


class _Counts(MultiProgressBar):  # type: ignore[misc]
    """How many tasks of each kind there are and have finished, as the scheduler sends it several times a second."""

    def __init__(self, futures: list[Any], scheduler: str) -> None:
        super().__init__(futures, scheduler, interval="200ms", complete=True)
        self._all: dict[str, int] = {key_split(one.key): 0 for one in futures}
        self._remaining: dict[str, int] = {}
        for one in futures:
            self._all[key_split(one.key)] += 1
        self._remaining = dict(self._all)

    def _draw_bar(self, remaining: dict[str, int], all: dict[str, int], **_: Any) -> None:
        self._all, self._remaining = all, remaining

    def end(self) -> None:
        """Note that nothing is left: the last message may come too late."""
        self._remaining = {}

    def standing(self, kinds: Mapping[str, Work]) -> Standing:
        """Return how far all is; tasks of one kind count alike."""
        whole, done = NO_WORK, NO_WORK
        for kind, work in kinds.items():
            # dask names a task that it made of several after all of them, the first one last
            part = self._part(name for name in self._all if name == kind or name.endswith(f"-{kind}"))
            part = self._part(self._all) if part is None else part
            whole += work
            done += Work(work.frames * (part or 0.0), round(work.nbytes * (part or 0.0)))
        total = sum(self._all.values())
        return Standing(total - sum(self._remaining.values()), total, done, whole)

    def _part(self, kinds: Iterable[str]) -> float | None:
        """Return the part of the tasks of some kinds that have finished; None where there are none."""
        counts = [(self._all[kind], self._remaining.get(kind, 0)) for kind in kinds]
        total = sum(count for count, _ in counts)
        return 1.0 - sum(left for _, left in counts) / total if total else None


@contextmanager
def _timed(client: Any, progress: object, kinds: Mapping[str, Work]) -> Iterator[None]:
    """Tell how long tasks took, as the scheduler knows it."""
    if not (isinstance(progress, Watcher) and progress.wants_times):
        yield
        return
    client.get_task_stream(count=0)  # the scheduler keeps times from now on
    begin = time.time()
    yield
    progress.time_tasks(_times(client.get_task_stream(start=begin), kinds))


def _times(stream: Any, kinds: Mapping[str, Work]) -> list[TaskTime]:
    """Return when and where tasks ran; those of one kind share its work alike."""
    ran = [
        (key_split(one["key"]), str(one["worker"]), step["start"], step["stop"])
        for one in stream
        for step in one["startstops"]
        if step["action"] == "compute"
    ]
    counts: dict[str, int] = {}
    for kind, *_ in ran:
        counts[kind] = counts.get(kind, 0) + 1
    share = {
        kind: Work(work.frames / counts[kind], work.nbytes // counts[kind])
        for kind, work in kinds.items()
        if kind in counts
    }
    return [
        TaskTime(kind, start, stop - start, worker, share.get(kind, NO_WORK))
        for kind, worker, start, stop in ran
    ]
