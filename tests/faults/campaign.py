"""Make operations of a job go wrong, one after the other, and see that nothing is lost and nothing is half."""

from __future__ import annotations

import gc
import json
import shutil
import tempfile
import time
import traceback
from collections import Counter as Tally
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from roitrace.errors import OutputExistsError
from tests.faults.children import fork, run_here, run_in_child
from tests.faults.injection import DEADLY, Counter, Fault, Injector, possible
from tests.faults.jobs import STAGING, Job, copied, differences, outputs_of, prepared
from tests.faults.operations import Operation, observed
from tests.faults.power import LOSSES, Disk, Loss

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from tests.faults.jobs import Files


TRIED_BETWEEN_COLLECTIONS = 200


@dataclass
class Report:
    """What came of many faults."""

    tried: int = 0
    ends: Tally[str] = field(default_factory=Tally)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: Report) -> None:
        self.tried += other.tried
        self.ends += other.ends
        self.violations += other.violations

    def to_json(self) -> str:
        return json.dumps({"tried": self.tried, "ends": self.ends, "violations": self.violations[:25]})

    @classmethod
    def from_json(cls, text: str) -> Report:
        value = json.loads(text)
        return cls(value["tried"], Tally(value["ends"]), value["violations"])

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.ends.items()))
        return f"{self.tried} faults ({ends}) in {self.seconds:.0f} s, {len(self.violations)} violations"


@dataclass(frozen=True)
class Stage:
    """A job made ready: its folder before, its files after an undisturbed run, and the operations of that run."""

    job: Job
    root: Path
    expected: dict[str, bytes | None]
    operations: list[Operation]

    @property
    def template(self) -> Path:
        return self.root / "template"


@contextmanager
def staged(job: Job) -> Iterator[Stage]:
    """Prepare a job and run it undisturbed, twice: both give the same bytes, the second run says its operations."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="faults-", dir=memory if memory.is_dir() else None) as folder:
        root = Path(folder).resolve()
        prepared(job, root / "template")
        first = copied(root / "template", root / "first")
        job.work(first)
        expected = outputs_of(first)
        shutil.rmtree(first)
        counter = Counter()
        with observed(copied(root / "template", first), counter):
            job.work(first)
        wrong = differences(outputs_of(first), expected)
        assert not wrong, f"two undisturbed runs differ: {wrong}"
        shutil.rmtree(first)
        gc.collect()
        gc.freeze()  # a child would copy every page whose reference counts it visits
        yield Stage(job, root, expected, counter.seen)


def chosen(stage: Stage, count: int, random: Random) -> list[Fault]:
    """Return so many faults: every possible one before any is repeated with another part of its data."""
    every = possible(stage.operations)
    rounds = [random.sample(every, len(every)) for _ in range(-(-count // len(every)))]
    return [replace(fault, part=random.random()) for one in rounds for fault in one][:count]


def try_fault(stage: Stage, fault: Fault, random: Random, report: Report, again: float = 0.2) -> None:
    """Let one operation of the job go wrong, resume (in part of the cases with another fault), and compare."""
    folder = copied(stage.template, stage.root / "sandbox")
    faults = [fault]
    if random.random() < again:
        faults.append(
            Fault(
                random.randrange(len(stage.operations)),
                random.choice(("kill", "torn", "eio")),
                random.random(),
            )
        )
    story = []
    try:
        for one in faults:
            injector = Injector(one)

            def work(injector: Injector = injector) -> None:
                with observed(folder, injector):
                    stage.job.work(folder)

            outcome = (run_in_child if one.kind in DEADLY else run_here)(work)
            where = stage.operations[one.number] if len(story) == 0 else f"number {one.number}"
            story.append(f"{one.kind} at {where} ({outcome.end} {outcome.message[-600:]})")
            report.ends[outcome.end] += 1
            if outcome.end in {"untyped", "hang"}:
                report.violations.append(f"{story}: not one of our errors")
            wrong = stage.job.look(folder, stage.expected)
            if outcome.end == "done" and not wrong:
                wrong = differences(outputs_of(folder), stage.expected)
            if wrong:
                report.violations.append(f"{story}: {wrong}")
        wrong = resumed(stage, folder)
        if wrong:
            report.violations.append(f"{story}: after the resume: {wrong}")
    finally:
        report.tried += 1
        shutil.rmtree(folder)


def resumed(stage: Stage, folder: Path, done: Container[str] = ()) -> str:
    """Make the same call again, which must not write again what was `done`; return what is wrong then, or nothing."""

    def work() -> str:
        counter = Counter()
        with observed(folder, counter):
            stage.job.work(folder)
        drafts = [one for one in counter.seen if one.kind == "rename" and one.path.endswith(".partial")]
        names = (str(Path(one.to).relative_to(folder)) for one in drafts)
        return ", ".join(name for name in names if name in done)

    try:
        again = work()
    except OutputExistsError:
        again = ""  # the job had come to its end: nothing to resume
    except Exception:
        return traceback.format_exc()[-900:]
    if again:
        return f"written again, though it was acknowledged: {again}"
    return differences(outputs_of(folder), stage.expected)


def campaign(job: Job, count: int, seed: int, processes: int = 1) -> Report:
    """Try so many faults of a job, on several processes."""
    begin = time.monotonic()
    report = Report()
    with staged(job) as stage:
        faults = chosen(stage, count, Random(seed))
        for part in in_children(
            [_part(stage, faults[first::processes], seed, first) for first in range(processes)]
        ):
            report.add(part)
    report.seconds = time.monotonic() - begin
    return report


def _part(stage: Stage, faults: list[Fault], seed: int, number: int) -> Callable[[], Report]:
    def work() -> Report:
        report, random = Report(), Random(f"{seed} {number}")
        own = replace(stage, root=stage.root / str(number))
        copied(stage.template, own.template)
        for tried, fault in enumerate(faults):
            try_fault(own, fault, random, report)
            if tried % TRIED_BETWEEN_COLLECTIONS == 0:
                gc.collect()  # files that are mapped in what errors hold stay open
        return report

    return work


def in_children(works: list[Callable[[], Report]]) -> list[Report]:
    """Do each work in a child of its own, at the same time."""
    children = [fork(lambda work=work: work().to_json()) for work in works]
    outcomes = [child.outcome(limit=24 * 3600) for child in children]
    for outcome in outcomes:
        assert outcome.end == "done", outcome.message
    return [Report.from_json(outcome.message) for outcome in outcomes]


def power_cuts(job: Job, count: int, seed: int) -> Report:
    """Cut the power before so many operations of a job, in the model of a disk: what was acknowledged is there, the rest is resumed."""
    begin = time.monotonic()
    report, random = Report(), Random(seed)
    with staged(job) as stage:
        every = [(number, loss) for number in range(len(stage.operations) + 1) for loss in LOSSES]
        rounds = [random.sample(every, len(every)) for _ in range(-(-count // len(every)))]
        cuts = sorted([cut for one in rounds for cut in one][:count])
        disk = Disk(stage.template, called=stage.root / "first")
        acknowledged: set[str] = set()
        for number, loss in cuts:
            while disk.count < number:
                operation = stage.operations[disk.count]
                disk.record(operation)
                if operation.kind == "fsync" and "/journal" in operation.path:
                    acknowledged |= _acknowledged(disk)
            _try_cut(stage, disk, loss, random, acknowledged, report)
    report.seconds = time.monotonic() - begin
    return report


def _try_cut(
    stage: Stage, disk: Disk, loss: Loss, random: Random, acknowledged: set[str], report: Report
) -> None:
    folder = stage.root / "sandbox"
    disk.after_cut(folder, loss, random)
    before = stage.operations[disk.count - 1] if disk.count else "everything"
    story = f"power cut {disk.count} after {before}, of what was not synced lost: {loss}"
    try:
        found = outputs_of(folder)
        lost = lost_files(acknowledged, found, stage.expected)
        if lost:
            report.violations.append(f"{story}: acknowledged, but lost: {lost}")
        wrong = stage.job.look(folder, stage.expected)
        if wrong:
            report.violations.append(f"{story}: {wrong}")
        wrong = resumed(stage, folder, acknowledged)
        if wrong:
            report.violations.append(f"{story}: after the resume: {wrong}")
    finally:
        report.tried += 1
        shutil.rmtree(folder)


def is_journal(path: str) -> bool:
    return "/journal/lane-" in path


def recorded(names: Iterable[str], records: bytes) -> set[str]:
    """Return the files of chunks that are named in records of a journal, by their place in the store."""
    return {
        name
        for name in names
        if "/c/" in name and f'"{_place_of(name).partition("/")[2]}"'.encode() in records
    }


def lost_files(acknowledged: Iterable[str], found: Files, expected: Files) -> list[str]:
    """Return which files that a journal told of are not there; those of an append wait beside the store before they are moved in."""
    lost = []
    for place in sorted({_place_of(name) for name in acknowledged}):
        store, _, key = place.partition("/")
        if expected[place] not in (found.get(place), found.get(f"{store}{STAGING}{key}")):
            lost.append(place)
    return lost


def _place_of(name: str) -> str:
    return name.replace(STAGING, "/")


def _acknowledged(disk: Disk) -> set[str]:
    """Return the files that are recorded as finished, if a power cut leaves every record: only then has the writer been told."""
    lanes = [name for name in disk.names() if is_journal(name)]
    if not all(disk.is_certain(name) for name in lanes):
        return set()
    return recorded(disk.names(), b"".join(disk.content(name) for name in lanes))
