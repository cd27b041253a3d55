"""Where tasks run: the one place that makes a dask client, for the time of one verb."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from roitrace.errors import ArgumentError, JobError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["scheduler"]

_LOCAL = ("threads", "sync", "processes")


@contextmanager
def scheduler(where: str, workers: int | None) -> Iterator[None]:
    """Run what is computed inside the block on threads, in this thread, on processes or on a dask cluster.

    Raises
    ------
    ArgumentError
        If `where` is none of these.
    JobError
        If the cluster does not answer.
    """
    if "://" in where:
        with _cluster(where):
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


@contextmanager
def _cluster(address: str) -> Iterator[None]:
    from distributed import Client

    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise JobError(f"no dask cluster answers at {address}: {error}", "check the address") from error
    with client:
        yield
