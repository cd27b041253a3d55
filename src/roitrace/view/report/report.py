"""Results -> one HTML file to look at them with: no program, no network."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any

from roitrace.errors import ArgumentError, OutputExistsError
from roitrace.store.files import write_file
from roitrace.store.places import ObjectPath, place_of
from roitrace.view.palette import colour
from roitrace.view.report.agreement import pair_of
from roitrace.view.report.cells import order_of_importance
from roitrace.view.report.contents import contents_of
from roitrace.view.report.page import assemble
from roitrace.view.report.pixel_matrices import PixelMatrix, gather_pixels
from roitrace.view.report.sections import (
    Draft,
    add_agreement,
    add_cells,
    add_maps,
    add_pixels,
    add_traces,
    head,
    told,
)
from roitrace.view.report.signals import gather_signals

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from roitrace.store.places import Location
    from roitrace.view.report.contents import Contents

__all__ = ["check_report", "report"]

_LARGEST = 9_300_000  # bytes
_LIBRARY_BYTES = 1_350_000
_BYTES_PER_CELL = 1_600  # outline, row of the table, place in the plots of agreement
_CELLS_WITH_PIXELS = 6


def report(
    results: object,
    path: str | Location,
    *,
    recording: xr.DataArray | None = None,
    example: str | None = None,
    overwrite: bool = False,
    workers: int | None = None,
) -> Location:
    """Write results as one HTML file that opens in any browser, offline: nothing is loaded from anywhere.

    It shows projections side by side with contrast sliders, the mask and outlines of the cells over them, a threshold slider that
    redraws the mask, a sortable table of the cells, the traces of the cells that are clicked (every aggregation, raw and
    normalised), how the aggregations agree and where they do not, warnings in words, parameters, versions, and where the
    results come from a job its time and memory beside what was planned. What is missing in the results is left out.

    The file stays below 10 MB: minima and maxima of stretches of frames stand for traces, and every frame is kept for the
    cells with the largest peak signal to noise ratio that fit; larger images are shrunk. All traces are read once, a few at a time.

    Parameters
    ----------
    results : str, Path, DataTree, Dataset or mapping
        A results store, or what `roitrace.load` or `roitrace.save` take and give. Of a store, the folder ``<store>.run`` beside it
        tells how the job ran.
    path : str or Path
        The file, by custom ``*.html``.
    recording : DataArray, optional
        ``(time, y, x)``: adds the pixel matrices of six cells, of `example` first, over the first 2000 frames, which are read for them.
    example : str, optional
        Name of the cell that is selected when the page opens; the accepted one with the largest `peak_snr` if not given.
    overwrite : bool
        Whether a file that is there may be replaced.
    workers : int, optional
        Threads, where no other scheduler is active.

    Returns
    -------
    Path or ObjectPath
        The file.

    Raises
    ------
    OutputExistsError
        If something is there already; nothing is touched.
    StoreError
        If the results store is unfinished, damaged or no results store.
    ArgumentError
        If there is nothing to report on, or no cell of the name `example`.
    MissingDependencyError
        If Bokeh is not installed (``pip install 'roitrace[app]'``).

    Examples
    --------
    >>> import tempfile, numpy as np, xarray as xr, roitrace as rt
    >>> images = xr.Dataset({"mean": (("y", "x"), np.eye(4))})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = rt.report({"projections": images}, f"{folder}/report.html")
    ...     "<title>" in file.read_text(encoding="utf-8")
    True
    """
    target = place_of(path)
    check_report(target, overwrite=overwrite)
    contents = contents_of(results)
    if example is not None and example not in contents.names:
        raise ArgumentError(f"example={example!r}: no cell has this name", f"there are {len(contents.names)}")
    text = _compose(contents, recording, example, workers)
    if isinstance(target, ObjectPath):
        write_file(target, text.encode())
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial-{secrets.token_hex(4)}")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, target)  # noqa: PTH105 (replaces on every system)
    finally:
        partial.unlink(missing_ok=True)
    return target


def check_report(path: str | Location, *, overwrite: bool) -> None:
    """Refuse a place that is taken.

    Raises
    ------
    OutputExistsError
        If something is there that may not be replaced.
    """
    path = place_of(path)
    if path.is_dir():
        raise OutputExistsError(f"{path} is a folder", "give the name of a file, such as report.html")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists already", "choose another file, or ask to overwrite it")


def _compose(
    contents: Contents, recording: xr.DataArray | None, example: str | None, workers: int | None
) -> str:
    draft = Draft(contents)
    maps = add_maps(draft)
    series, order = contents.series(), order_of_importance(contents, example)
    spent = _LIBRARY_BYTES + _BYTES_PER_CELL * len(order) + _size(draft.data.get("images", []))
    matrices = _pixels(contents, recording, order, workers)
    spent += _size([one.to_dict() for one in matrices.values()])
    room = max(500_000, _LARGEST - spent)
    signals = gather_signals(series, order, pair_of(contents), room, workers=workers)
    draft.data["selected"] = order[:1]
    draft.data["names"] = list(contents.names)
    draft.data["colours"] = [colour(number) for number in range(len(contents.names))]
    parts = [
        head(contents),
        maps,
        add_traces(draft, series, signals),
        add_cells(draft),
        add_agreement(draft, series, signals),
        add_pixels(draft, matrices),
        told(contents),
    ]
    body = f"<main>{''.join(parts)}</main>"
    return assemble(f"{contents.name}, roitrace report", body, draft.data, draft.plots.figures)


def _pixels(
    contents: Contents, recording: xr.DataArray | None, order: Sequence[int], workers: int | None
) -> dict[str, PixelMatrix]:
    """Read pixel matrices of the cells that matter most."""
    if recording is None or contents.rois is None or not order:
        return {}
    cells = [contents.names[number] for number in order[:_CELLS_WITH_PIXELS]]
    return gather_pixels(recording, contents.rois, cells, workers=workers)


def _size(images: Any) -> int:
    return sum(len(one["codes"]) for one in images)
