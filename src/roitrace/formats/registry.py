"""Which formats there are, and which one a file is: by its content first, by its name second.

Another package adds a format with an entry point that names a `RecordingFormat`, in the group ``roitrace.recordings``, or a
`RoiFormat`, in the group ``roitrace.rois``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from roitrace.errors import ArgumentError, FormatError, MissingDependencyError, OutputExistsError
from roitrace.formats.damage import understanding
from roitrace.formats.recordings.at_url import check_zarr_at_url
from roitrace.formats.recordings.claims import check_frame
from roitrace.formats.recordings.format import OpenOptions, RecordingFormat
from roitrace.formats.recordings.known import RECORDING_FORMATS
from roitrace.formats.recordings.series import files_of_pattern, join_recordings
from roitrace.formats.rois.format import RoiFormat, RoiOptions
from roitrace.formats.rois.signatures import (
    is_cellpose,
    is_csv,
    is_factorized,
    is_imagej,
    is_json,
    is_label_image,
    is_matlab,
    is_minian,
    is_napari_shapes,
    is_npz,
    is_nwb_rois,
    is_ome_label_image,
    is_ome_labels,
    is_sima,
    is_suite2p_rois,
)
from roitrace.store.places import ObjectPath, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from roitrace.formats.rois.table import RoiTable
    from roitrace.sources import RecordingFile
    from roitrace.store.places import Location

__all__ = [
    "HEAD_BYTES",
    "formats_of_others",
    "open_recording_file",
    "read_roi_table",
    "recording_formats",
    "roi_formats",
    "write_roi_table",
    "written_format",
]

HEAD_BYTES = 512
"""How much of a file a format sees to recognise it."""
RECORDING_GROUP = "roitrace.recordings"
ROI_GROUP = "roitrace.rois"
ROIS = "roitrace.formats.rois"
NO_OPTIONS = RoiOptions()

ROI_FORMATS = (
    RoiFormat(
        "imagej", (".zip", ".roi"), is_imagej, f"{ROIS}.imagej:read_imagej", f"{ROIS}.imagej:write_imagej"
    ),
    RoiFormat(
        "suite2p",
        ("stat.npy",),
        is_suite2p_rois,
        f"{ROIS}.suite2p:read_suite2p",
        f"{ROIS}.suite2p:write_suite2p",
        main_file="stat.npy",
    ),
    RoiFormat("cellpose", ("_seg.npy",), is_cellpose, f"{ROIS}.cellpose:read_cellpose"),
    RoiFormat("nwb", (".nwb",), is_nwb_rois, f"{ROIS}.nwb:read_nwb", f"{ROIS}.nwb:write_nwb"),
    RoiFormat(
        "neurofinder",
        (".json",),
        is_json,
        f"{ROIS}.neurofinder:read_neurofinder",
        f"{ROIS}.neurofinder:write_neurofinder",
    ),
    RoiFormat("napari shapes", (".csv",), is_napari_shapes, f"{ROIS}.napari_shapes:read_napari_shapes"),
    RoiFormat(
        "csv",
        (".csv", ".tsv", ".txt"),
        is_csv,
        f"{ROIS}.pixel_csv:read_pixel_csv",
        f"{ROIS}.pixel_csv:write_pixel_csv",
    ),
    RoiFormat(
        "ome-zarr",
        (".ome.zarr",),
        is_ome_labels,
        f"{ROIS}.ome_labels:read_ome_labels",
        f"{ROIS}.ome_labels:write_ome_labels",
        is_own=is_ome_label_image,
    ),
    RoiFormat("minian", (".zarr",), is_minian, f"{ROIS}.minian:read_minian"),
    RoiFormat("sima", (".pkl", ".sima"), is_sima, f"{ROIS}.sima:read_sima"),
    RoiFormat(
        "caiman, cnmf-e, extract",
        (".hdf5", ".h5", ".mat"),
        is_factorized,
        f"{ROIS}.factorized:read_factorized",
    ),
    RoiFormat("matlab", (".mat",), is_matlab, f"{ROIS}.matlab:read_matlab"),
    RoiFormat("npz", (".npz",), is_npz, f"{ROIS}.images:read_images"),
    RoiFormat(
        "labels",
        (".tif", ".tiff", ".png", ".npy"),
        is_label_image,
        f"{ROIS}.images:read_images",
        f"{ROIS}.images:write_labels",
    ),
)

Format = TypeVar("Format")
Known = TypeVar("Known", RecordingFormat, RoiFormat)


def recording_formats() -> tuple[RecordingFormat, ...]:
    """Return all recording formats: those of this package, then those of others.

    Raises
    ------
    MissingDependencyError
        If another package's format cannot be imported.
    FormatError
        If another package's entry point names something else.
    """
    return (*RECORDING_FORMATS, *formats_of_others(RECORDING_GROUP, RecordingFormat))


def roi_formats() -> tuple[RoiFormat, ...]:
    """Return all ROI formats, as `recording_formats` does."""
    return (*ROI_FORMATS, *formats_of_others(ROI_GROUP, RoiFormat))


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
        A file, a zarr store, or the URL of one; ``file.h5::/group/data`` or ``store.zarr::group/array`` names an array in it. Several files,
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
        If there is no such file, what is given is no path, or the array is not named where it must be.
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
    if not isinstance(path, str | os.PathLike):
        return _open_several(_places(path), options)
    place, _, inner = str(path).partition("::")
    if inner and dataset is not None:
        raise ArgumentError(f"{path} names the array {inner!r}, dataset= names {dataset!r}", "name it once")
    options = replace(options, dataset=inner or dataset)
    file = _place(place)
    if isinstance(file, ObjectPath):
        return _open_one(file, options)
    if file.is_file() or (
        file.is_dir() and _recognised(file, RECORDING_FORMATS, recording_formats) is not None
    ):
        return _open_one(file, options)
    if file.is_dir():
        _refuse_rois(file)
    suffixes = frozenset(suffix for known in recording_formats() for suffix in known.suffixes)
    return _open_several(files_of_pattern(file, suffixes), options)


def read_roi_table(path: str | Path, options: RoiOptions = NO_OPTIONS) -> RoiTable:
    """Read ROIs in any supported format.

    Parameters
    ----------
    path : path
        A file or folder; ``file.nwb::name`` names one of several sets of ROIs in it.
    options : RoiOptions
        What the user says about it.

    Raises
    ------
    ArgumentError
        If there is no such file.
    FormatError
        If the file is of no known format or damaged.
    MissingDependencyError
        If it needs a package that is not installed.
    """
    place, _, name = str(path).partition("::")
    found = _place(place)
    if isinstance(found, ObjectPath):
        raise ArgumentError(
            f"ROIs are not read from a URL: {found}",
            "copy the file here, and give the copy; or give results at a URL",
        )
    file = found
    if not file.exists():
        raise ArgumentError(f"there is no file {file}", "check the path")
    known = _recognised(file, ROI_FORMATS, roi_formats)
    if known is None:
        recording = _recognised(file, RECORDING_FORMATS, recording_formats)
        if recording is not None:
            raise FormatError(
                f"{file} is a recording ({recording.name}), expected ROIs",
                "give the file that holds the ROIs",
            )
        raise _unknown(file, roi_formats())
    with understanding(f"{file} cannot be read as {known.name}"):
        table = known.read(str(file), replace(options, name=name or options.name))
    if table.shape is not None:
        check_frame(*table.shape, str(file))
    return table


def write_roi_table(
    table: RoiTable, path: str | Path, *, format: str | None = None, overwrite: bool = False
) -> tuple[str, ...]:
    """Write ROIs in the format that the suffix names. Files appear when they are complete.

    Parameters
    ----------
    table : RoiTable
        What to write.
    path : path
        A file, or a folder for formats of several files.
    format : str, optional
        Name of the format, where the suffix does not say it.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    tuple of str
        What the file does not keep.

    Raises
    ------
    ArgumentError
        If no format that is written has this suffix or name, or the ROIs do not fit it.
    OutputExistsError
        If the file is there and `overwrite` is False, or a folder is there that holds other things.
    """
    file = Path(path).expanduser()
    known = written_format(file, format)
    if known.main_file and not _suffix_of(file, known):
        file = file / known.main_file
        if file.parent.parent.is_dir():
            file.parent.mkdir(exist_ok=True)
    if file.exists() and not overwrite:
        raise OutputExistsError(
            f"the file {file} exists already", "choose another name, or ask to overwrite it"
        )
    if not file.parent.is_dir():
        raise ArgumentError(f"there is no folder {file.parent}", "make it first")
    with TemporaryDirectory(prefix=f".{file.stem}.", dir=file.parent) as folder:
        lost = known.write(table, str(Path(folder, file.name)))
        made = sorted(Path(folder).iterdir())
        for new in made:
            _check_replaceable(file.parent / new.name, known, overwrite=overwrite)
        for new in made:
            _put(new, file.parent / new.name)
    return lost


def written_format(path: Path, name: str | None = None) -> RoiFormat:
    """Return the ROI format to write: the named one, or the one with the longest suffix that fits.

    Raises
    ------
    ArgumentError
        If there is none.
    """
    written = [known for known in roi_formats() if known.writer is not None]
    if name is not None:
        fitting = [known for known in roi_formats() if known.name == name]
        if not fitting:
            names = ", ".join(known.name for known in written)
            raise ArgumentError(f"no format is named {name!r}", f"ROIs are written as {names}")
        return fitting[0]
    fitting = [known for known in written if _suffix_of(path, known)]
    if not fitting:
        listing = " ".join(suffix for known in written for suffix in known.suffixes)
        raise ArgumentError(
            f"ROIs cannot be written as {path.name!r}", f"choose one of {listing}, or name the format"
        )
    return max(fitting, key=lambda known: len(_suffix_of(path, known)))


def _suffix_of(file: Path, known: RecordingFormat | RoiFormat) -> str:
    """Return the longest suffix of a format that a name ends with; empty if none."""
    fitting = [suffix for suffix in known.suffixes if file.name.lower().endswith(suffix)]
    return max(fitting, key=len, default="")


def _check_replaceable(target: Path, known: RoiFormat, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if not overwrite:
        raise OutputExistsError(
            f"the file {target} exists already", "choose another name, or ask to overwrite it"
        )
    if target.is_dir() and (known.is_own is None or not known.is_own(target)):
        raise OutputExistsError(
            f"the folder {target} holds other things than {known.name} ROIs, and is not replaced",
            "choose another name",
        )


def _put(new: Path, target: Path) -> None:
    """Move a complete file or folder to its place."""
    if target.is_dir():
        aside = new.with_name(f"{new.name}.old")
        target.rename(aside)
    os.replace(new, target)  # noqa: PTH105  (replaces on Windows too)


def _place(path: str | Path) -> Location:
    """Return a path with the home folder filled in, or the place of a URL."""
    return place_of(path).expanduser()


def _places(paths: object) -> list[Location]:
    """Return the places of several files; what is no path is refused."""
    places: list[Location] = []
    for one in paths if isinstance(paths, Iterable) else (paths,):
        if not isinstance(one, str | os.PathLike | ObjectPath):
            raise ArgumentError(
                f"the recording is a {type(paths).__name__}, with a {type(one).__name__} where a path is expected"
                if isinstance(paths, Iterable)
                else f"the recording is a {type(paths).__name__}, expected a path or several",
                "give paths; arrays are wrapped in an xarray.DataArray with dims time, y, x",
            )
        places.append(place_of(one).expanduser())
    return places


def _open_several(files: Sequence[Location], options: OpenOptions) -> RecordingFile:
    if not files:
        raise ArgumentError("the list of files is empty", "give at least one path")
    missing = [file for file in files if isinstance(file, Path) and not file.exists()]
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


def _open_one(file: Location, options: OpenOptions) -> RecordingFile:
    known: RecordingFormat | None
    if isinstance(file, ObjectPath):
        check_zarr_at_url(file)
        known = next(one for one in RECORDING_FORMATS if one.name == "zarr")
        return _understood(file, known, options)
    known = _recognised(file, RECORDING_FORMATS, recording_formats)
    if known is None:
        _refuse_rois(file)
        raise _unknown(file, recording_formats())
    return _understood(file, known, options)


def _understood(file: Location, known: RecordingFormat, options: OpenOptions) -> RecordingFile:
    with understanding(f"{file} cannot be read as {known.name}"):
        recording = known.open(str(file), options)
    check_frame(*recording.sources[0][0].shape[1:], str(file))
    return recording if recording.files else replace(recording, files=(str(file),))


def _refuse_rois(file: Path) -> None:
    known = _recognised(file, ROI_FORMATS, roi_formats)
    if known is not None:
        raise FormatError(
            f"{file} holds ROIs ({known.name}), expected a recording",
            "give the recording here, and this where ROIs are asked for",
        )


def formats_of_others(group: str, kind: type[Format]) -> tuple[Format, ...]:
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


def _recognised(file: Path, own: tuple[Known, ...], every: Callable[[], tuple[Known, ...]]) -> Known | None:
    """Return the format that the content shows: this package's own first, those that the suffix names before others."""
    head = b""
    with understanding(f"{file} cannot be read"):
        if file.is_file():
            with file.open("rb") as content:
                head = content.read(HEAD_BYTES)
        for formats in (own, None):
            likely_first = sorted(formats or every(), key=lambda known: not _suffix_of(file, known))
            fitting = (known for known in likely_first if known.recognises(file, head))
            if (known := next(fitting, None)) is not None:
                return known
    return None


def _unknown(file: Path, formats: Sequence[RecordingFormat | RoiFormat]) -> FormatError:
    listing = ", ".join(f"{known.name} ({' '.join(known.suffixes) or 'a folder'})" for known in formats)
    if file.is_dir():
        return FormatError(f"the folder {file} is of no known format", f"known formats are: {listing}")
    with file.open("rb") as content:
        head = content.read(8)
    if not head:
        return FormatError(f"{file} is empty: 0 bytes", "copy it again")
    named = next((known for known in formats if _suffix_of(file, known)), None)
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
