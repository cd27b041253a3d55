"""Send signals to jobs at random times, and start a job twice."""

from __future__ import annotations

import os
import select
import shutil
import signal
import time
from random import Random
from typing import TYPE_CHECKING

import dask

from roitrace.cli import main
from tests.faults.campaign import Report, Stage, resumed, staged
from tests.faults.children import Child, fork
from tests.faults.jobs import Job, copied, differences, outputs_of
from tests.faults.operations import Operation, Perform, observed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SIGNALS: dict[str, tuple[int, ...]] = {
    "SIGINT": (signal.SIGINT,),
    "SIGINT twice": (signal.SIGINT, signal.SIGINT),
    "SIGTERM": (signal.SIGTERM,),
    "SIGKILL": (signal.SIGKILL,),
}
CONVERT = [
    "convert",
    "movie.npy",
    "recording.zarr",
    "--frame-rate",
    "10",
    "--chunks",
    "4,8,8",
    "--workers",
    "2",
]


def command_line(folder: Path, arguments: Sequence[str]) -> Child:
    """Begin the command line in a child, on threads as a person would; what it prints is told, its exit code at the end."""

    def work() -> str:
        said = folder.with_name(f"{folder.name}.said.{os.getpid()}")
        file = os.open(said, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.chdir(folder)
        with dask.config.set(scheduler=None):
            code = main(arguments)
        text = said.read_text()
        said.unlink()
        return f"{code}|{text}"

    return fork(work)


def signalled(job: Job, arguments: Sequence[str], count: int, seed: int) -> Report:
    """Send signals at random times of so many runs of a command line; resume each by the job's call, and compare."""
    begin = time.monotonic()
    report, random = Report(), Random(seed)
    with staged(job) as stage:
        length = _seconds_of(stage, arguments)
        for number in range(count):
            kind = list(SIGNALS)[number % len(SIGNALS)]
            _try_signal(stage, arguments, kind, (random.uniform(0, length), random.uniform(0, 0.02)), report)
    report.seconds = time.monotonic() - begin
    return report


def _seconds_of(stage: Stage, arguments: Sequence[str]) -> float:
    folder = copied(stage.template, stage.root / "sandbox")
    begin = time.monotonic()
    outcome = command_line(folder, arguments).outcome()
    assert outcome.message.startswith("0|"), outcome
    wrong = differences(outputs_of(folder), stage.expected)
    assert not wrong, f"the command line and the call differ: {wrong}"
    shutil.rmtree(folder)
    return time.monotonic() - begin


def _try_signal(
    stage: Stage, arguments: Sequence[str], kind: str, waits: tuple[float, float], report: Report
) -> None:
    folder = copied(stage.template, stage.root / "sandbox")
    child = command_line(folder, arguments)
    for number, wait in zip(SIGNALS[kind], waits, strict=False):
        time.sleep(wait)
        os.kill(child.pid, number)
    outcome = child.outcome()
    story = f"{kind} after {waits[0]:.3f} s ({outcome.end} {outcome.message[-600:]})"
    code, _, text = outcome.message.partition("|")
    report.ends["finished" if code == "0" else outcome.end] += 1
    # before the command line has taken the signal over, it ends the process, or arrives in our own child
    early = outcome.end in {"killed", "error"}
    if not early and (outcome.end != "done" or code not in "01" or "Traceback" in text):
        report.violations.append(f"{story}: not an exit code of ours")
    wrong = stage.job.look(folder, stage.expected) or resumed(stage, folder)
    if wrong:
        report.violations.append(f"{story}: {wrong}")
    report.tried += 1
    for path in (folder, *folder.parent.glob("sandbox.said.*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def started_twice(job: Job, count: int, seed: int) -> Report:
    """Start the same call twice, at once or while the first is in the midst of it: one stops within a second and names the other."""
    begin = time.monotonic()
    report, random = Report(), Random(seed)
    with staged(job) as stage:
        for number in range(count):
            _try_twice(stage, random.uniform(0, 0.02) if number % 2 else None, report)
    report.seconds = time.monotonic() - begin
    return report


def _try_twice(stage: Stage, wait: float | None, report: Report) -> None:
    folder = copied(stage.template, stage.root / "sandbox")
    go = folder.with_name("go")
    first = fork(lambda: _pausing(stage, folder, go))
    if wait is not None:
        _until(go.with_suffix(".waiting").exists)
        time.sleep(wait)
    begin = time.monotonic()
    second = fork(lambda: _pausing(stage, folder, go))
    loser, winner = (second, first) if _ends_first(second, first) else (first, second)
    stopped, took = loser.outcome(), time.monotonic() - begin
    go.touch()
    ended = winner.outcome()
    story = f"second start after {wait} s ({stopped.end} {stopped.message[-300:]}, {took:.2f} s)"
    report.ends[stopped.end] += 1
    if stopped.end != "error" or f"process {winner.pid}" not in stopped.message or took > 1:
        report.violations.append(f"{story}: it should have stopped and named process {winner.pid}")
    wrong = differences(outputs_of(folder), stage.expected) if ended.end == "done" else ended.message
    if wrong:
        report.violations.append(f"{story}: the other job: {wrong}")
    report.tried += 1
    go.unlink()
    go.with_suffix(".waiting").unlink()
    shutil.rmtree(folder)


def _pausing(stage: Stage, folder: Path, go: Path) -> None:
    """Do the job, and wait in the midst of it until somebody says go."""

    def wait(operation: Operation, perform: Perform) -> object:
        if operation.kind == "create" and operation.path.endswith(".partial"):
            go.with_suffix(".waiting").touch()
            _until(go.exists)
        return perform(None)

    with observed(folder, wait):
        stage.job.work(folder)


def _ends_first(one: Child, other: Child) -> bool:
    """Whether it is `one` of two children that ends first."""
    ready, _, _ = select.select([one.pipe, other.pipe], [], [], 30)
    return one.pipe in ready


def _until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 15
    while not true():
        assert time.monotonic() < limit, "it did not come to that within 15 s"
        time.sleep(0.002)
