"""``extract``, ``normalize``, ``compare``: traces."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roitrace.cli.options import (
    JobOptions,
    Json,
    Output,
    Overwrite,
    RecordingOptions,
    RecordingPath,
    RoiFileOptions,
    parse_statistics,
    with_groups,
)
from roitrace.cli.reporting import print_facts, print_table

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["compare", "extract", "normalize"]

Traces = Annotated[str, typer.Argument(metavar="TRACES", help="The store that extract, or a job, wrote.")]
Window = Annotated[
    str,
    typer.Option(
        metavar="DURATION", help="Of the baseline: such as '60 s' or '1800 frames'; all for everything."
    ),
]
Smoothing = Annotated[
    str, typer.Option(metavar="DURATION", help="Sigma of the Gaussian before it; 0 for none.")
]
Percentile = Annotated[float, typer.Option(metavar="P", help="Of the smoothed trace, for the baseline.")]


@with_groups
def extract(
    path: RecordingPath,
    rois: Annotated[
        str,
        typer.Argument(
            metavar="ROIS",
            help="A results store, RoiSet.zip, stat.npy, label image, or what else holds ROIs.",
        ),
    ],
    output: Output,
    *,
    statistics: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Such as mean,median; with parameters: 'mean,{percentile: {q: 90}}'."
        ),
    ] = "mean,median,trimmed_mean",
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="brightness, proximity, edge or 'brightness * proximity'; adds weighted_mean.",
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(metavar="STORE", help="Where the mean projection is, for weights by brightness."),
    ] = None,
    proportion_to_cut: Annotated[
        float, typer.Option(metavar="P", help="What trimmed and winsorized means cut from each end.")
    ] = 0.1,
    overlap: Annotated[
        str, typer.Option(metavar="HOW", help="keep or exclude pixels of several cells.")
    ] = "keep",
    convention: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="suite2p: the mean weighted by lam, shared pixels excluded, and nothing else.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    drawn: RoiFileOptions,
    part: RecordingOptions,
    job: JobOptions,
) -> None:
    """Turn the pixels of each cell into traces.

    One trace per statistic, all from one read.

    For example::

        roitrace extract movie.tif cells.zarr traces.zarr
        roitrace extract movie.tif RoiSet.zip traces.zarr --weights proximity
    """
    with job.running() as reporter:
        from roitrace.extraction import extract as extract_traces
        from roitrace.frame import frame_of
        from roitrace.pipeline.cells import rois_identity
        from roitrace.pipeline.recording import identity_of
        from roitrace.pipeline.stores import EarlierResults
        from roitrace.results import check_output, save
        from roitrace.weighting import pixel_weights

        check_output(output, overwrite=overwrite)
        recording = part.open(path)
        # ROIs are drawn on the whole frame, not on the part that is read
        whole = replace(part, y=None, x=None).open(path)
        cells = drawn.read(rois, whole, plane=part.plane).within(frame_of(recording))
        if convention is not None:
            statistics, overlap = (
                ("weighted_mean", "exclude") if convention == "suite2p" else (statistics, overlap)
            )
        asked = parse_statistics(
            statistics if weights is None or "weighted_mean" in statistics else f"{statistics},weighted_mean",
            proportion_to_cut=proportion_to_cut,
        )
        if weights is not None:
            image = None if images is None else EarlierResults.open(images).image("mean")
            cells = pixel_weights(cells, weights, image=image)
        traces = extract_traces(
            recording, cells, asked, overlap=overlap, convention=convention, **job.limits()
        )
        save(
            {"rois": cells, "traces": traces},
            output,
            overwrite=overwrite,
            parameters={
                "extract": {"statistics": [str(one) for one in asked], "overlap": overlap},
                "rois_identity": rois_identity(cells),
            },
            source=identity_of(recording),
            workers=job.workers,
            progress=reporter.step("extract"),
        )
    facts = {"output": output, "rois": len(cells), "frames": traces.sizes["time"]}
    print_facts(facts | {"statistics": [one.name for one in asked]}, as_json=as_json)


@with_groups
def normalize(
    traces: Traces,
    output: Output,
    *,
    method: Annotated[
        str, typer.Option(metavar="METHOD", help="dff, zscore, robust_zscore or minmax.")
    ] = "dff",
    statistic: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which traces are F; the primary ones if not given.")
    ] = None,
    offset: Annotated[float, typer.Option(metavar="COUNTS", help="Dark level of the detector.")] = 0.0,
    percentile: Percentile = 8.0,
    window: Window = "60 s",
    smoothing: Smoothing = "0.5 s",
    overwrite: Overwrite = False,
    as_json: Json = False,
    job: JobOptions,
) -> None:
    """Put traces on a scale that cells share, such as dF/F.

    For example::

        roitrace normalize traces.zarr dff.zarr --offset 100
    """
    baseline = _baseline(percentile, window, smoothing)
    with job.running() as reporter:
        from roitrace.normalization import normalize as normalize_traces
        from roitrace.pipeline.stores import EarlierResults
        from roitrace.results import check_output

        check_output(output, overwrite=overwrite)
        earlier = EarlierResults.open(traces)
        normalized = normalize_traces(
            earlier.group("traces"), method, statistic=statistic, offset=offset, **baseline, **job.limits()
        )
        earlier.save_next(
            {"normalized": normalized},
            output,
            overwrite=overwrite,
            parameters={
                "normalize": {"method": method, "statistic": statistic, "offset": offset, **baseline}
            },
            workers=job.workers,
            progress=reporter.step("normalize"),
        )
    print_facts({"output": output, "method": method, "rois": normalized.sizes["roi"]}, as_json=as_json)


@with_groups
def compare(
    traces: Traces,
    output: Annotated[
        str | None, typer.Argument(metavar="[OUTPUT]", help="The results store to write; none if not given.")
    ] = None,
    *,
    against: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The statistic to compare with; the primary one if not given."),
    ] = None,
    percentile: Percentile = 8.0,
    window: Window = "60 s",
    smoothing: Smoothing = "0.5 s",
    overwrite: Overwrite = False,
    as_json: Json = False,
    job: JobOptions,
) -> None:
    """Compare the statistics of each cell.

    Slope, offset and correlation in counts, noise, signal to noise.

    For example::

        roitrace compare traces.zarr
        roitrace compare traces.zarr comparison.zarr --against mean
    """
    baseline = _baseline(percentile, window, smoothing)
    with job.running() as reporter:
        from roitrace.comparison import compare as compare_traces
        from roitrace.engine.run import execute
        from roitrace.pipeline.stores import EarlierResults
        from roitrace.results import check_output

        if output is not None:
            check_output(output, overwrite=overwrite)
        earlier = EarlierResults.open(traces)
        lazy = compare_traces(earlier.group("traces"), against=against, **baseline, **job.limits())
        (comparison,) = execute(lazy, workers=job.workers, progress=reporter.step("compare"))
        if output is not None:
            parameters = {"compare": {"against": against, **baseline}}
            earlier.save_next({"comparison": comparison}, output, overwrite=overwrite, parameters=parameters)
    rows = _rows(comparison.median("roi"))
    if as_json:
        print_facts({"output": output, "statistics": rows}, as_json=True)
        return
    print_table("medians over cells", rows)
    if output is not None:
        print_facts({"output": output}, as_json=False)


def _baseline(percentile: float, window: str, smoothing: str) -> dict[str, Any]:
    return {
        "percentile": percentile,
        "window": None if window == "all" else window,
        "smoothing": None if smoothing == "0" else smoothing,
    }


def _rows(medians: xr.Dataset) -> list[dict[str, Any]]:
    return [
        {"statistic": str(name)}
        | {str(measure): float(medians[measure].sel(statistic=name)) for measure in medians.data_vars}
        for name in medians["statistic"].values
    ]
