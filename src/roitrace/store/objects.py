"""One object store, bucket or web server: small, blocking calls over the clients that others keep; many requests at once where a call asks for many.

`objects_at` gives the client of a URL, one per process: nothing here is pickled, whatever carries a URL opens it again where it is used.
Options and credentials are those of the environment and of the providers' own files (`AWS_*`, ``~/.aws``, `GOOGLE_*`, ``~/.netrc``).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from abc import ABC, abstractmethod
from concurrent.futures import wait
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from importlib.util import find_spec
from posixpath import commonpath
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from roitrace.errors import FileAccessError, MissingDependencyError, RoitraceError
from roitrace.store.byte_ranges import fetches
from roitrace.store.object_errors import explain_object, is_beyond_end
from roitrace.urls import join_url, split_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from concurrent.futures import Future
    from contextlib import AbstractAsyncContextManager

    from roitrace.store.byte_ranges import Part

    Data = bytes | bytearray | memoryview

__all__ = ["Lane", "ObjectFacts", "Objects", "Tail", "objects_at"]

_T = TypeVar("_T")
Lane = Literal["transfers", "records", "signs"]
"""Requests of one kind, which never wait for those of another: whatever is read and written, small objects of a job, signs of life of its lock."""
AT_ONCE = 16
"""Requests of one client that are under way together."""
LONG_BYTES = 8 * 2**20
"""An object of more is a long transfer."""
LONG_AT_ONCE = 4
"""Long transfers of one client that are under way together."""
SECONDS: dict[Lane, float] = {"transfers": 60.0, "records": 20.0, "signs": 10.0}
"""How long a request is tried at most, with all its repetitions."""
BYTES_PER_SECOND = 64 * 1024
"""Of what it transfers: the slowest way that is waited for."""
_SHORT_BYTES = 2**20
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
    seconds : float
        How long a request without bytes is tried.
    failures : tuple of type
        What the client's library raises.
    """

    failures: tuple[type[Exception], ...] = (OSError, asyncio.TimeoutError)
    anonymous = False
    """Whether there were no credentials."""

    def __init__(self, root: str, seconds: float = SECONDS["transfers"]) -> None:
        self.root, self.seconds = root, seconds
        self._slots, self._long_slots = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(LONG_AT_ONCE)

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

    def copy_each(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Copy objects inside the bucket, ``(source, target)``, many at once; not those whose target has the same length and tag already."""

        async def one(source: str, target: str) -> None:
            known = await self._facts(source)
            if known is None or known != await self._facts(target):
                await self._copy(source, target)

        self._together([source for source, _ in pairs], [partial(one, *pair) for pair in pairs])

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

    def longest(self, n_bytes: int = 0) -> float:
        """Return how long a request is tried at most, with all its repetitions, by what it transfers, s."""
        rounded = 0 if n_bytes <= _SHORT_BYTES else 1 << (n_bytes - 1).bit_length()
        return self.seconds + rounded / BYTES_PER_SECOND

    async def _in_time(self, call: Callable[[], Awaitable[_T]], n_bytes: int = 0) -> _T:
        """Wait for one request, once it is its turn, no longer than it may take."""
        gate: AbstractAsyncContextManager[None] = self._long_slots if n_bytes > LONG_BYTES else nullcontext()
        async with gate, self._slots, asyncio.timeout(self.longest(n_bytes)):
            return await call()

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
        from fsspec.asyn import get_loop  # noqa: PLC0415 - nobody who reads files needs it

        async def begin() -> _T:
            return await work()

        try:
            result = _wait(asyncio.run_coroutine_threadsafe(begin(), get_loop()))
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


def _wait(running: Future[_T]) -> _T:
    """Wait for a request; who is interrupted waits nevertheless: it must have no effect later, when the lock of an output is let go."""
    try:
        return running.result()
    except (KeyboardInterrupt, SystemExit):
        wait([running])
        raise


_clients: dict[tuple[str, Lane, str], Objects] = {}
_lock = threading.Lock()
_salt = secrets.token_bytes(16)
_rust: list[bool] = [True]
"""Whether obstore may be used: its threads do not survive a fork."""


def objects_at(url: str | os.PathLike[str], lane: Lane = "transfers") -> tuple[Objects, str]:
    """Return the client of the bucket or server that a URL lies in, and the key there.

    Clients are kept for the length of the process, and made anew when the environment names other credentials.

    Parameters
    ----------
    url : str or path
        As `roitrace.urls.split_url` takes it.
    lane : {'transfers', 'records', 'signs'}
        What it is for: each has threads, connections and a patience of its own.

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
    settings = _settings()
    with _lock:
        client = _clients.get((root, lane, settings))
        if client is None:
            client = _clients[root, lane, settings] = _open(root, SECONDS[lane])
    return client, key


def _settings() -> str:
    """Return what changes with the environment that a client is made from, and does not tell its secrets."""
    return blake2b(
        repr(sorted(one for one in os.environ.items() if one[0].startswith(SETTINGS))).encode(), key=_salt
    ).hexdigest()


def _open(root: str, seconds: float) -> Objects:
    """Return a new client: obstore's where it is installed, otherwise one of fsspec's file systems."""
    scheme = root.partition("://")[0]
    if scheme in {"http", "https"}:
        _need(root, "aiohttp")
        from roitrace.store.http_objects import HttpObjects  # noqa: PLC0415 - loads slowly

        return HttpObjects(root, seconds)
    fallback = "s3fs" if scheme == "s3" else "gcsfs"
    if scheme == "s3":
        _need(root, "botocore")
    if _rust[0] and find_spec("obstore") is not None:
        from roitrace.store.obstore_objects import ObstoreObjects  # noqa: PLC0415 - loads slowly

        return ObstoreObjects(root, seconds)
    _need(root, fallback)
    from roitrace.store.fsspec_objects import FsspecObjects  # noqa: PLC0415 - loads slowly

    return FsspecObjects(root, seconds)


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
