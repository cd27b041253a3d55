from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
import pytest
import xarray as xr

import roitrace as rt
from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def explorer() -> Iterator[rt.Explorer]:
    movie = xr.DataArray(np.arange(9 * 64, dtype="uint16").reshape(9, 8, 8), dims=("time", "y", "x"))
    with rt.explore(movie) as explorer:
        yield explorer


def ask(explorer: rt.Explorer, path: str | None = None, **headers: str) -> tuple[int, str, dict[str, str]]:
    """Send one request, with exactly these headers besides Host."""
    link = urlsplit(explorer.url)
    connection = http.client.HTTPConnection("127.0.0.1", link.port, timeout=20)
    connection.putrequest("GET", f"/?{link.query}" if path is None else path, skip_host=True)
    connection.putheader("Host", headers.pop("host", f"127.0.0.1:{link.port}"))
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, body, dict(answer.getheaders())


def port_of(explorer: rt.Explorer) -> int:
    port = urlsplit(explorer.url).port
    assert port is not None
    return port


def upgrade(explorer: rt.Explorer, **headers: str) -> int:
    """Ask for a socket, and return the status."""
    link = urlsplit(explorer.url)
    given = {
        "host": f"127.0.0.1:{link.port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    } | headers
    path = given.pop("path", f"/ws?{link.query}")
    return ask(explorer, path, **given)[0]


def test_the_link_opens_the_page(explorer: rt.Explorer) -> None:
    status, body, headers = ask(explorer)
    assert status == 200
    assert "roitrace explorer" in body
    assert "https://" not in body.replace("https://json-schema.org", "")
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers


def test_localhost_is_as_good(explorer: rt.Explorer) -> None:
    assert ask(explorer, host=f"localhost:{port_of(explorer)}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?token=",
        "/?token=wrong",
        "/?token=%00",
        "/ws",
        "/metadata",
        "/autoload.js",
        "/favicon.ico",
        "/anything",
    ],
)
def test_without_the_token_nothing_is_answered(explorer: rt.Explorer, path: str) -> None:
    status, body, _ = ask(explorer, path)
    assert status == 403
    assert "token" in body


def test_two_tokens_are_none(explorer: rt.Explorer) -> None:
    query = urlsplit(explorer.url).query
    assert ask(explorer, f"/?{query}&{query}")[0] == 403
    assert ask(explorer, f"/?token=wrong&{query}")[0] == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1:1", "127.0.0.1", "127.0.0.1.evil.example:{port}", ""],
)
def test_another_host_is_refused(explorer: rt.Explorer, host: str) -> None:
    assert ask(explorer, host=host.format(port=port_of(explorer)))[0] in {400, 403}


def test_another_host_gets_not_even_the_files_of_bokeh(explorer: rt.Explorer) -> None:
    path = "/static/js/bokeh.min.js"
    assert ask(explorer, path)[0] == 200
    assert ask(explorer, path, host=f"evil.example:{port_of(explorer)}")[0] == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"]
)
def test_another_origin_is_refused(explorer: rt.Explorer, origin: str) -> None:
    origin = origin.format(port=port_of(explorer))
    assert ask(explorer, Origin=origin)[0] == 403
    assert upgrade(explorer, Origin=origin) == 403


def test_a_socket_needs_origin_and_token(explorer: rt.Explorer) -> None:
    own = f"http://127.0.0.1:{port_of(explorer)}"
    assert upgrade(explorer) == 403
    assert upgrade(explorer, Origin=own, path="/ws?token=wrong") == 403
    assert upgrade(explorer, Origin=own, path="/ws") == 403


def test_only_loopback_listens(explorer: rt.Explorer) -> None:
    assert urlsplit(explorer.url).hostname == "127.0.0.1"
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1"}:
        with socket.socket() as other:
            other.settimeout(2)
            assert other.connect_ex((address, port_of(explorer))) != 0


def test_tokens_differ_and_are_long(explorer: rt.Explorer) -> None:
    movie = xr.DataArray(np.zeros((2, 4, 4), "uint8"), dims=("time", "y", "x"))
    with rt.explore(movie) as other:
        first, second = (urlsplit(one.url).query for one in (explorer, other))
    assert first != second
    assert len(first) > 40


def test_a_taken_port_is_said(explorer: rt.Explorer) -> None:
    movie = xr.DataArray(np.zeros((2, 4, 4), "uint8"), dims=("time", "y", "x"))
    with pytest.raises(ArgumentError, match=f"port {port_of(explorer)} of 127.0.0.1 cannot be had"):
        rt.explore(movie, port=port_of(explorer))
    with pytest.raises(ArgumentError, match="expected 1 to 65535"):
        rt.explore(movie, port=70000)


def test_nothing_answers_after_stop() -> None:
    movie = xr.DataArray(np.zeros((2, 4, 4), "uint8"), dims=("time", "y", "x"))
    explorer = rt.explore(movie)
    assert ask(explorer)[0] == 200
    explorer.stop()
    explorer.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(explorer)


def test_a_notebook_shows_the_page(explorer: rt.Explorer) -> None:
    shown = explorer._repr_html_()
    assert shown.startswith("<iframe")
    assert explorer.url in shown
    assert explorer.url in repr(explorer)
