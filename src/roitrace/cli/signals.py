"""Ctrl-C and SIGTERM: once, what runs is brought to an end and what is finished stays; twice, the program ends at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["SAFE", "stopping_when_told"]

SAFE = "stopped before the end; what is finished is safe, and no output was replaced"


@contextmanager
def stopping_when_told() -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM end the work of a block in order, and the second one the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _first) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _first(number: int, frame: FrameType | None) -> None:
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, _second)
    sys.stderr.write("\nstopping when the running tasks have ended; once more to stop at once\n")
    signal.default_int_handler(number, frame)


def _second(_number: int, _frame: FrameType | None) -> None:
    sys.stderr.write("error: stopped at once; what was finished before is safe\n")
    sys.stderr.flush()
    os._exit(1)
