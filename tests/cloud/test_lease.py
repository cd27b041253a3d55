"""One job writes an output in a bucket; a killed one does not block it for long."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import count

import pytest

from roitrace.errors import FileAccessError, OutputBusyError
from roitrace.store import lease
from roitrace.store.files import append, move, remove, remove_tree, run_folder, write_file
from roitrace.store.lock import writing_alone
from roitrace.store.places import ObjectPath, place_of

HOLDER = """
import sys, time
from roitrace.store.lock import writing_alone
from roitrace.store.places import place_of
with writing_alone(place_of(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store(bucket) -> ObjectPath:
    place = place_of(f"{bucket}/a.zarr")
    assert isinstance(place, ObjectPath)
    return place


@pytest.fixture
def quick(monkeypatch) -> float:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.8)
    return 0.8


def left_in(store: ObjectPath) -> list[str]:
    return sorted(store.parent.lengths())


def by_another(store: ObjectPath, number: int = 0) -> None:
    """Put the lock of a job on another computer, whose clock stands still."""
    now = "2026-11-22T20:00:00+00:00"
    said = {"pid": 1, "host": "node7", "since": now, "sign": now, "machine": "another", "token": str(number)}
    (run_folder(store) / "lock.0").write_text(json.dumps(said))


def test_the_second_writer_is_refused_at_once_and_told_of_the_first(store):
    with writing_alone(store):
        begin = time.monotonic()
        with pytest.raises(OutputBusyError, match=r"a\.zarr: process \d+ on .*; .* its lock ends 60 s after"):
            with writing_alone(store):
                pytest.fail("two writers")
        assert time.monotonic() - begin < 5
        assert left_in(store) == ["a.zarr.run/lock.0"]
        with writing_alone(store.with_name("b.zarr")):
            pass
    assert left_in(store) == []


def test_a_killed_owner_of_this_computer_does_not_block(store):
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(store)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(OutputBusyError, match=f"process {holder.pid} on"):
            with writing_alone(store):
                pytest.fail("two writers")
        holder.kill()
    with writing_alone(store):
        assert left_in(store) == ["a.zarr.run/lock.1"]
    assert left_in(store) == []


def test_an_owner_elsewhere_that_gives_no_sign_is_taken_over_after_a_while(store, quick):
    by_another(store)
    begin = time.monotonic()
    with writing_alone(store):
        assert time.monotonic() - begin > quick / 4
        assert left_in(store) == ["a.zarr.run/lock.1"]
    assert left_in(store) == []


@pytest.mark.usefixtures("quick")
def test_one_that_gives_signs_is_not_whatever_its_clock_says(store, monkeypatch):
    by_another(store)
    content, signs = lease._content, count()

    def signing(place):
        by_another(store, number=next(signs))
        return content(place)

    monkeypatch.setattr(lease, "_content", signing)
    with pytest.raises(OutputBusyError, match="process 1 on node7"):
        with writing_alone(store):
            pytest.fail("two writers")
    assert left_in(store) == ["a.zarr.run/lock.0"]


def test_the_owner_gives_signs_of_life(store, quick):
    with writing_alone(store):
        first = (run_folder(store) / "lock.0").read_bytes()
        time.sleep(2 * quick)
        write_file(store / "zarr.json", b"{}")
        assert (run_folder(store) / "lock.0").read_bytes() != first
    assert left_in(store) == ["a.zarr/zarr.json"]


@pytest.mark.parametrize("change", ["taken over", "removed", "another token"])
def test_an_owner_that_lost_its_lock_changes_nothing_any_more(store, quick, change):
    with pytest.raises(OutputBusyError, match="lock of .* was lost: another job has taken it over"):
        with writing_alone(store):
            write_file(store / "zarr.json", b"{}")
            lock = run_folder(store) / "lock.0"
            if change == "taken over":
                (run_folder(store) / "lock.1").write_bytes(lock.read_bytes())
            elif change == "removed":
                lock.unlink()
            else:
                by_another(store)
            time.sleep(2 * quick)
            before = left_in(store)
            beside = store.with_name(".a.zarr.new")
            changes = [
                lambda: write_file(beside / "b", b""),
                lambda: append(run_folder(store) / "journal/lane-0", b""),
                lambda: remove(store / "zarr.json"),
                lambda: remove_tree(store),
                lambda: move(store, beside),
            ]
            for one in changes[1:]:
                with pytest.raises(OutputBusyError):
                    one()
            assert left_in(store) == before
            write_file(store.with_name("b.zarr") / "zarr.json", b"")  # another output is another matter
            changes[0]()
    assert "a.zarr/zarr.json" in left_in(store)


def test_an_owner_whose_signs_do_not_arrive_stops(store, quick, monkeypatch):
    with pytest.raises(OutputBusyError, match=r"no sign of life arrived for \d+ s; look at the connection"):
        with writing_alone(store):
            with monkeypatch.context() as broken:
                broken.setattr(lease, "_is_mine", _unreachable)
                time.sleep(2 * quick)
                write_file(store / "zarr.json", b"{}")
    assert left_in(store) == []


def _unreachable(*_: object) -> bool:
    raise FileAccessError("no network", "wait")


@pytest.mark.usefixtures("quick")
def test_of_two_that_take_over_together_one_wins_at_most(store, monkeypatch):
    by_another(store)
    is_over = lease._is_over

    def beaten(place, said):
        over = is_over(place, said)
        (run_folder(store) / "lock.1").write_text("{}")
        return over

    monkeypatch.setattr(lease, "_is_over", beaten)
    with pytest.raises(OutputBusyError):
        with writing_alone(store):
            pytest.fail("two writers")
    assert (run_folder(store) / "lock.1").read_text() == "{}"


def test_one_who_saw_no_lock_backs_off_for_a_newer_one(store, monkeypatch):
    newest = lease._newest
    calls = []

    def late(folder):
        calls.append(folder)
        if len(calls) == 1:
            (folder / "lock.1").write_text("{}")
            return None
        return newest(folder)

    monkeypatch.setattr(lease, "_newest", late)
    with pytest.raises(OutputBusyError):
        with writing_alone(store):
            pytest.fail("two writers")
    assert left_in(store) == ["a.zarr.run/lock.1"]
