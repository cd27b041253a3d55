"""Compare a file of a store with its manifest; where they differ, say what happened to which chunks."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FileAccessError, StoreError
from roitrace.file_errors import explained
from roitrace.store.checksum import CRC_BYTES, crc32c
from roitrace.store.chunks import ChunkLayout, read_layout
from roitrace.store.files import read_file
from roitrace.store.manifest import MEND
from roitrace.store.survey import BLOCK_BYTES, INDEX_ENTRY, MISSING, stored_checksums

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from numpy.typing import NDArray

    from roitrace.store.known import KnownFiles
    from roitrace.store.manifest import FileFacts
    from roitrace.store.places import Location

__all__ = ["Damage", "check_group", "find_broken", "find_damage", "holds_chunks", "is_intact"]


@dataclass(frozen=True)
class Damage:
    """A file that is not what was written.

    Attributes
    ----------
    file : str
        Its place below the store.
    problem : str
        What is wrong.
    array : str
        The array that it belongs to; empty for metadata of groups.
    chunks : tuple of tuple of int
        The chunks that are lost with it; empty for metadata.
    frames : tuple of int or None
        First and last frame of these.
    """

    file: str
    problem: str
    array: str = ""
    chunks: tuple[tuple[int, ...], ...] = ()
    frames: tuple[int, int] | None = None

    def __str__(self) -> str:
        return f"{self.file} {self.problem}{self._lost}"

    @property
    def place(self) -> str:
        """The file, and what is in it."""
        return f"{self.file}{self._lost}"

    @property
    def _lost(self) -> str:
        frames = "" if self.frames is None else f", frames {self.frames[0]} to {self.frames[1]}"
        shown = ", ".join("/".join(map(str, chunk)) for chunk in self.chunks[:4])
        more = f" and {len(self.chunks) - 4} more" if len(self.chunks) > 4 else ""
        return f": chunk {shown}{more}{frames}" if self.chunks else ""


def find_damage(store: Location, known: Sequence[FileFacts]) -> Damage | None:
    """Read a file once and compare it with what it may hold; None if it is whole.

    Memory does not depend on its length, as long as it is whole.
    """
    path, key = store / known[0].key, known[0].key
    checksum, length = 0, 0
    try:
        with explained(path), path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK_BYTES):
                checksum, length = crc32c(block, checksum), length + len(block)
            intact = [one for one in known if (length, checksum) == (one.length, one.checksum)]
            if any(holds_chunks(store, file, one) for one in intact):
                return None
    except FileAccessError as error:
        if not path.exists():
            return _damage_of(store, key, "is missing")
        return _damage_of(store, key, f"cannot be read: {error.problem}")
    if length == 0:
        return _damage_of(store, key, f"is empty: 0 of {known[0].length} bytes")
    if length < known[0].length and not _ends_with_index(store, key, path):
        return _damage_of(store, key, f"is cut short: {length} of {known[0].length} bytes")
    with explained(path):
        return _look_closer(store, known[0], path.read_bytes())


def _ends_with_index(store: Location, key: str, path: Location) -> bool:
    """Whether a shorter file is a whole one: that of another shard."""
    layout = _layout_of(store, key)
    with explained(path):
        return (
            layout is not None and layout.shard is not None and _parts(path.read_bytes(), layout) is not None
        )


def find_broken(store: Location, key: str, layout: ChunkLayout) -> Damage | None:
    """Look at a shard of which nobody knows what it held; None if all of its chunks agree with their own checksums."""
    data = read_file(store / key)
    if data is None:
        return _damage_of(store, key, "is missing")
    parts = _parts(data, layout)
    if parts is None:
        return _damage_of(store, key, "has a damaged index")
    broken = [place for place, part in enumerate(parts) if part is not None and not is_intact(part)]
    return _damage_of(store, key, "is damaged: checksums do not match", broken) if broken else None


def check_group(store: Location, known: KnownFiles, group: str) -> None:
    """Compare all files of a group with what they may hold.

    Raises
    ------
    StoreError
        If one is damaged.
    """
    for one in known.manifests[0]:
        damage = find_damage(store, known.of(one.key)) if one.key.startswith(f"{group}/") else None
        if damage is not None:
            raise StoreError(
                f"{store} is damaged: {damage}",
                MEND,
            )


def holds_chunks(store: Location, file: BinaryIO, known: FileFacts) -> bool:
    """Whether an intact file holds the chunks that were written, and not others."""
    if not len(known.chunks):
        return True
    layout = _layout_of(store, known.key)
    if layout is None or layout.shard is None:
        file.seek(-CRC_BYTES, os.SEEK_END)
        return len(known.chunks) > 1 or int.from_bytes(file.read(CRC_BYTES), "little") == known.chunks[0]
    stored = stored_checksums(file, known.length, layout)
    return np.array_equal(stored, known.chunks) or np.array_equal(stored[stored != 0], known.chunks)


def _look_closer(store: Location, known: FileFacts, data: bytes) -> Damage:
    """Say which chunks of a file differ, and whether they are broken or others."""
    layout = _layout_of(store, known.key)
    if layout is None or not len(known.chunks):
        return _damage_of(store, known.key, "holds other bytes than were written")
    parts = [data] if layout.shard is None else _parts(data, layout)
    if parts is None:
        return _damage_of(store, known.key, "has a damaged index")
    stored = [place for place, part in enumerate(parts) if part is not None]
    expected: NDArray[Any] = np.zeros(len(parts), np.uint32)
    if len(known.chunks) == len(parts):
        expected = known.chunks
    elif len(known.chunks) == len(stored):
        expected[stored] = known.chunks
    broken = [place for place in stored if not is_intact(parts[place])]
    others = [
        place
        for place, part in enumerate(parts)
        if place not in broken and expected[place] != (0 if part is None else _stated(part))
    ]
    if broken:
        return _damage_of(store, known.key, "is damaged: checksums do not match", [*broken, *others])
    if others:
        problem = "holds other chunks than were written: swapped, or of an earlier time"
        return _damage_of(store, known.key, problem, others)
    return _damage_of(store, known.key, "holds other bytes than were written, outside of its chunks", [])


def _parts(data: bytes, layout: ChunkLayout) -> list[bytes | None] | None:
    """Return the encoded chunks of a shard, None for those that are not there; None if its index is damaged."""
    size = layout.chunks_per_shard * INDEX_ENTRY.itemsize
    table = data[-size - CRC_BYTES : -CRC_BYTES]
    if len(table) < size or crc32c(table) != int.from_bytes(data[-CRC_BYTES:], "little"):
        return None
    index = np.frombuffer(table, INDEX_ENTRY)
    return [
        None if offset == MISSING else data[offset : offset + length]
        for offset, length in zip(index["offset"].tolist(), index["length"].tolist(), strict=True)
    ]


def _stated(part: bytes) -> int:
    return int.from_bytes(part[-CRC_BYTES:], "little")


def is_intact(part: bytes | None) -> bool:
    """Whether a chunk agrees with its own checksum."""
    return part is not None and crc32c(part[:-CRC_BYTES]) == _stated(part)


def _damage_of(store: Location, key: str, problem: str, places: Sequence[int] | None = None) -> Damage:
    """Say which chunks, and frames, some places in a file are; all of them if none is given."""
    array, _, place = key.rpartition("/c/") if "/c/" in key else (key.rpartition("/")[0], "", "")
    layout = _layout_of(store, key)
    if layout is None:
        return Damage(key, problem, array)
    unit = tuple(int(number) for number in place.split("/"))
    chunks = tuple(_chunks_in(unit, layout, places))
    axis = _time_axis(store / array)
    if axis is None or not chunks:
        return Damage(key, problem, array, chunks)
    step, numbers = layout.chunk[axis], [chunk[axis] for chunk in chunks]
    last = min((max(numbers) + 1) * step, layout.shape[axis]) - 1
    return Damage(key, problem, array, chunks, (min(numbers) * step, last))


def _chunks_in(
    unit: tuple[int, ...], layout: ChunkLayout, places: Sequence[int] | None
) -> Iterator[tuple[int, ...]]:
    per_axis = tuple(s // c for s, c in zip(layout.shard or layout.chunk, layout.chunk, strict=True))
    for place in range(math.prod(per_axis)) if places is None else places:
        inside = np.unravel_index(place, per_axis)
        chunk = tuple(
            number * count + int(own) for number, count, own in zip(unit, per_axis, inside, strict=True)
        )
        if all(
            number * step < size for number, step, size in zip(chunk, layout.chunk, layout.shape, strict=True)
        ):
            yield chunk


def _layout_of(store: Location, key: str) -> ChunkLayout | None:
    """Return the layout of the array whose chunk a file is; None for other files."""
    array, chunk, place = key.rpartition("/c/")
    if not chunk or not all(number.isdecimal() for number in place.split("/")):
        return None
    layout = read_layout(store / array)
    return layout if layout is not None and len(layout.shape) == place.count("/") + 1 else None


def _time_axis(array: Location) -> int | None:
    try:
        names = json.loads((array / "zarr.json").read_bytes()).get("dimension_names") or []
        return list(names).index("time")
    except (OSError, ValueError, TypeError, AttributeError):
        return None
