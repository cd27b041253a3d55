"""What tells, without reading them, whether frames of a recording store are still those of before: the checksums of their chunks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from roitrace.sources import Window
from roitrace.store.known import KnownFiles
from roitrace.store.places import place_of
from roitrace.store.reader import ZarrSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from roitrace.sources import BlockSource
    from roitrace.store.chunks import ChunkLayout
    from roitrace.store.manifest import FileFacts

__all__ = ["Evidence"]


@dataclass(frozen=True)
class Evidence:
    """The samples of a recording store that a block source reads, and what its manifest says of them.

    Whoever reads a chunk compares it with the manifest, so that frames whose files have the same checksums as before give the same samples.

    Attributes
    ----------
    store : ZarrSource
        One channel and plane of a finished recording store.
    start, shape : tuple of int
        The part of it ``(time, y, x)`` that is read.
    layout : ChunkLayout
        How its chunks lie in files.
    """

    store: ZarrSource
    start: tuple[int, int, int]
    shape: tuple[int, int, int]
    layout: ChunkLayout

    @classmethod
    def of(cls, source: BlockSource) -> Evidence | None:
        """Return the evidence that there is for a source; None if it is no finished recording store, read as it is."""
        start, shape = (0, 0, 0), source.shape
        while isinstance(source, Window):
            t, y, x = (one + other for one, other in zip(start, source.start, strict=True))
            start, source = (t, y, x), source.source
        layout = source.layout if isinstance(source, ZarrSource) and source.manifest else None
        if layout is None or not layout.checksum:
            return None
        assert isinstance(source, ZarrSource)
        return cls(source, start, shape, layout)

    @property
    def border(self) -> int:
        """The first frames that end with a file, so that more frames at the end change nothing of them: their number, counted from `start`."""
        step = self._unit[self.store.axes[0]]
        return max(0, (self.start[0] + self.shape[0]) // step * step - self.start[0])

    def digest(self, frames: int) -> str | None:
        """Return a digest of the first frames; None if they do not end with a file, or the manifest does not tell."""
        last, rest = divmod(self.start[0] + frames, self._unit[self.store.axes[0]])
        if rest or not 0 < frames <= self.shape[0]:
            return None
        digest = hashlib.sha256(repr(self._what).encode())
        known = KnownFiles.open(place_of(self.store.manifest))
        for key in self._files(last):
            held = known.of(key)
            # while an append takes effect a file may be one of two
            if not held or not len(held[0].chunks) or not all(one.same_as(held[0]) for one in held):
                return None
            digest.update(_content(held[0]))
        return digest.hexdigest()

    @property
    def _unit(self) -> tuple[int, ...]:
        """What a file holds, along all axes of the array."""
        return self.layout.shard or self.layout.chunk

    @property
    def _what(self) -> tuple[object, ...]:
        """What decides which samples are read of the files, besides the number of frames."""
        shape = list(self.layout.shape)
        shape[self.store.axes[0]] = 0
        layout = replace(self.layout, shape=tuple(shape))
        return self.store.array, self.store.axes, self.store.fixed, self.start, self.shape[1:], layout

    def _files(self, last: int) -> Iterator[str]:
        """Yield the keys of the files of all frames before the file number `last` along time."""
        fixed, prefix = dict(self.store.fixed), f"{self.store.array}/" if self.store.array else ""
        spans = []
        for axis, (size, step) in enumerate(zip(self.layout.shape, self._unit, strict=True)):
            first, end = 0, -(-size // step)
            if axis == self.store.axes[0]:
                first, end = self.start[0] // step, last
            elif axis in fixed:
                first, end = fixed[axis] // step, fixed[axis] // step + 1
            spans.append(range(first, end))
        per_file = [unit // chunk for unit, chunk in zip(self._unit, self.layout.chunk, strict=True)]
        for number in product(*spans):
            chunk = tuple(one * count for one, count in zip(number, per_file, strict=True))
            yield prefix + self.layout.file_of(chunk)


def _content(facts: FileFacts) -> bytes:
    return repr((facts.length, facts.checksum)).encode() + facts.chunks.astype("<u4").tobytes()
