"""How an output comes to be: under a lock, resumed where it was left, in the place of another one only when it is whole."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from roitrace.errors import FileAccessError, OutputExistsError, StoreError
from roitrace.file_errors import explained
from roitrace.store.commits import end_job, forget_job
from roitrace.store.extending import give_up
from roitrace.store.files import make_folder, remove_drafts, remove_tree
from roitrace.store.journal import Journal, changed_facts, check_same_job
from roitrace.store.lock import writing_alone
from roitrace.store.mark import manifest_of, mark_of
from roitrace.store.swap import beside, end_swap, is_beside, take_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from roitrace.store.manifest import Manifest
    from roitrace.store.places import Location

__all__ = ["Build", "building", "finished_by", "resumable"]

_AGAIN = "give the same call again to go on"


@dataclass(frozen=True)
class Build:
    """An output in the making.

    Attributes
    ----------
    path : path
        Where to write: the output itself, or a folder beside it that takes its place at the end.
    journal : Journal
        What is finished so far.
    resumed : bool
        Whether the job was begun before.
    is_whole : bool
        Whether the output was finished then, and only tidying up was left.
    """

    path: Location
    journal: Journal
    resumed: bool
    is_whole: bool


@contextmanager
def building(
    store: Location,
    fingerprint: Mapping[str, Any],
    *,
    overwrite: bool,
    what: str,
    command: str = _AGAIN,
    notes: Mapping[str, Any] | None = None,
) -> Iterator[Build]:
    """Build an output inside the `with` block, which must leave a whole store with a manifest at `Build.path`.

    If the block fails, or its process dies, what it finished stays: the same call goes on with it. A new store is written in place; one
    that replaces another is written beside it and takes its place at the end.
    In an object store that is a copy, during which the output says that it is unfinished.

    Parameters
    ----------
    store : path
        The output.
    fingerprint : mapping
        What its content depends on, as for `Journal.begin`.
    overwrite : bool
        Whether it may replace a whole store, or an unfinished one of another job.
    what : str
        What it is, in errors: ``the store``.
    command : str
        What resumes it.
    notes : mapping, optional
        What else the journal keeps of the job, as plain JSON values.

    Raises
    ------
    OutputExistsError
        If a whole store is there and `overwrite` is False. Nothing is touched then.
    OutputBusyError
        If another job is writing it.
    StoreError
        If it is no store, or was begun by another job and `overwrite` is False.
    FileAccessError
        If the file system refuses.
    """
    make_folder(store.parent)
    with writing_alone(store):
        journal = Journal.of(store)
        end_swap(store)
        notes = {"command": command, **(notes or {})}
        resumed, replaces = _begin(store, journal, fingerprint, overwrite=overwrite, what=what, notes=notes)
        # one beside that is gone has taken the place of the output already
        path = beside(store) if replaces and is_beside(store, journal) else store
        with resumable(store, command):
            if resumed:
                remove_drafts(path)
            yield Build(path, journal.of_job(), resumed, finished_by(path, fingerprint))
            take_place(path, store, journal)
            end_job(journal, store)


@contextmanager
def resumable(store: Location, command: str) -> Iterator[None]:
    """Say, where the file system refuses something in the `with` block, that what was finished is safe, and what resumes the job."""
    try:
        with explained(near=store):
            yield
    except FileAccessError as error:
        raise FileAccessError(
            f"{error.problem}; what was finished of {store} is safe", f"{error.next_step}, then {command}"
        ) from error


def _begin(
    store: Location,
    journal: Journal,
    fingerprint: Mapping[str, Any],
    *,
    overwrite: bool,
    what: str,
    notes: Mapping[str, Any],
) -> tuple[bool, bool]:
    """Begin the journal, or go on with it; return whether it was begun before, and whether the output replaces another one."""
    known = journal.job()
    if known is not None and "replaces" not in known:
        if not overwrite:
            raise StoreError(
                f"another job on {store} was interrupted",
                f"to end it: {known['command']}; to begin anew, ask to overwrite it",
            )
        give_up(store)
        known = None
    if known is not None and changed_facts(known["fingerprint"], fingerprint):
        if not overwrite:
            check_same_job(known, fingerprint, str(store))
        known = None
    if known is not None:
        replaces = bool(known["replaces"])
        in_the_way = store.exists() if replaces else _is_of_others(store, fingerprint)
        if in_the_way and not overwrite:
            raise _exists(store, what)
        if replaces or not in_the_way:
            return True, replaces
    forget_job(journal, store)
    replaces = store.exists()
    if replaces:
        if not overwrite:
            raise _exists(store, what)
        if not store.is_dir() or not (store / "zarr.json").exists():
            raise StoreError(
                f"{store} is no zarr store, it will not be overwritten",
                "remove it yourself or choose another name",
            )
        new = beside(store)
        remove_tree(new)
        make_folder(new)
    journal.begin(fingerprint, replaces=replaces, **notes)
    return False, replaces


def _is_of_others(store: Location, fingerprint: Mapping[str, Any]) -> bool:
    """Whether a store is there that this job has not begun."""
    if not (store / "zarr.json").exists():
        return False
    if mark_of(store) is None:
        return True
    manifest = manifest_of(store)
    return manifest is not None and not _agrees(manifest, fingerprint)


def finished_by(path: Location, fingerprint: Mapping[str, Any]) -> bool:
    """Whether a store was finished by the same job."""
    try:
        manifest = manifest_of(path)
    except StoreError:
        return False
    return manifest is not None and _agrees(manifest, fingerprint)


def _agrees(manifest: Manifest, fingerprint: Mapping[str, Any]) -> bool:
    known = manifest.facts.get("fingerprint", {})
    return not changed_facts(known, {name: fingerprint.get(name) for name in known})


def _exists(store: Location, what: str) -> OutputExistsError:
    return OutputExistsError(f"{what} {store} exists already", "choose another name, or ask to overwrite it")
