"""Bytes, seconds and micrometres: read them from what a user typed, write them for a person to read."""

from __future__ import annotations

import re

from roitrace.errors import ArgumentError, MetadataError

__all__ = [
    "format_budget",
    "format_bytes",
    "format_count",
    "parse_bytes",
    "parse_length",
    "require_frame_rate",
]

_BYTE_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", start=1):
    _BYTE_UNITS[f"{_letter}b"] = 1000**_power
    _BYTE_UNITS[f"{_letter}ib"] = _BYTE_UNITS[_letter] = 1024**_power
_LENGTH_UNITS = {
    "um": "micrometer",
    "µm": "micrometer",
    "micrometer": "micrometer",
    "px": "pixel",
    "pixel": "pixel",
}
_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*([a-zµ]*)\s*", re.IGNORECASE)


def parse_bytes(text: str | float) -> int:
    """Turn ``"2 GiB"``, ``"500MB"`` or a number of bytes into bytes.

    Examples
    --------
    >>> parse_bytes("2 GiB")
    2147483648
    """
    if isinstance(text, int | float):
        return int(text)
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None or match[2].lower() not in _BYTE_UNITS:
        raise ArgumentError(
            f"{text!r} is no amount of memory", 'write it like "2 GiB", "800 MB" or a number of bytes'
        )
    return int(float(match[1]) * _BYTE_UNITS[match[2].lower()])


def parse_length(text: str | float) -> tuple[float, str]:
    """Turn ``"12 um"`` or ``"10 px"`` into a number and ``"micrometer"`` or ``"pixel"``; a bare number is pixels.

    Examples
    --------
    >>> parse_length("12 um")
    (12.0, 'micrometer')
    """
    if isinstance(text, int | float):
        return float(text), "pixel"
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None or (match[2] and match[2].lower() not in _LENGTH_UNITS):
        raise ArgumentError(f"{text!r} is no length", 'write it like "12 um" or "10 px"')
    return float(match[1]), _LENGTH_UNITS[match[2].lower()] if match[2] else "pixel"


def format_bytes(count: float) -> str:
    """Write bytes for a person.

    Examples
    --------
    >>> format_bytes(3 * 1024**2)
    '3.0 MiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def format_budget(count: int) -> str:
    """Write a budget of at least so many bytes, as `parse_bytes` reads it.

    Examples
    --------
    >>> format_budget(2**30 + 1)
    '1025 MiB'
    """
    return f"{-(-count // 2**20)} MiB"


def format_count(count: int, noun: str) -> str:
    """Write a count and its noun.

    Examples
    --------
    >>> format_count(1, "cell"), format_count(2000, "cell")
    ('1 cell', '2,000 cells')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def require_frame_rate(frame_rate: float | None, asked: str) -> float:
    """Return the frame rate, Hz, or say what needed it.

    Raises
    ------
    MetadataError
        If the recording does not know its frame rate.
    """
    if frame_rate is None:
        raise MetadataError(
            f"{asked} is asked in seconds, but the recording has no frame rate",
            "give frame_rate= (Hz) when you convert or open it",
        )
    return frame_rate
