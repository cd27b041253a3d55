"""A zarr array as a block source: decoded directly where its metadata says it is a common case, else through zarr."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import RoitraceError, StoreError
from roitrace.file_errors import explain, is_refusal
from roitrace.sources import BlockReader, BlockSource
from roitrace.store.decode import ChunkDecoder
from roitrace.store.places import place_of
from roitrace.store.remote_chunks import ahead_bytes
from roitrace.store.rooted import open_array
from roitrace.urls import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import zarr
    from numpy.typing import NDArray

    from roitrace.store.chunks import ChunkLayout

__all__ = ["ZarrSource"]


@dataclass(frozen=True)
class ZarrSource(BlockSource):
    """One channel and plane of a zarr array; a format says what its content is (`identity`).

    Attributes
    ----------
    store, array : str
        Folder or URL of the store, and path of the array inside it (``""`` if the store is the array).
    axes : tuple of int
        Which axes of the array are time, y and x.
    fixed : tuple of (int, int)
        Axis and index of every other axis.
    layout : ChunkLayout or None
        From `roitrace.store.chunks.read_layout`; None to go through zarr.
    complete : bool
        Whether a missing chunk is damage.
    manifest : str
        The manifest that chunks are compared with; empty if there is none.
    """

    store: str
    array: str
    axes: tuple[int, int, int]
    fixed: tuple[tuple[int, int], ...]
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    chunks: tuple[int, int, int]
    layout: ChunkLayout | None
    complete: bool
    manifest: str = ""

    @property
    def ranks(self) -> tuple[int, ...]:
        """Where time, y and x stand among the axes that are left when the others are fixed."""
        return tuple(sorted(self.axes).index(axis) for axis in self.axes)

    @property
    def ahead_bytes(self) -> int:
        """Memory that an open reader takes for what it fetches of an object store before it is asked for."""
        return 0 if self.layout is None or not is_url(self.store) else ahead_bytes(self.layout)

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        """Open the array for the length of one task."""
        if self.layout is None:
            yield _ZarrReader(open_array(self.store, self.array), self)
            return
        store = place_of(self.store)
        decoder = ChunkDecoder(
            store / self.array if self.array else store,
            self.layout,
            complete=self.complete,
            root=store,
            manifest=place_of(self.manifest) if self.manifest else None,
        )
        try:
            yield _DirectReader(decoder, self)
        finally:
            decoder.close()


class _DirectReader:
    """Lends single chunks as they are, puts several together otherwise."""

    def __init__(self, decoder: ChunkDecoder, source: ZarrSource) -> None:
        self._decoder = decoder
        self._source = source
        self._block = np.empty((0, 0, 0), source.dtype)
        self._told = False
        assert source.layout is not None
        pick: list[int | slice] = [slice(None)] * len(source.layout.shape)
        for axis, position in source.fixed:
            pick[axis] = position % source.layout.chunk[axis]
        self._pick = tuple(pick)

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        """Read a block ``(time, y, x)``; the next call may overwrite it."""
        parts = (time, y, x)
        numbers = self._numbers(parts)
        if not self._told:
            self._decoder.expect(map(self._index_of, product(*numbers)))
        if all(len(axis) == 1 for axis in numbers):
            own = (numbers[0][0], numbers[1][0], numbers[2][0])
            return self._chunk(own)[
                tuple(
                    slice(part.start - number * step, part.stop - number * step)
                    for part, number, step in zip(parts, own, self._source.chunks, strict=True)
                )
            ]
        block = self._room(tuple(part.stop - part.start for part in parts))
        for number in product(*numbers):
            inside, outside = [], []
            for part, index, step in zip(parts, number, self._source.chunks, strict=True):
                first, last = max(part.start, index * step), min(part.stop, (index + 1) * step)
                inside.append(slice(first - index * step, last - index * step))
                outside.append(slice(first - part.start, last - part.start))
            block[tuple(outside)] = self._chunk(number)[tuple(inside)]
        return block

    def expect(self, blocks: Iterable[tuple[slice, slice, slice]]) -> None:
        """Take note of the blocks that will be read next, in this order."""
        self._told = True
        self._decoder.expect(
            self._index_of(number) for parts in blocks for number in product(*self._numbers(parts))
        )

    def _numbers(self, parts: tuple[slice, slice, slice]) -> list[range]:
        """Return the chunks of a block, per axis."""
        return [
            range(part.start // step, -(-part.stop // step))
            for part, step in zip(parts, self._source.chunks, strict=True)
        ]

    def _index_of(self, number: tuple[int, ...]) -> tuple[int, ...]:
        """Return where the chunk with a number ``(time, y, x)`` stands along all axes of the array."""
        source = self._source
        assert source.layout is not None
        index = [0] * len(source.layout.shape)
        for axis, position in source.fixed:
            index[axis] = position // source.layout.chunk[axis]
        for axis, own in zip(source.axes, number, strict=True):
            index[axis] = own
        return tuple(index)

    def _chunk(self, number: tuple[int, ...]) -> NDArray[Any]:
        """Decode the chunk with a number ``(time, y, x)`` and bring it to ``(time, y, x)``."""
        source = self._source
        return self._decoder.decode(self._index_of(number))[self._pick].transpose(source.ranks)

    def _room(self, shape: tuple[int, ...]) -> NDArray[Any]:
        if self._block.shape != shape:
            self._block = np.empty(shape, self._source.dtype)
        return self._block


class _ZarrReader:
    """Everything that is not a common case."""

    def __init__(self, array: zarr.Array[Any], source: ZarrSource) -> None:
        self._array = array
        self._source = source

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        """Read a block ``(time, y, x)``."""
        index: list[int | slice] = [slice(None)] * self._array.ndim
        for axis, position in self._source.fixed:
            index[axis] = position
        for axis, part in zip(self._source.axes, (time, y, x), strict=True):
            index[axis] = part
        try:
            stored = np.asarray(self._array[tuple(index)])
        except RoitraceError:
            raise
        except (ValueError, RuntimeError, OSError) as error:
            if isinstance(error, OSError) and is_refusal(error):
                raise explain(error) from error
            raise StoreError(
                f"frames {time.start} to {time.stop} of {self._source.store} cannot be decoded: {error}",
                "restore the store from a copy",
            ) from error
        block = stored.transpose(self._source.ranks)
        return block.astype(self._source.dtype, copy=False)
