"""What object stores refuse: one clear error, soon, and no credential in it."""

from __future__ import annotations

import pickle
import sys
import time
import traceback
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

import roitrace as rt
from roitrace.config import read_config
from roitrace.errors import ArgumentError, ConfigError, FileAccessError, FormatError, MissingDependencyError
from roitrace.store.object_errors import explain_object
from roitrace.store.object_glob import urls_matching
from roitrace.store.objects import objects_at
from tests.cloud.conftest import KEY, SECRET
from tests.cloud.servers import file_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cloud.servers import Server

BOTH = pytest.mark.parametrize("library", ["obstore", "s3fs"])


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of this test alone."""
    monkeypatch.setattr("roitrace.store.objects._clients", {})


def through(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if library == "s3fs":
        monkeypatch.setattr("roitrace.store.objects._rust", [False])


def refused(work: Callable[[], object], error: type[Exception] = FileAccessError) -> str:
    """Return the message of a refusal, once it is known to keep credentials to itself, also when it travels."""
    with pytest.raises(error) as caught:
        work()
    shown = "".join(traceback.format_exception(caught.value)) + repr(pickle.loads(pickle.dumps(caught.value)))
    assert KEY not in shown
    assert SECRET not in shown
    return str(caught.value)


@BOTH
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, "permission denied: s3://"),
        (401, "asks for credentials"),
        (400, "does not understand"),
    ],
)
def test_a_refusal_is_explained_at_once(
    library: str, status: int, said: str, bucket: str, s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(library, monkeypatch)
    objects, _ = objects_at(bucket)
    s3.log.failing = lambda _method, _path: status
    begin = time.monotonic()
    message = refused(lambda: objects.read("a/zarr.json"))
    assert time.monotonic() - begin < 5
    assert said in message
    assert "a/zarr.json" in message
    assert len(s3.log.requests) <= 3


@BOTH
@pytest.mark.parametrize("status", [500, 503])
def test_what_passes_is_tried_again(
    library: str, status: int, bucket: str, s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(library, monkeypatch)
    objects, _ = objects_at(bucket)
    objects.write("a", b"0123")
    left = Counter(failures=2)

    def failing(_method: str, _path: str) -> int:
        left["failures"] -= 1
        return status if left["failures"] >= 0 else 0

    s3.log.failing = failing
    assert objects.read_ranges("a", [(1, 3)]) == [b"12"]
    assert left["failures"] < 0


def test_a_web_server_is_asked_again_too(web: tuple[Path, Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roitrace.store.http_objects.FIRST_PAUSE", 0.01)
    folder, server = web
    (folder / "a").write_bytes(b"0123")
    objects, _ = objects_at(server.address)
    left = Counter(failures=2)

    def failing(_method: str, _path: str) -> int:
        left["failures"] -= 1
        return 503 if left["failures"] >= 0 else 0

    server.log.failing = failing
    assert objects.read("a") == b"0123"
    server.log.failing = lambda _method, _path: 503
    asked = len(server.log.requests)
    assert "fewer requests" in refused(lambda: objects.read("a"))
    assert len(server.log.requests) == asked + 5


@BOTH
def test_wrong_credentials_are_named(
    library: str, bucket: str, s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(library, monkeypatch)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "there is no profile nobody" in refused(lambda: objects_at(bucket))
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "incomplete" in refused(lambda: objects_at(bucket))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    objects, _ = objects_at(bucket)
    assert objects.anonymous
    s3.log.failing = lambda _method, _path: 403
    assert "no credentials were found" in refused(lambda: objects.read("a"))


def test_nobody_answers(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roitrace.store.obstore_objects.RETRIES", {"max_retries": 1})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "cannot be reached" in refused(lambda: objects_at(bucket)[0].read("a"))
    monkeypatch.setattr("roitrace.store.http_objects.FIRST_PAUSE", 0.01)
    assert "cannot be reached" in refused(lambda: objects_at("http://127.0.0.1:9/a")[0].read("a"))


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        (
            f"status code: 403: <Error><Code>InvalidAccessKeyId</Code><K>{KEY}</K></Error>",
            "access key is not known",
        ),
        (f"status code: 403: <Code>SignatureDoesNotMatch</Code> {KEY}", "secret key is wrong"),
        ("status code: 400: <Code>ExpiredToken</Code>", "have expired"),
        ("status code: 403: <Code>RequestTimeTooSkewed</Code>", "clock"),
        ("Received redirect without LOCATION", "another region"),
        ("status code: 503: <Code>SlowDown</Code>", "fewer requests"),
        ("error sending request: operation timed out, retry_timeout: 60s", "did not answer in time"),
        ("error sending request, retry_timeout: 60s", "cannot be reached"),
        (f"something of {KEY}", "failed"),
    ],
)
def test_what_stores_say_is_put_into_words(said: str, meaning: str) -> None:
    error = explain_object(RuntimeError(said), "s3://lab/a")
    assert meaning in str(error)
    assert KEY not in str(error)


def test_what_is_no_recording_is_named(bucket: str) -> None:
    objects, _ = objects_at(bucket)
    objects.write("movie.tif", b"II*\0")
    objects.write("set/one.zarr/zarr.json", b"{}")
    assert "only zarr is read" in refused(lambda: rt.open_recording(f"{bucket}/movie.tif"), FormatError)
    assert "below it are: one.zarr" in refused(lambda: rt.open_recording(f"{bucket}/set"), FormatError)
    assert f"did you mean {bucket}/set/one.zarr?" in refused(
        lambda: rt.open_recording(f"{bucket}/set/onne.zarr"), ArgumentError
    )
    assert "there is no bucket" in refused(lambda: rt.open_recording("s3://no-such-lab/movie.zarr"))
    assert "not read from a URL" in refused(lambda: rt.read_rois(f"{bucket}/movie.tif"), ArgumentError)


def test_a_server_without_ranges_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1000))
    with file_server(tmp_path, ranges=False) as server:
        objects, _ = objects_at(server.address)
        assert objects.read("a") == bytes(1000)
        assert objects.read_ranges("a", [(0, 1000)]) == [bytes(1000)]
        assert "no parts of files" in refused(lambda: objects.read_ranges("a", [(10, 20)]))
        assert "read-only" in refused(lambda: objects.write("a", b""))


def test_a_secret_in_a_configuration_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("recording: {path: 'https://anna:hunter2@host/a.zarr'}\noutput: {path: out.zarr}\n")
    assert "hunter2" not in refused(lambda: read_config(path), ConfigError)


def test_a_missing_package_is_named(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roitrace.store.objects.find_spec", lambda _name: None)
    with pytest.raises(MissingDependencyError, match=r"roitrace\[cloud\]"):
        objects_at(bucket)


def test_patterns_find_what_is_there(bucket: str) -> None:
    objects, _ = objects_at(bucket)
    for key in (
        "a1/m.zarr/zarr.json",
        "a2/m.zarr/zarr.json",
        "b/m.zarr/zarr.json",
        "a3/n.txt",
        ".a4/m.zarr/zarr.json",
    ):
        objects.write(key, b"{}")
    assert urls_matching(f"{bucket}/a*/m.zarr") == [f"{bucket}/a1/m.zarr", f"{bucket}/a2/m.zarr"]
    assert urls_matching(f"{bucket}/[ab]/*.zarr") == [f"{bucket}/b/m.zarr"]
    with pytest.raises(ArgumentError, match=r"\*\*"):
        urls_matching(f"{bucket}/**/m.zarr")


def test_files_alone_need_no_client() -> None:
    import subprocess

    code = (
        "import sys, tempfile, numpy, roitrace as rt; f = tempfile.mkdtemp();"
        "numpy.save(f + '/a.npy', numpy.zeros((4, 9, 9), 'u2')); rt.convert(f + '/a.npy', f + '/a.zarr');"
        "rt.open_recording(f + '/a.zarr').compute();"
        "assert not {'obstore', 's3fs', 'botocore', 'aiohttp'} & set(sys.modules), set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_forked_process_begins_anew(bucket: str) -> None:
    import os

    objects_at(bucket)[0].write("a", b"of the parent")
    child = os.fork()
    if child == 0:
        found: Any = None
        try:
            found = objects_at(bucket)[0].read("a")
        finally:
            os._exit(0 if found == b"of the parent" else 1)
    assert os.waitpid(child, 0)[1] == 0
