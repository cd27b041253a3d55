"""``verify``: whether a store is still what was written."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roitrace.cli.options import JobOptions, Json, with_groups
from roitrace.cli.reporting import print_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from roitrace.verification import Verification

__all__ = ["verify"]


@with_groups
def verify(
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="A recording store, results, or the truth of a simulation.")
    ],
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source", metavar="FILE", help="What it was converted from, if that has moved; can be repeated."
        ),
    ] = None,
    *,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Write damaged files of a recording again, from its source; let the job of damaged results compute them again.",
        ),
    ] = False,
    as_json: Json = False,
    job: JobOptions,
) -> None:
    """Read a store once and name every file, chunk and frame that is damaged.

    Ends with 1 if something is.

    For example::

        roitrace verify movie.zarr
        roitrace verify movie.zarr --repair
    """
    with job.running() as reporter:
        from roitrace.verification import verify as verify_store

        found = verify_store(
            store,
            repair=repair,
            source=_one_or_more(source),
            progress=reporter.step("verify"),
            **job.limits(),
        )
    if as_json:
        print_facts(_facts(found), as_json=True)
    else:
        typer.echo(str(found))
        if not found.ok and not repair:
            typer.echo("what is damaged is mended with --repair", err=True)
    if not found.ok:
        raise typer.Exit(1)


def _one_or_more(files: Sequence[str] | None) -> str | Sequence[str] | None:
    return files[0] if files is not None and len(files) == 1 else files or None


def _facts(found: Verification) -> dict[str, Any]:
    return {
        "store": found.store,
        "ok": found.ok,
        "files": found.n_files,
        "bytes": found.nbytes,
        "damages": [asdict(one) for one in found.damages],
        "repaired": [asdict(one) for one in found.repaired],
        "next_step": found.next_step,
    }
