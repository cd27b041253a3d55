"""What a person sees while a verb works: bars on a terminal, plain lines elsewhere, nothing if asked."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, TaskID

__all__ = ["Reporter", "print_facts", "print_table", "reporting"]

_SECONDS_BETWEEN_LINES = 5.0


class Reporter(ABC):
    """Takes progress of named steps, and sentences."""

    @abstractmethod
    def progress(self, step: str, done: int, total: int) -> None:
        """Show that `done` of `total` tasks of a step have finished."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Show a sentence."""

    def step(self, name: str) -> Callable[[int, int], None]:
        """Return what a verb reports the tasks of one step to."""
        return partial(self.progress, name)


class _Silent(Reporter):
    def progress(self, step: str, done: int, total: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass


class _Lines(Reporter):
    """A line when a step begins, every few seconds, and when it ends."""

    def __init__(self) -> None:
        self._shown: dict[str, float] = {}

    def progress(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if step in self._shown and done < total and now - self._shown[step] < _SECONDS_BETWEEN_LINES:
            return
        self._shown[step] = now
        typer.echo(f"{step}: {done} of {total} tasks", err=True)

    def note(self, text: str) -> None:
        typer.echo(text, err=True)


class _Bars(Reporter):
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def progress(self, step: str, done: int, total: int) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(step)
        self._bars.update(self._tasks[step], completed=done, total=total)

    def note(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)


@contextmanager
def reporting(*, quiet: bool) -> Iterator[Reporter]:
    """Give the reporter that fits: bars if standard error is a terminal, lines if not, silence if `quiet`."""
    if quiet:
        with _noting(_Silent()) as silent:
            yield silent
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description:<24}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bars, _noting(_Bars(bars)) as shown:
            yield shown
    else:
        with _noting(_Lines()) as lines:
            yield lines


@contextmanager
def _noting(reporter: Reporter) -> Iterator[Reporter]:
    """Give the reporter what the package has to say."""
    logger = logging.getLogger("roitrace")
    handler = _Notes(reporter)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield reporter
    finally:
        logger.propagate = True
        logger.removeHandler(handler)


class _Notes(logging.Handler):
    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        self._reporter.note(record.getMessage())


def print_facts(facts: dict[str, Any], *, as_json: bool) -> None:
    """Print names and values: as JSON, or a line each."""
    if as_json:
        typer.echo(json.dumps(_plain(facts), indent=2, allow_nan=False))
        return
    width = max(len(name) for name in facts) + 2
    for name, value in facts.items():
        typer.echo(f"{name.replace('_', ' '):<{width}}{_text(value)}")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "unknown" if value is None else str(value)


def print_table(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows of the same keys as a table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, show_edge=False)
    for number, name in enumerate(rows[0]):
        table.add_column(name.replace("_", " "), justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    # in a file or a pipe nobody can widen the window
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 140)
    console.print(table)


def _plain(value: Any) -> Any:
    """Turn numbers that JSON does not have into null."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
