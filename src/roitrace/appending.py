"""Append new frames to a recording store: what is there before stays whole at every instant."""

from __future__ import annotations

import logging
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.conversion import Conversion, check_room, plan_conversion, task_limits
from roitrace.engine.run import execute
from roitrace.engine.writes import GroupWriter
from roitrace.errors import ArgumentError, StoreError
from roitrace.file_errors import explained
from roitrace.formats.identity import combine
from roitrace.formats.recordings.parts import join
from roitrace.formats.recordings.series import join_recordings
from roitrace.recording import as_recording, open_recording, read_metadata
from roitrace.sources import RecordingFile, Window
from roitrace.store.building import resumable
from roitrace.store.commits import committed_files
from roitrace.store.extending import put_into_effect, staging_folder, take_effect
from roitrace.store.files import make_folder, remove_drafts, remove_tree, write_file
from roitrace.store.journal import Journal, changed_facts
from roitrace.store.known import KnownFiles
from roitrace.store.lock import writing_alone
from roitrace.store.mark import mark_of
from roitrace.store.origin import Origin, remember, remembered
from roitrace.store.places import ObjectPath, place_of
from roitrace.store.writer import ShardWriter, facts_of_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr

    from roitrace.conversion import Source
    from roitrace.sources import BlockSource
    from roitrace.store.places import Location

__all__ = ["append"]

_log = logging.getLogger("roitrace")


def append(
    source: Source,
    store: str | Location,
    *,
    overwrite: bool = False,
    budget: str | float = "1 GiB",
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> xr.DataArray:
    """Append new frames to a recording store; it ends with the bytes that converting everything anew would give.

    Only new frames are read from the source; those of the last file of the store that is not full come from the store. While it works,
    and if it is stopped, the store opens with all frames that were there before; the same call goes on.

    Parameters
    ----------
    source : path, sequence of paths, DataArray or RecordingFile
        The new frames: of the same height, width, channels and planes. Frame rate and pixel size are the store's. If `source` begins with
        the files that the store was made from (a file that has grown, a series with more files), all but the frames that are there are new.
        Files that were appended last are not appended again: the same call twice is the same as once.
    store : path
        What `convert` wrote.
    overwrite : bool
        Give up an append of other frames that was interrupted, and begin this one in its place. What is in the store stays.
    budget, workers, progress : optional
        As for `convert`.
    **options
        Passed to the format's reader. Each appended source is a session of its own unless ``continuous=True``.

    Returns
    -------
    DataArray
        The store, opened.

    Raises
    ------
    StoreError
        If `store` is no finished recording store, the frames at its end are not those of the grown file, or an append of other frames
        was interrupted and `overwrite` is False.
    FormatError
        If the frames do not fit those of the store.
    OutputBusyError
        If another job is writing the store.

    Examples
    --------
    >>> import numpy as np, pathlib, roitrace as rt, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("first.npy", "second.npy"):
    ...     np.save(folder / name, np.zeros((10, 4, 6), dtype="uint16"))
    >>> _ = rt.convert(folder / "first.npy", folder / "movie.zarr")
    >>> dict(rt.append(folder / "second.npy", folder / "movie.zarr").sizes)
    {'time': 20, 'y': 4, 'x': 6}
    """
    target = place_of(store)
    mark = mark_of(target)
    if mark is None or mark.get("kind") != "recording":
        raise StoreError(f"{target} is no recording store of roitrace's", "make one with roitrace convert")
    place = target / mark["manifest"]
    with writing_alone(target), explained():
        journal, staging = Journal.of(target), staging_folder(target)
        new = _as_file(source, options)
        content = combine(*(one.identity() for planes in new.sources for one in planes))
        if _has_taken_effect(journal, target, place, content):
            return open_recording(str(target))
        given = Origin.of(source, options)
        if _is_there(new, given, target):
            _log.warning(
                "the last frames of %s are those of %s already: nothing is appended", target, given.files[-1]
            )
            return open_recording(str(target))
        joined, origin = _joined(new, target, options, given)
        if joined is not None:
            conversion = plan_conversion(joined, chunks=_chunks_of(place))
            command = _command(given, target)
            if _goes_on(journal, conversion, given, target, overwrite=overwrite):
                remove_drafts(staging)
            else:
                journal.clear()
                remove_tree(staging)
                check_room(conversion, target, _first_written(conversion, target))
                make_folder(staging)
                notes = {"files": list(origin.files), "options": origin.options}
                facts = {"content": content, "appended": list(given.files), "origin": notes}
                journal.begin(conversion.fingerprint, command=command, **facts)
            with resumable(target, command):
                _stage(conversion, target, place, journal.of_job(), (budget, workers, progress))
                _tidy(journal, staging, target)
    return open_recording(str(target))


def _has_taken_effect(journal: Journal, store: Location, place: Location, content: str) -> bool:
    """End an append that had been put into effect; return whether it was that of the same frames.

    Raises
    ------
    StoreError
        If another kind of job left off at the store.
    """
    job = journal.job()
    if job is not None and "content" not in job:
        raise StoreError(f"another job on {store} was interrupted", job["command"])
    take_effect(store, place)
    if job is None or job["fingerprint"]["shape"][0] != open_recording(str(store)).sizes["time"]:
        return False
    _tidy(journal, staging_folder(store), store)
    return bool(job["content"] == content)


def _is_there(new: RecordingFile, given: Origin, store: Location) -> bool:
    """Whether the files given are the last that the store is made from, and their frames its last: an append that is asked for again."""
    origin = remembered(store)
    if origin is None or not 0 < len(given.files) < len(origin.files):
        return False
    if origin.files[-len(given.files) :] != given.files:
        return False
    old = read_metadata(str(store), {})
    pairs = [
        pair for planes in zip(old.sources, new.sources, strict=True) for pair in zip(*planes, strict=True)
    ]
    return all(_ends_alike(one, other) for one, other in pairs)


def _ends_alike(old: BlockSource, new: BlockSource) -> bool:
    """Whether the last frames of one source are those of another: its first and its last are compared."""
    before = old.shape[0] - new.shape[0]
    return before >= 0 and _agree(old, new, before=before, frames=new.shape[0])


def _agree(one: BlockSource, other: BlockSource, *, before: int = 0, frames: int) -> bool:
    """Whether so many frames of one source, behind the first ones, are those another begins with: the first and the last are compared."""
    if one.shape[1:] != other.shape[1:]:
        return False
    y, x = (slice(0, size) for size in one.shape[1:])
    return all(
        np.array_equal(
            one.read(slice(before + frame, before + frame + 1), y, x),
            other.read(slice(frame, frame + 1), y, x),
        )
        for frame in (0, frames - 1)
    )


def _command(given: Origin, store: Location) -> str:
    """Return what is to be given to go on with an append."""
    if not given.files:
        return f"give the same call again: roitrace.append(recording, {str(store)!r})"
    words = ["roitrace", "append", *given.files, str(store.absolute()), *given.arguments()]
    return f"give the same command again: {shlex.join(words)}"


def _goes_on(
    journal: Journal, conversion: Conversion, given: Origin, store: Location, *, overwrite: bool
) -> bool:
    """Whether an append of the same frames was interrupted.

    Raises
    ------
    StoreError
        If one of other frames was, and is not to be given up.
    """
    known = journal.job()
    changed = [] if known is None else changed_facts(known["fingerprint"], conversion.fingerprint)
    if known is not None and changed and not overwrite:
        raise StoreError(
            f"an append of {_named(known['appended'])} to {store} was interrupted, and {_named(given.files)} is given now: "
            f"{'; '.join(changed)}",
            f"to go on with it, {known['command']}; to give it up and append what is given now, add overwrite=True (--overwrite)",
        )
    return known is not None and not changed


def _named(files: Sequence[str]) -> str:
    return " ".join(files) or "a recording that is no file"


def _first_written(conversion: Conversion, store: Location) -> int:
    """Return the first frame that is written: that of the last file of the store, if it is not full."""
    step = conversion.layout.shards[0]
    return open_recording(str(store)).sizes["time"] // step * step


def _stage(
    conversion: Conversion, store: Location, place: Location, journal: Journal, limits: tuple[Any, Any, Any]
) -> None:
    """Write all files that are new or change beside the store, then let them take effect."""
    budget, workers, progress = limits
    layout, staging = conversion.layout, staging_folder(store)
    first = _first_written(conversion, store) // layout.shards[0]
    done = committed_files(journal, staging)
    changing = [unit for unit in layout.units() if unit[0] >= first]
    units = [unit for unit in changing if layout.key(unit) not in done]
    count, together = task_limits(conversion, budget, workers, to_bucket=isinstance(store, ObjectPath))
    if units:
        writer = GroupWriter(ShardWriter(staging, layout), journal)
        execute(conversion.writing(writer, units, together), workers=count, progress=progress)
    for key, data in conversion.files.items():
        make_folder((staging / key).parent)
        write_file(staging / key, data)
    staged = committed_files(journal, staging)
    (manifest,) = KnownFiles.open(place).manifests
    known = {layout.key(unit): manifest.find(layout.key(unit)) for unit in layout.units()}
    files = [staged.get(key) or facts for key, facts in known.items()]
    if None in files:
        raise StoreError(f"files in {staging} were removed while it was written", "give the same call again")
    small = [facts_of_bytes(key, data) for key, data in conversion.files.items()]
    put_into_effect(store, place, [*small, *(one for one in files if one is not None)], conversion.facts)


def _tidy(journal: Journal, staging: Location, store: Location) -> None:
    """Remember what the store is made from now, and end the job."""
    job = journal.job()
    if job is not None:
        remember(store, Origin(tuple(job["origin"]["files"]), job["origin"]["options"]))
    remove_tree(staging)
    journal.clear()


def _chunks_of(place: Location) -> tuple[int, int, int]:
    """Return the chunk ``(time, y, x)`` of the store of a manifest."""
    frames, *_, height, width = KnownFiles.open(place).manifests[0].facts["fingerprint"]["chunks"]
    return frames, height, width


def _joined(
    new: RecordingFile, store: Location, options: dict[str, Any], given: Origin
) -> tuple[RecordingFile | None, Origin]:
    """Return what is in the store with what is new behind it, and what it will be made from; None if nothing is new."""
    old, origin = read_metadata(str(store), {}), remembered(store)
    if origin is not None and given.files[: len(origin.files)] == origin.files:
        return _grown(old, origin, given, store), Origin(given.files, origin.options)
    names = [str(store), " ".join(given.files) or "what is appended"]
    joined = join_recordings([old, new], names, continuous=bool(options.get("continuous")))
    plain = origin is not None and given.files and all(map(_is_file, (*origin.files, *given.files)))
    if origin is None or not plain:
        return joined, Origin()
    more = {"continuous": True} if options.get("continuous") else {}
    return joined, Origin((*origin.files, *given.files), {**origin.options, **more})


def _is_file(path: str) -> bool:
    return place_of(path).is_file()


def _as_file(source: Source, options: dict[str, Any]) -> RecordingFile:
    file, _ = as_recording(source, None, None, options)
    if file is None:
        raise ArgumentError(
            "what is appended is a transformed recording", "convert it first, then append the store"
        )
    return file


def _grown(old: RecordingFile, origin: Origin, given: Origin, store: Location) -> RecordingFile | None:
    """Return the recording of the files that the store was made from and that have grown; the frames that are there come from the store."""
    options = {name: value for name, value in origin.options.items() if name != "chunks"}
    rate, size = options.pop("frame_rate", None), options.pop("pixel_size", None)
    whole = read_metadata(given.source, options)
    frames, total = old.sources[0][0].shape[0], whole.sources[0][0].shape[0]
    if total < frames:
        raise StoreError(
            f"{given.source} has {total} frames, {store} {frames}: it has not grown", "check the file"
        )
    sources = tuple(
        tuple(_behind(one, other, store) for one, other in zip(*planes, strict=True))
        for planes in zip(old.sources, whole.sources, strict=True)
    )
    if total == frames:
        return None
    metadata = whole.metadata
    if rate is not None:
        metadata = replace(metadata, frame_rate=float(rate), time=None)
    if size is not None:
        pair = (size, size) if isinstance(size, int | float) else (size[0], size[1])
        metadata = replace(metadata, pixel_size=(float(pair[0]), float(pair[1])))
    return replace(whole, sources=sources, metadata=metadata)


def _behind(old: BlockSource, whole: BlockSource, store: Location) -> BlockSource:
    """Return the frames of the store with the new ones of a grown source behind them."""
    frames, height, width = old.shape
    if not _agree(old, whole, frames=frames):
        raise StoreError(
            f"the first {frames} frames of the source are not those of {store}",
            "append the new frames as a file of their own",
        )
    if whole.shape[0] == frames:
        return old
    new = Window(whole, (frames, 0, 0), (whole.shape[0] - frames, height, width))
    return join([old, new], [str(store), "the source"])
