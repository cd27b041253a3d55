"""``init``: write an annotated example to begin with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roitrace.cli.options import Overwrite  # noqa: TC001 (typer reads the annotation)
from roitrace.errors import ArgumentError, OutputExistsError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["examples", "init"]

_SUFFIXES = (".yaml", ".ipynb")


def examples() -> dict[str, Traversable]:
    """Name of each example to its file: in the package, or in the folder ``configs`` of the source tree."""
    package = files("roitrace")
    folder: Traversable = package / "configs"
    if not folder.is_dir():
        folder = Path(str(package)).parents[1] / "configs"
    found = (one for one in folder.iterdir() if one.name.endswith(_SUFFIXES)) if folder.is_dir() else ()
    return {Path(one.name).stem: one for one in sorted(found, key=lambda one: one.name)}


def init(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Which example.")] = "quickstart",
    folder: Annotated[Path, typer.Option("--folder", help="Where to write it.")] = Path("configs"),
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
    target.write_bytes(known[name].read_bytes())
    verb = "roitrace run" if target.suffix == ".yaml" else "jupyter lab"
    typer.echo(f"{target} is written; next: {verb} {target}")


def _first_line(file: Traversable) -> str:
    if file.name.endswith(".ipynb"):
        return "The whole way in a notebook, each step beside its NumPy line."
    return file.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
