"""Patterns of URLs: what lies in an object store that matches one."""

from __future__ import annotations

import glob
from fnmatch import fnmatchcase

from roitrace.errors import ArgumentError
from roitrace.store.objects import objects_at
from roitrace.urls import join_url, split_url

__all__ = ["is_url_pattern", "urls_matching"]


def is_url_pattern(url: str) -> bool:
    """Whether a URL has one of ``*`` and ``[...]`` below its bucket.

    Examples
    --------
    >>> is_url_pattern("s3://lab/2026/*.zarr"), is_url_pattern("s3://lab/movie.zarr")
    (True, False)
    """
    return glob.has_magic(split_url(url)[1])


def urls_matching(pattern: str) -> list[str]:
    """Return the URLs of what matches a pattern, sorted; a ``*`` stands for any part of a name, hidden ones excepted.

    Raises
    ------
    ArgumentError
        If it has a ``**``: all of a bucket would be listed.
    """
    root, key = split_url(pattern)
    if "**" in key:
        raise ArgumentError(
            f"{pattern} has a **, which is not looked for in object stores",
            "name the folders, or give a * for each",
        )
    objects, _ = objects_at(root)
    found = [""]
    for part in key.split("/"):
        following = []
        for folder in found:
            names = objects.names(folder)
            fitting = [
                one for one in names if fnmatchcase(one, part) and one.startswith(".") <= part.startswith(".")
            ]
            following += [f"{folder}/{one}" if folder else one for one in fitting]
        found = following
    return [join_url(root, one) for one in sorted(found)]
