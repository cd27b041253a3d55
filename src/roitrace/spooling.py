"""Bring chosen results to where files can be written from: traces into mapped files, the rest into memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.engine.places import available_workers
from roitrace.engine.run import execute
from roitrace.engine.spool import check_blocks, spool
from roitrace.formats.traces.table import FilledSpan
from roitrace.kernels.filling import interpolate_missing
from roitrace.selection import is_matrix, roi_names
from roitrace.traces import time_axis

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from roitrace.selection import Selection

__all__ = ["fill_missing", "materialize"]

Key = tuple[str, str]


def materialize(
    selection: Selection,
    folder: Path,
    *,
    keep: bool,
    budget: int,
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Selection:
    """Compute what is lazy, all from one read: traces into files, which are then mapped, the rest into memory.

    Parameters
    ----------
    selection : Selection
        What was chosen.
    folder : Path
        Where the files are made.
    keep : bool
        Whether traces that are in memory already may stay there; otherwise they go into files too, to be changed.
    budget, workers : int
        A block of lazy traces must fit ``budget / workers``.
    progress : callable, optional
        Takes the number of tasks done and of all tasks.

    Raises
    ------
    BudgetError
        If it does not.
    """
    lazy: dict[Path, Any] = {}
    files: dict[Key, Path] = {}
    for group, dataset in selection.groups.items():
        for name, variable in dataset.data_vars.items():
            if not is_matrix(variable) or (variable.chunks is None and keep):
                continue
            file = folder / f"{len(files)}.npy"
            files[group, str(name)] = file
            if variable.chunks is None:
                np.save(file, variable.values)
            else:
                lazy[file] = variable.data
    check_blocks(lazy, budget, workers or available_workers())
    rest = {
        group: dataset.drop_vars([name for owner, name in files if owner == group])
        for group, dataset in selection.groups.items()
    }
    pending = [spool(lazy)] if lazy else []
    is_lazy = pending or any(one.chunks for dataset in rest.values() for one in dataset.variables.values())
    computed = execute(*pending, *rest.values(), workers=workers, progress=progress if is_lazy else None)
    groups = dict(zip(rest, computed[len(pending) :], strict=True))
    for (group, name), file in files.items():
        original = selection.groups[group][name].variable
        mapped = np.load(file, mmap_mode="r" if keep else "r+")
        groups[group] = groups[group].assign({name: xr.Variable(original.dims, mapped, original.attrs)})
    return replace(
        selection, groups={name: _in_order(groups[name], one) for name, one in selection.groups.items()}
    )


def _in_order(dataset: xr.Dataset, original: xr.Dataset) -> xr.Dataset:
    return xr.Dataset({name: dataset[name] for name in original.data_vars}, dataset.coords, dataset.attrs)


def fill_missing(selection: Selection) -> tuple[tuple[FilledSpan, ...], int]:
    """Interpolate missing samples of the chosen traces where they are, each segment by itself.

    Returns
    -------
    tuple
        What was filled, and how many traces still miss samples, since a whole segment of them is missing.
    """
    spans: list[FilledSpan] = []
    left = 0
    for choice in selection.choices:
        trace = selection.trace(choice)
        borders = time_axis(trace).borders
        labelled = "time" in trace.coords
        times = np.asarray(trace["time"].values if labelled else range(trace.shape[1]), dtype=np.float64)
        rows: NDArray[Any] = trace.data  # the mapped file, not a copy of it
        for number, name in enumerate(roi_names(trace)):
            row = np.array(rows[number], dtype=np.float64)
            runs = interpolate_missing(row, times, borders)
            if runs:
                rows[number] = row
                spans += [FilledSpan(choice.name, name, first, last) for first, last in runs]
            left += bool(np.isnan(row).any())
    return tuple(spans), left
