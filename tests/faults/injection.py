"""What may go wrong with one operation on files, and making it go wrong."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from tests.faults.operations import CHANGES, MAKES, WRITES, Operation, Perform

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["kill", "torn", "eio", "enospc", "edquot", "short"]
KINDS: tuple[Kind, ...] = ("kill", "torn", "eio", "enospc", "edquot", "short")
NO_ROOM: dict[str, int] = {"enospc": errno.ENOSPC, "edquot": errno.EDQUOT}
DEADLY = ("kill", "torn")
"""Ends the process."""
NEEDS_SPACE = (*WRITES, *MAKES)


@dataclass(frozen=True)
class Fault:
    """The operation of this number (from 0) goes wrong in this way; `part` of its data is written first."""

    number: int
    kind: Kind
    part: float = 0.5


@dataclass
class Counter:
    """An observer that only notes the operations; those that fail by themselves under the kind ``failed``."""

    seen: list[Operation] = field(default_factory=list)

    def __call__(self, operation: Operation, perform: Perform) -> Any:
        self.seen.append(replace(operation, kind="failed"))
        value = perform(None)
        self.seen[-1] = operation
        return value


@dataclass
class Injector:
    """An observer that makes one operation go wrong; a full disk, or a quota that is used up, stays so.

    ``kill``: the process dies before it. ``torn``: part of the data is written (other operations: all is done), then the process dies.
    ``eio``, ``enospc``, ``edquot``: it fails with that error; the last two after part of the data. ``short``: part of the data is written, as the caller
    is told.
    """

    fault: Fault
    count: int = -1
    happened: Operation | None = None

    def __call__(self, operation: Operation, perform: Perform) -> Any:
        self.count += 1
        if self.count < self.fault.number or (self.happened and self.fault.kind not in NO_ROOM):
            return perform(None)
        kind = self.fault.kind
        if kind == "short" and len(operation.data) > 1:
            self.happened = operation
            return perform(self._part(operation))
        if kind in NO_ROOM and operation.kind in NEEDS_SPACE:
            if operation.data and self.happened is None and self._part(operation):
                perform(self._part(operation))
            self.happened = operation
            raise OSError(NO_ROOM[kind], os.strerror(NO_ROOM[kind]), operation.path)
        if kind == "eio":
            self.happened = operation
            raise OSError(errno.EIO, os.strerror(errno.EIO), operation.path)
        if kind in DEADLY:
            if kind == "torn":
                perform(self._part(operation) if operation.data else None)
            os.kill(os.getpid(), signal.SIGKILL)
        return perform(None)

    def _part(self, operation: Operation) -> int:
        return min(len(operation.data) - 1, max(0, int(self.fault.part * len(operation.data))))


def possible(operations: Sequence[Operation]) -> list[Fault]:
    """Return every way in which one of the operations may go wrong."""
    faults = []
    for number, operation in enumerate(operations):
        if operation.kind in CHANGES or operation.kind == "fsync":
            faults += [Fault(number, "kill"), Fault(number, "torn")]
        faults.append(Fault(number, "eio"))
        if operation.kind in NEEDS_SPACE:
            faults += [Fault(number, "enospc"), Fault(number, "edquot")]
        if len(operation.data) > 1:
            faults.append(Fault(number, "short"))
    return faults
