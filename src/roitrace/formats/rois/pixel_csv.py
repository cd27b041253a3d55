"""CSV of pixels: one line per pixel, with a header that names the columns."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.damage import understanding
from roitrace.formats.rois.table import RoiTable, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from roitrace.formats.rois.format import RoiOptions

__all__ = ["column_of", "read_columns", "read_pixel_csv", "write_pixel_csv"]

COLUMNS = {
    "roi": (
        "roi",
        "roi_name",
        "name",
        "cell",
        "cell_name",
        "neuron",
        "label",
        "roi_id",
        "cell_id",
        "region",
        "object",
    ),
    "id": ("id", "roi_id", "cell_id"),
    "y_index": ("y_index", "y", "ypix", "y_pixel", "y_px", "row", "rows", "yindex"),
    "x_index": ("x_index", "x", "xpix", "x_pixel", "x_px", "col", "column", "cols", "xindex"),
    "weight": ("weight", "weights", "w", "lam"),
    "accepted": ("accepted", "is_cell", "iscell"),
}
"""Names under which columns are known, the best first; upper and lower case, spaces and hyphens do not matter."""
FLAGS = {
    "1": True,
    "true": True,
    "yes": True,
    "1.0": True,
    "0": False,
    "false": False,
    "no": False,
    "0.0": False,
}
DELIMITERS = ",;\t"


def read_pixel_csv(path: str, options: RoiOptions) -> RoiTable:  # noqa: ARG001
    """Read pixels by ROI, row and column, with weights and flags where there are such columns.

    Lines of a ROI may stand anywhere; ROIs are in the order in which they first appear. Whole numbers as ROIs are ids; other ROIs are
    names, and ids count from 1 unless a column holds them.

    Raises
    ------
    FormatError
        If a column is missing or there twice, a line is too short, or a value is none; the line is named.
    """
    columns = read_columns(path)
    found = {name: column_of(columns, names) for name, names in COLUMNS.items()}
    roi = found["roi"] or found["id"]
    missing = [name for name in ("y_index", "x_index") if found[name] is None] + ([] if roi else ["roi"])
    if missing:
        raise FormatError(
            f"{path} has the columns {', '.join(columns)}, and none for {', '.join(missing)}",
            "name them roi, y_index, x_index in the first line; weight and accepted may follow",
        )
    keys = [key.strip() for key in columns[roi or ""]]
    rows: dict[str, list[int]] = {}
    for line, key in enumerate(keys):
        if not key:
            raise FormatError(f"{path}, line {line + 2}: no ROI is named", "name one on every line")
        rows.setdefault(key, []).append(line)
    members = [np.asarray(lines) for lines in rows.values()]
    yx = np.stack([_indices(columns, found[name] or "", path) for name in ("y_index", "x_index")], axis=1)
    weight, flag = found["weight"], found["accepted"]
    values = None if weight is None else _numbers(columns[weight], f"{path}: {weight}")
    flags = None if flag is None else _per_roi(_flags(columns[flag], path), members, rows, f"{path}: {flag}")
    return RoiTable(
        names=tuple(rows),
        ids=_ids(columns, found["id"], roi, rows, members, path),
        pixels=tuple(yx[lines] for lines in members),
        weights=None if values is None else tuple(values[lines] for lines in members),
        accepted=None if flags is None else tuple(bool(one) for one in flags),
        settled=True,
    )


def write_pixel_csv(table: RoiTable, path: str) -> tuple[str, ...]:
    """Write ``roi, [id], y_index, x_index, [weight], [accepted]``; columns in brackets where they say something.

    Returns
    -------
    tuple of str
        What the file does not keep: ROIs without pixels.

    Raises
    ------
    ArgumentError
        If a name is empty or has spaces around it, which would not read back.
    """
    table, gone = table.with_pixels()
    for name in table.names:
        if not name or name != name.strip():
            raise ArgumentError(f"a ROI is named {name!r}, which a CSV does not keep", "give it another name")
    numbered = table.names == tuple(map(str, table.ids))
    flagged = table.accepted is not None and not all(table.accepted)
    header = ["roi", *([] if numbered else ["id"]), "y_index", "x_index"]
    header += ["weight"] if table.weights is not None else []
    header += ["accepted"] if flagged else []
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for number, yx in enumerate(table.pixels):
            first = [table.names[number], *([] if numbered else [table.ids[number]])]
            last = [int(table.accepted[number])] if flagged and table.accepted is not None else []
            weights = [] if table.weights is None else [[repr(float(one))] for one in table.weights[number]]
            for entry, pixel in enumerate(yx.tolist()):
                writer.writerow([*first, *pixel, *(weights[entry] if weights else []), *last])
    return gone


def read_columns(path: str) -> dict[str, list[str]]:
    """Read a table with a header, separated by commas, semicolons or tabs: texts by column.

    Raises
    ------
    FormatError
        If it is no text, a column is there twice, or a line has another number of values than the header.
    """
    trouble = understanding(f"{path} cannot be read as text", "save it again as UTF-8")
    with trouble, Path(path).open(newline="", encoding="utf-8-sig") as file:
        first = file.readline()
        delimiter = max(DELIMITERS, key=first.count)
        header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise FormatError(f"{path} has two columns {twice!r}", "name each column once")
        lines: list[list[str]] = []
        reader = csv.reader(file, delimiter=delimiter)
        try:
            for line in reader:
                if line and len(line) != len(header):
                    raise FormatError(
                        f"{path}, line {reader.line_num + 1}: {len(line)} values, the first line names {len(header)}",
                        "the file may be cut short",
                    )
                if line:
                    lines.append(line)
        except csv.Error as error:
            raise FormatError(f"{path}, line {reader.line_num + 1}: {error}", "save it again") from error
    return {name: [line[place] for line in lines] for place, name in enumerate(header)}


def column_of(columns: dict[str, list[str]], names: Sequence[str]) -> str | None:
    """Return the column that one of the names fits, the best first; None if there is none."""
    known = {column.lower().replace(" ", "_").replace("-", "_"): column for column in columns}
    return next((known[name] for name in names if name in known), None)


def _ids(
    columns: dict[str, list[str]],
    column: str | None,
    roi: str | None,
    rows: dict[str, list[int]],
    members: list[NDArray[np.int64]],
    path: str,
) -> tuple[int, ...]:
    if column is not None and column != roi:
        values = whole_numbers(_numbers(columns[column], f"{path}: {column}"), f"{path}: {column}")
        return tuple(int(one) for one in _per_roi(values, members, rows, f"{path}: {column}"))
    if all(key.isdecimal() and key == str(int(key)) and len(key) < 19 for key in rows):
        return tuple(map(int, rows))
    return tuple(range(1, len(rows) + 1))


def _per_roi(
    values: NDArray[np.generic], members: list[NDArray[np.int64]], rows: dict[str, list[int]], what: str
) -> list[np.generic]:
    """Return the value of each ROI, the same on all of its lines."""
    for name, lines in zip(rows, members, strict=True):
        if (values[lines] != values[lines[0]]).any():
            raise FormatError(f"{what} differs within ROI {name!r}", "give one value per ROI")
    return [values[lines[0]] for lines in members]


def _indices(columns: dict[str, list[str]], name: str, path: str) -> NDArray[np.int64]:
    return whole_numbers(_numbers(columns[name], f"{path}: {name}"), f"{path}: {name}")


def _numbers(texts: list[str], what: str) -> NDArray[np.float64]:
    values = np.empty(len(texts))
    for line, text in enumerate(texts):
        try:
            values[line] = float(text)
        except ValueError:
            raise FormatError(
                f"{what}, line {line + 2}: {text!r} is no number", "give one on every line"
            ) from None
    return values


def _flags(texts: list[str], path: str) -> NDArray[np.bool_]:
    flags = [FLAGS.get(text.strip().lower()) for text in texts]
    if None in flags:
        line = flags.index(None)
        raise FormatError(
            f"{path}, line {line + 2}: {texts[line]!r} is no flag", "write 1 for cells, 0 for others"
        )
    return np.asarray(flags, dtype=np.bool_)
