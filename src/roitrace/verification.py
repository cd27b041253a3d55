"""Is a store still what was written? If not: what is damaged, and mend it from the source."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roitrace.engine.each import for_each
from roitrace.engine.run import execute
from roitrace.errors import ArgumentError, StoreError
from roitrace.file_errors import explained
from roitrace.formats.recordings.series import natural_key
from roitrace.formats.recordings.zarr_store import unfinished_error
from roitrace.repair import command_of, find_lost_manifest, make_manifest, repair_files
from roitrace.store.building import resumable
from roitrace.store.commits import end_job
from roitrace.store.damage import Damage, find_damage
from roitrace.store.files import read_file, run_folder
from roitrace.store.journal import Journal
from roitrace.store.known import KnownFiles
from roitrace.store.layout import FLUORESCENCE
from roitrace.store.lock import writing_alone
from roitrace.store.manifest import MANIFEST, groups_of
from roitrace.store.mark import mark_of
from roitrace.store.places import place_of
from roitrace.store.writer import ROOT
from roitrace.units import format_bytes, format_count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from roitrace.conversion import Source
    from roitrace.store.manifest import FileFacts
    from roitrace.store.places import Location

__all__ = ["Verification", "verify"]

_SHOWN = 40
"""Damages that are printed."""


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes
    ----------
    store : str
        The store.
    n_files, nbytes : int
        Files that were read, and their length together.
    damages : tuple of Damage
        What is damaged: each has ``file``, ``problem``, ``array``, ``chunks`` and ``frames``.
    repaired : tuple of Damage
        What was damaged, and is mended.
    next_step : str
        What mends the rest.
    """

    store: str
    n_files: int
    nbytes: int
    damages: tuple[Damage, ...] = ()
    repaired: tuple[Damage, ...] = ()
    next_step: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damages

    def __str__(self) -> str:
        size = f"{format_count(self.n_files, 'file')}, {format_bytes(self.nbytes)}"
        lines = [f"{self.store}: {'whole' if self.ok else f'{len(self.damages)} damaged'} of {size}"]
        lines += _shown("damaged", [str(one) for one in self.damages])
        lines += _shown("mended", [one.place for one in self.repaired])
        return "\n".join([*lines, *([self.next_step] if self.next_step else [])])


def verify(
    store: str | Location,
    *,
    repair: bool = False,
    source: Source | None = None,
    budget: str | float = "1 GiB",
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> Verification:
    """Read every file of a store of roitrace's and compare it with the store's manifest.

    Finds whatever is missing, cut short, empty, flipped, swapped with another file or of an earlier time; in recordings, results and
    truths of simulations. Reads each file once, some megabytes at a time.

    Parameters
    ----------
    store : path
        What `convert`, `simulate`, `save` or a job wrote.
    repair : bool
        Write damaged files of a recording again, from the source; others are not touched. What is written must be what was written
        before, to the bit. A manifest that is damaged or lost is made anew: everything is computed again and compared with what is there.
        Results are computed by many means: their damaged files are set back to unfinished, and the job or call that made the results,
        given again, computes these alone. Until then the rest can be read as before.
    source : optional
        What the recording was converted from; by default the files that are remembered in ``<store>.run``.
    budget, workers, progress : optional
        As for `convert`.
    **options
        What was said about the source when it was converted; by default what is remembered.

    Returns
    -------
    Verification
        Its `ok` is whether all is well; printed, it names each file, chunk and frame that is damaged.

    Raises
    ------
    StoreError
        If the store is unfinished or was not written by roitrace, if its manifest is damaged and not to be repaired, or, with `repair`, if
        the source holds other data than the store was made from.
    ArgumentError
        If the source is not known.

    Examples
    --------
    >>> import numpy as np, pathlib, roitrace as rt, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> np.save(folder / "movie.npy", np.zeros((10, 4, 6), dtype="uint16"))
    >>> _ = rt.convert(folder / "movie.npy", folder / "movie.zarr")
    >>> (folder / "movie.zarr/fluorescence/c/0/0/0").unlink()
    >>> [(one.problem, one.frames) for one in rt.verify(folder / "movie.zarr").damages]
    [('is missing', (0, 9))]
    >>> rt.verify(folder / "movie.zarr", repair=True).ok
    True
    """
    path = place_of(store)
    lost = find_lost_manifest(path) if repair else None
    if lost is not None:
        with writing_alone(path), resumable(path, command_of(path, source, options)):
            journal = Journal.of(path)
            _check_idle(path, journal)
            try:
                mended = make_manifest(path, lost, source, options, (budget, workers, progress))
            finally:
                end_job(journal, path)
        return replace(verify(path, workers=workers), repaired=mended)
    known = _known(path)
    n_files, nbytes, damages = _look(path, known, workers, progress)
    found = Verification(str(path), n_files, nbytes, damages)
    if not repair:
        return found
    with writing_alone(path), explained():
        journal = Journal.of(path)
        _check_idle(path, journal)
        if (mark_of(path) or {}).get("kind") == "results":
            step = _set_back(path, known, damages, journal) if damages else ""
            return replace(found, next_step=step)
        try:
            if damages:
                with resumable(path, command_of(path, source, options)):
                    repair_files(path, known, damages, source, options, (budget, workers, progress))
        finally:
            end_job(journal, path)
    _, _, left = _look(path, known, workers, None, [one.file for one in damages])
    return Verification(str(path), n_files, nbytes, left, tuple(one for one in damages if one not in left))


def _shown(what: str, lines: Sequence[str]) -> list[str]:
    more = len(lines) - _SHOWN
    last = [f"and {more:,} more, which --json names"] if more > 0 else []
    return [f"{what}: {line}" for line in lines[:_SHOWN]] + last


def _known(store: Location) -> KnownFiles:
    if not store.exists():
        raise ArgumentError(f"there is no store {store}", "check the path")
    mark, place = mark_of(store), store / FLUORESCENCE / MANIFEST
    # a recording has its manifest there even if the root metadata, which name it, are damaged
    if mark is not None and ((store / mark["manifest"]).exists() or not place.exists()):
        place = store / mark["manifest"]
    if mark is None and not place.exists():
        if isinstance(store, Path) and any(store.glob(f"*/*/{MANIFEST}")):
            raise StoreError(
                f"{store / ROOT} is damaged: it does not name the manifest that is there",
                f"restore it from a copy, or move {store} away and run its job again",
            )
        raise StoreError(
            f"{store} has no manifest: it was not written by roitrace, or by an early version of it",
            "roitrace convert makes a store that can be verified",
        )
    try:
        return KnownFiles.open(place)
    except FileNotFoundError:
        if (mark or {}).get("kind") == "recording":
            raise unfinished_error(store) from None
        job = Journal.of(store).job() or {}
        raise StoreError(
            f"{store} is unfinished, or its manifest was lost",
            job.get("command") or "run its job again, with overwrite",
        ) from None
    except StoreError as error:
        if (mark or {}).get("kind") == "recording":
            raise
        # nothing tells what results and truths held
        raise StoreError(
            error.problem, "restore it from a copy, or run its job again, with overwrite"
        ) from error


def _look(
    store: Location,
    known: KnownFiles,
    workers: int | None,
    progress: Callable[[int, int], object] | None,
    keys: Sequence[str] | None = None,
) -> tuple[int, int, tuple[Damage, ...]]:
    """Compare files with what they may hold; return how many they are, their bytes, and what is damaged."""
    names = dict.fromkeys(one.key for one in known.manifests[0]) if keys is None else keys
    facts = [tuple(known.of(key)) for key in names]
    lazy = for_each(_check, [(one[0].length, one) for one in facts], store)
    (found,) = execute(lazy, workers=workers, progress=progress)
    damages = tuple(sorted((one for one in found if one is not None), key=lambda one: natural_key(one.file)))
    return len(facts), sum(one[0].length for one in facts), damages


def _check(known: tuple[FileFacts, ...], store: Location) -> Damage | None:
    return find_damage(store, known)


def _check_idle(store: Location, journal: Journal) -> None:
    """Refuse to mend a store that another job left off at."""
    job = journal.job()
    if job is not None and not job["fingerprint"].get("repair") and not job.get("mends"):
        raise StoreError(f"another job on {store} was interrupted", job["command"])


def _set_back(store: Location, known: KnownFiles, damages: Sequence[Damage], journal: Journal) -> str:
    """Begin a journal in which all files of results are finished but the damaged ones; return what goes on with it."""
    manifest, damaged = known.manifests[0], {one.file for one in damages}
    fingerprint = manifest.facts["fingerprint"]
    if not fingerprint["source"]:
        raise StoreError(
            f"{store} does not say what recording it is of, so that nothing tells whether another call computes the same",
            "save the results again, with overwrite",
        )
    lost = next((key for key in sorted(damaged) if key.endswith(ROOT)), None)
    if lost is not None:
        raise StoreError(
            f"{store / lost} is damaged: of results, values are computed again, metadata are not",
            "run the job again, with overwrite",
        )
    step = "to mend it, run the job again that made it, with the same parameters: it computes only what is damaged"
    whole = [one for one in manifest if one.key not in damaged]
    groups = groups_of(manifest)
    broken = {group for group in groups for key in damaged if key.startswith(f"{group}/")}
    journal.clear()
    journal.begin(fingerprint, mends=True, beside=False, command=step, files=_files_beside(store))
    journal.append("main", {"files": [one.to_record() for one in whole], "groups": sorted(groups - broken)})
    return step


def _files_beside(store: Location) -> list[str]:
    """Return what else the job of some results wrote."""
    try:
        told = json.loads(read_file(run_folder(store) / "run.json") or b"{}")
        return [str(one) for one in told.get("files", [])]
    except (ValueError, AttributeError, TypeError):
        return []
