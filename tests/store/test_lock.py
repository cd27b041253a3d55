"""One writer per output, told at once; a killed one does not block."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import time

import pytest

from roitrace.errors import FileAccessError, OutputBusyError
from roitrace.store import lock
from roitrace.store.lock import writing_alone
from roitrace.store.owner import myself

HOLDER = """
import sys, time
from pathlib import Path
from roitrace.store.lock import writing_alone
from roitrace.store.owner import myself
with writing_alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["locks", "no locks"])
def locks(request, monkeypatch):
    if request.param == "no locks":

        def refuse(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
    return request.param


def test_the_second_writer_is_refused_at_once_and_told_of_the_first(tmp_path, locks):
    store = tmp_path / "a.zarr"
    with writing_alone(store):
        begin = time.monotonic()
        with pytest.raises(
            OutputBusyError, match=f"process {os.getpid()} on {socket.gethostname()}, since 20"
        ):
            with writing_alone(store):
                pytest.fail("two writers")
        assert time.monotonic() - begin < 1
        with writing_alone(tmp_path / "b.zarr"):
            pass
    assert list(tmp_path.iterdir()) == [], locks
    with writing_alone(store):
        pass


def test_what_else_lies_in_the_folder_of_the_run_stays(tmp_path, locks):
    (tmp_path / "a.zarr.run").mkdir()
    (tmp_path / "a.zarr.run" / "note").write_text("kept")
    with writing_alone(tmp_path / "a.zarr"):
        pass
    assert [one.name for one in (tmp_path / "a.zarr.run").iterdir()] == ["note"], locks


def test_an_error_lets_the_lock_go(tmp_path, locks):
    for _ in range(2):
        with pytest.raises(RuntimeError, match="inside"), writing_alone(tmp_path / "a.zarr"):
            raise RuntimeError("inside")
    assert list(tmp_path.iterdir()) == [], locks


def test_a_disk_that_fails_while_the_owner_is_named_lets_the_lock_go(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(lock, "_name_owner", fail)
        with pytest.raises(FileAccessError), writing_alone(tmp_path / "a.zarr"):
            pytest.fail("nobody knows who is writing")
    with writing_alone(tmp_path / "a.zarr"):
        pass


@pytest.mark.parametrize(("named", "words"), [(True, "process 12 on far"), (False, "it has just begun")])
def test_an_owner_that_has_just_begun_gets_a_moment_to_name_itself(tmp_path, monkeypatch, named, words):
    owner = json.dumps({"pid": 12, "host": "far", "since": "2026"}).encode()
    (tmp_path / "a.zarr.run").mkdir()
    with (tmp_path / "a.zarr.run" / "lock").open("wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        monkeypatch.setattr(time, "sleep", lambda _: named and file.write(owner))
        with pytest.raises(OutputBusyError, match=words), writing_alone(tmp_path / "a.zarr"):
            pytest.fail("two writers")


def test_a_killed_writer_does_not_block(tmp_path):
    store = tmp_path / "a.zarr"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(store)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(OutputBusyError, match=f"process {holder.pid} "), writing_alone(store):
            pytest.fail("two writers")
        holder.kill()
        holder.wait()
    assert (tmp_path / "a.zarr.run" / "lock").exists()
    with writing_alone(store):
        pass
    assert list(tmp_path.iterdir()) == []


def owner_file(store, **owner):
    folder = store.with_name(f"{store.name}.run")
    folder.mkdir()
    (folder / "owner").write_text(json.dumps(json.loads(myself()) | owner))


@pytest.mark.parametrize("locks", ["no locks"], indirect=True)
def test_without_locks_a_dead_owner_of_this_computer_is_replaced(tmp_path, locks):  # noqa: ARG001
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    owner_file(tmp_path / "a.zarr", pid=gone.pid, host=socket.gethostname(), since="2026-01-01")
    with writing_alone(tmp_path / "a.zarr"):
        pass
    owner_file(tmp_path / "a.zarr", pid=gone.pid, host="elsewhere", since="2026-01-01")
    with pytest.raises(OutputBusyError, match="elsewhere.*; if that job is gone, remove .*owner"):
        with writing_alone(tmp_path / "a.zarr"):
            pytest.fail("its owner may live")


def test_a_lock_that_its_owner_removed_meanwhile_is_none(tmp_path, monkeypatch):
    store = tmp_path / "a.zarr"
    seen = []
    real = lock._lock

    def removed_meanwhile(handle):
        held = real(handle)
        if not seen:
            (tmp_path / "a.zarr.run" / "lock").unlink()
        seen.append(handle)
        return held

    monkeypatch.setattr(lock, "_lock", removed_meanwhile)
    with writing_alone(store):
        assert len(seen) == 2
        monkeypatch.setattr(lock, "_lock", real)
        with pytest.raises(OutputBusyError), writing_alone(store):
            pytest.fail("two writers")
