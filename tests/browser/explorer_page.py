"""The explorer's page as a person uses it: places on the image, buttons, what is written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

__all__ = ["ExplorerPage", "Server", "serving"]

ROOT = Path(__file__).resolve().parents[2]
_PLACE = """
([name, x, y]) => {
  const model = Bokeh.documents[0].get_model_by_name(name);
  const view = Bokeh.index.find_one(model);
  const box = view.el.getBoundingClientRect();
  return [box.left + view.frame.x_scale.compute(x), box.top + view.frame.y_scale.compute(y)];
}
"""
_LINES = """
(name) => {
  const plot = Bokeh.documents[0].get_model_by_name(name);
  const lines = plot.renderers.filter((one) => one.glyph.type === "MultiLine");
  return lines.map((one) => one.data_source.data.xs.length);
}
"""
_TRACE = """
() => {
  const data = Bokeh.documents[0].get_model_by_name("traces").renderers[0].data_source.data;
  return data.ys.map((one) => Array.from(one));
}
"""


class ExplorerPage:
    """Drives a page that is open."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.wait_for_function(
            "() => window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle", timeout=60_000
        )

    def click(self, x: float, y: float, *, on: str = "image", shift: bool = False) -> None:
        """Click on a place of the image or the traces, in data units."""
        left, top = self.page.evaluate(_PLACE, [on, x, y])
        if shift:
            self.page.keyboard.down("Shift")
        self.page.mouse.click(left, top)
        if shift:
            self.page.keyboard.up("Shift")

    def drag(self, first: tuple[float, float], last: tuple[float, float]) -> None:
        """Drag from one place of the image to another."""
        begin, end = (self.page.evaluate(_PLACE, ["image", *place]) for place in (first, last))
        self.page.mouse.move(*begin)
        self.page.mouse.down()
        self.page.mouse.move((begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2)
        self.page.mouse.move(*end)
        self.page.mouse.up()

    def press(self, label: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=label, exact=True).click()

    def outlines(self) -> dict[str, int]:
        """Count the outlines on the image."""
        rejected, accepted, chosen = self.page.evaluate(_LINES, "image")
        return {"rejected": rejected, "accepted": accepted, "chosen": chosen}

    def traces(self) -> list[list[float]]:
        """Return the lines of the trace plot."""
        lines: list[list[float]] = self.page.evaluate(_TRACE)
        return lines

    def until(self, wanted: Any, timeout: float = 60.0) -> None:
        """Wait until a function gives something true."""
        end = time.monotonic() + timeout
        while not wanted():
            assert time.monotonic() < end, f"still not so: {self.text()}"
            self.page.wait_for_timeout(20)

    def text(self) -> str:
        """Return everything that the page says in words."""
        said: str = self.page.evaluate(
            """() => {
              const texts = [];
              const walk = (node) => {
                if (node.shadowRoot) walk(node.shadowRoot);
                for (const one of node.childNodes) {
                  if (one.nodeType === 3 && !["STYLE", "SCRIPT"].includes(node.nodeName)) texts.push(one.data);
                  else if (one.nodeType === 1) walk(one);
                }
              };
              walk(document.body);
              return texts.join(" ").replace(/\\s+/g, " ");
            }"""
        )
        return said


class Server:
    """A server in a process of its own, whose memory is watched from outside."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url, self.peak = process, url, 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            try:
                status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
            except OSError:
                return
            found = re.search(r"RssAnon:\s+(\d+)", status)
            self.peak = max(self.peak, int(found.group(1)) * 1024 if found else 0)

    def stop(self) -> None:
        """End it."""
        self._done.set()
        self._thread.join()
        self.process.terminate()
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def serving(recording: Path, folder: Path, *more: str) -> Iterator[Server]:
    """Run ``roitrace explore`` in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "roitrace",
        "explore",
        str(recording),
        "--no-browser",
        "--output",
        str(folder),
        *more,
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, line
    server = Server(process, found.group())
    try:
        yield server
    finally:
        server.stop()
