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
from roitrace.store.objects import AT_ONCE, ObjectFacts, Objects, Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from roitrace.store.objects import Data

__all__ = ["ObstoreObjects"]

_T = TypeVar("_T")
CLIENT: Any = {"connect_timeout": "5s", "timeout": "120s", "allow_http": True}
"""Plain http is for endpoints that the environment names so."""
RETRIES: Any = {
    "max_retries": 5,
    "backoff": {
        "init_backoff": timedelta(milliseconds=200),
        "max_backoff": timedelta(seconds=5),
        "base": 2,
    },
    "retry_timeout": timedelta(seconds=60),
}
CREATIONS = 4
"""Times that a conditional put is tried which was refused though nothing was there: another one was under way."""
LISTED_AT_ONCE = 1000


class ObstoreObjects(Objects):
    """The objects of a bucket, ``s3://`` or ``gs://``."""

    failures = (BaseError, OSError, ValueError, asyncio.TimeoutError)

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._threads = ThreadPoolExecutor(AT_ONCE, "object-requests")
        scheme, _, bucket = root.partition("://")
        try:
            self._store: Any = self._of_amazon(bucket) if scheme == "s3" else self._of_google(bucket)
        except (BaseError, ValueError) as error:
            refusal = explain_object(error, root)
        else:
            return
        raise refusal

    def _of_amazon(self, bucket: str) -> S3Store:
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
        return S3Store(
            bucket, config=config, client_options=CLIENT, retry_config=RETRIES, credential_provider=provider
        )

    def _of_google(self, bucket: str) -> GCSStore:
        from roitrace.store.cloud_settings import google_is_anonymous  # noqa: PLC0415 - loads slowly

        self.anonymous = google_is_anonymous()
        config: Any = {"skip_signature": True} if self.anonymous else {}
        return GCSStore(bucket, config=config, client_options=CLIENT, retry_config=RETRIES)

    async def _do(self, call: Callable[..., _T], *arguments: Any, **options: Any) -> _T:
        """Wait for one call of obstore in a thread.

        Its own asynchronous functions hand results over from threads of its own, which end the process when the interpreter ends first.
        """
        ready = partial(call, *arguments, **options)
        return await asyncio.get_running_loop().run_in_executor(self._threads, ready)

    async def _facts(self, key: str) -> ObjectFacts | None:
        try:
            meta = await self._do(obstore.head, self._store, key)
        except FileNotFoundError:
            return None
        return ObjectFacts(int(meta["size"]), str(meta["e_tag"] or meta["last_modified"]))

    async def _whole(self, key: str) -> Any:
        try:
            return await self._do(self._content, key)
        except FileNotFoundError:
            return None

    async def _range(self, key: str, start: int, stop: int) -> Any:
        try:
            return await self._do(obstore.get_range, self._store, key, start=start, end=stop)
        except FileNotFoundError:
            return None

    async def _tail(self, key: str, length: int) -> Tail | None:
        try:
            return await self._do(self._last, key, length)
        except FileNotFoundError:
            return None

    async def _put(self, key: str, data: Data, *, only_if_absent: bool) -> None:
        put = partial(self._do, obstore.put, self._store, key, data, use_multipart=False)
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
        await self._do(obstore.copy, self._store, source, target)

    async def _remove(self, keys: Iterable[str]) -> None:
        try:
            await self._do(obstore.delete, self._store, list(keys))
        except FileNotFoundError:
            for key in keys:
                with suppress(FileNotFoundError):
                    await self._do(obstore.delete, self._store, key)

    async def _names(self, prefix: str) -> set[str]:
        found = await self._do(obstore.list_with_delimiter, self._store, prefix or None)
        paths = [*found["common_prefixes"], *(one["path"] for one in found["objects"])]
        return {path.rstrip("/").rpartition("/")[2] for path in paths}

    async def _lengths(self, prefix: str) -> dict[str, int]:
        return await self._do(self._listed, prefix)

    def _content(self, key: str) -> Any:
        return obstore.get(self._store, key).bytes()

    def _last(self, key: str, length: int) -> Tail:
        result = obstore.get(self._store, key, options={"range": {"suffix": length}})
        size = int(result.meta["size"])
        return Tail(memoryview(result.bytes()), size)

    def _listed(self, prefix: str) -> dict[str, int]:
        batches = obstore.list(self._store, prefix or None, chunk_size=LISTED_AT_ONCE)
        return {one["path"]: int(one["size"]) for batch in batches for one in batch}
