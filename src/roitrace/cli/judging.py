"""``correct-neuropil``, ``quality``: what traces hold besides the cell, and how good they are."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from roitrace.cli.options import (
    BaselineOptions,
    JobOptions,
    Json,
    OptionalOutput,
    Output,
    Overwrite,
    with_groups,
)
from roitrace.cli.reporting import print_facts, print_table
from roitrace.cli.traces import Offset, Traces  # noqa: TC001 (typer reads the annotations)

__all__ = ["correct_neuropil", "quality"]


@with_groups
def correct_neuropil(
    traces: Traces,
    output: Output,
    *,
    r: Annotated[
        str,
        typer.Option("--r", metavar="R", help="Part of the neuropil in F: a number, fit or cross_validated."),
    ] = "0.7",
    offset: Offset = 0.0,
    statistic: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which traces are F; the primary ones if not given.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    job: JobOptions,
) -> None:
    """Subtract the neuropil from the traces of cells.

    F, Fneu and Fcorr = F - r (Fneu - dark level) are all kept. The traces need to have been extracted with --neuropil.

    For example::

        roitrace correct-neuropil traces.zarr corrected.zarr --r fit --offset 100
    """
    ratio = _ratio(r)
    with job.running() as reporter:
        from roitrace.neuropil_correction import correct_neuropil as correct
        from roitrace.pipeline.stores import EarlierResults
        from roitrace.results import check_output, load
        from roitrace.traces import spread_rules

        check_output(output, overwrite=overwrite)
        earlier = EarlierResults.open(traces)
        source = spread_rules(earlier.group("traces"))
        corrected = correct(source, r=ratio, offset=offset, statistic=statistic, **job.limits())
        earlier.save_next(
            {"corrected": corrected},
            output,
            with_rois=True,
            overwrite=overwrite,
            parameters={"correct_neuropil": {"r": ratio, "offset": offset, "statistic": statistic}},
            workers=job.workers,
            progress=reporter.step("correct neuropil"),
        )
        found = load(output)["corrected"].to_dataset()
    ratios = found["r"].values
    facts = {"output": output, "rois": found.sizes["roi"], "median_r": _percentiles(ratios)["50 %"]}
    print_facts(facts | {"rois_without_Fcorr": int((ratios != ratios).sum())}, as_json=as_json)  # noqa: PLR0124


@with_groups
def quality(
    traces: Traces,
    output: OptionalOutput = None,
    *,
    rules: Annotated[
        list[str] | None,
        typer.Option(
            "--rule", metavar="RULE", help="What a cell has to fulfil: 'peak_snr >= 3'. Can be repeated."
        ),
    ] = None,
    saturation: Annotated[
        float | None,
        typer.Option(metavar="COUNTS", help="Largest value of the detector; needs the statistic max."),
    ] = None,
    statistic: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which traces are F; the primary ones if not given.")
    ] = None,
    offset: Offset = 0.0,
    overwrite: Overwrite = False,
    as_json: Json = False,
    f0: BaselineOptions,
    job: JobOptions,
) -> None:
    """Measure the traces of each cell, and reject cells by rules.

    Noise, signal to noise, drift, saturation, overlap, reliability and more. Rejected cells stay, with the reason.

    For example::

        roitrace quality traces.zarr
        roitrace quality traces.zarr judged.zarr --rule 'peak_snr >= 3' --rule 'overlap_fraction < 0.5'
    """
    baseline = f0.arguments()
    with job.running() as reporter:
        from roitrace.engine.run import execute
        from roitrace.judging import broken_rules, judge, parse_rules
        from roitrace.pipeline.stores import EarlierResults
        from roitrace.quality import quality as measure
        from roitrace.results import check_output
        from roitrace.rois import Rois

        if output is not None:
            check_output(output, overwrite=overwrite)
        earlier = EarlierResults.open(traces)
        rois = Rois.from_dataset(earlier.group("rois").load())
        options: dict[str, Any] = {
            "saturation": saturation,
            "statistic": statistic,
            "offset": offset,
            **baseline,
        }
        lazy = measure(earlier.group("traces"), rois, **options, **job.limits())
        parse_rules(lazy, rules or ())  # before anything is read
        (table,) = execute(lazy, workers=job.workers, progress=reporter.step("quality"))
        judged = judge(rois, table, rules or ())
        table = table.assign_coords(accepted=("roi", judged.accepted)).assign(
            reason=("roi", list(judged.reasons))
        )
        if output is not None:
            earlier.save_next(
                {"rois": judged, "quality": table},
                output,
                overwrite=overwrite,
                parameters={"quality": {"rules": list(rules or ()), **options}},
            )
    if as_json:
        cells = table.reset_coords(drop=True).assign(accepted=("roi", judged.accepted)).to_dataframe()
        rows = [
            {"roi": name, **row} for name, row in zip(judged.names, cells.to_dict("records"), strict=True)
        ]
        print_facts({"output": output, "rois": rows}, as_json=True)
        return
    numbers = table.drop_vars("reason")
    print_table(
        "over cells",
        [{"measure": str(name), **_percentiles(column.values)} for name, column in numbers.data_vars.items()],
    )
    reasons = [reason for reason, kept in zip(judged.reasons, judged.accepted, strict=True) if not kept]
    facts = {"rois": len(judged), "rejected": len(reasons), **broken_rules(reasons)}
    print_facts(facts | {"output": output or "none"}, as_json=False)


def _percentiles(values: Any) -> dict[str, float]:
    """Return the 5th, 50th and 95th percentile of the finite values."""
    import numpy as np

    finite = values[np.isfinite(values)]
    return {f"{p} %": float(np.percentile(finite, p)) if finite.size else math.nan for p in (5, 50, 95)}


def _ratio(text: str) -> float | str:
    if text in {"fit", "cross_validated"}:
        return text
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r}, expected a number, fit or cross_validated") from None
