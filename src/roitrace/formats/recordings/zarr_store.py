"""Zarr v2 and v3, OME-Zarr 0.4 and 0.5, and this package's own recording stores: one array of the store."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import zarr

from roitrace.errors import ArgumentError, StoreError
from roitrace.formats.damage import understanding
from roitrace.formats.identity import combine, ends_identity, ends_of_objects
from roitrace.formats.recordings.axes import (
    LETTERS,
    AxisView,
    assemble,
    assumed_axes,
    assumption_note,
    checked_axes,
)
from roitrace.formats.recordings.choice import choose_array
from roitrace.formats.recordings.claims import check_frame, check_frames
from roitrace.formats.recordings.labels import axes_of_names, labelled_metadata, time_among
from roitrace.formats.recordings.ome_zarr import OmeLayout, read_ome_layout
from roitrace.sources import BlockSource, Window, check_sample_dtype
from roitrace.store.chunks import read_layout
from roitrace.store.decode import ChunkDecoder
from roitrace.store.journal import Journal
from roitrace.store.known import KnownFiles, check_small_files
from roitrace.store.layout import FLUORESCENCE
from roitrace.store.manifest import MEND
from roitrace.store.mark import check_mark, mark_of
from roitrace.store.places import ObjectPath, place_of
from roitrace.store.reader import ZarrSource
from roitrace.store.rooted import open_array, open_group, open_node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from roitrace.formats.recordings.format import OpenOptions
    from roitrace.sources import RecordingFile, RecordingMetadata
    from roitrace.store.places import Location

__all__ = ["ZarrFileSource", "open_zarr"]

SESSION = "session"
N_SAMPLED_CHUNKS = 64


@dataclass(frozen=True)
class ZarrFileSource(ZarrSource):
    """One channel and plane of a zarr array on disk, ``(time, y, x)``."""

    def identity(self) -> str:
        """Return a digest of the content: the array's metadata, and head and tail of up to 64 chunk files."""
        array = open_array(self.store, self.array)
        grid = [
            range(-(-size // step))
            for size, step in zip(array.shape, array.shards or array.chunks, strict=True)
        ]
        count = math.prod(len(axis) for axis in grid)
        numbers = sorted(
            {count * sample // N_SAMPLED_CHUNKS for sample in range(N_SAMPLED_CHUNKS)} | {count - 1}
        )
        keys = (array.metadata.encode_chunk_key(_coordinates_of(number, grid)) for number in numbers)
        return combine(
            array.shape,
            str(self.dtype),
            self.axes,
            self.fixed,
            *_ends(_folder(self.store, self.array), list(keys)),
        )


def _folder(store: str | Location, array: str) -> Location:
    place = place_of(store)
    return place / array if array else place


def _ends(folder: Location, keys: list[str]) -> Iterator[str]:
    """Yield the digest of head and tail of each file; nothing for those that are not there."""
    if isinstance(folder, ObjectPath):
        yield from ends_of_objects(folder, keys)
        return
    for file in (folder / key for key in keys):
        yield ends_identity(file) if file.is_file() else ""


def open_zarr(path: str, options: OpenOptions) -> RecordingFile:
    """Understand a zarr store, or an array in it: reads metadata and coordinates only.

    The array is the named one, or the store itself, or this package's own, or the finest level of an OME-Zarr image, or the only one with
    three or more axes, or the one that is at least ten times larger than the others. Its axes are those of `options.axes`, of the OME
    attributes, or its dimension names; three unnamed axes are time, y, x.

    Raises
    ------
    ArgumentError
        If the named array is not there, or several might be meant.
    StoreError
        If the store is one of this package's whose writing was interrupted, and `options.unfinished` is False.
    FormatError
        If the store is damaged, its samples are unsupported or its axes unknown.
    """
    known = known_files(place_of(path), unfinished=options.unfinished)
    node = _node(path, finished=known is not None)
    array, group = _chosen(node, options.dataset, path)
    what = f"{path}::{array.path}" if array.path else path
    mark = None if group is None else group.attrs.get("roitrace")
    own = isinstance(mark, Mapping)
    ome = None if group is None else read_ome_layout(dict(group.attrs), path)
    ome = ome if ome is not None and ome.array == array.basename else None
    check_sample_dtype(array.dtype, what)
    axes, notes = _axes(array, ome, options, what)
    check_frame(array.shape[axes.index("y")], array.shape[axes.index("x")], what)
    check_frames(array.shape[axes.index("t")], what, array.nbytes_stored)
    metadata = _metadata(place_of(path), array, group, axes, ome, notes, own=own)

    layout = read_layout(_folder(path, array.path))

    def source(view: AxisView) -> BlockSource:
        dtype = check_sample_dtype(array.dtype, what)
        return ZarrFileSource(
            store=path,
            array=array.path,
            axes=(view.time, view.y, view.x),
            fixed=view.fixed,
            shape=view.pick(array.shape),
            dtype=dtype,
            chunks=view.pick(array.chunks),
            layout=layout,
            complete=own,
            manifest="" if known is None else str(known.place),
        )

    recording = assemble(
        "zarr" if ome is None else "ome-zarr", what, array.shape, axes, make_source=source, metadata=metadata
    )
    if known is None and mark_of(place_of(path)) is not None:
        return _finished_part(recording, array, axes, path)
    return recording


def known_files(store: Location, *, unfinished: bool) -> KnownFiles | None:
    """Return what the files of a finished recording store must hold, its small files compared; None for stores of others.

    Raises
    ------
    StoreError
        If it is damaged, or its writing was interrupted and `unfinished` is False.
    """
    mark = mark_of(store)
    if mark is None or mark.get("kind") != "recording":
        check_mark(store)
        return None
    try:
        known = KnownFiles.open(store / mark["manifest"])
    except FileNotFoundError:
        if unfinished:
            return None
        raise unfinished_error(store) from None
    check_small_files(store, known, FLUORESCENCE)
    return known


def unfinished_error(store: Location) -> StoreError:
    """Return the error for a store whose writing was interrupted: how much is there, and what goes on with it."""
    frames = 0
    try:
        array = open_array(store, FLUORESCENCE)
        frames = (
            _whole_slabs(array, "t" + "." * (array.ndim - 1), str(store)) * (array.shards or array.chunks)[0]
        )
        there = f"{min(frames, array.shape[0])} of {array.shape[0]} frames were written"
    except (FileNotFoundError, KeyError, ValueError):
        there = "no frames were written"
    job = Journal.of(store).job()
    part = "; or open what is there with unfinished=True" if frames else ""
    if job is None:
        return StoreError(f"{store} is unfinished, or has lost its manifest: {there}", f"{MEND}{part}")
    return StoreError(f"{store} is unfinished: {there}", f"{job['command']}{part}")


def _node(path: str, *, finished: bool) -> zarr.Array[Any] | zarr.Group:
    with understanding(
        f"{path} cannot be read as zarr", "copy the whole folder again, hidden files included"
    ):
        # what this package wrote need not be looked for as version 2, and as an array
        return open_group(path, version=3) if finished else open_node(path)


def _chosen(
    node: zarr.Array[Any] | zarr.Group, wanted: str | None, path: str
) -> tuple[zarr.Array[Any], zarr.Group | None]:
    """Return the array that is the recording and the group that it belongs to."""
    if isinstance(node, zarr.Array):
        if wanted is not None:
            raise ArgumentError(
                f"{path} is one array, and dataset={wanted!r} names another", "leave dataset= out"
            )
        return node, None
    if wanted is not None:
        return _member(node, wanted.strip("/"), path)
    fluorescence = node.get(FLUORESCENCE)
    if isinstance(fluorescence, zarr.Array):
        return fluorescence, node
    ome = read_ome_layout(dict(node.attrs), path)
    if ome is not None:
        return _member(node, ome.array, path)
    arrays = {name: item.shape for name, item in _members(node) if isinstance(item, zarr.Array)}
    return _member(node, choose_array(arrays, path), path)


def _members(group: zarr.Group) -> list[tuple[str, zarr.Array[Any] | zarr.Group]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other things in the folder are not ours to judge
        return sorted(group.members(max_depth=None), key=lambda member: member[0])


def _member(group: zarr.Group, name: str, path: str) -> tuple[zarr.Array[Any], zarr.Group]:
    item = group.get(name)
    if isinstance(item, zarr.Group):
        array, inner = _chosen(item, None, f"{path}::{name}")
        return array, inner if inner is not None else item
    if item is None:
        available = (
            ", ".join(name for name, item in _members(group) if isinstance(item, zarr.Array)) or "none"
        )
        raise ArgumentError(f"{path} has no array {name!r}", f"its arrays are: {available}")
    parent = name.rpartition("/")[0]
    return item, cast("zarr.Group", group[parent]) if parent else group


def _axes(
    array: zarr.Array[Any], ome: OmeLayout | None, options: OpenOptions, what: str
) -> tuple[str, tuple[str, ...]]:
    if options.axes:
        return checked_axes(options.axes, array.ndim, what), ()
    names = ome.axes if ome is not None else _dimension_names(array)
    named = axes_of_names(names) if len(names) == array.ndim else None
    if named is not None:
        return time_among(named, array.shape, what)
    return assumed_axes(array.shape, what), (assumption_note(array.shape),)


def _dimension_names(array: zarr.Array[Any]) -> tuple[str | None, ...]:
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    return tuple(names) if isinstance(names, list | tuple) else ()


def _metadata(
    store: Location,
    array: zarr.Array[Any],
    group: zarr.Group | None,
    axes: str,
    ome: OmeLayout | None,
    notes: tuple[str, ...],
    *,
    own: bool,
) -> RecordingMetadata:
    names = _dimension_names(array)
    coordinates, channels = {}, ome.channel_names if ome is not None else ()
    for axis, name in zip(axes, names, strict=len(names) == array.ndim):
        label = _sibling(group, name)
        if label is None or label.shape != (array.shape[axes.index(axis)],):
            continue
        if axis == "c":
            channels = tuple(str(value) for value in _values(store, label))
        elif axis in "tyx":
            coordinates[LETTERS[axis]] = (_values(store, label), str(label.attrs.get("units", "")))
    of_group = {} if group is None else dict(group.attrs)
    metadata = labelled_metadata(of_group | dict(array.attrs), coordinates, notes)
    plain = {key: value for key, value in of_group.items() if own and isinstance(value, str | int | float)}
    return replace(
        metadata,
        frame_rate=metadata.frame_rate or (ome.frame_rate if ome is not None else None),
        pixel_size=ome.pixel_size if ome is not None else None,
        channel_names=channels,
        sessions=_sessions(store, group, array.shape[axes.index("t")]),
        plane_offsets=_plane_offsets(store, group, axes, array),
        attributes=plain,
    )


def _sessions(store: Location, group: zarr.Group | None, n_frames: int) -> tuple[int, ...]:
    """Frames of each run of one number in the coordinate ``session``."""
    label = _sibling(group, SESSION)
    if label is None or label.shape != (n_frames,):
        return ()
    borders = np.flatnonzero(np.diff(_values(store, label))) + 1
    lengths = np.diff([0, *borders, n_frames])
    return tuple(int(length) for length in lengths)


def _plane_offsets(
    store: Location, group: zarr.Group | None, axes: str, array: zarr.Array[Any]
) -> tuple[float, ...]:
    label = _sibling(group, "time_offset") if "z" in axes else None
    if label is None or label.shape != (array.shape[axes.index("z")],):
        return ()
    return tuple(float(offset) for offset in _values(store, label))


def _values(store: Location, label: zarr.Array[Any]) -> NDArray[Any]:
    """Return all of a small array; decoded here, which is faster, where it is a single chunk of a common kind."""
    folder = _folder(store, label.path)
    layout = read_layout(folder) if isinstance(folder, Path) else None
    if layout is not None and layout.chunk == label.shape:
        # zarr tells what is wrong with those of others
        with (
            suppress(StoreError),
            closing(ChunkDecoder(folder, layout, complete=False, root=place_of(store))) as decoder,
        ):
            return decoder.decode((0,) * label.ndim)
    return np.asarray(label[:])


def _sibling(group: zarr.Group | None, name: str | None) -> zarr.Array[Any] | None:
    if group is None or name is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # texts have no stable zarr v3 dtype yet
        item = group.get(name)
    return item if isinstance(item, zarr.Array) and item.ndim == 1 else None


def _finished_part(recording: RecordingFile, array: zarr.Array[Any], axes: str, path: str) -> RecordingFile:
    """Cut a store whose writing was interrupted to the frames that are whole."""
    step = (array.shards or array.chunks)[axes.index("t")]
    frames = min(_whole_slabs(array, axes, path) * step, array.shape[axes.index("t")])
    problem = f"{path} is unfinished: {frames} of {array.shape[axes.index('t')]} frames were written"
    if frames == 0:
        raise unfinished_error(place_of(path))

    def cut(source: BlockSource) -> BlockSource:
        return Window(source, (0, 0, 0), (frames, *source.shape[1:]))

    coordinates = {
        axis: (values[:frames] if axis == "time" else values, unit)
        for axis, (values, unit) in recording.metadata.coordinates.items()
    }
    return replace(
        recording,
        sources=tuple(tuple(cut(source) for source in planes) for planes in recording.sources),
        metadata=replace(
            recording.metadata,
            coordinates=coordinates,
            sessions=_leading(recording.metadata.sessions, frames),
            notes=(*recording.metadata.notes, problem),
        ),
    )


def _leading(sessions: tuple[int, ...], frames: int) -> tuple[int, ...]:
    """Cut sessions to the first frames."""
    ends = np.minimum(np.cumsum([0, *sessions]), frames)
    return tuple(int(length) for length in np.diff(ends) if length)


def _whole_slabs(array: zarr.Array[Any], axes: str, path: str) -> int:
    """Return how many leading rows of chunk files along time are all there."""
    grid = [
        range(-(-size // step)) for size, step in zip(array.shape, array.shards or array.chunks, strict=True)
    ]
    time = axes.index("t")
    is_there = _presence(_folder(path, array.path))
    for slab in grid[time]:
        here = [*grid[:time], range(slab, slab + 1), *grid[time + 1 :]]
        if not all(is_there(array.metadata.encode_chunk_key(key)) for key in itertools.product(*here)):
            return slab
    return len(grid[time])


def _presence(folder: Location) -> Callable[[str], bool]:
    """Return what says whether a file of a folder is there."""
    if isinstance(folder, ObjectPath):
        return folder.lengths().__contains__
    return lambda key: (folder / key).is_file()


def _coordinates_of(number: int, grid: list[range]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(number, [len(axis) for axis in grid]))
