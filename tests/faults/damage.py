"""Damage files of a finished store in every way, and see that none of it stays unnoticed."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import numpy as np

import roitrace as rt
from roitrace.errors import RoitraceError
from roitrace.verification import verify
from tests.faults.campaign import Report
from tests.faults.jobs import JOBS, Job, movie
from tests.faults.power import tree_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import xarray as xr


@dataclass(frozen=True)
class Damage:
    """One damage: what it is called, and what the files of the store are then; None: gone."""

    name: str
    files: dict[str, bytes | None]


def bit_flips(files: dict[str, bytes], places: Iterable[tuple[str, int]]) -> Iterator[Damage]:
    """Yield a damage for each (file, bit)."""
    for name, bit in places:
        content = bytearray(files[name])
        content[bit // 8] ^= 1 << bit % 8
        yield Damage(f"bit {bit} of {name}", {name: bytes(content)})


def every_bit(files: dict[str, bytes]) -> list[tuple[str, int]]:
    """Return every bit of every file."""
    return [(name, bit) for name, content in files.items() for bit in range(8 * len(content))]


def other_damages(files: dict[str, bytes], stale: dict[str, bytes], random: Random) -> Iterator[Damage]:
    """Yield deletions, truncations, files that are empty, longer, zeroed, swapped, or from another store of the same shape."""
    for name, content in files.items():
        yield Damage(f"{name} is gone", {name: None})
        if content:
            yield Damage(f"{name} is empty", {name: b""})
            cut = random.randrange(len(content))
            yield Damage(f"{name} is cut at {cut}", {name: content[:cut]})
            yield Damage(f"{name} ends early by a byte", {name: content[:-1]})
            start = random.randrange(len(content))
            zeroed = content[:start] + bytes(len(content) - start)
            if zeroed != content:
                yield Damage(f"{name} is zero from {start}", {name: zeroed})
        yield Damage(f"{name} is longer", {name: content + b"\0"})
        if stale.get(name, content) != content:
            yield Damage(f"{name} is stale", {name: stale[name]})
        other = random.choice([one for one in files if files[one] != content])
        yield Damage(f"{name} and {other} are swapped", {name: files[other], other: content})


def survey(store: Path, damages: Iterator[Damage], noticed: Callable[[Path], str], report: Report) -> None:
    """Put each damage into the store, ask whether it is noticed, and put the files back."""
    begin = time.monotonic()
    files = _files_of(store)
    for damage in damages:
        for name, content in damage.files.items():
            _put(store / name, content)
        wrong = noticed(store)
        report.tried += 1
        report.ends["silent" if wrong else "noticed"] += 1
        if wrong:
            report.violations.append(f"{damage.name}: {wrong}")
        for name in damage.files:
            _put(store / name, files[name])
    report.seconds += time.monotonic() - begin


def _put(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


def survey_all(folder: Path, count: int, seed: int) -> Report:
    """Damage a recording store and a results store: so many random bits (0: every bit of every file), and every other damage.

    A damage is silent if `verify` finds nothing, or if reading a recording gives other values than before and no error.
    """
    report, random = Report(), Random(seed)
    for name in ("convert", "save"):
        job = JOBS[name]
        store = _finished(job, folder / name, movie())
        other = _finished(job, folder / f"{name} of another recording", movie()[::-1])
        files, stale = _files_of(store), _files_of(other)
        places = every_bit(files)
        flips = bit_flips(files, random.sample(places, count // 2) if count else places)
        survey(store, flips, partial(_noticed, values=_values_of(store)), report)
        survey(
            store, other_damages(files, stale, random), partial(_noticed, values=_values_of(store)), report
        )
    return report


def _finished(job: Job, folder: Path, frames: np.ndarray) -> Path:
    folder.mkdir()
    job.prepare(folder)
    np.save(folder / "movie.npy", frames)
    if job.store != "recording.zarr":
        shutil.rmtree(folder / "recording.zarr")
        JOBS["convert"].work(folder)
    job.work(folder)
    return folder / job.store


def _files_of(store: Path) -> dict[str, bytes]:
    return {name: content for name, content in tree_of(store).items() if content is not None}


def _values_of(store: Path) -> list[xr.Dataset]:
    """Read everything in a store."""
    if store.name == "recording.zarr":
        return [rt.open_recording(store).to_dataset(promote_attrs=True).load()]
    return [node.to_dataset().load() for node in rt.load(store).subtree]


def _noticed(store: Path, values: list[xr.Dataset]) -> str:
    """Say why a damage is silent, or nothing."""
    try:
        if verify(store).ok:
            return "verify finds nothing"
    except RoitraceError:
        pass
    if store.name != "recording.zarr":
        return ""  # whole chunks that were swapped are told by verify only
    try:
        now = _values_of(store)
    except RoitraceError:
        return ""
    same = len(now) == len(values) and all(
        one.identical(other) for one, other in zip(now, values, strict=True)
    )
    return "" if same else "reading gives other values"
