"""``extract``, ``normalize``, ``compare``: traces."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roitrace.choices import BASELINES, NORMALIZATIONS, OVERLAP_RULES
from roitrace.cli.completion import AGGREGATIONS, WEIGHTS, words
from roitrace.cli.options import (
    BaselineOptions,
    JobOptions,
    Json,
    OptionalOutput,
    Output,
    Overwrite,
    RecordingOptions,
    RecordingPath,
    RoiFileOptions,
    parse_statistics,
    with_groups,
)
from roitrace.cli.reporting import print_facts, print_table
from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    import xarray as xr

    from roitrace.result_groups import Group

__all__ = ["Offset", "Traces", "compare", "extract", "normalize"]

Traces = Annotated[str, typer.Argument(metavar="TRACES", help="The store that extract, or a job, wrote.")]
Offset = Annotated[float, typer.Option(metavar="COUNTS", help="Dark level of the detector.")]


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
            metavar="LIST",
            help="Such as mean,median; with parameters: 'mean,{percentile: {q: 90}}'.",
            autocompletion=words(*AGGREGATIONS),
        ),
    ] = "mean,median,trimmed_mean",
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="brightness, proximity, edge or 'brightness * proximity'; adds weighted_mean.",
            autocompletion=words(*WEIGHTS),
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
        str,
        typer.Option(
            metavar="HOW",
            help="What becomes of pixels of several cells: keep, exclude, split, nearest, least_squares; several with commas.",
            autocompletion=words(*OVERLAP_RULES),
        ),
    ] = "keep",
    convention: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="suite2p: the mean weighted by lam, shared pixels excluded, and nothing else.",
        ),
    ] = None,
    neuropil: Annotated[
        str | None,
        typer.Option(metavar="RULE", help="Rings around the cells from the same read: suite2p or allen."),
    ] = None,
    extend: Annotated[
        bool,
        typer.Option(
            "--extend",
            help="OUTPUT holds the traces of fewer frames, or fewer cells: read what is new only.",
        ),
    ] = False,
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
        roitrace extract movie.tif cells.zarr traces.zarr --overlap keep,exclude --neuropil suite2p
        roitrace extract movie.zarr cells.zarr traces.zarr --extend
    """
    with job.running() as reporter:
        from roitrace.extension import extend as extend_traces
        from roitrace.extraction import extract as extract_traces
        from roitrace.frame import frame_of
        from roitrace.neuropil import neuropil as make_neuropil
        from roitrace.overlap import overlap_rules
        from roitrace.pipeline.cells import rois_identity
        from roitrace.pipeline.recording import identity_of
        from roitrace.pipeline.stores import EarlierResults
        from roitrace.results import check_output, save
        from roitrace.store.places import place_of
        from roitrace.weighting import pixel_weights

        known: int | None = None
        check_output(output, overwrite=overwrite or extend)
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
        rules = overlap_rules([one.strip() for one in overlap.split(",")])
        rings = None if neuropil is None else make_neuropil(cells, rule=neuropil)
        how: dict[str, Any] = {"overlap": rules if len(rules) > 1 else rules[0], "convention": convention}
        how |= {"neuropil": rings} | job.limits()
        if extend and place_of(output).exists():
            earlier = EarlierResults.open(output).tree
            others = sorted(earlier.children.keys() - {"rois", "traces", "neuropil"})
            if others and not overwrite:
                raise ArgumentError(
                    f"{output} holds {', '.join(others)} besides its traces, which roitrace extract does not make",
                    "extend all with roitrace run --extend, or drop them with --overwrite",
                )
            traces = extend_traces(earlier, recording, cells, asked, **how)
            known = earlier["traces"].sizes["time"]
        else:
            traces = extract_traces(recording, cells, asked, **how)
        found: dict[str, Group] = {"rois": cells, "traces": traces}
        save(
            found if rings is None else found | {"neuropil": rings},
            output,
            overwrite=overwrite or extend,
            parameters={
                "extract": {
                    "statistics": [str(one) for one in asked],
                    "overlap": list(rules) if len(rules) > 1 else rules[0],
                    "neuropil": neuropil,
                },
                "rois_identity": rois_identity(cells),
            },
            source=identity_of(recording),
            workers=job.workers,
            progress=reporter.step("extract"),
        )
    facts: dict[str, Any] = {"output": output, "rois": len(cells), "frames": traces.sizes["time"]}
    facts |= {} if known is None else {"known_frames": known}
    facts |= {"overlap": list(rules)} if len(rules) > 1 else {}
    facts |= {} if neuropil is None else {"neuropil": neuropil}
    print_facts(facts | {"statistics": [one.name for one in asked]}, as_json=as_json)


@with_groups
def normalize(
    traces: Traces,
    output: Output,
    *,
    method: Annotated[
        str,
        typer.Option(
            metavar="METHOD",
            help="dff, zscore, robust_zscore or minmax.",
            autocompletion=words(*NORMALIZATIONS),
        ),
    ] = "dff",
    statistic: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which traces are F; the primary ones if not given.")
    ] = None,
    offset: Offset = 0.0,
    baseline: Annotated[
        str,
        typer.Option(
            metavar="METHOD",
            help="How dff finds F0: rolling_percentile, percentile, rolling_median, mode, maximin, lowpass_percentile, first, "
            "frames, bleaching, ratio.",
            autocompletion=words(*BASELINES),
        ),
    ] = "rolling_percentile",
    first: Annotated[
        str | None, typer.Option(metavar="DURATION", help="For the baseline first: such as '10 s'.")
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            metavar="A:B,...", help="For the baseline frames: epochs on the time axis, such as 0:30,90:120."
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="STORE", help="For the baseline ratio: traces of the same ROIs of a second channel."
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    f0: BaselineOptions,
    job: JobOptions,
) -> None:
    """Put traces on a scale that cells share, such as dF/F.

    Of a store with corrected traces these are F, unless --statistic names others.

    For example::

        roitrace normalize traces.zarr dff.zarr --offset 100
        roitrace normalize traces.zarr dff.zarr --baseline maximin --smoothing '10 frames'
    """
    options = f0.arguments() | {"baseline": baseline, "first": first}
    options["frames"] = _epochs(frames)
    with job.running() as reporter:
        from roitrace.normalization import normalize as normalize_traces
        from roitrace.pipeline.stores import EarlierResults
        from roitrace.results import check_output, load
        from roitrace.traces import pick_trace, spread_rules

        check_output(output, overwrite=overwrite)
        earlier = EarlierResults.open(traces)
        corrected = statistic is None and "corrected" in earlier.tree.children
        source = spread_rules(earlier.group("corrected" if corrected else "traces"))
        second = None
        if reference is not None:
            second = pick_trace(spread_rules(EarlierResults.open(reference).group("traces")))
        normalized = normalize_traces(
            source,
            method,
            statistic=statistic,
            offset=offset,
            reference=second,
            **options,
            **job.limits(),
        )
        earlier.save_next(
            {"normalized": normalized},
            output,
            with_rois=True,
            overwrite=overwrite,
            parameters={"normalize": {"method": method, "statistic": statistic, "offset": offset, **options}},
            workers=job.workers,
            progress=reporter.step("normalize"),
        )
        counts = load(output)["normalized"].to_dataset().get("n_small_f0")
    facts = {"output": output, "method": method, "of": normalized.attrs["statistic"]}
    facts |= {"rois": normalized.sizes["roi"]}
    if counts is not None:
        facts |= {"rois_with_small_F0": int((counts.values > 0).sum())}
    print_facts(facts, as_json=as_json)


@with_groups
def compare(
    traces: Traces,
    output: OptionalOutput = None,
    *,
    against: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The statistic to compare with; the primary one if not given."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    f0: BaselineOptions,
    job: JobOptions,
) -> None:
    """Compare the statistics of each cell.

    Slope, offset and correlation in counts, noise, signal to noise.

    For example::

        roitrace compare traces.zarr
        roitrace compare traces.zarr comparison.zarr --against mean
    """
    baseline = f0.arguments()
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


def _epochs(text: str | None) -> list[list[float]] | None:
    """Read ``0:30,90:120``; None stays None."""
    if text is None:
        return None
    try:
        epochs = [[float(part) for part in epoch.split(":")] for epoch in text.split(",")]
    except ValueError:
        epochs = [[]]
    if any(len(epoch) != 2 for epoch in epochs):
        raise typer.BadParameter(f"{text!r}, expected epochs such as 0:30,90:120")
    return epochs


def _rows(medians: xr.Dataset) -> list[dict[str, Any]]:
    return [
        {"statistic": str(name)}
        | {str(measure): float(medians[measure].sel(statistic=name)) for measure in medians.data_vars}
        for name in medians["statistic"].values
    ]
