"""``plan``: what a job will take, before it begins."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from roitrace.cli.options import Cluster, Json  # noqa: TC001 (typer reads the annotation)
from roitrace.cli.reporting import print_facts

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["plan"]


def plan(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A YAML file; see roitrace init.")],
    *,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Replace a value, such as recording.path=movie.tif. Can be repeated.",
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory that the program may use, such as '2 GiB' or 50%."),
    ] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", min=1, help="Tasks at once.")] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Read about one second of data, and estimate the time.")
    ] = False,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Say what a job will take: bytes to read, tasks, memory, disk space.

    Reads no samples, unless it is asked to calibrate.

    For example::

        roitrace plan configs/quickstart.yaml --budget 50%
    """
    more = list(settings or ())
    more += [f"resources.budget={budget}"] if budget is not None else []
    more += [f"resources.workers={workers}"] if workers is not None else []
    from roitrace.config import read_config
    from roitrace.pipeline.planning import plan_job

    checked = read_config(config, more)
    with nullcontext() if cluster is None else _workers_of(cluster):
        job = plan_job(checked, calibrate=calibrate)
    if as_json:
        print_facts(job.to_dict(), as_json=True)
    else:
        typer.echo(str(job))


def _workers_of(cluster: str) -> AbstractContextManager[None]:
    """Plan for the workers of a cluster that is described, not started; each job is taken to have a machine of its own."""
    from roitrace.cli.schedulers import described_cluster
    from roitrace.engine.places import Workers, planning_for

    described = described_cluster(cluster)
    return planning_for(
        Workers(described.n_workers, described.processes, described.threads, described.worker_memory)
    )
