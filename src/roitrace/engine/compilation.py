"""Say so while kernels are compiled: it happens once on a machine and takes some seconds."""

from __future__ import annotations

import logging
import threading
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from numba.core.event import Listener, install_listener

if TYPE_CHECKING:
    from collections.abc import Callable

    from numba.core.event import Event

__all__ = ["announces_compilation"]

_LOGGER = logging.getLogger("roitrace")
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def announces_compilation(task: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Let a task tell, on the logger ``roitrace``, that it waits for a kernel of this package to be compiled."""

    @wraps(task)
    def announcing(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        with install_listener("numba:compile", _Announcer()):
            return task(*arguments, **options)

    return announcing


class _Announcer(Listener):
    """Speaks once, for the thread that made it: others have their own."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._silent = False

    def on_start(self, event: Event) -> None:
        kernel = event.data["dispatcher"].py_func
        own = kernel.__module__.startswith("roitrace.") and threading.get_ident() == self._thread
        if own and not self._silent:
            self._silent = True
            _LOGGER.warning(
                "compiling kernels for this machine (%s and others): once, up to two seconds each; later runs find them on disk",
                kernel.__name__,
            )

    def on_end(self, event: Event) -> None:
        """Nothing to say."""
