"""Jobs that are killed at a chosen operation of the file system, and what is left of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import TYPE_CHECKING, Any

from roitrace.store import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FORK = multiprocessing.get_context("fork")


def kill_at(number: int, job: Callable[[], Any], *, only: str = "", torn: bool = False) -> bool:
    """Run a job in a process of its own that is killed (SIGKILL) instead of its n-th operation; return whether it was.

    `only` counts the operations of that name. With `torn`, half of the bytes are written first if the operation is a write.
    """
    process = _FORK.Process(target=_run, args=(number, job, only, torn))
    process.start()
    process.join(60)
    if process.exitcode not in {0, -signal.SIGKILL}:
        process.kill()
        raise AssertionError(f"the job ended with {process.exitcode}")
    return process.exitcode != 0


def _run(number: int, job: Callable[[], Any], only: str, torn: bool) -> None:
    done = 0
    perform = files.perform

    def counted(operation: str, path: Path, call: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal done
        done += not only or operation == only
        if done == number and (not only or operation == only):
            if torn and operation == "write" and call is os.write:
                call(arguments[0], arguments[1][: len(arguments[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return perform(operation, path, call, *arguments)

    files.perform = counted
    job()


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
