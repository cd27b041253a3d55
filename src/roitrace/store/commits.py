"""Commit groups: files that become durable together, and are then recorded in the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from roitrace.store.files import partial_of, publish
from roitrace.store.manifest import FileFacts

if TYPE_CHECKING:
    from pathlib import Path

    from roitrace.store.journal import Journal

__all__ = ["COMMIT_BYTES", "COMMIT_SECONDS", "Pending", "commit", "committed_files"]

COMMIT_BYTES = 256 * 2**20
COMMIT_SECONDS = 5.0
"""A group ends before it is larger, or once its work took as long."""


@dataclass(frozen=True)
class Pending:
    """Drafted files of a lane that are not durable yet; it travels from task to task.

    Attributes
    ----------
    files : tuple of FileFacts
        What was drafted, with `roitrace.store.files.drafting`.
    seconds : float
        How long that took.
    """

    files: tuple[FileFacts, ...] = ()
    seconds: float = 0.0

    def and_file(self, one: FileFacts, seconds: float) -> Pending:
        """Return the group with a file more."""
        return Pending((*self.files, one), self.seconds + seconds)

    @property
    def is_due(self) -> bool:
        """Whether another file like the last one would make the group too large, or it took long enough."""
        size = sum(one.length for one in self.files)
        largest = max((one.length for one in self.files), default=0)
        return size + largest > COMMIT_BYTES or self.seconds >= COMMIT_SECONDS


def commit(journal: Journal, lane: str, store: Path, pending: Pending) -> None:
    """Make the files of a group durable, and only then record them.

    Those that are recorded already are left alone: a cluster may run the task again.
    """
    files = pending.files
    if not all(partial_of(store / one.key).exists() for one in files):
        known = committed_files(journal, store)
        files = tuple(one for one in files if one.key not in known or partial_of(store / one.key).exists())
    if files:
        publish([store / one.key for one in files], below=store)
        journal.append(lane, {"files": [one.to_record() for one in files]})


def committed_files(journal: Journal, store: Path) -> dict[str, FileFacts]:
    """Return the files of all groups that are recorded, by key; not those that somebody has removed or cut since."""
    found = (FileFacts.from_record(one) for record in journal.records() for one in record.get("files", ()))
    return {one.key: one for one in found if _length(store / one.key) == one.length}


def _length(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
