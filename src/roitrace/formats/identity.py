"""A cheap digest of what files hold: the same wherever they lie and whenever they were written."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from roitrace.file_errors import explained
from roitrace.store.objects import objects_at
from roitrace.store.places import ObjectPath, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from roitrace.store.places import Location

__all__ = ["combine", "content_identity", "ends_identity", "ends_of_objects", "file_identity"]

SAMPLE_BYTES = 4096
"""Length of each sample of a file, bytes."""
N_SAMPLES = 64
"""Samples per file, evenly spaced, besides its head and its tail."""


def file_identity(path: str | Path) -> str:
    """Return a digest of a file's length, head, tail and 64 evenly spaced samples of 4 KiB.

    A file of up to 66 samples is digested whole. Two files that differ only between the samples share a digest: this
    tells recordings apart, it does not prove that one is undamaged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"frames")
    ...     file.flush()
    ...     len(file_identity(file.name))
    64
    """
    return _digest(Path(path), N_SAMPLES)


def ends_identity(path: str | Path) -> str:
    """Return a digest of a file's length, head and tail of 4 KiB: for one file of very many."""
    return _digest(Path(path), 0)


def ends_of_objects(folder: ObjectPath, names: Sequence[str]) -> list[str]:
    """Return the digest that `ends_identity` gives for each of the objects below a place; nothing for those that are not there.

    They are asked for together.
    """
    objects, _ = objects_at(str(folder))
    keys = [(folder / name).key for name in names]
    tails = objects.tails(keys, 2 * SAMPLE_BYTES)
    heads = objects.read_parts([(key, 0, SAMPLE_BYTES) for key in keys])
    return [
        "" if tail is None or head is None else _digest_of_ends(tail.size, bytes(head), bytes(tail.data))
        for tail, head in zip(tails, heads, strict=True)
    ]


def _digest_of_ends(size: int, head: bytes, tail: bytes) -> str:
    parts = [tail] if size <= len(tail) else [head, tail[-SAMPLE_BYTES:]]
    return hashlib.sha256(b"".join([size.to_bytes(8, "little"), *parts])).hexdigest()


def content_identity(path: str | Location) -> str:
    """Return a digest of a file, or of all files below a folder and their names in it; nothing for one that is not there."""
    path = place_of(path)
    if isinstance(path, ObjectPath):
        keys = list(path.lengths())
        contents = zip(keys, path.read_each(keys), strict=True)
        return (
            combine(*((key, hashlib.sha256(data or b"").hexdigest()) for key, data in contents))
            if keys
            else ""
        )
    if not path.is_dir():
        return file_identity(path) if path.is_file() else ""
    files = sorted(one for one in path.rglob("*") if one.is_file())
    return combine(*((one.relative_to(path).as_posix(), file_identity(one)) for one in files))


def combine(*facts: object) -> str:
    """Return a digest of digests and of other facts with a stable `repr`: numbers, strings, tuples of them.

    Examples
    --------
    >>> combine("a", (1, 2)) == combine("a", (1, 2)), combine("a") == combine("b")
    (True, False)
    """
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _digest(path: Path, n_samples: int) -> str:
    with explained(path), path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(size.to_bytes(8, "little"))
        for start, stop in _samples(size, n_samples):
            file.seek(start)
            digest.update(file.read(stop - start))
    return digest.hexdigest()


def _samples(size: int, n_samples: int) -> list[tuple[int, int]]:
    """Return the byte ranges of a file that are digested: all of it, or samples with head and tail among them."""
    if size <= (n_samples + 2) * SAMPLE_BYTES:
        return [(0, size)]
    last = size - SAMPLE_BYTES
    starts = [last * number // (n_samples + 1) for number in range(n_samples + 2)]
    return [(start, start + SAMPLE_BYTES) for start in starts]
