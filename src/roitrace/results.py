"""The results store: one zarr group that holds everything a job computed, and how to get it back.

A store says from its first file on that it is unfinished, and has a manifest when it is whole. One that replaces another is written beside it, as
``.<name>.new``, and takes its place at the end. What is finished is told in the journal ``<store>.run/journal`` until then, so that the same
call goes on where it was stopped. Inside is only what was computed and what that depends on: no paths, times, hosts or schedulers. The
chunk grid of each variable depends on its shape and dtype alone, so the same job writes the same bytes wherever it runs.
"""

from __future__ import annotations

import json
import shlex
import sys
import warnings
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from roitrace.bounded_json import parse_json, read_json
from roitrace.engine.lazy_identity import computation_of, sources_in
from roitrace.engine.unit_writes import Place
from roitrace.errors import (
    AlignmentError,
    ArgumentError,
    BudgetError,
    FileAccessError,
    LazyInputError,
    MetadataError,
    NoNumbersError,
    OutputBusyError,
    OutputExistsError,
    RoitraceError,
    StoreError,
)
from roitrace.file_errors import explain, explained, is_refusal
from roitrace.formats.damage import DAMAGE
from roitrace.formats.identity import combine
from roitrace.result_groups import GROUPS, as_dataset, as_groups, opened
from roitrace.results_writer import KIND, SPOOL, SUMS, ResultsWriter, versions
from roitrace.store.building import resumable
from roitrace.store.commits import end_job, forget_job
from roitrace.store.damage import check_group
from roitrace.store.files import make_folder, remove_drafts, remove_tree, run_folder
from roitrace.store.journal import Journal, changed_facts, check_same_job
from roitrace.store.known import KnownFiles, check_metadata, keys_of
from roitrace.store.lock import writing_alone
from roitrace.store.mark import MARK, manifest_of, manifest_path
from roitrace.store.places import ObjectPath, place_of
from roitrace.store.rooted import zarr_store
from roitrace.store.swap import beside, end_swap, is_beside
from roitrace.stored_arrays import MEND_RESULTS
from roitrace.units import format_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from roitrace.result_groups import Group
    from roitrace.store.places import Location

__all__ = [
    "GROUPS",
    "ResultsWriter",
    "begun_files",
    "check_output",
    "is_results_store",
    "load",
    "load_group",
    "save",
    "writing",
]

_WRONG_CALL = (AlignmentError, ArgumentError, BudgetError, LazyInputError, MetadataError, NoNumbersError)
"""Errors that the same call would meet again: nothing is kept for it."""


@contextmanager
def writing(
    store: str | Location,
    *,
    overwrite: bool = False,
    parameters: Mapping[str, Any] | None = None,
    source: str = "",
    more: Mapping[str, Any] | None = None,
    files: Sequence[str] = (),
) -> Iterator[ResultsWriter]:
    """Write a results store group by group; when the block ends well it is complete.

    A block that is stopped, or fails, leaves what is finished behind: the same call goes on from there. One that fails because the call is
    wrong leaves nothing.

    Parameters
    ----------
    store : str or Path
        Where it will be.
    overwrite : bool
        Whether it may replace a results store; that one stays until the new one is complete.
    parameters : mapping, optional
        What the results are computed with, as plain values.
    source : str
        Identity of the content of the recording.
    more : mapping, optional
        What else an interrupted job must agree in to be continued.
    files : sequence of str
        What else the job writes; `begun_files` tells of them when it goes on.

    Raises
    ------
    OutputExistsError
        If something is there already; nothing is touched.
    OutputBusyError
        If another job writes it now.
    StoreError
        If an interrupted job with other parameters, or another recording, has begun it; it says which.

    Examples
    --------
    >>> import tempfile, xarray as xr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with writing(f"{folder}/a.zarr") as writer:
    ...         writer.write({"comparison": xr.Dataset({"slope": ("roi", [1.0, 0.9])})})
    ...     load(f"{folder}/a.zarr")["comparison"]["slope"].values.tolist()
    [1.0, 0.9]
    """
    target = place_of(store)
    parameters = dict(parameters or {})
    fingerprint = {
        **_named(parameters),
        "source content": source,
        **_named(versions(), "version of"),
        **(more or {}),
    }
    command = _typed()
    check_output(target, overwrite=overwrite)
    make_folder(target.parent)
    with writing_alone(target), resumable(target, command):
        journal = Journal.of(target)
        end_swap(target)
        path = _begun(target, journal, fingerprint, overwrite=overwrite)
        is_new = path is None
        if path is None:
            forget_job(journal, target)
            _sweep(target)
            check_output(target, overwrite=overwrite)
            path = beside(target) if target.exists() else target
            if path != target:
                remove_tree(path)
                # before the journal is begun: without this folder, the journal speaks of the one in place
                make_folder(path)
            journal.begin(fingerprint, beside=path != target, command=command, files=list(files))
        mended = manifest_path(path) if _is_mended(target) else None
        place = Place(path, journal.of_job(), run_folder(target) / SUMS, mended)
        remove_drafts(path)
        remove_drafts(place.sums)
        writer = ResultsWriter(target, place, parameters=parameters, source=source)
        try:
            yield writer
            writer.complete()
        except _WRONG_CALL:
            if writer.is_complete:
                journal.clear()
            elif mended is None:
                _forget(path, place)
            raise
        except FileAccessError:
            if is_new and not writer.has_begun:
                _forget(path, place)
            raise
        remove_tree(place.sums)
        end_job(journal, target)


def begun_files(store: str | Path) -> list[str]:
    """Return what else the interrupted job of a store was to write; nothing if there is none."""
    job = Journal.of(place_of(store)).job()
    return [] if job is None else list(job.get("files", ()))


def _drop_lock(target: Location) -> None:
    """Remove what a job leaves that was killed, or failed, when all but that was done: its lock and the empty folder of the lock.

    After a power cut folders may be there again that were removed just before.
    """
    if run_folder(target).is_dir():
        with suppress(OutputBusyError, FileAccessError), writing_alone(target):
            if not Journal.of(target).folder.exists():
                _sweep(target)


def _sweep(target: Location) -> None:
    """Remove what no job needs any more from the folder of a run."""
    for name in (SUMS, SPOOL):
        remove_tree(run_folder(target) / name)


def _begun(
    target: Location, journal: Journal, fingerprint: Mapping[str, Any], *, overwrite: bool
) -> Location | None:
    """Return the folder of the interrupted job that this one continues; None if it begins anew."""
    job = journal.job()
    if job is None:
        return None
    # new results that are in place already are those of a job that was stopped just before its end
    path = beside(target) if job["beside"] and is_beside(target, journal) else target
    if job.get("mends"):
        job["fingerprint"] = _begun_with(job["fingerprint"], fingerprint)
    if not changed_facts(job["fingerprint"], fingerprint):
        return path
    if path == target and _is_whole(target):
        journal.clear()
        return None
    if not overwrite:
        check_same_job(job, fingerprint, str(target))
    _forget(path, Place(path, journal, run_folder(target) / SUMS))
    return None


def _begun_with(facts: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the manifest of damaged results says of their job, as far as it tells, by the names of a fingerprint."""
    told = {
        **_named(json.loads(facts["parameters"])),
        "source content": facts["source"],
        **_named(facts["versions"], "version of"),
    }
    return {name: told.get(name, value) for name, value in fingerprint.items()}


def _is_whole(store: Location) -> bool:
    """Whether a results store is complete; those of earlier versions have no manifest."""
    attributes = _root_attributes(store) or {}
    return attributes.get("status") == "complete" and (
        MARK not in attributes or manifest_of(store) is not None
    )


def _is_mended(store: Location) -> bool:
    """Whether damaged files of a store are set back to unfinished, as `roitrace.verify` does."""
    return bool((Journal.of(store).job() or {}).get("mends"))


def _forget(path: Location, place: Place) -> None:
    """Remove what an interrupted or failed job has written."""
    remove_tree(path)
    remove_tree(place.sums)
    place.journal.clear()


def _typed() -> str:
    """Return the command line, if this process is one of ours."""
    program = Path(sys.argv[0] if sys.argv else "")
    ours = program.stem == "roitrace" or program.parts[-2:] == ("roitrace", "__main__.py")
    return shlex.join(["roitrace", *sys.argv[1:]]) if ours else "make the same call again"


def _named(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested values by dotted names, so that what differs can be named."""
    named: dict[str, Any] = {}
    for key, value in values.items():
        name = (
            f"{before} {key}" if before.startswith("version") else f"{before}.{key}" if before else str(key)
        )
        if isinstance(value, dict):
            named |= _named(value, name)
        else:
            named[name] = value
    return named


def save(
    results: xr.DataTree | xr.Dataset | Mapping[str, Group],
    store: str | Location,
    *,
    overwrite: bool = False,
    parameters: Mapping[str, Any] | None = None,
    source: str = "",
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Location:
    """Write results into a store; what is lazy is computed on the way, streamed, all from one read.

    Interrupted, it goes on where it was when the same call is made again: files that are finished are not computed again, sums over time go on
    from where they were kept (about every 30 s of work).

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
    Path or ObjectPath
        The store.

    Raises
    ------
    OutputExistsError
        If something is there already; nothing is touched.
    OutputBusyError
        If another job writes it now.
    StoreError
        If the store was begun with other results; it says which differ.

    Examples
    --------
    >>> import tempfile, xarray as xr
    >>> traces = xr.Dataset({"mean": (("roi", "time"), [[1.0, 2.0]])}, coords={"roi": ["a"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load(save(traces, f"{folder}/a.zarr"))["traces"]["mean"].sel(roi="a").values.tolist()
    [1.0, 2.0]
    """
    groups = {name: as_dataset(group, name) for name, group in as_groups(results).items()}
    facts = _lazy_facts(groups)
    with writing(store, overwrite=overwrite, parameters=parameters, source=source, more=facts) as writer:
        writer.write(groups, workers=workers, progress=progress)
    return place_of(store)


def _lazy_facts(groups: Mapping[str, xr.Dataset]) -> dict[str, Any]:
    """Say of what lazy results are computed and how, so that those of another call are not mixed with them."""
    lazy = {
        f"{group}/{name}": variable
        for group, dataset in groups.items()
        for name, variable in dataset.variables.items()
        if variable.chunks is not None
    }
    sources = sorted({one for variable in lazy.values() for one in sources_in(variable.data)})
    named = {f"computation of {name}": computation_of(variable.data) for name, variable in lazy.items()}
    return {"content of the recording": combine(*sources) if sources else "", **named}


def load(store: str | Location, *, unfinished: bool = False) -> xr.DataTree:
    """Open a results store: a DataTree of lazy groups and the provenance in its attributes.

    Parameters
    ----------
    store : str or Path
        What `save` or a job wrote.
    unfinished : bool
        Open the finished groups of a store whose job was interrupted; the whole groups of one that is being mended.

    Raises
    ------
    StoreError
        If it is unfinished, damaged or no results store.
    """
    path = place_of(store)
    attributes = _root_attributes(path)
    if attributes is None:
        what = "is no results store" if path.exists() else "does not exist"
        raise StoreError(f"{path} {what}", "give the folder that save, or a job, wrote")
    whole = _is_whole(path) and not (unfinished and _is_mended(path))
    if not whole and isinstance(path, ObjectPath) and not path.is_listed():
        raise StoreError(
            f"{path} is unfinished: its job was stopped",
            "finish it where it was begun; only whole results are read from a web server",
        )
    finished = None if whole else _finished_groups(path)
    if not whole and not unfinished:
        raise StoreError(*_unfinished(path))
    if whole:
        check_metadata(path)
    state, listed = _state_of(path), _listed(path)
    groups = {}
    for node in _nodes(path):
        if finished is not None and node.path.strip("/") not in finished:
            continue
        folder = path / node.path.strip("/")
        dataset = node.to_dataset(inherit=False)
        _check_files(folder, dataset, listed)
        dataset.attrs.pop(MARK, None)
        groups[node.path] = opened(dataset, folder, state)
    return xr.DataTree.from_dict(groups, name=path.stem)


def load_group(store: str | Location, group: str) -> xr.Dataset | None:
    """Read one group of a results store, finished or not, whatever is damaged in others; None if it is not there.

    Raises
    ------
    StoreError
        If the group is damaged, or was not written as it is now.
    """
    path = place_of(store)
    whole = _is_whole(path)
    if not (path / group).is_dir() or not (whole or group in _finished_groups(path)):
        return None
    place = manifest_path(path)
    if whole and place is not None and place.exists():
        check_group(path, KnownFiles.open(place), group)
    (node,) = _nodes(path, group)
    dataset = node.to_dataset(inherit=False)
    _check_files(path / group, dataset, _listed(path))
    return opened(dataset, path / group).load()


def _nodes(path: Location, group: str | None = None) -> Iterator[xr.DataTree]:
    try:
        # indexes would read coordinates before anyone can say which of them is damaged
        with warnings.catch_warnings():
            # zarr only warns of an array that it cannot understand, and leaves it out
            warnings.simplefilter("error", UserWarning)
            tree = xr.open_datatree(
                zarr_store(path),  # type: ignore[arg-type]  # as xarray's documentation allows
                engine="zarr",
                group=group,
                consolidated=False,
                create_default_indexes=False,
            )
    except RoitraceError:
        raise
    except (*DAMAGE, UserWarning) as error:
        if isinstance(error, OSError) and is_refusal(error):
            raise explain(error, path) from error
        raise StoreError(f"{path} is damaged: {error}", MEND_RESULTS) from error
    yield from tree.subtree


def _finished_groups(path: Location) -> set[str]:
    journal = Journal.of(path)
    return {name for record in journal.records() for name in record.get("groups", ())}


def _unfinished(path: Location) -> tuple[str, str]:
    """Say how much of an unfinished store is there, and what continues its job."""
    job = Journal.of(path).job()
    if job is None:
        return f"{path} is unfinished or damaged, and has no journal", "ask to overwrite it, to begin anew"
    files = sum(len(record.get("files", ())) for record in Journal.of(path).records())
    groups = sorted(_finished_groups(path))
    there = f"finished are {', '.join(groups)}" if groups else "no group is finished"
    safe = f"{format_count(files, 'file')} in all {'is' if files == 1 else 'are'} safe"
    problem = f"{path} is unfinished: its job was stopped; {there}, and {safe}"
    step = job.get("command") or "run the job again"
    part = "; to open what is finished: load(store, unfinished=True)" if groups else ""
    return problem, f"to continue: {step}{part}"


def is_results_store(path: str | Location) -> bool:
    """Whether something that `save` or a job wrote is there, finished or not."""
    return _root_attributes(place_of(path)) is not None


def check_output(store: str | Location, *, overwrite: bool) -> None:
    """Refuse a place that is taken, or that holds something else than results; one that an interrupted job has begun is free for the same job.

    Raises
    ------
    OutputExistsError
        If something is there that may not be replaced.
    """
    store = place_of(store)
    if not store.exists() or Journal.of(store).folder.exists():
        return
    if not overwrite:
        _drop_lock(store)
        raise OutputExistsError(f"{store} exists already", "choose another output, or ask to overwrite it")
    if _root_attributes(store) is None:
        raise OutputExistsError(
            f"{store} exists and is no results store, so it is not overwritten", "choose another output"
        )


def _root_attributes(path: Location) -> dict[str, Any] | None:
    """Return the attributes of a results store, None if it is something else."""
    metadata = path / "zarr.json"
    if not metadata.is_file():
        return None
    try:
        with explained(metadata):
            read = read_json(metadata) if isinstance(metadata, Path) else _read_object(metadata)
        attributes = read.get("attributes", {})
    except (AttributeError, ValueError) as error:
        reason = error.problem if isinstance(error, RoitraceError) else str(error)
        raise StoreError(
            f"{path} is damaged: {reason}",
            f"move {path} away, or restore it from a copy, then run the job again",
        ) from error
    return attributes if attributes.get("kind") == KIND else None


def _read_object(metadata: ObjectPath) -> Any:
    return parse_json(metadata.read_bytes(), str(metadata))


def _state_of(store: Location) -> str:
    """Return what changes when a store is replaced by another one of the same name."""
    root = store / "zarr.json"
    if isinstance(root, Path):
        return str(root.stat().st_mtime_ns)
    manifest = manifest_path(store)
    return str((isinstance(manifest, ObjectPath) and manifest.tag()) or root.tag())


def _listed(store: Location) -> frozenset[ObjectPath] | None:
    """Return all objects of a store, so that they need not be asked for one by one; None on disk."""
    if not isinstance(store, ObjectPath):
        return None
    keys = keys_of(store)
    return frozenset(store / key for key in (store.lengths() if keys is None else keys))


def _check_files(folder: Location, dataset: xr.Dataset, listed: frozenset[ObjectPath] | None) -> None:
    """Look for every chunk file: one that is missing would read as NaN without a word."""
    for name, variable in dataset.variables.items():
        unit = variable.encoding.get("shards") or variable.encoding.get("chunks") or ()
        counts = [-(-size // step) for size, step in zip(variable.shape, unit, strict=True)]
        for position in product(*map(range, counts)):
            file = folder.joinpath(str(name), "c", *map(str, position))
            if not (file.is_file() if listed is None else file in listed):
                spans = ", ".join(
                    f"{dim} {n * step} to {min((n + 1) * step, size)}"
                    for dim, n, step, size in zip(variable.dims, position, unit, variable.shape, strict=True)
                )
                raise StoreError(f"{folder} is damaged: {name} lacks {spans or 'its value'}", MEND_RESULTS)
