"""Copy a recording into a store: what the store will hold is decided first, then written, resumed where it was left."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from typing import TYPE_CHECKING, Any

from roitrace.engine.places import limits_of, of_each_worker, worker_processes
from roitrace.engine.plan import RESERVED_BYTES
from roitrace.engine.run import execute
from roitrace.engine.writes import GroupWriter, write_array, write_sources
from roitrace.errors import BudgetError, FileAccessError
from roitrace.formats.identity import combine
from roitrace.recording import MIDDLE, as_recording, open_recording, stored_coords
from roitrace.store.building import Build, building
from roitrace.store.commits import committed_files
from roitrace.store.files import free_space
from roitrace.store.finishing import finish_recording
from roitrace.store.journal import Journal
from roitrace.store.layout import RecordingLayout
from roitrace.store.metadata import recording_attributes
from roitrace.store.origin import Origin, remember
from roitrace.store.places import ObjectPath, place_of
from roitrace.store.shard import compressed_part
from roitrace.store.writer import ShardWriter, small_files, write_small_files
from roitrace.units import format_budget, format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import xarray as xr

    from roitrace.recording import Pixel
    from roitrace.sources import BlockSource, RecordingFile
    from roitrace.store.places import Location

    Source = str | Location | Sequence[str | Path] | xr.DataArray | RecordingFile

__all__ = ["Conversion", "check_room", "convert", "plan_conversion", "task_limits", "write_conversion"]

_SOURCE = "source content"
_COPIES = 2
_OF_STORE = {"roitrace", "ome", "coordinates"}
"""Root attributes that follow from what else the fingerprint says."""


@dataclass(frozen=True, eq=False)
class Conversion:
    """What a recording store will hold, and from what.

    Attributes
    ----------
    layout : RecordingLayout
        Chunk grid.
    files : dict of str to bytes
        Its small files.
    fingerprint : dict
        What its bytes depend on: the identity of the source's content, parameters.
    sources : tuple of tuple of BlockSource or None
        ``sources[channel][plane]``.
    array : dask Array or None
        What is written where there are no block sources.
    """

    layout: RecordingLayout
    files: dict[str, bytes]
    fingerprint: dict[str, Any]
    sources: tuple[tuple[BlockSource, ...], ...] | None
    array: Any

    def writing(self, writer: GroupWriter, units: Sequence[tuple[int, ...]], workers: int) -> Any:
        """Return a lazy object that writes some shards."""
        if self.sources is None:
            return write_array(writer, self.array, units, workers)
        middle = tuple(dim for dim in self.layout.dims if dim in MIDDLE)
        return write_sources(writer, self.sources, middle, units, workers)

    @property
    def facts(self) -> dict[str, Any]:
        """What the manifest says besides: the parameters. Its checksums are the identity of the content, wherever that came from."""
        known = {name: value for name, value in self.fingerprint.items() if name != _SOURCE}
        return {"fingerprint": known}

    @property
    def held(self) -> int:
        """Samples in memory in a task: a strip and the chunk of the file that it comes from, or a shard that is put together from blocks."""
        layout = self.layout
        rows = _strip_rows(layout, self.sources[0][0].chunks[1] if self.sources else layout.shape[-2])
        strip = min(layout.chunks[0], layout.shape[0]) * rows * layout.shape[-1]
        if self.sources is None:
            return 4 * strip + 2 * int(prod(self.array.chunksize))
        return 2 * strip + prod(self.sources[0][0].chunks)

    @property
    def ahead_bytes(self) -> int:
        """What an open reader has fetched ahead."""
        return self.sources[0][0].ahead_bytes if self.sources else 0


def convert(
    source: Source,
    store: str | Location,
    *,
    frame_rate: float | None = None,
    pixel_size: Pixel | None = None,
    chunks: tuple[int, int, int] | None = None,
    overwrite: bool = False,
    budget: str | float = "1 GiB",
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> xr.DataArray:
    """Write a recording into a zarr store that every lazy verb reads fast; streams, whole files at a time.

    The store is a zarr v3 group that `xarray.open_zarr` opens as a labelled Dataset, and valid OME-Zarr 0.5. A job that was stopped, however,
    goes on when the same call is given again, and ends with the same bytes.

    Parameters
    ----------
    source : path, sequence of paths, DataArray or RecordingFile
        What to convert; a lazily transformed DataArray is computed on the way.
    store : path
        Folder to write, by custom ``*.zarr``; or a place in a bucket, such as ``s3://lab/movie.zarr``.
    frame_rate, pixel_size : optional
        As for `open_recording`.
    chunks : tuple of int, optional
        Chunk ``(time, y, x)``; by default decided by shape and dtype.
    overwrite : bool
        Replace a store that is there, once the new one is complete.
    budget : str or int
        Memory that the job may use, imports included.
    workers : int, optional
        Tasks at once; by default all processors.
    progress : callable, optional
        Called with tasks done and all tasks.
    **options
        Passed to the format's reader.

    Returns
    -------
    DataArray
        The store, opened.

    Raises
    ------
    OutputExistsError
        If the store is there and `overwrite` is False. Nothing is touched then.
    OutputBusyError
        If another job is writing it.
    StoreError
        If an unfinished store is there that another recording or other parameters began, and `overwrite` is False.
    BudgetError
        If one strip of one shard does not fit the budget.
    FileAccessError
        If there is no space or no permission; what is finished stays.

    Examples
    --------
    >>> import numpy as np, pathlib, roitrace as rt, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> np.save(folder / "movie.npy", np.zeros((10, 4, 6), dtype="uint16"))
    >>> rt.convert(folder / "movie.npy", folder / "movie.zarr", frame_rate=5).shape
    (10, 4, 6)
    """
    target = place_of(store)
    conversion = plan_conversion(
        source, frame_rate=frame_rate, pixel_size=pixel_size, chunks=chunks, **options
    )
    said = {"frame_rate": frame_rate, "pixel_size": pixel_size, "chunks": chunks, **options}
    origin = Origin.of(source, said)
    write_conversion(
        conversion,
        target,
        origin,
        command=_command(origin, target, overwrite=overwrite),
        overwrite=overwrite,
        budget=budget,
        workers=workers,
        progress=progress,
    )
    return open_recording(str(target))


def write_conversion(
    conversion: Conversion,
    store: Location,
    origin: Origin,
    *,
    command: str,
    overwrite: bool,
    budget: str | float,
    workers: int | None,
    progress: Callable[[int, int], object] | None,
) -> None:
    """Write a store that was planned; `command` is what goes on with it, the rest as for `convert`."""
    limits = task_limits(conversion, budget, workers, to_bucket=isinstance(store, ObjectPath))
    if not store.exists() or (overwrite and Journal.of(store).job() is None):
        check_room(conversion, store)
    with building(
        store, conversion.fingerprint, overwrite=overwrite, what="the recording", command=command
    ) as build:
        if not build.is_whole:
            _write(conversion, build, *limits, progress)
        remember(store, origin)


def plan_conversion(
    source: Source,
    *,
    frame_rate: float | None = None,
    pixel_size: Pixel | None = None,
    chunks: tuple[int, int, int] | None = None,
    **options: Any,
) -> Conversion:
    """Decide what the store of a recording will hold; reads metadata only. Parameters are those of `convert`."""
    file, recording = as_recording(source, frame_rate, pixel_size, options)
    layout = RecordingLayout.of(
        tuple(str(dim) for dim in recording.dims), recording.shape, recording.dtype, chunks
    )
    coords, attributes = stored_coords(recording), recording_attributes(recording, layout.dims)
    sources = None if file is None else file.sources
    files = small_files(layout, coords, attributes)
    labels = (item for item in files.items() if item[0].partition("/")[0] in coords)
    fingerprint = {
        _SOURCE: _identity(sources, recording.data),
        "shape": layout.shape,
        "dtype": layout.dtype.name,
        "chunks": layout.chunks,
        **{name: value for name, value in attributes.items() if name not in _OF_STORE},
        "set of coordinates": combine(*((key, sha256(data).hexdigest()) for key, data in labels)),
        "version of roitrace": attributes["roitrace"]["version"],
    }
    return Conversion(layout, files, fingerprint, sources, recording.data)


def task_limits(
    conversion: Conversion, budget: str | float, workers: int | None, *, to_bucket: bool = False
) -> tuple[int, int]:
    """Return how many tasks of a process, and of all processes together, run at once within the budget.

    A file that goes to a bucket is in memory until it is put, and its client may copy it.

    Raises
    ------
    BudgetError
        If one task does not fit.
    """
    limits = limits_of(budget, workers)
    held = conversion.held + (_COPIES * prod(conversion.layout.shards) if to_bucket else 0)
    with of_each_worker():
        count = _affordable_workers(conversion.layout, held, conversion.ahead_bytes, *limits)
    return count, count * worker_processes() if count == limits.workers else count


def _write(
    conversion: Conversion,
    build: Build,
    workers: int,
    together: int,
    progress: Callable[[int, int], object] | None,
) -> None:
    """Write what is not there yet, and finish the store."""
    layout = conversion.layout
    done = committed_files(build.journal, build.path)
    write_small_files(build.path, conversion.files)
    units = [unit for unit in layout.units() if layout.key(unit) not in done]
    if units:
        writer = GroupWriter(ShardWriter(build.path, layout), build.journal)
        execute(conversion.writing(writer, units, together), workers=workers, progress=progress)
    finish_recording(
        build.path,
        conversion.files,
        committed_files(build.journal, build.path),
        map(layout.key, layout.units()),
        conversion.facts,
    )


def _identity(sources: Sequence[Sequence[BlockSource]] | None, array: Any) -> str:
    """Return what tells the content of a recording; of a transformed one, what it is computed from."""
    if sources is None:
        return combine(array.name)
    return combine(*(source.identity() for planes in sources for source in planes))


def _strip_rows(layout: RecordingLayout, source_rows: int) -> int:
    tile = layout.chunks[-2]
    return min(-(-source_rows // tile) * tile, layout.shape[-2])


def _affordable_workers(layout: RecordingLayout, held: int, ahead: int, budget: int, workers: int) -> int:
    """Return how many tasks at once, of so many samples each and so many bytes fetched ahead, stay within the budget."""
    task = (held + 3 * prod(layout.chunks)) * layout.dtype.itemsize + ahead + 8 * 2**20
    affordable = (budget - RESERVED_BYTES) // task
    if affordable < 1:
        raise BudgetError(
            f"converting needs {format_bytes(task)} per task and {format_bytes(RESERVED_BYTES)} for the program itself, "
            f"the budget is {format_bytes(budget)}",
            f"give budget={format_budget(RESERVED_BYTES + task)!r} or more, or smaller chunks=(time, y, x)",
        )
    return int(min(workers, affordable))


def check_room(conversion: Conversion, store: Location, since: int = 0) -> None:
    """Refuse to write what the disk has no room for, judged by one chunk where it is not plain.

    Parameters
    ----------
    conversion : Conversion
        What is written.
    store : path
        Where to; nobody knows how much a bucket takes.
    since : int
        First frame that is written.

    Raises
    ------
    FileAccessError
        With what is free and what would be needed.
    """
    room = free_space(store.absolute().parent)
    if room is None:
        return
    folder, free = room
    layout, sources = conversion.layout, conversion.sources
    needed = (layout.shape[0] - since) * prod(layout.shape[1:]) * layout.dtype.itemsize
    if free >= needed or sources is None:
        return
    middle = tuple(
        slice(start, min(start + chunk, size))
        for first, size, chunk in zip(
            (since, 0, 0), sources[0][0].shape, (layout.chunks[0], *layout.chunks[-2:]), strict=True
        )
        for start in [first + (size - first) // 2 // chunk * chunk]
    )
    needed = int(needed * compressed_part(sources[0][0].read(*middle)))
    if free < needed:
        raise FileAccessError(
            f"{store} would take about {format_bytes(needed)}{' more' if since else ''}, and {folder} has {format_bytes(free)} left",
            "free some space or choose another place; nothing was written",
        )


def _command(origin: Origin, store: Location, *, overwrite: bool) -> str:
    """Return what is to be given to go on with a job."""
    if not origin.files:
        return f"give the same call again: roitrace.convert(recording, {str(store)!r}, ...)"
    words = ["roitrace", "convert", *origin.files, str(store.absolute()), *origin.arguments()]
    return f"give the same command again: {shlex.join([*words, *(['--overwrite'] if overwrite else [])])}"
