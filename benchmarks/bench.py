"""What every group of rows is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.bare import BareStore, bare_decode, in_memory_decode, load_encoded
from benchmarks.measure import BARE, IN_MEMORY, Contender

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.workloads import Files, Scale

__all__ = ["Bench", "bare_contenders"]


@dataclass(frozen=True)
class Bench:
    """Files, sizes and how often.

    Attributes
    ----------
    files : Files
        The workloads on disk.
    scale : Scale
        How large they are.
    repeats, slow_repeats : int
        Rounds of what takes about a second, and of peers that take a minute.
    threads : int
        For everybody.
    scratch : Path
        A folder for what is written and thrown away.
    """

    files: Files
    scale: Scale
    repeats: int
    slow_repeats: int
    threads: int
    scratch: Path


def bare_contenders(store: BareStore, threads: int) -> tuple[Contender, Contender]:
    """Return bare decode, and the same with the encoded chunks in memory."""
    encoded = load_encoded(store)
    return (
        Contender(BARE, lambda: bare_decode(store, threads)),
        Contender(IN_MEMORY, lambda: in_memory_decode(store, encoded, threads)),
    )
