"""The results store: one zarr group that holds everything a job computed, and how to get it back.

A store appears under its name only when all of it is written; until then it is a sibling marked as unfinished.
Inside is only what was computed and what that depends on: no paths, times, hosts or schedulers. The chunk grid of
each variable depends on its shape and dtype alone, so the same job writes the same bytes wherever it runs.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping
from contextlib import contextmanager
from importlib.metadata import version
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.engine.run import execute
from roitrace.engine.spool import spool
from roitrace.errors import ArgumentError, OutputExistsError, StoreError
from roitrace.result_layout import grid_of, lies_across, of_file
from roitrace.rois import Rois
from roitrace.stored_arrays import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

__all__ = [
    "GROUPS",
    "ResultsWriter",
    "as_dataset",
    "as_groups",
    "check_output",
    "is_results_store",
    "load",
    "put_in_place",
    "save",
    "writing",
    "written_by_roi",
]

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
KIND = "roitrace results"
_UNFINISHED = {"kind": KIND, "status": "unfinished"}
_VERSIONS_OF = ("dask", "numba", "numcodecs", "numpy", "scikit-image", "scipy", "xarray", "zarr")
Group = xr.Dataset | xr.DataArray | Rois


class ResultsWriter:
    """A results store in the making; `writing` opens one.

    Attributes
    ----------
    path : Path
        Where it is until it is finished.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mark(_UNFINISHED)
        self._provenance: dict[str, Any] = {"parameters": {}, "source": ""}

    def write(
        self,
        groups: Mapping[str, Group],
        *,
        workers: int | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        """Write groups; what is lazy in them is computed in one go, streamed, one task per file.

        Lazy traces whose blocks lie across their files (whole traces that are kept span after span of time) go through
        temporary files beside the store, by a read of their own, so that memory does not grow with them.

        Parameters
        ----------
        groups : mapping
            Name of the group to a Dataset, an image or Rois.
        workers : int, optional
            Threads, where no other scheduler is active.
        progress : callable, optional
            Called with the number of tasks done and of all tasks.
        """
        datasets = {name: as_dataset(group, name) for name, group in groups.items()}
        with TemporaryDirectory(prefix=f".{self.path.name}.part-", dir=self.path.parent) as folder:
            across = {
                (group, str(name)): Path(folder) / f"{group}.{name}.npy".replace("/", ".")
                for group, dataset in datasets.items()
                for name, one in dataset.variables.items()
                if lies_across(one, rows=written_by_roi(group))
            }
            if across:
                lazy = {file: datasets[group][name].data for (group, name), file in across.items()}
                execute(spool(lazy), workers=workers, progress=progress)
            for (group, name), file in across.items():
                turned = of_file(file, datasets[group][name].variable, rows=written_by_roi(group))
                datasets[group] = datasets[group].assign({name: turned})
            execute(self._lazily(datasets), workers=workers, progress=progress)

    def _lazily(self, groups: Mapping[str, xr.Dataset]) -> Any:
        """Write what is in memory; what is returned writes the rest. One tree, since dask shares nothing between several writes."""
        ready = {name: _ready(dataset, rows=written_by_roi(name)) for name, dataset in groups.items()}
        nodes = {f"/{name}": dataset for name, (dataset, _) in ready.items()}
        return xr.DataTree.from_dict({"/": xr.Dataset(attrs=_UNFINISHED)} | nodes).to_zarr(
            self.path,
            mode="a",
            zarr_format=3,
            consolidated=False,
            compute=False,
            encoding={f"/{name}": encoding for name, (_, encoding) in ready.items()},
            write_inherited_coords=True,
            write_empty_chunks=True,
        )

    def read(self, group: str) -> xr.Dataset:
        """Open a group that was written before, lazily."""
        return _opened(
            xr.open_zarr(self.path, group=group, chunks=None, consolidated=False), self.path / group
        )

    @property
    def groups(self) -> set[str]:
        """Groups that were written so far, those inside others by their first name."""
        return {one.parent.name for one in self.path.glob("*/zarr.json")}

    def replace(self, group: str, name: str, values: NDArray[Any]) -> None:
        """Put other values of the same shape into a variable of a group that was written before."""
        there = xr.open_zarr(self.path, group=group, chunks=None, consolidated=False)[name]
        whole = {dim: slice(0, size) for dim, size in there.sizes.items()}
        new = xr.Dataset({name: (there.dims, values.astype(there.dtype))})
        new.to_zarr(
            self.path,
            group=group,
            region=whole,
            zarr_format=3,
            consolidated=False,
            write_empty_chunks=True,
        )

    def describe(self, *, parameters: Mapping[str, Any], source: str) -> None:
        """Say what the results depend on: every parameter, and the identity of the recording's content."""
        self._provenance = {"parameters": dict(parameters), "source": source}

    def finish(self) -> None:
        """Mark the store as complete."""
        self._mark(
            {
                "kind": KIND,
                "status": "complete",
                "roitrace_version": version("roitrace"),
                "versions": {name: version(name) for name in _VERSIONS_OF},
                "parameters": json.dumps(self._provenance["parameters"], sort_keys=True),
                "source": self._provenance["source"],
            }
        )

    def _mark(self, attributes: dict[str, Any]) -> None:
        xr.Dataset(attrs=attributes).to_zarr(self.path, mode="a", zarr_format=3, consolidated=False)


@contextmanager
def writing(store: str | Path, *, overwrite: bool = False) -> Iterator[ResultsWriter]:
    """Write a results store group by group; it takes its name when the block ends, or leaves nothing if it fails.

    Parameters
    ----------
    store : str or Path
        Where it will be.
    overwrite : bool
        Whether it may replace a results store; that one stays until the new one is complete.

    Raises
    ------
    OutputExistsError
        If something is there already; nothing is touched.

    Examples
    --------
    >>> import tempfile, xarray as xr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with writing(f"{folder}/a.zarr") as writer:
    ...         writer.write({"comparison": xr.Dataset({"slope": ("roi", [1.0, 0.9])})})
    ...     load(f"{folder}/a.zarr")["comparison"]["slope"].values.tolist()
    [1.0, 0.9]
    """
    target = Path(store)
    check_output(target, overwrite=overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    partial = target.with_name(f"{target.stem}.partial-{token}{target.suffix}")
    try:
        writer = ResultsWriter(partial)
        yield writer
        writer.finish()
        check_output(target, overwrite=overwrite)
        put_in_place(partial, target, target.with_name(f"{target.stem}.replaced-{token}{target.suffix}"))
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def save(
    results: xr.DataTree | xr.Dataset | Mapping[str, Group],
    store: str | Path,
    *,
    overwrite: bool = False,
    parameters: Mapping[str, Any] | None = None,
    source: str = "",
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Path:
    """Write results into a store; what is lazy is computed on the way, streamed, all from one read.

    Lazy traces that come whole, one after the other, but are kept span after span of time (all but those of the groups ``normalized`` and
    ``corrected``), or the other way round, are first put into temporary files beside the store: memory does not grow with them.

    Parameters
    ----------
    results : DataTree, Dataset or mapping
        Groups by name, such as ``{"projections": images, "rois": rois, "traces": traces}``; values are Datasets, images
        or Rois. A lone Dataset of traces becomes the group ``traces``.
    store : str or Path
        A folder to be made, by custom ``*.zarr``.
    overwrite : bool
        Whether a results store that is there may be replaced, once the new one is complete.
    parameters : mapping, optional
        What the results were computed with, as plain values; kept as JSON in the store's attributes.
    source : str, optional
        Identity of the content of the recording.
    workers : int, optional
        Threads, where no other scheduler is active.
    progress : callable, optional
        Called with the number of tasks done and of all tasks.

    Returns
    -------
    Path
        The store.

    Raises
    ------
    OutputExistsError
        If something is there already; nothing is touched.

    Examples
    --------
    >>> import tempfile, xarray as xr
    >>> traces = xr.Dataset({"mean": (("roi", "time"), [[1.0, 2.0]])}, coords={"roi": ["a"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load(save(traces, f"{folder}/a.zarr"))["traces"]["mean"].sel(roi="a").values.tolist()
    [1.0, 2.0]
    """
    groups = as_groups(results)
    with writing(store, overwrite=overwrite) as writer:
        writer.describe(parameters=parameters or {}, source=source)
        writer.write(groups, workers=workers, progress=progress)
    return Path(store)


def load(store: str | Path) -> xr.DataTree:
    """Open a results store: a DataTree of lazy groups and the provenance in its attributes.

    Parameters
    ----------
    store : str or Path
        What `save` or a job wrote.

    Raises
    ------
    StoreError
        If it is unfinished, damaged or no results store.
    """
    path = Path(store)
    attributes = _root_attributes(path)
    if attributes is None:
        what = "is no results store" if path.exists() else "does not exist"
        raise StoreError(f"{path} {what}", "give the folder that save, or a job, wrote")
    if attributes.get("status") != "complete":
        raise StoreError(f"{path} is unfinished: its job was stopped", "run the job again")
    try:
        # indexes would read coordinates before anyone can say which of them is damaged
        tree = xr.open_datatree(path, engine="zarr", consolidated=False, create_default_indexes=False)
    except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
        raise StoreError(f"{path} is damaged: {error}", "run the job again") from error
    groups = {}
    for node in tree.subtree:
        folder = path / node.path.strip("/")
        dataset = node.to_dataset(inherit=False)
        _check_files(folder, dataset)
        groups[node.path] = _opened(dataset, folder, str((path / "zarr.json").stat().st_mtime_ns))
    return xr.DataTree.from_dict(groups, name=path.stem)


def written_by_roi(group: str) -> bool:
    """Whether the traces of a group are computed, and written, one after the other, rather than span after span of time."""
    return group.startswith(_BY_ROI)


def is_results_store(path: str | Path) -> bool:
    """Whether something that `save` or a job wrote is there, finished or not."""
    return _root_attributes(Path(path)) is not None


def check_output(store: str | Path, *, overwrite: bool) -> None:
    """Refuse a place that is taken, or that holds something else than results.

    Raises
    ------
    OutputExistsError
        If something is there that may not be replaced.
    """
    store = Path(store)
    if not store.exists():
        return
    if not overwrite:
        raise OutputExistsError(f"{store} exists already", "choose another output, or ask to overwrite it")
    if _root_attributes(store) is None:
        raise OutputExistsError(
            f"{store} exists and is no results store, so it is not overwritten", "choose another output"
        )


def _root_attributes(path: Path) -> dict[str, Any] | None:
    """Return the attributes of a results store, None if it is something else."""
    metadata = path / "zarr.json"
    if not metadata.is_file():
        return None
    try:
        attributes = json.loads(metadata.read_text(encoding="utf-8")).get("attributes", {})
    except ValueError as error:
        raise StoreError(f"{metadata} is damaged: {error}", "run the job again") from error
    return attributes if attributes.get("kind") == KIND else None


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


def _ready(dataset: xr.Dataset, *, rows: bool) -> tuple[xr.Dataset, dict[str, dict[str, Any]]]:
    """Return the dataset with lazy variables cut along their files, and how to encode each variable."""
    dataset = dataset.drop_encoding()
    encoding = {}
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in "UO":
            dataset[name] = (variable.dims, variable.values.astype(np.dtypes.StringDType()), variable.attrs)
        if not variable.dims:
            continue
        grid = grid_of(variable, rows=rows)
        encoding[str(name)] = grid.encoding()
        if variable.chunks is not None:
            dataset[name] = dataset[name].chunk(dict(zip(variable.dims, grid.unit, strict=True)))
    return dataset, encoding


def _opened(dataset: xr.Dataset, folder: Path | str, token: str = "") -> xr.Dataset:
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
            blocks = dict(zip(variable.dims, grid_of(variable, rows=True).unit, strict=True))
            dataset[name] = dataset[name].chunk(blocks, token=f"{folder} {token} {name}")
    return dataset


def _check_files(folder: Path, dataset: xr.Dataset) -> None:
    """Look for every chunk file: one that is missing would read as NaN without a word."""
    for name, variable in dataset.variables.items():
        unit = variable.encoding.get("shards") or variable.encoding.get("chunks") or ()
        counts = [-(-size // step) for size, step in zip(variable.shape, unit, strict=True)]
        for position in product(*map(range, counts)):
            if not folder.joinpath(str(name), "c", *map(str, position)).is_file():
                spans = ", ".join(
                    f"{dim} {n * step} to {min((n + 1) * step, size)}"
                    for dim, n, step, size in zip(variable.dims, position, unit, variable.shape, strict=True)
                )
                raise StoreError(
                    f"{folder} is damaged: {name} lacks {spans or 'its value'}", "run the job again"
                )


def put_in_place(new: Path, target: Path, aside: Path) -> None:
    """Give a complete folder its name; what had it stays until then."""
    if not target.exists():
        new.rename(target)
        return
    target.rename(aside)
    try:
        new.rename(target)
    except OSError:
        aside.rename(target)
        raise
    shutil.rmtree(aside)
