"""Pages in Debian's headless Chromium, which see no network and whose every request and complaint is kept."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page, Route

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Visit:
    """A page, the requests that left it, and what it complained about.

    `requests` holds the addresses of everything but the page itself and data in it; those of other hosts were refused.
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def check_quiet(self) -> None:
        """Assert that nothing was complained about, and that nothing left for another host."""
        assert self.complaints == []
        assert [one for one in self.requests if not _is_local(one)] == []


def _is_local(address: str) -> bool:
    return address.startswith(
        ("http://127.0.0.1:", "http://localhost:", "ws://127.0.0.1:", "ws://localhost:")
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium; where there is none the test is skipped, but for CI, where it fails."""
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no Chromium; .ci/run installs it")
        pytest.skip("there is no Chromium: install the package chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Open an address in a window of its own: ``visit(url, width=1280, height=800)``."""
    contexts = []

    def open_page(address: str, *, width: int = 1280, height: int = 800) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        one = Visit(context.new_page())

        def keep(route: Route) -> None:
            asked = route.request.url
            if asked == address or asked.startswith(("data:", "blob:")):
                route.continue_()
            else:
                one.requests.append(asked)
                route.continue_() if _is_local(asked) else route.abort()

        context.route("**/*", keep)
        one.page.on(
            "console", lambda line: line.type in {"error", "warning"} and one.complaints.append(line.text)
        )
        one.page.on("pageerror", lambda problem: one.complaints.append(str(problem)))
        one.page.on("websocket", lambda socket: one.requests.append(socket.url))
        one.page.goto(address)
        return one

    yield open_page
    for context in contexts:
        context.close()
