"""The groups of a results store: what each may be, and how it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.errors import ArgumentError
from roitrace.result_layout import blocks_of_traces
from roitrace.rois import Rois
from roitrace.stored_arrays import checked

if TYPE_CHECKING:
    from roitrace.store.places import Location

__all__ = ["GROUPS", "Group", "as_dataset", "as_groups", "opened", "written_by_roi"]

GROUPS = (
    "projections",
    "mask",
    "rois",
    "neuropil",
    "traces",
    "reference",
    "corrected",
    "quality",
    "normalized",
    "comparison",
)
_BY_ROI = ("corrected", "normalized")
Group = xr.Dataset | xr.DataArray | Rois


def written_by_roi(group: str) -> bool:
    """Whether the traces of a group are computed, and written, one after the other, rather than span after span of time."""
    return group.startswith(_BY_ROI)


def as_groups(results: object) -> dict[str, Group]:
    """Return the groups of what `save` takes.

    Raises
    ------
    ArgumentError
        If it is something else.
    """
    if isinstance(results, xr.DataTree):
        nodes = {node.path.strip("/"): node.to_dataset(inherit=False) for node in results.subtree}
        return {
            name: dataset for name, dataset in nodes.items() if name and (dataset.variables or dataset.attrs)
        }
    if isinstance(results, xr.Dataset):
        if not {"roi", "time"} <= set(results.dims):
            raise ArgumentError(
                f"a Dataset with dims {tuple(results.dims)} does not say which group it is",
                'give a mapping such as {"projections": dataset}',
            )
        return {"traces": results}
    if not isinstance(results, Mapping):
        raise ArgumentError(
            f"results are a {type(results).__name__}, expected a DataTree, Dataset or mapping"
        )
    return dict(results)


def as_dataset(group: Group, name: str) -> xr.Dataset:
    """Return a group as a Dataset, as it is in a store.

    Raises
    ------
    ArgumentError
        If it is something else than a Dataset, an image or Rois.
    """
    if isinstance(group, Rois):
        return group.to_dataset()
    if isinstance(group, xr.DataArray):
        return group.to_dataset(name=name if group.name is None else group.name)
    if isinstance(group, xr.Dataset):
        return group
    raise ArgumentError(
        f"group {name!r} is a {type(group).__name__}, expected a Dataset, a DataArray or Rois"
    )


def opened(dataset: xr.Dataset, folder: Location | str, token: str = "") -> xr.Dataset:
    """Make the variables of an opened group lazy, whole traces in a block; bring coordinates and texts into memory."""
    variables = {name: checked(one, f"{name} in {folder}") for name, one in dataset.variables.items()}
    # a file system lists variables in an order of its own
    ordered = {name: variables[name] for name in sorted(dataset.data_vars, key=str)}
    dataset = xr.Dataset(ordered, {name: variables[name] for name in dataset.coords}, dataset.attrs)
    for name, variable in dataset.variables.items():
        if isinstance(variable.dtype, np.dtypes.StringDType):
            # everything else expects texts of a fixed width
            dataset[name] = (variable.dims, np.array(variable.values.tolist(), dtype=str), variable.attrs)
        elif name in dataset.coords:
            dataset[name].load()
        elif variable.dims:
            dataset[name] = dataset[name].chunk(blocks_of_traces(variable), token=f"{folder} {token} {name}")
    return dataset
