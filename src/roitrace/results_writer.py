"""A results store in the making: what is finished is durable and known, so that an interrupted job goes on from there."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.engine.run import execute
from roitrace.engine.spool import spool
from roitrace.engine.unit_writes import write_units
from roitrace.errors import FileAccessError, StoreError
from roitrace.result_files import group_files, root_file
from roitrace.result_groups import as_dataset, opened, written_by_roi
from roitrace.result_layout import lies_across, of_file
from roitrace.store.checksum import CRC_BYTES, crc32c
from roitrace.store.commits import Drafted, Pending, commit, committed_files, still_there
from roitrace.store.files import drafting, free_space, list_folder, make_folder, remove_tree
from roitrace.store.manifest import FileFacts, groups_of, read_manifest, write_manifest
from roitrace.store.mark import MARK, manifest_of, manifest_path, mark_of, marked
from roitrace.store.places import ObjectPath
from roitrace.store.rooted import zarr_store
from roitrace.store.swap import take_place
from roitrace.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from roitrace.engine.unit_writes import Place, UnitArray
    from roitrace.result_groups import Group
    from roitrace.store.places import Location

__all__ = ["KIND", "SPOOL", "SUMS", "ResultsWriter", "versions"]

KIND = "roitrace results"
SPOOL, SUMS = "spool", "sums"
"""Folders of temporary arrays, and of sums over time that are kept, in that of the run."""
_VERSIONS_OF = ("dask", "numba", "numcodecs", "numpy", "scikit-image", "scipy", "xarray", "zarr")
_COMPRESSES = 8
"""More than this often smaller than its samples is no array of results that is not constant."""
_LANE = "main"
"""Lane of the journal for what is written outside of tasks."""


def versions() -> dict[str, str]:
    """Return the versions of the packages that results depend on."""
    return {name: _version_of(name) for name in _VERSIONS_OF}


@cache
def _version_of(package: str) -> str:
    """Look once: the whole description of a package is read for it."""
    return version(package)


class ResultsWriter:
    """A results store in the making; `roitrace.results.writing` opens one.

    Attributes
    ----------
    path : path
        Where it is until it is complete.
    is_complete : bool
        Whether it is complete and has its name.
    """

    def __init__(self, target: Location, place: Place, *, parameters: Mapping[str, Any], source: str) -> None:
        self.path = place.store
        self.is_complete = False
        self._target = target
        self._place = place
        self._parameters, self._source = dict(parameters), source
        # a job that is killed while its journal is removed has lost records of what is finished, but the manifest is there
        finished = {} if place.mended is not None else _finished_files(place.store)
        self._done = finished | committed_files(place.journal, place.store)
        self._finished = groups_of(finished.values()) | {
            name for record in place.journal.records() for name in record.get("groups", ())
        }
        self._keys: set[str] = set()
        self._small: dict[str, xr.Dataset] = {}

    @property
    def has_begun(self) -> bool:
        """Whether anything was written."""
        return bool(self._keys)

    def write(
        self,
        groups: Mapping[str, Group],
        *,
        workers: int | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        """Write groups; what is lazy in them is computed in one go, streamed, one task per file.

        Files that an interrupted job finished are not computed again. Lazy traces whose blocks lie across their files (whole traces that
        are kept span after span of time) go through temporary files beside the store, by a read of their own, so that memory does not
        grow with them; of these, an interrupted job begins anew.

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
        files = group_files(datasets, rows={name: written_by_roi(name) for name in datasets})
        written = self._written(files.arrays)
        left = [target for target, _ in files.arrays if target.key not in written]
        _check_room(self.path, sum(prod(one.shape) * one.dtype.itemsize for one in left))
        if not self.has_begun:
            self._begin(datasets)
        self._put(files.small)
        for name, dataset in datasets.items():
            self._small[name] = dataset.drop_vars([one for one, v in dataset.variables.items() if v.chunks])
        lazy = []
        for target, values in files.arrays:
            self._keys.update(map(target.file_key, target.positions()))
            if isinstance(values, np.ndarray):
                self._put_array(target, values)
            elif target.key not in written:
                lazy.append(target.key)
        if lazy:
            self._compute(datasets, lazy, files.arrays, workers, progress)
        self._place.journal.append(_LANE, {"groups": sorted(datasets)})
        self._finished.update(datasets)

    def _compute(
        self,
        datasets: Mapping[str, xr.Dataset],
        wanted: list[str],
        arrays: list[tuple[UnitArray, Any]],
        workers: int | None,
        progress: Callable[[int, int], object] | None,
    ) -> None:
        """Write the lazy arrays; the blocks of finished ones are read where others depend on them."""
        with _spool_folder(self._place.sums) as folder:
            across = {
                key: folder / f"{key.replace('/', '.')}.npy" for key in wanted if _is_across(datasets, key)
            }
            if across:
                make_folder(folder)
                pending = {file: _variable(datasets, key).data for key, file in across.items()}
                execute(spool(pending), workers=workers, progress=progress)
            lazy = [
                (
                    target,
                    _turned(datasets, target.key, across[target.key]) if target.key in across else values,
                )
                for target, values in arrays
                if not isinstance(values, np.ndarray)
            ]
            pending_files = write_units(lazy, self._place, self._done)
            execute(pending_files, workers=workers, progress=progress)
        self._done = committed_files(self._place.journal, self._place.store)

    def _written(self, arrays: list[tuple[UnitArray, Any]]) -> set[str]:
        """Return the keys of arrays of which all files are finished."""
        return {
            target.key
            for target, _ in arrays
            if all(target.file_key(one) in self._done for one in target.positions())
        }

    def has(self, group: str) -> bool:
        """Whether a group was finished, by this job or by the interrupted one that it continues."""
        return group in self._finished

    def read(self, group: str) -> xr.Dataset:
        """Open a group that was written before, lazily."""
        store: Any = zarr_store(self.path) if isinstance(self.path, ObjectPath) else self.path
        return opened(xr.open_zarr(store, group=group, chunks=None, consolidated=False), self.path / group)

    @property
    def groups(self) -> set[str]:
        """Groups that were written so far, those inside others by their first name."""
        return {name.split("/")[0] for name in self._small}

    def replace(self, group: str, name: str, values: NDArray[Any]) -> None:
        """Put other values of the same shape into a variable in memory of a group that was written before."""
        dataset = self._small[group]
        there = dataset[name]
        new = (there.dims, values.astype(there.dtype if there.dtype.kind != "U" else str), there.attrs)
        dataset = (
            dataset.assign_coords({name: new}) if name in dataset.coords else dataset.assign({name: new})
        )
        self._small[group] = dataset
        files = group_files({group: dataset}, rows={group: written_by_roi(group)}).small
        self._put({key: data for key, data in files.items() if key.startswith(f"{group}/{name}/")})

    def describe(self, *, parameters: Mapping[str, Any], source: str) -> None:
        """Say what the results depend on: every parameter, and the identity of the recording's content."""
        self._parameters, self._source = dict(parameters), source

    def complete(self) -> None:
        """Mark the store as complete, and give it its name; done once, by `writing` at the latest."""
        if self.is_complete:
            return
        self._finish()
        take_place(self.path, self._target, self._place.journal)
        self.is_complete = True

    def _finish(self) -> None:
        """Write the root's attributes, and the manifest last."""
        facts = {
            "parameters": json.dumps(self._parameters, sort_keys=True),
            "source": self._source,
            "versions": versions(),
        }
        if not self.has_begun:
            self._begin({})
        mark = mark_of(self.path)
        own = {
            "kind": KIND,
            "status": "complete",
            "roitrace_version": _version_of("roitrace"),
            **facts,
            MARK: mark,
        }
        self._put({"zarr.json": root_file(own)})
        path = manifest_path(self.path)
        assert path is not None
        self._check_mended()
        for key in set(_files_in(self.path)) - self._keys:
            if self.path / key != path:
                remove_tree(self.path / key)
        make_folder(path.parent)
        write_manifest(path, [self._done[key] for key in self._keys], {"fingerprint": facts})

    def _check_mended(self) -> None:
        """Refuse to take a store for mended that holds something else than before."""
        if self._place.mended is None:
            return
        known = read_manifest(self._place.mended)
        changed = [
            one.key for one in known if one.key not in self._keys or not self._done[one.key].same_as(one)
        ]
        if changed:
            raise StoreError(
                f"{self._target} is not mended: {changed[0]} would not be what it was",
                "restore what the job was given then, or run it anew, with overwrite",
            )

    def _begin(self, datasets: Mapping[str, xr.Dataset]) -> None:
        """Mark the store as unfinished; the manifest will lie beside the first of its arrays."""
        arrays = [f"{name}/{one}" for name, dataset in datasets.items() for one in dataset.variables]
        mark = marked("results", min(arrays, default="manifests"))
        if "zarr.json" not in self._done:  # there is one already where results are mended
            self._put({"zarr.json": root_file({"kind": KIND, "status": "unfinished", MARK: mark})})

    def _put(self, files: Mapping[str, bytes]) -> None:
        """Write small files durably; those that are there already stay."""
        new = []
        for key, data in files.items():
            chunks = [int.from_bytes(data[-CRC_BYTES:], "little")] if not key.endswith("zarr.json") else []
            facts = FileFacts(key, len(data), crc32c(data), np.array(chunks, np.uint32))
            known = self._done.get(key)
            if known is None or not known.same_as(facts):
                make_folder((self.path / key).parent)
                with drafting(self.path / key) as draft:
                    draft.write(data)
                new.append(Drafted(facts))
        self._commit(new)
        self._keys.update(files)

    def _put_array(self, target: UnitArray, values: NDArray[Any]) -> None:
        """Write traces that are in memory."""
        pending = Pending()
        for position in target.positions():
            one = target.write(self._place, values[target.span(position)], position)
            pending = pending.and_file(one, 0.0)
            if pending.is_due:
                self._commit(pending.files)
                pending = Pending()
        self._commit(pending.files)

    def _commit(self, files: Sequence[Drafted]) -> None:
        commit(self._place.journal, _LANE, self.path, Pending(tuple(files)))
        self._done.update({one.facts.key: one.facts for one in files})


def _check_room(path: Location, needed: int) -> None:
    """Refuse what cannot fit the disk, before any of it is computed; traces compress, but not that well.

    Raises
    ------
    FileAccessError
        With what is free and what would be needed.
    """
    room = free_space(path)
    if room is None:
        return
    folder, free = room
    if free * _COMPRESSES < needed:
        raise FileAccessError(
            f"the results take up to {format_bytes(needed)}, and the disk of {folder} has {format_bytes(free)} left: "
            "nothing of them was computed",
            "free some space",
        )


@contextmanager
def _spool_folder(sums: Location) -> Iterator[Path]:
    """Give a folder for temporary arrays: beside the store, or that of the system where the store is in a bucket."""
    if isinstance(sums, ObjectPath):
        with tempfile.TemporaryDirectory(prefix="roitrace-") as temporary:
            yield Path(temporary) / "spool"
        return
    folder = sums.with_name(SPOOL)
    remove_tree(folder)
    try:
        yield folder
    finally:
        remove_tree(folder)


def _variable(datasets: Mapping[str, xr.Dataset], key: str) -> xr.Variable:
    group, name = key.rsplit("/", 1)
    return datasets[group].variables[name]


def _is_across(datasets: Mapping[str, xr.Dataset], key: str) -> bool:
    return lies_across(_variable(datasets, key), rows=written_by_roi(key.rsplit("/", 1)[0]))


def _turned(datasets: Mapping[str, xr.Dataset], key: str, file: Path) -> Any:
    """Return the lazy values of traces that were put into a file."""
    return of_file(file, _variable(datasets, key), rows=written_by_roi(key.rsplit("/", 1)[0])).data


def _finished_files(store: Location) -> dict[str, FileFacts]:
    """Return the files of a store that is complete, by key; none of another."""
    try:
        manifest = manifest_of(store)
    except StoreError:
        return {}
    return {} if manifest is None else still_there(store, list(manifest))


def _files_in(folder: Location, prefix: str = "") -> Iterator[str]:
    if isinstance(folder, ObjectPath):
        yield from folder.lengths()
        return
    for name in list_folder(folder):
        if (folder / name).is_dir():
            yield from _files_in(folder / name, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}"
