"""Kill a job, spoil what it would resume from, and see that nothing is taken on trust: its journal, or what it was begun with."""

from __future__ import annotations

import shutil
import time
from random import Random
from typing import TYPE_CHECKING

import numpy as np

import roitrace as rt
from roitrace.errors import RoitraceError
from tests.faults.campaign import Report, Stage, is_journal, resumed, staged
from tests.faults.children import run_in_child
from tests.faults.injection import Fault, Injector
from tests.faults.jobs import CHUNKS, JOBS, Files, copied, differences, movie, outputs_of
from tests.faults.operations import observed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.jobs import Job


def damaged_journals(job: Job, count: int, seed: int) -> Report:
    """Kill a job so many times, damage a lane of its journal, and resume: a record that is not as it was written counts as never written."""
    begin = time.monotonic()
    report, random = Report(), Random(seed)
    with staged(job) as stage:
        recorded = [
            at for at, one in enumerate(stage.operations) if is_journal(one.path) and one.kind == "write"
        ]
        for _ in range(count):
            folder = _killed(stage, random.randrange(recorded[0] + 1, recorded[-1] + 2))
            lanes = sorted(path for path in folder.glob("*.run/journal/lane-*") if path.stat().st_size)
            story = "no journal yet"
            if lanes:
                story = _spoil(random.choice(lanes), random)
            wrong = resumed(stage, folder)
            if wrong:
                report.violations.append(f"{story}: {wrong}")
            report.tried += 1
            report.ends[story.split(":")[0]] += 1
            shutil.rmtree(folder)
    report.seconds = time.monotonic() - begin
    return report


def _spoil(lane: Path, random: Random) -> str:
    """Damage a file of records: another digit, a flipped bit, a cut, zeros at the end."""
    content = bytearray(lane.read_bytes())
    place = random.randrange(len(content))
    kind = random.choice(("digit", "digit", "bit", "cut", "zeros"))
    if kind == "digit":
        digits = [at for at, byte in enumerate(content) if chr(byte).isdigit()]
        place = random.choice(digits)
        content[place] = ord("0") + (content[place] - ord("0") + random.randrange(1, 10)) % 10
    elif kind == "bit":
        content[place] ^= 1 << random.randrange(8)
    elif kind == "cut":
        del content[place:]
    else:
        content[place:] = bytes(len(content) - place)
    lane.write_bytes(content)
    return f"{kind}: {kind} at {place} of {lane.name}"


def mixed_jobs(count: int, seed: int) -> Report:
    """Kill a conversion so many times and go on with another source or other parameters: refused by name, never mixed."""
    begin = time.monotonic()
    report, random = Report(), Random(seed)
    with staged(JOBS["convert"]) as stage:
        others = {name: _alone(stage, change) for name, change in CHANGES.items()}
        for number in range(count):
            name = list(CHANGES)[number % len(CHANGES)]
            folder = _killed(stage, random.randrange(len(stage.operations)))
            _try_other(name, folder, others[name], report)
            shutil.rmtree(folder)
    report.seconds = time.monotonic() - begin
    return report


def _other_source(folder: Path) -> None:
    np.save(folder / "movie.npy", movie()[::-1])
    JOBS["convert"].work(folder)


def _other_rate(folder: Path) -> None:
    rt.convert(folder / "movie.npy", folder / "recording.zarr", frame_rate=20.0, chunks=CHUNKS, workers=2)


CHANGES: dict[str, Callable[[Path], None]] = {"source": _other_source, "frame_rate": _other_rate}


def _alone(stage: Stage, change: Callable[[Path], None]) -> Files:
    """Return the files of the other job when nothing was begun before it."""
    folder = copied(stage.template, stage.root / "other")
    change(folder)
    files = outputs_of(folder)
    shutil.rmtree(folder)
    return files


def _try_other(name: str, folder: Path, expected: Files, report: Report) -> None:
    report.tried += 1
    try:
        CHANGES[name](folder)
    except RoitraceError as error:
        report.ends["refused"] += 1
        if name.replace("_", " ") not in str(error).replace("_", " ") and "exists already" not in str(error):
            report.violations.append(f"refused, but not for its {name}: {error}")
        return
    report.ends["done"] += 1
    wrong = differences(outputs_of(folder), expected)
    if wrong:
        report.violations.append(f"another {name} was mixed in: {wrong}")


def _killed(stage: Stage, number: int) -> Path:
    """Return a folder in which the job was killed before an operation."""
    folder = copied(stage.template, stage.root / "sandbox")

    def work() -> None:
        with observed(folder, Injector(Fault(number, "kill"))):
            stage.job.work(folder)

    run_in_child(work)
    return folder
