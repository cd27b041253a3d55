"""How a recording lies on disk: chunk grid, shards, codecs. Decided by shape and dtype alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from roitrace.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BLOSC_LEVEL", "BLOSC_NAME", "FLUORESCENCE", "RecordingLayout", "default_chunks"]

FLUORESCENCE = "fluorescence"
"""Name of the array that holds the samples."""
BLOSC_NAME: Final = "lz4"
BLOSC_LEVEL = 5
MAX_FRAMES = 256
MAX_SHARD_BYTES = 256 * 2**20
MIN_CHUNK_BYTES = 2**20
TILE = 64


@dataclass(frozen=True)
class RecordingLayout:
    """Chunk grid of a recording array with dims ``time, [channel], [plane], y, x``.

    Attributes
    ----------
    dims : tuple of str
        Names of the axes.
    shape : tuple of int
        Length of each axis.
    dtype : numpy.dtype
        Native byte order; stored little-endian.
    chunks : tuple of int
        Inner chunk, the unit of reading.
    shards : tuple of int
        The file that holds many chunks, the write unit.

    Examples
    --------
    >>> layout = RecordingLayout.of(("time", "y", "x"), (1000, 512, 512), "uint16")
    >>> layout.chunks, layout.shards
    ((256, 64, 64), (256, 512, 512))
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    chunks: tuple[int, ...]
    shards: tuple[int, ...]

    @classmethod
    def of(
        cls,
        dims: tuple[str, ...],
        shape: tuple[int, ...],
        dtype: np.dtype[np.generic] | str,
        chunks: tuple[int, int, int] | None = None,
    ) -> RecordingLayout:
        """Lay out a recording; `chunks` is ``(time, y, x)`` where the default is not wanted."""
        height, width = shape[-2:]
        frames, tile_y, tile_x = chunks or default_chunks((height, width), np.dtype(dtype).itemsize)
        if min(frames, tile_y, tile_x) < 1:
            raise ArgumentError(f"chunks={chunks}, expected three positive numbers (time, y, x)")
        middle = (1,) * (len(shape) - 3)
        padded = (-(-height // tile_y) * tile_y, -(-width // tile_x) * tile_x)
        return cls(
            dims=dims,
            shape=shape,
            dtype=np.dtype(dtype),
            chunks=(frames, *middle, tile_y, tile_x),
            shards=(frames, *middle, *padded),
        )

    def units(self) -> Iterator[tuple[int, ...]]:
        """Yield the index of every write unit (shard file), one number per axis, from the first frame to the last."""
        return product(*(range(-(-size // step)) for size, step in zip(self.shape, self.shards, strict=True)))

    @staticmethod
    def key(unit: tuple[int, ...]) -> str:
        """Return the file of a write unit, below the store."""
        return "/".join((FLUORESCENCE, "c", *map(str, unit)))


def default_chunks(frame: tuple[int, int], itemsize: int) -> tuple[int, int, int]:
    """Return the default chunk ``(time, y, x)`` for frames of a shape and sample size.

    The largest power of two <= 256 frames with which a shard of whole frames stays within 256 MiB; tiles of 64 x 64
    pixels, doubled until a chunk holds 1 MiB, never larger than the frame.

    Examples
    --------
    >>> default_chunks((512, 512), 2)
    (256, 64, 64)
    """
    height, width = frame
    frames = MAX_FRAMES
    while frames > 1 and frames * height * width * itemsize > MAX_SHARD_BYTES:
        frames //= 2
    tile = TILE
    while frames * min(tile, height) * min(tile, width) * itemsize < MIN_CHUNK_BYTES and tile < max(
        height, width
    ):
        tile *= 2
    return frames, min(tile, height), min(tile, width)
