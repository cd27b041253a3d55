"""Block sources to test with: in memory, counted, failing, made on the fly."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import StoreError
from roitrace.sources import BlockReader, BlockSource, RecordingFile, RecordingMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

READS: dict[str, Counter[tuple[int, int, int]]] = {}
"""How often each chunk of a source was read, by the name of its log."""


@dataclass(frozen=True, eq=False)
class ArraySource(BlockSource):
    """A recording in memory with a chunk grid of its own.

    A block that was lent is spoilt by the next read, as the contract of `BlockReader` allows. With `log`, chunk reads
    are counted in ``READS[log]``.
    """

    values: NDArray[Any]
    chunks: tuple[int, int, int]
    log: str = ""
    shape: tuple[int, int, int] = field(init=False)
    dtype: np.dtype[Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", self.values.shape)
        object.__setattr__(self, "dtype", self.values.dtype.newbyteorder("="))

    def identity(self) -> str:
        return f"array {id(self.values)}"

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        yield _SpoilingReader(self)


class _SpoilingReader:
    def __init__(self, source: ArraySource) -> None:
        self._source = source
        self._lent = np.zeros(0, source.dtype)

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        source = self._source
        for part, size in zip((time, y, x), source.shape, strict=True):
            assert 0 <= part.start < part.stop <= size
            assert part.step in {None, 1}
        if source.log:
            touched = (
                range(part.start // step, -(-part.stop // step))
                for part, step in zip((time, y, x), source.chunks, strict=True)
            )
            READS[source.log].update(product(*touched))
        self._lent[...] = 77
        self._lent = source.values[time, y, x].astype(source.dtype)
        return self._lent


@dataclass(frozen=True)
class GeneratedSource(BlockSource):
    """A recording that takes no memory: sample = frame + row, made when it is read."""

    shape: tuple[int, int, int]
    chunks: tuple[int, int, int]
    dtype: np.dtype[Any]

    def identity(self) -> str:
        return f"generated {self.shape}"

    @contextmanager
    def open(self) -> Iterator[BlockReader]:
        yield _GeneratingReader(self)

    def fill(self, block: NDArray[Any], time: slice, y: slice) -> None:
        """Make the samples of a block."""
        frames = np.arange(time.start, time.stop)[:, None, None] % 1000
        np.add(frames, np.arange(y.start, y.stop)[None, :, None], out=block, casting="unsafe")


class _GeneratingReader:
    """Lends one buffer again and again, as readers of files do."""

    def __init__(self, source: GeneratedSource) -> None:
        self._source = source
        self._block = np.empty((0, 0, 0), source.dtype)

    def read(self, time: slice, y: slice, x: slice) -> NDArray[Any]:
        shape = (time.stop - time.start, y.stop - y.start, x.stop - x.start)
        if self._block.shape != shape:
            self._block = np.empty(shape, self._source.dtype)
        self._source.fill(self._block, time, y)
        return self._block


@dataclass(frozen=True)
class FailingSource(GeneratedSource):
    """Cannot be read from a frame on."""

    good_frames: int = 0

    def fill(self, block: NDArray[Any], time: slice, y: slice) -> None:
        if time.stop > self.good_frames:
            raise StoreError(f"frame {self.good_frames} cannot be read", "this source fails on purpose")
        super().fill(block, time, y)


def recording_file(source: BlockSource, **metadata: Any) -> RecordingFile:
    """Wrap one source as a format reader would."""
    return RecordingFile("test", ((source,),), metadata=RecordingMetadata(**metadata))


@contextmanager
def counted_reads(name: str) -> Iterator[Counter[tuple[int, int, int]]]:
    """Count the chunks read of sources whose `log` is `name`."""
    READS[name] = Counter()
    try:
        yield READS[name]
    finally:
        del READS[name]
