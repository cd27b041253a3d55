"""Buckets through fsspec's file systems, where obstore is not: s3fs, gcsfs."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import fsspec
from botocore.exceptions import BotoCoreError, ClientError

from roitrace.store.objects import AT_ONCE, SECONDS, ObjectFacts, Objects, Tail

if TYPE_CHECKING:
    from collections.abc import Iterable

    from roitrace.store.objects import Data

__all__ = ["FsspecObjects"]

RETRIES = {"connect_timeout": 5, "retries": {"max_attempts": 5, "mode": "standard"}}
_COPIED_BYTES = 8 * 2**20
"""What requests are given the time of whose length is not known: copies, listings, whole objects."""


class FsspecObjects(Objects):
    """The objects of a bucket, ``s3://`` or ``gs://``."""

    failures = (OSError, asyncio.TimeoutError, aiohttp.ClientError, BotoCoreError, ClientError, ValueError)

    def __init__(self, root: str, seconds: float = SECONDS["transfers"]) -> None:
        super().__init__(root, seconds)
        scheme, _, self._bucket = root.partition("://")
        options = {"use_listings_cache": False, "skip_instance_cache": True}
        if scheme == "s3":
            options |= self._of_amazon()
        self._files: Any = fsspec.filesystem(scheme, **options)

    def _of_amazon(self) -> dict[str, Any]:
        from roitrace.store.cloud_settings import AwsSettings  # noqa: PLC0415 - loads slowly

        settings = AwsSettings.of_environment(self.root)
        self.anonymous = settings.found is None
        client = {} if settings.region is None else {"region_name": settings.region}
        return {
            "anon": self.anonymous,
            "endpoint_url": settings.endpoint,
            "client_kwargs": client,
            "config_kwargs": {**RETRIES, "read_timeout": self.seconds / 2, "max_pool_connections": AT_ONCE},
        }

    def _path(self, key: str) -> str:
        return f"{self._bucket}/{key}" if key else self._bucket

    async def _facts(self, key: str) -> ObjectFacts | None:
        try:
            known = await self._in_time(lambda: self._files._info(self._path(key), refresh=True))
        except FileNotFoundError:
            return None
        if known["type"] != "file":
            return None
        tag = known.get("ETag") or known.get("etag") or known.get("LastModified") or known.get("mtime")
        return ObjectFacts(int(known["size"]), str(tag))

    async def _whole(self, key: str) -> Any:
        try:
            return await self._in_time(lambda: self._files._cat_file(self._path(key)), _COPIED_BYTES)
        except FileNotFoundError:
            return None

    async def _range(self, key: str, start: int, stop: int) -> Any:
        path, length = self._path(key), stop - start
        try:
            return await self._in_time(lambda: self._files._cat_file(path, start=start, end=stop), length)
        except FileNotFoundError:
            return None

    async def _tail(self, key: str, length: int) -> Tail | None:
        facts = await self._facts(key)
        if facts is None:
            return None
        data = b"" if facts.size == 0 else await self._range(key, max(0, facts.size - length), facts.size)
        return None if data is None else Tail(memoryview(data), facts.size)

    async def _put(self, key: str, data: Data, *, only_if_absent: bool) -> None:
        # one put, never in parts: those of an upload that was stopped would stay, and cost
        mode = "create" if only_if_absent else "overwrite"
        whole, path = bytes(data), self._path(key)
        size = len(whole)
        await self._in_time(lambda: self._files._pipe_file(path, whole, chunksize=size + 1, mode=mode), size)

    async def _copy(self, source: str, target: str) -> None:
        paths = self._path(source), self._path(target)
        await self._in_time(lambda: self._files._cp_file(*paths), _COPIED_BYTES)

    async def _remove(self, keys: Iterable[str]) -> None:
        for key in keys:
            try:
                await self._in_time(partial(self._files._rm_file, self._path(key)))
            except FileNotFoundError:
                continue

    async def _names(self, prefix: str) -> set[str]:
        try:
            found = await self._in_time(
                lambda: self._files._ls(self._path(prefix), detail=False, refresh=True)
            )
        except FileNotFoundError:
            return set()
        own = self._path(prefix)
        return {path.rstrip("/").rpartition("/")[2] for path in found if path.rstrip("/") != own}

    async def _lengths(self, prefix: str) -> dict[str, int]:
        found = await self._in_time(
            lambda: self._files._find(self._path(prefix), detail=True, refresh=True), _COPIED_BYTES
        )
        skipped = len(self._bucket) + 1
        return {
            path[skipped:]: int(known["size"]) for path, known in found.items() if known["type"] == "file"
        }
