"""A zarr store in an object store that is read; nothing in it is run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from roitrace.errors import FileAccessError
from roitrace.store.known import keys_of
from roitrace.store.objects import objects_at
from roitrace.store.rooted import METADATA, check_metadata

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from roitrace.store.places import ObjectPath

__all__ = ["ObjectStore"]


class ObjectStore(Store):
    """Read-only; refuses oversized metadata, and codecs that run code. Waiting for answers does not keep zarr from asking more.

    Parameters
    ----------
    place : ObjectPath
        Where the store begins.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, place: ObjectPath) -> None:
        super().__init__(read_only=True)
        self._place = place
        self._objects, _ = objects_at(str(place))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectStore) and other._place == self._place

    def __hash__(self) -> int:
        return hash(self._place)

    def __str__(self) -> str:
        return str(self._place)

    def __reduce__(self) -> tuple[type[ObjectStore], tuple[ObjectPath]]:
        return ObjectStore, (self._place,)

    def _key(self, key: str) -> str:
        return (self._place / key).key if key else self._place.key

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the content of an object, None if it is not there."""
        data = await asyncio.to_thread(self._read, self._key(key), byte_range)
        if data is None:
            return None
        if byte_range is None and key.rpartition("/")[2] in METADATA:
            check_metadata(bytes(data), str(self._place / key))
        return prototype.buffer.from_bytes(bytes(data))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of objects."""
        return list(await asyncio.gather(*(self.get(key, prototype, span) for key, span in key_ranges)))

    def _read(self, key: str, span: ByteRequest | None) -> bytes | memoryview | None:
        if span is None:
            return self._objects.read(key)
        if isinstance(span, RangeByteRequest):
            return self._objects.read_parts([(key, span.start, span.end)])[0]
        if isinstance(span, SuffixByteRequest):
            tail = self._objects.tails([key], span.suffix)[0]
            return None if tail is None else tail.data
        assert isinstance(span, OffsetByteRequest)
        size = self._objects.size(key)
        return None if size is None else self._objects.read_parts([(key, span.offset, size)])[0]

    async def exists(self, key: str) -> bool:
        """Whether an object is there."""
        return await asyncio.to_thread(self._objects.size, self._key(key)) is not None

    async def list(self) -> AsyncIterator[str]:
        """Yield all keys."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys below a prefix."""
        start = len(self._place.key) + 1 if self._place.key else 0
        for key in await asyncio.to_thread(self._objects.lengths, self._key(prefix.strip("/"))):
            yield key[start:]

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names directly below a prefix."""
        for name in await asyncio.to_thread(self._names, prefix.strip("/")):
            yield name

    def _names(self, prefix: str) -> Sequence[str]:
        keys = None if self._place.is_listed() else keys_of(self._place)
        if keys is None:
            return self._objects.names(self._key(prefix))
        start = f"{prefix}/" if prefix else ""
        return sorted({key[len(start) :].partition("/")[0] for key in keys if key.startswith(start)})

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse: what is written goes another way."""
        raise FileAccessError(f"{self._place / key} is only read here ({len(value)} bytes were given)")

    async def delete(self, key: str) -> None:
        """Refuse."""
        raise FileAccessError(f"{self._place / key} is only read here")
