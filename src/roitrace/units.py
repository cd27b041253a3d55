"""Bytes, seconds and micrometres: read them from what a user typed, write them for a person to read."""

from __future__ import annotations

import re

from roitrace.errors import ArgumentError, MetadataError
from roitrace.memory import free_memory

__all__ = [
    "format_budget",
    "format_bytes",
    "format_count",
    "parse_bytes",
    "parse_duration",
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
_SECONDS = {"s": 1.0, "sec": 1.0, "ms": 0.001, "min": 60.0}
_SHARE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*%\s*")
_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*([a-zµ]*)\s*", re.IGNORECASE)


def parse_bytes(text: str | float) -> int:
    """Turn ``"2 GiB"``, ``"500MB"``, a number of bytes, or a share of the memory that is free now (``"50%"``) into bytes.

    What is free respects the limits of control groups (containers, cluster jobs).

    Examples
    --------
    >>> parse_bytes("2 GiB")
    2147483648
    """
    if isinstance(text, int | float):
        return int(text)
    if share := _SHARE.fullmatch(text):
        return int(free_memory() * min(float(share[1]), 100.0) / 100)
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None or match[2].lower() not in _BYTE_UNITS:
        raise ArgumentError(
            f"{text!r} is no amount of memory", 'write it like "2 GiB", "800 MB", "50%" or a number of bytes'
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


def parse_duration(duration: str | float, what: str) -> tuple[float, bool]:
    """Turn ``"60 s"``, ``"1800 frames"`` or a number of seconds into a number, and whether it counts frames.

    Raises
    ------
    ArgumentError
        If it is none of these.

    Examples
    --------
    >>> parse_duration("2 min", "detrend"), parse_duration("1800 frames", "detrend")
    ((120.0, False), (1800.0, True))
    """
    text = f"{duration} s" if isinstance(duration, int | float) else duration
    match = _NUMBER_AND_UNIT.fullmatch(text)
    unit = "" if match is None else match[2].lower()
    if match is None or unit not in _SECONDS | {"frame": 1.0, "frames": 1.0}:
        raise ArgumentError(
            f"{what}={duration!r} is no duration",
            'write a number of seconds, or a text such as "60 s", "500 ms" or "1800 frames"',
        )
    return (float(match[1]), True) if unit not in _SECONDS else (float(match[1]) * _SECONDS[unit], False)


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
