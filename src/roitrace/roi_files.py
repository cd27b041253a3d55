"""ROIs of other programs: read them from their files, write them for others."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.axis_order import judge_axis_order
from roitrace.decisions import decisions_path, with_decisions
from roitrace.errors import AlignmentError, ArgumentError, FormatError
from roitrace.formats.registry import read_roi_table, write_roi_table
from roitrace.formats.rois.format import RoiOptions
from roitrace.formats.rois.table import RoiTable
from roitrace.frame import Frame, frame_of
from roitrace.projection import project
from roitrace.results import is_results_store, load, save
from roitrace.rois import Rois
from roitrace.units import format_count
from roitrace.urls import is_url

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["read_rois", "roi_table", "write_rois"]

LOOKED_AT = 256
"""Frames that are read where only an image can tell rows from columns."""


def read_rois(
    path: str | Path,
    *,
    recording: xr.DataArray | ArrayLike | Frame | Rois | None = None,
    axis_order: str = "auto",
    plane: int | None = None,
    support: float = 0.2,
    as_mask: bool = False,
) -> Rois:
    """Read ROIs from a file of another program, or from a results store.

    The formats are those of the table in the README; a file is recognised by its content. ``file.nwb::name`` names one of several sets of
    ROIs in a file. What people decided in the table beside it, ``<path>.rois.csv`` with the columns ``roi, accepted, reason, note`` (segment and
    run write it), is applied: Python and the command line mean the same cells.

    Parameters
    ----------
    path : path
        A file, or a folder: suite2p's, Minian's, an OME-Zarr, a results store.
    recording : DataArray, array, Frame or Rois, optional
        What the ROIs were drawn on, or an image of it: gives them their frame. Needed where the file does not know how large the image
        was (ImageJ, CSV).
    axis_order : {"auto", "yx", "xy"}
        Which index the file has first. ``"auto"``: as its format prescribes, unless only the other order fits the frame; where both fit,
        the image that is given, or the mean of the first 256 frames of the recording, is asked whether the ROIs are brighter than their
        surround (see `roitrace.axis_order.judge_axis_order`).
    plane : int, optional
        Which plane, where the file holds ROIs of several.
    support : float
        Footprints with tails (CaImAn, CNMF-E, EXTRACT, Minian) end where they fall below this part of their maximum, from 0 (keep all) to 1.
    as_mask : bool
        Take an image of numbers as one mask, whatever the numbers: one ROI of all pixels above 0.

    Returns
    -------
    Rois
        With the names and ids of the file. ROIs that the file calls no cells are kept with ``accepted`` False. Pixels off the frame are
        left out and counted in `n_outside`. The attributes ``axis_order`` and ``axis_order_reason`` say which order was taken, and why.

    Warns
    -----
    UserWarning
        If rows and columns were exchanged, if pixels lie off the frame (ImageJ's selections may), and of what else the file leaves open.

    Raises
    ------
    FormatError
        If the file, or the table of decisions beside it, cannot be understood, or that is about other ROIs.
    AlignmentError
        If the ROIs are of another frame than the recording.
    ArgumentError
        If there is no such file, or the frame is needed and not given.
    MissingDependencyError
        If the format needs a package that is not installed.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels.npy"
    >>> np.save(path, np.array([[0, 5], [5, 0]]))
    >>> rois = read_rois(path)
    >>> rois.names, rois.attrs["axis_order"]
    (('5',), 'yx')
    """
    if not 0 <= support <= 1:
        raise ArgumentError(f"support={support}, expected a part of the maximum, 0 to 1")
    frame = _frame(recording)
    if is_results_store(path):
        return with_decisions(_from_results(path, frame), path)
    file = Path(path)
    table = read_roi_table(path, RoiOptions(as_mask=as_mask, plane=plane, support=support))
    judgement = judge_axis_order(
        table, axis_order, None if frame is None else frame.shape, lambda: _looks(recording)
    )
    table = judgement.table
    rois = _placed(table, frame, file)
    said = list(table.notes)
    if judgement.unexpected:
        said.append(
            f"rows and columns were exchanged: {judgement.reason}; say axis_order= to decide it yourself"
        )
    n_outside = int(rois.n_outside.sum())
    if n_outside and not table.may_leave_frame:
        affected = format_count(int(np.count_nonzero(rois.n_outside)), "ROI")
        said.append(f"{format_count(n_outside, 'pixel')} of {affected} lie off the frame and are left out")
    for one in said:
        warnings.warn(f"{file.name}: {one}", UserWarning, stacklevel=2)
    attrs = {
        "source": file.name,
        "axis_order": table.axis_order,
        "axis_order_reason": judgement.reason,
    }
    rois = replace(rois, attrs=attrs | ({"notes": "; ".join(said)} if said else {}))
    return with_decisions(rois, path)


def write_rois(rois: Rois, path: str | Path, *, format: str | None = None, overwrite: bool = False) -> None:
    """Write ROIs for other programs: they read back to the same pixels.

    Parameters
    ----------
    rois : Rois
        What to write.
    path : path
        The suffix names the format: `.zip` for ImageJ's ROI Manager (`.roi` for one ROI), `.tif`, `.png` or `.npy` for a label image
        whose values are the ids, `.zarr` for a results store, and others as in the table of the README.
    format : str, optional
        Name of the format, where the suffix does not say it: ``"suite2p"`` for a folder.
    overwrite : bool
        Replace what is there.

    Warns
    -----
    UserWarning
        Once, of what the file does not keep: weights, rejections, names or ids, pixels that overlap. Also if a table of decisions
        lies beside it, which is obeyed when it is read.

    Raises
    ------
    ArgumentError
        If the suffix or format is not known, or there is nothing that the format can hold (ImageJ: no ROI with pixels).
    OutputExistsError
        If something is there and `overwrite` is False.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "RoiSet.zip"
    >>> rois = Rois.from_labels(np.array([[1, 1, 0], [1, 0, 2]]))
    >>> write_rois(rois, path)
    >>> read_rois(path, recording=rois).equals(rois)
    True
    """
    lost: tuple[str, ...] = ()
    if is_url(path) and not _is_results_path(Path(path), format):
        raise ArgumentError(
            f"{path} is in a bucket: only results stores are written there, with names that end in .zarr",
            "write the file to disk, and copy it with the tools of your provider",
        )
    if _is_results_path(Path(path), format):
        save({"rois": rois}, path, overwrite=overwrite)
    else:
        lost = write_roi_table(roi_table(rois), path, format=format, overwrite=overwrite)
        if any(rois.reasons):
            lost = (*lost, "why ROIs were accepted or rejected")
    if lost:
        warnings.warn(f"{Path(path).name} does not keep: {', '.join(lost)}", UserWarning, stacklevel=2)
    table = decisions_path(path)
    if table.exists():
        warnings.warn(
            f"{table} is from before and still decides which of these ROIs are accepted: edit it, or move it away",
            UserWarning,
            stacklevel=2,
        )


def roi_table(rois: Rois) -> RoiTable:
    """Return ROIs as the plain table that formats write.

    Examples
    --------
    >>> import numpy as np
    >>> roi_table(Rois.from_labels(np.array([[0, 5]]))).pixels[0].tolist()
    [[0, 1]]
    """
    width = rois.frame.shape[1]
    rows = [rois.row(number) for number in range(len(rois))]
    return RoiTable(
        names=rois.names,
        ids=tuple(rois.ids.tolist()),
        pixels=tuple(np.stack(np.divmod(row, width), axis=1) for row in rows),
        shape=rois.frame.shape,
        weights=None
        if rois.weights is None
        else tuple(rois.row_weights(number) for number in range(len(rois))),
        accepted=tuple(rois.accepted.tolist()),
    )


def _is_results_path(path: Path, format: str | None) -> bool:
    """Whether ROIs go into a results store: a `.zarr` that is not called OME-Zarr."""
    name = path.name.lower()
    return format == "roitrace" or (
        format is None and name.endswith(".zarr") and not name.endswith(".ome.zarr")
    )


def _from_results(path: str | Path, frame: Frame | None) -> Rois:
    tree = load(path)
    if "rois" not in tree.children:
        raise ArgumentError(f"{path} holds no ROIs", "give the store that segment, or a job, wrote")
    rois = Rois.from_dataset(tree["rois"].to_dataset().load())
    return rois if frame is None else rois.within(frame)


def _placed(table: RoiTable, frame: Frame | None, file: Path) -> Rois:
    """Put ROIs on their frame."""
    if frame is None and table.shape is None:
        raise ArgumentError(
            f"{file} does not say how large the image was that its ROIs were drawn on",
            "give recording=, the recording or an image of it",
        )
    if frame is not None and table.shape is not None and frame.shape != table.shape:
        raise AlignmentError(
            f"{file} is {table.shape[0]} x {table.shape[1]}, the recording {frame.shape[0]} x {frame.shape[1]}",
            "give ROIs and recording of the same frame",
        )
    try:
        rois = Rois.from_pixels(
            table.pixels,
            frame=frame if frame is not None else Frame(table.shape),  # type: ignore[arg-type]
            weights=table.weights,
            names=table.names,
            ids=table.ids,
            accepted=table.accepted,
            off_frame="drop",
        )
    except ArgumentError as problem:
        raise FormatError(f"{file}: {problem.problem}", problem.next_step) from problem
    if rois.n_outside.any() and not rois.pixels.size and not table.may_leave_frame:
        raise AlignmentError(
            f"no pixel of the ROIs in {file} lies on the frame of {rois.shape[0]} x {rois.shape[1]}",
            "give the recording that they were drawn on",
        )
    return rois


def _frame(recording: xr.DataArray | ArrayLike | Frame | Rois | None) -> Frame | None:
    if recording is None or isinstance(recording, Frame):
        return recording
    return recording.frame if isinstance(recording, Rois) else frame_of(recording)


def _looks(recording: xr.DataArray | ArrayLike | Frame | Rois | None) -> NDArray[np.float64] | None:
    """Return an image of what the ROIs were drawn on; None where there is none to be had."""
    if recording is None or isinstance(recording, Frame | Rois):
        return None
    if isinstance(recording, xr.DataArray) and recording.dims == ("time", "y", "x"):
        first = recording.isel(time=slice(LOOKED_AT))
        return np.asarray(project(first, "mean")["mean"].compute().values, dtype=np.float64)
    values = np.asarray(recording) if np.ndim(recording) == 2 else None
    return values.astype(np.float64) if values is not None and values.dtype.kind in "iufb" else None
