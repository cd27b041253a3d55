"""``simulate``, ``convert``, ``append``, ``info``: recordings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roitrace.cli.checking import motion_facts
from roitrace.cli.options import (
    JobOptions,
    Json,
    Overwrite,
    ReaderOptions,
    RecordingOptions,
    RecordingPath,
    parse_numbers,
    parse_settings,
    with_groups,
)
from roitrace.cli.reporting import print_facts, print_table

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["append", "convert", "info", "simulate"]


@with_groups
def simulate(
    path: Annotated[str, typer.Argument(metavar="RECORDING", help="The store to write, by custom *.zarr.")],
    shape: Annotated[str, typer.Option(metavar="T,Y,X", help="Frames, height and width.")] = "3000,256,256",
    n_rois: Annotated[int, typer.Option(metavar="N", min=0, help="Number of cells.")] = 60,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="The same seed gives the same recording.")
    ] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any other part of it, such as haze=0; can be repeated."
        ),
    ] = None,
    *,
    overwrite: Overwrite = False,
    as_json: Json = False,
    job: JobOptions,
) -> None:
    """Make up a recording with a known truth.

    For example::

        roitrace simulate demo.zarr --shape 3000,256,256 --n-rois 60 --set frame_rate=15 --set bleaching=0
    """
    sizes = parse_numbers(shape, 3)
    more = parse_settings(settings or [])
    with job.running() as reporter:
        from roitrace.recording import open_recording
        from roitrace.simulation import simulate as make_recording

        made = make_recording(
            path,
            shape=(sizes[0], sizes[1], sizes[2]),
            n_rois=n_rois,
            seed=seed,
            overwrite=overwrite,
            progress=reporter.step("simulate"),
            **job.limits(),
            **more,
        )
        facts = _facts(str(made), open_recording(str(made)))
        print_facts(facts if as_json else _made(facts), as_json=as_json)


@with_groups
def convert(
    source: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="A recording, or the files of a series.")
    ],
    store: Annotated[str, typer.Argument(metavar="STORE", help="The store to write, by custom *.zarr.")],
    chunks: Annotated[
        str | None, typer.Option(metavar="T,Y,X", help="Frames, rows and columns of a chunk.")
    ] = None,
    *,
    overwrite: Overwrite = False,
    as_json: Json = False,
    reader: ReaderOptions,
    job: JobOptions,
) -> None:
    """Copy a recording into a store that is read fast.

    For example::

        roitrace convert movie.tif movie.zarr --frame-rate 30 --pixel-size 1.2
    """
    sizes = parse_numbers(chunks, 3)
    arguments = reader.arguments()
    with job.running() as reporter:
        from roitrace.conversion import convert as copy_recording

        recording = copy_recording(
            source[0] if len(source) == 1 else source,
            store,
            chunks=None if chunks is None else (sizes[0], sizes[1], sizes[2]),
            overwrite=overwrite,
            progress=reporter.step("convert"),
            **arguments,
            **job.limits(),
        )
        facts = _facts(store, recording)
        print_facts(facts if as_json else _made(facts), as_json=as_json)


@with_groups
def append(
    source: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="New frames: a recording, or the files of a series."),
    ],
    store: Annotated[str, typer.Argument(metavar="STORE", help="What roitrace convert wrote.")],
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Array in a file that holds several.")
    ] = None,
    axes: Annotated[
        str | None, typer.Option(metavar="TYX", help="Order of the axes, where the file does not say it.")
    ] = None,
    *,
    continuous: Annotated[
        bool, typer.Option("--continuous", help="All was recorded in one go: no sessions.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Give up an append of other frames that was interrupted; the store stays."
        ),
    ] = False,
    as_json: Json = False,
    job: JobOptions,
) -> None:
    """Append new frames to a store, which stays whole all the time.

    A source that begins with the files that the store was made from has grown: its frames that are there already are not read.

    For example::

        roitrace append second.tif movie.zarr
    """
    given: dict[str, Any] = {"dataset": dataset, "axes": axes, "continuous": continuous or None}
    with job.running() as reporter:
        from roitrace.appending import append as append_frames

        recording = append_frames(
            source[0] if len(source) == 1 else source,
            store,
            overwrite=overwrite,
            progress=reporter.step("append"),
            **{name: value for name, value in given.items() if value is not None},
            **job.limits(),
        )
        facts = _facts(store, recording)
        print_facts(facts if as_json else _made(facts), as_json=as_json)


@with_groups
def info(
    path: RecordingPath,
    *,
    motion: Annotated[
        bool,
        typer.Option(
            "--motion", help="Look at sampled frames: by how many pixels do they lie off their mean."
        ),
    ] = False,
    as_json: Json = False,
    part: RecordingOptions,
    job: JobOptions,
) -> None:
    """Say what a recording or a results store holds.

    Reads no samples, but for --motion.

    For example::

        roitrace info movie.tif
        roitrace info movie.tif --motion
    """
    from roitrace.results import is_results_store
    from roitrace.store.places import place_of

    if place_of(path).is_dir() and is_results_store(path):
        if motion:
            raise typer.BadParameter(f"{path} holds results; --motion looks at recordings")
        if as_json:
            print_facts(_contents(path), as_json=True)
        else:
            _print_results(path)
        return
    from roitrace.inspection import info as describe

    facts, moved, warning = describe(path, **part.everything()), {}, None
    if motion:
        from roitrace.motion import residual_motion, summarize_motion

        with job.running():
            summary = summarize_motion(residual_motion(part.open(path), **job.limits()).compute())
        moved, warning = motion_facts(summary), summary.warning
    print_facts((facts if as_json else _readable(facts)) | moved, as_json=as_json)
    if warning is not None and not as_json:
        typer.echo(warning)


def _readable(facts: dict[str, Any]) -> dict[str, Any]:
    """Put the facts that a person looks for into words; what is unknown stays, what is usual goes."""
    from roitrace.units import format_bytes

    storage, conversion = facts["storage"], facts["conversion"]
    way = "decoded" if storage["decoded"] else "memory-mapped"
    words = {
        "axes": ", ".join(f"{dim} {size}" for dim, size in zip(facts["dims"], facts["shape"], strict=True)),
        "bytes": format_bytes(facts["bytes"]),
        "file_bytes": None if facts["file_bytes"] is None else format_bytes(facts["file_bytes"]),
        "frame_rate": None if facts["frame_rate"] is None else f"{facts['frame_rate']:.6g} Hz",
        "duration": None if facts["duration"] is None else f"{facts['duration']:.6g} s",
        "missing": facts["missing"] or "nothing",
        "chunk": f"{_size(storage['chunk'])} (time x height x width), {way}",
        "one_trace_reads": f"{storage['chunks_per_trace']} chunks, {format_bytes(storage['bytes_per_trace'])}",
        "after_convert": f"chunks of {_size(conversion['chunk'])}; one trace reads {conversion['chunks_per_trace']}, "
        f"{format_bytes(conversion['bytes_per_trace'])}",
        "convert_reads": f"{format_bytes(conversion['bytes_to_read'])}, and writes at most as much",
        "convert": conversion["advice"],
    }
    left_out = {
        "storage",
        "conversion",
        "dims",
        "shape",
        "frames",
        "notes",
        *(["sessions"] if facts["sessions"] == 1 else []),
    }
    kept = {name: words.pop(name, value) for name, value in facts.items() if name not in left_out}
    notes = {f"note_{number}": note for number, note in enumerate(facts["notes"], start=1)}
    return {
        **dict(list(kept.items())[:3]),
        "axes": words.pop("axes"),
        **dict(list(kept.items())[3:]),
        **words,
        **notes,
    }


def _size(chunk: list[int]) -> str:
    return " x ".join(map(str, chunk))


def _contents(path: str) -> dict[str, Any]:
    """Return what the groups of a results store hold, and what they were made with."""
    from roitrace.results import load

    tree = load(path)
    groups = {
        node.path.strip("/"): [
            f"{name} ({', '.join(f'{dim} {size}' for dim, size in variable.sizes.items())})"
            for name, variable in node.data_vars.items()
        ]
        for node in tree.subtree
        if node.data_vars
    }
    return {"path": path, "kind": "results", **groups} | {
        str(name): value for name, value in tree.attrs.items()
    }


def _print_results(path: str) -> None:
    """Print a row for each group of a results store, and the parameters that say something."""
    from roitrace.results import load
    from roitrace.view.report.running import parameter_lines

    tree = load(path)
    about = {str(name): value for name, value in tree.attrs.items()}
    parameters = json.loads(about.pop("parameters", "{}"))
    print_facts({"path": path} | about, as_json=False)
    rows = [
        {
            "group": node.path.strip("/"),
            "holds": ", ".join(map(str, node.data_vars)),
            "along": ", ".join(f"{dim} {size}" for dim, size in node.sizes.items()),
        }
        for node in tree.subtree
        if node.data_vars
    ]
    if rows:
        typer.echo()
        print_table("groups", rows, left=3)
    said = {name: value for name, value in parameter_lines(parameters) if value != "none"}
    if said:
        typer.echo()
        print_facts(said, as_json=False)


def _made(facts: dict[str, Any]) -> dict[str, Any]:
    """Put what was written into words."""
    from roitrace.units import format_bytes

    axes = ", ".join(f"{dim} {size}" for dim, size in zip(facts["dims"], facts["shape"], strict=True))
    rate = None if facts["frame_rate"] is None else f"{facts['frame_rate']:.6g} Hz"
    words = facts | {"axes": axes, "bytes": format_bytes(facts["bytes"]), "frame_rate": rate}
    order = (
        "path",
        "kind",
        "axes",
        "dtype",
        "bytes",
        "frame_rate",
        "frame_interval",
        "pixel_height",
        "pixel_width",
    )
    return {name: words[name] for name in order}


def _facts(path: str, recording: xr.DataArray) -> dict[str, Any]:
    def spacing(axis: str) -> str:
        coordinate = recording[axis]
        unit = coordinate.attrs.get("units", "1")
        if unit == "1" or coordinate.size < 2:
            return "unknown"
        return f"{float((coordinate[-1] - coordinate[0]) / (coordinate.size - 1)):.6g} {unit}"

    return {
        "path": path,
        "kind": "recording",
        "dims": list(recording.dims),
        "shape": list(recording.shape),
        "dtype": str(recording.dtype),
        "bytes": recording.nbytes,
        "frame_rate": recording.attrs.get("frame_rate"),
        "frame_interval": spacing("time"),
        "pixel_height": spacing("y"),
        "pixel_width": spacing("x"),
    }
