"""Where tasks run: in this process, or in the worker processes of the dask cluster that is active."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dask.base import get_scheduler

from roitrace.engine.plan import RESERVED_BYTES
from roitrace.errors import BudgetError, JobError
from roitrace.units import format_bytes, format_count, parse_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Limits",
    "Workers",
    "active_client",
    "available_workers",
    "limits_of",
    "of_each_worker",
    "planning_for",
    "worker_processes",
    "workers_of",
]

_USABLE = 0.7
"""Part of a dask worker's memory limit above which it begins to spill."""


class Limits(NamedTuple):
    """What the tasks of one process may use.

    Attributes
    ----------
    budget : int
        Bytes of the process, imports included.
    workers : int
        Tasks at once in it.
    """

    budget: int
    workers: int


@dataclass(frozen=True)
class Workers:
    """Worker processes of a cluster; what differs between them is that of the smallest or the busiest.

    Attributes
    ----------
    processes : int
        Worker processes.
    on_one_machine : int
        Worker processes of the machine that has most of them.
    beside : int
        Bytes that this process takes on the workers' machine.
    threads : int
        Tasks at once in a process.
    memory : int or None
        Bytes that dask allows each, None where it sets no limit.
    """

    processes: int
    on_one_machine: int
    threads: int
    memory: int | None
    beside: int = 0


def active_client() -> Any | None:
    """Return the distributed client that dask would use now, if there is one."""
    scheduler = get_scheduler()
    owner = getattr(scheduler, "__self__", None)
    return owner if owner is not None and hasattr(owner, "scheduler_info") else None


def workers_of(client: Any) -> dict[str, Any]:
    """Ask the scheduler of a client for its workers, by address.

    The client's own `scheduler_info` may return the answer to what it asks by itself every two seconds, which has no workers in it.

    Raises
    ------
    OSError
        If the scheduler does not answer.
    """
    if client.status not in {"running", "connecting"} or client.scheduler is None:
        raise OSError("the client is closed")
    workers: dict[str, Any] = client.sync(client.scheduler.identity, n_workers=-1)["workers"]
    return workers


def available_workers() -> int:
    """Return how many tasks may run at once in one process: the threads of a worker of the active cluster, else the processors."""
    cluster = _active_cluster()
    if cluster is not None:
        return cluster.threads
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_processes() -> int:
    """Return how many processes share the work: those of the active cluster, else this one."""
    cluster = _active_cluster()
    return 1 if cluster is None else cluster.processes


def limits_of(budget: str | float, workers: int | None) -> Limits:
    """Return what the tasks of one process may use.

    On a cluster the budget is what the job may use on each machine. Its worker processes share it, with this process where it
    runs on a machine of theirs, and none uses more than 70 % of the memory that dask allows it; as many tasks run at once as
    a worker has threads, whatever `workers` says.

    Examples
    --------
    >>> limits_of("2 GiB", 4)
    Limits(budget=2147483648, workers=4)
    """
    cluster = _active_cluster()
    if cluster is None:
        return Limits(parse_bytes(budget), workers or available_workers())
    share = max(0, parse_bytes(budget) - cluster.beside) // cluster.on_one_machine
    if cluster.memory is not None:
        share = min(share, int(_USABLE * cluster.memory))
    return Limits(share, cluster.threads)


_assumed: ContextVar[Workers | None] = ContextVar("assumed workers", default=None)


@contextmanager
def of_each_worker() -> Iterator[None]:
    """Let a budget that is too small say whose it is, where that is a worker's of a cluster."""
    try:
        yield
    except BudgetError as error:
        cluster = _active_cluster()
        if cluster is None:
            raise
        held = "no limit of its own" if cluster.memory is None else format_bytes(cluster.memory)
        raise BudgetError(
            f"on each of {format_count(cluster.processes, 'worker')} "
            f"({format_count(cluster.threads, 'thread')}, {held}, {cluster.on_one_machine} on a machine): {error.problem}",
            "give a larger budget, that of a machine, which its workers share; or start fewer workers or threads on a machine, "
            "or workers with more memory",
        ) from error


@contextmanager
def planning_for(workers: Workers) -> Iterator[None]:
    """Plan inside the block for a cluster that is not there."""
    token = _assumed.set(workers)
    try:
        yield
    finally:
        _assumed.reset(token)


def _active_cluster() -> Workers | None:
    """Describe the active cluster, or the one that is planned for.

    Raises
    ------
    JobError
        If it has no workers, or its scheduler is gone: nothing could run, or be planned.
    """
    client = active_client()
    if client is None:
        return _assumed.get()
    import psutil  # type: ignore[import-untyped]  # noqa: PLC0415 - loaded when there is a cluster

    try:
        workers = workers_of(client).values()
    except OSError as error:
        raise JobError(
            "the scheduler of the dask cluster does not answer: it has ended, or the connection is lost",
            "start the cluster again and run the same command again",
        ) from error
    if not workers:
        raise JobError(
            f"the dask cluster at {client.scheduler.address} has no workers yet",
            "start workers, or wait for them with client.wait_for_workers(1)",
        )
    hosts = Counter(one["host"] for one in workers)
    own = {one.address for addresses in psutil.net_if_addrs().values() for one in addresses}
    limits = [one["memory_limit"] for one in workers if one.get("memory_limit")]
    return Workers(
        processes=len(workers),
        on_one_machine=max(hosts.values()),
        threads=max(one["nthreads"] for one in workers),
        memory=min(limits, default=None),
        beside=RESERVED_BYTES if own & set(hosts) else 0,
    )
