"""One job writes an output in a bucket; a killed one does not block it for long."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from itertools import count

import pytest

from roitrace.errors import FileAccessError, OutputBusyError
from roitrace.store import lease
from roitrace.store import owner as owners
from roitrace.store.files import append, move, remove, remove_tree, run_folder, write_file
from roitrace.store.lock import writing_alone
from roitrace.store.objects import objects_at
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


class Clock:
    """Time that goes on when somebody sleeps, and only then."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """The lease's clock; its own signs of life come only when they are asked for."""
    clock = Clock()
    monkeypatch.setattr(lease, "_now", lambda: clock.now)
    monkeypatch.setattr(lease, "_sleep", clock.sleep)
    monkeypatch.setattr(lease, "LEASE_SECONDS", 6000.0)
    return clock


def the_lease() -> lease._Lease:
    (held,) = lease._held.values()
    return held


def sign_of_life() -> bool:
    return the_lease().renew_once(threading.Event())


def left_in(store: ObjectPath) -> list[str]:
    return sorted(store.parent.lengths())


def by_another(store: ObjectPath, number: int = 0) -> None:
    """Put the lock of a job on another computer, whose clock stands still."""
    now = "2020-01-01T20:00:00+00:00"
    said = {"pid": 1, "host": "node7", "since": now, "sign": now, "machine": "another", "token": str(number)}
    (run_folder(store) / "lock.0").write_text(json.dumps(said))


def test_the_second_writer_is_refused_at_once_and_told_of_the_first(store, clock):
    with writing_alone(store):
        with pytest.raises(
            OutputBusyError, match=r"a\.zarr: process \d+ on .*; .* its lock ends 6000 s after"
        ):
            with writing_alone(store):
                pytest.fail("two writers")
        assert clock.now == 0
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


def test_an_owner_elsewhere_that_gives_no_sign_is_taken_over_after_a_while(store, clock):
    by_another(store)
    with writing_alone(store):
        assert clock.now >= lease.LEASE_SECONDS
        assert left_in(store) == ["a.zarr.run/lock.1"]
    assert left_in(store) == []


@pytest.mark.usefixtures("clock")
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


@pytest.mark.usefixtures("clock")
def test_the_owner_gives_signs_of_life(store, monkeypatch):
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.2)
    lock, end = run_folder(store) / "lock.0", time.monotonic() + 60
    with writing_alone(store):
        first = lock.read_bytes()
        while lock.read_bytes() == first:
            assert time.monotonic() < end
        write_file(store / "zarr.json", b"{}")
    assert left_in(store) == ["a.zarr/zarr.json"]


@pytest.mark.usefixtures("clock")
def test_transfers_do_not_keep_signs_of_life_waiting(store, bucket, s3):
    go_on = threading.Event()

    def failing(_method: str, path: str) -> int:
        if "bulk" in path:
            go_on.wait(120)
        return 0

    with writing_alone(store):
        s3.log.failing = failing
        bulk, _ = objects_at(bucket)
        transfers = [threading.Thread(target=bulk.read, args=(f"bulk-{n}",)) for n in range(20)]
        try:
            for one in transfers:
                one.start()
            assert sign_of_life()
        finally:
            go_on.set()
            for one in transfers:
                one.join()


def test_a_store_that_ignores_conditions_cannot_be_written_to(store, monkeypatch):
    def write_new(place, data):
        place.write_bytes(data)
        return True

    monkeypatch.setattr(ObjectPath, "write_new", write_new)
    with pytest.raises(FileAccessError, match="ignores If-None-Match"):
        with writing_alone(store):
            pytest.fail("no lock")
    assert left_in(store) == []


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no such clock")
def test_the_clock_of_the_lock_runs_on_while_the_computer_sleeps(monkeypatch):
    with monkeypatch.context() as asked:
        asked.setattr(time, "clock_gettime", lambda clock: clock)
        now = lease._now()
    assert now == time.CLOCK_BOOTTIME


def test_an_owner_of_another_container_is_not_taken_for_dead(monkeypatch):
    said = json.loads(owners.myself())
    gone = said | {"pid": 2**22 + 1}
    assert owners.is_dead(gone)
    assert not owners.is_dead(said)
    monkeypatch.setattr("os.readlink", lambda _: "pid:[1]")
    assert not owners.is_dead(gone)


@pytest.mark.parametrize("change", ["taken over", "removed", "another token"])
@pytest.mark.usefixtures("clock")
def test_an_owner_that_lost_its_lock_changes_nothing_any_more(store, change):
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
            sign_of_life()
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


def test_an_owner_whose_signs_do_not_arrive_stops(store, clock, monkeypatch):
    with pytest.raises(OutputBusyError, match=r"no sign of life arrived for \d+ s; look at the connection"):
        with writing_alone(store):
            with monkeypatch.context() as broken:
                broken.setattr(lease, "_is_mine", _unreachable)
                clock.now += 0.55 * lease.LEASE_SECONDS
                assert not sign_of_life()
                write_file(store / "zarr.json", b"{}")
    assert left_in(store) == ["a.zarr.run/lock.0"]


def test_after_half_the_time_changes_wait_for_the_next_sign(store, clock, monkeypatch):
    waited = []

    def sign_later(seconds: float) -> None:
        waited.append(seconds)
        clock.now += seconds
        if len(waited) == 3:
            assert sign_of_life()

    monkeypatch.setattr(lease, "_sleep", sign_later)
    with writing_alone(store):
        clock.now += 0.45 * lease.LEASE_SECONDS
        write_file(store / "a", b"")
        assert waited == []
        clock.now += 0.1 * lease.LEASE_SECONDS
        write_file(store / "b", b"")
        assert len(waited) == 3
    assert left_in(store) == ["a.zarr/a", "a.zarr/b"]


@pytest.mark.parametrize("look", [sign_of_life, lambda: the_lease().silent()], ids=["sign", "look"])
def test_an_owner_that_was_silent_for_too_long_has_lost_its_lock_for_good(store, clock, look):
    with writing_alone(store):
        clock.now += 1.1 * lease.LEASE_SECONDS
        look()
        assert the_lease().lost
        clock.now = 0.0
        with pytest.raises(OutputBusyError, match="was lost"):
            write_file(store / "zarr.json", b"{}")


def _unreachable(*_: object) -> bool:
    raise FileAccessError("no network", "wait")


@pytest.mark.usefixtures("clock")
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


def test_small_objects_of_a_job_are_put_within_the_time_that_is_left(store, monkeypatch):
    lanes = []
    monkeypatch.setattr(ObjectPath, "write_bytes", lambda place, data: lanes.append((place.lane, len(data))))
    for length in (10, 2**20, 2**20 + 1):
        write_file(store / "zarr.json", bytes(length))
    assert lanes == [("records", 10), ("records", 2**20), ("transfers", 2**20 + 1)]
    client, _ = objects_at(str(store), "records")
    assert client.longest(2**20) < lease.LEASE_SECONDS / 2
