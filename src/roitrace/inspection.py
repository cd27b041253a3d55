"""What is known of a recording before a sample is read, and what a copy into a store would cost and gain."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roitrace.formats.recordings.strided import PAGE_BYTES, StridedSource
from roitrace.formats.registry import open_recording_file
from roitrace.recording import open_recording
from roitrace.store.layout import RecordingLayout
from roitrace.store.reader import ZarrSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from roitrace.sources import BlockSource, RecordingFile

__all__ = ["info"]

CELL = 16
"""Height and width of the cell that stands for all in estimates, pixels."""
WORTHWHILE = 4
"""How many times less a trace must read for a copy to be advised."""
SMALL = 256 * 2**20
"""A recording of fewer bytes is read in a moment, however it is stored."""
READER_OPTIONS = ("dataset", "axes", "continuous", "unfinished")


def info(path: str | Path | Sequence[str | Path], **options: Any) -> dict[str, Any]:
    """Say what is understood of a recording: format, axes, metadata, storage, and what converting it would cost and gain.

    Reads metadata only.

    Parameters
    ----------
    path : path or sequence of paths
        As for `open_recording`.
    **options
        As for `open_recording`.

    Returns
    -------
    dict
        Plain numbers, texts, lists and dicts. What the file does not say is None, and named in ``missing``. ``storage`` tells what is
        decoded together, and how much of it one trace of a cell of 16 x 16 pixels needs; ``conversion`` the same for a store with
        the default chunks, and how many bytes a conversion reads; a factor above 1 says how much less is read for a trace.

    Raises
    ------
    FormatError
        If the file cannot be understood.
    ArgumentError
        If it is not there.

    Examples
    --------
    >>> import numpy as np, roitrace as rt, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "movie.npy"
    >>> np.save(path, np.zeros((1000, 128, 128), dtype="uint16"))
    >>> facts = rt.info(path, frame_rate=10)
    >>> facts["format"], facts["frames"], facts["duration"], facts["missing"]
    ('npy', 1000, 100.0, ['pixel size', 'acquisition time'])
    >>> facts["storage"]["chunk"], facts["conversion"]["chunk"]
    ([1, 128, 128], [256, 64, 64])
    """
    reading = {name: options.pop(name) for name in READER_OPTIONS if name in options}
    file = open_recording_file(path, **reading)
    recording = open_recording(file, **options)
    facts = _described(file, recording)
    return {"path": str(path), "kind": "recording", **facts, **_costs(file, recording)}


def _described(file: RecordingFile, recording: xr.DataArray) -> dict[str, Any]:
    rate = recording.attrs.get("frame_rate")
    height, width = _spacing(recording, "y"), _spacing(recording, "x")
    interval = _spacing(recording, "time")
    sizes = [Path(one).stat().st_size for one in file.files if Path(one).is_file()]
    known = {
        "frame rate": rate if rate is not None else interval,
        "pixel size": height,
        "acquisition time": file.metadata.acquisition_time,
    }
    sessions = len(set(recording["session"].values.tolist())) if "session" in recording.coords else 1
    return {
        "format": file.format,
        "files": len(file.files),
        "file_bytes": sum(sizes) if len(sizes) == len(file.files) else None,
        "dims": list(map(str, recording.dims)),
        "shape": list(recording.shape),
        "dtype": str(recording.dtype),
        "bytes": recording.nbytes,
        "frames": recording.sizes["time"],
        "channels": recording["channel"].values.tolist()
        if "channel" in recording.coords
        else recording.sizes.get("channel", 1),
        "planes": recording.sizes.get("plane", 1),
        "sessions": sessions,
        "frame_rate": rate,
        "frame_interval": None if interval is None else f"{interval:.6g} s",
        "duration": None if interval is None else recording.sizes["time"] * interval,
        "pixel_height": None if height is None else f"{height:.6g} micrometer",
        "pixel_width": None if width is None else f"{width:.6g} micrometer",
        "acquisition_time": file.metadata.acquisition_time,
        "missing": [name for name, value in known.items() if value is None],
        "notes": list(file.metadata.notes),
    }


def _spacing(recording: xr.DataArray, axis: str) -> float | None:
    """Mean step of an axis in seconds or micrometres; None where it only counts."""
    coordinate = recording[axis]
    if coordinate.attrs.get("units", "1") == "1" or coordinate.size < 2:
        return None
    return float((coordinate[-1] - coordinate[0]) / (coordinate.size - 1))


def _costs(file: RecordingFile, recording: xr.DataArray) -> dict[str, Any]:
    """Count what one trace needs now and from a store, and what the copy reads."""
    source = file.sources[0][0]
    shape = (recording.sizes["time"], recording.sizes["y"], recording.sizes["x"])
    layout = RecordingLayout.of(tuple(map(str, recording.dims)), recording.shape, recording.dtype)
    after = (layout.chunks[0], layout.chunks[-2], layout.chunks[-1])
    now, then = (
        _trace_cost(source.chunks, shape, recording.dtype.itemsize),
        _trace_cost(after, shape, recording.dtype.itemsize),
    )
    if isinstance(source, StridedSource):
        now["bytes_per_trace"] = _mapped_bytes(source, shape[0])
    return {
        "storage": {"chunk": list(source.chunks), "decoded": not isinstance(source, StridedSource), **now},
        "conversion": {
            "bytes_to_read": recording.nbytes,
            "bytes_to_write": recording.nbytes,
            "chunk": list(after),
            **then,
            "fewer_bytes_per_trace": round(now["bytes_per_trace"] / then["bytes_per_trace"], 2),
            "advice": _advice(now["bytes_per_trace"] / then["bytes_per_trace"], recording.nbytes, source),
        },
    }


def _trace_cost(chunk: tuple[int, int, int], shape: tuple[int, int, int], itemsize: int) -> dict[str, int]:
    """Chunks, and bytes of them, that a cell needs which lies as favourably as cells do on average."""
    tiles = math.prod(
        min(-(-size // step), -(-min(CELL, size) // step))
        for step, size in zip(chunk[1:], shape[1:], strict=True)
    )
    chunks = -(-shape[0] // chunk[0]) * tiles
    return {
        "chunks_per_trace": chunks,
        "bytes_per_trace": chunks * math.prod(map(min, chunk, shape)) * itemsize,
    }


def _mapped_bytes(source: StridedSource, frames: int) -> int:
    """Bytes of the pages that a cell touches in a memory map: the operating system reads no less."""
    frame, row, column = source.strides
    rows, columns = (min(CELL, size) for size in source.shape[1:])
    if frame < min(row, column):  # the frames of a pixel lie side by side
        return rows * columns * max(PAGE_BYTES, frames * frame)
    return frames * min(frame, rows * PAGE_BYTES, rows * row + PAGE_BYTES)


def _advice(factor: float, n_bytes: int, source: BlockSource) -> str:
    if isinstance(source, ZarrSource) and factor < WORTHWHILE:
        return "not needed: chunked already"
    if n_bytes < SMALL:
        return "not needed: the recording is small"
    if factor < WORTHWHILE:
        return "not needed: a trace reads about as much either way"
    return f"worth it for single cells and repeated work: a trace reads {factor:.0f} times less; one pass over all cells reads the same"
