"""Leave bad frames and bad pixels of a recording out, lazily: skipped, NaN, or interpolated in the traces."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.corrected.missing import Missing
from roitrace.corrected.selected import Selected
from roitrace.corrected.shifted import Shifted
from roitrace.engine.blocks import corrected, source_of
from roitrace.engine.fill import interpolate_columns
from roitrace.errors import ArgumentError, LazyInputError
from roitrace.formats.shifts.bad_frames import read_bad_frames
from roitrace.recording import blocks_of, check_recording
from roitrace.shifts import of_part, whole_file
from roitrace.sources import BlockSource, Window
from roitrace.traces import time_axis

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["POLICIES", "exclude", "interpolate_excluded"]

POLICIES = ("nan", "skip", "interpolate")


def exclude(
    recording: xr.DataArray,
    *,
    frames: xr.Dataset | xr.DataArray | ArrayLike | str | Path | None = None,
    pixels: xr.DataArray | ArrayLike | None = None,
    policy: str = "nan",
) -> xr.DataArray:
    """Take bad frames and bad pixels out of a recording, lazily, while it is read.

    Bad pixels are NaN in every frame; `extract` passes over them and counts what is left of each ROI (``n_valid``). What is not bad stays exact:
    with NaN in it, samples are float32 where that holds them exactly, else float64; skipped frames leave the dtype as it is.

    Parameters
    ----------
    recording : DataArray
        Dims ``(time, y, x)``; see `open_recording`.
    frames : Dataset, DataArray, array_like or path, optional
        Bad ones: the result of `find_bad_frames` or `read_shifts`, a bool for each frame (of the recording, or of the file that it is a part of),
        numbers of frames of the recording, or a file: suite2p's ``ops.npy``, npy, CSV with the column ``frame``.
    pixels : DataArray or array_like, optional
        Bad ones: a bool image ``(y, x)``, such as `find_bad_pixels` gives. They belong to the detector: exclude them before `shift`.
    policy : {"nan", "skip", "interpolate"}
        What becomes of bad frames. ``"nan"``: all their samples are NaN, and so are the traces there. ``"skip"``: they are gone; the others keep their
        times, so that a new segment begins behind each gap. ``"interpolate"``: NaN for images; `extract` interpolates the traces linearly in time between
        the good frames around them, within a segment, and ``n_valid`` stays 0 there.

    Returns
    -------
    DataArray
        Lazy; the same samples where nothing is bad. With the coordinate ``bad_frame (time)``, or ``interpolated (time)``, bool, which traces keep; or, skipped, with the attribute
        ``skipped_frames``, their number.

    Raises
    ------
    ArgumentError
        If frames or pixels do not fit the recording, all frames are bad, or the policy is another one.
    LazyInputError
        If the frames or pixels are not computed.
    FormatError
        If a file holds no bad frames.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> movie = xr.DataArray(np.arange(8).reshape(4, 1, 2), dims=("time", "y", "x")).astype("uint16")
    >>> skipped = exclude(movie, frames=[1], policy="skip")
    >>> skipped.values[:, 0, 0].tolist(), skipped["time"].values.tolist(), skipped.dtype
    ([0, 4, 6], [0, 2, 3], dtype('uint16'))
    """
    check_recording(recording)
    if policy not in POLICIES:
        raise ArgumentError(f"policy={policy!r}, expected one of {', '.join(POLICIES)}")
    blocks = blocks_of(recording)
    bad = _bad_frames(frames, recording, source_of(blocks))
    blank = _bad_pixels(pixels, recording)
    if bad.all():
        raise ArgumentError(
            f"all {bad.size} frames are bad",
            "check the frames that were given, or the limits that found them",
        )
    result = recording
    if blank.any() or (bad.any() and policy != "skip"):
        none = np.zeros_like(bad)
        missing = partial(_blanked, frames=none if policy == "skip" else bad, pixels=blank)
        result = result.copy(data=corrected(blocks, missing))
    if frames is None:
        return result
    if policy == "skip":
        return _skipped(result, bad)
    name = "interpolated" if policy == "interpolate" else "bad_frame"
    meaning = "frame whose traces are interpolated" if policy == "interpolate" else "frame that is no good"
    return result.assign_coords({name: ("time", bad, {"long_name": meaning})})


def interpolate_excluded(traces: xr.Dataset, names: Iterable[str]) -> xr.Dataset:
    """Fill the frames of traces ``(..., time)`` that are marked ``interpolated``, lazily; those without a good frame on both sides of
    their segment stay NaN.
    """  # noqa: D205
    marked = np.asarray(traces["interpolated"].values, dtype=np.bool_)
    count = marked.size
    if not marked.any():
        return traces
    axis = next(traces[name] for name in names)
    numbers = np.arange(count)
    before = np.maximum.accumulate(np.where(marked, -1, numbers))
    after = np.minimum.accumulate(np.where(marked, count, numbers)[::-1])[::-1]
    segment = np.searchsorted(time_axis(axis).borders, numbers, side="right")
    columns = np.flatnonzero(marked & (before >= 0) & (after < count))
    columns = columns[segment[before[columns]] == segment[after[columns]]]
    times = (
        traces["time"].values.astype(np.float64) if "time" in traces.coords else numbers.astype(np.float64)
    )
    low, high = before[columns], after[columns]
    share = (times[columns] - times[low]) / (times[high] - times[low])
    filled = {
        name: traces[name].copy(data=interpolate_columns(traces[name].data, columns, low, high, share))
        for name in names
    }
    return traces.assign(filled)


def _bad_frames(frames: Any, recording: xr.DataArray, source: BlockSource | None) -> NDArray[np.bool_]:
    """Return a bool for each frame of the recording."""
    count = recording.sizes["time"]
    bad = np.zeros(count, dtype=np.bool_)
    if frames is None:
        return bad
    if isinstance(frames, str | Path):
        frames = read_bad_frames(frames)
    if isinstance(frames, xr.Dataset):
        if "bad_frame" not in frames:
            raise ArgumentError(
                f"the frames hold {', '.join(map(str, frames)) or 'nothing'}, and no bad_frame",
                "give what roitrace.find_bad_frames returns, or read_shifts of suite2p's ops.npy",
            )
        frames = frames["bad_frame"]
    values = _in_memory(frames, "frames")
    if values.size == 0:
        return bad
    if values.ndim != 1 or values.dtype.kind not in "biu":
        raise ArgumentError(
            f"frames holds {values.dtype} of shape {values.shape}, expected a bool for each frame, or numbers of frames"
        )
    if values.dtype.kind == "b":
        return np.asarray(of_part(values, source, count, "bools for frames"))
    outside = values[(values < 0) | (values >= count)]
    if outside.size:
        raise ArgumentError(
            f"frame {outside[0]} is not there: the recording has {count}, counted from 0",
            "give numbers of frames of the recording as it was opened",
        )
    bad[values] = True
    return bad


def _bad_pixels(pixels: Any, recording: xr.DataArray) -> NDArray[np.bool_]:
    shape = recording.sizes["y"], recording.sizes["x"]
    if pixels is None:
        return np.zeros(shape, dtype=np.bool_)
    values = _in_memory(pixels, "pixels")
    if values.shape != shape or values.dtype.kind != "b":
        raise ArgumentError(
            f"pixels holds {values.dtype} of shape {values.shape}, expected bool of shape {shape}: one for each pixel",
            "give what roitrace.find_bad_pixels returns for an image of this recording",
        )
    return np.asarray(values)


def _in_memory(values: Any, what: str) -> NDArray[Any]:
    if isinstance(values, xr.DataArray) and values.chunks is not None:
        raise LazyInputError(f"{what} is lazy", f"compute it first: {what}={what}.compute()")
    return np.asarray(values)


def _skipped(recording: xr.DataArray, bad: NDArray[np.bool_]) -> xr.DataArray:
    """Leave frames out, and keep the times of the others."""
    kept = np.flatnonzero(~bad)
    data = corrected(blocks_of(recording), partial(_selected, frames=kept))
    if "time" not in recording.coords:
        recording = recording.assign_coords(time=("time", np.arange(bad.size), {"units": "1"}))
    coords = {
        name: coord.isel(time=kept) if "time" in coord.dims else coord
        for name, coord in recording.coords.items()
    }
    attrs = recording.attrs | {"skipped_frames": int(bad.sum())}
    return xr.DataArray(data, dims=recording.dims, coords=coords, name=recording.name, attrs=attrs)


def _blanked(source: BlockSource, *, frames: NDArray[np.bool_], pixels: NDArray[np.bool_]) -> BlockSource:
    """Blank frames and pixels of a source; of a part, within the whole that it is a part of."""
    whole, start = whole_file(source)
    parts = tuple(slice(first, first + size) for first, size in zip(start, source.shape, strict=True))
    all_frames, all_pixels = np.zeros(whole.shape[0], np.bool_), np.zeros(whole.shape[1:], np.bool_)
    all_frames[parts[0]], all_pixels[parts[1:]] = frames, pixels
    missing = Missing(whole, all_frames, all_pixels)
    return missing if whole is source else Window(missing, start, source.shape)


def _selected(source: BlockSource, *, frames: NDArray[np.int64]) -> BlockSource:
    """Choose frames as deep inside as can be: what moves frames keeps pieces of those that are read together."""
    if isinstance(source, Window):
        inside = _selected(source.source, frames=frames + source.start[0])
        return Window(inside, (0, *source.start[1:]), (frames.size, *source.shape[1:]))
    if isinstance(source, Shifted):
        return Shifted(_selected(source.source, frames=frames), source.dy[frames], source.dx[frames])
    if isinstance(source, Missing):
        return Missing(_selected(source.source, frames=frames), source.frames[frames], source.pixels)
    if isinstance(source, Selected):
        return _selected(source.source, frames=source.frames[frames])
    return Selected(source, frames)
