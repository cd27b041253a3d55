"""The explorer's server: on loopback, in a thread of its own, one document for each page that is opened."""

from __future__ import annotations

import asyncio
import html
import secrets
import socket
import threading
from typing import TYPE_CHECKING

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import BaseServer
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from roitrace.errors import ArgumentError
from roitrace.view.explorer.guard import Guard, GuardedApplication, SafeHeaders

if TYPE_CHECKING:
    from collections.abc import Callable

    from bokeh.document import Document

__all__ = ["PageServer", "frame_for"]

_ADDRESS = "127.0.0.1"
_UNUSED_FOR = 60_000


class PageServer:
    """Serves one page until it is stopped.

    Parameters
    ----------
    build : callable
        Fills the document of a page; called on the server's thread.
    port : int
        Where to listen; 0 takes a free one.

    Attributes
    ----------
    url : str
        The link, with its token.

    Raises
    ------
    ArgumentError
        If the port is taken or no port.
    """

    def __init__(self, build: Callable[[Document], None], port: int = 0) -> None:
        listening = _listen(port)
        number = int(listening.getsockname()[1])
        guard = Guard(number, secrets.token_urlsafe(32))
        self.url = f"http://{_ADDRESS}:{number}/?token={guard.token}"
        self.loop: IOLoop
        self._build = build
        self._guard = guard
        self._socket = listening
        self._ready = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="roitrace explorer", daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Stop answering."""
        if not self._stopped.is_set():
            self.loop.add_callback(self.loop.stop)
        self._thread.join()

    def wait(self) -> None:
        """Return when the server has stopped."""
        # in pieces, so that Ctrl-C is heard in between
        while not self._stopped.wait(0.5):
            pass

    def _serve(self) -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        self.loop = IOLoop.current()
        application = GuardedApplication(
            Application(FunctionHandler(self._build)),
            extra_websocket_origins=list(self._guard.hosts),
            unused_session_lifetime_milliseconds=_UNUSED_FOR,
            include_headers=[],
            include_cookies=[],
            ico_path="none",
            # links hold the token, and have no place in a log
            log_function=lambda _: None,
        )
        application.guard = self._guard
        application.add_transform(SafeHeaders)
        http = HTTPServer(application)
        http.add_socket(self._socket)
        server = BaseServer(self.loop, application, http)
        server.start()
        self.loop.add_callback(self._ready.set)
        try:
            self.loop.start()
        finally:
            server.stop(wait=False)
            self.loop.run_sync(http.close_all_connections)
            self.loop.close(all_fds=True)
            self._stopped.set()


def frame_for(url: str, height: int) -> str:
    """Return the HTML that shows a page inside another, such as a notebook's."""
    return (
        f'<iframe src="{html.escape(url, quote=True)}" title="roitrace explorer" '
        f'style="width: 100%; height: {height}px; border: 1px solid #ddd"></iframe>'
    )


def _listen(port: int) -> socket.socket:
    if not 0 <= port < 2**16:
        raise ArgumentError(f"port={port}, expected 1 to 65535, or 0 for a free one")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_ADDRESS, port))
    except OSError as error:
        listening.close()
        raise ArgumentError(
            f"port {port} of {_ADDRESS} cannot be had: {error.strerror}", "give another --port, or none"
        ) from error
    listening.listen(64)
    listening.setblocking(False)
    return listening
