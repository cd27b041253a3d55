"""Servers of objects on this computer: moto's S3, and one of plain files; both count what is asked of them, and fail when told to."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


SIGNED = "AWS4-HMAC-SHA256 Credential=AKIAROITRACETESTS/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00"


@dataclass(frozen=True)
class Asked:
    """One request: its method, path, range, status and bytes of the answer."""

    method: str
    path: str
    span: str
    status: int
    sent: int


@dataclass
class Log:
    """What was asked of a server, and what it is to do about it.

    Attributes
    ----------
    requests : list of Asked
        In order of the answers.
    delay : float
        Seconds before each answer.
    failing : callable
        ``(method, path) -> status``, 0 to answer as usual.
    most_at_once : int
        Requests that were under way together.
    """

    requests: list[Asked] = field(default_factory=list)
    delay: float = 0.0
    failing: Callable[[str, str], int] = lambda _method, _path: 0
    most_at_once: int = 0
    _under_way: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Forget what was asked, and answer as usual."""
        self.requests.clear()
        self.delay, self.failing, self.most_at_once = 0.0, lambda _method, _path: 0, 0

    def of(self, ending: str = "", method: str = "GET") -> list[Asked]:
        """Return the requests of a kind."""
        return [one for one in self.requests if one.method == method and one.path.endswith(ending)]

    @property
    def sent(self) -> int:
        """Bytes of all answers."""
        return sum(one.sent for one in self.requests)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Count a request that is under way."""
        with self._lock:
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            time.sleep(self.delay)
            yield
        finally:
            with self._lock:
                self._under_way -= 1


@dataclass
class Server:
    """A server that runs: its address and its log."""

    address: str
    log: Log


class Counted:
    """A WSGI application whose requests are counted."""

    def __init__(self, application: Any, log: Log) -> None:
        self._application, self._log = application, log

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        statuses: list[int] = []
        if "%2D" in environ["RAW_URI"]:
            # Google's clients spell more of a name out than moto expects, and do not sign as Amazon's
            query = environ["QUERY_STRING"]
            plain = quote(path) + (f"?{query}" if query else "")
            environ |= {"RAW_URI": plain, "REQUEST_URI": plain, "HTTP_AUTHORIZATION": SIGNED}

        def start(status: str, *rest: Any) -> Any:
            statuses.append(int(status[:3]))
            return start_response(status, *rest)

        with self._log.answering():
            failing = self._log.failing(method, path)
            if failing:
                # what is left unread would be taken for the next request
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start(f"{failing} {HTTPStatus(failing).phrase}", [("Content-Length", "0")])
                body = [b""]
            else:
                body = list(self._application(environ, start))
        span = environ.get("HTTP_RANGE", "")
        self._log.requests.append(Asked(method, path, span, statuses[-1], sum(map(len, body))))
        return body


@contextmanager
def _running(server: HTTPServer, log: Log) -> Iterator[Server]:
    """Let a server answer in a thread of its own until the block ends."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}", log)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def s3_server() -> Iterator[Server]:
    """Run moto's server on a free port."""
    import logging

    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None:
            """Say nothing."""

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    log = Log()
    application = Counted(DomainDispatcherApplication(create_backend_app), log)
    with _running(
        make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet), log
    ) as running:
        yield running


class _Files(SimpleHTTPRequestHandler):
    """Files with ranges."""

    protocol_version = "HTTP/1.1"
    log_: Log
    ranges = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        with self.log_.answering():
            method, path = self.command, self.path
            place = Path(self.translate_path(path))
            failing = self.log_.failing(method, path) or (0 if place.exists() else 404)
            if place.is_dir() and not failing:
                super().do_GET()
                return
            data, status, extra = b"", failing or 200, {}
            span = self.headers.get("Range", "")
            if not failing:
                data = place.read_bytes()
                extra = {"ETag": f'"{place.stat().st_mtime_ns}"'}
                if span and self.ranges:
                    first, _, last = span.removeprefix("bytes=").partition("-")
                    start = int(first) if first else max(0, len(data) - int(last))
                    stop = min(int(last) + 1, len(data)) if first and last else len(data)
                    if start >= len(data):
                        data, status = b"", 416
                    else:
                        extra["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
                        data, status = data[start:stop], 206
            # before the answer: who has it may look at the log at once
            self.log_.requests.append(Asked(method, path, span, status, len(data) if body else 0))
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)


@contextmanager
def file_server(folder: Path, *, ranges: bool = True) -> Iterator[Server]:
    """Serve a folder over HTTP on a free port."""
    log = Log()

    class Handler(_Files):
        log_ = log

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

    Handler.ranges = ranges
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with _running(server, log) as running:
        yield running
