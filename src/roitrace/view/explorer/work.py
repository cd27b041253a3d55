"""Work off the event loop: one thing of a kind at a time, and of what waits only the newest."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from roitrace.errors import RoitraceError

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

    from tornado.ioloop import IOLoop

__all__ = ["Cancelled", "Newest", "with_notes"]


class Cancelled(RoitraceError):
    """Work that nobody waits for any more."""

    def __init__(self, problem: str = "stopped", next_step: str = "") -> None:
        super().__init__(problem, next_step)


@dataclass(frozen=True)
class _Asked:
    work: Callable[[], Any]
    done: Callable[[Any], object]
    failed: Callable[[], object] | None


class Newest:
    """Runs work in a thread; what is asked meanwhile replaces what waits.

    Parameters
    ----------
    loop : IOLoop
        Where results arrive.
    tell : callable
        Takes the sentence about an error.
    """

    def __init__(self, loop: IOLoop, tell: Callable[[str], object]) -> None:
        self._loop = loop
        self._tell = tell
        self._waiting: _Asked | None = None
        self._busy = False
        self._cancelled = False

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return self._busy

    def ask(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], object],
        failed: Callable[[], object] | None = None,
    ) -> None:
        """Run `work` in a thread, and on the loop `done` with its result, or `failed` where there is none."""
        self._waiting = _Asked(work, done, failed)
        if not self._busy:
            self._next()

    def cancel(self) -> None:
        """Let `check` stop what runs, and forget what waits."""
        self._waiting = None
        self._cancelled = self._busy

    def check(self, *_: object) -> None:
        """Stop the work that calls this, if it was cancelled.

        Raises
        ------
        Cancelled
            Then.
        """
        if self._cancelled:
            raise Cancelled

    def _next(self) -> None:
        if self._waiting is None:
            return
        asked, self._waiting = self._waiting, None
        self._busy, self._cancelled = True, False
        future = self._loop.run_in_executor(None, asked.work)
        self._loop.add_future(future, lambda ended: self._ended(ended, asked))

    def _ended(self, future: Future[Any], asked: _Asked) -> None:
        self._busy = False
        error = future.exception()
        try:
            if error is None:
                asked.done(future.result())
                return
            if asked.failed is not None:
                asked.failed()
            if not isinstance(error, Cancelled):
                self._tell(in_words(error))
                if not isinstance(error, RoitraceError | OSError | MemoryError):
                    raise error
        finally:
            self._next()


_hearing = threading.Lock()


def with_notes(work: Callable[[], Any]) -> tuple[Any, tuple[str, ...]]:
    """Return what work gives, and what it warns of, for people."""
    # Python's warnings are those of the whole process: one at a time may listen
    with _hearing, warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", UserWarning)
        result = work()
    return result, tuple(dict.fromkeys(str(one.message) for one in heard if one.category is UserWarning))


def in_words(error: BaseException) -> str:
    """Say an error in a sentence."""
    if isinstance(error, RoitraceError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if isinstance(error, MemoryError):
        return "the computer has no memory left; close other programs"
    return f"{type(error).__name__}: {error}; this is a mistake in roitrace, more stands in the terminal"
