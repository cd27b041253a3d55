"""``transfer``: ROIs of one recording on another one of the same place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from roitrace.cli.options import Json, Overwrite, ReportOptions, RoiFileOptions, with_groups
from roitrace.cli.reporting import print_facts

if TYPE_CHECKING:
    from roitrace.result_groups import Group

__all__ = ["transfer"]


@with_groups
def transfer(
    rois: Annotated[
        str, typer.Argument(metavar="ROIS", help="A results store, or ROIs in any format that is read.")
    ],
    from_images: Annotated[
        str, typer.Argument(metavar="FROM", help="Projections of the recording that they are of.")
    ],
    to_images: Annotated[str, typer.Argument(metavar="TO", help="Projections of the other recording.")],
    output: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="A results store *.zarr, or ROIs for other programs.")
    ],
    *,
    image: Annotated[str, typer.Option(metavar="NAME", help="Which projection is compared.")] = "mean",
    offset: Annotated[
        str | None,
        typer.Option(
            metavar="DY,DX",
            help="Pixels down and right, where it is known; found by phase correlation if not.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    roi_file: RoiFileOptions,
    saying: ReportOptions,
) -> None:
    """Carry ROIs over to another recording of the same place.

    They keep their names and shapes and move by a whole number of pixels. How well each fits is in the group transfer of the output.

    For example::

        roitrace transfer monday.zarr monday.zarr tuesday-images.zarr tuesday-cells.zarr
        roitrace transfer RoiSet.zip monday-images.zarr tuesday-images.zarr RoiSet-tuesday.zip --offset=3,-2
    """
    step = _parse_offset(offset)
    from roitrace.frame import frame_of
    from roitrace.pipeline.decisions import deciding
    from roitrace.pipeline.stores import EarlierResults
    from roitrace.results import check_output
    from roitrace.roi_files import write_rois
    from roitrace.transfer import transfer as carry

    if output.endswith(".zarr"):
        check_output(output, overwrite=overwrite)
    with saying.reporting() as reporter:
        other = EarlierResults.open(to_images)
        before, after = EarlierResults.open(from_images).image(image), other.image(image)
        moved = carry(roi_file.read(rois, frame_of(before)), before, after, step)
        if output.endswith(".zarr"):
            with deciding(output, reporter.note) as decisions:
                mask = decisions.apply(moved.rois).to_mask()
                results: dict[str, Group] = {
                    "mask": mask,
                    "rois": decisions.to_dataset(),
                    "transfer": moved.table,
                }
                parameters = {"transfer": {"image": image, "offset": None if step is None else list(step)}}
                other.save_next(results, output, overwrite=overwrite, parameters=parameters)
        else:
            write_rois(moved.rois, output, overwrite=overwrite)
    facts: dict[str, Any] = {"output": output, "rois": len(moved.rois), "offset": list(moved.offset)}
    facts |= {"image_fit": round(float(moved.table.attrs["image_fit"]), 3), "result": str(moved)}
    print_facts(facts, as_json=as_json)


def _parse_offset(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        down, right = (int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r}, expected two whole numbers of pixels such as 3,-2") from None
    return down, right
