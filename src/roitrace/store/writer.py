"""Write a recording store: metadata through zarr, each shard file by one task, the finished mark last."""

from __future__ import annotations

import os
import shutil
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.errors import ZarrUserWarning

from roitrace.errors import OutputExistsError, StoreError
from roitrace.store.layout import BLOSC_LEVEL, BLOSC_NAME, RecordingLayout
from roitrace.store.shard import encode_chunk, encode_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from roitrace.sources import BlockReader

__all__ = ["ShardWriter", "create_recording", "finish_store", "replacing"]

FLUORESCENCE = "fluorescence"
COORDINATE_CHUNK = 2**17


@contextmanager
def replacing(store: Path, *, overwrite: bool, what: str) -> Iterator[Path]:
    """Give a path to write to that becomes `store` when all went well.

    A new store is written in place, so that an interrupted one can be seen; one that replaces another is written beside it and takes
    its place at the end.

    Raises
    ------
    OutputExistsError
        If `store` is there and `overwrite` is False. Nothing is touched then.
    StoreError
        If the folder cannot be written to.
    """
    if not store.exists():
        _make_folder(store)
        yield store
        return
    if not overwrite:
        raise OutputExistsError(
            f"{what} {store} exists already", "choose another name, or ask to overwrite it"
        )
    if not store.is_dir() or not (store / "zarr.json").exists():
        raise StoreError(
            f"{store} is no zarr store, it will not be overwritten",
            "remove it yourself or choose another name",
        )
    beside = store.with_name(f".{store.name}.new")
    if beside.exists():
        shutil.rmtree(beside)
    _make_folder(beside)
    yield beside
    old = store.with_name(f".{store.name}.old")
    if old.exists():
        shutil.rmtree(old)
    store.rename(old)
    beside.rename(store)
    shutil.rmtree(old)


def create_recording(
    path: Path,
    layout: RecordingLayout,
    coords: Mapping[str, tuple[str, NDArray[Any], Mapping[str, str]]],
    attributes: Mapping[str, Any],
) -> None:
    """Create the metadata and coordinates of an unfinished recording store.

    Parameters
    ----------
    path : Path
        An empty folder.
    layout : RecordingLayout
        Chunk grid of the fluorescence array.
    coords : mapping
        Name to (dimension, values, attributes).
    attributes : mapping
        Root attributes; the mark ``roitrace`` gets ``finished: false``.
    """
    group = zarr.create_group(path, zarr_format=3, attributes=_marked(attributes, finished=False))
    group.create_array(
        FLUORESCENCE,
        shape=layout.shape,
        dtype=layout.dtype.newbyteorder("<"),
        chunks=layout.chunks,
        shards=layout.shards,
        compressors=[
            BloscCodec(
                typesize=layout.dtype.itemsize, cname=BLOSC_NAME, clevel=BLOSC_LEVEL, shuffle="bitshuffle"
            ),
            Crc32cCodec(),
        ],
        fill_value=0,
        dimension_names=layout.dims,
        attributes={"long_name": "fluorescence", "units": "count"},
    )
    for name, (dim, values, attrs) in coords.items():
        array = group.create_array(
            name,
            shape=values.shape,
            dtype=str if values.dtype.kind in "UOT" else values.dtype,
            chunks=(max(1, min(len(values), COORDINATE_CHUNK)),),
            dimension_names=(dim,),
            attributes=dict(attrs),
        )
        array[:] = values


def finish_store(path: Path) -> None:
    """Mark a store as finished and make that durable."""
    group = zarr.open_group(path, mode="r+")
    group.attrs.update(_marked(dict(group.attrs), finished=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(path)
    _fsync_folder(path)


@dataclass(frozen=True)
class ShardWriter:
    """Writes the shard files of one recording array; small and picklable."""

    path: Path
    layout: RecordingLayout

    def write(self, reader: BlockReader, source_rows: int, index: tuple[int, ...]) -> None:
        """Write the shard at `index` (one number per axis) from an open source ``(time, y, x)`` of its channel and plane.

        `source_rows` is how many rows the source decodes together; reading goes in strips of at least as many.
        """
        frames, tile_y, tile_x = self.layout.chunks[0], *self.layout.chunks[-2:]
        height, width = self.layout.shape[-2:]
        time = slice(index[0] * frames, min((index[0] + 1) * frames, self.layout.shape[0]))
        chunk = (frames, tile_y, tile_x)
        scratch = np.zeros(chunk, dtype=self.layout.dtype.newbyteorder("<"))
        rows = -(-source_rows // tile_y) * tile_y
        sizes = []
        with _durable(self._shard_path(index)) as file:
            for top in range(0, height, rows):
                strip = reader.read(time, slice(top, min(top + rows, height)), slice(0, width))
                for y in range(0, strip.shape[1], tile_y):
                    for x in range(0, width, tile_x):
                        data = encode_chunk(strip[:, y : y + tile_y, x : x + tile_x], chunk, scratch)
                        file.write(data)
                        sizes.append(len(data))
            file.write(encode_index(np.asarray(sizes, dtype=np.uint64)))

    def _shard_path(self, index: tuple[int, ...]) -> Path:
        return self.path.joinpath(FLUORESCENCE, "c", *(str(number) for number in index))


@contextmanager
def _durable(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears under its name only when it is whole and on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _fsync_folder(path.parent)


def _fsync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise StoreError(
            f"cannot create {path}: {error.strerror}", "choose a folder that you may write to"
        ) from error


def _marked(attributes: Mapping[str, Any], *, finished: bool) -> dict[str, Any]:
    return {**attributes, "roitrace": {**attributes.get("roitrace", {}), "finished": finished}}
