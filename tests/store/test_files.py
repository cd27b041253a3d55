"""Files appear whole and durable, and what the file system refuses is one typed error."""

from __future__ import annotations

import errno
import os

import pytest

from roitrace.errors import FileAccessError
from roitrace.store import files


@pytest.fixture
def operations(monkeypatch):
    """Collect the operations, and let the one of a number fail."""
    done, failing = [], {}
    perform = files.perform

    def spied(operation, path, call, *arguments):
        done.append((operation, path.name))
        if len(done) in failing:
            error = OSError(failing[len(done)], os.strerror(failing[len(done)]))
            return perform(operation, path, _raise, error)
        return perform(operation, path, call, *arguments)

    monkeypatch.setattr(files, "perform", spied)
    return done, failing


def _raise(error):
    raise error


def test_data_are_durable_before_names_and_names_before_the_folder(tmp_path, operations):
    done, _ = operations
    files.write_file(tmp_path / "a", b"12")
    assert [one for one in done if one[0] in {"write", "sync", "rename"}] == [
        ("write", "a.partial"),
        ("sync", "a.partial"),
        ("rename", "a"),
        ("sync", tmp_path.name),
    ]
    assert (tmp_path / "a").read_bytes() == b"12"


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.ENOSPC, "no space is left on the disk of"),
        (errno.EDQUOT, "the quota on the disk of"),
        (errno.EROFS, "mounted read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EMFILE, "too many files are open"),
        (errno.EIO, "input/output error"),
        (errno.EXDEV, "Invalid cross-device link"),
    ],
)
def test_whatever_fails_the_old_file_or_the_new_one_is_there(tmp_path, operations, number, cause):
    done, failing = operations
    files.write_file(tmp_path / "a", b"old")
    n_operations = len(done)
    for failed in range(1, n_operations + 1):
        done.clear()
        failing.clear()
        failing[failed] = number
        with pytest.raises(FileAccessError, match=cause) as caught:
            files.write_file(tmp_path / "a", b"new")
        assert caught.value.next_step
        assert (tmp_path / "a").read_bytes() in {b"old", b"new"}
        failing.clear()
        files.write_file(tmp_path / "a", b"old")
        assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_short_writes_go_on(tmp_path, monkeypatch):
    perform = files.perform

    def short(operation, path, call, *arguments):
        if operation == "write":
            arguments = (arguments[0], arguments[1][:3])
        return perform(operation, path, call, *arguments)

    monkeypatch.setattr(files, "perform", short)
    files.write_file(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_every_new_folder_is_durable(tmp_path, operations):
    done, _ = operations
    files.make_folder(tmp_path / "a" / "b")
    assert [one for one in done if one[0] in {"mkdir", "sync"}] == [
        ("mkdir", "a"),
        ("sync", tmp_path.name),
        ("mkdir", "b"),
        ("sync", "a"),
    ]
    done.clear()
    files.make_folder(tmp_path / "a" / "b")
    assert done == []


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(FileAccessError):
        files.make_folder(tmp_path / "a" / "b")


def test_appending(tmp_path, operations):
    done, _ = operations
    files.append(tmp_path / "a", b"1")
    assert done[-2] == ("sync", tmp_path.name)
    done.clear()
    files.append(tmp_path / "a", b"2")
    assert [one[0] for one in done] == ["open", "write", "sync", "close"]
    assert (tmp_path / "a").read_bytes() == b"12"


def test_removing_a_tree_does_not_follow_links(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a").write_bytes(b"1")
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    (tmp_path / "tree" / "inner" / "link").symlink_to(tmp_path / "kept", target_is_directory=True)
    (tmp_path / "tree" / "b").write_bytes(b"1")
    files.remove_tree(tmp_path / "tree")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["kept"]
    assert (tmp_path / "kept" / "a").exists()
    files.remove_tree(tmp_path / "tree")


def test_a_folder_that_is_not_empty_stays(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"")
    assert not files.remove_folder(tmp_path / "a")
    files.remove(tmp_path / "a" / "b")
    assert files.remove_folder(tmp_path / "a")
    assert files.remove_folder(tmp_path / "a")
    assert files.list_folder(tmp_path / "a") == []


def test_moving(tmp_path, operations):
    done, _ = operations
    (tmp_path / "a").write_bytes(b"1")
    files.move(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"1"
    assert ("sync", tmp_path.name) in done


def test_a_store_that_is_gone_is_not_made_again(tmp_path):
    store = tmp_path / "a.zarr"
    with pytest.raises(FileAccessError):
        files.make_folder(store / "c" / "0", below=store)
    assert not store.exists()
    store.mkdir()
    files.make_folder(store / "c" / "0", below=store)
    assert (store / "c" / "0").is_dir()
