"""Minian's footprints: the array `A` (unit_id, height, width) of `A.zarr` (Dong et al. 2022, eLife 11:e70661)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from roitrace.errors import FormatError
from roitrace.formats.bounded import bounded, bounded_stack, read_bounded, stored_bytes
from roitrace.formats.damage import understanding
from roitrace.formats.rois.footprints import footprints_of_images
from roitrace.formats.rois.table import RoiTable, whole_numbers
from roitrace.store.rooted import open_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from roitrace.formats.rois.format import RoiOptions

__all__ = ["read_minian"]


def read_minian(path: str, options: RoiOptions) -> RoiTable:
    """Read the footprints of a folder of Minian's, or of `A.zarr`, as weights, to where they fall below `options.support` of their maximum.

    Ids are those of ``unit_id``. One chunk of footprints is in memory at a time.

    Raises
    ------
    FormatError
        If the folder is damaged.
    """
    store = Path(path) / "A.zarr" if (Path(path) / "A.zarr").is_dir() else Path(path)
    with understanding(
        f"{store} cannot be read as zarr", "copy the whole folder again, hidden files included"
    ):
        group = open_group(store)
        footprints = group["A"]
        if not isinstance(footprints, zarr.Array) or footprints.ndim != 3:
            raise FormatError(
                f"{store} holds no array A (unit_id, height, width)", "give the folder of Minian"
            )
        stored = stored_bytes(footprints)
        bounded((footprints.chunks[0], *footprints.shape[1:]), footprints.dtype, f"{store}: A", stored)
        bounded_stack(footprints.shape, footprints.dtype, f"{store}: A", stored)
        pixels, weights = footprints_of_images(_images(footprints), options.support, f"{store}: A")
        ids = tuple(range(len(pixels)))
        if "unit_id" in group:
            ids = tuple(
                whole_numbers(
                    read_bounded(group["unit_id"], f"{store}: unit_id"), f"{store}: unit_id"
                ).tolist()
            )
    if len(ids) != len(pixels):
        raise FormatError(
            f"{store} has {len(ids)} unit_id and {len(pixels)} footprints", "copy the folder again"
        )
    return RoiTable(tuple(map(str, ids)), ids, pixels, (footprints.shape[1], footprints.shape[2]), weights)


def _images(footprints: zarr.Array[Any]) -> Iterator[NDArray[Any]]:
    step = footprints.chunks[0]
    for start in range(0, footprints.shape[0], step):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of codecs that zarr does not like
            block = np.asarray(footprints[start : start + step])
        yield from np.nan_to_num(block) if block.dtype.kind == "f" else block
