"""Traces of a recording that has grown, or of more ROIs: what is known is taken from earlier results, only the rest is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.engine.blocks import corrected
from roitrace.engine.run import execute
from roitrace.errors import AlignmentError, ArgumentError
from roitrace.extraction import DEFAULT_STATISTICS, extract
from roitrace.labelled_traces import STATUS_FLAGS
from roitrace.recording import blocks_of
from roitrace.rois import Rois, as_rois
from roitrace.sources import BlockSource, Window
from roitrace.units import format_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

    from roitrace.engine.statistics import Statistic

__all__ = ["extend"]

_LOOKED_AT = 16
"""Frames at the beginning, in the middle and at the end of the known part that are read again, to see that it is the same."""


def extend(
    earlier: xr.DataTree | Mapping[str, Any],
    recording: xr.DataArray,
    rois: Rois | xr.DataArray | ArrayLike | None = None,
    statistics: Statistic | str | Iterable[Statistic | str] = DEFAULT_STATISTICS,
    **options: Any,
) -> xr.Dataset:
    """Return what `extract` would, lazily, but read only frames and ROIs that earlier results do not hold.

    The bits are those of a fresh `extract`. Some frames at the beginning, in the middle and at the end of the known part are read again for
    the ROIs that are kept, to see that recording, ROIs and statistics are those of the earlier results.

    Parameters
    ----------
    earlier : DataTree or mapping
        Results with the groups ``traces`` and ``rois``, as `load` gives them.
    recording : DataArray
        The same recording ``(time, y, x)``, or that one with more frames at its end.
    rois : Rois, DataArray or array_like, optional
        The same ROIs, or some of them, others, more; those of the earlier results if not given. Where shared pixels are not simply kept, or with
        neuropil, one ROI more changes the others: then all ROIs have to be the same.
    statistics : str, Statistic or several
        As those of the earlier results.
    **options
        As for `extract`, without projections: these sum over all frames and are read anew by `project`.

    Returns
    -------
    Dataset
        As `extract`.

    Raises
    ------
    ArgumentError
        If statistics or options are others, or the recording is shorter.
    AlignmentError
        If the known part is not the same.

    Examples
    --------
    >>> import numpy as np, roitrace as rt, xarray as xr
    >>> movie = xr.DataArray(np.arange(24).reshape(6, 2, 2).astype("uint16"), dims=("time", "y", "x"))
    >>> rois = rt.Rois.from_labels(np.array([[1, 1], [0, 2]]))
    >>> earlier = {"rois": rois, "traces": rt.extract(movie[:4], rois, "mean").compute()}
    >>> rt.extend(earlier, movie, statistics="mean")["mean"].sel(roi="1").values.tolist()
    [0.5, 4.5, 8.5, 12.5, 16.5, 20.5]
    """
    if options.get("projections"):
        raise ArgumentError(
            "projections cannot be extended: they sum over all frames", "make them with roitrace.project"
        )
    known, known_rois = _groups_of(earlier)
    given = known_rois if rois is None else as_rois(rois)
    whole = extract(recording, given, statistics, **options)
    n_known = _check_axes(known, whole)
    kept = _kept(known_rois, given)
    alone = options.get("overlap", "keep") == "keep" and options.get("neuropil") is None
    if not alone and (kept != list(range(len(given))) or len(known_rois) != len(given)):
        raise ArgumentError(
            "ROIs were added, changed or removed, and with neuropil or overlap rules that changes the others too",
            "extract all traces anew",
        )
    if "interpolated" in recording.coords:
        raise ArgumentError(
            "frames are interpolated across the end of the known part", "extract all traces anew"
        )

    def of(frames: slice, which: list[int]) -> xr.Dataset:
        more = dict(options)
        if not alone:
            return extract(_part(recording, frames), given, statistics, **more)
        return extract(_part(recording, frames), given[which], statistics, **more)

    everything = list(range(len(given)))
    known_rows = [i for i, one in enumerate(kept) if one is not None]
    new_rows = [i for i, one in enumerate(kept) if one is None]
    old = known.isel(roi=[one for one in kept if one is not None])
    _check_same(old, lambda frames: of(frames, known_rows), n_known)
    parts = [old.isel(time=slice(0, n_known))]
    if new_rows:
        parts.append(of(slice(0, n_known), new_rows))
    order = np.argsort([*known_rows, *new_rows]).tolist()
    later = of(slice(n_known, None), everything) if whole.sizes["time"] > n_known else None
    return _joined(whole, parts, order, later)


def _groups_of(earlier: Any) -> tuple[xr.Dataset, Rois]:
    missing = [name for name in ("traces", "rois") if name not in earlier]
    if missing:
        raise ArgumentError(
            f"the earlier results have no group {' and no group '.join(missing)}",
            "give what extract and save wrote",
        )
    traces, rois = earlier["traces"], earlier["rois"]
    traces = traces.to_dataset() if isinstance(traces, xr.DataTree) else traces
    if not isinstance(rois, Rois):
        rois = Rois.from_dataset((rois.to_dataset() if isinstance(rois, xr.DataTree) else rois).load())
    return traces, rois


def _check_axes(known: xr.Dataset, whole: xr.Dataset) -> int:
    """Return the number of known frames; refuse other variables, and times that do not go on."""
    old, new = set(_matrices(known)), set(_matrices(whole))
    if old != new:
        raise ArgumentError(
            f"the earlier results hold {', '.join(sorted(old))}; asked are {', '.join(sorted(new))}",
            "ask for the same statistics, overlap rules and neuropil",
        )
    n_known, n_frames = known.sizes["time"], whole.sizes["time"]
    if n_frames < n_known:
        raise ArgumentError(
            f"the earlier results have {format_count(n_known, 'frame')}, the recording {n_frames:,}",
            "give the whole recording",
        )
    if "time" in known.coords and not np.array_equal(known["time"].values, whole["time"].values[:n_known]):
        raise AlignmentError(
            "the times of the known frames differ", "give the recording with the same frame rate"
        )
    return n_known


def _kept(known: Rois, given: Rois) -> list[int | None]:
    """Return for each ROI its number among the known ones that have its name, pixels and weights."""
    numbers = {name: number for number, name in enumerate(known.names)}
    same_frame = known.frame.same_as(given.frame)
    found: list[int | None] = []
    for number, name in enumerate(given.names):
        other = numbers.get(name) if same_frame else None
        same = other is not None and all(
            np.array_equal(one, two) for one, two in zip(_row(given, number), _row(known, other), strict=True)
        )
        found.append(other if same else None)
    return found


def _row(rois: Rois, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
    span = slice(int(rois.indptr[number]), int(rois.indptr[number + 1]))
    return rois.pixels[span], np.zeros(0) if rois.weights is None else rois.weights[span]


def _part(recording: xr.DataArray, frames: slice) -> xr.DataArray:
    """Return some frames, read as directly as the whole."""
    chosen = recording.isel(time=frames)
    start = frames.start or 0

    def window(source: BlockSource) -> BlockSource:
        _, height, width = source.shape
        return Window(source, (start, 0, 0), (chosen.sizes["time"], height, width))

    return chosen.copy(data=corrected(blocks_of(recording), window))


def _check_same(old: xr.Dataset, of: Any, n_known: int) -> None:
    """Compare a few frames of the known traces with the recording, bit by bit."""
    if not old.sizes["roi"] or not n_known:
        return
    spans = sorted({max(0, n_known * number // 2 - _LOOKED_AT) for number in range(3)})
    for start in spans:
        frames = slice(start, min(start + _LOOKED_AT, n_known))
        names = _matrices(old)
        stored, now = execute(old[names].isel(time=frames), of(frames)[names])
        for name in names:
            if not np.array_equal(stored[name].values, now[name].values, equal_nan=True):
                raise AlignmentError(
                    f"{name} of frames {frames.start} to {frames.stop} differs from what the recording gives now",
                    "the recording or the statistics are others: extract all traces anew",
                )


def _matrices(dataset: xr.Dataset) -> list[str]:
    return [str(name) for name, one in dataset.data_vars.items() if one.dims[-2:] == ("roi", "time")]


def _joined(
    whole: xr.Dataset, parts: list[xr.Dataset], order: list[int], later: xr.Dataset | None
) -> xr.Dataset:
    """Put known traces, those of new ROIs and those of new frames in the place of the lazy ones of the whole."""
    joined: dict[str, xr.Variable] = {}
    for name in _matrices(whole):
        rows = _concatenated([one[name].variable for one in parts], "roi")
        if order != sorted(order):
            rows = rows.isel(roi=order)
        both = [rows] if later is None else [rows, later[name].variable]
        values = _concatenated(both, "time").transpose(*whole[name].dims)
        joined[name] = xr.Variable(values.dims, values.data, whole[name].attrs)
    rows = _concatenated([one["status"].variable for one in parts], "roi").isel(roi=order)
    status = _status(rows, None if later is None else later["status"].variable)
    joined["status"] = xr.Variable(whole["status"].dims, status.data, whole["status"].attrs)
    return whole.assign(joined)


def _concatenated(parts: list[xr.Variable], dim: str) -> xr.Variable:
    joined: xr.Variable = xr.Variable.concat(parts, dim=dim)  # type: ignore[no-untyped-call]
    return joined


def _status(known: xr.Variable, later: xr.Variable | None) -> xr.Variable:
    """Return the flags of all frames: without any valid pixel is a ROI that has none in both parts."""
    if later is None:
        return known
    nothing = np.uint8(STATUS_FLAGS["all_nan"])
    both: xr.Variable = (known & later & nothing) | (later & np.uint8(255 - nothing))
    return both.astype(np.uint8)
