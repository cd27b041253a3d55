"""An output takes the place of another one, or the other one stays, whatever the disk does."""

from __future__ import annotations

import errno
import os

import pytest

from roitrace.store import swap

MOVE = swap.move


def failing(monkeypatch, which, *, renamed):
    """Let one of the renames fail, before or after it was done."""
    count = [0]

    def move(source, target):
        count[0] += 1
        if count[0] != which:
            MOVE(source, target)
            return
        if renamed:
            source.rename(target)
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))

    monkeypatch.setattr(swap, "move", move)


@pytest.fixture
def folders(tmp_path):
    new, target, aside = tmp_path / ".a.new", tmp_path / "a", tmp_path / ".a.old"
    for folder in (new, target):
        folder.mkdir()
        (folder / "what").write_text(folder.name)
    return new, target, aside


def test_the_new_one_has_the_name(folders):
    new, target, aside = folders
    swap.put_in_place(new, target, aside)
    assert (target / "what").read_text() == ".a.new"
    assert not new.exists()
    assert not aside.exists()


@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.parametrize("renamed", [False, True])
def test_something_whole_has_the_name_when_a_rename_fails(folders, monkeypatch, which, renamed):
    new, target, aside = folders
    failing(monkeypatch, which, renamed=renamed)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)) as caught:
        swap.put_in_place(new, target, aside)
    assert caught.value.errno == errno.EIO
    is_new = which == 2 and renamed
    assert (target / "what").read_text() == (".a.new" if is_new else "a")
    assert new.exists() != is_new
    assert aside.exists() == is_new


def test_the_first_failure_is_told_where_nothing_had_the_name(folders, monkeypatch):
    new, target, aside = folders
    (target / "what").unlink()
    target.rmdir()
    failing(monkeypatch, 1, renamed=False)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)) as caught:
        swap.put_in_place(new, target, aside)
    assert caught.value.errno == errno.EIO
    assert new.exists()


def test_the_first_failure_is_told_where_nothing_can_be_put_back(folders, monkeypatch):
    new, target, aside = folders
    refused = [MOVE, OSError(errno.EIO, "first"), OSError(errno.EACCES, "second")]

    def move(source, destination):
        one = refused.pop(0)
        if isinstance(one, OSError):
            raise one
        one(source, destination)

    monkeypatch.setattr(swap, "move", move)
    with pytest.raises(OSError, match="first"):
        swap.put_in_place(new, target, aside)
    monkeypatch.undo()
    swap.end_swap(target)
    assert aside.exists() or (target / "what").exists()
