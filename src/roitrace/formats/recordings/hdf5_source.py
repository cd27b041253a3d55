"""A dataset of an HDF5 file as a block source: memory-mapped where it is plain, decoded by h5py in its own chunks otherwise."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from roitrace.errors import FormatError, MissingDependencyError
from roitrace.formats.damage import understanding
from roitrace.formats.hdf5_file import check_own_samples
from roitrace.formats.identity import combine, file_identity
from roitrace.formats.recordings.strided import StridedSource
from roitrace.sources import BlockReader, BlockSource, check_sample_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from roitrace.formats.recordings.axes import AxisView

__all__ = ["Hdf5Source", "check_samples", "dataset_source", "unwritten_chunks"]


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


def check_samples(dataset: h5py.Dataset, what: str, file: h5py.File) -> None:
    """Refuse a dataset whose samples are no numbers, lie in another file, or are compressed with a filter that is not there.

    Raises
    ------
    FormatError
        If its values are no numbers, of an unsupported kind, or in another file than `file`.
    MissingDependencyError
        If a filter is not installed.
    """
    if dataset.dtype.names or dataset.dtype.hasobject:
        raise FormatError(f"{what} holds {dataset.dtype} values, expected numbers", "name another dataset")
    check_sample_dtype(dataset.dtype, what)
    if dataset.file.filename != file.filename:
        raise FormatError(
            f"{what} is a link to another file, {dataset.file.filename}", "open that file instead"
        )
    check_own_samples(dataset, what)
    creation = dataset.id.get_create_plist()
    for number in range(creation.get_nfilters()):
        code, _, _, name = creation.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            raise MissingDependencyError(
                f"{what} is compressed with the filter {name.decode(errors='replace') or code}, which is not installed",
                "install it with: pip install hdf5plugin, and import hdf5plugin first",
            )


def unwritten_chunks(dataset: h5py.Dataset, what: str) -> tuple[str, ...]:
    """Say how many chunks were never written: HDF5 reads them as the fill value.

    Raises
    ------
    FormatError
        If no sample was written at all.
    """
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


def dataset_source(path: str, dataset: h5py.Dataset, view: AxisView) -> BlockSource:
    """Return the block source of one view of a dataset: a memory map where its samples lie as they are."""
    dtype = check_sample_dtype(dataset.dtype, path)
    start = dataset.id.get_offset()
    if dataset.chunks is None and start is not None:
        strides = tuple(dtype.itemsize * math.prod(dataset.shape[axis + 1 :]) for axis in range(dataset.ndim))
        first = start + sum(strides[axis] * index for axis, index in view.fixed)
        return StridedSource(path, dataset.dtype.str, first, view.pick(strides), view.pick(dataset.shape))
    chunks = dataset.chunks or (1, *dataset.shape[1:])
    return Hdf5Source(path, dataset.name, view, view.pick(dataset.shape), dtype, view.pick(chunks))
