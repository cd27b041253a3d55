"""``compare-recordings``: the same ROIs on raw and denoised data, on two channels, in two sessions."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from roitrace.cli.options import (
    BaselineOptions,
    JobOptions,
    Json,
    Overwrite,
    RecordingOptions,
    RoiFileOptions,
    with_groups,
)
from roitrace.cli.reporting import print_facts, print_table
from roitrace.errors import ArgumentError

__all__ = ["compare_recordings"]


@with_groups
def compare_recordings(
    rois: Annotated[
        str, typer.Argument(metavar="ROIS", help="A results store, RoiSet.zip, mask or label image.")
    ],
    recordings: Annotated[
        list[str],
        typer.Argument(metavar="RECORDING...", help="Files, folders or stores; the first is the reference."),
    ],
    *,
    channels: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Compare channels, such as 0,1; of every recording that is given."),
    ] = None,
    statistic: Annotated[str, typer.Option(metavar="NAME", help="What the traces are.")] = "mean",
    output: Annotated[
        str | None, typer.Option(metavar="STORE", help="The results store to write; none if not given.")
    ] = None,
    figure: Annotated[
        str | None, typer.Option(metavar="FILE", help="A picture to draw, such as differences.png.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    f0: BaselineOptions,
    drawn: RoiFileOptions,
    part: RecordingOptions,
    job: JobOptions,
) -> None:
    """Extract the same ROIs from several recordings, and say how their traces differ.

    Correlation, slope, offset, noise ratio and difference of signal to noise of each cell, against the first recording.

    For example::

        roitrace compare-recordings cells.zarr raw.tif denoised.tif --figure differences.png
        roitrace compare-recordings cells.zarr movie.tif --channels 0,1
    """
    baseline = f0.arguments()
    with job.running() as reporter:
        from roitrace.engine.run import execute
        from roitrace.frame import frame_of
        from roitrace.pipeline.stores import EarlierResults
        from roitrace.recording_comparison import compare_recordings as compare
        from roitrace.results import check_output, is_results_store, save

        if output is not None:
            check_output(output, overwrite=overwrite)
        named = _named(recordings, channels, part)
        first = next(iter(named.values()))
        # ROIs are drawn on the whole frame, not on the part that is read
        whole = replace(part, y=None, x=None, channel=None if channels is None else channels.split(",")[0])
        cells = drawn.read(rois, whole.open(recordings[0]), plane=part.plane).within(frame_of(first))
        lazy = compare(named, cells, statistic, **baseline, **job.limits())
        (table,) = execute(lazy, workers=job.workers, progress=reporter.step("compare recordings"))
        if output is not None:
            parameters = {"compare_recordings": {"names": list(named), "statistic": statistic, **baseline}}
            if is_results_store(rois):
                EarlierResults.open(rois).save_next(
                    {"rois": cells, "recordings": table}, output, overwrite=overwrite, parameters=parameters
                )
            else:
                save({"rois": cells, "recordings": table}, output, overwrite=overwrite, parameters=parameters)
        if figure is not None:
            _draw(table, figure)
    rows: list[dict[str, Any]] = [
        {"recording": str(name)}
        | {str(one): float(column.sel(recording=name).median()) for one, column in table.data_vars.items()}
        for name in table["recording"].values
    ]
    facts = {"rois": len(cells), "output": output, "figure": figure}
    if as_json:
        print_facts(facts | {"recordings": rows}, as_json=True)
        return
    shown = ("recording", "correlation", "slope", "offset", "noise_ratio", "peak_snr_difference")
    print_table("medians over cells", [{name: row[name] for name in shown} for row in rows])
    print_facts({name: value or "none" for name, value in facts.items()}, as_json=False)


def _named(recordings: list[str], channels: str | None, part: RecordingOptions) -> dict[str, Any]:
    """Open every recording, or every channel of each, under a name of its own."""
    chosen = [None] if channels is None else [one.strip() for one in channels.split(",")]
    named: dict[str, Any] = {}
    for path in recordings:
        for channel in chosen:
            name = (
                path
                if channel is None
                else f"{path} channel {channel}"
                if len(recordings) > 1
                else f"channel {channel}"
            )
            if name in named:
                raise ArgumentError(f"{name} is given twice", "give each recording once")
            options = part if channel is None else replace(part, channel=channel)
            named[name] = options.open(path)
    return named


def _draw(table: Any, path: str) -> None:
    from matplotlib.figure import Figure

    from roitrace.view.recordings import plot_recordings
    from roitrace.view.save import save_figure

    figure = Figure(figsize=(10.0, 3.8), layout="constrained")
    plot_recordings(table, ax=figure.subplots())
    save_figure(figure, path)
