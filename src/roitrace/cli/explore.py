"""``explore``: the page in the browser."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from roitrace.cli.options import RecordingOptions, RecordingPath, with_groups

__all__ = ["explore"]


@with_groups
def explore(
    path: RecordingPath,
    *,
    results: Annotated[
        str | None, typer.Option(metavar="STORE", help="Results whose projections and ROIs are shown.")
    ] = None,
    rois: Annotated[
        str | None, typer.Option(metavar="FILE", help="ROIs to begin with, in any format that is read.")
    ] = None,
    output: Annotated[str, typer.Option(metavar="FOLDER", help="Where exports go.")] = ".",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Where to listen; 0: a free port.")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Whether to open a browser.")
    ] = True,
    budget: Annotated[str, typer.Option(metavar="SIZE", help="Memory that the program may use.")] = "500 MB",
    part: RecordingOptions,
) -> None:
    """Look at a recording in the browser: find cells, curate them, see their traces, export.

    The page is served on this computer alone, under a link with a secret; Ctrl-C ends it. Exports hold a configuration with which
    roitrace run gives the same cells.

    For example::

        roitrace explore movie.zarr
        roitrace explore movie.tif --frame-rate 7.5 --results results.zarr --no-browser
    """
    from roitrace.errors import ArgumentError
    from roitrace.formats.extras import import_extra
    from roitrace.results import is_results_store
    from roitrace.store.places import place_of

    import_extra("bokeh", "app", "the explorer")
    from roitrace.view.explorer.explore import explore as open_explorer

    if place_of(path).is_dir() and is_results_store(path):
        raise ArgumentError(
            f"{path} holds results, and no recording", f"roitrace explore RECORDING --results {path}"
        )
    recording = part.open(path)
    with open_explorer(
        recording,
        results=results,
        rois=rois,
        output=output,
        port=port,
        browser=browser,
        budget=budget,
        told=_section(path, part),
    ) as explorer:
        typer.echo(f"the explorer is at {explorer.url}")
        typer.echo("Ctrl-C ends it", err=True)
        try:
            explorer.wait()
        except KeyboardInterrupt:
            typer.echo("ended", err=True)


def _section(path: str, part: RecordingOptions) -> dict[str, Any]:
    """Return the section of a configuration that opens the same recording, corrections included."""
    from roitrace.recording import open_recording
    from roitrace.view.explorer.reproduction import recording_section

    # a correction may leave frames out: the part is that of the file
    opened = open_recording(path, **part.everything())
    return recording_section(path, part.everything(), opened) | part.corrections()
