"""MATLAB's files of version 7 and before: loaded when what they unpack to is in proportion to what they hold."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, Literal

from roitrace.errors import FormatError
from roitrace.formats.bounded import FREE_BYTES, MOST_SHRUNK
from roitrace.units import format_bytes

__all__ = ["load_matlab"]

LIMIT_BYTES = 2**31
"""No variable of these files is larger."""
HEADER_BYTES = 128
COMPRESSED = 15
PIECE_BYTES = 2**20


def load_matlab(path: str | Path, *, most: int = LIMIT_BYTES, **options: Any) -> dict[str, Any]:
    """Return the variables of a file, as `scipy.io.loadmat` does with these options.

    Parameters
    ----------
    path : path
        The file.
    most : int
        Bytes that it may unpack to, at most.
    **options
        Of `scipy.io.loadmat`.

    Raises
    ------
    FormatError
        If the file unpacks to far more than it holds, or to more than `most`.
    """
    from scipy.io import loadmat  # noqa: PLC0415 - loads slowly
    from scipy.io.matlab import MatReadError  # noqa: PLC0415

    _check_size(Path(path), most)
    try:
        return dict(loadmat(path, **options))
    except (MatReadError, UnboundLocalError) as error:  # the latter on variables of no known class
        raise FormatError(f"{path} is damaged: {error}", "copy it again") from error


def _check_size(path: Path, limit: int) -> None:
    """Unpack in pieces that are thrown away, and count."""
    size_of_file = path.stat().st_size
    most = min(limit, max(FREE_BYTES, MOST_SHRUNK * size_of_file))
    total = 0
    with path.open("rb") as file:
        order: Literal["little", "big"] = "little" if file.read(HEADER_BYTES)[-2:] == b"IM" else "big"
        while len(tag := file.read(8)) == 8:
            kind, size = (int.from_bytes(tag[place : place + 4], order) for place in (0, 4))
            total += (
                size if kind != COMPRESSED else _unpacked(file.read(min(size, size_of_file)), most - total)
            )
            if kind != COMPRESSED:
                file.seek(min(size, size_of_file), 1)
            if total > most:
                raise FormatError(
                    f"{path} has {format_bytes(size_of_file)} and unpacks to more than {format_bytes(most)}",
                    "it is damaged, or made to fill the memory",
                )


def _unpacked(content: bytes, most: int) -> int:
    """Return how many bytes a compressed variable unpacks to, or more than `most` where it is more."""
    inflater, total = zlib.decompressobj(), 0
    while content and not inflater.eof and total <= most:
        total += len(inflater.decompress(content, PIECE_BYTES))
        content = inflater.unconsumed_tail
    return total
