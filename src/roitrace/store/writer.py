"""What a recording store is made of: small files, whose bytes are made in memory, and shards, each written by one task."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
from zarr.errors import ZarrUserWarning
from zarr.storage import MemoryStore

from roitrace.errors import StoreError
from roitrace.store.checksum import CRC_BYTES, crc32c
from roitrace.store.commits import Drafted
from roitrace.store.files import drafting, make_folder, new_token, partial_of, remove, write_file
from roitrace.store.layout import BLOSC_LEVEL, BLOSC_NAME, FLUORESCENCE, RecordingLayout
from roitrace.store.manifest import FileFacts
from roitrace.store.places import ObjectPath
from roitrace.store.shard import encode_chunk, encode_index
from roitrace.store.survey import facts_of_file
from roitrace.store.swap import unfinished_root

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from roitrace.sources import BlockReader
    from roitrace.store.chunks import ChunkLayout
    from roitrace.store.places import Location

__all__ = [
    "ROOT",
    "CheckedShardWriter",
    "ProvingShardWriter",
    "ShardWriter",
    "facts_of_bytes",
    "small_files",
    "write_small_files",
]

ROOT = "zarr.json"
"""The root metadata of a store."""
COORDINATE_CHUNK = 2**17


def small_files(
    layout: RecordingLayout,
    coords: Mapping[str, tuple[str, NDArray[Any], Mapping[str, str]]],
    attributes: Mapping[str, Any],
) -> dict[str, bytes]:
    """Return all files of a finished recording store but its shards and its manifest, by key.

    Parameters
    ----------
    layout : RecordingLayout
        Chunk grid of the fluorescence array.
    coords : mapping
        Name to (dimension, values, attributes).
    attributes : mapping
        Root attributes, the mark among them.
    """
    files: dict[str, Any] = {}
    store = MemoryStore(files)
    group = zarr.create_group(store, zarr_format=3, attributes=dict(attributes))
    blosc = BloscCodec(
        typesize=layout.dtype.itemsize, cname=BLOSC_NAME, clevel=BLOSC_LEVEL, shuffle="bitshuffle"
    )
    group.create_array(
        FLUORESCENCE,
        shape=layout.shape,
        dtype=layout.dtype.newbyteorder("<"),
        chunks=layout.chunks,
        shards=layout.shards,
        compressors=[blosc, Crc32cCodec()],
        fill_value=0,
        dimension_names=layout.dims,
        attributes={"long_name": FLUORESCENCE, "units": "count"},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZarrUserWarning)
        for name, (dim, values, attrs) in coords.items():
            array = group.create_array(
                name,
                shape=values.shape,
                dtype=str if values.dtype.kind in "UOT" else values.dtype,
                # those along time may grow: their chunks, whether full or not, keep their length
                chunks=(COORDINATE_CHUNK if dim == "time" else max(1, min(len(values), COORDINATE_CHUNK)),),
                compressors=[ZstdCodec(level=0), Crc32cCodec()],
                dimension_names=(dim,),
                attributes=dict(attrs),
                config={"write_empty_chunks": True},
            )
            array[:] = values
        zarr.consolidate_metadata(store)
    return {key: buffer.to_bytes() for key, buffer in sorted(files.items())}


def write_small_files(path: Location, files: Mapping[str, bytes]) -> None:
    """Write the small files of an unfinished store: first the root metadata, which say that it is unfinished."""
    make_folder(path)
    for key in (ROOT, *(key for key in files if key != ROOT)):
        make_folder((path / key).parent)
        write_file(path / key, unfinished_root(files[ROOT]) if key == ROOT else files[key])


def facts_of_bytes(key: str, data: bytes) -> FileFacts:
    """Return what a manifest says of a small file: metadata, or a chunk with its checksum at the end."""
    chunks = [] if key.endswith(ROOT) else [int.from_bytes(data[-CRC_BYTES:], "little")]
    return FileFacts(key, len(data), crc32c(data), np.asarray(chunks, np.uint32))


@dataclass(frozen=True)
class ShardWriter:
    """Writes the shard files of one recording array; small and picklable."""

    path: Location
    layout: RecordingLayout

    def draft(self, reader: BlockReader, source_rows: int, index: tuple[int, ...]) -> Drafted:
        """Draft the shard at `index` (one number per axis) from an open source ``(time, y, x)`` of its channel and plane.

        `source_rows` is how many rows the source decodes together; reading goes in strips of at least as many. The file is there
        when it is published.
        """
        frames, tile_y, tile_x = self.layout.chunks[0], *self.layout.chunks[-2:]
        height, width = self.layout.shape[-2:]
        time = slice(index[0] * frames, min((index[0] + 1) * frames, self.layout.shape[0]))
        chunk = (frames, tile_y, tile_x)
        scratch = np.zeros(chunk, dtype=self.layout.dtype.newbyteorder("<"))
        rows = -(-source_rows // tile_y) * tile_y
        sizes, checksums, checksum = [], [], 0
        key, token = self.layout.key(index), new_token()
        make_folder((self.path / key).parent, durable=False, below=self.path)
        with drafting(self.path / key, token) as file:
            for top in range(0, height, rows):
                strip = reader.read(time, slice(top, min(top + rows, height)), slice(0, width))
                for y in range(0, strip.shape[1], tile_y):
                    for x in range(0, width, tile_x):
                        data = encode_chunk(strip[:, y : y + tile_y, x : x + tile_x], chunk, scratch)
                        file.write(data)
                        sizes.append(len(data))
                        checksums.append(int.from_bytes(data[-CRC_BYTES:], "little"))
                        checksum = crc32c(data, checksum)
            data = encode_index(np.asarray(sizes, dtype=np.uint64))
            file.write(data)
            facts = FileFacts(
                key, sum(sizes) + len(data), crc32c(data, checksum), np.asarray(checksums, np.uint32)
            )
            self.accept(Drafted(facts, token))
        return Drafted(facts, token)

    def accept(self, drafted: Drafted) -> None:
        """Look at a draft before it is closed; an error keeps it from becoming a file."""


@dataclass(frozen=True)
class CheckedShardWriter(ShardWriter):
    """Writes shards that are known already, and nothing else in their place.

    Attributes
    ----------
    expected : mapping of str to FileFacts
        What each shard must hold, by key.
    """

    expected: Mapping[str, FileFacts]

    def accept(self, drafted: Drafted) -> None:
        """Remove a draft that differs.

        Raises
        ------
        StoreError
            If it is not what was written before.
        """
        path, known = self.path / drafted.facts.key, self.expected[drafted.facts.key]
        if not drafted.facts.same_as(known):
            remove(partial_of(path, drafted.token))
            raise StoreError(
                f"the source holds other frames than {path} was made from",
                "give the files that it was converted from; the store was not touched",
            )


@dataclass(frozen=True)
class ProvingShardWriter(ShardWriter):
    """Writes shards that are there already, and nothing else in their place: nobody knows what they held.

    Attributes
    ----------
    chunks : ChunkLayout
        How chunks lie in a shard.
    """

    chunks: ChunkLayout

    def accept(self, drafted: Drafted) -> None:
        """Remove a draft of what is there.

        Raises
        ------
        StoreError
            If something else is there.
        """
        path = self.path / drafted.facts.key
        is_same = facts_of_file(self.path, drafted.facts.key, self.chunks).same_as(drafted.facts)
        if not is_same or not isinstance(path, ObjectPath):
            remove(partial_of(path, drafted.token))
        if not is_same:
            raise StoreError(
                f"the source holds other frames than {path} was made from",
                "give the files that it was converted from, or convert it again, with overwrite; the store was not touched",
            )
