"""The clients of object stores: the same answers from each, the same errors, requests that are counted."""

from __future__ import annotations

import pytest

from roitrace.store.objects import Objects, objects_at


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
