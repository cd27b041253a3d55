"""Shifts that a registration found: read them, and move the frames of a recording by them while it is read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.corrected.shifted import Shifted
from roitrace.engine.blocks import corrected, source_of
from roitrace.errors import ArgumentError
from roitrace.formats.shifts.reading import read_shift_table
from roitrace.formats.shifts.table import table_of_pairs
from roitrace.recording import blocks_of, check_recording
from roitrace.sources import BlockSource, Window

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["of_part", "read_shifts", "shift", "whole_file"]

_PIXELS = {"units": "pixel"}


def read_shifts(path: str | Path) -> xr.Dataset:
    r"""Read how each frame of a recording is to be moved, as another program found out. Eager; small.

    Parameters
    ----------
    path : path
        - suite2p: ``ops.npy`` or ``reg_outputs.npy`` (read without running anything in it), or the plane folder that holds it. suite2p rolls
          each frame by ``(-yoff, -xoff)``, so ``dy = -yoff`` and ``dx = -xoff``; ``badframes``, ``yrange`` and ``xrange`` come along.
        - CaImAn: ``mc.shifts_rig`` as npy, npz or HDF5: an array ``(frames, 2)`` of ``(dy, dx)``, the pixels by which CaImAn moves the content.
        - CSV with the columns ``frame, dy, dx``, one row per frame, counted from 0.

    Returns
    -------
    Dataset
        ``dy`` and ``dx`` ``(time,)``, float64, in pixels: how far down and to the right the content of each frame is to be moved, as
        `scipy.ndimage.shift` takes it. ``bad_frame (time,)`` where the file has it; the attributes ``valid_y``, ``valid_x`` (first row or column
        covered in all trusted frames, and the one after the last) and ``notes`` likewise.

    Raises
    ------
    FormatError
        If the file holds no rigid shifts, or not one per frame. Nothing in it is run.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "shifts.csv"
    >>> _ = path.write_text("\n".join(["frame,dy,dx", "0,0,0", "1,-1,2"]))
    >>> read_shifts(path)["dx"].values.tolist()
    [0.0, 2.0]
    """
    table = read_shift_table(path)
    variables: dict[str, Any] = {
        "dy": ("time", table.dy, {"long_name": "shift down", **_PIXELS}),
        "dx": ("time", table.dx, {"long_name": "shift to the right", **_PIXELS}),
    }
    if table.bad_frames is not None:
        variables["bad_frame"] = ("time", table.bad_frames, {"long_name": "frame that is not trusted"})
    attrs: dict[str, Any] = {"notes": "; ".join(table.notes)} if table.notes else {}
    for name in ("valid_y", "valid_x"):
        if getattr(table, name) is not None:
            attrs[name] = list(getattr(table, name))
    return xr.Dataset(variables, attrs=attrs)


def shift(recording: xr.DataArray, shifts: xr.Dataset | ArrayLike | str | Path) -> xr.DataArray:
    """Move every frame of a recording by whole pixels while it is read, lazily.

    roitrace does not register: it applies what a registration found. Sample ``(t, y, x)`` of the result is ``(t, y - dy[t], x - dx[t])`` of the
    recording; where that lies off the frame, the sample is NaN, and `extract` goes by the coverage of each ROI. Nothing is interpolated, so that all
    statistics stay as exact as before: samples become float32 where that holds them exactly, else float64.

    What comes after reads as before: each chunk once for all that a call asks for; a task keeps a strip of its neighbours too, which the plan counts.
    Of a recording that was opened in part, pixels that move in from outside of the part are there.

    Parameters
    ----------
    recording : DataArray
        Dims ``(time, y, x)``; see `open_recording`.
    shifts : Dataset, path or array_like
        From `read_shifts`, what it reads, or an array ``(time, 2)`` of ``(dy, dx)``; for each frame of the recording, or of the file that it is a part
        of. Fractions are rounded to whole pixels, halves to even ones.

    Returns
    -------
    DataArray
        Lazy, with the coordinates ``dy`` and ``dx`` ``(time,)``: the whole pixels, which traces keep.

    Raises
    ------
    ArgumentError
        If there is not one shift per frame, or one is larger than the frame.
    FormatError
        If the array or file holds no rigid shifts.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> movie = xr.DataArray(np.arange(12).reshape(2, 2, 3).astype("uint16"), dims=("time", "y", "x"))
    >>> shift(movie, [(0, 0), (0, 1)]).compute().values[1].tolist()
    [[nan, 6.0, 7.0], [nan, 9.0, 10.0]]
    """
    check_recording(recording)
    blocks = blocks_of(recording)
    moves = of_part(_whole_pixels(shifts, recording), source_of(blocks), recording.sizes["time"], "shifts")
    moved = recording.copy(data=corrected(blocks, partial(_moved, moves=moves)))
    coords = {
        name: ("time", values, {"long_name": f"shift {where}", **_PIXELS})
        for name, values, where in zip(("dy", "dx"), moves, ("down", "to the right"), strict=True)
    }
    return moved.assign_coords(coords)


def of_part(values: NDArray[Any], source: BlockSource | None, count: int, what: str) -> NDArray[Any]:
    """Return those of `values` ``(..., time)`` that belong to the frames of a recording; they may be those of the whole file.

    Raises
    ------
    ArgumentError
        If there are as many as neither has.
    """
    total, first = count, 0
    if source is not None:
        whole, start = whole_file(source)
        total, first = whole.shape[0], start[0]
    if values.shape[-1] not in {count, total}:
        raise ArgumentError(
            f"there are {values.shape[-1]} {what}, and the recording has {count} frames"
            + (f" of the {total} of its file" if total != count else ""),
            "give one for each frame",
        )
    return values if values.shape[-1] == count else values[..., first : first + count]


def whole_file(source: BlockSource) -> tuple[BlockSource, tuple[int, int, int]]:
    """Return what a source is a part of, and where the part begins."""
    return (source.source, source.start) if isinstance(source, Window) else (source, (0, 0, 0))


def _moved(source: BlockSource, *, moves: NDArray[np.int64]) -> BlockSource:
    """Move the frames of a source; of a part, those of the whole that it is a part of."""
    whole, start = whole_file(source)
    padded = np.zeros((2, whole.shape[0]), np.int64)
    padded[:, start[0] : start[0] + source.shape[0]] = moves
    moved = Shifted(whole, padded[0], padded[1])
    return moved if whole is source else Window(moved, start, source.shape)


def _whole_pixels(shifts: Any, recording: xr.DataArray) -> NDArray[np.int64]:
    if isinstance(shifts, str | Path):
        shifts = read_shifts(shifts)
    if isinstance(shifts, xr.Dataset):
        missing = [name for name in ("dy", "dx") if name not in shifts]
        if missing:
            raise ArgumentError(
                f"the shifts hold {', '.join(map(str, shifts)) or 'nothing'}, and no {', '.join(missing)}",
                "give what roitrace.read_shifts returns",
            )
        shifts = np.stack([shifts["dy"].values, shifts["dx"].values], axis=-1)
    table = table_of_pairs(shifts, "the array of shifts")
    moves = []
    for name, values, axis in (("dy", table.dy, "y"), ("dx", table.dx, "x")):
        largest = int(np.argmax(np.abs(values)))
        if abs(values[largest]) >= recording.sizes[axis]:
            raise ArgumentError(
                f"{name} of frame {largest} is {values[largest]:g} pixels, and the frame has {recording.sizes[axis]}",
                "check the order, (dy, dx), and the unit: pixels",
            )
        moves.append(np.rint(values).astype(np.int64))
    return np.stack(moves)
