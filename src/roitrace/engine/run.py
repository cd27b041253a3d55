"""Compute lazy objects together, on the scheduler that is active or on a number of threads."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import dask
from dask.base import get_scheduler, is_dask_collection
from dask.callbacks import Callback

from roitrace.engine.places import active_client, available_workers
from roitrace.engine.watchdog import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Progress", "execute"]

Progress = "Callable[[int, int], object]"


def execute(
    *lazy: Any, workers: int | None = None, progress: Callable[[int, int], object] | None = None
) -> tuple[Any, ...]:
    """Compute lazy objects in one go, so that what they share is read once.

    Parameters
    ----------
    *lazy : DataArray, Dataset, DataTree, dask collection
        Whatever is to be computed.
    workers : int, optional
        Threads to run on, where no other scheduler is active; by default all processors.
    progress : callable, optional
        Called with the number of tasks done and of all tasks, as they finish.

    Returns
    -------
    tuple
        The same objects, in memory.
    """
    client = active_client()
    if client is not None:
        return _execute_on(client, lazy, progress)
    with ExitStack() as stack:
        if progress is not None:
            stack.enter_context(_Report(progress))
        if get_scheduler() is None:
            stack.enter_context(
                dask.config.set(num_workers=workers or available_workers(), scheduler="threads")
            )
        return tuple(dask.compute(*lazy))


class _Report(Callback):  # type: ignore[misc]
    """Tell a callable how many tasks have finished."""

    def __init__(self, progress: Callable[[int, int], object]) -> None:
        super().__init__()
        self._progress = progress
        self._done = 0

    def _start_state(self, dsk: object, state: dict[str, Any]) -> None:  # noqa: ARG002
        self._total = sum(len(state[part]) for part in ("ready", "waiting"))
        self._progress(0, self._total)

    def _posttask(self, *_: object) -> None:
        self._done += 1
        self._progress(min(self._done, self._total), self._total)


def _execute_on(
    client: Any, lazy: tuple[Any, ...], progress: Callable[[int, int], object] | None
) -> tuple[Any, ...]:
    from distributed import Future, futures_of  # noqa: PLC0415

    persisted = dask.persist(*lazy)
    futures = [future for one in persisted if is_dask_collection(one) for future in futures_of(one)]
    told = -1

    def tell() -> None:
        nonlocal told
        done = sum(future.done() for future in futures)
        if progress is not None and done > told:
            told = done
            progress(done, len(futures))

    wait_for(client, futures, tell)
    tell()
    gathered = client.compute(list(persisted))
    wait_for(client, [one for one in gathered if isinstance(one, Future)])
    return tuple(client.gather(gathered))
