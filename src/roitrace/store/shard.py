"""The bytes of one shard file: compressed chunks with checksums, then their index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numcodecs import blosc

from roitrace.store.checksum import CRC_BYTES, crc32c
from roitrace.store.layout import BLOSC_LEVEL, BLOSC_NAME

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["encode_chunk", "encode_index"]


def encode_chunk(
    samples: NDArray[np.generic], chunk: tuple[int, int, int], scratch: NDArray[np.generic]
) -> bytes:
    """Compress a chunk ``(time, y, x)``, padded with zeros at the recording's edge, and append its checksum.

    `scratch` is a little-endian buffer of the chunk's shape that is overwritten.
    """
    if samples.shape != chunk:
        scratch[...] = 0
    scratch[tuple(slice(0, size) for size in samples.shape)] = samples
    data: bytes = blosc.compress(scratch.reshape(-1), BLOSC_NAME.encode(), BLOSC_LEVEL, blosc.BITSHUFFLE, 0)
    return data + crc32c(data).to_bytes(CRC_BYTES, "little")


def encode_index(sizes: NDArray[np.uint64]) -> bytes:
    """Return the shard's index: offset and length of each chunk in storage order, and a checksum."""
    offsets = np.concatenate([np.zeros(1, np.uint64), np.cumsum(sizes, dtype=np.uint64)[:-1]])
    data = np.stack([offsets, sizes], axis=1).astype("<u8").tobytes()
    return data + crc32c(data).to_bytes(CRC_BYTES, "little")


def compressed_part(samples: NDArray[np.generic]) -> float:
    """Return how large a chunk ``(time, y, x)`` is on disk, as a part of its size in memory."""
    t, y, x = samples.shape
    scratch = np.zeros(samples.shape, samples.dtype.newbyteorder("<"))
    return len(encode_chunk(samples, (t, y, x), scratch)) / max(1, samples.nbytes)
