"""Read shifts: suite2p's ops, CaImAn's arrays, CSV."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import FormatError
from roitrace.formats.bounded import read_bounded
from roitrace.formats.damage import understanding
from roitrace.formats.npz_member import read_member
from roitrace.formats.objects import read_mapping, read_objects
from roitrace.formats.shifts.table import ShiftTable, numbers, table_of_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["read_csv_columns", "read_shift_table"]

ARRAY_NAMES = ("shifts_rig", "shifts", "rigid_shifts")
SUITE2P_FILES = ("reg_outputs.npy", "ops.npy")


def read_shift_table(path: str | Path) -> ShiftTable:
    """Read shifts from a file, by its suffix and content.

    Parameters
    ----------
    path : path
        suite2p's ``ops.npy`` or ``reg_outputs.npy``, or the folder that holds them; an array ``(frames, 2)`` of ``(dy, dx)`` in npy, npz
        or HDF5; CSV with the columns ``frame, dy, dx``.

    Raises
    ------
    FormatError
        If it holds no shifts, or not one per frame.
    """
    place = Path(path)
    if place.is_dir():
        found = [place / name for name in SUITE2P_FILES if (place / name).is_file()]
        if not found:
            raise FormatError(
                f"the folder {place} holds neither {' nor '.join(SUITE2P_FILES)}",
                "give suite2p's plane folder, or a file of shifts",
            )
        place = found[0]
    if not place.is_file():
        raise FormatError(f"{place} does not exist", "check the path")
    readers = {".npy": _from_npy, ".npz": _from_npz, ".csv": _from_csv, ".txt": _from_csv}
    readers |= dict.fromkeys((".h5", ".hdf5"), _from_hdf5)
    reader = readers.get(place.suffix.lower())
    if reader is None:
        raise FormatError(
            f"{place} is no file of shifts that is known here",
            f"give one of {', '.join(readers)}, or suite2p's plane folder",
        )
    with understanding(f"{place} cannot be read as shifts"):
        return reader(place)


def _from_npy(path: Path) -> ShiftTable:
    array = read_objects(path)
    if array.dtype == object and array.shape == ():
        return _from_suite2p(read_mapping(path), str(path))
    return table_of_pairs(array, str(path))


def _from_suite2p(ops: Mapping[str, Any], what: str) -> ShiftTable:
    """Turn suite2p's offsets round: it rolls frames by ``(-yoff, -xoff)`` (`suite2p.registration.rigid.shift_frame`)."""
    missing = [name for name in ("yoff", "xoff") if name not in ops]
    if missing:
        raise FormatError(
            f"{what} holds no {' and no '.join(missing)}",
            "give the ops.npy (or reg_outputs.npy) that suite2p wrote after registration",
        )
    dy, dx = (-numbers(ops[name], f"{name} of {what}") for name in ("yoff", "xoff"))
    _same_length(dy, dx, what)
    bad = ops.get("badframes")
    if bad is not None:
        bad = np.asarray(bad)
        if bad.shape != dy.shape or bad.dtype.kind not in "biu":
            raise FormatError(
                f"badframes of {what} has shape {bad.shape}, expected {dy.shape}: one for each frame",
                "check the file",
            )
        bad = bad.astype(np.bool_)
    notes: tuple[str, ...] = ()
    if np.any(np.asarray(ops.get("yoff1", 0.0)) != 0):
        notes = ("suite2p moved blocks of the frame besides; only its rigid shifts are applied here",)
    return ShiftTable(dy, dx, bad, _span(ops, "yrange", what), _span(ops, "xrange", what), notes)


def _span(ops: Mapping[str, Any], name: str, what: str) -> tuple[int, int] | None:
    if ops.get(name) is None:
        return None
    span = np.asarray(ops[name])
    if span.shape != (2,) or span.dtype.kind not in "iuf" or not 0 <= span[0] < span[1]:
        raise FormatError(
            f"{name} of {what} is {span.tolist()}, expected first and last row or column", "check the file"
        )
    return int(span[0]), int(span[1])


def _from_npz(path: Path) -> ShiftTable:
    with (
        understanding(f"{path} cannot be read as a NumPy archive"),
        zipfile.ZipFile(path) as archive,
    ):
        names = {info.filename.removesuffix(".npy"): info.filename for info in archive.infolist()}
        wanted = set(names) & {*ARRAY_NAMES, "dy", "dx"} or set(names)
        if len(wanted) > len(ARRAY_NAMES) + 2:
            wanted = set()
        return _from_arrays(
            {name: read_member(archive, names[name], str(path)) for name in wanted}, str(path)
        )


def _from_hdf5(path: Path) -> ShiftTable:
    import h5py  # noqa: PLC0415 - loads slowly

    from roitrace.formats.hdf5_file import open_hdf5_file  # noqa: PLC0415

    arrays: dict[str, NDArray[Any]] = {}

    def visit(name: str, node: Any) -> None:
        short = name.rsplit("/", 1)[-1]
        if isinstance(node, h5py.Dataset) and short in {*ARRAY_NAMES, "dy", "dx"}:
            arrays[short] = read_bounded(node, f"{path}: {name}")

    with understanding(f"{path} cannot be read as HDF5"), open_hdf5_file(path) as file:
        file.visititems(visit)
    return _from_arrays(arrays, str(path))


def _from_arrays(arrays: Mapping[str, NDArray[Any]], what: str) -> ShiftTable:
    """Take CaImAn's ``shifts_rig``: the pixels down and to the right by which it moves each frame (`apply_shift_iteration`)."""
    if {"dy", "dx"} <= set(arrays):
        dy, dx = (numbers(arrays[name], f"{name} of {what}") for name in ("dy", "dx"))
        _same_length(dy, dx, what)
        return ShiftTable(dy, dx)
    for name in ARRAY_NAMES:
        if name in arrays:
            return table_of_pairs(arrays[name], f"{name} of {what}")
    if len(arrays) == 1:
        name, array = next(iter(arrays.items()))
        return table_of_pairs(array, f"{name} of {what}")
    raise FormatError(
        f"{what} holds {', '.join(sorted(arrays)) or 'no array of shifts'}, expected {', '.join(ARRAY_NAMES)}, or dy and dx",
        "save the shifts as one array (frames, 2) of (dy, dx)",
    )


def _from_csv(path: Path) -> ShiftTable:
    columns = read_csv_columns(path, ("frame", "dy", "dx"))
    frames, dy, dx = (columns[name] for name in ("frame", "dy", "dx"))
    order = np.argsort(frames, kind="stable")
    expected = np.arange(frames.size)
    wrong = np.flatnonzero(frames[order] != expected)
    if wrong.size:
        raise FormatError(
            f"{path} has {frames.size} rows, and where frame {expected[wrong[0]]} should be there is {frames[order][wrong[0]]:g}",
            "give one row for each frame, counted from 0",
        )
    return ShiftTable(numbers(dy[order], f"dy of {path}"), numbers(dx[order], f"dx of {path}"))


def read_csv_columns(path: Path, names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Read columns of numbers from a CSV file with a header.

    Raises
    ------
    FormatError
        If a column is missing or a value is no number.
    """
    with understanding(f"{path} cannot be read as CSV"), path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        header = [str(name).strip() for name in reader.fieldnames or ()]
        missing = [name for name in names if name not in header]
        if missing:
            raise FormatError(
                f"{path} has the columns {', '.join(header) or 'none'}, and no {', '.join(missing)}",
                f"the first line should be {','.join(names)}",
            )
        reader.fieldnames = header
        rows = [[_number(row[name], name, reader.line_num, path) for name in names] for row in reader]
    table = np.array(rows, dtype=np.float64).reshape(-1, len(names))
    return {name: table[:, number] for number, name in enumerate(names)}


def _number(text: str | None, name: str, line: int, path: Path) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise FormatError(
            f"{path}, line {line}: {name} is {text!r}, expected a number", "check the file"
        ) from None


def _same_length(dy: NDArray[Any], dx: NDArray[Any], what: str) -> None:
    if dy.shape != dx.shape:
        raise FormatError(f"{what} holds {dy.size} shifts along y and {dx.size} along x", "check the file")
