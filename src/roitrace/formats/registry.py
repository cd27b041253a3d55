"""Which formats there are, and which one a file is: by its content first, by its name second.

Another package adds a format with an entry point that names a `RecordingFormat`, in the group ``roitrace.recordings``, or a
`RoiFormat`, in the group ``roitrace.rois``.
"""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from roitrace.errors import ArgumentError, FormatError, MissingDependencyError, OutputExistsError
from roitrace.formats.recordings.caiman import is_caiman
from roitrace.formats.recordings.format import OpenOptions, RecordingFormat
from roitrace.formats.recordings.series import files_of_pattern, join_recordings
from roitrace.formats.recordings.signatures import is_hdf5, is_npy, is_tiff, is_zarr
from roitrace.formats.recordings.suite2p import is_suite2p
from roitrace.formats.rois.format import RoiFormat, RoiOptions
from roitrace.formats.rois.signatures import is_imagej, is_label_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from roitrace.formats.rois.table import RoiTable
    from roitrace.sources import RecordingFile

__all__ = [
    "HEAD_BYTES",
    "open_recording_file",
    "read_roi_table",
    "recording_formats",
    "roi_formats",
    "write_roi_table",
]

HEAD_BYTES = 512
"""How much of a file a format sees to recognise it."""
RECORDING_GROUP = "roitrace.recordings"
ROI_GROUP = "roitrace.rois"
RECORDINGS = "roitrace.formats.recordings"
ROIS = "roitrace.formats.rois"

RECORDING_FORMATS = (
    RecordingFormat("zarr", (".zarr",), is_zarr, f"{RECORDINGS}.zarr_store:open_zarr"),
    RecordingFormat("tiff", (".tif", ".tiff", ".btf", ".tf8"), is_tiff, f"{RECORDINGS}.tiff:open_tiff"),
    RecordingFormat("hdf5", (".h5", ".hdf5", ".hdf", ".nwb", ".nc"), is_hdf5, f"{RECORDINGS}.hdf5:open_hdf5"),
    RecordingFormat("npy", (".npy",), is_npy, f"{RECORDINGS}.npy:open_npy"),
    RecordingFormat(
        "suite2p", (".bin",), is_suite2p, f"{RECORDINGS}.suite2p:open_suite2p", beside="ops.npy, or db.npy"
    ),
    RecordingFormat("caiman", (".mmap",), is_caiman, f"{RECORDINGS}.caiman:open_caiman"),
)
ROI_FORMATS = (
    RoiFormat(
        "imagej", (".zip", ".roi"), is_imagej, f"{ROIS}.imagej:read_imagej", f"{ROIS}.imagej:write_imagej"
    ),
    RoiFormat(
        "label image",
        (".tif", ".tiff", ".png", ".npy"),
        is_label_image,
        f"{ROIS}.images:read_images",
        f"{ROIS}.images:write_labels",
    ),
)

Format = TypeVar("Format", RecordingFormat, RoiFormat)


def recording_formats() -> tuple[RecordingFormat, ...]:
    """Return all recording formats: those of this package, then those of others.

    Raises
    ------
    MissingDependencyError
        If another package's format cannot be imported.
    FormatError
        If another package's entry point names something else.
    """
    return (*RECORDING_FORMATS, *_others(RECORDING_GROUP, RecordingFormat))


def roi_formats() -> tuple[RoiFormat, ...]:
    """Return all ROI formats, as `recording_formats` does."""
    return (*ROI_FORMATS, *_others(ROI_GROUP, RoiFormat))


def open_recording_file(
    path: str | Path | Sequence[str | Path],
    *,
    dataset: str | None = None,
    axes: str | None = None,
    continuous: bool = False,
    unfinished: bool = False,
) -> RecordingFile:
    """Understand a recording in any supported format. Reads metadata only.

    Parameters
    ----------
    path : path or sequence of paths
        A file or a zarr store; ``file.h5::/group/data`` or ``store.zarr::group/array`` names an array in it. Several files,
        in order of time, make one recording: a list, a pattern such as ``run1_*.tif``, or a folder of numbered files; the
        latter two are taken in natural order (2 before 10).
    dataset : str, optional
        The array in the file, if it is not named in `path`; name or number of the image for OME-TIFF.
    axes : str, optional
        One letter per stored axis, of t, c, z, y, x: for files that do not name their axes, or name them wrongly.
    continuous : bool
        Several files were recorded in one go: no session ends with a file.
    unfinished : bool
        Open the finished part of a store whose writing was interrupted.

    Returns
    -------
    RecordingFile
        Block sources by channel and plane, and what the file says. Its notes tell what was guessed.

    Raises
    ------
    ArgumentError
        If there is no such file, or the array is not named where it must be.
    FormatError
        If the file is of no known format, damaged, cut short, or no recording.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "movie.npy"
    >>> np.save(path, np.zeros((10, 4, 6), dtype="uint16"))
    >>> file = open_recording_file(path)
    >>> file.format, file.sources[0][0].shape
    ('npy', (10, 4, 6))
    """
    options = OpenOptions(dataset, axes, continuous=continuous, unfinished=unfinished)
    if not isinstance(path, str | Path):
        return _open_several([Path(one).expanduser() for one in path], options)
    place, _, inner = str(path).partition("::")
    if inner and dataset is not None:
        raise ArgumentError(f"{path} names the array {inner!r}, dataset= names {dataset!r}", "name it once")
    options = replace(options, dataset=inner or dataset)
    file = Path(place).expanduser()
    if file.is_file() or (
        file.is_dir() and _recognised(file, RECORDING_FORMATS, recording_formats) is not None
    ):
        return _open_one(file, options)
    suffixes = frozenset(suffix for known in recording_formats() for suffix in known.suffixes)
    return _open_several(files_of_pattern(file, suffixes), options)


def read_roi_table(path: str | Path, *, as_mask: bool = False) -> RoiTable:
    """Read ROIs in any supported format.

    Parameters
    ----------
    path : path
        An ImageJ `.roi` or `.zip`; a label image, mask or stack of masks in TIFF, PNG or `.npy`.
    as_mask : bool
        Take an image of numbers as one mask, not as labels.

    Raises
    ------
    ArgumentError
        If there is no such file.
    FormatError
        If the file is of no known format or damaged.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ArgumentError(f"there is no file {file}", "check the path")
    known = _recognised(file, ROI_FORMATS, roi_formats)
    if known is None:
        raise _unknown(file, roi_formats())
    return known.read(str(file), RoiOptions(as_mask=as_mask))


def write_roi_table(table: RoiTable, path: str | Path, *, overwrite: bool = False) -> tuple[str, ...]:
    """Write ROIs in the format that the suffix names. The file appears when it is complete.

    Returns
    -------
    tuple of str
        What the file does not keep.

    Raises
    ------
    ArgumentError
        If no format that is written has this suffix, or the ROIs do not fit it.
    OutputExistsError
        If the file is there and `overwrite` is False.
    """
    file = Path(path).expanduser()
    suffix = file.suffix.lower()
    known = next(
        (known for known in roi_formats() if suffix in known.suffixes and known.writer is not None), None
    )
    if known is None:
        written = " ".join(
            suffix for known in roi_formats() if known.writer is not None for suffix in known.suffixes
        )
        raise ArgumentError(
            f"ROIs cannot be written as {file.name!r}", f"choose one of the suffixes {written}"
        )
    if file.exists() and not overwrite:
        raise OutputExistsError(
            f"the file {file} exists already", "choose another name, or ask to overwrite it"
        )
    if not file.parent.is_dir():
        raise ArgumentError(f"there is no folder {file.parent}", "make it first")
    beside = file.with_name(f".{file.stem}.part{file.suffix}")
    try:
        lost = known.write(table, str(beside))
        os.replace(beside, file)  # noqa: PTH105  (replaces on Windows too)
    finally:
        beside.unlink(missing_ok=True)
    return lost


def _open_several(files: Sequence[Path], options: OpenOptions) -> RecordingFile:
    if not files:
        raise ArgumentError("the list of files is empty", "give at least one path")
    missing = [file for file in files if not file.exists()]
    if missing:
        raise ArgumentError(
            f"there is no file {missing[0]} ({len(missing)} of {len(files)} are missing)", "check the paths"
        )
    options = replace(options, in_series=len(files) > 1)
    first = _open_one(files[0], options)
    if set(map(str, files)) <= set(first.files):  # a set of files of which each names all
        return first
    return join_recordings(
        [first, *(_open_one(file, options) for file in files[1:])],
        [str(file) for file in files],
        continuous=options.continuous,
    )


def _open_one(file: Path, options: OpenOptions) -> RecordingFile:
    known = _recognised(file, RECORDING_FORMATS, recording_formats)
    if known is None:
        raise _unknown(file, recording_formats())
    recording = known.open(str(file), options)
    return recording if recording.files else replace(recording, files=(str(file),))


def _others(group: str, kind: type[Format]) -> tuple[Format, ...]:
    """Load the formats of other packages."""
    others = []
    for entry in entry_points(group=group):
        try:
            loaded = entry.load()
        except ImportError as error:
            raise MissingDependencyError(
                f"the format {entry.name!r} ({entry.value}) cannot be imported: {error}",
                "install its package again",
            ) from error
        if not isinstance(loaded, kind):
            raise FormatError(
                f"the entry point {entry.value!r} in {group} is a {type(loaded).__name__}, expected a {kind.__name__}"
            )
        others.append(loaded)
    return tuple(others)


def _recognised(
    file: Path, own: tuple[Format, ...], every: Callable[[], tuple[Format, ...]]
) -> Format | None:
    """Return the format that the content shows: this package's own first, those that the suffix names before others."""
    head = b""
    if file.is_file():
        with file.open("rb") as content:
            head = content.read(HEAD_BYTES)
    suffix = file.suffix.lower()
    for formats in (own, None):
        likely_first = sorted(formats or every(), key=lambda known: suffix not in known.suffixes)
        fitting = (known for known in likely_first if known.recognises(file, head))
        if (known := next(fitting, None)) is not None:
            return known
    return None


def _unknown(file: Path, formats: Sequence[RecordingFormat | RoiFormat]) -> FormatError:
    listing = ", ".join(f"{known.name} ({' '.join(known.suffixes)})" for known in formats)
    if file.is_dir():
        return FormatError(f"the folder {file} is of no known format", f"known formats are: {listing}")
    with file.open("rb") as content:
        head = content.read(8)
    if not head:
        return FormatError(f"{file} is empty: 0 bytes", "copy it again")
    named = next((known for known in formats if file.suffix.lower() in known.suffixes), None)
    if isinstance(named, RecordingFormat) and named.beside:
        return FormatError(
            f"{file} is named like {named.name}, which needs {named.beside} beside it",
            "bring the whole folder",
        )
    if named is not None:
        return FormatError(
            f"{file} is named like {named.name}, but begins with {head!r}, as no such file does",
            "check what kind of file it is, or copy it again",
        )
    return FormatError(f"{file} is of no known format", f"known formats are: {listing}")
