"""What a group of results becomes on disk: small files in memory, and large arrays file by file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from roitrace.engine.unit_writes import UnitArray, stand_in
from roitrace.result_layout import grid_of
from roitrace.store.memory_files import MemoryFiles

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["GroupFiles", "group_files", "root_file"]


class GroupFiles(NamedTuple):
    """The files of some groups.

    Attributes
    ----------
    small : dict
        Key to content: metadata, coordinates and what else is in memory already.
    arrays : list
        Where each array goes that is written file by file, and its values: lazy, or traces in memory.
    """

    small: dict[str, bytes]
    arrays: list[tuple[UnitArray, Any]]


def group_files(groups: Mapping[str, xr.Dataset], *, rows: Mapping[str, bool]) -> GroupFiles:
    """Lay out groups.

    Parameters
    ----------
    groups : mapping
        Name of the group to its Dataset.
    rows : mapping
        Whether the traces of a group are computed one after the other.
    """
    small, encodings, large = {}, {}, {}
    for group, dataset in groups.items():
        small[f"/{group}"], encodings[f"/{group}"], large[group] = _parted(dataset, rows=rows[group])
    files = _small_files(small, encodings)
    arrays = []
    for group, variables in large.items():
        for name, variable in variables.items():
            grid, key = grid_of(variable, rows=rows[group]), f"{group}/{name}"
            dtype = np.dtype(json.loads(files[f"{key}/zarr.json"])["data_type"])
            target = UnitArray(key, variable.shape, grid.chunks, grid.unit, dtype)
            arrays.append((target, variable.data))
    return GroupFiles(files, arrays)


def _small_files(
    groups: dict[str, xr.Dataset], encodings: dict[str, dict[str, dict[str, Any]]]
) -> dict[str, bytes]:
    """Return the files that xarray writes for groups, by key."""
    memory = MemoryFiles()
    xr.DataTree.from_dict({"/": xr.Dataset()} | groups).to_zarr(
        memory.store,
        mode="w",
        zarr_format=3,
        consolidated=False,
        compute=False,
        encoding=encodings,
        write_inherited_coords=True,
        write_empty_chunks=True,
    )
    return {key: data for key, data in memory.files().items() if key != "zarr.json"}


def root_file(attributes: Mapping[str, Any]) -> bytes:
    """Return the metadata of the group at the root of a store."""
    memory = MemoryFiles()
    xr.Dataset(attrs=dict(attributes)).to_zarr(memory.store, mode="w", zarr_format=3, consolidated=False)
    return memory.files()["zarr.json"]


def _parted(
    dataset: xr.Dataset, *, rows: bool
) -> tuple[xr.Dataset, dict[str, dict[str, Any]], dict[str, xr.Variable]]:
    """Return the dataset with stand-ins for large arrays, how to encode each variable, and the large arrays."""
    dataset = dataset.drop_encoding()
    encoding, large = {}, {}
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in "UO":
            dataset[name] = (variable.dims, variable.values.astype(np.dtypes.StringDType()), variable.attrs)
        encoding[str(name)] = grid_of(variable, rows=rows).encoding()
        is_matrix = tuple(variable.dims[-2:]) == ("roi", "time")
        if variable.dtype.kind in "fiub" and (variable.chunks is not None or is_matrix):
            large[str(name)] = variable
            # xarray writes its metadata only
            dataset[name] = (variable.dims, stand_in(variable.shape, variable.dtype), variable.attrs)
    return dataset, encoding, large
