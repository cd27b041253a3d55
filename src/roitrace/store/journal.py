"""What a job has finished so far: an append-only journal beside its output, from which it is resumed.

The journal is a folder, ``<store>.run/journal``: ``job`` says what is written and from what; ``lane-*`` hold a record for each group of
files that is durable. A lane has one writer at a time. In an object store each record is an object of its own. Each record carries its checksum: one that is torn or damaged counts as
never written, so that its work is done again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from roitrace.errors import StoreError
from roitrace.store.checksum import crc32c
from roitrace.store.files import (
    append,
    list_folder,
    make_folder,
    read_each,
    read_file,
    remove_tree,
    run_folder,
    write_file,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from roitrace.store.places import Location

__all__ = ["Journal", "changed_facts", "check_same_job", "decode_records", "encode_record"]

_JOB = "job"
_LANE = "lane-"
_HEX = 8


@dataclass(frozen=True)
class Journal:
    """The journal of the job that writes an output; small and picklable, it goes along with tasks.

    Attributes
    ----------
    folder : path
        Where it is.
    digest : str
        Of the job that a task belongs to; empty where any will do.
    """

    folder: Location
    digest: str = ""

    @classmethod
    def of(cls, store: Location) -> Journal:
        """Return the journal of an output, whether it was begun or not."""
        return cls(run_folder(store) / "journal")

    def job(self) -> dict[str, Any] | None:
        """Return what was said when the job began: its `fingerprint` and notes; None if there is no journal."""
        data = read_file(self.folder / _JOB)
        return None if data is None else next(decode_records(data), None)

    def of_job(self) -> Journal:
        """Return the journal for the tasks of the job that has begun: what a cluster still runs of another one finds its own job over."""
        known = self.job()
        return self if known is None else replace(self, digest=_digest(known["fingerprint"]))

    def is_begun(self) -> bool:
        """Whether there is a journal, of the job of this task where it is said."""
        if not self.digest:
            return (self.folder / _JOB).exists()
        known = self.job()
        return known is not None and _digest(known["fingerprint"]) == self.digest

    def begin(self, fingerprint: Mapping[str, Any], **notes: Any) -> bool:
        """Begin a job, or go on with the same one; return whether it was begun before.

        Parameters
        ----------
        fingerprint : mapping
            Everything that the output depends on, as plain JSON values by name: parameters, and the identity of the source's content; never
            paths or times.
        **notes
            What else is worth knowing, such as the command that resumes.

        Raises
        ------
        StoreError
            If another job was begun there: it names what differs.
        """
        known = self.job()
        if known is not None:
            check_same_job(known, fingerprint, str(self.folder.parent.with_suffix("")))
            return True
        self.clear()
        make_folder(self.folder)
        write_file(self.folder / _JOB, encode_record({"fingerprint": dict(fingerprint), **notes}))
        return False

    def append(self, lane: str, record: Mapping[str, Any]) -> None:
        """Add a record to a lane, durably; what it tells of must be durable before."""
        append(self.folder / f"{_LANE}{lane}", encode_record(record))

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield all whole records, lane after lane."""
        lanes = [name for name in list_folder(self.folder) if name.startswith(_LANE)]
        for data in read_each(self.folder, lanes):
            yield from decode_records(data or b"")

    def close(self) -> None:
        """Say that the job is over, so that tasks which a cluster has given up draft nothing any more; `clear` follows when their drafts are gone."""
        names = [name for name in list_folder(self.folder) if name != _JOB]
        for name in (*names, _JOB):
            remove_tree(self.folder / name)

    def is_closed(self) -> bool:
        """Whether the job was stopped between `close` and `clear`."""
        return self.folder.is_dir() and not self.is_begun()

    def clear(self) -> None:
        """Remove the journal; what says that there is one goes last."""
        self.close()
        remove_tree(self.folder)


def encode_record(record: Mapping[str, Any]) -> bytes:
    """Return a record as a line with its checksum.

    It begins with a line break too: a torn line before it spoils nothing.
    """
    text = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    return b"\n%08x %b\n" % (crc32c(text), text)


def decode_records(data: bytes) -> Iterator[dict[str, Any]]:
    """Yield the records that are whole and undamaged.

    Examples
    --------
    >>> whole = encode_record({"unit": 1}) + encode_record({"unit": 2})
    >>> list(decode_records(whole[:-3]))
    [{'unit': 1}]
    """
    for line in data.split(b"\n"):
        text = line[_HEX + 1 :]
        if line[: _HEX + 1] == b"%08x " % crc32c(text):
            yield json.loads(text)


def check_same_job(known: Mapping[str, Any], now: Mapping[str, Any], store: str) -> None:
    """Refuse to go on with a job, as `Journal.job` tells of it, whose fingerprint differs from that of this one.

    Raises
    ------
    StoreError
        It names everything that differs.
    """
    changed = changed_facts(known["fingerprint"], now)
    if changed:
        again = known.get("command") or "give what was given then"
        raise StoreError(
            f"{store} was begun by another job: {'; '.join(changed)}",
            f"to go on with that one, {again}; to begin anew, ask to overwrite it",
        )


def changed_facts(known: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say what differs between two fingerprints: a sentence for each name.

    Examples
    --------
    >>> changed_facts({"chunks": [16, 64, 64], "source content": "5e4f..."}, {"chunks": [8, 64, 64], "source content": "5e4f..."})
    ['chunks were [16, 64, 64], now [8, 64, 64]']
    """
    before, after = _plain(known), _plain(now)
    return [
        _difference(name, before.get(name), after.get(name))
        for name in dict.fromkeys([*before, *after])
        if json.dumps(before.get(name)) != json.dumps(after.get(name))
    ]


def _difference(name: str, before: Any, after: Any) -> str:
    if _is_digest(before) or _is_digest(after):
        return f"another {name}"
    verb = "were" if name.endswith("s") else "was"
    return f"{name} {verb} {_short(before)}, now {_short(after)}"


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64


def _short(value: Any) -> str:
    text = "not given" if value is None else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _digest(fingerprint: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts as they come back from JSON: lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(facts)))
    return plain
