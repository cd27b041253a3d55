"""``report``: results as one page to look at."""

from __future__ import annotations

from typing import Annotated

import typer

from roitrace.cli.options import JobOptions, Json, Overwrite, with_groups
from roitrace.cli.reporting import print_facts

__all__ = ["report"]


@with_groups
def report(
    results: Annotated[str, typer.Argument(metavar="RESULTS", help="A results store.")],
    *,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="The page to write; RESULTS.html if not given."),
    ] = None,
    recording: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The recording of these results: adds the pixels of six cells."),
    ] = None,
    example: Annotated[
        str | None, typer.Option(metavar="NAME", help="The cell that is selected when the page opens.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    job: JobOptions,
) -> None:
    """Write one self-contained HTML page that shows results: images, cells, traces, warnings, parameters.

    It opens in any browser, without a network.

    For example::

        roitrace report results.zarr
        roitrace report results.zarr -o report.html --recording movie.tif
    """
    with job.running():
        from roitrace.recording import open_recording
        from roitrace.view.report.report import report as write_report

        page = write_report(
            results,
            f"{results.rstrip('/')}.html" if output is None else output,
            recording=None if recording is None else open_recording(recording),
            example=example,
            overwrite=overwrite,
            workers=job.workers,
        )
    size = page.stat().st_size
    print_facts({"report": str(page), "bytes": size} if as_json else {"report": str(page)}, as_json=as_json)
