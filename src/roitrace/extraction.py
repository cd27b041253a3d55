"""Recording and ROIs to pixel matrices and traces, lazily, each needed chunk read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.engine.places import limits_of
from roitrace.engine.reductions import reduce_recording
from roitrace.engine.regions import RoiTable
from roitrace.engine.request import Request
from roitrace.engine.statistics import Statistic, moments_needed, resolve
from roitrace.engine.time_parameters import bins_of, in_frames, periods_of, with_bins
from roitrace.errors import ArgumentError
from roitrace.exclusion import interpolate_excluded
from roitrace.frame import frame_of
from roitrace.groups import group_of_rule, join, neuropil_group
from roitrace.labelled_traces import STATUS_FLAGS, label_traces, split_groups, with_neuropil
from roitrace.overlap import overlap_rules, rule_allows
from roitrace.projection import carried_attributes, label_image
from roitrace.recording import blocks_of, check_recording, time_labels
from roitrace.rois import Rois, as_rois

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from roitrace.frame import Frame
    from roitrace.groups import Group

__all__ = ["DEFAULT_STATISTICS", "STATUS_FLAGS", "extract", "pixel_traces", "requested"]

DEFAULT_STATISTICS = ("mean", "median", "trimmed_mean", "weighted_mean")

_OTHER_RESULTS = {
    *("roi", "roi_id", "accepted", "time", "overlap", "n_pixels", "n_valid", "status", "overlap_fraction"),
    *("neuropil", "n_neuropil_pixels"),
}


def extract(
    recording: xr.DataArray,
    rois: Rois | xr.DataArray | ArrayLike,
    statistics: Statistic | str | Iterable[Statistic | str] = DEFAULT_STATISTICS,
    *,
    proportion_to_cut: float = 0.1,
    overlap: str | Sequence[str] = "keep",
    neuropil: Rois | None = None,
    convention: str | None = None,
    projections: Statistic | str | Iterable[Statistic | str] = (),
    bin_seconds: float | None = None,
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
        ``var``, ``sem``, ``percentile``, ``interquartile_mean``, ``huber``, ``weighted_median``, ``split_half``) or values of
        `roitrace.stat`. If left out, ``weighted_mean`` is computed only where the ROIs have weights.
    proportion_to_cut : float
        For the trimmed and winsorized means that are asked for by name: part of the pixels cut at each end.
    overlap : str or sequence of str
        What becomes of a pixel of several ROIs. ``"keep"``: it counts for each. ``"exclude"``: for none. ``"nearest"``: for the one whose
        centroid is nearest. ``"split"``: for each by its part of their weights (means and weighted statistics only).
        ``"least_squares"``: ROIs that share pixels are unmixed frame by frame (means only), see `roitrace.overlap.Unmixing`.
        Several rules come from the same read, along a dimension ``overlap``.
    neuropil : Rois, optional
        The neuropil of the same ROIs, see `roitrace.neuropil`; its mean comes from the same read as ``neuropil (roi, time)``.
    convention : {"suite2p"}, optional
        Whose F is meant: suite2p's is the mean weighted by ``lam``, shared pixels excluded: ``statistics=("weighted_mean",),
        overlap="exclude"``, unless they are given. ROIs without weights weigh 1, as those that are drawn in suite2p do.
    projections : str, Statistic or several
        Images to make of the same read, named ``projection_<name>``; see `project`.
    bin_seconds : float, optional
        For the projections, as in `project`.
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
        ``overlap_fraction (roi)``, ``n_cut_<name> (roi)`` of trimmed and winsorized means, and ``n_valid (roi, time)`` of float
        recordings; with several rules all but the fraction have the dimension ``overlap`` first. With neuropil also
        ``neuropil (roi, time)``, NaN where a ring has fewer than 50 pixels, and ``n_neuropil_pixels (roi)``. The attribute ``primary``
        names the statistic that is F. What `shift` and `exclude` did to frames is there as coordinates along time; frames marked ``interpolated`` are
        filled in.

    Raises
    ------
    ArgumentError
        If a statistic is unknown, has no meaning under an overlap rule, or is a weighted one asked for by name and the ROIs have no
        weights; if the neuropil is of other ROIs.
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
    statistics, overlap = _meant(statistics, overlap, convention)
    if convention is not None and given.weights is None:
        given = given.with_weights(np.ones(given.pixels.size))
    rules = overlap_rules(overlap)
    asked = _asked(statistics, given, proportion_to_cut, rules)
    images = resolve(projections, over_time=True) if projections else ()
    images = with_bins(images, bin_seconds)
    images = in_frames(images, recording.attrs.get("frame_rate"), recording.sizes["time"])
    _refuse_taken_names(asked, images)
    if not 0 <= min_coverage <= 1:
        raise ArgumentError(f"min_coverage={min_coverage}, expected 0 to 1")
    frame = frame_of(recording)
    groups = _groups(given, frame, asked, rules, neuropil)
    table, pixels, request = join(
        groups,
        moments=moments_needed(images),
        periods=periods_of(images),
        bins=bins_of(images),
        min_coverage=min_coverage if skipna else 1.0,
    )
    reduced = reduce_recording(
        blocks_of(recording),
        table,
        pixels,
        request,
        images,
        skipna=skipna,
        **limits_of(budget, workers)._asdict(),
    )
    parts = split_groups(groups, reduced)
    within = given.within(frame)
    dataset = label_traces(
        recording, within, parts[: len(rules)], asked, several=not isinstance(overlap, str)
    )
    if neuropil is not None:
        dataset = with_neuropil(dataset, parts[-1])
    if "interpolated" in recording.coords:
        dataset = interpolate_excluded(
            dataset, [*(one.name for one in asked), *(["neuropil"] if neuropil is not None else [])]
        )
    for one in images:
        dataset[f"projection_{one.name}"] = label_image(recording, one, reduced.images[one.name])
    names = [one.name for one in asked]
    return dataset.assign_attrs(primary="mean" if "mean" in names else names[0])


def requested(
    recording: xr.DataArray,
    rois: Rois | xr.DataArray | ArrayLike,
    statistics: Statistic | str | Iterable[Statistic | str] | None,
    images: tuple[Statistic, ...],
    overlap: str | Sequence[str] = "keep",
    neuropil: Rois | None = None,
) -> tuple[RoiTable, NDArray[np.int64], Request]:
    """Return what `extract` asks of the engine, for plans."""
    given, rules = as_rois(rois), overlap_rules(overlap)
    asked = _asked(DEFAULT_STATISTICS if statistics is None else statistics, given, 0.1, rules)
    groups = _groups(given, frame_of(recording), asked, rules, neuropil)
    return join(
        groups,
        moments=moments_needed(images),
        periods=periods_of(images),
        bins=bins_of(images),
        min_coverage=0.9,
    )


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
        **limits_of(budget, workers)._asdict(),
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
    coords |= time_labels(recording)
    attrs = {"long_name": "pixel time series", "units": "count"} | carried_attributes(recording)
    return xr.DataArray(reduced.pixels, dims=("pixel", "time"), coords=coords, name="pixels", attrs=attrs)


def _refuse_taken_names(asked: Sequence[Statistic], images: Sequence[Statistic]) -> None:
    taken = (
        _OTHER_RESULTS | {f"projection_{one.name}" for one in images} | {f"n_cut_{one.name}" for one in asked}
    )
    for one in asked:
        if one.name in taken:
            raise ArgumentError(
                f"a statistic is named {one.name!r}, and {one.name!r} is the name of another result",
                "give it another name=",
            )


def _meant(
    statistics: Statistic | str | Iterable[Statistic | str],
    overlap: str | Sequence[str],
    convention: str | None,
) -> tuple[Statistic | str | Iterable[Statistic | str], str | Sequence[str]]:
    """Complete what was asked for by the convention of another tool."""
    if convention is None:
        return statistics, overlap
    if convention != "suite2p":
        raise ArgumentError(f"convention={convention!r}, expected 'suite2p' or None")
    return (
        ("weighted_mean",) if statistics is DEFAULT_STATISTICS else statistics,
        "exclude" if overlap == "keep" else overlap,
    )


def _asked(
    statistics: Statistic | str | Iterable[Statistic | str],
    rois: Rois,
    proportion_to_cut: float,
    rules: tuple[str, ...],
) -> tuple[Statistic, ...]:
    if statistics is DEFAULT_STATISTICS:
        possible = [name for name in DEFAULT_STATISTICS if all(rule_allows(rule, name) for rule in rules)]
        statistics = [name for name in possible if name != "weighted_mean" or rois.weights is not None]
    asked = resolve(statistics, over_pixels=True, proportion_to_cut=proportion_to_cut)
    for one in asked:
        weighted = "weighted" in one.declaration.needs and not one.declaration.own_weights
        if weighted and one.weights is None and rois.weights is None:
            raise ArgumentError(
                f"{one.name!r} needs weights, and the ROIs have none",
                f"make some with roitrace.pixel_weights(rois, by=...), or give stat.{one.kind}(weights=...)",
            )
    return asked


def _groups(
    rois: Rois, frame: Frame, asked: tuple[Statistic, ...], rules: tuple[str, ...], neuropil: Rois | None
) -> list[Group]:
    """One group of ROIs per overlap rule, and the neuropil last."""
    groups = [group_of_rule(rois, frame, asked, rule) for rule in rules]
    return groups if neuropil is None else [*groups, neuropil_group(_rings(rois, neuropil).within(frame))]


def _rings(rois: Rois, rings: Rois) -> Rois:
    if not isinstance(rings, Rois):
        raise ArgumentError(
            f"neuropil is a {type(rings).__name__}, expected Rois", "make them with roitrace.neuropil(rois)"
        )
    if rings.names != rois.names:
        raise ArgumentError(
            f"neuropil has {len(rings)} ROIs, the first {', '.join(rings.names[:3])}; the ROIs are {len(rois)}, the first "
            f"{', '.join(rois.names[:3])}",
            "give the neuropil of the same ROIs in the same order, for example roitrace.neuropil(all)[list(rois.names)]",
        )
    return rings
