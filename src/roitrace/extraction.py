"""Recording and ROIs to pixel matrices and traces, lazily, each needed chunk read once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.engine.reductions import Reduced, reduce_recording
from roitrace.engine.regions import RoiTable
from roitrace.engine.run import available_workers
from roitrace.engine.slab import Request
from roitrace.engine.statistics import Statistic, moments_needed, resolve
from roitrace.errors import ArgumentError
from roitrace.frame import frame_of
from roitrace.projection import carried_attributes, label_image
from roitrace.recording import blocks_of, check_recording
from roitrace.rois import Rois, as_rois
from roitrace.units import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["DEFAULT_STATISTICS", "STATUS_FLAGS", "extract", "pixel_traces"]

DEFAULT_STATISTICS = ("mean", "median", "trimmed_mean", "weighted_mean")

STATUS_FLAGS = {
    "empty": 1,
    "off_frame": 2,
    "partly_off_frame": 4,
    "excluded": 8,
    "all_nan": 16,
    "no_trim": 32,
    "few_neuropil_pixels": 64,
}
"""Why a trace is NaN or to be read with care: a closed list of bits of ``status``."""


def extract(
    recording: xr.DataArray,
    rois: Rois | xr.DataArray | ArrayLike,
    statistics: Statistic | str | Iterable[Statistic | str] = DEFAULT_STATISTICS,
    *,
    proportion_to_cut: float = 0.1,
    overlap: str = "keep",
    projections: Statistic | str | Iterable[Statistic | str] = (),
    skipna: bool = True,
    min_coverage: float = 0.9,
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> xr.Dataset:
    """Turn a recording into one trace per ROI and statistic, lazily.

    Every chunk that holds a pixel of a ROI is read once for all statistics and projections of the call; other chunks are not
    read unless projections are asked for. Sums, means, medians, percentiles, trimmed and winsorized means, minima and maxima of
    integer recordings are correctly rounded; weighted means and all statistics of float recordings are float64 sums in a
    fixed order. No result depends on chunks, workers or schedulers.

    Parameters
    ----------
    recording : DataArray
        Dims ``(time, y, x)``; see `open_recording`.
    rois : Rois, DataArray or array_like
        ROIs of the recording's frame or of one that it is a part of; a boolean mask is one ROI, an integer image one ROI
        per value.
    statistics : str, Statistic or several
        Names (``mean``, ``median``, ``trimmed_mean``, ``weighted_mean``, ``winsorized_mean``, ``sum``, ``min``, ``max``, ``std``,
        ``var``, ``percentile``) or values of `roitrace.stat`. If left out, ``weighted_mean`` is computed only where the ROIs
        have weights.
    proportion_to_cut : float
        For the trimmed and winsorized means that are asked for by name: part of the pixels cut at each end.
    overlap : {"keep", "exclude"}
        Whether pixels of several ROIs count for each of them or for none.
    projections : str, Statistic or several
        Images to make of the same read, named ``projection_<name>``; see `project`.
    skipna : bool
        Whether NaN pixels are passed over.
    min_coverage : float
        A frame in which less than this part of a ROI's pixels (of its weight, for weighted statistics) is valid is NaN.
    budget : str or int
        Memory that the computation may use, imports included.
    workers : int, optional
        Tasks at once that the budget is shared by; by default all processors.

    Returns
    -------
    Dataset
        One lazy float64 variable ``(roi, time)`` per statistic; ``n_pixels (roi)``, ``status (roi)`` (bits, see `STATUS_FLAGS`),
        ``n_cut_<name> (roi)`` of trimmed and winsorized means, and ``n_valid (roi, time)`` of float recordings. The attribute
        ``primary`` names the statistic that is F.

    Raises
    ------
    ArgumentError
        If a statistic is unknown, or a weighted one is asked for by name and the ROIs have no weights.
    AlignmentError
        If the ROIs and the recording do not line up.
    BudgetError
        If the computation cannot fit the budget.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> movie = xr.DataArray(np.arange(24).reshape(6, 2, 2).astype("uint16"), dims=("time", "y", "x"))
    >>> traces = extract(movie, np.array([[1, 1], [0, 2]]), ("mean", "max")).compute()
    >>> traces["mean"].sel(roi="1").values.tolist()
    [0.5, 4.5, 8.5, 12.5, 16.5, 20.5]
    """
    check_recording(recording)
    given = as_rois(rois)
    asked = _asked(statistics, given, proportion_to_cut)
    images = resolve(projections, over_time=True) if projections else ()
    if not 0 <= min_coverage <= 1:
        raise ArgumentError(f"min_coverage={min_coverage}, expected 0 to 1")
    placed = _place(recording, given, asked, overlap)
    reduced = reduce_recording(
        blocks_of(recording),
        placed.table,
        placed.rois.pixels,
        Request(asked, placed.weight_rows, moments_needed(images), min_coverage if skipna else 1.0),
        images,
        skipna=skipna,
        budget=parse_bytes(budget),
        workers=workers or available_workers(),
    )
    return _label(recording, placed, asked, images, reduced)


def pixel_traces(
    recording: xr.DataArray,
    rois: Rois | xr.DataArray | ArrayLike,
    *,
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> xr.DataArray:
    """Return the time series of every pixel of the ROIs, ``(pixel, time)``, lazily and in the recording's own dtype.

    It equals ``movie[:, y_index, x_index].T``, row-major within each ROI, ROI after ROI.

    Parameters
    ----------
    recording, rois, budget, workers
        As for `extract`.

    Returns
    -------
    DataArray
        Lazy, in blocks of time; coordinates ``roi``, ``y_index``, ``x_index``, ``y``, ``x`` along ``pixel``.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> movie = xr.DataArray(np.arange(24).reshape(6, 2, 2).astype("uint16"), dims=("time", "y", "x"))
    >>> pixel_traces(movie, np.array([[True, False], [False, True]])).compute().values.tolist()
    [[0, 4, 8, 12, 16, 20], [3, 7, 11, 15, 19, 23]]
    """
    check_recording(recording)
    given = as_rois(rois)
    placed = given.within(frame_of(recording))
    reduced = reduce_recording(
        blocks_of(recording),
        RoiTable(placed.indptr, np.zeros((0, placed.pixels.size))),
        placed.pixels,
        Request(pixels=True),
        (),
        skipna=True,
        budget=parse_bytes(budget),
        workers=workers or available_workers(),
    )
    y_index, x_index = np.divmod(placed.pixels, placed.frame.shape[1])
    y, x = placed.frame.centres
    units = {"units": placed.frame.units}
    coords: dict[str, Any] = {
        "roi": ("pixel", np.repeat(placed.coords()["roi"][1], placed.n_pixels)),
        "y_index": ("pixel", y_index),
        "x_index": ("pixel", x_index),
        "y": ("pixel", y[y_index], units),
        "x": ("pixel", x[x_index], units),
    }
    if "time" in recording.coords:
        coords["time"] = recording["time"].variable
    attrs = {"long_name": "pixel time series", "units": "count"} | carried_attributes(recording)
    return xr.DataArray(reduced.pixels, dims=("pixel", "time"), coords=coords, name="pixels", attrs=attrs)


@dataclass(frozen=True, eq=False)
class _Placed:
    """ROIs on the frame of the recording, as the engine wants them."""

    rois: Rois
    table: RoiTable
    weight_rows: tuple[int, ...]
    status: NDArray[np.uint8]


def _asked(
    statistics: Statistic | str | Iterable[Statistic | str], rois: Rois, proportion_to_cut: float
) -> tuple[Statistic, ...]:
    if statistics is DEFAULT_STATISTICS and rois.weights is None:
        statistics = [name for name in DEFAULT_STATISTICS if name != "weighted_mean"]
    asked = resolve(statistics, proportion_to_cut=proportion_to_cut)
    for one in asked:
        if "weighted" in one.declaration.needs and one.weights is None and rois.weights is None:
            raise ArgumentError(
                f"{one.name!r} needs weights, and the ROIs have none",
                "make some with roitrace.pixel_weights(rois, by=...), or give stat.weighted_mean(weights=...)",
            )
    return asked


def _place(recording: xr.DataArray, rois: Rois, asked: tuple[Statistic, ...], overlap: str) -> _Placed:
    """Line the ROIs up with the recording and settle overlaps, weights and flags."""
    if overlap not in {"keep", "exclude"}:
        raise ArgumentError(f"overlap={overlap!r}, expected 'keep' or 'exclude'")
    frame = frame_of(recording)
    rows: list[NDArray[np.float64]] = []
    weight_rows = []
    for one in asked:
        if "weighted" not in one.declaration.needs:
            continue
        own = rois if one.weights is None else rois.with_weights(one.weights)
        weights = _settle(own.within(frame), overlap).weights
        assert weights is not None
        same = [number for number, row in enumerate(rows) if np.array_equal(row, weights)]
        weight_rows.append(same[0] if same else len(rows))
        if not same:
            rows.append(weights)
    within = rois.within(frame)
    settled = _settle(within, overlap)
    table = RoiTable(settled.indptr, np.stack(rows) if rows else np.zeros((0, settled.pixels.size)))
    return _Placed(settled, table, tuple(weight_rows), _status(within, settled, asked))


def _settle(rois: Rois, overlap: str) -> Rois:
    if overlap == "keep":
        return rois
    members = np.bincount(rois.pixels, minlength=rois.shape[0] * rois.shape[1])
    keep = members[rois.pixels] == 1
    counts = np.bincount(np.repeat(np.arange(len(rois)), rois.n_pixels)[keep], minlength=len(rois))
    return replace(
        rois,
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        pixels=rois.pixels[keep],
        weights=None if rois.weights is None else rois.weights[keep],
    )


def _status(within: Rois, settled: Rois, asked: tuple[Statistic, ...]) -> NDArray[np.uint8]:
    """Return the flags that are known before a sample is read."""
    status = np.zeros(len(settled), dtype=np.uint8)
    none = within.n_pixels == 0
    status[none & (within.n_outside == 0)] |= STATUS_FLAGS["empty"]
    status[none & (within.n_outside > 0)] |= STATUS_FLAGS["off_frame"]
    status[~none & (within.n_outside > 0)] |= STATUS_FLAGS["partly_off_frame"]
    status[~none & (settled.n_pixels == 0)] |= STATUS_FLAGS["excluded"]
    for one in asked:
        proportion = dict(one.parameters).get("proportion_to_cut", 0)
        if proportion > 0:
            status[(_n_cut(settled, proportion) == 0) & (settled.n_pixels > 0)] |= STATUS_FLAGS["no_trim"]
    return status


def _n_cut(rois: Rois, proportion: float) -> NDArray[np.int64]:
    return np.array([int(proportion * n) for n in rois.n_pixels.tolist()], dtype=np.int64)


def _label(
    recording: xr.DataArray,
    placed: _Placed,
    asked: tuple[Statistic, ...],
    images: tuple[Statistic, ...],
    reduced: Reduced,
) -> xr.Dataset:
    rois = placed.rois
    coords = rois.coords() | ({"time": recording["time"].variable} if "time" in recording.coords else {})
    variables: dict[str, Any] = {}
    for one in asked:
        attrs = {"long_name": f"{one} of the pixels", "units": one.declaration.units, "statistic": str(one)}
        attrs["definition"] = one.declaration.doc
        variables[one.name] = (("roi", "time"), reduced.traces[one.name], attrs)
        proportion = dict(one.parameters).get("proportion_to_cut")
        if proportion is not None:
            cut_attrs = {"long_name": "pixels cut at each end", "units": "1"}
            variables[f"n_cut_{one.name}"] = ("roi", _n_cut(rois, proportion), cut_attrs)
    variables["n_pixels"] = ("roi", rois.n_pixels, {"long_name": "pixels used", "units": "1"})
    status: Any = placed.status
    if reduced.n_valid is not None:
        variables["n_valid"] = (("roi", "time"), reduced.n_valid, {"long_name": "valid pixels", "units": "1"})
        nothing = (reduced.n_valid == 0).all(axis=1) & (rois.n_pixels > 0)
        status = (status | nothing * np.uint8(STATUS_FLAGS["all_nan"])).astype(np.uint8)
    variables["status"] = (
        "roi",
        status,
        {
            "long_name": "why a trace is NaN or to be read with care",
            "flag_masks": list(STATUS_FLAGS.values()),
            "flag_meanings": " ".join(STATUS_FLAGS),
        },
    )
    dataset = xr.Dataset(variables, coords=coords, attrs=carried_attributes(recording))
    for one in images:
        dataset[f"projection_{one.name}"] = label_image(recording, one, reduced.images[one.name])
    names = [one.name for one in asked]
    return dataset.assign_attrs(primary="mean" if "mean" in names else names[0])
