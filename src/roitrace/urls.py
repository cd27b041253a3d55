"""Addresses of object stores and web servers: told from paths, taken apart, and never with a secret in them.

A path may end up in messages, logs, attributes and records of jobs. A URL that carries a password, a signature or a token is therefore
refused where it is given; credentials come from the environment and the files that the provider's own tools read.
"""

from __future__ import annotations

import os
import re

from roitrace.errors import ArgumentError

__all__ = ["SCHEMES", "is_url", "join_url", "split_url"]

SCHEMES = ("s3", "gs", "http", "https")
_ANY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_KNOWN = re.compile(r"(s3|gs|https?):/+(?=[^/])", re.IGNORECASE)
"""With one slash too: that is what is left of a URL that was made a `pathlib.Path`."""


def is_url(path: object) -> bool:
    """Whether a path names something at a URL, of whatever scheme.

    Examples
    --------
    >>> is_url("s3://lab/movie.zarr"), is_url("data/movie.zarr")
    (True, False)
    """
    if not isinstance(path, str | os.PathLike):
        return False
    text = os.fspath(path)
    return isinstance(text, str) and (_ANY.match(text) or _KNOWN.match(text)) is not None


def split_url(url: str | os.PathLike[str]) -> tuple[str, str]:
    """Return the root of a URL, its bucket or server, and the key below it, without slashes around.

    Parameters
    ----------
    url : str or path
        ``s3://bucket/key``, ``gs://bucket/key``, ``http://server/key`` or ``https://server/key``.

    Raises
    ------
    ArgumentError
        If it is of another scheme, names no bucket or server, leads upwards, or carries a user, a password, a query or a fragment, which
        the message does not repeat.

    Examples
    --------
    >>> split_url("s3://lab/2024/movie.zarr/")
    ('s3://lab', '2024/movie.zarr')
    """
    text = os.fspath(url)
    known = _KNOWN.match(text)
    if known is None:
        scheme = text.partition(":")[0]
        raise ArgumentError(
            f"the address of scheme {scheme}:// cannot be opened, expected one of {', '.join(f'{one}://' for one in SCHEMES)}",
            "give a path or one of these addresses",
        )
    host, _, key = text[known.end() :].partition("/")
    root = f"{known[1].lower()}://{host.rpartition('@')[2].partition('?')[0].partition('#')[0]}"
    for found, what, step in (
        ("@" in host, "a user or a password", "give it without; credentials come from the environment"),
        (
            "?" in text,
            "a query, which may be a signature or a token",
            "give it without; it would end up in records",
        ),
        ("#" in text, "a fragment", "give it without"),
    ):
        if found:
            raise ArgumentError(f"the address below {root} carries {what}", step)
    parts = [part for part in key.split("/") if part]
    if {".", ".."} & set(parts):
        raise ArgumentError(f"{text} leads upwards", "give the address itself")
    return root, "/".join(parts)


def join_url(root: str, key: str) -> str:
    """Return the URL of a key below a root.

    Examples
    --------
    >>> join_url("s3://lab", "movie.zarr"), join_url("s3://lab", "")
    ('s3://lab/movie.zarr', 's3://lab')
    """
    return f"{root}/{key}" if key else root
