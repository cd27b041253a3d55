"""How each step of a job did: seconds, frames, bytes, memory against the plan, and the times of its tasks."""

from __future__ import annotations

import csv
import io
import json
import statistics
import sys
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roitrace.store.files import write_file
from roitrace.watching import NO_WORK, Standing, TaskTime, Watcher, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from roitrace.store.places import Location

__all__ = ["Performance", "StepRecord", "anonymous_memory", "write_performance"]

_SECONDS_BETWEEN_SAMPLES = 0.1
_SHORT_TASK = 0.01
_COLUMNS = ("step", "kind", "begin", "seconds", "worker", "frames", "bytes")


@dataclass(eq=False)
class StepRecord(Watcher):
    """What one step has done so far; passes on to whoever else watches it.

    Attributes
    ----------
    name : str
        Of the step.
    begin, seconds : float
        When it began, seconds after the job did, and how long it took.
    work : Work
        What all its tasks worked on.
    peak_bytes : int or None
        Most anonymous memory of this process during it.
    times : list of TaskTime
        When and where its tasks ran.
    """

    name: str
    begin: float
    other: Watcher | Callable[[int, int], object] | None = None
    seconds: float = 0.0
    peak_bytes: int | None = None
    times: list[TaskTime] = field(default_factory=list)
    _before: Work = NO_WORK
    _standing: Standing = field(default_factory=lambda: Standing(0, 0))

    def watch(self, standing: Standing) -> None:
        """Take where the step stands; a step may compute several times."""
        if standing.tasks < self._standing.tasks:
            self._before += self._standing.done
        self._standing = standing
        if isinstance(self.other, Watcher):
            self.other.watch(standing)
        elif self.other is not None:
            self.other(standing.tasks, standing.all_tasks)

    @property
    def wants_times(self) -> bool:
        """Yes."""
        return True

    def time_tasks(self, times: Sequence[TaskTime]) -> None:
        """Keep them."""
        self.times += times
        if isinstance(self.other, Watcher) and self.other.wants_times:
            self.other.time_tasks(times)

    @property
    def work(self) -> Work:
        """What the step has worked on."""
        return self._before + self._standing.done

    def to_dict(self, planned: int | None) -> dict[str, Any]:
        """Return plain values, for JSON."""
        work, seconds = self.work, max(self.seconds, 1e-9)
        known = work.nbytes > 0
        kinds: dict[str, list[float]] = defaultdict(list)
        for one in self.times:
            kinds[one.kind].append(one.seconds)
        return {
            "step": self.name,
            "begin": round(self.begin, 3),
            "seconds": round(self.seconds, 3),
            "bytes": work.nbytes if known else None,
            "frames": round(work.frames) if work.frames else None,
            "bytes_per_second": round(work.nbytes / seconds) if known else None,
            "frames_per_second": round(work.frames / seconds, 1) if work.frames else None,
            "peak_memory_bytes": self.peak_bytes,
            "planned_peak_bytes": planned,
            "tasks": {kind: _summary(seconds) for kind, seconds in sorted(kinds.items())},
        }


def _summary(seconds: list[float]) -> dict[str, float]:
    return {
        "count": len(seconds),
        "seconds": round(sum(seconds), 3),
        "median_seconds": round(statistics.median(seconds), 4),
        "longest_seconds": round(max(seconds), 4),
    }


@dataclass(eq=False)
class Performance:
    """The steps of a job, as they go.

    Attributes
    ----------
    steps : list of StepRecord
        In the order in which they began; a name may come more than once.
    """

    steps: list[StepRecord] = field(default_factory=list)
    _begin: float = field(default_factory=time.perf_counter)

    @property
    def peak_bytes(self) -> int | None:
        """Most anonymous memory of this process during any step; None where nobody knows."""
        return max((one.peak_bytes for one in self.steps if one.peak_bytes is not None), default=None)

    @contextmanager
    def measured(
        self, name: str, other: Watcher | Callable[[int, int], object] | None
    ) -> Iterator[StepRecord]:
        """Measure a step; gives what `execute` reports to."""
        begin = time.perf_counter()
        record = StepRecord(name, begin - self._begin, other)
        self.steps.append(record)
        sampler = _Sampler()
        sampler.start()
        try:
            yield record
        finally:
            record.peak_bytes = sampler.end()
            record.seconds = time.perf_counter() - begin


class _Sampler(threading.Thread):
    """Looks at the memory of this process ten times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True, name="roitrace-memory")
        self._over = threading.Event()
        self._peak = anonymous_memory()

    def run(self) -> None:
        while self._peak is not None and not self._over.wait(_SECONDS_BETWEEN_SAMPLES):
            self._look()

    def _look(self) -> None:
        if self._peak is not None:
            self._peak = max(self._peak, anonymous_memory() or 0)

    def end(self) -> int | None:
        """Return the most that was seen, bytes; None where the system does not tell."""
        self._look()
        self._over.set()
        self.join()
        return self._peak


def anonymous_memory() -> int | None:
    """Return the anonymous memory that this process has now, bytes; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    for line in Path("/proc/self/status").read_bytes().splitlines():
        if line.startswith(b"RssAnon:"):
            return int(line.split()[1]) * 1024
    return None


def write_performance(
    folder: Location, performance: Performance, planned: Mapping[str, int], about: Mapping[str, Any]
) -> None:
    """Write ``performance.json`` (per step) and ``tasks.csv`` (tasks that read, write or take 10 ms and more) into a folder.

    Parameters
    ----------
    folder : path
        Beside the results.
    performance : Performance
        Of the whole job.
    planned : mapping of str to int
        Peak memory by name of the step, as planned, bytes.
    about : mapping
        What else there is to say, as plain values.
    """
    summary = {
        **about,
        "peak_memory_bytes": performance.peak_bytes,
        "planned_peak_bytes": max(planned.values(), default=None),
        "steps": [one.to_dict(planned.get(one.name)) for one in performance.steps],
    }
    write_file(folder / "performance.json", (json.dumps(summary, indent=2) + "\n").encode())
    epoch = min((time.begin for step in performance.steps for time in step.times), default=0.0)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_COLUMNS)
    rows.writerows(
        _row(step.name, one, epoch) for step in performance.steps for one in step.times if _tells(one)
    )
    write_file(folder / "tasks.csv", text.getvalue().encode())


def _tells(one: TaskTime) -> bool:
    return one.work.nbytes > 0 or one.seconds >= _SHORT_TASK


def _row(step: str, one: TaskTime, epoch: float) -> tuple[Any, ...]:
    """Return a row; `begin` counts from the first task of the job."""
    begin, seconds = round(one.begin - epoch, 4), round(one.seconds, 4)
    return (step, one.kind, begin, seconds, one.worker, round(one.work.frames, 1), one.work.nbytes)
