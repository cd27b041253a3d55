"""Results into the files that other tools read."""

from __future__ import annotations

import json
import os
import warnings
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from roitrace.engine.plan import RESERVED_BYTES
from roitrace.engine.spool import lazy_file
from roitrace.errors import ArgumentError, BudgetError, OutputExistsError
from roitrace.export_table import filled_dataset, make_table, text_attributes
from roitrace.formats.traces.filled import write_filled
from roitrace.formats.traces.format import TraceFormat, TraceOptions
from roitrace.formats.traces.registry import choose_format, trace_formats
from roitrace.formats.traces.table import in_dtype
from roitrace.result_groups import as_dataset, as_groups, written_by_roi
from roitrace.result_layout import write_grid
from roitrace.results import check_output, load, save
from roitrace.selection import Selection, is_matrix, select_traces
from roitrace.spooling import fill_missing, materialize
from roitrace.store.files import remove, remove_tree, write_file
from roitrace.store.finishing import put_folder
from roitrace.store.places import ObjectPath, place_of
from roitrace.store.swap import put_in_place
from roitrace.units import format_bytes, format_count, parse_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from roitrace.result_groups import Group
    from roitrace.store.places import Location

__all__ = ["check_export", "export"]

NATIVE = TraceFormat("zarr", (".zarr",), "roitrace.results:save")
"""A results store: written by `save`, not from the plain table."""

_COPIES = 2
"""Of a file that is put into a bucket: what was read, and what its client makes of it."""
FILLS = ("nan", "interpolate")
DTYPES = ("float64", "float32")
_LEAST_BLOCK, _MOST_BLOCK = 2**16, 8 * 2**20


def export(
    results: xr.DataTree | xr.Dataset | xr.DataArray | Mapping[str, Group] | str | Path,
    path: str | Location,
    format: str | None = None,
    *,
    statistic: str | Sequence[str] | None = None,
    dtype: Literal["float64", "float32"] = "float64",
    fill: Literal["nan", "interpolate"] = "nan",
    roi_axis: int | None = None,
    layout: Literal["wide", "tidy"] | None = None,
    into: str | Path | None = None,
    metadata: Mapping[str, Any] | None = None,
    spikes: ArrayLike | xr.DataArray | None = None,
    overwrite: bool = False,
    budget: str | float = "1 GiB",
    workers: int | None = None,
    progress: Callable[[str, int, int], object] | None = None,
) -> Location:
    """Write traces, and what belongs to them, into a file of another format.

    ============  ==================  ================================================================================
    format        suffix              what it holds
    ============  ==================  ================================================================================
    ``zarr``      `.zarr`             a results store: everything of the chosen traces, for `roitrace.load`
    ``netcdf``    `.nc`, `.nc4`       the same groups, for ``xarray.open_datatree(path, engine="h5netcdf")``
    ``hdf5``      `.h5`, `.hdf5`      the same groups as plain datasets
    ``nwb``       `.nwb`              PlaneSegmentation, Fluorescence, DfOverF, images
    ``suite2p``   a folder            ``F Fneu spks stat iscell ops`` `.npy`, as suite2p 1.1 reads them; float32
    ``csv``       `.csv`              a table, in all digits (pandas before 3.1 wants ``float_precision="round_trip"``)
    ``parquet``   `.parquet`, `.pq`   the same table in columns
    ``npy``       `.npy`              one trace per ROI, nothing else
    ============  ==================  ================================================================================

    Parameters
    ----------
    results : DataTree, Dataset, DataArray, mapping or path
        From `roitrace.load`, `roitrace.run`, `roitrace.extract` or `roitrace.normalize`; groups by name as for
        `roitrace.save`; or a results store. What is lazy is computed on the way, all from one read: traces go block by block into a
        temporary file beside the output (8 bytes per ROI, frame and chosen trace), from which the format is written.
    path : path
        The file or folder to write. It appears when it is complete. At a place in a bucket files are put one after the other, each in one
        piece and from memory.
    format : str, optional
        A name of the table, where the suffix does not say it.
    statistic : str or sequence of str, optional
        Which traces: names such as ``"median"`` or ``"dff"``, or ``"all"``. If not given, F (the ``primary`` statistic), its neuropil and the
        normalised traces. A CSV or Parquet file in wide layout and `.npy` hold the first one only.
    dtype : {"float64", "float32"}
        Of the written traces.
    fill : {"nan", "interpolate"}
        ``"interpolate"`` fills missing samples along straight lines over time, each session and each part without a gap in time by itself; at
        its ends the nearest sample is repeated. Tools that filter or deconvolve (suite2p, OASIS, CASCADE) want no NaN. The file lists what was filled (ROI, first and last frame), or ``<name>.filled.csv`` beside it.
    roi_axis : {0, 1}, optional
        Whether ROIs are rows (0) or columns (1). By default columns in CSV, rows elsewhere; fixed in NWB, suite2p and Parquet.
    layout : {"wide", "tidy"}, optional
        Of CSV and Parquet: one column per ROI (default), or one row per ROI and frame and one column per trace.
    into : path, optional
        An NWB file of the same session; the output is a copy of it with the results added, at the times of its images. It is itself changed
        only if `path` is the same and `overwrite` is True.
    metadata : mapping, optional
        What NWB wants to know: ``session_start_time`` (with time zone; needed for a new file), ``session_description``, ``identifier``,
        ``subject`` (a mapping), ``device``, ``indicator``, ``location``, ``excitation_lambda``, ``emission_lambda`` (nm), ``experimenter``,
        ``lab``, ``institution`` and other texts of `pynwb.NWBFile`.
    spikes : (roi, time) array_like, optional
        Deconvolved activity, for suite2p's ``spks.npy``; zeros if not given.
    overwrite : bool
        Replace what is there, once the new one is complete. A folder is replaced only if it holds nothing else.
    budget : str or float
        Memory of the program. Traces are computed and written in blocks.
    workers : int, optional
        Threads for what is lazy, where no other scheduler is active.
    progress : callable, optional
        Called with the name of a step, its blocks done and all its blocks.

    Returns
    -------
    Path
        What was written.

    Warns
    -----
    UserWarning
        Once, of what the results hold and the file does not.

    Raises
    ------
    ArgumentError
        If the format, an option or a statistic is not known, or there are no traces.
    MissingDependencyError
        If the format needs a package that is not installed; it names the extra.
    OutputExistsError
        If something is there that may not be replaced; nothing is touched.
    MetadataError
        If the format needs seconds and the results count frames.
    AlignmentError
        If the file of `into` is of another recording.
    BudgetError
        If a block of lazy traces does not fit the budget.

    Examples
    --------
    >>> import tempfile, xarray as xr
    >>> traces = xr.Dataset({"mean": (("roi", "time"), [[1.0, 2.5], [3.0, 4.0]])}, coords={"roi": ["a", "b"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(export(traces, f"{folder}/traces.csv").read_text())
    frame,a,b
    0,1.0,3.0
    1,2.5,4.0
    <BLANKLINE>
    """
    target = place_of(path).expanduser()
    options = TraceOptions(
        roi_axis=roi_axis,
        layout=layout,
        into=None if into is None else str(Path(into).expanduser()),
        metadata=metadata,
        spikes=None if spikes is None else _numbers(spikes),
        progress=None if progress is None else partial(progress, "write"),
        note=partial(warnings.warn, category=UserWarning, stacklevel=3),
    )
    known = check_export(target, format, options, dtype=dtype, fill=fill, overwrite=overwrite)
    room = parse_bytes(budget)
    groups, attrs = _groups(results, target)
    selection = select_traces(groups, statistic)
    lost = _left_out(selection) if statistic is None else ()
    with _workshop(target) as folder:
        made = Path(folder) / "made" / target.name
        made.parent.mkdir()
        kept_not = _write(
            selection,
            attrs,
            made,
            known,
            options,
            dtype=np.dtype(dtype),
            fill=fill,
            budget=room,
            workers=workers,
            progress=None if progress is None else partial(progress, "compute"),
        )
        # somebody else may have written there meanwhile
        _check_place(target, known, overwrite=overwrite)
        if isinstance(target, ObjectPath):
            _put_into_bucket(made, target, room)
        else:
            if not known.keeps_filled:
                _put_list(_filled_in(made), _filled_in(target))
            _put(made, target, Path(folder) / "replaced")
    lost = (*kept_not, *lost)
    if lost:
        options.note(f"{target.name} does not keep: {', '.join(dict.fromkeys(lost))}")
    return target


def check_export(
    target: Location,
    name: str | None,
    options: TraceOptions,
    *,
    dtype: str = "float64",
    fill: str = "nan",
    overwrite: bool = False,
) -> TraceFormat:
    """Find the format and refuse what can be known to fail before anything is computed.

    Raises
    ------
    ArgumentError, MissingDependencyError, OutputExistsError
        As `export`.
    """
    known = choose_format(
        Path(target.name) if isinstance(target, ObjectPath) else target, name, (NATIVE, *trace_formats())
    )
    for argument, value, expected in (
        ("dtype", dtype, DTYPES),
        ("fill", fill, FILLS),
        ("roi_axis", options.roi_axis, (None, 0, 1)),
        ("layout", options.layout, (None, "wide", "tidy")),
    ):
        if value not in expected:
            words = " or ".join(repr(one) for one in expected if one is not None)
            raise ArgumentError(f"{argument}={value!r}, expected {words}")
    known.check(options)
    _check_place(target, known, overwrite=overwrite)
    return known


def _numbers(spikes: ArrayLike | xr.DataArray) -> NDArray[np.float64]:
    try:
        return np.asarray(spikes, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"spikes is a {type(spikes).__name__} that holds no numbers (roi, time)"
        ) from None


def _groups(
    results: xr.DataTree | xr.Dataset | xr.DataArray | Mapping[str, Group] | str | Location, target: Location
) -> tuple[dict[str, xr.Dataset], dict[Any, Any]]:
    """Return the groups of some results, and the attributes of the whole."""
    if isinstance(results, str | Path | ObjectPath):
        store = place_of(results).expanduser()
        if target.exists() and store.exists() and _resolved(target) == _resolved(store):
            raise ArgumentError(f"{target} is the store that is exported", "choose another output")
        results = load(store)
    if isinstance(results, xr.DataArray):
        name = "trace" if results.name is None else str(results.name)
        results = results.to_dataset(name=name).assign_attrs(primary=name)
    if isinstance(results, xr.Dataset) and "method" in results.attrs:
        results = {"normalized": results}
    elif isinstance(results, xr.Dataset) and "fcorr" in results:
        results = {"corrected": results}
    attrs = dict(results.attrs) if isinstance(results, xr.DataTree) else {}
    return {name: as_dataset(group, name) for name, group in as_groups(results).items()}, attrs


def _left_out(selection: Selection) -> tuple[str, ...]:
    if not selection.left_out:
        return ()
    return (f"{', '.join(selection.left_out)} (name them with statistic=)",)


def _write(
    selection: Selection,
    attrs: Mapping[Any, Any],
    made: Path,
    known: TraceFormat,
    options: TraceOptions,
    *,
    dtype: np.dtype[Any],
    fill: str,
    budget: int,
    workers: int | None,
    progress: Callable[[int, int], object] | None,
) -> tuple[str, ...]:
    """Compute, fill and write; what is mapped is let go of before its files are removed. Returns what is not kept."""
    spool = made.parent.parent
    selection = materialize(
        selection, spool, keep=fill == "nan", budget=budget, workers=workers, progress=progress
    )
    filled, left = fill_missing(selection) if fill == "interpolate" else ((), 0)
    if left:
        options.note(
            f"nothing to fill from in {format_count(left, 'trace')}: samples that are missing over a whole session, or "
            "throughout, stay NaN"
        )
    if filled:
        selection = replace(selection, groups=selection.groups | {"filled": filled_dataset(filled)})
    if known is NATIVE:
        _save_native(selection, attrs, made, spool, dtype, workers, options)
        return ()
    if filled and not known.keeps_filled:
        write_filled(filled, str(_filled_file(made)))
    block_bytes = min(_MOST_BLOCK, max(_LEAST_BLOCK, (budget - RESERVED_BYTES) // 16))
    table = make_table(selection, attrs, filled, dtype=dtype, block_bytes=block_bytes)
    return known.write(table, str(made), options)


def _save_native(
    selection: Selection,
    attrs: Mapping[Any, Any],
    made: Path,
    spool: Path,
    dtype: np.dtype[Any],
    workers: int | None,
    options: TraceOptions,
) -> None:
    """Save groups as they are, traces in the dtype that was asked for, block by block."""
    chosen = {(one.group, one.variable) for one in selection.choices}
    groups = {}
    for group, dataset in selection.groups.items():
        part = dataset
        for name, one in dataset.data_vars.items():
            if not is_matrix(one):
                continue
            kind = dtype if (group, str(name)) in chosen else one.dtype
            unit = write_grid(("roi", "time"), one.shape, kind, rows=written_by_roi(group)).unit
            # a map that the user gave may be a part of its file
            spooled = isinstance(one.data, np.memmap) and Path(str(one.data.filename)).parent == spool
            values = (
                lazy_file(one.data, unit, kind, str(name)) if spooled else in_dtype(one.data, kind, str(name))
            )
            part = part.assign({name: (one.dims, values, one.attrs)})
        groups[group] = part
    texts = text_attributes(attrs)
    parameters = json.loads(texts.get("parameters", "{}"))
    save(
        groups,
        made,
        parameters=parameters,
        source=texts.get("source", ""),
        workers=workers,
        progress=options.progress,
    )


def _check_place(target: Location, known: TraceFormat, *, overwrite: bool) -> None:
    """Refuse a place that is taken, or that holds something else than the format writes."""
    if known is NATIVE:
        check_output(target, overwrite=overwrite)
        return
    places = [target] if known.keeps_filled else [target, _filled_file(target)]
    taken = next((one for one in places if one.exists()), None)
    if taken is None:
        return
    if not overwrite:
        raise OutputExistsError(f"{taken} exists already", "choose another output, or ask to overwrite it")
    if not target.exists():
        return
    if target.is_dir() != bool(known.folder):
        kind = "a folder" if target.is_dir() else "a file"
        raise OutputExistsError(f"{target} is {kind}, and {known.name} is not", "choose another output")
    others = [one.name for one in target.iterdir() if one.name not in known.folder] if known.folder else []
    if others:
        raise OutputExistsError(
            f"the folder {target} holds other things too, such as {min(others)}, so it is not overwritten",
            "choose another output",
        )


def _filled_file(target: Location) -> Location:
    """Return where the list of filled frames is, for a file that cannot hold it."""
    return target.with_name(f"{target.stem}.filled.csv")


def _filled_in(target: Path) -> Path:
    return target.with_name(_filled_file(target).name)


@contextmanager
def _workshop(target: Location) -> Iterator[str]:
    """Give a folder in which an output is made: beside it, or among the temporary files of the system if it goes to a bucket."""
    if isinstance(target, ObjectPath):
        with TemporaryDirectory(prefix="roitrace-") as folder:
            yield folder
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{target.name}.part-", dir=target.parent) as folder:
        yield folder


def _put_into_bucket(made: Path, target: ObjectPath, budget: int) -> None:
    """Put what was made, each file in one piece, in place of an earlier output.

    Raises
    ------
    BudgetError
        If a file is too large to be held in memory.
    """
    beside = _filled_in(made)
    files = [one for one in made.rglob("*") if one.is_file()] if made.is_dir() else [made]
    largest = max((one.stat().st_size for one in files), default=0)
    if RESERVED_BYTES + _COPIES * largest > budget:
        raise BudgetError(
            f"{target} would have a file of {format_bytes(largest)}, which is sent in one piece; the budget is {format_bytes(budget)}",
            f"export to disk and copy it with the tools of your provider, or give budget={RESERVED_BYTES + _COPIES * largest}",
        )
    if made.is_dir():
        remove_tree(target)
        put_folder(made, target)
    else:
        write_file(target, made.read_bytes())
    if beside.exists():
        write_file(_filled_file(target), beside.read_bytes())
    else:
        remove(_filled_file(target))


def _resolved(store: Location) -> Location:
    return store.resolve() if isinstance(store, Path) else store


def _put(made: Path, target: Path, aside: Path) -> None:
    """Give what is complete its name."""
    if made.is_dir():
        put_in_place(made, target, aside)
    else:
        os.replace(made, target)  # noqa: PTH105 (replaces on Windows too)


def _put_list(made: Path, beside: Path) -> None:
    """Put the list of filled frames beside the output; one of an earlier output goes."""
    if made.exists():
        os.replace(made, beside)  # noqa: PTH105 (replaces on Windows too)
    else:
        beside.unlink(missing_ok=True)
