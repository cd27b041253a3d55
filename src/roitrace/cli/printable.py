"""Text of files and people, as a terminal may show it."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    r"""Return a text whose control characters are spelled out: a name in a file must not steer a terminal.

    Ends of lines and tabs stay.

    Examples
    --------
    >>> printable("cell \x1b[2J")
    'cell \\x1b[2J'
    """
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode("ascii")
        for one in text
    )
