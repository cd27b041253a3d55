"""Which verbs there are, and what becomes of an error: one line, an exit code, no traceback."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
import traceback
import warnings
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
from roitrace.cli.recordings import convert, info, simulate
from roitrace.cli.roi_files import rois
from roitrace.cli.traces import compare, extract, normalize
from roitrace.cli.transfer import transfer
from roitrace.errors import RoitraceError
from roitrace.file_errors import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

_INTERRUPTED = 130
"""Exit code of typer after a KeyboardInterrupt."""

app = typer.Typer(
    name="roitrace",
    help="One labelled trace per cell from calcium-imaging recordings of any size.",
    epilog="Begin with: roitrace init && roitrace run quickstart.yaml",
    add_completion=False,
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
    run,
):
    app.command(help=_help_of(_verb))(_verb)


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
    typed = sys.argv[1:] if arguments is None else list(arguments)
    keep_memory_flat()
    if threading.current_thread() is threading.main_thread():
        # a job manager that ends a job, like a person who presses Ctrl-C, leaves no half-written output behind
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _note
            app(typed, prog_name="roitrace")
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            typer.echo("error: stopped before the end; no output was replaced", err=True)
            return 1
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BrokenPipeError:
        # whoever read the output has left; nothing must complain when Python flushes at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001
        # the command line is where every error ends
        if "--debug" in typed[:1]:
            traceback.print_exc()
        problem, next_step, code = _in_words(error)
        typer.echo(f"error: {problem}", err=True)
        if next_step:
            typer.echo(f"  {next_step}", err=True)
        return code
    return 0


def _note(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.echo(f"note: {message}", err=True)


def _in_words(error: Exception) -> tuple[str, str, int]:
    """Return what went wrong, what to do about it, and the exit code."""
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
