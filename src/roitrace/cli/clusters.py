"""The dask clients of the command line: of a cluster that is there, or of one that is started for the time of one verb."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from roitrace.engine.places import workers_of
from roitrace.errors import ConfigError, JobError
from roitrace.units import format_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

    from roitrace.config import ClusterConfig

__all__ = ["connected", "started"]

_QUEUES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
    "htcondor": "HTCondorCluster",
}
_PRIVATE = "127.0.0.1:0"
_log = logging.getLogger("roitrace")


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """Use the cluster at an address.

    Raises
    ------
    JobError
        If it does not answer.
    """
    from distributed import Client

    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise JobError(f"no dask cluster answers at {address}: {error}", "check the address") from error
    with client:
        _tell_dashboard()
        yield client


@contextmanager
def started(described: ClusterConfig) -> Iterator[Client]:
    """Start a cluster, wait for its workers, and close it at the end. Its dashboard listens on this machine alone.

    Raises
    ------
    ConfigError
        If it cannot be made as described.
    JobError
        If no worker comes in time.
    """
    from distributed import Client

    with _cluster(described) as cluster, Client(cluster) as client:
        _wait(client, described)
        _tell_dashboard()
        yield client


def _tell_dashboard() -> None:
    from roitrace.engine.run import dashboard_link

    link = dashboard_link()
    if link is not None:
        _log.warning("dashboard of the cluster: %s", link)


def _cluster(described: ClusterConfig) -> Any:
    options = described.options
    try:
        if described.type == "local":
            from distributed import LocalCluster

            return LocalCluster(
                n_workers=described.n_workers,
                threads_per_worker=described.threads,
                memory_limit="auto" if described.worker_memory is None else described.worker_memory,
                **{"host": "127.0.0.1", "dashboard_address": _PRIVATE} | options,
            )
        return _queued(described, options)
    except (TypeError, ValueError, OSError, RuntimeError) as error:
        raise ConfigError(f"no cluster of type {described.type} can be started: {error}") from error


def _queued(described: ClusterConfig, options: dict[str, Any]) -> Any:
    from roitrace.formats.extras import import_extra

    if described.memory is None:
        raise ConfigError(
            f"a cluster of type {described.type} does not say memory:",
            "write the memory of a job, such as 16 GiB",
        )
    jobqueue = import_extra("dask_jobqueue", "hpc", f"a cluster of type {described.type}")
    named = {
        name: getattr(described, name)
        for name in ("queue", "account", "walltime", "interface")
        if getattr(described, name) is not None
    }
    scheduler = {"dashboard_address": _PRIVATE} | options.get("scheduler_options", {})
    cluster = getattr(jobqueue, _QUEUES[described.type])(
        cores=described.cores,
        processes=described.processes,
        memory=f"{described.memory} B",
        **named | options | {"scheduler_options": scheduler},
    )
    cluster.scale(jobs=described.jobs)
    return cluster


def _wait(client: Client, described: ClusterConfig) -> None:
    try:
        client.wait_for_workers(described.n_workers, timeout=described.wait_seconds)
    except TimeoutError as error:
        there = len(workers_of(client))
        if not there:
            raise JobError(
                f"none of {format_count(described.n_workers, 'worker')} has started within {described.wait}",
                "look at the queue, or give the jobs more time with wait: 1 h",
            ) from error
        _log.warning(
            "%d of %s have started within %s; the job runs on these",
            there,
            format_count(described.n_workers, "worker"),
            described.wait,
        )
