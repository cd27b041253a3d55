"""A bucket in memory, whose client can be told to fail at its n-th change."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from roitrace.store import objects
from roitrace.store.objects import ObjectFacts, Objects, Tail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Killed(Exception):
    """The process is gone."""


class MemoryBucket(Objects):
    """Objects in a dict.

    Attributes
    ----------
    contents : dict
        Key to bytes.
    changes : list of str
        What was changed, in order.
    fatal : int or None
        The change at which the process is killed; whatever it asks for from then on fails too.
    """

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.contents: dict[str, bytes] = {}
        self.changes: list[str] = []
        self.fatal: int | None = None

    def _change(self, what: str) -> None:
        self._live()
        self.changes.append(what)
        self._live()

    def _live(self) -> None:
        if self.fatal is not None and len(self.changes) >= self.fatal:
            raise Killed

    async def _facts(self, key: str) -> ObjectFacts | None:
        self._live()
        data = self.contents.get(key)
        return None if data is None else ObjectFacts(len(data), hashlib.md5(data).hexdigest())

    async def _whole(self, key: str) -> Any:
        self._live()
        return self.contents.get(key)

    async def _range(self, key: str, start: int, stop: int) -> Any:
        self._live()
        data = self.contents.get(key)
        return None if data is None else data[start:stop]

    async def _tail(self, key: str, length: int) -> Tail | None:
        self._live()
        data = self.contents.get(key)
        return None if data is None else Tail(memoryview(data[-length:]), len(data))

    async def _put(self, key: str, data: Any, *, only_if_absent: bool) -> None:
        if only_if_absent and key in self.contents:
            raise FileExistsError(key)
        self._change(f"put {key}")
        self.contents[key] = bytes(data)

    async def _copy(self, source: str, target: str) -> None:
        self._change(f"copy {source} to {target}")
        self.contents[target] = self.contents[source]

    async def _remove(self, keys: Iterable[str]) -> None:
        for key in keys:
            if key in self.contents:
                self._change(f"remove {key}")
                del self.contents[key]

    async def _names(self, prefix: str) -> set[str]:
        self._live()
        start = f"{prefix}/" if prefix else ""
        return {key[len(start) :].partition("/")[0] for key in self.contents if key.startswith(start)}

    async def _lengths(self, prefix: str) -> dict[str, int]:
        self._live()
        start = f"{prefix}/" if prefix else ""
        return {key: len(data) for key, data in self.contents.items() if key.startswith(start)}


@contextmanager
def memory_bucket(root: str = "s3://memory") -> Iterator[MemoryBucket]:
    """Give a bucket that is there for the length of the block."""
    bucket = MemoryBucket(root)
    opened = objects._open
    objects._open = lambda asked, seconds: bucket if asked == root else opened(asked, seconds)
    objects._clients.clear()
    try:
        yield bucket
    finally:
        objects._open = opened
        objects._clients.clear()
