"""Commit groups: files that become durable together, and are then recorded in the journal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from roitrace.errors import StoreError
from roitrace.file_errors import explained
from roitrace.store.checksum import crc32c
from roitrace.store.files import (
    lengths_below,
    partial_of,
    publish,
    remove,
    remove_drafts,
    sync_file,
    sync_folders,
)
from roitrace.store.manifest import FileFacts
from roitrace.store.mark import mark_of
from roitrace.store.places import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from roitrace.store.journal import Journal
    from roitrace.store.places import Location

__all__ = [
    "COMMIT_BYTES",
    "COMMIT_SECONDS",
    "Drafted",
    "Pending",
    "commit",
    "committed_files",
    "draft",
    "end_job",
    "forget_job",
    "still_there",
]

_ROOT = "zarr.json"
COMMIT_BYTES = 256 * 2**20
COMMIT_SECONDS = 5.0
"""A group ends before it is larger, or once its work took as long."""


@dataclass(frozen=True, eq=False)
class Drafted:
    """A file that was drafted, and has no name yet.

    Attributes
    ----------
    facts : FileFacts
        What it will be.
    token : str
        Of its draft, as for `roitrace.store.files.drafting`.
    """

    facts: FileFacts
    token: str = ""


@dataclass(frozen=True)
class Pending:
    """Drafted files of a lane that are not durable yet; it travels from task to task.

    Attributes
    ----------
    files : tuple of Drafted
        What was drafted.
    seconds : float
        How long that took.
    """

    files: tuple[Drafted, ...] = ()
    seconds: float = 0.0

    def and_file(self, one: Drafted, seconds: float) -> Pending:
        """Return the group with a file more."""
        return Pending((*self.files, one), self.seconds + seconds)

    @property
    def is_due(self) -> bool:
        """Whether another file like the last one would make the group too large, or it took long enough."""
        sizes = [one.facts.length for one in self.files]
        return sum(sizes) + max(sizes, default=0) > COMMIT_BYTES or self.seconds >= COMMIT_SECONDS


def draft(journal: Journal, store: Location, work: Callable[[], Drafted]) -> Drafted:
    """Draft a file in a task, unless the job is over: a task that a cluster has given up may run on for longer than its job.

    Raises
    ------
    StoreError
        If the job is over, or ended meanwhile: nothing is left behind then.
    """
    if journal.is_begun():
        drafted = work()
        if journal.is_begun():
            return drafted
        _withdraw(store, drafted)
    raise _over(store)


def _over(store: Location) -> StoreError:
    return StoreError(
        f"the job that wrote {store} is over", "nothing needs to be done: this task was given up"
    )


def _withdraw(store: Location, drafted: Drafted) -> None:
    """Remove what was drafted for a job that is over; of objects those alone that no store is around any more."""
    path = store / drafted.facts.key
    if isinstance(store, Path):
        remove(partial_of(path, drafted.token))
    elif not (store / _ROOT).is_file():
        remove(path)


def commit(journal: Journal, lane: str, store: Location, pending: Pending) -> None:
    """Make the files of a group durable, and only then record them.

    A cluster may run the task again: what is recorded by then is left alone, what has its name, but was not recorded, is recorded now.
    """
    files = pending.files
    if isinstance(store, ObjectPath):  # what was put is durable and has its name
        if not files:
            return
        if not journal.is_begun():  # on disk the folder of the journal would be gone
            raise _over(store)
        _record(journal, lane, files)
        return
    drafts = [one for one in files if partial_of(store / one.facts.key, one.token).exists()]
    if len(drafts) < len(files):
        known = committed_files(journal, store)
        files = tuple(one for one in files if one in drafts or one.facts.key not in known)
    if not files:
        return
    named = [store / one.facts.key for one in files if one not in drafts and _is_there(store, one.facts)]
    publish(((path, one.token) for one in files if (path := store / one.facts.key) not in named), below=store)
    for path in named:
        sync_file(path)
    sync_folders(named, below=store)
    _record(journal, lane, files)


def _record(journal: Journal, lane: str, files: Iterable[Drafted]) -> None:
    journal.append(lane, {"files": [one.facts.to_record() for one in files]})


def committed_files(journal: Journal, store: Location) -> dict[str, FileFacts]:
    """Return the files of all groups that are recorded, by key; not those that somebody has removed or cut since."""
    records = [one for record in journal.records() for one in record.get("files", ())]
    return still_there(store, [FileFacts.from_record(one) for one in records])


def still_there(store: Location, files: Sequence[FileFacts]) -> dict[str, FileFacts]:
    """Return those files that nobody has removed or cut, by key."""
    lengths = lengths_below(store, dict.fromkeys(one.key for one in files)) if files else {}
    return {one.key: one for one in files if lengths.get(one.key) == one.length}


def end_job(journal: Journal, store: Location) -> None:
    """End a job whose output is whole, and sweep away what its dead tasks had drafted."""
    journal.close()
    remove_drafts(store)
    journal.clear()


def forget_job(journal: Journal, store: Location) -> None:
    """Remove the journal of a job that is over or given up; what it was killed before, in `end_job`, is done now."""
    if journal.is_closed() and mark_of(store) is not None:
        remove_drafts(store)
    journal.clear()


def _is_there(store: Location, facts: FileFacts) -> bool:
    """Whether another run of the task that drafted a file has given it its name."""
    path = store / facts.key
    if _length(path) != facts.length:
        return False
    with explained(path):
        return crc32c(path.read_bytes()) == facts.checksum


def _length(path: Location) -> int | None:
    return path.stat().st_size if path.is_file() else None
