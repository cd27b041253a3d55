"""Large Blosc chunks in pieces: some of their blocks at a time, made chunks of their own, which stay in a processor's cache while they are read, checked and decoded.

The format is that of Blosc 1 (c-blosc, ``README_CHUNK_FORMAT.rst``): a header of 16 bytes, the start of each block as int32, and the blocks.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["HEAD_BYTES", "BloscPiece", "cut_chunk"]

HEAD_BYTES = 1024
"""Header and starts that are looked at; chunks of more than some 250 blocks are left whole."""
PIECE_BYTES = 2**20
"""Samples of a piece: with what they are decoded from they fit a second-level cache of 2 MiB, or nearly one of 1 MiB."""

_HEADER = struct.Struct("<4B3I")
_IS_COPIED = 0x2
"""Flag of a chunk that was not compressed."""


@dataclass(frozen=True)
class BloscPiece:
    """Some blocks of a chunk.

    Attributes
    ----------
    header : bytes
        What makes a chunk of them, before their own bytes.
    stored, decoded : tuple of int
        First and last (excluded) byte of them in the chunk, and of their samples.
    """

    header: bytes
    stored: tuple[int, int]
    decoded: tuple[int, int]


def cut_chunk(head: bytes, length: int, wanted: int) -> list[BloscPiece]:
    """Cut a chunk into pieces that follow one another, or into none where it must be decoded whole.

    Parameters
    ----------
    head : bytes
        The first bytes of the chunk, as many as there are up to `HEAD_BYTES`.
    length, wanted : int
        Bytes of the chunk and of its samples.

    Returns
    -------
    list of BloscPiece
        Empty where the chunk was not compressed, is a single piece, or its blocks do not follow one another, as several threads may
        write them; and where it is damaged, as those who decode it whole will say.
    """
    if len(head) < _HEADER.size or not wanted:
        return []
    *kind, decoded, block, stated = _HEADER.unpack_from(head)
    if kind[2] & _IS_COPIED or decoded != wanted or stated != length or not block or decoded >= 2**31:
        return []
    n_blocks = -(-decoded // block)
    begin = _HEADER.size + 4 * n_blocks
    if begin > len(head):
        return []
    starts = (*struct.unpack_from(f"<{n_blocks}I", head, _HEADER.size), length)
    if starts[0] != begin or any(last <= first for first, last in pairwise(starts)):
        return []
    per_piece = max(1, PIECE_BYTES // block)
    firsts = list(range(0, n_blocks, per_piece))
    if n_blocks - firsts[-1] == 1 and decoded % block:
        # a shorter block is stored in another way, which only the last of several can be
        firsts.pop()
    if len(firsts) < 2:
        return []
    return [
        _piece(kind, starts[first : last + 1], block, (first * block, min(last * block, decoded)))
        for first, last in pairwise((*firsts, n_blocks))
    ]


def _piece(kind: list[int], starts: tuple[int, ...], block: int, decoded: tuple[int, int]) -> BloscPiece:
    size = _HEADER.size + 4 * (len(starts) - 1)
    own = [start - starts[0] + size for start in starts]
    header = _HEADER.pack(*kind, decoded[1] - decoded[0], block, own[-1])
    return BloscPiece(header + struct.pack(f"<{len(own) - 1}I", *own[:-1]), (starts[0], starts[-1]), decoded)
