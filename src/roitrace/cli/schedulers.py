"""Where tasks run: the one place that sets dask's scheduler, for the time of one verb."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from roitrace.config import ClusterConfig

__all__ = ["described_cluster", "scheduler"]

_LOCAL = ("threads", "sync", "processes")
_ADDRESS = "DASK_SCHEDULER_ADDRESS"


@contextmanager
def scheduler(where: str | None, workers: int | None, cluster: str | None = None) -> Iterator[None]:
    """Run what is computed inside the block on threads, in this thread, on processes or on a dask cluster.

    Parameters
    ----------
    where : str or None
        ``threads``, ``sync``, ``processes`` or the address of a cluster; None for that in ``$DASK_SCHEDULER_ADDRESS``, else threads.
    workers : int or None
        Threads or processes.
    cluster : str or None
        ``local``, or a file that describes a cluster to start.

    Raises
    ------
    ArgumentError
        If `where` is none of these, or both are given.
    ConfigError
        If the file is wrong.
    JobError
        If the cluster does not answer.
    """
    if cluster is not None:
        if where is not None:
            raise ArgumentError(
                f"--cluster {cluster} and --scheduler {where} say both where to run", "give one"
            )
        from roitrace.cli.clusters import started

        with started(described_cluster(cluster)):
            yield
        return
    where = where or os.environ.get(_ADDRESS) or "threads"
    if "://" in where:
        from roitrace.cli.clusters import connected

        with connected(where):
            yield
        return
    if where not in _LOCAL:
        raise ArgumentError(
            f"--scheduler {where}, expected {', '.join(_LOCAL)} or the address of a dask cluster, tcp://host:port"
        )
    if where == "threads":
        yield
        return
    import dask

    with dask.config.set({"scheduler": where} | ({} if workers is None else {"num_workers": workers})):
        yield


def described_cluster(given: str) -> ClusterConfig:
    """Return what ``--cluster`` means: processes of this machine, or what a file describes.

    Raises
    ------
    ConfigError
        If the file is wrong.
    """
    from roitrace.config import ClusterConfig, read_cluster

    return ClusterConfig.of_this_machine() if given == "local" else read_cluster(given)
