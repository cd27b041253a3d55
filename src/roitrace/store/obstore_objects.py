"""Buckets of S3 and Google through obstore, which retries by itself."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import GCSStore, S3Store

from roitrace.store.object_errors import explain_object
from roitrace.store.objects import AT_ONCE, SECONDS, ObjectFacts, Objects, Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from roitrace.store.objects import Data

__all__ = ["ObstoreObjects"]

_T = TypeVar("_T")
CLIENT: Any = {"connect_timeout": "5s", "allow_http": True}
"""Plain http is for endpoints that the environment names so."""
RETRIES: Any = {
    "max_retries": 5,
    "backoff": {
        "init_backoff": timedelta(milliseconds=200),
        "max_backoff": timedelta(seconds=5),
        "base": 2,
    },
}
CREATIONS = 4
"""Times that a conditional put is tried which was refused though nothing was there: another one was under way."""
LISTED_AT_ONCE = 1000
_COPIED_BYTES = 8 * 2**20
"""What copies and removals inside of a store are given the time of."""


class ObstoreObjects(Objects):
    """The objects of a bucket, ``s3://`` or ``gs://``."""

    failures = (BaseError, OSError, ValueError, asyncio.TimeoutError)

    def __init__(self, root: str, seconds: float = SECONDS["transfers"]) -> None:
        super().__init__(root, seconds)
        self._threads = ThreadPoolExecutor(AT_ONCE, "object-requests")
        self._stores: dict[float, Any] = {}
        scheme, _, bucket = root.partition("://")
        try:
            self._open: Callable[..., Any] = (
                self._of_amazon(bucket) if scheme == "s3" else self._of_google(bucket)
            )
            self._store()
        except (BaseError, ValueError) as error:
            refusal = explain_object(error, root)
        else:
            return
        raise refusal

    def _store(self, n_bytes: int = 0) -> Any:
        """Return a client that gives requests the time that so many bytes take: half of all for one, or for beginning another one."""
        longest = self.longest(n_bytes)
        if longest not in self._stores:
            limits = CLIENT | {"timeout": f"{round(500 * longest)}ms"}
            retries = RETRIES | {"retry_timeout": timedelta(seconds=longest / 2)}
            self._stores[longest] = self._open(client_options=limits, retry_config=retries)
        return self._stores[longest]

    def _of_amazon(self, bucket: str) -> Callable[..., S3Store]:
        from roitrace.store.cloud_settings import AwsSettings  # noqa: PLC0415 - loads slowly

        settings = AwsSettings.of_environment(self.root)
        self.anonymous = settings.found is None
        config: Any = {"skip_signature": True} if self.anonymous else {}
        config |= {
            key: value
            for key, value in (("region", settings.region), ("endpoint", settings.endpoint))
            if value is not None
        }
        provider: Any = None if self.anonymous else settings
        return partial(S3Store, bucket, config=config, credential_provider=provider)

    def _of_google(self, bucket: str) -> Callable[..., GCSStore]:
        from roitrace.store.cloud_settings import google_is_anonymous  # noqa: PLC0415 - loads slowly

        self.anonymous = google_is_anonymous()
        config: Any = {"skip_signature": True} if self.anonymous else {}
        return partial(GCSStore, bucket, config=config)

    async def _do(self, call: Callable[..., _T], *arguments: Any, n_bytes: int = 0, **options: Any) -> _T:
        """Wait for one call of obstore, which transfers so many bytes, in a thread.

        Its own asynchronous functions hand results over from threads of its own, which end the process when the interpreter ends first.
        """
        ready = partial(call, *arguments, **options)
        loop = asyncio.get_running_loop()
        return await self._in_time(lambda: loop.run_in_executor(self._threads, ready), n_bytes)

    async def _facts(self, key: str) -> ObjectFacts | None:
        try:
            meta = await self._do(obstore.head, self._store(), key)
        except FileNotFoundError:
            return None
        return ObjectFacts(int(meta["size"]), str(meta["e_tag"] or meta["last_modified"]))

    async def _whole(self, key: str) -> Any:
        try:
            size, data = await self._do(self._content, key)
            if data is not None:
                return data
            store = self._store(size)
            return await self._do(lambda: obstore.get(store, key).bytes(), n_bytes=size)
        except FileNotFoundError:
            return None

    async def _range(self, key: str, start: int, stop: int) -> Any:
        try:
            size = stop - start
            return await self._do(
                obstore.get_range, self._store(size), key, start=start, end=stop, n_bytes=size
            )
        except FileNotFoundError:
            return None

    async def _tail(self, key: str, length: int) -> Tail | None:
        try:
            return await self._do(self._last, self._store(length), key, length, n_bytes=length)
        except FileNotFoundError:
            return None

    async def _put(self, key: str, data: Data, *, only_if_absent: bool) -> None:
        size = memoryview(data).nbytes
        put = partial(self._do, obstore.put, self._store(size), key, data, use_multipart=False, n_bytes=size)
        if not only_if_absent:
            await put()
            return
        for _ in range(CREATIONS):
            try:
                await put(mode="create")
            except AlreadyExistsError:
                # S3 also answers so while another put or a removal is under way
                if await self._facts(key) is not None:
                    raise FileExistsError(key) from None
            else:
                return
        raise FileExistsError(key)

    async def _copy(self, source: str, target: str) -> None:
        await self._do(obstore.copy, self._store(_COPIED_BYTES), source, target, n_bytes=_COPIED_BYTES)

    async def _remove(self, keys: Iterable[str]) -> None:
        left = list(keys)
        for some in (left[n : n + LISTED_AT_ONCE] for n in range(0, len(left), LISTED_AT_ONCE)):
            try:
                await self._do(obstore.delete, self._store(), some, n_bytes=_COPIED_BYTES)
            except FileNotFoundError:
                for key in some:
                    with suppress(FileNotFoundError):
                        await self._do(obstore.delete, self._store(), key)

    async def _names(self, prefix: str) -> set[str]:
        found = await self._do(obstore.list_with_delimiter, self._store(), prefix or None)
        paths = [*found["common_prefixes"], *(one["path"] for one in found["objects"])]
        return {path.rstrip("/").rpartition("/")[2] for path in paths}

    async def _lengths(self, prefix: str) -> dict[str, int]:
        batches = iter(obstore.list(self._store(), prefix or None, chunk_size=LISTED_AT_ONCE))
        found: dict[str, int] = {}
        while (batch := await self._do(next, batches, None)) is not None:
            found |= {one["path"]: int(one["size"]) for one in batch}
        return found

    def _content(self, key: str) -> tuple[int, Any]:
        """Return the length of an object, and its content if it is short."""
        result = obstore.get(self._store(), key)
        size = int(result.meta["size"])
        return size, result.bytes() if self.longest(size) == self.longest() else None

    def _last(self, store: Any, key: str, length: int) -> Tail:
        result = obstore.get(store, key, options={"range": {"suffix": length}})
        size = int(result.meta["size"])
        return Tail(memoryview(result.bytes()), size)
