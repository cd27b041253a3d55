"""Who shows how work goes on: bars on a terminal, lines elsewhere, JSON for programs, nothing if asked."""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import typer

from roitrace.cli.pace import Pace
from roitrace.cli.printable import printable
from roitrace.watching import Standing, Watcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.progress import Progress, TaskID

    from roitrace.watching import TaskTime

__all__ = ["Bars", "Both", "JsonLines", "Lines", "Reporter", "Silent", "json_line"]

_SECONDS_BETWEEN_LINES = 5.0
_SECONDS_BETWEEN_RECORDS = 1.0
_NARROW = 100


class Reporter(ABC):
    """Takes progress of named steps, sentences, and parts of the whole."""

    wants_times = False

    @abstractmethod
    def show(self, step: str, standing: Standing, pace: Pace) -> None:
        """Show where a step stands."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Show a sentence."""

    def time_tasks(self, step: str, times: Sequence[TaskTime]) -> None:  # noqa: B027 (nothing, by default)
        """Take how long the tasks of a step took, if `wants_times`."""

    @contextmanager
    def within(self, title: str, number: int, count: int) -> Iterator[None]:  # noqa: ARG002
        """Show that the steps inside the block belong to one of several things, such as a recording."""
        yield

    def step(self, name: str) -> Watcher:
        """Return what a verb reports one step to."""
        return _Step(self, name)

    def progress(self, step: str, done: int, total: int) -> None:
        """Show a step of which only the number of tasks is known."""
        self.show(step, Standing(done, total), Pace(time.monotonic()))


class _Step(Watcher):
    """Passes on where one step stands, and how fast it goes."""

    def __init__(self, reporter: Reporter, name: str) -> None:
        self._reporter, self._name = reporter, name
        self._pace = Pace(time.monotonic())

    def watch(self, standing: Standing) -> None:
        self._pace.note(time.monotonic(), standing)
        self._reporter.show(self._name, standing, self._pace)

    @property
    def wants_times(self) -> bool:
        return self._reporter.wants_times

    def time_tasks(self, times: Sequence[TaskTime]) -> None:
        self._reporter.time_tasks(self._name, times)


class Silent(Reporter):
    """Shows nothing."""

    def show(self, step: str, standing: Standing, pace: Pace) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


class Lines(Reporter):
    """A line when a step begins, every few seconds, and when it ends."""

    def __init__(self, file: TextIO | None = None, *, between: float = _SECONDS_BETWEEN_LINES) -> None:
        self._file, self._between = file, between
        self._shown: dict[str, float] = {}
        self._number = self._title = ""

    def show(self, step: str, standing: Standing, pace: Pace) -> None:
        """Write a line, if it is time."""
        now = time.monotonic()
        if standing.tasks and not standing.ended and now - self._shown.get(step, now) < self._between:
            return
        self._shown[step] = now
        percent = "" if standing.ended else f"{standing.part:.0%}, "
        self._write(f"{self._title}{step}: {percent}{pace.words(standing)}")

    def note(self, text: str) -> None:
        """Write it."""
        self._write(f"{self._number}{printable(text)}")

    @contextmanager
    def within(self, title: str, number: int, count: int) -> Iterator[None]:
        """Begin each line with the number of the thing that it belongs to."""
        self._number = f"[{number}/{count}] "
        self._title = f"{self._number}{title}: "
        self._shown.clear()
        try:
            yield
        finally:
            self._number = self._title = ""

    def _write(self, text: str) -> None:
        if self._file is None:
            typer.echo(text, err=True)
        else:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._file.write(f"{now} {text}\n")
            self._file.flush()


class Bars(Reporter):
    """A bar for each step, and one above them for the whole."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._whole: TaskID | None = None

    def show(self, step: str, standing: Standing, pace: Pace) -> None:
        """Move the bar."""
        if step not in self._tasks:
            name = step if self._whole is None else f"  {step}"
            self._tasks[step] = self._bars.add_task(name, total=1.0, words="")
        short = self._bars.console.width < _NARROW
        words = pace.words(standing, short=short)
        self._bars.update(self._tasks[step], completed=standing.part, words=words)

    def refresh(self) -> None:
        """Draw now what would be drawn a moment later."""
        self._bars.refresh()

    def note(self, text: str) -> None:
        """Print it above the bars."""
        self._bars.console.print(printable(text), markup=False, highlight=False)

    @contextmanager
    def within(self, title: str, number: int, count: int) -> Iterator[None]:
        """Show the whole in a bar of its own, and the steps of one thing below it."""
        if self._whole is None:
            self._whole = self._bars.add_task("", total=float(count), words="")
        words = f"{number} of {count}"
        self._bars.update(self._whole, description=title, completed=float(number - 1), words=words)
        before, self._tasks = self._tasks, {}
        try:
            yield
        finally:
            for task in self._tasks.values():
                self._bars.remove_task(task)
            self._tasks = before
            self._bars.update(self._whole, completed=float(number))


class JsonLines(Reporter):
    """One JSON object per line: ``time``, ``event`` and what belongs to it."""

    wants_times = True

    def __init__(self, file: TextIO | None = None, *, tasks: bool = False) -> None:
        self._file, self._every_task = file, tasks
        self._shown: dict[str, float] = {}
        self._of: dict[str, Any] = {}

    def show(self, step: str, standing: Standing, pace: Pace) -> None:
        """Write a record, at most one a second."""
        now = time.monotonic()
        if (
            standing.tasks
            and standing.part < 1
            and now - self._shown.get(step, 0.0) < _SECONDS_BETWEEN_RECORDS
        ):
            return
        self._shown[step] = now
        rates = pace.rates()
        self.write(
            "progress",
            step=step,
            tasks=standing.tasks,
            all_tasks=standing.all_tasks,
            frames=standing.done.frames,
            all_frames=standing.whole.frames,
            bytes=standing.done.nbytes,
            all_bytes=standing.whole.nbytes,
            seconds=pace.seconds,
            **rates._asdict(),
        )

    def note(self, text: str) -> None:
        """Write it."""
        self.write("note", text=text)

    def time_tasks(self, step: str, times: Sequence[TaskTime]) -> None:
        """Write how long the tasks of each kind took; every one where that is asked."""
        kinds: dict[str, list[float]] = defaultdict(list)
        for one in times:
            kinds[one.kind].append(one.seconds)
            if self._every_task:
                self.write(
                    "task",
                    step=step,
                    kind=one.kind,
                    begin=one.begin,
                    seconds=one.seconds,
                    worker=one.worker,
                    frames=one.work.frames,
                    bytes=one.work.nbytes,
                )
        for kind, seconds in kinds.items():
            self.write(
                "tasks",
                step=step,
                kind=kind,
                count=len(seconds),
                seconds=sum(seconds),
                median_seconds=sorted(seconds)[len(seconds) // 2],
                longest_seconds=max(seconds),
            )

    @contextmanager
    def within(self, title: str, number: int, count: int) -> Iterator[None]:
        """Let each record say which thing it belongs to."""
        before, self._of = (
            self._of,
            {
                "recording": title,
                "recording_number": number,
                "recordings": count,
            },
        )
        try:
            yield
        finally:
            self._of = before

    def write(self, event: str, **what: Any) -> None:
        """Write one record."""
        line = json_line(event, **self._of, **what)
        if self._file is None:
            typer.echo(line, err=True)
        else:
            self._file.write(f"{line}\n")
            self._file.flush()


class Both(Reporter):
    """Tells two: the screen and a file."""

    def __init__(self, first: Reporter, second: Reporter) -> None:
        self._both = (first, second)
        self.wants_times = first.wants_times or second.wants_times

    def show(self, step: str, standing: Standing, pace: Pace) -> None:
        """Tell both."""
        for one in self._both:
            one.show(step, standing, pace)

    def note(self, text: str) -> None:
        """Tell both."""
        for one in self._both:
            one.note(text)

    def time_tasks(self, step: str, times: Sequence[TaskTime]) -> None:
        """Tell who wants it."""
        for one in self._both:
            if one.wants_times:
                one.time_tasks(step, times)

    @contextmanager
    def within(self, title: str, number: int, count: int) -> Iterator[None]:
        """Tell both."""
        with ExitStack() as stack:
            for one in self._both:
                stack.enter_context(one.within(title, number, count))
            yield


def json_line(event: str, **what: Any) -> str:
    """Return one record of a log for programs."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    plain = {
        name: (round(value, 6) if math.isfinite(value) else None) if isinstance(value, float) else value
        for name, value in what.items()
    }
    return json.dumps({"time": now, "event": event} | plain)
