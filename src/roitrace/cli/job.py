"""``run``: the whole job."""

from __future__ import annotations

from typing import Annotated

import typer

from roitrace.cli.options import Cluster, Json, Scheduler  # noqa: TC001 (typer reads the annotation)
from roitrace.cli.reporting import print_facts, print_table, reporting
from roitrace.cli.schedulers import scheduler as running_on
from roitrace.units import format_bytes

__all__ = ["run"]


def run(
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
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace results that are there, once the new ones are complete."),
    ] = False,
    budget: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory that the program may use; wins over the file.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Tasks at once; wins over the file.")
    ] = None,
    scheduler: Scheduler = None,
    cluster: Cluster = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no notes.")] = False,
    as_json: Json = False,
) -> None:
    """Run a whole job, from a recording to traces.

    For example::

        roitrace run quickstart.yaml
        roitrace run tiff.yaml --set recording.path=movie.tif --set output.path=results/movie.zarr
    """
    more = list(settings or ())
    more += ["output.overwrite=true"] if overwrite else []
    more += [f"resources.budget={budget}"] if budget is not None else []
    more += [f"resources.workers={workers}"] if workers is not None else []
    from roitrace.config import read_config

    checked = read_config(config, more)
    with running_on(scheduler, checked.resources.workers, cluster), reporting(quiet=quiet) as reporter:
        from roitrace.pipeline.run import run as run_job

        tree = run_job(checked, progress=reporter.progress, note=reporter.note)
        from roitrace.pipeline.summary import summarize

        summary = summarize(checked, tree)
    if as_json:
        print_facts(summary, as_json=True)
        return
    truth = summary["truth"]
    cells = f"{summary['cells']} found"
    if truth is not None:
        cells += (
            f"; {truth['matched']} of {truth['cells']} true ones among them "
            f"(precision {truth['precision']:.2f}, recall {truth['recall']:.2f})"
        )
    rejected = summary["rejected"]
    if rejected["cells"]:
        causes = ", ".join(f"{measure} {count}" for measure, count in rejected["by"].items())
        cells += f"; {rejected['cells']} rejected{f': {causes}' if causes else ''}"
    if summary["untraced"]:
        causes = ", ".join(f"{reason} {count}" for reason, count in summary["untraced"].items())
        cells += f"; without a trace: {causes.replace('_', ' ')}"
    if summary["small_f0"]:
        cells += f"; {summary['small_f0']} with frames where F0 is not above the noise"
    if summary["statistics"]:
        print_table("medians over cells", summary["statistics"])
    peak = summary["peak_memory_bytes"]
    print_facts(
        {
            "cells": cells,
            "neuropil": summary["neuropil"] or "none",
            "results": summary["output"],
            "figures": summary["figures"] or "none",
            "time": f"{summary['seconds']:.1f} s",
            "peak memory": "unknown" if peak is None else format_bytes(peak),
        },
        as_json=False,
    )
