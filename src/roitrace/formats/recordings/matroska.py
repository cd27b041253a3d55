"""How long a Matroska file says that it is (EBML, RFC 8794; Matroska, RFC 9559)."""

from __future__ import annotations

from pathlib import Path

__all__ = ["stated_length"]

EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def stated_length(path: str | Path) -> int | None:
    """Return the bytes that a file should have; None if it is another kind of file, or does not say.

    A program that could not go back to the beginning when it was done leaves the length open.
    """
    with Path(path).open("rb") as file:
        if file.read(4) != EBML:
            return None
        header = _number(file.read(8))
        if header is None:
            return None
        length, width = header
        begin = 4 + width + length
        file.seek(begin)
        if file.read(4) != SEGMENT:
            return None
        body = _number(file.read(8))
    return None if body is None else begin + 4 + body[1] + body[0]


def _number(content: bytes) -> tuple[int, int] | None:
    """Return a number of variable width and its width; None where all its bits are set, which means unknown."""
    if len(content) < 8 or content[0] == 0:
        return None
    width = 9 - content[0].bit_length()
    value = int.from_bytes(content[:width]) & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else (value, width)
