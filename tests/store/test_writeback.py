"""Files begin to be written to disk as soon as they are drafted."""

from __future__ import annotations

import ctypes
import os
import sys

import pytest

from roitrace.store import writeback
from roitrace.store.files import write_file


@pytest.fixture
def calls(monkeypatch):
    """Arguments of the system's function, and the length of the file at that moment, by call."""
    found = []

    def noted(handle, offset, length, flags):
        found.append((os.fstat(handle).st_size, offset.value, length.value, flags))
        return -1

    monkeypatch.setattr(writeback, "_sync_file_range", lambda: noted)
    return found


def test_each_draft_begins_to_be_written_when_it_is_whole(tmp_path, calls):
    write_file(tmp_path / "file", b"12345")
    assert calls == [(5, 0, 0, 2)]
    assert (tmp_path / "file").read_bytes() == b"12345"


@pytest.fixture
def looked_up_anew():
    writeback._sync_file_range.cache_clear()
    yield
    writeback._sync_file_range.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="a function of Linux")
def test_the_system_takes_what_it_is_given(tmp_path):
    call = writeback._sync_file_range()
    with (tmp_path / "file").open("wb") as file:
        file.write(b"12345")
        file.flush()
        assert call(file.fileno(), ctypes.c_int64(0), ctypes.c_int64(0), 2) == 0


@pytest.mark.usefixtures("looked_up_anew")
@pytest.mark.parametrize("library", [OSError("none"), TypeError("none"), object()])
def test_systems_without_it_write_as_well(tmp_path, monkeypatch, library):
    def opened(_):
        if isinstance(library, Exception):
            raise library
        return library

    monkeypatch.setattr(ctypes, "CDLL", opened)
    write_file(tmp_path / "file", b"12345")
    assert writeback._sync_file_range() is None
    assert (tmp_path / "file").read_bytes() == b"12345"
