"""Who may talk to the explorer: whoever has its link, from a page of its own."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bokeh.server.tornado import BokehTornado
from tornado.web import OutputTransform, RequestHandler

if TYPE_CHECKING:
    from tornado.httputil import HTTPHeaders, HTTPServerRequest

__all__ = ["Guard", "GuardedApplication", "SafeHeaders"]

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # nothing that a page shows may load from, or talk to, another place; notebooks on this machine may frame it
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self' {socket}; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self' http://localhost:* http://127.0.0.1:* vscode-webview:"
    ),
}


@dataclass(frozen=True)
class Guard:
    """What a request has to bring.

    Attributes
    ----------
    port : int
        Where the server listens, on loopback.
    token : str
        The secret of the link.
    """

    port: int
    token: str

    @property
    def hosts(self) -> tuple[str, str]:
        """Names that the server goes by; any other means that a foreign name was made to lead here."""
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"

    def refuses(self, request: HTTPServerRequest) -> str:
        """Return why a request is refused; nothing if it may pass."""
        host = request.headers.get_list("Host")
        if len(host) != 1 or host[0].lower() not in self.hosts:
            return "this server answers to 127.0.0.1 and localhost only"
        origins = request.headers.get_list("Origin")
        socket = request.headers.get("Upgrade", "").lower() == "websocket"
        own = {f"http://{one}" for one in self.hosts}
        if any(one.lower() not in own for one in origins) or (socket and len(origins) != 1):
            return "only pages of this server may talk to it"
        if request.path.startswith("/static/"):
            # the files of Bokeh, which hold no secret
            return ""
        given = request.query_arguments.get("token", [])
        if len(given) != 1 or not secrets.compare_digest(given[0], self.token.encode()):
            return "the link lacks the right token: use the link that roitrace explore printed"
        return ""


class GuardedApplication(BokehTornado):  # type: ignore[misc]
    """Bokeh's application behind a guard: every request goes past it, of pages, files and sockets alike."""

    guard: Guard

    def find_handler(self, request: HTTPServerRequest, **more: object) -> Any:
        """Give the handler of a request, or the one that refuses it."""
        reason = self.guard.refuses(request)
        if reason:
            return self.get_handler_delegate(request, _Refusal, {"reason": reason})
        return super().find_handler(request, **more)


class _Refusal(RequestHandler):
    def initialize(self, reason: str) -> None:
        self._why = reason

    def prepare(self) -> None:
        """Refuse, whatever the method is."""
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"refused: {self._why}\n")


class SafeHeaders(OutputTransform):
    """Puts on every answer what tells the browser to keep to this server."""

    def __init__(self, request: HTTPServerRequest) -> None:
        self._host = request.host

    def transform_first_chunk(
        self,
        status_code: int,
        headers: HTTPHeaders,
        chunk: bytes,
        finishing: bool,  # noqa: ARG002 - part of tornado's interface
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add the headers."""
        for name, value in _HEADERS.items():
            headers[name] = value.format(socket=f"ws://{self._host}")
        return status_code, headers, chunk
