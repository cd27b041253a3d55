"""Compute lazy objects together, on the scheduler that is active or on a number of threads."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import dask
from dask.base import get_scheduler
from dask.callbacks import Callback
from dask.utils import key_split

from roitrace.engine.places import active_client, available_workers
from roitrace.engine.work import declared_in
from roitrace.watching import NO_WORK, Standing, TaskTime, Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Progress", "dashboard_link", "execute"]

Progress = "Callable[[int, int], object] | Watcher"


def dashboard_link() -> str | None:
    """Return where the dashboard of the active cluster is; None where there is no cluster, or none that has one."""
    client = active_client()
    if client is None:
        return None
    try:
        return client.dashboard_link or None
    except KeyError:  # a scheduler that was started without one
        return None


def execute(
    *lazy: Any, workers: int | None = None, progress: Callable[[int, int], object] | Watcher | None = None
) -> tuple[Any, ...]:
    """Compute lazy objects in one go, so that what they share is read once.

    Parameters
    ----------
    *lazy : DataArray, Dataset, DataTree, dask collection
        Whatever is to be computed.
    workers : int, optional
        Threads to run on, where no other scheduler is active; by default all processors.
    progress : callable or Watcher, optional
        Called with the number of tasks done and of all tasks, as they finish; a `Watcher` is told frames and bytes too.

    Returns
    -------
    tuple
        The same objects, in memory.
    """
    client = active_client()
    if client is not None:
        from roitrace.engine.cluster_progress import execute_on  # noqa: PLC0415 (distributed comes with it)

        return execute_on(client, lazy, progress)
    # callbacks and pool are given, not set: what dask has active belongs to all threads, and others compute at the same time
    told: dict[str, Any] = {}
    if progress is not None:
        told["callbacks"] = (_Report(progress).callbacks, *Callback.active)
    if get_scheduler() is not None:
        return tuple(dask.compute(*lazy, **told))
    count = workers or available_workers()
    # its end waits for tasks that run: one that is interrupted leaves nothing behind that still writes
    with ThreadPoolExecutor(count) as pool:
        return tuple(dask.compute(*lazy, scheduler="threads", num_workers=count, pool=pool, **told))


class _Report:
    """Tell how many tasks have finished, what they worked on, and how long each took."""

    def __init__(self, progress: Callable[[int, int], object] | Watcher) -> None:
        self._progress = progress
        self._begun: dict[Any, tuple[float, float]] = {}
        self._times: list[TaskTime] = []
        self._timed = isinstance(progress, Watcher) and progress.wants_times

    @property
    def callbacks(self) -> tuple[Callable[..., None] | None, ...]:
        """What dask calls: at the start, once it knows the tasks, before and after each, at the end."""
        return None, self._start_state, self._pretask, self._posttask, self._finish

    def _start_state(self, dsk: Any, state: dict[str, Any]) -> None:
        self._work = declared_in(dsk) if isinstance(self._progress, Watcher) else {}
        self._total = sum(len(state[part]) for part in ("ready", "waiting"))
        self._whole = sum(self._work.values(), NO_WORK)
        self._finished, self._done = 0, NO_WORK
        self._tell()

    def _pretask(self, key: Any, *_: object) -> None:
        if self._timed:
            self._begun[key] = (time.time(), time.perf_counter())

    def _posttask(self, key: Any, _result: object, _dsk: object, _state: object, worker: object) -> None:
        self._finished = min(self._finished + 1, self._total)
        work = self._work.get(key, NO_WORK)
        self._done += work
        if self._timed:
            begin, counter = self._begun.pop(key)
            self._times.append(
                TaskTime(key_split(key), begin, time.perf_counter() - counter, str(worker), work)
            )
        self._tell()

    def _finish(self, *_: object) -> None:
        if isinstance(self._progress, Watcher) and self._times:
            self._progress.time_tasks(self._times)
            self._times = []

    def _tell(self) -> None:
        if isinstance(self._progress, Watcher):
            self._progress.watch(Standing(self._finished, self._total, self._done, self._whole))
        else:
            self._progress(self._finished, self._total)
