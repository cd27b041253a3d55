"""HDF5: one dataset of the file, named or found."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from roitrace.errors import ArgumentError, FormatError, MissingDependencyError
from roitrace.formats.damage import understanding
from roitrace.formats.identity import combine, file_identity
from roitrace.formats.recordings.axes import (
    LETTERS,
    AxisView,
    assemble,
    assumed_axes,
    assumption_note,
    checked_axes,
)
from roitrace.formats.recordings.choice import choose_array
from roitrace.formats.recordings.labels import axes_of_names, labelled_metadata, time_among
from roitrace.formats.recordings.strided import StridedSource
from roitrace.sources import BlockReader, BlockSource, check_sample_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.sources import RecordingFile

__all__ = ["Hdf5Source", "open_hdf5"]


@dataclass(frozen=True)
class Hdf5Source(BlockSource):
    """One channel and plane of a chunked HDF5 dataset, ``(time, y, x)``.

    The file is opened once per reader. HDF5 decodes one chunk at a time in a process, however many threads read.

    Parameters
    ----------
    path : str
        The file.
    dataset : str
        Name of the dataset in it.
    view : AxisView
        Which stored axis is which.
    shape, chunks : tuple of int
        ``(time, y, x)``.
    dtype : numpy.dtype
        Native byte order.
    """

    path: str
    dataset: str
    view: AxisView
    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    chunks: tuple[int, int, int]

    def identity(self) -> str:
        """Return a digest of the content."""
        return combine(file_identity(self.path), self.dataset, self.view)

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Open for reading."""
        with h5py.File(self.path, "r") as file:
            yield _Hdf5Reader(file[self.dataset], self)


class _Hdf5Reader:
    def __init__(self, dataset: Any, source: Hdf5Source) -> None:
        self.dataset = dataset
        self.source = source
        self.buffer = np.empty(0, source.dtype)

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        view = self.source.view
        shape = view.selection_shape(time, y, x)
        if self.buffer.shape != shape:
            self.buffer = np.empty(shape, self.source.dtype)
        with understanding(
            f"frames {time.start} to {time.stop} of {self.source.path}::{self.source.dataset} cannot be read"
        ):
            self.dataset.read_direct(self.buffer, view.selection(time, y, x))
        return view.arrange(self.buffer)


def open_hdf5(path: str, options: OpenOptions) -> RecordingFile:
    """Understand an HDF5 file: reads metadata only.

    The dataset is the named one, or the only one with three or more axes, or the one that is at least ten times larger than the
    others. Its axes are those of `options.axes`, or of its dimension labels or scales; three unnamed axes are time, y, x. The blocks
    have its own chunks; a dataset without chunks or filters is read through a memory map.

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
    with trouble, h5py.File(path, "r") as file:
        dataset = _named(file, options.dataset, path) if options.dataset else _found(file, path)
        what = f"{path}::{dataset.name}"
        _check_samples(dataset, what)
        axes, notes = _axes(dataset, options, what)
        metadata = labelled_metadata(
            dict(dataset.attrs), _coordinates(dataset), (*notes, *_unwritten(dataset, what))
        )

        def source(view: AxisView) -> BlockSource:
            return _source(path, dataset, view)

        return assemble("hdf5", what, dataset.shape, axes, make_source=source, metadata=metadata)


def _named(file: h5py.File, name: str, path: str) -> h5py.Dataset:
    found = file.get(name)
    if isinstance(found, h5py.Dataset):
        return found
    available = ", ".join(dataset.name for dataset in _datasets(file)) or "none"
    raise ArgumentError(f"{path} has no dataset {name!r}", f"its datasets are: {available}")


def _found(file: h5py.File, path: str) -> h5py.Dataset:
    if "nwb_version" in file.attrs:
        raise FormatError(
            f"{path} is an NWB file, whose series are stored as (time, x, y)",
            "name the series and its axes, for example dataset='/acquisition/TwoPhotonSeries/data', axes='txy'",
        )
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


def _check_samples(dataset: h5py.Dataset, what: str) -> None:
    if dataset.dtype.names or dataset.dtype.hasobject:
        raise FormatError(f"{what} holds {dataset.dtype} values, expected numbers", "name another dataset")
    check_sample_dtype(dataset.dtype, what)
    creation = dataset.id.get_create_plist()
    for number in range(creation.get_nfilters()):
        code, _, _, name = creation.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            raise MissingDependencyError(
                f"{what} is compressed with the filter {name.decode(errors='replace') or code}, which is not installed",
                "install it with: pip install hdf5plugin, and import hdf5plugin first",
            )


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
            coordinates[axis] = (scale[()], _text(scale.attrs["units"]))
    return coordinates


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _unwritten(dataset: h5py.Dataset, what: str) -> tuple[str, ...]:
    """Say how many chunks were never written: HDF5 reads them as the fill value."""
    if dataset.size and dataset.id.get_storage_size() == 0:
        raise FormatError(
            f"{what} declares the shape {dataset.shape}, but no sample was ever written",
            "check the acquisition",
        )
    if dataset.chunks is None:
        return ()
    expected = math.prod(-(-size // step) for size, step in zip(dataset.shape, dataset.chunks, strict=True))
    written = dataset.id.get_num_chunks()
    if written == expected:
        return ()
    return (
        f"{expected - written} of {expected} chunks of {what} were never written: they read as {dataset.fillvalue}",
    )


def _source(path: str, dataset: h5py.Dataset, view: AxisView) -> BlockSource:
    dtype = check_sample_dtype(dataset.dtype, path)
    start = dataset.id.get_offset()
    if dataset.chunks is None and start is not None and not dataset.external:
        strides = tuple(dtype.itemsize * math.prod(dataset.shape[axis + 1 :]) for axis in range(dataset.ndim))
        first = start + sum(strides[axis] * index for axis, index in view.fixed)
        return StridedSource(path, dataset.dtype.str, first, view.pick(strides), view.pick(dataset.shape))
    chunks = dataset.chunks or (1, *dataset.shape[1:])
    return Hdf5Source(path, dataset.name, view, view.pick(dataset.shape), dtype, view.pick(chunks))
