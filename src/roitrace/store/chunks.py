"""What zarr metadata says about chunks, where it is a common case that is decoded here instead of by zarr."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from operator import floordiv
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.store.files import read_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from roitrace.store.places import Location

__all__ = ["ChunkLayout", "layout_in", "read_layout"]

V3_CODECS = {"blosc", "zstd", "gzip"}
SEPARATORS = ("/", ".")
V2_CODECS = {"blosc", "zstd", "gzip", "zlib", "lz4"}


@dataclass(frozen=True)
class ChunkLayout:
    """Where the chunks of an array are and how they are encoded.

    Attributes
    ----------
    shape, chunk : tuple of int
        Of the array and of the unit that is decoded together.
    shard : tuple of int or None
        What one file holds; None where that is one chunk.
    stored : numpy.dtype
        With the byte order on disk.
    order : tuple of int or None
        Axes of the array in storage order, slowest first, where they are permuted.
    compressor : str or None
        Name of the compression.
    checksum : bool
        Whether a CRC-32C follows each chunk.
    key : tuple of str
        What a chunk's file name begins with, and the separator of its numbers.
    fill : float
        Value of chunks that are not there.
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    shard: tuple[int, ...] | None
    stored: np.dtype[Any]
    order: tuple[int, ...] | None
    compressor: str | None
    checksum: bool
    key: tuple[str, str]
    fill: float

    def __post_init__(self) -> None:
        """Refuse a grid that is none, as damaged metadata may hold."""
        sizes: tuple[Any, ...] = (*self.chunk, *(self.shard or ()))  # from JSON
        if not all(isinstance(one, int) and one > 0 for one in sizes) or len(self.chunk) != len(self.shape):
            raise ValueError(f"chunks of {self.chunk} in shards of {self.shard}")
        if self.shard is not None and any(s % c for s, c in zip(self.shard, self.chunk, strict=True)):
            raise ValueError(f"shards of {self.shard} are not made of chunks of {self.chunk}")

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk."""
        return math.prod(self.chunk) * self.stored.itemsize

    @cached_property
    def per_shard(self) -> tuple[int, ...]:
        """Chunks of a file along each axis."""
        whole = self.chunk if self.shard is None else self.shard
        return tuple(s // c for s, c in zip(whole, self.chunk, strict=True))

    def file_of(self, index: tuple[int, ...]) -> str:
        """Return the name, below the array's folder, of the file that holds a chunk."""
        numbers = map(floordiv, index, self.per_shard)
        return self.key[0] + self.key[1].join(map(str, numbers))

    def place_in_shard(self, index: tuple[int, ...]) -> int:
        """Return the number of a chunk in its file, 0 where it is alone there."""
        place = 0
        for number, count in zip(index, self.per_shard, strict=True):
            place = place * count + number % count
        return place

    @property
    def chunks_per_shard(self) -> int:
        """Number of entries of a shard's index; 1 for a chunk that is alone in its file."""
        return math.prod(self.per_shard)


def read_layout(array: Location) -> ChunkLayout | None:
    """Read an array's metadata; None if it is not one of the common cases."""
    try:
        if (data := read_file(array / "zarr.json")) is not None:
            return layout_in(data)
        if (data := read_file(array / ".zarray")) is not None:
            return _version_2(json.loads(data))
    except (KeyError, TypeError, ValueError, OSError):
        return None
    return None


def layout_in(metadata: bytes) -> ChunkLayout | None:
    """Return the layout that the metadata of an array of version 3 say; None if they are not one of the common cases."""
    try:
        return _version_3(json.loads(metadata))
    except (KeyError, TypeError, ValueError):
        return None


def _version_3(meta: Mapping[str, Any]) -> ChunkLayout | None:
    grid, keys, codecs = meta["chunk_grid"], meta["chunk_key_encoding"], list(meta["codecs"])
    if meta["node_type"] != "array" or grid["name"] != "regular" or meta.get("storage_transformers"):
        return None
    chunk, shard = tuple(grid["configuration"]["chunk_shape"]), None
    if len(codecs) == 1 and codecs[0]["name"] == "sharding_indexed":
        sharding = codecs[0]["configuration"]
        if not _is_plain_index(sharding):
            return None
        chunk, shard, codecs = tuple(sharding["chunk_shape"]), chunk, list(sharding["codecs"])
    order = None
    if codecs and codecs[0]["name"] == "transpose":
        order = tuple(codecs.pop(0)["configuration"]["order"])
        if set(order) != set(range(len(chunk))):
            return None
    if not codecs or codecs[0]["name"] != "bytes":
        return None
    endian = codecs.pop(0).get("configuration", {}).get("endian", "little")
    compressor = codecs.pop(0)["name"] if codecs and codecs[0]["name"] in V3_CODECS else None
    checksum = bool(codecs) and codecs[0]["name"] == "crc32c"
    if len(codecs) > checksum or keys["name"] not in {"default", "v2"}:
        return None
    separator = keys.get("configuration", {}).get("separator", "/" if keys["name"] == "default" else ".")
    if separator not in SEPARATORS:
        return None
    return ChunkLayout(
        shape=tuple(meta["shape"]),
        chunk=chunk,
        shard=shard,
        stored=np.dtype(meta["data_type"]).newbyteorder("<" if endian == "little" else ">"),
        order=order,
        compressor=compressor,
        checksum=checksum,
        key=(f"c{separator}" if keys["name"] == "default" else "", separator),
        fill=_fill(meta["fill_value"]),
    )


def _is_plain_index(sharding: Mapping[str, Any]) -> bool:
    names = [codec["name"] for codec in sharding["index_codecs"]]
    endian = sharding["index_codecs"][0].get("configuration", {}).get("endian", "little")
    return (
        names == ["bytes", "crc32c"] and endian == "little" and sharding.get("index_location", "end") == "end"
    )


def _version_2(meta: Mapping[str, Any]) -> ChunkLayout | None:
    compressor = meta["compressor"]
    if meta.get("filters") or (compressor is not None and compressor["id"] not in V2_CODECS):
        return None
    n_axes = len(meta["shape"])
    if meta.get("dimension_separator", ".") not in SEPARATORS:
        return None
    return ChunkLayout(
        shape=tuple(meta["shape"]),
        chunk=tuple(meta["chunks"]),
        shard=None,
        stored=np.dtype(meta["dtype"]),
        order=tuple(reversed(range(n_axes))) if meta["order"] == "F" else None,
        compressor=None if compressor is None else compressor["id"],
        checksum=False,
        key=("", meta.get("dimension_separator", ".")),
        fill=_fill(meta["fill_value"]),
    )


def _fill(value: Any) -> float:
    """Return the fill value as a number; zarr spells the special ones in words."""
    return 0.0 if value is None else float(value)
