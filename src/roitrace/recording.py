"""What a recording is: a labelled lazy array; how to open one and how to convert one into a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import xarray as xr

from roitrace.engine.blocks import BLOCK_BYTES, as_dask, concatenate, source_of
from roitrace.engine.plan import RESERVED_BYTES
from roitrace.engine.run import available_workers, execute
from roitrace.engine.writes import write_array, write_sources
from roitrace.errors import ArgumentError, BudgetError, FormatError, StoreError
from roitrace.sources import BlockSource, RecordingFile, RecordingMetadata, Window, check_sample_dtype
from roitrace.store.layout import RecordingLayout
from roitrace.store.metadata import recording_attributes
from roitrace.store.writer import ShardWriter, create_recording, finish_store, replacing
from roitrace.units import format_bytes, parse_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Pixel = float | tuple[float, float]

__all__ = ["blocks_of", "check_recording", "convert", "open_recording"]

NAME = "fluorescence"
MIDDLE = ("channel", "plane")


def open_recording(
    path: str | Path | Sequence[str | Path],
    *,
    time: slice | None = None,
    y: slice | None = None,
    x: slice | None = None,
    channel: int | str | None = None,
    plane: int | None = None,
    frame_rate: float | None = None,
    pixel_size: Pixel | None = None,
    unfinished: bool = False,
    **options: Any,
) -> xr.DataArray:
    """Open a recording in any supported format as a labelled lazy array ``(time, [channel], [plane], y, x)``.

    Reads metadata only.

    Parameters
    ----------
    path : path or sequence of paths
        A file, a zarr store, or the files of a numbered series.
    time, y, x : slice, optional
        Part to open, as indices; steps other than 1 are refused.
    channel : int or str, optional
        One channel, by index or name.
    plane : int, optional
        One plane.
    frame_rate : float, optional
        Frames per second, Hz; wins over the file's.
    pixel_size : float or tuple of float, optional
        Size of a pixel, micrometres, ``(y, x)`` if not square; wins over the file's.
    unfinished : bool
        Open the finished part of a store whose writing was interrupted.
    **options
        Passed to the format's reader: ``dataset`` and ``axes`` for HDF5.

    Returns
    -------
    DataArray
        ``fluorescence``, lazy, in the file's own dtype; ``time`` in s and ``y``, ``x`` in micrometres where they are known,
        otherwise counting frames and pixels (units ``1``).

    Raises
    ------
    FormatError
        If the file cannot be understood or holds samples that are no recording.
    ArgumentError
        If the part asked for is not there.

    Examples
    --------
    >>> import numpy as np, roitrace as rt, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "movie.npy"
    >>> np.save(path, np.zeros((10, 4, 6), dtype="uint16"))
    >>> recording = rt.open_recording(path, frame_rate=5, y=slice(1, 3))
    >>> dict(recording.sizes), recording.attrs["frame_rate"]
    ({'time': 10, 'y': 2, 'x': 6}, 5.0)
    """
    if unfinished:
        options["unfinished"] = True
    file = _read_metadata(path, options)
    recording = _label(
        file, frame_rate, pixel_size, _stamp(path), {"time": time, "y": y, "x": x}, channel, plane
    )
    return check_recording(recording, dims=recording.dims)


def check_recording(recording: xr.DataArray, *, dims: tuple[Any, ...] = ("time", "y", "x")) -> xr.DataArray:
    """Return the recording if a verb can work on it, or say what is wrong.

    Raises
    ------
    ArgumentError
        If it is no DataArray with the dims asked for, or has no frames or pixels.
    FormatError
        If its dtype has no exact definition here.
    """
    if not isinstance(recording, xr.DataArray):
        raise ArgumentError(
            f"the recording is a {type(recording).__name__}, expected an xarray.DataArray with dims time, y, x",
            "open it with roitrace.open_recording(path), or wrap the array in a DataArray",
        )
    if recording.dims != dims:
        extra = [str(dim) for dim in recording.dims if dim in MIDDLE]
        step = (
            f"choose one with recording.isel({extra[0]}=0) or open_recording(..., {extra[0]}=0)"
            if extra
            else "rename or transpose them"
        )
        raise ArgumentError(f"the recording has dims {recording.dims}, expected {dims}", step)
    if 0 in recording.shape:
        raise ArgumentError(
            f"the recording is empty: {dict(recording.sizes)}",
            "check the file, or the part that was selected",
        )
    check_sample_dtype(recording.dtype, "the recording")
    return recording


def blocks_of(recording: xr.DataArray) -> Any:
    """Return the dask array of a recording; one that is not chunked yet is cut along time without loading it."""
    if recording.chunks is not None:
        return recording.data
    frame_bytes = max(1, recording.dtype.itemsize * recording.sizes["y"] * recording.sizes["x"])
    frames = int(
        recording.encoding.get("preferred_chunks", {}).get("time", max(1, BLOCK_BYTES // frame_bytes))
    )
    return recording.chunk({"time": frames, "y": -1, "x": -1}, token=uuid4().hex).data


def convert(
    source: str | Path | Sequence[str | Path] | xr.DataArray | RecordingFile,
    store: str | Path,
    *,
    frame_rate: float | None = None,
    pixel_size: Pixel | None = None,
    chunks: tuple[int, int, int] | None = None,
    overwrite: bool = False,
    budget: str | float = "1 GiB",
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> xr.DataArray:
    """Write a recording into a zarr store that every lazy verb reads fast; streams, whole files at a time.

    The store is a zarr v3 group that `xarray.open_zarr` opens as a labelled Dataset, and valid OME-Zarr 0.5.

    Parameters
    ----------
    source : path, sequence of paths, DataArray or RecordingFile
        What to convert; a lazily transformed DataArray is computed on the way.
    store : path
        Folder to write, by custom ``*.zarr``.
    frame_rate, pixel_size : optional
        As for `open_recording`.
    chunks : tuple of int, optional
        Chunk ``(time, y, x)``; by default decided by shape and dtype.
    overwrite : bool
        Replace a store that is there, once the new one is complete.
    budget : str or int
        Memory that the job may use, imports included.
    workers : int, optional
        Tasks at once; by default all processors.
    progress : callable, optional
        Called with tasks done and all tasks.
    **options
        Passed to the format's reader.

    Returns
    -------
    DataArray
        The store, opened.

    Raises
    ------
    OutputExistsError
        If the store is there and `overwrite` is False.
    BudgetError
        If one strip of one shard does not fit the budget.
    """
    target = Path(store)
    file, recording = _as_recording(source, frame_rate, pixel_size, options)
    check_recording(recording, dims=recording.dims)
    layout = RecordingLayout.of(
        tuple(str(dim) for dim in recording.dims), recording.shape, recording.dtype, chunks
    )
    direct = file is not None or source_of(recording.data) is not None
    rows = _strip_rows(layout, file.sources[0][0].chunks[1] if file else layout.shape[-2])
    count = _affordable_workers(layout, rows, direct, parse_bytes(budget), workers or available_workers())
    with replacing(target, overwrite=overwrite, what="the store") as path:
        create_recording(
            path, layout, _stored_coords(recording), recording_attributes(recording, layout.dims)
        )
        writer = ShardWriter(path, layout)
        lazy = (
            write_sources(writer, file.sources, tuple(dim for dim in layout.dims if dim in MIDDLE))
            if file is not None
            else write_array(writer, recording.data)
        )
        execute(lazy, workers=count, progress=progress)
        finish_store(path)
    return open_recording(target)


def _read_metadata(path: str | Path | Sequence[str | Path], options: Mapping[str, Any]) -> RecordingFile:
    from roitrace.formats.registry import open_recording_file  # noqa: PLC0415 - the formats' libraries load slowly

    return open_recording_file(path, **options)


def _as_recording(
    source: Any, frame_rate: float | None, pixel_size: Pixel | None, options: Mapping[str, Any]
) -> tuple[RecordingFile | None, xr.DataArray]:
    """Return the block sources where there are any, and the labelled array."""
    if isinstance(source, xr.DataArray):
        recording = source if source.chunks is not None else source.chunk()
        known = source_of(recording.data)
        file = None if known is None else RecordingFile("recording", ((known,),))
        relabelled = _relabel(recording, frame_rate, pixel_size)
        return file, relabelled
    file = source if isinstance(source, RecordingFile) else _read_metadata(source, options)
    return file, _label(file, frame_rate, pixel_size, "", {}, None, None)


def _strip_rows(layout: RecordingLayout, source_rows: int) -> int:
    tile = layout.chunks[-2]
    return min(-(-source_rows // tile) * tile, layout.shape[-2])


def _affordable_workers(layout: RecordingLayout, rows: int, direct: bool, budget: int, workers: int) -> int:
    """Return how many tasks at once stay within the budget."""
    frames = min(layout.chunks[0], layout.shape[0])
    strip = frames * rows * layout.shape[-1] * layout.dtype.itemsize
    chunk = int(np.prod(layout.chunks)) * layout.dtype.itemsize
    task = (2 if direct else 4) * strip + 3 * chunk + 8 * 2**20
    affordable = (budget - RESERVED_BYTES) // task
    if affordable < 1:
        raise BudgetError(
            f"converting needs {format_bytes(task)} per task and {format_bytes(RESERVED_BYTES)} for the program itself, "
            f"the budget is {format_bytes(budget)}",
            f"give budget={format_bytes(RESERVED_BYTES + task + 2**20)!r} or more, or smaller chunks=(time, y, x)",
        )
    return int(min(workers, affordable))


def _label(
    file: RecordingFile,
    frame_rate: float | None,
    pixel_size: Pixel | None,
    stamp: str,
    parts: Mapping[str, slice | None],
    channel: int | str | None,
    plane: int | None,
) -> xr.DataArray:
    """Wrap block sources in a labelled lazy array."""
    shape = file.sources[0][0].shape
    if 0 in shape:
        raise FormatError(f"the recording is empty: its shape (time, y, x) is {shape}", "check the file")
    channels, keep_channel = _chosen(channel, len(file.sources), file.metadata.channel_names, "channel")
    planes, keep_plane = _chosen(plane, len(file.sources[0]), (), "plane")
    window = {
        axis: _bounds(parts.get(axis), size, axis)
        for axis, size in zip(("time", "y", "x"), shape, strict=True)
    }
    arrays = [[as_dask(_window(file.sources[c][p], window), stamp) for p in planes] for c in channels]
    has_channel = file.has_channel_axis and keep_channel
    has_plane = file.has_plane_axis and keep_plane
    coords = _coords(file.metadata, shape, frame_rate, pixel_size, window)
    if has_channel and file.metadata.channel_names:
        coords["channel"] = ("channel", [file.metadata.channel_names[c] for c in channels], {})
    rate = frame_rate or file.metadata.frame_rate
    attrs = dict(file.metadata.attributes) | ({} if rate is None else {"frame_rate": float(rate)})
    dims = (
        "time",
        *(axis for axis, kept in zip(MIDDLE, (has_channel, has_plane), strict=True) if kept),
        "y",
        "x",
    )
    data = concatenate(arrays, has_channel=has_channel, has_plane=has_plane)
    return xr.DataArray(
        data, dims=dims, coords=coords, name=NAME, attrs={"long_name": NAME, "units": "count"} | attrs
    )


def _chosen(
    wanted: int | str | None, count: int, names: tuple[str, ...], axis: str
) -> tuple[list[int], bool]:
    """Return the indices to open along an axis and whether the axis stays."""
    if wanted is None:
        return list(range(count)), True
    if isinstance(wanted, str):
        if wanted not in names:
            raise ArgumentError(
                f"there is no {axis} {wanted!r}", f"there are {', '.join(names) or f'{count}, without names'}"
            )
        wanted = names.index(wanted)
    if not -count <= wanted < count:
        raise ArgumentError(f"{axis}={wanted} is not there", f"the recording has {count}")
    return [wanted % count], False


def _bounds(part: slice | None, size: int, axis: str) -> tuple[int, int]:
    if part is None:
        return 0, size
    if not isinstance(part, slice):
        raise ArgumentError(f"{axis}={part!r}, expected a slice such as slice(0, {size})")
    if not all(value is None or isinstance(value, int | np.integer) for value in (part.start, part.stop)):
        raise ArgumentError(f"{axis}={part!r}, expected whole numbers: indices, not seconds or micrometres")
    start, stop, step = part.indices(size)
    if step != 1:
        raise ArgumentError(
            f"{axis}={part!r} has step {step}, expected 1", f"use recording.isel({axis}=...) for steps"
        )
    if stop <= start:
        raise ArgumentError(f"{axis}={part!r} selects nothing of {size}")
    return start, stop


def _window(source: BlockSource, window: Mapping[str, tuple[int, int]]) -> BlockSource:
    starts = tuple(start for start, _ in window.values())
    shape = tuple(stop - start for start, stop in window.values())
    if shape == source.shape:
        return source
    return Window(source, start=(starts[0], starts[1], starts[2]), shape=(shape[0], shape[1], shape[2]))


def _coords(
    metadata: RecordingMetadata,
    shape: tuple[int, int, int],
    frame_rate: float | None,
    pixel_size: Pixel | None,
    window: Mapping[str, tuple[int, int]],
) -> dict[str, Any]:
    """Coordinates of the window: seconds and micrometres where they are known, otherwise counts."""
    scales = dict(zip(("time", "y", "x"), (_interval(frame_rate), *_pair(pixel_size)), strict=True))
    coords: dict[str, Any] = {}
    known = _interval(metadata.frame_rate), *_pair(metadata.pixel_size)
    for axis, size, default, real_unit in zip(
        ("time", "y", "x"), shape, known, ("s", "micrometer", "micrometer"), strict=True
    ):
        start, stop = window[axis]
        scale = scales[axis]
        if scale is None and axis in metadata.coordinates:
            values, unit = metadata.coordinates[axis]
        elif scale is None and axis == "time" and metadata.time is not None:
            values, unit = metadata.time, real_unit
        elif scale is None and default is None:
            values, unit = np.arange(size, dtype=np.float64), "1"
        else:
            values, unit = np.arange(size) * (scale if scale is not None else default), real_unit
        coords[axis] = (axis, values[start:stop], {"units": unit})
    return coords


def _interval(frame_rate: float | None) -> float | None:
    if frame_rate is None:
        return None
    if not np.isfinite(frame_rate) or frame_rate <= 0:
        raise ArgumentError(f"frame_rate={frame_rate}, expected frames per second above 0")
    return 1.0 / frame_rate


def _pair(pixel_size: Pixel | None) -> tuple[float | None, float | None]:
    if pixel_size is None:
        return None, None
    y, x = (pixel_size, pixel_size) if isinstance(pixel_size, int | float) else pixel_size
    if not (np.isfinite([y, x]).all() and min(y, x) > 0):
        raise ArgumentError(f"pixel_size={pixel_size}, expected micrometres above 0")
    return float(y), float(x)


def _relabel(recording: xr.DataArray, frame_rate: float | None, pixel_size: Pixel | None) -> xr.DataArray:
    """Give a DataArray in hand the coordinates that it lacks, or those asked for."""
    known = {
        axis: (
            np.asarray(recording[axis].values, dtype=np.float64),
            str(recording[axis].attrs.get("units", "1")),
        )
        for axis in ("time", "y", "x")
        if axis in recording.coords
    }
    if not {"time", "y", "x"} <= set(recording.dims):
        return recording
    shape = (recording.sizes["time"], recording.sizes["y"], recording.sizes["x"])
    window = {axis: (0, size) for axis, size in zip(("time", "y", "x"), shape, strict=True)}
    coords = _coords(RecordingMetadata(coordinates=known), shape, frame_rate, pixel_size, window)
    attrs = {**recording.attrs, **({} if frame_rate is None else {"frame_rate": float(frame_rate)})}
    return recording.assign_coords(coords).assign_attrs(attrs)


def _stored_coords(recording: xr.DataArray) -> dict[str, tuple[str, NDArray[Any], dict[str, str]]]:
    return {
        str(name): (str(name), np.asarray(coord.values), {str(k): str(v) for k, v in coord.attrs.items()})
        for name, coord in recording.coords.items()
        if coord.dims == (name,)
    }


def _stamp(path: str | Path | Sequence[str | Path]) -> str:
    """Tell apart two states of the same path."""
    first = path if isinstance(path, str | Path) else path[0]
    place = Path(str(first).split("::", maxsplit=1)[0])
    try:
        state = (place / "zarr.json").stat() if (place / "zarr.json").exists() else place.stat()
    except OSError as error:
        raise StoreError(f"cannot read {place}: {error.strerror}", "check the path") from error
    return f"{state.st_size}-{state.st_mtime_ns}"
