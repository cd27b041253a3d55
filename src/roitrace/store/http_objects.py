"""Files of a web server, read-only, through the session of fsspec's HTTPFileSystem."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from fsspec.implementations.http import HTTPFileSystem

from roitrace.errors import FileAccessError
from roitrace.store.objects import SECONDS, ObjectFacts, Objects, Tail
from roitrace.urls import join_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from roitrace.store.objects import Data

__all__ = ["HttpObjects"]

ATTEMPTS = 5
FIRST_PAUSE = 0.2
"""Seconds before the second attempt; doubled each time, with chance."""
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Statuses that a second attempt may not meet."""
_SIZE = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    data: bytes


class HttpObjects(Objects):
    """The files below a web server's root."""

    failures = (OSError, asyncio.TimeoutError, aiohttp.ClientError)

    def __init__(self, root: str, seconds: float = SECONDS["transfers"]) -> None:
        super().__init__(root, seconds)
        limits = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=seconds / 2)
        # as its environment says: proxies, ~/.netrc
        client = {"timeout": limits, "trust_env": True}
        self._files = HTTPFileSystem(client_kwargs=client, skip_instance_cache=True)

    async def _ask(self, method: str, key: str, span: tuple[str, int] | None = None) -> _Answer | None:
        """Return what the server answers, None if there is no such file. Passing failures are met by further attempts.

        `span` is a range of bytes, as HTTP spells it, and how many these are at most.
        """
        async with self._slots, asyncio.timeout(self.longest(span[1] if span else 0)) as limit:
            return await self._ask_until(limit, method, key, span)

    async def _ask_until(
        self, limit: asyncio.Timeout, method: str, key: str, span: tuple[str, int] | None
    ) -> _Answer | None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._ask_once(limit, method, key, span)
            except aiohttp.ClientResponseError as error:
                if error.status not in PASSING or attempt == ATTEMPTS:
                    raise
            except (TimeoutError, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
                if attempt == ATTEMPTS:
                    raise
            await asyncio.sleep(FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
        return None

    async def _ask_once(
        self, limit: asyncio.Timeout, method: str, key: str, span: tuple[str, int] | None
    ) -> _Answer | None:
        session = await self._files.set_session()
        headers = {"Accept-Encoding": "identity"} | ({} if span is None else {"Range": f"bytes={span[0]}"})
        url = self._files.encode_url(join_url(self.root, key))
        async with session.request(method, url, headers=headers, allow_redirects=True) as answer:
            if answer.status in {404, 410}:
                return None
            answer.raise_for_status()
            length = answer.headers.get("Content-Length")
            # a server without ranges sends all of the file: good enough if that is no more than was asked for
            if span is not None and answer.status != 206 and not (length and int(length) <= span[1]):
                raise FileAccessError(
                    f"{self.root} gives no parts of files: it answers a request for bytes of {key} with all of it",
                    "copy the recording here, or to a server that understands Range requests",
                )
            if span is None and method == "GET" and length:  # only now is it known how much comes
                limit.reschedule(asyncio.get_running_loop().time() + self.longest(int(length)))
            return _Answer(answer.status, answer.headers.copy(), await answer.read())

    async def _facts(self, key: str) -> ObjectFacts | None:
        answer = await self._ask("HEAD", key)
        if answer is None:
            return None
        tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        length = answer.headers.get("Content-Length")
        if length is not None:
            return ObjectFacts(int(length), tag)
        tail = await self._tail(key, 1)
        return None if tail is None else ObjectFacts(tail.size, tag)

    async def _whole(self, key: str) -> Any:
        answer = await self._ask("GET", key)
        return None if answer is None else answer.data

    async def _range(self, key: str, start: int, stop: int) -> Any:
        answer = await self._ask("GET", key, (f"{start}-{stop - 1}", stop - start))
        if answer is None:
            return None
        return answer.data if answer.status == 206 else answer.data[start:stop]

    async def _tail(self, key: str, length: int) -> Tail | None:
        answer = await self._ask("GET", key, (f"-{length}", length))
        if answer is None:
            return None
        size = _SIZE.fullmatch(answer.headers.get("Content-Range", ""))
        return Tail(memoryview(answer.data), int(size[1]) if size else len(answer.data))

    async def _put(self, key: str, data: Data, *, only_if_absent: bool) -> None:  # noqa: ARG002
        raise self._read_only(key)

    async def _copy(self, source: str, target: str) -> None:  # noqa: ARG002
        raise self._read_only(target)

    async def _remove(self, keys: Iterable[str]) -> None:
        raise self._read_only(next(iter(keys)))

    def _read_only(self, key: str) -> FileAccessError:
        return FileAccessError(
            f"{join_url(self.root, key)} cannot be written to: web servers are read-only",
            "write to a folder, or to s3:// or gs://",
        )

    async def _names(self, prefix: str) -> set[str]:
        """Return the names that the server's page of a folder links to; few servers have one."""
        folder = f"{join_url(self.root, prefix)}/"
        try:
            found = await self._in_time(lambda: self._files._ls(folder, detail=False))
        except FileNotFoundError:
            return set()
        inside = (one[len(folder) :].strip("/") for one in found if one.startswith(folder))
        return {name for name in inside if name and not set("/?#") & set(name)}

    async def _lengths(self, prefix: str) -> dict[str, int]:
        raise FileAccessError(
            f"{join_url(self.root, prefix)} cannot be listed: web servers do not say what they hold",
            "copy it here first, or give its address at the object store (s3://, gs://)",
        )
