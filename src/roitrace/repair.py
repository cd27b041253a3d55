"""Mend a recording store from the source that it was made from: damaged files, or the manifest itself."""

from __future__ import annotations

import shlex
from math import prod
from typing import TYPE_CHECKING, Any

from roitrace.bounded_json import parse_json
from roitrace.conversion import Conversion, plan_conversion, task_limits
from roitrace.engine.each import for_each
from roitrace.engine.run import execute
from roitrace.engine.writes import GroupWriter
from roitrace.errors import ArgumentError, RoitraceError, StoreError
from roitrace.store.chunks import layout_in, read_layout
from roitrace.store.commits import committed_files
from roitrace.store.damage import Damage, find_broken, is_intact
from roitrace.store.files import make_folder, read_file, remove_drafts, write_file
from roitrace.store.finishing import finish_recording
from roitrace.store.journal import Journal, changed_facts
from roitrace.store.known import agrees
from roitrace.store.layout import FLUORESCENCE
from roitrace.store.manifest import MANIFEST, read_manifest
from roitrace.store.mark import mark_of
from roitrace.store.origin import Origin, remembered
from roitrace.store.places import ObjectPath
from roitrace.store.writer import ROOT, CheckedShardWriter, ProvingShardWriter, ShardWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from roitrace.conversion import Source
    from roitrace.store.chunks import ChunkLayout
    from roitrace.store.known import KnownFiles
    from roitrace.store.places import Location

__all__ = ["command_of", "find_lost_manifest", "make_manifest", "repair_files"]

_REPAIR = {"repair": True}


def repair_files(
    store: Location,
    known: KnownFiles,
    damages: Sequence[Damage],
    source: Source | None,
    options: dict[str, Any],
    limits: tuple[Any, Any, Any],
) -> None:
    """Write the damaged files again, and no others."""
    # a repair that was killed leaves them, and this one may be killed when all files are whole
    remove_drafts(store)
    conversion = _conversion_of(store, known, source, options)
    expected = {one.file: known.of(one.file)[0] for one in damages}
    for key, facts in expected.items():
        if key in conversion.files:
            if not agrees([facts], conversion.files[key]):
                raise _other_source(store, key)
            write_file(store / key, conversion.files[key])
    layout = conversion.layout
    units = [unit for unit in layout.units() if layout.key(unit) in expected]
    if not units:
        return
    journal = Journal.of(store)
    journal.clear()
    journal.begin(_REPAIR, command=command_of(store, source, options))
    _write(conversion, CheckedShardWriter(store, layout, expected), units, journal, limits)


def command_of(store: Location, source: Source | None, options: dict[str, Any]) -> str:
    """Return what is to be given to go on with a repair."""
    given = Origin.of(source, options)
    files = [word for file in given.files for word in ("--source", file)]
    words = ["roitrace", "verify", str(store.absolute()), "--repair", *files, *given.arguments()]
    return f"give the same command again: {shlex.join(words)}"


def _conversion_of(
    store: Location, known: KnownFiles, source: Source | None, options: dict[str, Any]
) -> Conversion:
    """Plan what the store was made by, from the same source."""
    if known.place != store / FLUORESCENCE / MANIFEST:
        raise StoreError(
            f"{store} holds no recording: only these are mended from their source",
            "run the job again, with overwrite",
        )
    fingerprint = known.manifests[0].facts["fingerprint"]
    frames, *_, height, width = fingerprint["chunks"]
    conversion = _planned(store, source, {**options, "chunks": (frames, height, width)})
    _check_layout(store, conversion, {name: fingerprint[name] for name in ("shape", "dtype", "chunks")})
    return conversion


def _planned(store: Location, source: Source | None, options: dict[str, Any]) -> Conversion:
    """Plan the conversion of the source that is given, or else of the one that is remembered."""
    origin = remembered(store)
    if source is None:
        if origin is None:
            raise ArgumentError(
                f"it is not known what {store} was converted from", "give source=, the files of the recording"
            )
        source = origin.source
    said = {**({} if origin is None else origin.options), **options}
    for name in ("pixel_size", "chunks"):
        if isinstance(said.get(name), list):
            said[name] = tuple(said[name])
    return plan_conversion(source, **said)


def _check_layout(store: Location, conversion: Conversion, wanted: dict[str, Any]) -> None:
    changed = changed_facts(wanted, {name: conversion.fingerprint[name] for name in wanted})
    if changed:
        raise StoreError(
            f"the source is not the one that {store} was made from: {'; '.join(changed)}",
            f"give the files that it was converted from; nothing in {FLUORESCENCE} was touched",
        )


def find_lost_manifest(store: Location) -> Damage | None:
    """Return what is wrong with the manifest of a recording: it is missing, or damaged."""
    place, key = store / FLUORESCENCE / MANIFEST, f"{FLUORESCENCE}/{MANIFEST}"
    try:
        read_manifest(place)
    except FileNotFoundError:
        is_recording = (mark_of(store) or {}).get("kind") == "recording"
        return Damage(key, "is missing", FLUORESCENCE) if is_recording else None
    except StoreError:
        return Damage(key, "is damaged", FLUORESCENCE)
    return None


def make_manifest(
    store: Location,
    lost: Damage,
    source: Source | None,
    options: dict[str, Any],
    limits: tuple[Any, Any, Any],
) -> tuple[Damage, ...]:
    """Make the manifest of a recording anew; return what was mended.

    Every file is computed again. One that is there and whole must be the same; those that are broken are replaced.

    Raises
    ------
    StoreError
        If a whole file is not what the source gives.
    """
    stored = read_layout(store / FLUORESCENCE)
    said = {} if stored is None else {"chunks": (stored.chunk[0], *stored.chunk[-2:])}
    conversion = _planned(store, source, {**options, **said})
    journal, layout = Journal.of(store), conversion.layout
    if stored is not None:
        _check_layout(store, conversion, {"shape": stored.shape})
    small = [key for key, data in conversion.files.items() if read_file(store / key) != data]
    for key in small:
        if _is_whole(store / key):
            raise _other_source(store, key)
    chunks = layout_in(conversion.files[f"{FLUORESCENCE}/{ROOT}"])
    assert chunks is not None
    keys = [layout.key(unit) for unit in layout.units()]
    things = [(prod(layout.shards) * layout.dtype.itemsize, key) for key in keys]
    (looks,) = execute(for_each(_broken, things, store, chunks), workers=limits[1])
    shards = {key: one for key, one in zip(keys, looks, strict=True) if one is not None}
    fingerprint = {**_REPAIR, **conversion.fingerprint}
    if changed_facts((journal.job() or {}).get("fingerprint", {}), fingerprint):
        journal.clear()
    remove_drafts(store)
    journal.begin(fingerprint, command=command_of(store, source, options))
    # only a source that has proved to be the right one replaces anything
    whole = [unit for unit in layout.units() if layout.key(unit) not in shards]
    _write(conversion, ProvingShardWriter(store, layout, chunks), whole, journal, limits)
    for key in small:
        make_folder((store / key).parent)
        write_file(store / key, conversion.files[key])
    broken = [unit for unit in layout.units() if layout.key(unit) in shards]
    _write(conversion, ShardWriter(store, layout), broken, journal, limits)
    finish_recording(store, conversion.files, committed_files(journal, store), keys, conversion.facts)
    return (lost, *(Damage(key, "is damaged") for key in small), *shards.values())


def _write(
    conversion: Conversion,
    shards: ShardWriter,
    units: Sequence[tuple[int, ...]],
    journal: Journal,
    limits: tuple[Any, Any, Any],
) -> None:
    """Write some shards from the source, but those that are recorded."""
    done = committed_files(journal, shards.path)
    left = [unit for unit in units if shards.layout.key(unit) not in done]
    if left:
        budget, workers, progress = limits
        is_object = isinstance(shards.path, ObjectPath)
        count, together = task_limits(conversion, budget, workers, to_bucket=is_object)
        lazy = conversion.writing(GroupWriter(shards, journal), left, together)
        execute(lazy, workers=count, progress=progress)


def _broken(key: str, store: Location, layout: ChunkLayout) -> Damage | None:
    return find_broken(store, key, layout)


def _is_whole(file: Location) -> bool:
    """Whether a small file is what somebody wrote: metadata that can be read, or a chunk with its own checksum."""
    data = read_file(file)
    if data is None or file.name != ROOT:
        return is_intact(data)
    try:
        parse_json(data, str(file))
    except (RoitraceError, ValueError):
        return False
    return True


def _other_source(store: Location, key: str) -> StoreError:
    return StoreError(
        f"{store / key} was made from another source, or with other options",
        "give the files and options that it was converted with, or convert it again, with overwrite",
    )
