"""ROIs of other programs: read them from their files, write them for others."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from roitrace.errors import AlignmentError, ArgumentError
from roitrace.formats.registry import read_roi_table, write_roi_table
from roitrace.formats.rois.table import RoiTable
from roitrace.frame import Frame, frame_of
from roitrace.rois import Rois

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike

__all__ = ["read_rois", "write_rois"]


def read_rois(
    path: str | Path,
    *,
    recording: xr.DataArray | ArrayLike | Frame | Rois | None = None,
    as_mask: bool = False,
) -> Rois:
    """Read ROIs from a file of another program.

    Parameters
    ----------
    path : path
        ImageJ `.roi` or `RoiSet.zip` (pixels as in ImageJ's own masks); a label image ``(y, x)``, a mask or a stack of masks
        ``(roi, y, x)`` in TIFF, PNG or `.npy`. Recognised by content.
    recording : DataArray, array, Frame or Rois, optional
        What the ROIs were drawn on, or an image of it: gives them their frame. ImageJ files need it, since they do not know how
        large the image was.
    as_mask : bool
        Take an image of numbers as one mask, whatever the numbers: one ROI of all pixels above 0.

    Returns
    -------
    Rois
        With the names of the file; ids are the labels, or count from 1. Pixels off the frame are left out and counted in `n_outside`.

    Raises
    ------
    FormatError
        If the file cannot be understood.
    AlignmentError
        If an image is not as large as the recording.
    ArgumentError
        If there is no such file, or the frame is needed and not given.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels.npy"
    >>> np.save(path, np.array([[0, 5], [5, 0]]))
    >>> read_rois(path).names
    ('5',)
    """
    table = read_roi_table(path, as_mask=as_mask)
    frame = _frame(recording)
    if frame is None and table.shape is None:
        raise ArgumentError(
            f"{path} does not say how large the image was that its ROIs were drawn on",
            "give recording=, the recording or an image of it",
        )
    if frame is not None and table.shape is not None and frame.shape != table.shape:
        raise AlignmentError(
            f"{path} is {table.shape[0]} x {table.shape[1]}, the recording {frame.shape[0]} x {frame.shape[1]}",
            "give ROIs and recording of the same frame",
        )
    rois = Rois.from_pixels(
        table.pixels,
        frame=frame if frame is not None else Frame(table.shape),  # type: ignore[arg-type]
        weights=table.weights,
        names=table.names,
        ids=table.ids,
        accepted=table.accepted,
        off_frame="drop",
    )
    return replace(
        rois, attrs={"source": Path(path).name, **({"notes": "; ".join(table.notes)} if table.notes else {})}
    )


def write_rois(rois: Rois, path: str | Path, *, overwrite: bool = False) -> None:
    """Write ROIs for other programs: they read back to the same pixels.

    Parameters
    ----------
    rois : Rois
        What to write.
    path : path
        `.zip` for ImageJ's ROI Manager (`.roi` for one ROI): overlaps, holes and separate parts are kept. `.tif`, `.png` or `.npy` for a
        label image, whose values are the ids.
    overwrite : bool
        Replace a file that is there.

    Warns
    -----
    UserWarning
        Once, of what the file does not keep: weights, rejections, names or ids.

    Raises
    ------
    ArgumentError
        If the suffix is not known, a label image is asked for and ROIs overlap, or ImageJ's format and a ROI has no pixels.
    OutputExistsError
        If the file is there and `overwrite` is False.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "RoiSet.zip"
    >>> rois = Rois.from_labels(np.array([[1, 1, 0], [1, 0, 2]]))
    >>> write_rois(rois, path)
    >>> read_rois(path, recording=rois).equals(rois)
    True
    """
    width = rois.frame.shape[1]
    rows = [rois.row(number) for number in range(len(rois))]
    table = RoiTable(
        names=rois.names,
        ids=tuple(rois.ids.tolist()),
        pixels=tuple(np.stack(np.divmod(row, width), axis=1) for row in rows),
        shape=rois.frame.shape,
        weights=None
        if rois.weights is None
        else tuple(rois.row_weights(number) for number in range(len(rois))),
        accepted=tuple(rois.accepted.tolist()),
    )
    lost = write_roi_table(table, path, overwrite=overwrite)
    if lost:
        warnings.warn(f"{Path(path).name} does not keep: {', '.join(lost)}", UserWarning, stacklevel=2)


def _frame(recording: xr.DataArray | ArrayLike | Frame | Rois | None) -> Frame | None:
    if recording is None or isinstance(recording, Frame):
        return recording
    return recording.frame if isinstance(recording, Rois) else frame_of(recording)
