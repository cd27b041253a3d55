"""Which requests fetch the wanted parts of objects: near ones together, long ones cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Fetch", "Part", "fetches"]

Part = tuple[str, int, int]
"""Key, first byte and the one after the last."""

GAP_BYTES = 64 * 2**10
"""Bytes between two parts that are fetched along rather than asked for apart: some milliseconds of transfer, less than a request."""
FETCH_BYTES = 8 * 2**20
"""Bytes after which a request takes no further part: several at once are faster than one long one."""


@dataclass(frozen=True)
class Fetch:
    """One request.

    Attributes
    ----------
    key : str
        Of the object.
    start, stop : int
        Bytes asked for.
    parts : tuple of int
        Numbers of the parts that lie in it.
    """

    key: str
    start: int
    stop: int
    parts: tuple[int, ...]


def fetches(parts: Sequence[Part], *, gap: int = GAP_BYTES, most: int = FETCH_BYTES) -> list[Fetch]:
    """Return the requests for parts of objects, by key and place; parts without bytes need none.

    Parameters
    ----------
    parts : sequence of (str, int, int)
        Key, first byte and the one after the last.
    gap : int
        Bytes between two parts up to which one request fetches both.
    most : int
        Bytes of a request that takes more than one part.

    Examples
    --------
    >>> [(one.start, one.stop, one.parts) for one in fetches([("a", 90, 100), ("a", 0, 10), ("a", 10, 20)], gap=5)]
    [(0, 20, (1, 2)), (90, 100, (0,))]
    """
    order = sorted(
        (number for number, (_, start, stop) in enumerate(parts) if stop > start), key=lambda n: parts[n]
    )
    found: list[Fetch] = []
    for number in order:
        key, start, stop = parts[number]
        last = found[-1] if found else None
        if (
            last is not None
            and last.key == key
            and start - last.stop <= gap
            and max(stop, last.stop) - last.start <= most
        ):
            found[-1] = Fetch(key, last.start, max(stop, last.stop), (*last.parts, number))
        else:
            found.append(Fetch(key, start, stop, (number,)))
    return found
