"""A session without a page, driven as the page drives it, on a loop of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tornado.ioloop import IOLoop

from roitrace.recording import open_recording
from roitrace.view.explorer.reproduction import recording_section
from roitrace.view.explorer.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Driver:
    """Touches a session on its loop only, and waits until it is done."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._ready.wait()

    def _serve(self) -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        self.loop = IOLoop.current()
        self.loop.add_callback(self._ready.set)
        self.loop.start()
        self.loop.close(all_fds=True)

    def do(self, act: Callable[[], Any]) -> Any:
        """Call something on the loop, and return what it gives."""
        done, kept = threading.Event(), []

        def call() -> None:
            try:
                kept.append(act())
            finally:
                done.set()

        self.loop.add_callback(call)
        assert done.wait(30)
        return kept[0] if kept else None

    def settle(self) -> Session:
        """Wait until nothing runs any more."""
        end = time.monotonic() + 60
        while self.do(lambda: self.session.busy):
            assert time.monotonic() < end, "still busy"
            time.sleep(0.01)
        return self.session

    def stop(self) -> None:
        self.loop.add_callback(self.loop.stop)
        self._thread.join()


@contextmanager
def driving(recording: Any, folder: Path, **more: Any) -> Iterator[Driver]:
    """Begin a session of a recording, or of the path of one."""
    opened = recording
    told: dict[str, Any] = {}
    if not hasattr(recording, "dims"):
        opened = open_recording(recording)
        told = recording_section(recording, {}, opened)
    settings = {
        "told": told,
        "images": {},
        "rois": None,
        "folder": folder,
        "name": "movie",
        "budget": 500_000_000,
    }
    driver = Driver(Session(opened, **(settings | more)))
    driver.do(lambda: driver.session.start(driver.loop))
    driver.settle()
    try:
        yield driver
    finally:
        driver.stop()
