"""Packages that only some formats need: import one, or say how to get it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from roitrace.errors import MissingDependencyError

__all__ = ["import_extra"]


def import_extra(module: str, extra: str, what: str) -> Any:
    """Import a module that belongs to an extra of this package.

    Parameters
    ----------
    module : str
        Its name, for example ``"av"``.
    extra : str
        The extra that installs it.
    what : str
        What needs it, for the message: a path and its format.

    Raises
    ------
    MissingDependencyError
        If it is not installed.

    Examples
    --------
    >>> import_extra("no_such_package", "video", "movie.avi is a video, which")
    Traceback (most recent call last):
    ...
    roitrace.errors.MissingDependencyError: movie.avi is a video, which needs the package no_such_package; install it with: pip install 'roitrace[video]'
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingDependencyError(
            f"{what} needs the package {package}", f"install it with: pip install 'roitrace[{extra}]'"
        ) from error
