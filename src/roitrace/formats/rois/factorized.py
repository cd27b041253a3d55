"""HDF5 of programs that factorise recordings: CaImAn, CNMF-E and EXTRACT (MATLAB v7.3). Footprints with tails, cut where they end.

Layouts: CaImAn's ``estimates`` (Giovannucci et al. 2019, eLife 8:e38173), CNMF-E's ``A`` and ``options.d1, d2`` (Zhou et al. 2018, eLife
7:e28728), EXTRACT's ``spatial_weights`` (Dinc et al. 2021, bioRxiv 434279).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.bounded import bounded_stack, read_bounded, stored_bytes
from roitrace.formats.damage import understanding
from roitrace.formats.hdf5_file import check_own_samples, open_hdf5_file
from roitrace.formats.rois.footprints import footprints_of_images, footprints_of_sparse
from roitrace.formats.rois.table import RoiTable, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from roitrace.formats.rois.footprints import Rows
    from roitrace.formats.rois.format import RoiOptions

__all__ = ["read_factorized"]

CAIMAN = "estimates/A"
STACKS = ("spatial_weights", "filters", "extractedImages")
"""Datasets of footprints as images: EXTRACT's new and old name, and what toolboxes around CNMF-E write."""


def read_factorized(path: str, options: RoiOptions) -> RoiTable:
    """Read the footprints of CaImAn, CNMF-E or EXTRACT as weights, to where they fall below `options.support` of their maximum.

    Ids of CaImAn's components count from 0, those of MATLAB's from 1. Components that CaImAn rejected are kept, not accepted.

    Raises
    ------
    FormatError
        If the file is damaged, or holds no footprints.
    """
    with understanding(f"{path} cannot be read as HDF5"), open_hdf5_file(path) as file:
        if CAIMAN in file:
            return _caiman(file, options.support, path)
        for name in _structures(file, options.name, path):
            stack = next((one for one in STACKS if f"{name}/{one}" in file), None)
            if stack is not None:
                return _stack(file[f"{name}/{stack}"], options.support, path)
            if f"{name}/A" in file and f"{name}/options/d1" in file:
                return _cnmfe(file[name], options.support, path)
        raise FormatError(
            f"{path} holds no footprints: no {CAIMAN} (CaImAn), no A with options.d1 (CNMF-E), no {', '.join(STACKS)} (EXTRACT)",
            "give the file that the program saved its results to",
        )


def _caiman(file: h5py.File, support: float, path: str) -> RoiTable:
    shape = _frame(file, path)
    matrix = file[CAIMAN]
    what = f"{path}: {CAIMAN}"
    if not isinstance(matrix, h5py.Group):
        raise FormatError(f"{what} is no sparse matrix", "save the results again with CaImAn")
    n_pixels = int(whole_numbers(read_bounded(matrix["shape"], what), f"{what}: shape")[0])
    if n_pixels != shape[0] * shape[1]:
        raise FormatError(
            f"{what} has {n_pixels} rows, its frame of {shape[0]} x {shape[1]} has {shape[0] * shape[1]}",
            "save the results again with CaImAn",
        )
    indices, indptr = (
        whole_numbers(read_bounded(matrix[name], what), f"{what}: {name}") for name in ("indices", "indptr")
    )
    pixels, weights = footprints_of_sparse(
        read_bounded(matrix["data"], what), indices, indptr, shape, support, what
    )
    count = len(pixels)
    return RoiTable(
        names=tuple(map(str, range(count))),
        ids=tuple(range(count)),
        pixels=pixels,
        shape=shape,
        weights=weights,
        accepted=_components(file, count, path),
    )


def _frame(file: h5py.File, path: str) -> tuple[int, int]:
    for place in ("dims", "estimates/dims", "params/data/dims"):
        dataset = file.get(place)
        if isinstance(dataset, h5py.Dataset) and dataset.ndim == 1:
            dims = whole_numbers(read_bounded(dataset, path), f"{path}: {place}")
            if dims.size != 2:
                raise FormatError(f"{path} is of {dims.size} dimensions, expected frames of rows and columns")
            return int(dims[0]), int(dims[1])
    raise FormatError(
        f"{path} does not say how large the frame was: no dims", "save the results again with CaImAn"
    )


def _components(file: h5py.File, count: int, path: str) -> tuple[bool, ...] | None:
    """Return which components CaImAn accepted; None where it did not judge."""
    chosen = file.get("estimates/idx_components")
    if not isinstance(chosen, h5py.Dataset) or chosen.ndim != 1 or chosen.dtype.kind not in "iuf":
        return None
    numbers = whole_numbers(read_bounded(chosen, path), f"{path}: idx_components")
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < count:
        raise FormatError(f"{path} accepts component {numbers.max()} of {count}", "copy the file again")
    accepted = np.isin(np.arange(count), numbers)
    return tuple(accepted.tolist())


def _structures(file: h5py.File, wanted: str | None, path: str) -> list[str]:
    """Return the structures that MATLAB saved: all variables, or the one that is named."""
    names = [name for name, item in file.items() if isinstance(item, h5py.Group) and not name.startswith("#")]
    if wanted is None:
        return names
    if wanted not in names:
        raise ArgumentError(f"{path} has no structure {wanted!r}", f"it has {', '.join(names) or 'none'}")
    return [wanted]


def _stack(images: Any, support: float, path: str) -> RoiTable:
    """Footprints that MATLAB holds as (y, x, roi), which HDF5 shows as (roi, x, y)."""
    what = f"{path}: {images.name}"
    if not isinstance(images, h5py.Dataset) or images.ndim != 3:
        raise FormatError(f"{what} is no stack of footprints", "save it as an array (y, x, roi)")

    check_own_samples(images, what)
    bounded_stack(images.shape, images.dtype, what, stored_bytes(images))

    def turned() -> Iterator[NDArray[Any]]:
        return (np.asarray(images[number]).T for number in range(len(images)))

    rows = footprints_of_images(turned(), support, what)
    return _numbered(rows, (images.shape[2], images.shape[1]))


def _cnmfe(group: h5py.Group, support: float, path: str) -> RoiTable:
    """Footprints that are columns of a matrix, sparse or not, whose rows are pixels in Fortran order."""
    height, width = (
        int(whole_numbers(group["options"][name][()], f"{path}: {name}").ravel()[0]) for name in ("d1", "d2")
    )
    matrix, what = group["A"], f"{path}: {group.name}/A"
    if isinstance(matrix, h5py.Group):
        indices, indptr = (
            whole_numbers(read_bounded(matrix[name], what), f"{what}: {name}") for name in ("ir", "jc")
        )
        rows = footprints_of_sparse(
            read_bounded(matrix["data"], what), indices, indptr, (height, width), support, what
        )
    else:
        if matrix.ndim != 2 or matrix.shape[1] != height * width:
            raise FormatError(
                f"{what} has shape {matrix.shape[::-1]}, expected {height * width} rows",
                "copy the file again",
            )
        check_own_samples(matrix, what)
        bounded_stack(matrix.shape, matrix.dtype, what, stored_bytes(matrix))
        images = (np.asarray(column).reshape(width, height).T for column in matrix)
        rows = footprints_of_images(images, support, what)
    return _numbered(rows, (height, width))


def _numbered(rows: Rows, shape: tuple[int, int]) -> RoiTable:
    pixels, weights = rows
    ids = tuple(range(1, len(pixels) + 1))
    return RoiTable(tuple(map(str, ids)), ids, pixels, shape, weights)
