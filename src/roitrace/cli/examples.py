"""``init``: write an annotated example to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roitrace.cli.completion import example_names
from roitrace.cli.configs import configs_folder, examples
from roitrace.cli.options import Overwrite  # noqa: TC001 (typer reads the annotation)
from roitrace.errors import ArgumentError, OutputExistsError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["init"]


def init(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Which example.", autocompletion=example_names)
    ] = "quickstart",
    folder: Annotated[Path, typer.Option("--folder", help="Where to write it.")] = Path(),
    *,
    overwrite: Overwrite = False,
    show: Annotated[bool, typer.Option("--list", help="List the examples.")] = False,
) -> None:
    """Write an annotated example: configuration or notebook.

    For example::

        roitrace init --list
        roitrace init tiff
    """
    known = examples()
    if show:
        for one, file in known.items():
            typer.echo(f"{one:<14} {_first_line(file)}")
        return
    if name not in known:
        raise ArgumentError(f"there is no example {name!r}", f"there are {', '.join(known)}")
    target = folder / known[name].name
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{target} exists already", "give --overwrite, or another --folder")
    folder.mkdir(parents=True, exist_ok=True)
    text = known[name].read_text(encoding="utf-8")
    target.write_text(_adapted(text), encoding="utf-8")
    typer.echo(f"{target} is written; next: {_next_command(target, text)}")


def _adapted(text: str) -> str:
    """Let results lie beside the file, not beside its folder, and let editors find the schema."""
    return text.replace("../results/", "results/").replace(
        "$schema=schema.json", f"$schema={configs_folder() / 'schema.json'}"
    )


def _next_command(target: Path, text: str) -> str:
    if target.suffix != ".yaml":
        return f"jupyter lab {target}"
    is_cluster = any(line.startswith("type:") for line in text.splitlines())
    return f"roitrace run CONFIG --cluster {target}" if is_cluster else f"roitrace run {target}"


def _first_line(file: Traversable) -> str:
    if file.name.endswith(".ipynb"):
        return "The whole way in a notebook, each step beside its NumPy line."
    return file.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
