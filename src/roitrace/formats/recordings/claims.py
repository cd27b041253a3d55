"""What a recording claims to be, before tables as long as its axes are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roitrace.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_PARTS", "check_frame", "check_frames", "check_parts"]

MOST_SIDE = 2**20
"""Rows or columns of a frame; the largest cameras have some ten thousand."""
MOST_PARTS = 10_000
"""Channels times planes."""
FREE_FRAMES = 2**23
"""So many frames may be claimed without a byte of samples."""


def check_frame(height: int, width: int, what: str) -> None:
    """Refuse a frame that no microscope takes.

    Raises
    ------
    FormatError
        If it has more than a million rows or columns.
    """
    if max(height, width) > MOST_SIDE:
        raise FormatError(
            f"{what} declares frames of {height:,} x {width:,}, at most {MOST_SIDE:,} rows or columns are read",
            "the file is damaged: copy it again",
        )


def check_parts(channels: int, planes: int, what: str) -> None:
    """Refuse more channels and planes than can be told apart.

    Raises
    ------
    FormatError
        If there are more than ten thousand.
    """
    if channels * planes > MOST_PARTS:
        raise FormatError(
            f"{what} declares {channels:,} channels and {planes:,} planes, at most {MOST_PARTS:,} together are read",
            "if its axes are named wrongly, say what they are with axes=",
        )


def check_frames(n_frames: int, what: str, stored: Callable[[], int]) -> None:
    """Refuse millions of frames of which not a byte each is stored.

    Parameters
    ----------
    n_frames : int
        How many are declared.
    what : str
        The file or array, for the message.
    stored : callable
        Counts the bytes that are stored; asked only where there are very many frames.

    Raises
    ------
    FormatError
        If there are fewer bytes than frames.
    """
    if n_frames > FREE_FRAMES and stored() < n_frames:
        raise FormatError(
            f"{what} declares {n_frames:,} frames and holds {stored():,} bytes of samples",
            "it is damaged or was never written: copy it again",
        )
