"""Traces against traces: statistics against each other, and against the truth."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.baseline import BaselineRule
from roitrace.errors import ArgumentError
from roitrace.kernels.noise import difference_noise, peak_over_noise
from roitrace.normalization import normalize
from roitrace.traces import check_same_axes, map_rois, pick_trace, spread_rules, statistic_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from roitrace.traces import Duration

__all__ = ["compare", "score_traces"]

_MEASURES = {
    "correlation": "Pearson correlation with the reference",
    "slope": "slope of the least squares line on the reference",
    "offset": "offset of the least squares line on the reference",
    "rms_difference": "root mean square of the difference from the reference",
    "mean_difference": "mean difference from the reference",
    "noise": "noise",
    "peak_snr": "peak signal to noise ratio",
}
_SCORED_WITH = (
    "offset",
    "baseline",
    "percentile",
    "window_frames",
    "smoothing_frames",
    "cutoff_hertz",
    "first_frames",
    "n_frames",
)
_IN_COUNTS = frozenset({"offset", "rms_difference", "mean_difference", "noise"})


def compare(
    traces: xr.Dataset,
    *,
    against: str | None = None,
    statistics: Sequence[str] | None = None,
    percentile: float = 8.0,
    window: Duration | None = 60.0,
    smoothing: Duration | None = 0.5,
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> xr.Dataset:
    """Compare every statistic with one of them, ROI by ROI, in counts.

    With y the trace of a statistic and x that of the reference, over the frames where both are finite: Pearson's
    ``correlation``; ``slope`` and ``offset`` of the least squares line ``y = slope * x + offset``;
    ``rms_difference`` ``sqrt(mean((y - x)^2))`` and ``mean_difference`` ``mean(y - x)``; and of y alone its
    `roitrace.noise` and `roitrace.peak_snr`. In counts, since dF/F misleads here: a median with a lower level looks
    larger.

    Parameters
    ----------
    traces : Dataset
        From `extract`: one variable ``(roi, time)`` per statistic; in memory or lazy. Of several overlap rules the first has the
        plain names, the others are ``mean (exclude)`` and so on.
    against : str, optional
        The reference; the traces' ``primary`` if not given.
    statistics : sequence of str, optional
        Those to compare; all floating point variables ``(roi, time)`` if not given.
    percentile, window, smoothing
        As in `roitrace.baseline`; for ``peak_snr``.
    budget, workers
        As in `roitrace.baseline`.

    Returns
    -------
    Dataset
        The seven numbers above, ``(statistic, roi)`` float64; NaN where there is nothing to compare, and correlation
        and slope where a trace is constant. Lazy if the traces are; the same bits for any chunking.

    Raises
    ------
    ArgumentError
        If the traces are no Dataset or have no such statistic.
    MetadataError
        If a duration is in seconds and the traces have no frame rate.
    BudgetError
        If the trace of one ROI does not fit a lazy task's part of the budget.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> mean = np.array([[1.0, 2.0, 4.0]])
    >>> traces = xr.Dataset({"mean": (("roi", "time"), mean), "sum": (("roi", "time"), 9 * mean)})
    >>> result = compare(traces, against="mean", window=None, smoothing=None)
    >>> result["slope"].values.round(6).ravel(), result["mean_difference"].values.round(2).ravel()
    (array([1., 9.]), array([ 0.  , 18.67]))
    """
    if not isinstance(traces, xr.Dataset):
        raise ArgumentError(
            f"the traces are a {type(traces).__name__}, expected a Dataset of several statistics",
            "give what extract returns",
        )
    traces = spread_rules(traces)
    reference = pick_trace(traces, against)
    names = statistic_names(traces) if statistics is None else tuple(statistics)
    if not names:
        raise ArgumentError("there is no statistic to compare", "extract more than one")
    rule = BaselineRule.for_trace(reference, percentile, window, smoothing)
    parts = [
        xr.Dataset(
            map_rois(
                partial(_compare_row, rule=rule),
                pick_trace(traces, name),
                reference,
                outputs=dict.fromkeys(_MEASURES, np.float64),
                budget=budget,
                workers=workers,
            )
        )
        for name in names
    ]
    together = _stack(parts, names)
    for measure, meaning in _MEASURES.items():
        together[measure].attrs = {
            "long_name": meaning,
            "units": "count" if measure in _IN_COUNTS else "1",
        }
    return together.assign_attrs(**traces.attrs, against=str(reference.name), **rule.attrs())


def score_traces(
    traces: xr.Dataset | xr.DataArray,
    truth: xr.DataArray,
    pairs: xr.Dataset | None = None,
    *,
    statistics: Sequence[str] | None = None,
    offset: float = 0.0,
    baseline: str = "rolling_percentile",
    percentile: float = 8.0,
    window: Duration | None = 60.0,
    smoothing: Duration | None = 0.5,
    first: Duration | None = None,
    frames: ArrayLike | None = None,
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> xr.Dataset:
    """Score the dF/F of every statistic against the true dF/F, without refitting scale or level.

    Each statistic is normalised by `roitrace.normalize` (``dff``) and compared with the truth over the frames where both
    are finite: Pearson's ``correlation`` and ``rmse``, ``sqrt(mean((dff - truth)^2))``.

    Parameters
    ----------
    traces : Dataset or DataArray
        From `extract`, ``(roi, time)`` in counts: of true masks, or of found ones with `pairs`; in memory or lazy.
    truth : DataArray
        True dF/F ``(roi, time)``, a fraction, of the same frames.
    pairs : Dataset, optional
        From `roitrace.match_rois`, with `found` the ROIs of `traces` and `truth` those of `truth`. Without it both hold the same
        ROIs.
    statistics : sequence of str, optional
        Those to score; all floating point variables ``(roi, time)`` if not given.
    offset, baseline, percentile, window, smoothing, first, frames
        As in `roitrace.normalize`.
    budget, workers
        As in `roitrace.baseline`.

    Returns
    -------
    Dataset
        ``correlation`` and ``rmse`` ``(statistic, roi)``, their medians over the scored ROIs ``median_correlation`` and
        ``median_rmse (statistic)``, and ``n_scored (statistic)``, the ROIs with a finite RMSE; ``truth_roi`` names the
        true ROI of each. Lazy if the traces are.

    Raises
    ------
    ArgumentError
        If truth or pairs do not belong to the traces, or there is no such statistic.
    MetadataError, BudgetError
        As in `roitrace.normalize`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> true = xr.DataArray([[0.0, 0.0, 1.0, 0.0, 0.0]], dims=("roi", "time"))
    >>> traces = xr.Dataset({"mean": 20.0 * (1 + true)}, attrs={"primary": "mean"})
    >>> scores = score_traces(traces, true, window=None, smoothing=None)
    >>> float(scores["median_rmse"].sel(statistic="mean"))
    0.0
    """
    names: tuple[str | None, ...] = (None,)
    if statistics is not None:
        names = tuple(statistics)
    elif isinstance(traces, xr.Dataset):
        names = statistic_names(traces)
    if not names:
        raise ArgumentError("there is no statistic to score", "extract at least one")
    scores, labels = [], []
    for name in names:
        trace, true = _beside(pick_trace(traces, name), pick_trace(truth), pairs)
        normalized = normalize(
            trace,
            "dff",
            offset=offset,
            baseline=baseline,
            percentile=percentile,
            window=window,
            smoothing=smoothing,
            first=first,
            frames=frames,
            budget=budget,
            workers=workers,
        )
        parts = map_rois(
            _score_row,
            normalized["dff"],
            true,
            outputs=dict.fromkeys(("correlation", "rmse"), np.float64),
            budget=budget,
            workers=workers,
        )
        scores.append(xr.Dataset(parts))
        labels.append(str(trace.name))
    together = _stack(scores, labels)
    together["correlation"].attrs = {"long_name": "Pearson correlation with the true dF/F", "units": "1"}
    together["rmse"].attrs = {"long_name": "root mean square error of dF/F", "units": "1"}
    for measure in ("correlation", "rmse"):
        together[f"median_{measure}"], n_scored = _median_over_rois(together[measure])
    together["n_scored"] = n_scored
    together.attrs = {name: normalized.attrs[name] for name in _SCORED_WITH if name in normalized.attrs}
    return together if pairs is None else together.assign_coords(truth_roi=("roi", pairs["truth"].values))


def _compare_row(
    trace: NDArray[np.float64], reference: NDArray[np.float64], *, rule: BaselineRule
) -> tuple[float, ...]:
    smooth = rule.smooth(trace)
    level = difference_noise(trace, rule.borders)
    peak = peak_over_noise(smooth, rule.f0(smooth), level)
    both = np.isfinite(trace) & np.isfinite(reference)
    y, x = trace[both], reference[both]
    if not x.size:
        return (*(np.nan,) * 5, level, peak)
    slope, intercept = _line(x, y)
    difference = y - x
    return (
        _correlation(x, y),
        slope,
        intercept,
        float(np.sqrt(np.mean(difference**2))),
        float(difference.mean()),
        level,
        peak,
    )


def _score_row(dff: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[float, float]:
    both = np.isfinite(dff) & np.isfinite(truth)
    if not both.any():
        return np.nan, np.nan
    return _correlation(truth[both], dff[both]), float(np.sqrt(np.mean((dff[both] - truth[both]) ** 2)))


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and offset of the least squares line; NaN where x is constant."""
    if x.min() == x.max():
        return np.nan, np.nan
    dx = x - x.mean()
    slope = float(np.sum(dx * (y - y.mean())) / np.sum(dx * dx))
    return slope, float(y.mean() - slope * x.mean())


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Pearson's r; NaN where x or y is constant."""
    if x.min() == x.max() or y.min() == y.max():
        return np.nan
    dx, dy = x - x.mean(), y - y.mean()
    r = np.sum(dx * dy) / np.sqrt(np.sum(dx * dx) * np.sum(dy * dy))
    return float(np.clip(r, -1.0, 1.0))


def _stack(parts: Sequence[xr.Dataset], names: Sequence[str]) -> xr.Dataset:
    """Put results of several statistics side by side."""
    dim = xr.Variable("statistic", list(names))
    return xr.concat(parts, dim=dim, coords="minimal", compat="override", join="override")


def _median_over_rois(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Median of the finite values along ``roi``, and how many there are."""
    median, count = xr.apply_ufunc(
        _finite_median,
        values if values.chunks is None else values.chunk({"roi": -1}),
        input_core_dims=[["roi"]],
        output_core_dims=[[], []],
        dask="parallelized",
        output_dtypes=[np.float64, np.int64],
        keep_attrs=True,
    )
    count.attrs = {"long_name": "ROIs that could be scored", "units": "1"}
    return median, count


def _finite_median(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    finite = np.isfinite(values)
    count = np.count_nonzero(finite, axis=-1)
    median = np.full(values.shape[:-1], np.nan)
    for index in np.ndindex(median.shape):
        if count[index]:
            median[index] = np.median(values[index][finite[index]])
    return median, count


def _beside(
    trace: xr.DataArray, truth: xr.DataArray, pairs: xr.Dataset | None
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return traces and truth of the same ROIs in the same order, under the names of the traces."""
    for what, one in (("the traces", trace), ("the truth", truth)):
        if "roi" not in one.dims:
            raise ArgumentError(f"{what} have dims {one.dims}, expected roi and time")
    if pairs is not None:
        trace = _chosen(trace, pairs, "found")
        truth = _chosen(truth, pairs, "truth").drop_vars("roi", errors="ignore")
    check_same_axes(trace, truth, "the truth")
    truth = truth.drop_vars([name for name in truth.coords if name != "time"])
    return trace, truth.assign_coords(roi=trace["roi"]) if "roi" in trace.coords else truth


def _chosen(trace: xr.DataArray, pairs: xr.Dataset, side: str) -> xr.DataArray:
    """Take the ROIs of one side of the pairs, by position; names must agree."""
    index = pairs[f"{side}_index"].values
    if index.size and index.max() >= trace.sizes["roi"]:
        raise ArgumentError(
            f"pairs name the {side} ROI at position {index.max()}, there are {trace.sizes['roi']} traces",
            "give the traces of the ROIs that were matched",
        )
    chosen = trace.isel(roi=index)
    if "roi" in trace.coords:
        given, expected = chosen["roi"].values.astype(str), pairs[side].values.astype(str)
        if not np.array_equal(given, expected):
            first = int(np.flatnonzero(given != expected)[0])
            raise ArgumentError(
                f"pairs expect the {side} ROI {str(expected[first])!r} where the traces have {str(given[first])!r}",
                "give the traces of the ROIs that were matched, in their order",
            )
    return chosen
