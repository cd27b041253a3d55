"""``run``: the whole job."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roitrace.cli.options import (
    Cluster,
    ConfigFile,
    Json,
    ReportOptions,
    Scheduler,
    Settings,
    config_settings,
    with_groups,
)
from roitrace.cli.reporting import print_facts, print_table
from roitrace.units import format_bytes

if TYPE_CHECKING:
    from roitrace.config import Config

__all__ = ["run"]

_SHOWN = ("recording", "status", "cells", "accepted", "seconds", "median_peak_snr", "median_noise")


@with_groups
def run(
    config: ConfigFile,
    *,
    settings: Settings = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace results that are there, once the new ones are complete."),
    ] = False,
    extend: Annotated[
        bool,
        typer.Option(
            "--extend",
            help="The recording has grown since the results: for the traces of cells from a file, and for projections of a recording store, read its new frames only.",
        ),
    ] = False,
    budget: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory that the program may use; wins over the file.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Tasks at once; wins over the file.")
    ] = None,
    scheduler: Scheduler = None,
    cluster: Cluster = None,
    as_json: Json = False,
    saying: ReportOptions,
) -> None:
    """Run a whole job, from a recording to traces.

    For example::

        roitrace run quickstart.yaml
        roitrace run tiff.yaml --set recording.path=movie.tif --set output.path=results/movie.zarr
        roitrace run tiff.yaml --set 'recording.path=data/*.tif' --set output.path=results
    """
    from roitrace.config import read_config

    settings = [*(settings or ()), *(["output.extend=true"] if extend else [])]
    checked = read_config(config, config_settings(settings, budget, workers, overwrite=overwrite))
    from roitrace.pipeline.recordings.listing import is_many

    where = (scheduler, checked.resources.workers, cluster)
    if is_many(checked):
        _run_many(checked, saying, where, as_json=as_json)
        return
    with saying.running_on(*where) as reporter:
        from roitrace.pipeline.run import run as run_job
        from roitrace.pipeline.summary import summarize

        summary = summarize(checked, run_job(checked, progress=reporter, note=reporter.note))
    if as_json:
        print_facts(summary, as_json=True)
    else:
        _print_summary(summary)


def _run_many(
    config: Config, saying: ReportOptions, where: tuple[str | None, int | None, str | None], *, as_json: bool
) -> None:
    """Run the job on every recording; the exit code is 1 if one failed."""
    with saying.running_on(*where) as reporter:
        from roitrace.pipeline.recordings.run import run_recordings

        summary = run_recordings(config, progress=reporter, note=reporter.note)
    failed, files = summary.failed, [str(file) for file in summary.files]
    if as_json:
        print_facts({"recordings": list(summary.rows), "failed": failed, "summary": files}, as_json=True)
    else:
        print_table("recordings", [{name: row.get(name) for name in _SHOWN} for row in summary.rows])
        counts = Counter(row["status"] for row in summary.rows)
        print_facts(
            {
                "recordings": dict(counts),
                "summary": files,
                **{f"failed {name}": why for name, why in failed.items()},
            },
            as_json=False,
        )
    if failed:
        raise typer.Exit(1)


def _print_summary(summary: dict[str, Any]) -> None:
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
    print_facts(
        {
            "cells": cells,
            "neuropil": summary["neuropil"] or "none",
            "results": summary["output"],
            "figures": summary["figures"] or "none",
            "report": summary["report"] or "none",
            "time": f"{summary['seconds']:.1f} s",
            "peak memory": _peak(summary),
        },
        as_json=False,
    )


def _peak(summary: dict[str, Any]) -> str:
    """Say how much memory was used of what was allowed."""
    known, resident = summary["peak_anonymous_bytes"], summary["peak_memory_bytes"]
    if known is not None:
        return f"{format_bytes(known)}, of a budget of {format_bytes(summary['budget'])}"
    return "unknown" if resident is None else f"{format_bytes(resident)} in this process"
