"""``export``: results for other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from roitrace.cli.options import JobOptions, Json, Overwrite, parse_settings, with_groups
from roitrace.cli.reporting import print_facts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["export"]


@with_groups
def export(
    results: Annotated[str, typer.Argument(metavar="RESULTS", help="A results store.")],
    output: Annotated[str, typer.Argument(metavar="OUT", help="The file or folder to write.")],
    *,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="zarr, netcdf, hdf5, nwb, suite2p, csv, parquet or npy; by the suffix of OUT if not given.",
        ),
    ] = None,
    statistic: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Such as median, or mean,dff, or all; F and what was made of it if not given.",
        ),
    ] = None,
    dtype: Annotated[str, typer.Option(metavar="DTYPE", help="float64 or float32.")] = "float64",
    fill: Annotated[
        str, typer.Option(metavar="HOW", help="nan, or interpolate; the filled frames are listed.")
    ] = "nan",
    roi_axis: Annotated[
        int | None, typer.Option(metavar="N", help="0 for ROIs in rows, 1 for ROIs in columns.")
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="HOW", help="csv, parquet: wide (a column per ROI) or tidy (a row per ROI and frame)."
        ),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="nwb: a file of the same session; OUT is a copy with the results added."
        ),
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option("--metadata", metavar="KEY=VALUE", help="nwb: such as subject.sex=F. Can be repeated."),
    ] = None,
    spikes: Annotated[
        str | None, typer.Option(metavar="FILE", help="suite2p: an .npy (roi, time) for spks.npy.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    job: JobOptions,
) -> None:
    """Write results into a file that other tools read.

    What the file cannot hold is said once.

    For example::

        roitrace export results.zarr traces.csv
        roitrace export results.zarr suite2p/plane0 --format suite2p --fill interpolate
        roitrace export results.zarr session.nwb --metadata session_start_time=2024-05-01T10:00:00+02:00
    """
    names: Any = None if statistic is None else [one.strip() for one in statistic.split(",")]
    with job.running() as reporter:
        from roitrace.export import export as export_results

        written = export_results(
            results,
            output,
            format,
            statistic="all" if names == ["all"] else names,
            dtype=dtype,  # type: ignore[arg-type] # checked there
            fill=fill,  # type: ignore[arg-type]
            roi_axis=roi_axis,
            layout=layout,  # type: ignore[arg-type]
            into=into,
            metadata=parse_settings(metadata) if metadata else None,
            spikes=None if spikes is None else _matrix(spikes),
            overwrite=overwrite,
            progress=reporter.progress,
            **job.limits(),
        )
    print_facts({"output": str(written)}, as_json=as_json)


def _matrix(path: str) -> NDArray[np.generic]:
    import numpy as np

    from roitrace.errors import ArgumentError
    from roitrace.formats.damage import understanding

    with understanding(f"{path} cannot be read as .npy", "give an array of numbers (roi, time)"):
        matrix: NDArray[np.generic] = np.load(path, allow_pickle=False)
    if matrix.ndim != 2 or matrix.dtype.kind not in "iuf":
        raise ArgumentError(
            f"{path} holds {matrix.dtype} of shape {matrix.shape}", "give numbers (roi, time)"
        )
    return matrix
