"""A group is durable before the journal tells of it."""

from __future__ import annotations

import numpy as np
import pytest

from roitrace.errors import FileAccessError
from roitrace.store import commits, files
from roitrace.store.commits import Pending, commit, committed_files
from roitrace.store.journal import Journal
from roitrace.store.manifest import FileFacts


def draft(store, key):
    store.mkdir(exist_ok=True)
    with files.drafting(store / key) as file:
        file.write(key.encode())
    return FileFacts(key, len(key), 7, np.asarray([1, 2], np.uint32))


def test_files_first_then_the_record(tmp_path, monkeypatch):
    store, journal = tmp_path / "a.zarr", Journal.of(tmp_path / "a.zarr")
    journal.begin({})
    pending = Pending().and_file(draft(store, "one"), 0.1).and_file(draft(store, "two"), 0.1)
    done = []
    perform = files.perform
    monkeypatch.setattr(
        files,
        "perform",
        lambda name, path, call, *rest: (done.append((name, path.name)), perform(name, path, call, *rest))[1],
    )
    commit(journal, "0", store, pending)
    synced = [name for operation, name in done if operation == "sync"]
    assert synced == ["one.partial", "two.partial", "a.zarr", "lane-0", "journal"]
    found = committed_files(journal, store)
    assert list(found) == ["one", "two"]
    assert found["two"].chunks.tolist() == [1, 2]
    (store / "two").write_bytes(b"")
    (store / "one").unlink()
    assert committed_files(journal, store) == {}


def test_what_failed_is_not_recorded(tmp_path, monkeypatch):
    store, journal = tmp_path / "a.zarr", Journal.of(tmp_path / "a.zarr")
    journal.begin({})
    pending = Pending().and_file(draft(store, "one"), 0.1)

    def fail(*_):
        raise FileAccessError("gone")

    monkeypatch.setattr(files, "sync_folder", fail)
    with pytest.raises(FileAccessError):
        commit(journal, "0", store, pending)
    assert committed_files(journal, store) == {}


def test_nothing_is_committed_of_nothing(tmp_path):
    journal = Journal.of(tmp_path / "a.zarr")
    journal.begin({})
    commit(journal, "0", tmp_path, Pending())
    assert [one.name for one in journal.folder.iterdir()] == ["job"]


def test_groups_end_by_size_and_by_time(monkeypatch):
    monkeypatch.setattr(commits, "COMMIT_BYTES", 100)
    none = np.zeros(0, np.uint32)
    assert not Pending().is_due
    small = Pending().and_file(FileFacts("a", 40, 0, none), 0.1)
    assert not small.is_due
    assert small.and_file(FileFacts("b", 40, 0, none), 0.1).is_due
    assert Pending().and_file(FileFacts("a", 1, 0, none), commits.COMMIT_SECONDS).is_due
