"""Run a piece of work in a forked child of a warm process, and see how it ends."""

from __future__ import annotations

import gc
import os
import select
import signal
import time
import traceback
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from roitrace.errors import RoitraceError

if TYPE_CHECKING:
    from collections.abc import Callable

End = Literal["done", "killed", "error", "untyped", "hang"]
LIMIT = 60.0


@dataclass(frozen=True)
class Outcome:
    """How a child ended, and what it had to say."""

    end: End
    message: str = ""


@dataclass(frozen=True)
class Child:
    """A forked child at work."""

    pid: int
    pipe: int

    def outcome(self, limit: float = LIMIT) -> Outcome:
        """Wait for the end; a child that does not come to one within `limit` seconds hangs."""
        deadline = time.monotonic() + limit
        said = b""
        while True:
            ready, _, _ = select.select([self.pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                os.close(self.pipe)
                return Outcome("hang", f"no end after {limit} s")
            part = os.read(self.pipe, 65536)
            if not part:
                break
            said += part
        os.close(self.pipe)
        _, status = os.waitpid(self.pid, 0)
        message = said.decode(errors="replace")
        if os.WIFSIGNALED(status):
            return Outcome("killed", f"signal {os.WTERMSIG(status)}")
        return Outcome(_ENDS.get(os.WEXITSTATUS(status), "untyped"), message)


_CODES: dict[End, int] = {"done": 0, "error": 1, "untyped": 3}
_ENDS = {code: end for end, code in _CODES.items()}


def fork(work: Callable[[], object]) -> Child:
    """Begin the work in a child. What it returns, if a string, and errors of our family are told; others with their traceback."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of Python 3.12: the parent has threads, all idle
        pid = os.fork()
    if pid:
        os.close(writing)
        return Child(pid, reading)
    os.close(reading)
    gc.disable()
    _end(writing, work)
    raise AssertionError  # not reached


def _end(pipe: int, work: Callable[[], object]) -> None:
    """Do the work and end the process."""
    outcome = _done(work)
    try:
        os.write(pipe, outcome.message.encode()[:60000])
    finally:
        os._exit(_CODES[outcome.end])


def _done(work: Callable[[], object]) -> Outcome:
    """Do the work; return how it ended."""
    try:
        value = work()
    except RoitraceError as error:
        return Outcome("error", f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        return Outcome("error", "KeyboardInterrupt")
    except BaseException:
        return Outcome("untyped", traceback.format_exc())
    return Outcome("done", value if isinstance(value, str) else "")


class _HangError(BaseException):
    """Ends work that does not come to an end."""


def run_here(work: Callable[[], object], limit: float = LIMIT) -> Outcome:
    """Do work that does not end the process in this one, in its main thread: three times as fast as in a child."""

    hangs = False

    def stop(*_: object) -> None:
        nonlocal hangs
        hangs = True
        raise _HangError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        outcome = _done(work)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if hangs:
        return Outcome("hang", f"no end after {limit} s: {outcome.message}")
    return outcome


def run_in_child(work: Callable[[], object], limit: float = LIMIT) -> Outcome:
    """Do the work in a child and return how it ended."""
    return fork(work).outcome(limit)
