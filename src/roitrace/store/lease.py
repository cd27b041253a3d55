"""One writer per output in an object store: a lock that its owner keeps alive, and that ends soon after it.

The lock is an object ``lock.<n>`` in the folder of the run, which only one job can put. Its owner writes a sign of life into it again and
again. One whose process is known to be gone, or that gave no sign for so long, is taken over: by who first puts ``lock.<n + 1>``.
Clocks need not agree for that: before it takes over, a job watches the lock for as long as one holds.
Signs of life have a client of their own, which no transfer keeps waiting and which gives up soon. Half the time before a lock may be
another's its owner stops changing anything until the next sign has arrived, so that what was asked for before has come to an end.
"""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from roitrace.errors import FileAccessError, OutputBusyError
from roitrace.store.owner import busy, is_dead, myself, owner_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from roitrace.store.places import ObjectPath

__all__ = ["LEASE_SECONDS", "check_held", "leasing"]

LEASE_SECONDS = 60.0
"""How long a lock holds without a sign of life."""
_SIGNS = 4
"""Signs of life in that time."""
_AGAIN_SECONDS = 1.0
"""Before a sign is given again that did not arrive."""
_NAME = "lock."
_held: dict[str, _Lease] = {}
"""Locks of this process, by token."""


@dataclass(eq=False)
class _Lease:
    """A lock that this process holds.

    Attributes
    ----------
    store, place : ObjectPath
        The output and its lock.
    token : str
        Tells it from the locks of others.
    since : str
        When it was taken.
    renewed : float
        When its owner gave the last sign of life that arrived; seconds of `_now`.
    lost : bool
        Whether another job has taken it over, or might have: for good.
    """

    store: ObjectPath
    place: ObjectPath
    token: str
    since: str
    renewed: float
    lost: bool = False

    def sign(self) -> bytes:
        """Return what the lock says now."""
        now = datetime.now(tz=UTC).isoformat()
        return myself(since=self.since, sign=now, token=self.token, machine=_machine())

    def covers(self, path: ObjectPath) -> bool:
        """Whether a place belongs to the output: below it, beside it while it is made, or in the folder of its run."""
        folder, name = self.store.parent, self.store.name
        if path.root != folder.root or not path.key.startswith(f"{folder.key}/" if folder.key else ""):
            return False
        first = path.relative_to(folder).parts[:1]
        return first in {(name,), (f"{name}.run",), (f".{name}.new",), (f".{name}.old",)}

    def silent(self) -> float:
        """Return for how long no sign of life has arrived, s; a lock that was silent for too long is lost for good."""
        silent = _now() - self.renewed
        self.lost = self.lost or silent > LEASE_SECONDS
        return silent

    def check(self) -> None:
        """Wait for a sign of life where none has arrived for half the time; refuse to go on once the lock may be another's.

        Raises
        ------
        OutputBusyError
            If it was taken over, or no sign of life has arrived for so long that it may be.
        """
        while (silent := self.silent()) > LEASE_SECONDS / 2 and not self.lost:
            _sleep(LEASE_SECONDS / 600)
        if self.lost:
            why = (
                f"no sign of life arrived for {silent:.0f} s"
                if silent > LEASE_SECONDS
                else "another job has taken it over"
            )
            raise OutputBusyError(
                f"the lock of {self.store} was lost: {why}",
                "look at the connection, and give the same call again: what was finished is kept",
            )

    def renew(self, stop: threading.Event) -> None:
        """Give signs of life until told to stop."""
        pause = LEASE_SECONDS / _SIGNS
        while not self.lost and not stop.wait(pause):
            pause = LEASE_SECONDS / _SIGNS if self.renew_once(stop) else _AGAIN_SECONDS

    def renew_once(self, stop: threading.Event) -> bool:
        """Give a sign of life; return whether it arrived. Without any, `check` ends the job."""
        begin = _now()
        try:
            mine = _is_mine(self) and (_newest(self.place.parent) or self.place) == self.place
            if not mine or self.silent() > LEASE_SECONDS:
                self.lost = True
            elif not stop.is_set():
                self.place.write_bytes(self.sign())
                self.renewed = begin
        except FileAccessError:
            return False
        return True


@contextmanager
def leasing(store: ObjectPath, folder: ObjectPath) -> Iterator[None]:
    """Hold the lock of an output for the length of a `with` block; `folder` is that of its run.

    Raises
    ------
    OutputBusyError
        If another job holds it.
    """
    lease = _take(store, folder.on("signs"))
    stop = threading.Event()
    renewal = threading.Thread(target=lease.renew, args=(stop,), name=f"lock of {store}", daemon=True)
    _held[lease.token] = lease
    renewal.start()
    try:
        yield
    finally:
        stop.set()
        renewal.join()
        del _held[lease.token]
        if not lease.lost:
            with suppress(FileAccessError):  # it ends by itself, and what made the block fail is what counts
                lease.place.unlink(missing_ok=True)


def check_held(path: ObjectPath) -> None:
    """Refuse to change what belongs to an output whose lock this process has lost.

    Raises
    ------
    OutputBusyError
        If so.
    """
    for lease in list(_held.values()):
        if lease.covers(path):
            lease.check()


def _take(store: ObjectPath, folder: ObjectPath) -> _Lease:
    before = _newest(folder)
    said = None if before is None else _content(before)
    if before is not None and said is not None and not _is_over(before, said):
        raise _busy(store, said)
    place = folder / f"{_NAME}{0 if before is None else _number(before) + 1}"
    since = datetime.now(tz=UTC).isoformat(timespec="seconds")
    lease = _Lease(store, place, secrets.token_hex(8), since, _now())
    if not place.write_new(lease.sign()):
        raise _busy(store, _content(place) or b"")
    _check_exclusive(place)
    # one who saw no lock at all may have put another one meanwhile
    meanwhile = b"" if before is None else _content(before)
    if _newest(folder) != place or meanwhile not in {None, b"", said}:
        place.unlink(missing_ok=True)
        raise _busy(store, meanwhile or b"")
    folder.remove(*(one.name for one in _locks(folder) if one != place))
    return lease


def _check_exclusive(lock: ObjectPath) -> None:
    """Refuse a store that puts an object again although it is there already.

    Raises
    ------
    FileAccessError
        If that is so.
    """
    if lock.write_new(b"{}"):
        lock.unlink(missing_ok=True)
        raise FileAccessError(
            f"{lock.root} cannot lock outputs: it ignores If-None-Match, so that two jobs could write one at once",
            "write to a folder, or to a store that knows conditional writes",
        )


def _is_over(place: ObjectPath, said: bytes) -> bool:
    """Whether the owner of a lock is gone, or gives no sign of life any more."""
    owner = owner_in(said)
    if owner.get("machine") == _machine() and is_dead(owner):
        return True
    if abs(_age(owner)) < LEASE_SECONDS:
        return False
    end = _now() + LEASE_SECONDS
    while _now() < end:
        _sleep(LEASE_SECONDS / _SIGNS / 10)
        if _content(place) != said:
            return False
    return True


def _age(owner: dict[str, object]) -> float:
    """Return how old the last sign of life is, by the clocks of both computers, s."""
    try:
        return (datetime.now(tz=UTC) - datetime.fromisoformat(str(owner["sign"]))).total_seconds()
    except (KeyError, ValueError, TypeError):
        return float("inf")


def _busy(store: ObjectPath, said: bytes) -> OutputBusyError:
    step = f"wait until it has ended; if it was killed, its lock ends {LEASE_SECONDS:.0f} s after its last sign of life"
    return busy(store, owner_in(said), step)


def _is_mine(lease: _Lease) -> bool:
    return owner_in(_content(lease.place) or b"").get("token") == lease.token


def _content(place: ObjectPath) -> bytes | None:
    try:
        return place.read_bytes()
    except FileNotFoundError:
        return None


def _newest(folder: ObjectPath) -> ObjectPath | None:
    return max(_locks(folder), key=_number, default=None)


def _locks(folder: ObjectPath) -> list[ObjectPath]:
    return [one for one in folder.iterdir() if one.name.startswith(_NAME) and one.suffix[1:].isdecimal()]


def _number(lock: ObjectPath) -> int:
    return int(lock.suffix[1:])


def _now() -> float:
    """Return the time of a clock that runs on while the computer sleeps, s."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


def _machine() -> str:
    """Return what tells this computer from others of the same name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{uuid.getnode():x}"
