"""The encoded chunks of an array in an object store: shard indices first, then the chunks that will be read next, many at once."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import StoreError
from roitrace.store.checksum import CRC_BYTES
from roitrace.store.chunk_files import (
    ENTRY_BYTES,
    MISSING,
    check_extent,
    most_bytes,
    name_of_chunk,
    parse_index,
)
from roitrace.store.objects import objects_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from roitrace.store.byte_ranges import Part
    from roitrace.store.chunks import ChunkLayout
    from roitrace.store.objects import Tail
    from roitrace.store.places import ObjectPath

__all__ = ["AHEAD_BYTES", "RemoteChunks", "ahead_bytes"]

AHEAD_BYTES = 16 * 2**20
"""Encoded bytes that are fetched at once: an answer that takes 50 ms is waited for once for all of them."""
_INDEX_BYTES = 2**20
"""Bytes of shard indices that are fetched at once."""
_MOST_AHEAD = 4096
"""Chunks of a batch."""

_NOWHERE: Part = ("", 0, 0)

Index = tuple[int, ...]


def ahead_bytes(layout: ChunkLayout) -> int:
    """Return the memory that an open reader takes for what it has fetched and for what a client holds while it fetches: one chunk at least."""
    return 2 * (max(AHEAD_BYTES, layout.chunk_bytes) + max(_INDEX_BYTES, _index_bytes(layout)))


def _index_bytes(layout: ChunkLayout) -> int:
    return 0 if layout.shard is None else layout.chunks_per_shard * ENTRY_BYTES + CRC_BYTES


@dataclass(frozen=True)
class _Shard:
    """The index of a shard, ``(chunk, 2)``, and the length of its object."""

    index: NDArray[np.uint64]
    size: int


class RemoteChunks:
    """Chunks in objects. What is expected is fetched in batches of up to `AHEAD_BYTES`, which are kept until the next one.

    Parameters
    ----------
    array : ObjectPath
        Of the array.
    layout : ChunkLayout
        What its metadata says.
    """

    def __init__(self, array: ObjectPath, layout: ChunkLayout) -> None:
        self._array, self._layout = array, layout
        self._objects, _ = objects_at(str(array))
        self._coming: Iterator[Index] = iter(())
        self._queue: deque[Index] = deque()
        self._shards: dict[str, _Shard | StoreError | None] = {}
        self._ready: dict[Index, tuple[Part, memoryview | None]] = {}

    def read(self, index: Index) -> NDArray[np.uint8] | None:
        """Return the encoded bytes of a chunk, None if it is not there."""
        if index not in self._ready:
            self._ready.clear()
            self._fetch(index)
        (_, start, stop), data = self._ready[index]
        if data is None:
            return None
        if self._layout.shard is None:
            check_extent(self._name(index), len(data), len(data), stop - 1)
        else:
            check_extent(self._name(index), stop - start, len(data), stop - start)
        return np.frombuffer(data, np.uint8)

    def expect(self, indices: Iterable[Index]) -> None:
        """Take note of the chunks that will be read next, in this order; it is asked for them as they are needed."""
        self._coming = iter(indices)
        self._queue.clear()

    def close(self) -> None:
        """Let go of what was fetched."""
        self.expect(())
        self._ready.clear()
        self._shards.clear()

    def _fetch(self, index: Index) -> None:
        """Fetch a chunk, and with it as many of those that are expected as a batch takes."""
        self._look_ahead(index)
        self._fetch_shards(index)
        batch = {index: self._part(index)}
        total = self._bytes_of(batch[index])
        while self._queue and self._is_known(self._queue[0]):
            following = self._queue[0]
            if following not in batch:
                try:
                    part = self._part(following)
                except StoreError:  # to be raised when it is asked for, if it is
                    break
                total += self._bytes_of(part)
                if total > AHEAD_BYTES:
                    break
                batch[following] = part
            self._queue.popleft()
        wanted = {one: part for one, part in batch.items() if part is not None}
        found = self._objects.read_parts(list(wanted.values()))
        self._ready = {one: (_NOWHERE, None) for one, part in batch.items() if part is None}
        self._ready |= {one: (part, data) for (one, part), data in zip(wanted.items(), found, strict=True)}

    def _look_ahead(self, index: Index) -> None:
        """Fill the queue with what follows a chunk."""
        while len(self._queue) < _MOST_AHEAD:
            following = next(self._coming, None)
            if following is None:
                return
            if following != index and (not self._queue or self._queue[-1] != following):
                self._queue.append(following)

    def _fetch_shards(self, index: Index) -> None:
        """Fetch the indices of the shards that a chunk and those after it lie in, no more than a batch needs."""
        length = _index_bytes(self._layout)
        if not length:
            return
        most = max(1, _INDEX_BYTES // length)
        names = list(dict.fromkeys(self._layout.file_of(one) for one in (index, *self._queue)))[:most]
        self._shards = {name: known for name, known in self._shards.items() if name in names}
        unknown = [name for name in names if name not in self._shards]
        tails = self._objects.tails([(self._array / name).key for name in unknown], length)
        for name, tail in zip(unknown, tails, strict=True):
            self._shards[name] = None if tail is None else self._shard(name, tail, length)

    def _shard(self, name: str, tail: Tail, length: int) -> _Shard | StoreError:
        try:
            whole = bytes(tail.data) if len(tail.data) == length else b""
            return _Shard(parse_index(whole, self._array / name, tail.size), tail.size)
        except StoreError as error:
            return error

    def _is_known(self, index: Index) -> bool:
        return self._layout.shard is None or self._layout.file_of(index) in self._shards

    def _part(self, index: Index) -> Part | None:
        """Return where a chunk lies, None if it is not there."""
        name, most = self._layout.file_of(index), most_bytes(self._layout)
        key = (self._array / name).key
        if self._layout.shard is None:
            return key, 0, most + 1
        shard = self._shards[name]
        if isinstance(shard, StoreError):
            raise shard
        if shard is None:
            return None
        offset, length = (int(value) for value in shard.index[self._layout.place_in_shard(index)])
        if offset == MISSING and length == MISSING:
            return None
        check_extent(self._name(index), length, shard.size - offset, most)
        return key, offset, offset + length

    def _bytes_of(self, part: Part | None) -> int:
        """Return what a part takes; of a file that is one chunk, of unknown length, what an uncompressed one would."""
        if part is None:
            return 0
        return self._layout.chunk_bytes if self._layout.shard is None else part[2] - part[1]

    def _name(self, index: Index) -> str:
        return name_of_chunk(self._array, self._layout, index)
