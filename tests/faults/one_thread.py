"""Let zarr do its work in the thread that asks for it: forked children have no other, and handing over costs more than the work."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import zarr.core.sync

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

_LOOPS: list[asyncio.AbstractEventLoop] = []
# a child shares the pipes of its parent's loop
os.register_at_fork(after_in_child=_LOOPS.clear)


@contextmanager
def in_this_thread() -> Iterator[None]:
    """Replace zarr's loop, which runs in a thread of its own, inside the block."""
    real = zarr.core.sync.sync
    users = [
        module
        for name, module in sys.modules.items()
        if name.startswith(("zarr.", "xarray.")) and module.__dict__.get("sync") is real
    ]
    with ExitStack() as stack:
        for module in users:
            stack.enter_context(patch.object(module, "sync", _run))
        stack.enter_context(patch.object(asyncio, "to_thread", _at_once))
        yield


def _run(coroutine: Coroutine[Any, Any, Any], loop: object = None, timeout: object = None) -> Any:
    del loop, timeout
    if not _LOOPS:
        _LOOPS.append(asyncio.new_event_loop())
    return _LOOPS[-1].run_until_complete(coroutine)


async def _at_once(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    return function(*arguments, **options)
