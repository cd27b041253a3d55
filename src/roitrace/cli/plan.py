"""``plan``: what a job will take, before it begins."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from roitrace.cli.options import Cluster, ConfigFile, Json, Settings, config_settings
from roitrace.cli.reporting import print_facts

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["plan"]


def plan(
    config: ConfigFile,
    *,
    settings: Settings = None,
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
    from roitrace.config import read_config
    from roitrace.pipeline.planning import plan_job

    checked = read_config(config, config_settings(settings, budget, workers))
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
