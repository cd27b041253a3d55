"""The examples that come with the package: configurations, a notebook, the JSON Schema."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["configs_folder", "examples"]

_SUFFIXES = (".yaml", ".ipynb")


def examples() -> dict[str, Traversable]:
    """Return the name of each example and its file."""
    found = [one for one in configs_folder().iterdir() if one.name.endswith(_SUFFIXES)]
    return {Path(one.name).stem: one for one in sorted(found, key=lambda one: one.name)}


def configs_folder() -> Traversable:
    """Return where the examples are: in the package, or beside its sources."""
    package = files("roitrace")
    installed = package / "configs"
    return installed if installed.is_dir() else Path(str(package)).parents[1] / "configs"
