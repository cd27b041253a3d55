"""What a recording is: a labelled lazy array; how to open one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import xarray as xr

from roitrace.engine.blocks import BLOCK_BYTES, as_dask, concatenate, source_of
from roitrace.errors import ArgumentError, FormatError
from roitrace.sources import BlockSource, RecordingFile, RecordingMetadata, Window, check_sample_dtype
from roitrace.store.places import ObjectPath
from roitrace.urls import is_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from roitrace.store.places import Location

Pixel = float | tuple[float, float]

__all__ = [
    "MIDDLE",
    "Pixel",
    "as_recording",
    "blocks_of",
    "check_recording",
    "frame_rate_of",
    "label",
    "open_recording",
    "stored_coords",
    "time_labels",
]

NAME = "fluorescence"
MIDDLE = ("channel", "plane")
OFFSET = {"long_name": "how much later than the frame the plane was scanned", "units": "s"}
AUXILIARY = {("session", "time"), ("time_offset", "plane")}
SESSION = {"long_name": "number of the part that was recorded on its own", "units": "1"}


def open_recording(
    path: str | Location | Sequence[str | Path] | RecordingFile,
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
    path : path, sequence of paths or RecordingFile
        A file, a zarr store, a folder of an instrument, the files of a numbered series, or what a format's reader gave.
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
        Passed to the format's reader: ``dataset`` (which array), ``axes`` (one letter per stored axis), ``continuous=True``
        (several files were recorded in one go: no sessions).

    Returns
    -------
    DataArray
        ``fluorescence``, lazy, in the file's own dtype; ``time`` in s and ``y``, ``x`` in micrometres where they are known,
        otherwise counting frames and pixels (units ``1``). Where several files or sessions make one recording, the coordinate
        ``session (time)`` numbers them, and no filter or baseline crosses their borders; ``time_offset (plane)`` says how much
        later each plane was scanned, s, where it is known. The attributes ``frame_rate`` and ``acquisition_time`` are there where
        the file has them; ``notes`` says what it left open and how it was taken.

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
    file = path if isinstance(path, RecordingFile) else read_metadata(path, options)
    recording = label(
        file, frame_rate, pixel_size, _stamp(file.files), {"time": time, "y": y, "x": x}, channel, plane
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
        extra = [str(dim) for dim in recording.dims if dim in MIDDLE and dim not in dims]
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


def frame_rate_of(recording: xr.DataArray) -> float | None:
    """Return the frame rate of a recording, Hz; None if it is not known.

    Every second frame of a recording keeps its attributes: where the times disagree with them, the times are right.
    """
    stated = recording.attrs.get("frame_rate")
    time = recording.coords.get("time")
    if time is not None and time.size > 1 and time.attrs.get("units") == "s":
        rate = 1 / float(np.median(np.diff(time.values)))
        if stated is None or not np.isclose(rate, stated, rtol=1e-3):
            return rate
    return None if stated is None else float(stated)


def time_labels(recording: xr.DataArray) -> dict[str, xr.Variable]:
    """Return the coordinates along time that results keep: ``time``, ``session`` where several parts were recorded, and what was done to frames."""
    return {
        name: recording[name].variable
        for name in ("time", "session", "dy", "dx", "bad_frame", "interpolated")
        if name in recording.coords and recording[name].dims == ("time",)
    }


def blocks_of(recording: xr.DataArray) -> Any:
    """Return a recording as a dask array in native byte order; one that is not chunked yet is cut along time without loading it."""
    data = recording.data if recording.chunks is not None else _cut_along_time(recording)
    return data if data.dtype.isnative else data.astype(data.dtype.newbyteorder("="))


def _cut_along_time(recording: xr.DataArray) -> Any:
    preferred = recording.encoding.get("preferred_chunks", {})
    frame_bytes = recording.dtype.itemsize * recording[:1].size
    frames = int(preferred.get("time", max(1, BLOCK_BYTES // frame_bytes)))
    others = {dim: -1 for dim in recording.dims if dim != "time"}
    return recording.chunk({"time": frames, **others}, token=uuid4().hex).data


def read_metadata(path: str | Location | Sequence[str | Path], options: Mapping[str, Any]) -> RecordingFile:
    """Let the format's reader understand a file."""
    from roitrace.formats.registry import open_recording_file  # noqa: PLC0415 - the formats' libraries load slowly

    return open_recording_file(str(path) if isinstance(path, ObjectPath) else path, **options)


def as_recording(
    source: Any, frame_rate: float | None, pixel_size: Pixel | None, options: Mapping[str, Any]
) -> tuple[RecordingFile | None, xr.DataArray]:
    """Return the block sources where there are any, and the labelled array."""
    if isinstance(source, xr.DataArray):
        check_recording(source, dims=("time", *(dim for dim in MIDDLE if dim in source.dims), "y", "x"))
        recording = source.copy(data=blocks_of(source))
        known = source_of(recording.data)
        file = None if known is None else RecordingFile("recording", ((known,),))
        return file, _relabel(recording, frame_rate, pixel_size)
    file = source if isinstance(source, RecordingFile) else read_metadata(source, options)
    return file, label(file, frame_rate, pixel_size, "", {}, None, None)


def label(
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
    offsets = file.metadata.plane_offsets
    if has_plane and len(offsets) == len(file.sources[0]):
        coords["time_offset"] = ("plane", np.asarray(offsets), OFFSET)
    rate = frame_rate or file.metadata.frame_rate
    attrs = dict(file.metadata.attributes) | ({} if rate is None else {"frame_rate": float(rate)})
    if file.metadata.acquisition_time:
        attrs["acquisition_time"] = file.metadata.acquisition_time
    if file.metadata.notes:
        attrs["notes"] = "; ".join(file.metadata.notes)
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
    rate = _positive(frame_rate, "frame_rate", "frames per second")
    pair = _pair(pixel_size)
    own = _pair(metadata.pixel_size)
    n_frames, height, width = shape
    labels = {
        "time": _axis(metadata, "time", n_frames, None if rate is None else np.arange(n_frames) / rate),
        "y": _axis(metadata, "y", height, _spaced(height, pair[0]), _spaced(height, own[0])),
        "x": _axis(metadata, "x", width, _spaced(width, pair[1]), _spaced(width, own[1])),
    }
    coords: dict[str, Any] = {
        axis: (axis, values[slice(*window[axis])], {"units": units})
        for axis, (values, units) in labels.items()
    }
    if metadata.sessions:
        numbers = np.repeat(np.arange(len(metadata.sessions)), metadata.sessions)
        coords["session"] = ("time", numbers[slice(*window["time"])], SESSION)
    return coords


def _axis(
    metadata: RecordingMetadata,
    axis: str,
    size: int,
    asked: NDArray[np.float64] | None,
    known: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], str]:
    """Values and units of an axis: as asked, else as the file stores them, else as it says, else counts."""
    units = "s" if axis == "time" else "micrometer"
    if asked is not None:
        return asked, units
    if axis in metadata.coordinates:
        return metadata.coordinates[axis]
    if axis == "time" and metadata.time is not None:
        return metadata.time, units
    if axis == "time" and metadata.frame_rate is not None:
        return np.arange(size) / metadata.frame_rate, units
    if known is not None:
        return known, units
    return np.arange(size, dtype=np.float64), "1"


def _spaced(size: int, step: float | None) -> NDArray[np.float64] | None:
    return None if step is None else np.arange(size, dtype=np.float64) * step


def _positive(value: float | None, name: str, unit: str) -> float | None:
    if value is not None and not (np.isfinite(value) and value > 0):
        raise ArgumentError(f"{name}={value}, expected {unit} above 0")
    return value


def _pair(pixel_size: Pixel | None) -> tuple[float | None, float | None]:
    if pixel_size is None:
        return None, None
    y, x = (pixel_size, pixel_size) if isinstance(pixel_size, int | float) else pixel_size
    if not (np.isfinite([y, x]).all() and min(y, x) > 0):
        raise ArgumentError(f"pixel_size={pixel_size}, expected micrometres above 0")
    return float(y), float(x)


def _relabel(recording: xr.DataArray, frame_rate: float | None, pixel_size: Pixel | None) -> xr.DataArray:
    """Give a DataArray in hand the coordinates that it lacks, or those asked for."""
    known = {axis: _numbers(recording[axis]) for axis in ("time", "y", "x") if axis in recording.coords}
    shape = (recording.sizes["time"], recording.sizes["y"], recording.sizes["x"])
    window = {axis: (0, size) for axis, size in zip(("time", "y", "x"), shape, strict=True)}
    coords = _coords(RecordingMetadata(coordinates=known), shape, frame_rate, pixel_size, window)
    relabelled = recording.assign_coords(coords)
    rate = frame_rate or frame_rate_of(relabelled)
    return relabelled if rate is None else relabelled.assign_attrs(frame_rate=float(rate))


def _numbers(coordinate: xr.DataArray) -> tuple[NDArray[np.float64], str]:
    """Return the values and units of a coordinate; durations become seconds."""
    if coordinate.dtype.kind == "m":
        return np.asarray(coordinate.values / np.timedelta64(1, "s"), dtype=np.float64), "s"
    if coordinate.dtype.kind not in "uif":
        raise ArgumentError(
            f"the coordinate {coordinate.name} holds {coordinate.dtype} values, expected numbers",
            f"assign seconds or micrometres first, with .assign_coords({coordinate.name}=...)",
        )
    return np.asarray(coordinate.values, dtype=np.float64), str(coordinate.attrs.get("units", "1"))


def stored_coords(recording: xr.DataArray) -> dict[str, tuple[str, NDArray[Any], dict[str, str]]]:
    """Return what a store keeps of the coordinates: dimension, values and attributes by name."""
    return {
        str(name): (
            str(coord.dims[0]),
            np.asarray(coord.values),
            {str(k): str(v) for k, v in coord.attrs.items()},
        )
        for name, coord in recording.coords.items()
        if coord.dims == (name,) or (len(coord.dims) == 1 and (name, coord.dims[0]) in AUXILIARY)
    }


def _stamp(files: Sequence[str]) -> str:
    """Tell apart two states of the same files."""
    states: list[tuple[int, int | str]] = []
    for file in files:
        if is_url(file):
            from roitrace.formats.recordings.at_url import state_of_url  # noqa: PLC0415 - loads slowly

            states.append(state_of_url(file))
            continue
        metadata = Path(file, "zarr.json")
        state = (metadata if metadata.exists() else Path(file)).stat()
        states.append((state.st_size, state.st_mtime_ns))
    return repr(states)
