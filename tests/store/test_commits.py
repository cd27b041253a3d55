"""A group is durable before the journal tells of it."""

from __future__ import annotations

import numpy as np
import pytest

from roitrace.errors import FileAccessError, StoreError
from roitrace.store import commits, files
from roitrace.store.checksum import crc32c
from roitrace.store.commits import Drafted, Pending, commit, committed_files
from roitrace.store.journal import Journal
from roitrace.store.manifest import FileFacts


def draft(store, key, token=""):
    store.mkdir(exist_ok=True)
    with files.drafting(store / key, token) as file:
        file.write(key.encode())
    return Drafted(FileFacts(key, len(key), crc32c(key.encode()), np.asarray([1, 2], np.uint32)), token)


def fail(*_):
    raise FileAccessError("gone")


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

    monkeypatch.setattr(files, "sync_folder", fail)
    with pytest.raises(FileAccessError):
        commit(journal, "0", store, pending)
    assert committed_files(journal, store) == {}


def test_a_task_that_outlives_its_job_leaves_nothing(tmp_path):
    store, journal = tmp_path / "a.zarr", Journal.of(tmp_path / "a.zarr")
    with pytest.raises(StoreError, match="is over"):
        commits.draft(journal, store, lambda: draft(store, "one", "mine"))
    assert not store.exists()
    journal.begin({})
    assert commits.draft(journal, store, lambda: draft(store, "one", "mine")).token == "mine"

    def end():
        journal.clear()
        return draft(store, "two", "mine")

    with pytest.raises(StoreError, match="is over"):
        commits.draft(journal, store, end)
    assert [path.name for path in store.iterdir()] == ["one.mine.partial"]


def test_two_runs_of_a_task_do_not_meet(tmp_path):
    store, journal = tmp_path / "a.zarr", Journal.of(tmp_path / "a.zarr")
    journal.begin({})
    one, other = (Pending().and_file(draft(store, "one", token), 0.1) for token in ("1", "2"))
    commit(journal, "0", store, one)
    commit(journal, "0", store, one)  # its result was lost with its worker
    commit(journal, "0", store, other)
    assert (store / "one").read_bytes() == b"one"
    assert list(committed_files(journal, store)) == ["one"]
    assert [path.name for path in store.iterdir()] == ["one"]


def test_what_was_named_but_not_recorded_is_recorded_by_the_next_run(tmp_path, monkeypatch):
    store, journal = tmp_path / "a.zarr", Journal.of(tmp_path / "a.zarr")
    journal.begin({})
    pending = Pending().and_file(draft(store, "one", "1"), 0.1).and_file(draft(store, "two", "2"), 0.1)
    with monkeypatch.context() as patch, pytest.raises(FileAccessError):
        patch.setattr(Journal, "append", fail)
        commit(journal, "0", store, pending)
    assert committed_files(journal, store) == {}
    commit(journal, "0", store, pending)
    assert list(committed_files(journal, store)) == ["one", "two"]


def test_other_bytes_are_not_recorded_in_the_place_of_a_draft_that_is_gone(tmp_path):
    store, journal = tmp_path / "a.zarr", Journal.of(tmp_path / "a.zarr")
    journal.begin({})
    pending = Pending().and_file(draft(store, "one", "1"), 0.1)
    (store / "one.1.partial").rename(store / "one")
    (store / "one").write_bytes(b"eno")
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
    small = Pending().and_file(Drafted(FileFacts("a", 40, 0, none)), 0.1)
    assert not small.is_due
    assert small.and_file(Drafted(FileFacts("b", 40, 0, none)), 0.1).is_due
    assert Pending().and_file(Drafted(FileFacts("a", 1, 0, none)), commits.COMMIT_SECONDS).is_due


def test_a_job_killed_in_its_last_sweep_is_swept_by_the_next_call(tmp_path, monkeypatch):
    store, journal = tmp_path / "a.zarr", Journal.of(tmp_path / "a.zarr")
    journal.begin({})
    left = store / "one.token.partial"
    draft(store, "one", "token")
    monkeypatch.setattr(commits, "remove_drafts", fail)
    with pytest.raises(FileAccessError):
        commits.end_job(journal, store)
    assert left.exists()
    assert journal.is_closed()
    with pytest.raises(StoreError, match="is over"):
        commits.draft(journal, store, lambda: draft(store, "two"))
    monkeypatch.undo()
    commits.forget_job(journal, store)
    assert left.exists()  # nobody knows yet whose store that is
    assert not journal.folder.exists()
    journal.begin({})
    journal.close()
    (store / "zarr.json").write_text(
        '{"attributes": {"roitrace": {"kind": "recording", "manifest": "a/manifest"}}}'
    )
    commits.forget_job(journal, store)
    assert not left.exists()
