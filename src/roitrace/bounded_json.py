"""JSON from files, read when it is as small as descriptions are: a few bytes of it may become many objects."""

from __future__ import annotations

import json
import os
from typing import Any

from roitrace.errors import FormatError
from roitrace.units import format_bytes

__all__ = ["MOST_VALUES", "check_json", "parse_json", "read_json"]

MOST_BYTES = 128 * 2**20
MOST_VALUES = 2**21
"""Values of a document, as its commas and brackets count them; each takes up to a hundred bytes of memory."""


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a document; UTF-8, with or without a byte order mark.

    Raises
    ------
    FormatError
        If it is no JSON, or too large or nested too deeply.
    """
    what = os.fspath(path)
    with open(path, "rb") as file:  # noqa: PTH123 - a path may be text
        content = file.read(MOST_BYTES + 1)
    return parse_json(content, what)


def parse_json(content: bytes, what: str) -> Any:
    """Return what a document says.

    Parameters
    ----------
    content : bytes
        UTF-8, with or without a byte order mark.
    what : str
        Where it is from, for the message.

    Raises
    ------
    FormatError
        If it is no JSON, or too large or nested too deeply.

    Examples
    --------
    >>> parse_json(b'{"fs": 30}', "a.json")
    {'fs': 30}
    >>> parse_json(b"[" * 100_000, "a.json")
    Traceback (most recent call last):
    ...
    roitrace.errors.FormatError: a.json cannot be read as JSON: it is nested too deeply; copy it again
    """
    check_json(content, what)
    try:
        return json.loads(content.decode("utf-8-sig"))
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        reason = str(error)
    raise FormatError(f"{what} cannot be read as JSON: {reason}", "copy it again")


def check_json(content: bytes, what: str) -> None:
    """Refuse a document that would become more than some two million values, before it is parsed.

    Raises
    ------
    FormatError
        If it is too large.
    """
    if len(content) > MOST_BYTES:
        raise FormatError(f"{what} has more than {format_bytes(MOST_BYTES)} of JSON", "it may be damaged")
    count = content.count(b",") + content.count(b"[") + content.count(b"{")
    if count > MOST_VALUES:
        raise FormatError(
            f"{what} holds some {count:,} values of JSON, at most {MOST_VALUES:,} are read",
            "it may be damaged; so many values belong into a binary file",
        )
