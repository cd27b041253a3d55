"""``project``, ``segment``: from a recording to images, from an image to cells."""

from __future__ import annotations

from typing import Annotated

import typer

from roitrace.cli.options import (
    JobOptions,
    Json,
    Output,
    Overwrite,
    RecordingOptions,
    RecordingPath,
    parse_settings,
    parse_statistics,
    with_groups,
)
from roitrace.cli.reporting import print_facts

__all__ = ["project", "segment"]


@with_groups
def project(
    path: RecordingPath,
    output: Output,
    *,
    statistics: Annotated[
        str,
        typer.Option(metavar="LIST", help="Such as mean,max,std,median,correlation; {percentile: {q: 90}}."),
    ] = "mean,max,std",
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
        asked = parse_statistics(statistics)
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
    image: Annotated[str, typer.Option(metavar="NAME", help="Which projection.")] = "mean",
    cell_diameter: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="Such as 12um, or 10px.  [default: 12um]")
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option(metavar="METHOD", help="A threshold such as otsu in place of the default recipe."),
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
) -> None:
    """Find cells in a projection.

    By the default recipe, or by a threshold of your own.

    For example::

        roitrace segment images.zarr cells.zarr --cell-diameter 12um
        roitrace segment images.zarr RoiSet.zip --threshold otsu --set clean.min_pixels=30
    """
    values = parse_settings(settings)
    for section, key, value in (
        ("segment", "cell_diameter", cell_diameter),
        ("threshold", "method", threshold),
    ):
        if value is not None:
            values.setdefault(section, {})[key] = value
    from roitrace.config.file import make_section
    from roitrace.config.sections import RoisSection
    from roitrace.pipeline.cells import NO_CELLS, segment_image
    from roitrace.pipeline.stores import EarlierResults
    from roitrace.results import check_output

    if output.endswith(".zarr"):
        check_output(output, overwrite=overwrite)
    recipe = make_section(RoisSection, values | {"image": image})
    earlier = EarlierResults.open(images)
    mask, rois = segment_image(recipe, earlier.image(image))
    if output.endswith(".zarr"):
        parameters = {"rois": recipe.model_dump(mode="json", exclude={"path"})}
        earlier.save_next({"mask": mask, "rois": rois}, output, overwrite=overwrite, parameters=parameters)
    else:
        from roitrace.roi_files import write_rois

        write_rois(rois, output, overwrite=overwrite)
    print_facts({"output": output, "rois": len(rois)}, as_json=as_json)
    if not len(rois):
        typer.echo(NO_CELLS, err=True)
