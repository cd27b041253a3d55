"""Which verbs there are, and what becomes of an error: one line, an exit code, no traceback."""

from __future__ import annotations

import inspect
import logging
import os
import shlex
import sys
import traceback
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roitrace.cli.allocator import keep_memory_flat
from roitrace.cli.cells import project, segment
from roitrace.cli.checking import check
from roitrace.cli.comparing import compare_recordings
from roitrace.cli.examples import init
from roitrace.cli.explore import explore
from roitrace.cli.export import export
from roitrace.cli.job import run
from roitrace.cli.judging import correct_neuropil, quality
from roitrace.cli.plan import plan
from roitrace.cli.printable import printable
from roitrace.cli.progress import json_line
from roitrace.cli.recordings import append, convert, info, simulate
from roitrace.cli.report import report
from roitrace.cli.roi_files import rois
from roitrace.cli.signals import SAFE, stopping_when_told
from roitrace.cli.traces import compare, extract, normalize
from roitrace.cli.transfer import transfer
from roitrace.cli.verifying import verify
from roitrace.errors import RoitraceError
from roitrace.file_errors import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

_INTERRUPTED = 130
"""Exit code of typer after a KeyboardInterrupt."""
_UsageError: Any = typer.BadParameter.__mro__[1]
"""What typer raises for a wrong call: of click, or of the copy of click that newer versions bring along."""

app = typer.Typer(
    name="roitrace",
    help="One labelled trace per cell from calcium-imaging recordings of any size.",
    epilog="Begin with: roitrace init && roitrace run quickstart.yaml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _help_of(verb: Callable[..., None]) -> str:
    """Return the help of a verb with the lines of its examples as they stand."""
    return (inspect.getdoc(verb) or "").replace("For example::\n\n", "\b\nFor example:\n")


for _verb in (
    init,
    simulate,
    convert,
    append,
    verify,
    info,
    check,
    plan,
    project,
    segment,
    rois,
    transfer,
    extract,
    correct_neuropil,
    quality,
    normalize,
    compare,
    compare_recordings,
    export,
    explore,
    report,
    run,
):
    app.command(help=_help_of(_verb))(_verb)


_VERBS = tuple(
    one.name or one.callback.__name__.replace("_", "-") for one in app.registered_commands if one.callback
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"roitrace {version('roitrace')}")
        raise typer.Exit


@app.callback()
def _roitrace(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show where in the program an error arose: roitrace --debug VERB ..."),
    ] = False,
) -> None:
    """Read the options that stand before the verb; `main` sees them too."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 if the job failed, 2 if the call is wrong.

    Parameters
    ----------
    arguments : sequence of str, optional
        What was typed after the name of the program; ``sys.argv`` if not given.
    """
    # what readers log of damaged files is said by the error, in one line
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    typed = sys.argv[1:] if arguments is None else list(arguments)
    keep_memory_flat()
    try:
        with stopping_when_told(), warnings.catch_warnings():
            warnings.showwarning = _note
            code = app(typed, prog_name="roitrace", standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except (typer.Abort, KeyboardInterrupt):
        return _stopped(typed)
    except BrokenPipeError:
        # whoever read the output has left; nothing must complain when Python flushes at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001
        # the command line is where every error ends
        if isinstance(error, _UsageError) and not typed:
            error.show()
            return 2
        if "--debug" in typed[:1]:
            traceback.print_exc()
        problem, next_step, exit_code = _in_words(error, typed)
        _complain(typed, problem, next_step, exit_code)
        return exit_code
    if code == _INTERRUPTED:
        return _stopped(typed)
    return code if isinstance(code, int) else 0


def _stopped(typed: Sequence[str]) -> int:
    """Say that a job was stopped, and what goes on with it; return the exit code."""
    _complain(typed, SAFE, f"to go on: {shlex.join(['roitrace', *typed])}", 1)
    return 1


def _complain(typed: Sequence[str], problem: str, next_step: str, code: int) -> None:
    """Say what went wrong: a line, and one with the next step; a record where the log on standard error is JSON."""
    if _logs_json(typed):
        typer.echo(json_line("error", problem=problem, next_step=next_step, exit_code=code), err=True)
        return
    typer.secho(f"error: {printable(problem)}", fg=typer.colors.RED if _coloured() else None, err=True)
    if next_step:
        typer.echo(f"  {printable(next_step)}", err=True)


def _coloured() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _logs_json(typed: Sequence[str]) -> bool:
    """Whether only JSON may go to standard error; looked up in what was typed, since the mistake may be there."""
    if any(one.partition("=")[0] == "--log-file" for one in typed):
        return False
    return "--log=json" in typed or ("--log", "json") in pairwise(typed)


def _note(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.echo(f"note: {printable(str(message))}", err=True)


def _in_words(error: Exception, typed: Sequence[str]) -> tuple[str, str, int]:
    """Return what went wrong, what to do about it, and the exit code."""
    if isinstance(error, _UsageError):
        return _wrong_call(error, typed)
    if isinstance(error, RoitraceError):
        return error.problem, error.next_step, error.exit_code
    if isinstance(error, OSError):
        known = explain(error)
        return known.problem, known.next_step, known.exit_code
    if isinstance(error, MemoryError):
        return "the computer has no memory left", "give a smaller --budget or fewer --workers", 1
    return (
        f"{type(error).__name__}: {error}",
        "this is a mistake in roitrace: please report it, with what `roitrace --debug VERB ...` prints",
        1,
    )


def _wrong_call(error: Any, typed: Sequence[str]) -> tuple[str, str, int]:
    """Say in one line what is wrong with a call, and which help to read."""
    message = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    verb = next((f"{one} " for one in typed if one in _VERBS), "")
    return f"{message[0].lower()}{message[1:]}", f"roitrace {verb}--help shows what there is", 2
