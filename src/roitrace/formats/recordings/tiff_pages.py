"""The pages of a TIFF file, found without parsing them one by one.

A TIFF file is a chain of page directories. Walking it costs about a microsecond per page; what pages must share is then
compared for all of them at once. The layout of directories is that of the TIFF 6.0 and BigTIFF specifications.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TiffPages", "scan_pages"]

SUBFILE_TYPE, STRIP_OFFSETS, STRIP_BYTE_COUNTS = 254, 273, 279
PIXEL_TAGS = {
    256: "width",
    257: "height",
    258: "bits per sample",
    277: "samples per pixel",
    339: "sample format",
}
LAYOUT_TAGS = (
    259,
    266,
    278,
    284,
    317,
    322,
    323,
)  # compression, fill order, rows per strip, planes, predictor, tile size
DEFAULTS = {258: 1, 259: 1, 266: 1, 277: 1, 284: 1, 317: 1, 339: 1, STRIP_OFFSETS: -1, STRIP_BYTE_COUNTS: -1}
VALUE_DTYPES = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}  # BYTE, SHORT, LONG, LONG8
MAX_TAGS = 4096


@dataclass(frozen=True, eq=False)
class TiffPages:
    """What the directories of a TIFF file say together.

    Attributes
    ----------
    directories : numpy.ndarray
        Byte at which each page's directory begins; reduced-resolution copies are left out.
    samples : numpy.ndarray
        Byte at which each page's only strip begins; -1 where a page has several strips or tiles.
    n_bytes : numpy.ndarray
        Length of that strip; -1 likewise.
    same_layout : bool
        Whether all pages are compressed and cut into strips alike.
    broken : bool
        Whether the chain of directories leads out of the file.
    """

    directories: NDArray[np.int64]
    samples: NDArray[np.int64]
    n_bytes: NDArray[np.int64]
    same_layout: bool
    broken: bool

    def __len__(self) -> int:
        return self.directories.size


@dataclass(frozen=True)
class _Dialect:
    """Byte order and field widths of classic TIFF or BigTIFF."""

    order: str
    first: int
    offset: str
    offset_size: int
    count: str
    count_size: int
    entry: np.dtype[np.void]


def scan_pages(path: str) -> TiffPages:
    """Walk the page directories of a TIFF file; no samples are read.

    Raises
    ------
    FormatError
        If it is no TIFF file, or its pages differ in size or sample type.
    """
    with Path(path).open("rb") as file:
        if file.seek(0, 2) < 16:
            raise FormatError(f"{path} is no TIFF file: it has {file.tell()} bytes", "copy it again")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            dialect = _dialect(path, content)
            offsets, tables, broken = _walk(content, dialect, path)
    if not offsets:
        raise FormatError(f"{path} holds no page: it is cut short or was never finished", "copy it again")
    facts = _facts(tables, len(offsets), dialect)
    keep = facts[SUBFILE_TYPE] & 1 == 0
    if not keep[0]:
        keep[:] = True
    facts = {code: values[keep] for code, values in facts.items()}
    _check_alike(path, facts)
    directories = np.asarray(offsets, dtype=np.int64)[keep]
    same_layout = all((facts[code] == facts[code][0]).all() for code in LAYOUT_TAGS)
    return TiffPages(directories, facts[STRIP_OFFSETS], facts[STRIP_BYTE_COUNTS], same_layout, broken)


def _dialect(path: str, content: mmap.mmap) -> _Dialect:
    order = {b"II": "<", b"MM": ">"}.get(content[:2], "")
    version = struct.unpack(f"{order}H", content[2:4])[0] if order else 0
    if version == 42:
        entry = np.dtype(
            [("code", f"{order}u2"), ("type", f"{order}u2"), ("n", f"{order}u4"), ("value", "V4")]
        )
        return _Dialect(order, 4, f"{order}I", 4, f"{order}H", 2, entry)
    if version == 43:
        entry = np.dtype(
            [("code", f"{order}u2"), ("type", f"{order}u2"), ("n", f"{order}u8"), ("value", "V8")]
        )
        return _Dialect(order, 8, f"{order}Q", 8, f"{order}Q", 8, entry)
    raise FormatError(
        f"{path} is no TIFF file: it begins with {content[:4]!r}", "check what kind of file it is"
    )


def _walk(
    content: mmap.mmap, dialect: _Dialect, path: str
) -> tuple[list[int], dict[int, tuple[list[int], bytearray]], bool]:
    """Follow the chain: where each directory begins, and their entries, grouped by number of entries."""
    size, entry_size = len(content), dialect.entry.itemsize
    read_count, read_offset = (
        struct.Struct(dialect.count).unpack_from,
        struct.Struct(dialect.offset).unpack_from,
    )
    offsets: list[int] = []
    tables: dict[int, tuple[list[int], bytearray]] = {}
    seen: set[int] = set()
    n_bytes = 0
    (offset,) = read_offset(content, dialect.first)
    while offset:
        if offset in seen or offset + dialect.count_size > size:
            return offsets, tables, True
        (count,) = read_count(content, offset)
        begin = offset + dialect.count_size
        end = begin + count * entry_size
        if not 0 < count <= MAX_TAGS or end + dialect.offset_size > size:
            return offsets, tables, True
        n_bytes += end - offset
        _check_apart(n_bytes, size, path)
        pages, table = tables.setdefault(count, ([], bytearray()))
        pages.append(len(offsets))
        table += content[begin:end]
        seen.add(offset)
        offsets.append(offset)
        (offset,) = read_offset(content, end)
    return offsets, tables, False


def _check_apart(n_bytes: int, size: int, path: str) -> None:
    """Refuse directories that are longer than the file: they overlap, and a small file could hold any number of them."""
    if n_bytes > size:
        raise FormatError(
            f"the page directories of {path} lie on top of each other",
            "it is damaged, or made to fill the memory",
        )


def _facts(
    tables: dict[int, tuple[list[int], bytearray]], n_pages: int, dialect: _Dialect
) -> dict[int, NDArray[np.int64]]:
    """Return the value of each tag on each page: -1 where it has several, its default or 0 where the tag is absent."""
    codes = (SUBFILE_TYPE, STRIP_OFFSETS, STRIP_BYTE_COUNTS, *PIXEL_TAGS, *LAYOUT_TAGS)
    facts = {code: np.full(n_pages, DEFAULTS.get(code, 0), dtype=np.int64) for code in codes}
    for count, (pages, table) in tables.items():
        entries = np.frombuffer(table, dtype=dialect.entry)
        values = _values(entries, dialect.order)
        for code in codes:
            found = np.flatnonzero(entries["code"] == code)
            facts[code][np.asarray(pages)[found // count]] = values[found]
    return facts


def _values(entries: NDArray[Any], order: str) -> NDArray[np.int64]:
    values = np.full(entries.size, -1, dtype=np.int64)
    raw = np.ascontiguousarray(entries["value"])
    for kind, dtype in VALUE_DTYPES.items():
        chosen = (entries["type"] == kind) & (entries["n"] == 1)
        width = raw.dtype.itemsize // np.dtype(dtype).itemsize
        if width:
            inline = raw.view(f"{order}{dtype}").reshape(entries.size, width)[:, 0]
            values[chosen] = inline[chosen]
    return values


def _check_alike(path: str, facts: dict[int, NDArray[np.int64]]) -> None:
    for code, name in PIXEL_TAGS.items():
        other = np.flatnonzero(facts[code] != facts[code][0])
        if other.size:
            raise FormatError(
                f"the pages of {path} differ: {name} is {facts[code][0]} on page 0 and {facts[code][other[0]]} on page "
                f"{other[0]} ({other.size} of {facts[code].size} pages differ from the first)",
                "split the file into one file per size first",
            )
