"""Who writes an output: what a lock says of its owner, and to those who come second."""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roitrace.errors import OutputBusyError

if TYPE_CHECKING:
    from roitrace.store.places import Location

__all__ = ["busy", "is_dead", "myself", "owner_in"]


def myself(**more: Any) -> bytes:
    """Return what a lock of this process says."""
    since = datetime.now(tz=UTC).isoformat(timespec="seconds")
    own = {"pid": os.getpid(), "host": socket.gethostname(), "pids": _namespace(), "since": since}
    return json.dumps({**own, **more}).encode()


def owner_in(data: bytes) -> dict[str, Any]:
    """Return the owner that a lock names; nothing if it is not written yet."""
    try:
        known = json.loads(data)
    except ValueError:
        return {}
    return known if isinstance(known, dict) and {"pid", "host", "since"} <= known.keys() else {}


def is_dead(owner: dict[str, Any]) -> bool:
    """Whether the owner was a process of this computer that is gone."""
    if owner.get("host") != socket.gethostname() or owner.get("pids") != _namespace():
        return False
    try:
        os.kill(int(owner["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _namespace() -> str | None:
    """Return what tells the process numbers of this container from those of others on the same computer."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None


def busy(store: Location, owner: dict[str, Any], step: str = "wait until it has ended") -> OutputBusyError:
    """Return the error of a job that comes second."""
    who = (
        f"process {owner['pid']} on {owner['host']}, since {owner['since']}" if owner else "it has just begun"
    )
    return OutputBusyError(f"another job is writing {store}: {who}", f"{step}, or choose another output")
