"""HDF5: one dataset of the file, named or found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py

from roitrace.errors import ArgumentError
from roitrace.formats.bounded import read_bounded
from roitrace.formats.damage import understanding
from roitrace.formats.hdf5_file import open_hdf5_file
from roitrace.formats.recordings.axes import (
    LETTERS,
    AxisView,
    assemble,
    assumed_axes,
    assumption_note,
    checked_axes,
)
from roitrace.formats.recordings.choice import choose_array
from roitrace.formats.recordings.claims import check_frames
from roitrace.formats.recordings.hdf5_source import check_samples, dataset_source, unwritten_chunks
from roitrace.formats.recordings.labels import axes_of_names, labelled_metadata, time_among
from roitrace.formats.recordings.nwb import asks_for_series, open_nwb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.sources import BlockSource, RecordingFile

__all__ = ["open_hdf5"]


def open_hdf5(path: str, options: OpenOptions) -> RecordingFile:
    """Understand an HDF5 file: reads metadata only.

    The dataset is the named one, or the only one with three or more axes, or the one that is at least ten times larger than the
    others; in an NWB file that of a series, see `open_nwb`. Its axes are those of `options.axes`, or of its dimension labels or
    scales; three unnamed axes are time, y, x. The blocks have its own chunks; a dataset without chunks or filters is read through
    a memory map.

    Raises
    ------
    ArgumentError
        If the named dataset is not there, or several might be meant.
    FormatError
        If the file is damaged, its samples are unsupported or its axes unknown.
    MissingDependencyError
        If a filter of the dataset is not installed.
    """
    trouble = understanding(f"{path} cannot be read as HDF5", "it may be cut short, or still open elsewhere")
    with trouble, open_hdf5_file(path) as file:
        if asks_for_series(file, options.dataset):
            return open_nwb(file, path, options)
        dataset = _named(file, options.dataset, path) if options.dataset else _found(file, path)
        what = f"{path}::{dataset.name}"
        check_samples(dataset, what, file)
        axes, notes = _axes(dataset, options, what)
        check_frames(dataset.shape[axes.index("t")], what, dataset.id.get_storage_size)
        metadata = labelled_metadata(
            dict(dataset.attrs), _coordinates(dataset), (*notes, *unwritten_chunks(dataset, what))
        )

        def source(view: AxisView) -> BlockSource:
            return dataset_source(path, dataset, view)

        return assemble("hdf5", what, dataset.shape, axes, make_source=source, metadata=metadata)


def _named(file: h5py.File, name: str, path: str) -> h5py.Dataset:
    found = file.get(name)
    if isinstance(found, h5py.Dataset):
        return found
    available = ", ".join(dataset.name for dataset in _datasets(file)) or "none"
    raise ArgumentError(f"{path} has no dataset {name!r}", f"its datasets are: {available}")


def _found(file: h5py.File, path: str) -> h5py.Dataset:
    shapes = {dataset.name: dataset.shape for dataset in _datasets(file)}
    return file[choose_array(shapes, path)]


def _datasets(file: h5py.File) -> list[h5py.Dataset]:
    found: list[h5py.Dataset] = []
    file.visititems(
        lambda _, item: (
            found.append(item) if isinstance(item, h5py.Dataset) and item.shape is not None else None
        )
    )
    return found


def _axes(dataset: h5py.Dataset, options: OpenOptions, what: str) -> tuple[str, tuple[str, ...]]:
    if options.axes:
        return checked_axes(options.axes, dataset.ndim, what), ()
    named = axes_of_names([name for name, _ in map(_dimension, dataset.dims)])
    if named is not None:
        return time_among(named, dataset.shape, what)
    return assumed_axes(dataset.shape, what), (assumption_note(dataset.shape),)


def _dimension(dimension: h5py._hl.dims.DimensionProxy) -> tuple[str | None, h5py.Dataset | None]:
    """Name and scale of a stored axis, where it has them."""
    if len(dimension):
        scale = dimension[0]
        return dimension.label or scale.name.rpartition("/")[2], scale
    return dimension.label or None, None


def _coordinates(dataset: h5py.Dataset) -> dict[str, tuple[NDArray[Any], str]]:
    coordinates = {}
    for name, scale in map(_dimension, dataset.dims):
        axis = LETTERS.get(axes_of_names([name]) or "", "")
        if scale is not None and axis in {"time", "y", "x"} and "units" in scale.attrs:
            coordinates[axis] = (read_bounded(scale, scale.name), _text(scale.attrs["units"]))
    return coordinates


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
