"""What a person sees while a verb works: bars on a terminal, plain lines elsewhere, nothing if asked."""

from __future__ import annotations

import json
import logging
import math
import shutil
import sys
import textwrap
import time
import warnings
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

import typer

from roitrace.cli.printable import printable
from roitrace.cli.progress import Bars, Both, JsonLines, Lines, Reporter, Silent
from roitrace.file_errors import explain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.progress import ProgressColumn

__all__ = ["LogFormat", "Reporter", "bar_columns", "print_facts", "print_table", "reporting"]


_ROOM = 30
"""Characters that a value needs at least, to be broken into lines."""


class LogFormat(StrEnum):
    """How what happens is written down."""

    text = "text"
    json = "json"


@contextmanager
def reporting(
    *,
    quiet: bool = False,
    verbose: bool = False,
    log: LogFormat = LogFormat.text,
    log_file: Path | None = None,
) -> Iterator[Reporter]:
    """Give the reporter that fits, and let it hear what the package and Python have to say.

    Bars if standard error is a terminal, lines if not, JSON if asked, silence if `quiet`; a log file besides.

    Raises
    ------
    FileAccessError
        If the log file cannot be written.
    """
    begin = time.monotonic()
    with ExitStack() as stack:
        reporter = _screen(
            stack, quiet=quiet, verbose=verbose, as_json=log == LogFormat.json and not log_file
        )
        filed: Reporter | None = None
        if log_file is not None:
            file = stack.enter_context(_opened(log_file))
            filed = JsonLines(file, tasks=verbose) if log == LogFormat.json else Lines(file)
            reporter = Both(reporter, filed)
        stack.enter_context(_noting(reporter, logging.DEBUG if verbose else logging.WARNING))
        stack.enter_context(_warnings_as_notes(reporter, quiet=quiet and filed is None))
        try:
            yield reporter
        except BaseException as error:
            if isinstance(filed, JsonLines):
                filed.write(
                    "failed", error=type(error).__name__, problem=str(error), seconds=time.monotonic() - begin
                )
            elif filed is not None:
                filed.note(f"{type(error).__name__}: {error}")
            raise
        for one in (reporter, filed):
            if isinstance(one, JsonLines):
                one.write("ended", seconds=time.monotonic() - begin)


def _screen(stack: ExitStack, *, quiet: bool, verbose: bool, as_json: bool) -> Reporter:
    if quiet:
        return Silent()
    if as_json:
        return JsonLines(tasks=verbose)
    if not sys.stderr.isatty():
        return Lines()
    from rich.console import Console
    from rich.progress import Progress

    bars = Progress(*bar_columns(), console=Console(stderr=True), expand=True)
    return Bars(stack.enter_context(bars))


def bar_columns() -> tuple[ProgressColumn, ...]:
    """Return what stands in the line of a step: its name, a bar that takes the room that is left, the words."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.table import Column

    name = Column(no_wrap=True, min_width=8, max_width=24, overflow="ellipsis")
    return (
        TextColumn("{task.description}", markup=False, table_column=name),
        BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4)),
        TaskProgressColumn(),
        TextColumn("{task.fields[words]}", markup=False, table_column=Column(no_wrap=True)),
    )


def _opened(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise explain(error, path) from error


@contextmanager
def _warnings_as_notes(reporter: Reporter, *, quiet: bool) -> Iterator[None]:
    with warnings.catch_warnings():
        if quiet:
            warnings.simplefilter("ignore", UserWarning)
        warnings.showwarning = lambda message, *_, **__: reporter.note(f"note: {message}")
        yield


@contextmanager
def _noting(reporter: Reporter, level: int) -> Iterator[None]:
    """Give the reporter what the package has to say."""
    logger = logging.getLogger("roitrace")
    handler = _Notes(reporter, level)
    before = logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.propagate = True
        logger.removeHandler(handler)


class _Notes(logging.Handler):
    def __init__(self, reporter: Reporter, level: int) -> None:
        super().__init__(level)
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        self._reporter.note(record.getMessage())


def print_facts(facts: dict[str, Any], *, as_json: bool) -> None:
    """Print names and values: as JSON, or a line each."""
    if as_json:
        typer.echo(json.dumps(_plain(facts), indent=2, allow_nan=False))
        return
    # names of parameters are typed as they stand
    facts = {name if "." in name else name.replace("_", " "): value for name, value in facts.items()}
    width = max(len(name) for name in facts) + 2
    # in a file or a pipe a fact stays in its line
    room = shutil.get_terminal_size().columns - width if sys.stdout.isatty() else 0
    for name, value in facts.items():
        lines = (
            textwrap.wrap(printable(_text(value)), room, break_on_hyphens=False)
            if room >= _ROOM
            else [printable(_text(value))]
        )
        typer.echo(f"{name:<{width}}" + f"\n{'':<{width}}".join(lines))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "unknown" if value is None else str(value)


def print_table(title: str, rows: list[dict[str, Any]], *, left: int = 1) -> None:
    """Print rows of the same keys as a table; the first columns, as many as `left`, hold words."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, show_edge=False)
    for number, name in enumerate(rows[0]):
        table.add_column(
            name.replace("_", " "), justify="left" if number < left else "right", overflow="fold"
        )
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    # in a file or a pipe nobody can widen the window
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 140)
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def _plain(value: Any) -> Any:
    """Turn numbers that JSON does not have into null."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
