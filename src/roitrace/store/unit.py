"""The bytes of one file of a results array: a chunk, or whole chunks with their index, as zarr reads them."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numcodecs import zstd

from roitrace.errors import StoreError
from roitrace.store.checksum import CRC_BYTES, crc32c

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["ZSTD_LEVEL", "decode_unit", "encode_unit"]

ZSTD_LEVEL = 1
_MISSING = 2**64 - 1
"""Offset and length in the index of a chunk that lies beyond the array."""


def encode_unit(
    values: NDArray[Any], chunk: Sequence[int], unit: Sequence[int]
) -> tuple[bytes, NDArray[np.uint32]]:
    """Return the file of a zarr array that holds `values`, compressed, and the checksum of each chunk.

    Parameters
    ----------
    values : numpy.ndarray
        What lies in the file; less than `unit` at the end of an axis.
    chunk : sequence of int
        What is compressed together; padded with zeros at the end of the array.
    unit : sequence of int
        What a file holds, whole chunks; equal to `chunk` for arrays without shards.

    Examples
    --------
    >>> data, checks = encode_unit(np.zeros((3, 10)), (2, 10), (4, 10))
    >>> len(data) < 3 * 10 * 8, checks.size
    (True, 2)
    """
    if tuple(chunk) == tuple(unit):
        data = _encode_chunk(values, chunk)
        return data, _checks([data])
    parts: list[bytes] = []
    index, offset = [], 0
    for window in _windows(chunk, unit):
        inside = values[window]
        if inside.size == 0:
            index += [_MISSING, _MISSING]
            continue
        parts.append(_encode_chunk(inside, chunk))
        index += [offset, len(parts[-1])]
        offset += len(parts[-1])
    table = np.array(index, dtype="<u8").tobytes()
    data = b"".join([*parts, table, crc32c(table).to_bytes(CRC_BYTES, "little")])
    return data, _checks(parts)


def _checks(parts: Sequence[bytes]) -> NDArray[np.uint32]:
    return np.array([int.from_bytes(part[-CRC_BYTES:], "little") for part in parts], np.uint32)


def _windows(chunk: Sequence[int], unit: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    counts = [size // step for size, step in zip(unit, chunk, strict=True)]
    for position in product(*map(range, counts)):
        yield tuple(
            slice(number * step, (number + 1) * step) for number, step in zip(position, chunk, strict=True)
        )


def _encode_chunk(values: NDArray[Any], chunk: Sequence[int]) -> bytes:
    little = values.dtype.newbyteorder("<")
    if values.shape == tuple(chunk):
        samples = np.ascontiguousarray(values, little)
    else:
        samples = np.zeros(chunk, little)
        samples[tuple(slice(0, size) for size in values.shape)] = values
    data: bytes = zstd.compress(samples.reshape(-1).view(np.uint8), ZSTD_LEVEL)
    return data + crc32c(data).to_bytes(CRC_BYTES, "little")


def decode_unit(
    data: bytes, dtype: np.dtype[Any], chunk: Sequence[int], unit: Sequence[int], size: Sequence[int]
) -> NDArray[Any]:
    """Return the values of a file that `encode_unit` made; `size` is how much of the array lies in it.

    Raises
    ------
    StoreError
        If a checksum is wrong.
    """
    if tuple(chunk) == tuple(unit):
        return _decode_chunk(data, dtype, chunk)[tuple(map(slice, size))]
    windows = list(_windows(chunk, unit))
    table = data[-16 * len(windows) - CRC_BYTES :]
    index = np.frombuffer(_checked(table), "<u8").reshape(-1, 2).tolist()
    values = np.empty(tuple(size), dtype)
    for window, (offset, length) in zip(windows, index, strict=True):
        inside = values[window]
        if inside.size:
            part = _decode_chunk(data[offset : offset + length], dtype, chunk)
            inside[...] = part[tuple(map(slice, inside.shape))]
    return values


def _decode_chunk(data: bytes, dtype: np.dtype[Any], chunk: Sequence[int]) -> NDArray[Any]:
    samples = np.frombuffer(zstd.decompress(_checked(data)), dtype.newbyteorder("<"))
    return samples.reshape(tuple(chunk)).astype(dtype)


def _checked(data: bytes) -> bytes:
    """Return bytes without the checksum at their end."""
    if crc32c(data[:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:], "little"):
        raise StoreError(
            "a finished file of the results is damaged", "ask to overwrite the results, to begin anew"
        )
    return data[:-CRC_BYTES]
