"""``rois``: ROIs from one program's file into another's."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from roitrace.cli.options import (
    Json,
    Overwrite,
    ReaderOptions,
    ReportOptions,
    RoiFileOptions,
    parse_numbers,
    with_groups,
)
from roitrace.cli.reporting import print_facts

__all__ = ["rois"]


@with_groups
def rois(
    path: Annotated[
        str,
        typer.Argument(
            metavar="ROIS",
            help="RoiSet.zip, stat.npy, labels.tif, file.nwb, ...; file.nwb::NAME for one of several.",
        ),
    ],
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUTPUT", help="*.zip, stat.npy, *.tif, *.csv, *.json, *.nwb, *.ome.zarr or *.zarr."
        ),
    ],
    *,
    recording: Annotated[
        str | None,
        typer.Option(
            metavar="RECORDING",
            help="What they were drawn on, where the file does not know how large it was.",
        ),
    ] = None,
    shape: Annotated[
        str | None, typer.Option(metavar="Y,X", help="Its height and width, in place of the recording.")
    ] = None,
    plane: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Which plane, where the file has several.")
    ] = None,
    as_mask: Annotated[
        bool, typer.Option("--as-mask", help="Take an image of numbers as one mask, not as labels.")
    ] = False,
    to: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="Where the name of OUTPUT does not say it.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    drawn: RoiFileOptions,
    reader: ReaderOptions,
    saying: ReportOptions,
) -> None:
    """Convert ROIs from one program's file to another's.

    Says what the new file does not keep.

    For example::

        roitrace rois suite2p/plane0 RoiSet.zip
        roitrace rois RoiSet.zip cells.nwb --recording movie.tif
    """
    if recording is not None and shape is not None:
        raise typer.BadParameter("give --recording or --shape, not both")
    from roitrace.frame import Frame
    from roitrace.recording import open_recording
    from roitrace.roi_files import write_rois

    size = parse_numbers(shape, 2)
    drawn_on: Any = Frame((size[0], size[1])) if size else None
    with saying.reporting():
        if recording is not None:
            drawn_on = open_recording(recording, plane=plane, **reader.arguments())
        cells = drawn.read(path, drawn_on, plane, as_mask=as_mask)
        write_rois(cells, output, format=to, overwrite=overwrite)
    facts: dict[str, object] = {
        "output": output,
        "rois": len(cells),
        "accepted": int(cells.accepted.sum()),
        "frame": " x ".join(map(str, cells.shape)),
    }
    taken = {name: cells.attrs[name] for name in ("axis_order", "axis_order_reason") if name in cells.attrs}
    print_facts(facts | taken, as_json=as_json)
