"""``plan``: what a job will take, before it begins."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roitrace.cli.options import Cluster, ConfigFile, Json, Settings, config_settings
from roitrace.cli.reporting import print_facts, print_table
from roitrace.units import format_bytes

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from roitrace.pipeline.planning import JobPlan
    from roitrace.pipeline.recordings.planning import RecordingsPlan
    from roitrace.planning import Plan

__all__ = ["plan"]

_COLUMNS = {"recording_bytes": "size", "bytes_to_read": "to_read", "disk_bytes": "disk", "peak_bytes": "peak"}


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
        roitrace plan many_recordings.yaml
    """
    from roitrace.config import read_config
    from roitrace.pipeline.recordings.listing import is_many

    checked = read_config(config, config_settings(settings, budget, workers))
    with nullcontext() if cluster is None else _workers_of(cluster):
        if is_many(checked):
            from roitrace.pipeline.recordings.planning import plan_recordings

            many = plan_recordings(checked, calibrate=calibrate)
            if as_json:
                print_facts(many.to_dict(), as_json=True)
            else:
                _print_many(many)
            return
        from roitrace.pipeline.planning import plan_job

        job = plan_job(checked, calibrate=calibrate)
    if as_json:
        print_facts(job.to_dict(), as_json=True)
    else:
        _print_job(job)


def _print_job(job: JobPlan) -> None:
    """Print a row for each read of each step, then what it takes as a whole."""
    first = next(iter(job.steps.values()))
    time, y, x = first.recording["shape"]
    size, chunks = format_bytes(first.recording["bytes"]), _size(first.recording["chunks"])
    rows = [
        {
            "step": name,
            "reads": read.what,
            "decoded": format_bytes(read.bytes_decoded),
            "times": read.passes,
            "chunks": f"{read.chunks_read:,}",
            "skipped": f"{read.chunks_skipped:,}",
            "tasks": f"{read.tasks:,}",
            "at once": min(read.workers, read.tasks),
            "each": format_bytes(read.task_bytes),
        }
        for name, step in job.steps.items()
        for read in step.outlook.reads
    ]
    print_table("what is read", rows)
    typer.echo()
    print_table("what it takes", [_needs(name, step) for name, step in job.steps.items()])
    typer.echo()
    facts: dict[str, Any] = {
        "recording": f"{time:,} frames of {y:,} x {x:,} {first.recording['dtype']}, {size}, chunks of {chunks}",
        "disk space": f"at most {format_bytes(job.disk_bytes)}",
        "memory": f"{format_bytes(first.to_dict()['reserved_bytes'])} of each peak are reserved for the program",
    }
    because = {read.why: read.what for step in job.steps.values() for read in step.outlook.reads if read.why}
    facts |= {f"because ({what})": why for why, what in because.items()}
    facts |= {f"note {number}": note for number, note in enumerate(job.notes, start=1)}
    facts |= {
        f"{name} does not fit": str(step.outlook.problem)
        for name, step in job.steps.items()
        if step.outlook.problem is not None
    } or {"it fits": "yes"}
    print_facts(facts, as_json=False)


def _needs(name: str, step: Plan) -> dict[str, Any]:
    stored = step.outlook.stored_bytes
    return {
        "step": name,
        "from files": None if stored is None else format_bytes(stored),
        "peak memory": format_bytes(step.peak_bytes),
        "budget": format_bytes(step.budget),
        "results": format_bytes(step.output_bytes),
        "time": None if step.seconds is None else f"{step.seconds:.0f} s",
        "fits": "yes" if step.fits else "no",
    }


def _print_many(plan: RecordingsPlan) -> None:
    """Print a row for each recording, and the totals."""
    rows = [_readable(row) for row in plan.rows]
    totals = plan.totals()
    summed = _readable(totals | {"recording": "all", "to_do": f"{totals['to_do']} of {totals['recordings']}"})
    shown = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    print_table("recordings", [{name: row.get(name) for name in shown} for row in [*rows, summed]])
    for row in plan.rows:
        if row["to_do"].startswith("error: "):
            typer.echo(f"{row['recording']}: {row['to_do'].removeprefix('error: ')}")
    for note in plan.notes:
        typer.echo(note)


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    words: dict[str, Any] = {"recording": row["recording"], "to_do": row["to_do"].partition(":")[0]}
    words["frames"] = None if row["frames"] is None else f"{row['frames']:,}"
    words |= {_COLUMNS[name]: None if row[name] is None else format_bytes(row[name]) for name in _COLUMNS}
    words["time"] = None if row["seconds"] is None else f"{row['seconds']:.0f} s"
    return words | {"fits": None if row["fits"] is None else "yes" if row["fits"] else "no"}


def _size(chunk: list[int]) -> str:
    return " x ".join(f"{size:,}" for size in chunk)


def _workers_of(cluster: str) -> AbstractContextManager[None]:
    """Plan for the workers of a cluster that is described, not started; each job is taken to have a machine of its own."""
    from roitrace.cli.schedulers import described_cluster
    from roitrace.engine.places import Workers, planning_for

    described = described_cluster(cluster)
    return planning_for(
        Workers(described.n_workers, described.processes, described.threads, described.worker_memory)
    )
