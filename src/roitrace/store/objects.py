"""One object store, bucket or web server: small, blocking calls over the clients that others keep; many requests at once where a call asks for many.

`objects_at` gives the client of a URL, one per process: nothing here is pickled, whatever carries a URL opens it again where it is used.
Options and credentials are those of the environment and of the providers' own files (`AWS_*`, ``~/.aws``, `GOOGLE_*`, ``~/.netrc``).
"""

from __future__ import annotations

import asyncio
import os
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.util import find_spec
from posixpath import commonpath
from typing import TYPE_CHECKING, Any, TypeVar

from roitrace.errors import FileAccessError, MissingDependencyError, RoitraceError
from roitrace.store.byte_ranges import fetches
from roitrace.store.object_errors import explain_object, is_beyond_end
from roitrace.urls import join_url, split_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from roitrace.store.byte_ranges import Part

    Data = bytes | bytearray | memoryview

__all__ = ["ObjectFacts", "Objects", "Tail", "objects_at"]

_T = TypeVar("_T")
AT_ONCE = 16
"""Requests of one call that are under way together."""
SETTINGS = ("AWS_", "GOOGLE_", "STORAGE_EMULATOR_HOST", "GCE_METADATA_HOST")
"""Beginnings of the environment variables that a client is made from."""


@dataclass(frozen=True)
class ObjectFacts:
    """What an object store says of an object: its length in bytes, and a tag that changes with its content."""

    size: int
    tag: str


@dataclass(frozen=True)
class Tail:
    """The last bytes of an object, and how long all of it is."""

    data: memoryview
    size: int


class Objects(ABC):
    """The objects of one bucket or server.

    Keys have no slash at either end. Methods block; each raises FileAccessError where the store refuses, cannot be reached within its
    retries, or answers what cannot be understood. They may be called from several threads.

    Attributes
    ----------
    root : str
        ``s3://bucket``.
    failures : tuple of type
        What the client's library raises.
    """

    failures: tuple[type[Exception], ...] = (OSError, asyncio.TimeoutError)
    anonymous = False
    """Whether there were no credentials."""

    def __init__(self, root: str) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root!r})"

    def facts(self, key: str) -> ObjectFacts | None:
        """Return what is known of an object without reading it, None if it is not there."""
        return self._run(key, lambda: self._facts(key))

    def size(self, key: str) -> int | None:
        """Return the length of an object in bytes, None if it is not there."""
        facts = self.facts(key)
        return None if facts is None else facts.size

    def read(self, key: str) -> bytes | None:
        """Return the content of an object, None if it is not there."""
        return self.read_many([key])[0]

    def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the contents of objects, read together; None for those that are not there."""
        wanted = list(keys)
        found = self._together(wanted, [lambda key=key: self._whole(key) for key in wanted])  # type: ignore[misc]
        return [None if one is None else bytes(one) for one in found]

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """Return parts of an object, read together; near ones in one request.

        Parameters
        ----------
        key : str
            Of the object.
        ranges : sequence of (int, int)
            First byte and the one after the last; what lies beyond the end is left out.

        Raises
        ------
        FileAccessError
            If there is no such object, too.
        """
        found = self.read_parts([(key, start, stop) for start, stop in ranges])
        missing = FileAccessError(f"there is no {join_url(self.root, key)}", "check the address")
        views = [one for one in found if one is not None]
        if len(views) < len(found):
            raise missing
        return views

    def read_parts(self, parts: Sequence[Part]) -> list[memoryview | None]:
        """Return parts of several objects as `read_ranges`; None for those of objects that are not there."""
        wanted = fetches(parts)
        jobs = [lambda one=one: self._part(one.key, one.start, one.stop) for one in wanted]
        found = self._together([one.key for one in wanted], jobs)
        views: list[memoryview | None] = [memoryview(b"")] * len(parts)
        for fetch, data in zip(wanted, found, strict=True):
            view = None if data is None else memoryview(data)
            for number in fetch.parts:
                _, start, stop = parts[number]
                views[number] = None if view is None else view[start - fetch.start : stop - fetch.start]
        return views

    def tails(self, keys: Sequence[str], length: int) -> list[Tail | None]:
        """Return the last `length` bytes of objects, of shorter ones all, read together; None for those that are not there."""
        wanted = list(keys)
        return self._together(wanted, [lambda key=key: self._end(key, length) for key in wanted])  # type: ignore[misc]

    def write(self, key: str, data: Data, *, only_if_absent: bool = False) -> None:
        """Put an object, whole and at once; one that is there is replaced.

        Raises
        ------
        FileExistsError
            If one is there and `only_if_absent` is True. Where an answer got lost on the way it may be the one of this very call.
        """
        self._run(key, lambda: self._put(key, data, only_if_absent=only_if_absent))

    def copy(self, source: str, target: str) -> None:
        """Copy an object inside the bucket, without reading it here."""
        self._run(source, lambda: self._copy(source, target))

    def remove(self, *keys: str) -> None:
        """Remove objects; one that is not there is no error."""
        if keys:
            self._run(keys[0], lambda: self._remove(keys))

    def names(self, prefix: str) -> list[str]:
        """Return the names directly below a prefix, of objects and of what has objects below it, sorted."""
        folder = prefix.strip("/")
        return sorted(self._run(folder, lambda: self._names(folder)))

    def lengths(self, prefix: str) -> dict[str, int]:
        """Return key and length of all objects below a prefix, however deep, sorted by key; nothing is asked of single objects."""
        folder = prefix.strip("/")
        found = self._run(folder, lambda: self._lengths(folder))
        return {key: found[key] for key in sorted(found) if not folder or key.startswith(f"{folder}/")}

    async def _part(self, key: str, start: int, stop: int) -> Any:
        try:
            return await self._range(key, start, stop)
        except self.failures as error:
            if is_beyond_end(error):
                return b""
            raise

    async def _end(self, key: str, length: int) -> Tail | None:
        try:
            return await self._tail(key, length)
        except self.failures as error:
            if is_beyond_end(error):  # as of an object without bytes
                facts = await self._facts(key)
                return None if facts is None else Tail(memoryview(b""), facts.size)
            raise

    def _together(self, keys: Sequence[str], jobs: Sequence[Callable[[], Awaitable[_T]]]) -> list[_T]:
        """Run requests of one call together, so many at once; `keys` are for messages."""
        if not jobs:
            return []

        async def work() -> list[_T]:
            gate = asyncio.Semaphore(AT_ONCE)

            async def one(job: Callable[[], Awaitable[_T]]) -> _T:
                async with gate:
                    return await job()

            tasks = [asyncio.ensure_future(one(job)) for job in jobs]
            try:
                return await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()

        return self._run(commonpath(list(keys)), work)

    def _run(self, key: str, work: Callable[[], Awaitable[_T]]) -> _T:
        from fsspec.asyn import get_loop, sync  # noqa: PLC0415 - nobody who reads files needs it

        try:
            result: _T = sync(get_loop(), work)
        except (RoitraceError, FileExistsError):
            raise
        except self.failures as error:
            refusal = explain_object(error, join_url(self.root, key), anonymous=self.anonymous)
        else:
            return result
        # outside of the block, so that nothing is chained: what libraries say may quote keys and signatures
        raise refusal

    @abstractmethod
    async def _facts(self, key: str) -> ObjectFacts | None: ...

    @abstractmethod
    async def _whole(self, key: str) -> Any:
        """Return the content as a buffer, None if the object is not there."""

    @abstractmethod
    async def _range(self, key: str, start: int, stop: int) -> Any:
        """Return a part as a buffer, shorter at the end of the object; None if it is not there."""

    @abstractmethod
    async def _tail(self, key: str, length: int) -> Tail | None: ...

    @abstractmethod
    async def _put(self, key: str, data: Data, *, only_if_absent: bool) -> None: ...

    @abstractmethod
    async def _copy(self, source: str, target: str) -> None: ...

    @abstractmethod
    async def _remove(self, keys: Iterable[str]) -> None: ...

    @abstractmethod
    async def _names(self, prefix: str) -> set[str]: ...

    @abstractmethod
    async def _lengths(self, prefix: str) -> dict[str, int]: ...


_clients: dict[tuple[str, tuple[tuple[str, str], ...]], Objects] = {}
_lock = threading.Lock()
_rust: list[bool] = [True]
"""Whether obstore may be used: its threads do not survive a fork."""


def objects_at(url: str | os.PathLike[str]) -> tuple[Objects, str]:
    """Return the client of the bucket or server that a URL lies in, and the key there.

    Clients are kept for the length of the process, and made anew when the environment names other credentials.

    Parameters
    ----------
    url : str or path
        As `roitrace.urls.split_url` takes it.

    Raises
    ------
    ArgumentError
        If it is no URL of a known scheme, or carries a secret.
    MissingDependencyError
        If the packages for it are not installed.
    FileAccessError
        If the credentials cannot be read.
    """
    root, key = split_url(url)
    settings = tuple(sorted(one for one in os.environ.items() if one[0].startswith(SETTINGS)))
    with _lock:
        client = _clients.get((root, settings))
        if client is None:
            client = _clients[root, settings] = _open(root)
    return client, key


def _open(root: str) -> Objects:
    """Return a new client: obstore's where it is installed, otherwise one of fsspec's file systems."""
    scheme = root.partition("://")[0]
    if scheme in {"http", "https"}:
        _need(root, "aiohttp")
        from roitrace.store.http_objects import HttpObjects  # noqa: PLC0415 - loads slowly

        return HttpObjects(root)
    fallback = "s3fs" if scheme == "s3" else "gcsfs"
    if scheme == "s3":
        _need(root, "botocore")
    if _rust[0] and find_spec("obstore") is not None:
        from roitrace.store.obstore_objects import ObstoreObjects  # noqa: PLC0415 - loads slowly

        return ObstoreObjects(root)
    _need(root, fallback)
    from roitrace.store.fsspec_objects import FsspecObjects  # noqa: PLC0415 - loads slowly

    return FsspecObjects(root)


def _need(root: str, package: str) -> None:
    if find_spec(package) is None:
        raise MissingDependencyError(
            f"{root} needs the package {package}", "install it with: pip install 'roitrace[cloud]'"
        )


def _forget() -> None:
    """Begin anew in a forked process: threads and connections are the parent's."""
    global _lock  # noqa: PLW0603 - the parent may have held it
    _lock = threading.Lock()
    _rust[0] = not _clients and _rust[0]
    _clients.clear()


os.register_at_fork(after_in_child=_forget)
