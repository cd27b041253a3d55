"""The clients of object stores: the same answers from each, the same errors, requests that are counted."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from roitrace.errors import FileAccessError
from roitrace.store import objects
from roitrace.store.objects import Objects, objects_at
from tests.cloud.conftest import KEY, SECRET

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cloud.servers import Server

MIB = 2**20


@pytest.fixture(params=["obstore", "s3fs"])
def client(request: pytest.FixtureRequest, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Objects:
    """The client of an empty bucket, through either library."""
    if request.param == "s3fs":
        monkeypatch.setattr("roitrace.store.objects._rust", [False])
    monkeypatch.setattr("roitrace.store.objects._clients", {})
    found, key = objects_at(f"{bucket}/a")
    assert key == "a"
    assert type(found).__name__ == {"obstore": "ObstoreObjects", "s3fs": "FsspecObjects"}[request.param]
    return found


def test_what_is_written_is_read(client: Objects) -> None:
    client.write("a/b", b"0123456789")
    client.write("a/c/d", b"")
    client.write("a/c/d", bytearray(b"abc"))
    client.write("ab", memoryview(b"x"))
    assert client.read("a/b") == b"0123456789"
    assert client.read_many(["a/c/d", "no", "ab"]) == [b"abc", None, b"x"]
    assert client.size("a/b") == 10
    assert client.size("no") is None
    assert client.facts("a/c/d").tag != client.facts("a/b").tag
    assert client.names("a") == ["b", "c"]
    assert client.names("") == ["a", "ab"]
    assert client.names("no") == []
    assert client.lengths("a") == {"a/b": 10, "a/c/d": 3}
    assert client.lengths("no") == {}
    assert [bytes(one) for one in client.read_ranges("a/b", [(8, 20), (0, 3), (2, 2)])] == [
        b"89",
        b"012",
        b"",
    ]
    tails = client.tails(["a/b", "no", "a/c/d"], 4)
    assert [None if one is None else (bytes(one.data), one.size) for one in tails] == [
        (b"6789", 10),
        None,
        (b"abc", 3),
    ]
    client.copy("a/b", "e")
    assert client.read("e") == b"0123456789"
    client.remove("a/b", "no", "e")
    assert client.lengths("") == {"a/c/d": 3, "ab": 1}


def test_one_of_those_who_put_at_once_is_the_first(client: Objects) -> None:
    client.write("lock", b"mine", only_if_absent=True)
    with pytest.raises(FileExistsError):
        client.write("lock", b"theirs", only_if_absent=True)
    assert client.read("lock") == b"mine"


def test_large_objects_have_the_time_that_a_slow_connection_takes(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_clients", {})
    client, _ = objects_at(bucket)
    assert client.longest() == 60
    # four such objects of each of four processes over 100 Mbit/s
    assert client.longest(256 * MIB) / 2 > 16 * 256 * MIB / 12.5e6
    asked = []
    monkeypatch.setattr(client, "_open", lambda **options: asked.append(options))
    monkeypatch.setattr(client, "_stores", {})
    for length in (0, 256 * MIB, 255 * MIB):
        client._store(length)
    assert [int(one["client_options"]["timeout"].removesuffix("ms")) for one in asked] == [30_000, 2_078_000]
    assert asked[1]["retry_config"]["retry_timeout"].total_seconds() == 2078


def test_few_long_transfers_are_under_way_at_once(
    client: Objects, s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "LONG_BYTES", 10)
    s3.log.delay, s3.log.most_at_once = 0.05, 0
    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda n: client.write(f"a{n}", bytes(11)), range(12)))
    assert s3.log.most_at_once <= objects.LONG_AT_ONCE


def test_who_is_interrupted_waits_for_what_is_under_way() -> None:
    class Interrupted(Future[None]):
        def result(self, timeout: float | None = None) -> None:
            raise KeyboardInterrupt(timeout)

    running = Interrupted()
    later = threading.Timer(0.2, running.set_result, [None])
    later.start()
    with pytest.raises(KeyboardInterrupt):
        objects._wait(running)
    assert running.done()


@pytest.mark.parametrize("how", ["permanent", "silent"])
@pytest.mark.parametrize("library", ["obstore", "s3fs", "http"])
def test_what_never_answers_is_given_up(
    library: str,
    how: str,
    bucket: str,
    s3: Server,
    web: tuple[Path, Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(objects, "_clients", {})
    monkeypatch.setitem(objects.SECONDS, "transfers", 0.5)
    if library == "s3fs":
        monkeypatch.setattr(objects, "_rust", [False])
    server = web[1] if library == "http" else s3
    client, _ = objects_at(server.address if library == "http" else bucket)
    end = threading.Event()

    def failing(_method: str, _path: str) -> int:
        if how == "silent":
            end.wait(120)
        return 503

    server.log.failing = failing
    works: list[Callable[[], object]] = [
        lambda: client.facts("a"),
        lambda: client.read_ranges("a", [(0, 3)]),
        lambda: client.names("a"),
    ]
    if library != "http":
        works += [lambda: client.write("a", b"x"), lambda: client.remove("a")]
    begin = time.monotonic()
    try:
        for work in works:
            with pytest.raises(FileAccessError, match="several retries"):
                work()
        assert time.monotonic() - begin < 30  # far from a minute for each
    finally:
        end.set()


def test_copies_are_made_together_and_not_again(client: Objects, s3: Server) -> None:
    for n in range(9):
        client.write(f"a/{n}", b"%d" % n)
    client.copy("a/0", "b/0")
    together = threading.Barrier(4)
    s3.log.requests.clear()
    # four copies are answered once all four are asked for
    s3.log.failing = lambda method, _path: 0 * together.wait(120) if method == "PUT" else 0
    client.copy_each([(f"a/{n}", f"b/{n}") for n in range(9)])
    s3.log.clear()
    assert client.read_many([f"b/{n}" for n in range(9)]) == [b"%d" % n for n in range(9)]
    s3.log.requests.clear()
    client.copy_each([(f"a/{n}", f"b/{n}") for n in range(9)])
    assert s3.log.of(method="PUT") == []


def test_credentials_are_no_keys_of_clients(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_clients", {})
    first, _ = objects_at(bucket)
    assert objects_at(bucket)[0] is first
    assert SECRET not in repr(objects._clients)
    assert KEY not in repr(objects._clients)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    assert objects_at(bucket)[0] is not first
