"""Neurodata Without Borders: a `TwoPhotonSeries` or `OnePhotonSeries` of an HDF5 file, read with h5py itself.

The places of things are those of the NWB schema 2.x: a series has `data` (time, x, y, [z]), `starting_time` with its rate or
`timestamps`, and a link to the imaging plane that it was recorded from.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.recordings.axes import AxisView, assemble, checked_axes
from roitrace.formats.recordings.claims import check_frames
from roitrace.formats.recordings.hdf5_source import check_samples, dataset_source, unwritten_chunks
from roitrace.formats.recordings.units import LENGTHS
from roitrace.sources import RecordingMetadata

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.sources import BlockSource, RecordingFile

__all__ = ["asks_for_series", "open_nwb"]

SERIES = ("TwoPhotonSeries", "OnePhotonSeries")
IMAGES = (*SERIES, "ImageSeries")  # motion correction stores its movie as the last
ORDER = "axes taken as time, x, y, as NWB says; if the images lie on their side, the file was written as time, y, x: give axes='tyx'"


def asks_for_series(file: h5py.File, wanted: str | None) -> bool:
    """Whether a file is NWB, and no dataset outside its series is named."""
    if "nwb_version" not in file.attrs:
        return False
    return not wanted or _named(file, wanted) is not None or not isinstance(file.get(wanted), h5py.Dataset)


def open_nwb(file: h5py.File, path: str, options: OpenOptions) -> RecordingFile:
    """Understand the named series of an open NWB file, or its only one: reads metadata only.

    Raises
    ------
    ArgumentError
        If there are several series, or none of the name.
    FormatError
        If the samples lie in external files, were never written, or have no frames.
    """
    series = _chosen(file, path, options.dataset)
    what = f"{path}::{series.name}"
    external = series.get("external_file")
    if isinstance(external, h5py.Dataset) and external.size:
        names = ", ".join(_text(name) for name in np.ravel(external[:3]))
        raise FormatError(
            f"{what} keeps its samples in other files: {names}{' ...' if external.size > 3 else ''}",
            "open those files instead; they make one recording as a list",
        )
    data = series.get("data")
    if not isinstance(data, h5py.Dataset) or data.ndim not in (3, 4):
        shape = data.shape if isinstance(data, h5py.Dataset) else None
        raise FormatError(
            f"{what} has data of shape {shape}, expected (time, x, y) or (time, x, y, z)",
            "name another series",
        )
    check_samples(data, what, file)
    axes, notes = (
        ("txyz"[: data.ndim], (ORDER,))
        if not options.axes
        else (checked_axes(options.axes, data.ndim, what), ())
    )
    check_frames(data.shape[axes.index("t")], what, data.id.get_storage_size)
    metadata = _metadata(file, series, data.shape, axes, (*notes, *unwritten_chunks(data, what)))

    def source(view: AxisView) -> BlockSource:
        return dataset_source(path, data, view)

    return assemble("nwb", what, data.shape, axes, make_source=source, metadata=metadata)


def _chosen(file: h5py.File, path: str, wanted: str | None) -> h5py.Group:
    if wanted:
        series = _named(file, wanted)
        if series is None:
            raise ArgumentError(
                f"{path} has no series {wanted!r}", f"its series are: {_listing(_series(file, IMAGES))}"
            )
        return series
    found = _series(file, SERIES)
    if not found:
        others = _series(file, IMAGES)
        step = f"name one with dataset=: {_listing(others)}" if others else "check what the file holds"
        raise FormatError(f"{path} holds no TwoPhotonSeries or OnePhotonSeries", step)
    if len(found) > 1:
        raise ArgumentError(f"{path} holds several recordings: {_listing(found)}", "name one with dataset=")
    return found[0]


def _named(file: h5py.File, name: str) -> h5py.Group | None:
    """Find the series of a name or path, or the one whose `data` is named."""
    wanted = name.strip("/").removesuffix("/data")
    found = [series for series in _series(file, IMAGES) if wanted in {series.name.strip("/"), _short(series)}]
    return found[0] if len(found) == 1 else None


def _series(file: h5py.File, kinds: tuple[str, ...]) -> list[h5py.Group]:
    found: list[h5py.Group] = []

    def look(_: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and _text(item.attrs.get("neurodata_type", "")) in kinds:
            found.append(item)

    file.visititems(look)
    return found


def _listing(series: list[h5py.Group]) -> str:
    shapes = (getattr(one.get("data"), "shape", None) for one in series)
    return ", ".join(f"{_short(one)} {shape}" for one, shape in zip(series, shapes, strict=True)) or "none"


def _short(series: h5py.Group) -> str:
    return str(series.name).rpartition("/")[2]


def _metadata(
    file: h5py.File, series: h5py.Group, shape: tuple[int, ...], axes: str, notes: tuple[str, ...]
) -> RecordingMetadata:
    plane = series.get("imaging_plane")
    plane = plane if isinstance(plane, h5py.Group) else None
    time, rate, said = _times(series, plane, shape[axes.index("t")])
    start = file.get("session_start_time")
    return RecordingMetadata(
        frame_rate=rate,
        time=time,
        pixel_size=_pixel_size(series, plane, {axis: shape[axes.index(axis)] for axis in "xy"}),
        acquisition_time=_text(start[()]) if isinstance(start, h5py.Dataset) and start.shape == () else None,
        notes=(*notes, *said),
        attributes=_described(plane),
    )


def _times(
    series: h5py.Group, plane: h5py.Group | None, n_frames: int
) -> tuple[NDArray[np.float64] | None, float | None, tuple[str, ...]]:
    """Time of each frame where the series has time stamps, its rate otherwise; failing both the rate of the imaging plane."""
    stamps = series.get("timestamps")
    if isinstance(stamps, h5py.Dataset):
        if stamps.shape == (n_frames,) and stamps.dtype.kind == "f":
            time = np.asarray(stamps[()], np.float64)
            if np.isfinite(time).all() and (np.diff(time) > 0).all():
                return time, 1 / float(np.median(np.diff(time))) if n_frames > 1 else None, ()
        return (
            None,
            None,
            ("the time stamps of the series do not fit its frames or do not increase, and are left out",),
        )
    start = series.get("starting_time")
    rate = _number(start.attrs.get("rate")) if isinstance(start, h5py.Dataset) else None
    if rate is not None:
        first = float(start[()]) if start.shape == () else 0.0
        return (first + np.arange(n_frames) / rate if first else None), rate, ()
    return None, _number(_value(plane, "imaging_rate")), ()


def _pixel_size(
    series: h5py.Group, plane: h5py.Group | None, sizes: dict[str, int]
) -> tuple[float, float] | None:
    """Micrometres ``(y, x)``: the grid spacing of the imaging plane, else the field of view of the series; both x first."""
    spacing = None if plane is None else plane.get("grid_spacing")
    if isinstance(spacing, h5py.Dataset) and spacing.ndim == 1 and spacing.size >= 2:
        unit = LENGTHS.get(_text(spacing.attrs.get("unit", "meters")).lower().removesuffix("s"))
        x, y = (float(value) * (unit or math.nan) for value in spacing[:2])
        return (y, x) if math.isfinite(x * y) and min(x, y) > 0 else None
    view = series.get("field_of_view")
    if isinstance(view, h5py.Dataset) and view.ndim == 1 and view.size >= 2:
        x, y = (float(value) * LENGTHS["m"] / sizes[axis] for axis, value in zip("xy", view[:2], strict=True))
        return (y, x) if math.isfinite(x * y) and min(x, y) > 0 else None
    return None


def _described(plane: h5py.Group | None) -> dict[str, str | int | float]:
    """Gather what the imaging plane says in words."""
    found = {name: _value(plane, name) for name in ("indicator", "location")}
    return {name: _text(value) for name, value in found.items() if isinstance(value, bytes | str)}


def _value(group: h5py.Group | None, name: str) -> Any:
    dataset = None if group is None else group.get(name)
    return dataset[()] if isinstance(dataset, h5py.Dataset) and dataset.shape == () else None


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float | np.number) and math.isfinite(value) and value > 0
    return float(value) if known else None


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
