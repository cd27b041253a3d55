"""``project``, ``segment``: from a recording to images, from an image to cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from roitrace.choices import THRESHOLDS
from roitrace.cli.completion import PROJECTIONS, words
from roitrace.cli.options import (
    JobOptions,
    Json,
    Output,
    Overwrite,
    RecordingOptions,
    RecordingPath,
    ReportOptions,
    parse_settings,
    parse_statistics,
    with_groups,
)
from roitrace.cli.reporting import print_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from roitrace.config.sections import RoisSection
    from roitrace.pipeline.stores import EarlierResults
    from roitrace.result_groups import Group
    from roitrace.rois import Rois

__all__ = ["project", "segment"]


@with_groups
def project(
    path: RecordingPath,
    output: Output,
    *,
    statistics: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Such as mean,max,std,median,correlation; {percentile: {q: 90}}.",
            autocompletion=words(*PROJECTIONS),
        ),
    ] = "mean,max,std",
    bin_seconds: Annotated[
        float | None,
        typer.Option(metavar="S", help="Let max, std and correlation take means of bins of so many seconds."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    part: RecordingOptions,
    job: JobOptions,
) -> None:
    """Summarise a recording over time as images.

    For example::

        roitrace project movie.tif images.zarr --statistics mean,max,std
    """
    with job.running() as reporter:
        from roitrace.pipeline.recording import identity_of
        from roitrace.projection import project as project_recording
        from roitrace.results import check_output, save

        check_output(output, overwrite=overwrite)
        from roitrace.engine.time_parameters import with_bins

        asked = with_bins(parse_statistics(statistics), bin_seconds)
        recording = part.open(path)
        images = project_recording(recording, asked, **job.limits())
        save(
            {"projections": images},
            output,
            overwrite=overwrite,
            parameters={"projections": [str(one) for one in asked]},
            source=identity_of(recording),
            workers=job.workers,
            progress=reporter.step("project"),
        )
    print_facts({"output": output, "projections": [one.name for one in asked]}, as_json=as_json)


@with_groups
def segment(
    images: Annotated[str, typer.Argument(metavar="IMAGES", help="The store that project, or a job, wrote.")],
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUTPUT", help="A results store *.zarr, or ROIs for other programs: *.zip, *.tif, ..."
        ),
    ],
    *,
    image: Annotated[
        str, typer.Option(metavar="NAMES", help="Which projection, or several at once: mean,correlation.")
    ] = "mean",
    cell_diameter: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="Such as 12um, 10px, or auto.  [default: 12um]")
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="A threshold such as otsu in place of the default recipe.",
            autocompletion=words(*THRESHOLDS),
        ),
    ] = None,
    rules: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="RULE",
            help='What a cell has to fulfil, such as "area_px >= 30"; others are rejected. Can be repeated.',
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="As in the section rois of a configuration: threshold.percentile=95, clean.min_pixels=30, "
            "label.split=distance. Can be repeated.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    saying: ReportOptions,
) -> None:
    """Find cells in projections.

    By the default recipe, or by a threshold of your own. A table beside the results, OUTPUT.rois.csv (roi, accepted, reason, note),
    may be edited: later verbs obey it, and a new segmentation with --overwrite keeps what you decided about cells that are still there.

    For example::

        roitrace segment images.zarr cells.zarr --cell-diameter 12um
        roitrace segment images.zarr cells.zarr --image mean,correlation --cell-diameter auto --filter "contrast_ratio >= 1"
        roitrace segment images.zarr RoiSet.zip --threshold otsu --set clean.min_pixels=30
    """
    values = parse_settings(settings)
    for section, key, value in (
        ("segment", "cell_diameter", cell_diameter),
        ("threshold", "method", threshold),
    ):
        if value is not None:
            values.setdefault(section, {})[key] = value
    if rules:
        given = values.get("filter", [])
        values["filter"] = [*(given if isinstance(given, list) else [given]), *rules]
    values["image"] = [one.strip() for one in image.split(",")]
    from roitrace.config.file import make_section
    from roitrace.config.sections import RoisSection
    from roitrace.pipeline.cells import NO_CELLS, filter_rois, segment_images
    from roitrace.pipeline.stores import EarlierResults

    recipe = make_section(RoisSection, values)
    with saying.reporting() as reporter:
        projections = EarlierResults.open(images)
        if output.endswith(".zarr"):
            facts = _segment_into_store(recipe, projections, output, reporter.note, overwrite=overwrite)
        else:
            from roitrace.roi_files import write_rois

            looked_at = projections.images(recipe.looks_at)
            _, rois = segment_images(recipe, looked_at)
            rois = filter_rois(recipe, rois, looked_at)
            write_rois(rois, output, overwrite=overwrite)
            facts = {"output": output, **_counted(rois)}
        if not facts["rois"]:
            reporter.note(NO_CELLS)
    print_facts(facts, as_json=as_json)


def _segment_into_store(
    recipe: RoisSection,
    projections: EarlierResults,
    output: str,
    note: Callable[[str], object],
    *,
    overwrite: bool,
) -> dict[str, Any]:
    """Write mask, ROIs and the table of decisions; what was decided before goes on."""
    from roitrace.pipeline.cells import filter_rois, segment_images
    from roitrace.pipeline.decisions import deciding
    from roitrace.results import check_output

    check_output(output, overwrite=overwrite)
    looked_at = projections.images(recipe.looks_at)
    with deciding(output, note) as decisions:
        mask, found = segment_images(recipe, looked_at)
        rois = decisions.apply(filter_rois(recipe, found, looked_at))
        parameters = {"rois": recipe.model_dump(mode="json", exclude={"path"})}
        results: dict[str, Group] = {"mask": mask, "rois": decisions.to_dataset()}
        projections.save_next(results, output, overwrite=overwrite, parameters=parameters)
    return {"output": output, **_counted(rois), "decisions": str(decisions.table)}


def _counted(rois: Rois) -> dict[str, Any]:
    diameter = {"cell_diameter": rois.attrs["diameter"]} if "diameter" in rois.attrs else {}
    return {"rois": len(rois), "accepted": int(rois.accepted.sum())} | diameter
