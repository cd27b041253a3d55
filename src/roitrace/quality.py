"""How good traces are: noise, signal above it, and a table of everything that is known of each ROI."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.baseline import BaselineRule
from roitrace.baseline_methods import fit_bleaching
from roitrace.errors import ArgumentError
from roitrace.kernels.measures import correlation, drift, nu, skewness, split_half_reliability, suite2p_snr
from roitrace.kernels.noise import difference_noise, peak_over_noise
from roitrace.motion import summarize_motion
from roitrace.traces import map_rois, pick_trace, spread_rules, time_axis

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from roitrace.rois import Rois
    from roitrace.traces import Duration

__all__ = ["MEASURES", "noise", "peak_snr", "quality"]

MEASURES = {
    "level": ("median of F", "count"),
    "noise": ("noise of F", "count"),
    "peak_snr": ("peak signal to noise ratio", "1"),
    "nu": ("noise level of Rupprecht, per cent of dF/F per root of Hz", "1"),
    "suite2p_snr": ("1 - var(differences) / (2 var)", "1"),
    "skewness": ("skewness of F", "1"),
    "drift": ("change of the median from the first to the last tenth, relative", "1"),
    "bleach_time": ("time constant of bleaching", "s"),
    "finite_fraction": ("part of the frames with a value", "1"),
    "interpolated_fraction": ("part of the frames whose values are interpolated", "1"),
    "coverage": ("mean part of the pixels that are valid", "1"),
    "saturated_fraction": ("part of the frames in which a pixel is saturated", "1"),
    "mean_median_correlation": ("correlation of mean and median", "1"),
    "mean_median_ratio": ("median over time of the median trace over that of the mean trace", "1"),
    "split_half_reliability": ("reliability of the mean, from two halves of the pixels", "1"),
    "neuropil_correlation": ("correlation of F with its neuropil", "1"),
    "neuropil_coefficient": ("part of the neuropil in F", "1"),
    "overlap_fraction": ("part of the pixels that other ROIs have too", "1"),
    "residual_motion": ("displacement of sampled frames, 95th percentile", "pixel"),
    "dy_correlation": ("correlation of F with shifts along y", "1"),
    "dx_correlation": ("correlation of F with shifts along x", "1"),
    "n_pixels": ("pixels", "1"),
    "border_distance": ("distance to the frame's edge", "pixel"),
    "n_outside": ("pixels off the frame", "1"),
}
"""Every column that the table of `roitrace.quality` may have: what it is, and its unit."""

_OF_TRACE = (
    "level",
    "noise",
    "peak_snr",
    "nu",
    "suite2p_snr",
    "skewness",
    "drift",
    "bleach_time",
    "finite_fraction",
)


def noise(
    traces: xr.Dataset | xr.DataArray,
    *,
    statistic: str | None = None,
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> xr.DataArray:
    """Noise of each trace from its frame-to-frame differences d.

    ``1.4826 * median|d - median d| / sqrt(2)``: the standard deviation of independent normal noise, hardly moved by
    slow signals and rare transients. Differences over a gap, a change of session or a missing sample do not count.
    That differences of frames measure noise robustly is also the idea of the measure nu of Rupprecht et al. [1]_,
    which is another number (per square root of the frame rate, of dF/F).

    Parameters
    ----------
    traces : Dataset or DataArray
        ``(roi, time)``: from `extract`, or one variable of it; in memory or lazy.
    statistic : str, optional
        Variable of a Dataset; its ``primary`` if not given.
    budget, workers
        As in `roitrace.baseline`.

    Returns
    -------
    DataArray
        ``noise (roi)``, float64, in the unit of the traces; NaN where no two neighbouring frames are finite. Lazy if
        the traces are.

    Raises
    ------
    ArgumentError
        For an unknown statistic.

    References
    ----------
    .. [1] P. Rupprecht et al., Nature Neuroscience 24, 1324-1337 (2021).

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> values = np.random.default_rng(0).normal(100.0, 5.0, (1, 50_000))
    >>> round(float(noise(xr.DataArray(values, dims=("roi", "time")))[0]))
    5
    """
    trace = pick_trace(traces, statistic)
    results = map_rois(
        partial(_noise, borders=time_axis(trace).borders),
        trace,
        outputs={"noise": np.float64},
        budget=budget,
        workers=workers,
    )
    results["noise"].attrs = {"long_name": "noise of F", "statistic": str(trace.name)}
    return results["noise"]


def peak_snr(
    traces: xr.Dataset | xr.DataArray,
    *,
    statistic: str | None = None,
    percentile: float = 8.0,
    window: Duration | None = 60.0,
    smoothing: Duration | None = 0.5,
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> xr.DataArray:
    """How far the highest transients of each trace rise above its noise.

    The 99th percentile over time of the smoothed trace minus F0, divided by `noise`; the smoothed trace and F0 are
    those of `roitrace.baseline`. An offset or a factor on the trace leaves it as it is.

    Parameters
    ----------
    traces, statistic, percentile, window, smoothing, budget, workers
        As in `roitrace.baseline`.

    Returns
    -------
    DataArray
        ``peak_snr (roi)``, float64, dimensionless; NaN without finite samples or without noise. Lazy if the traces
        are.

    Raises
    ------
    ArgumentError, MetadataError, BudgetError
        As in `roitrace.baseline`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> trace = xr.DataArray(np.tile([1.0, 2.0, 1.0, 8.0], 50)[None], dims=("roi", "time"), name="mean")
    >>> round(float(peak_snr(trace, window="100 frames", smoothing=None)[0]), 2)
    3.34
    """
    trace = pick_trace(traces, statistic)
    rule = BaselineRule.for_trace(trace, percentile, window, smoothing)
    results = map_rois(
        partial(_peak_snr, rule=rule),
        trace,
        outputs={"peak_snr": np.float64},
        budget=budget,
        workers=workers,
    )
    results["peak_snr"].attrs = {
        "long_name": "peak signal to noise ratio",
        "units": "1",
        "statistic": str(trace.name),
        **rule.attrs(),
    }
    return results["peak_snr"]


def quality(
    traces: xr.Dataset | xr.DataArray,
    rois: Rois | None = None,
    *,
    saturation: float | None = None,
    motion: xr.Dataset | None = None,
    offset: float = 0.0,
    statistic: str | None = None,
    percentile: float = 8.0,
    window: Duration | None = 60.0,
    smoothing: Duration | None = 0.5,
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> xr.Dataset:
    """Tabulate what is known of each ROI's trace; ``.to_dataframe()`` makes it a table to filter by.

    Of F, always: ``level``, ``noise`` and ``peak_snr`` (see `roitrace.noise`, `roitrace.peak_snr`); ``nu``, ``100 median|differences of
    dF/F| / sqrt(frame rate)`` [1]_ (NaN without a frame rate); ``suite2p_snr``, ``1 - var(differences) / (2 var)``; ``skewness``; ``drift``, the
    median of the last tenth minus that of the first, over that of all; ``bleach_time``, the mean time constant of a double exponential fit, in s
    (in frames without a frame rate), NaN where nothing bleaches; ``finite_fraction``.

    Where the traces have what it takes: ``coverage`` (float recordings); ``saturated_fraction`` (the statistic ``max`` and `saturation`);
    ``mean_median_correlation`` and ``mean_median_ratio`` (``mean``, ``median``); ``split_half_reliability``, ``2 r / (1 + r)`` (``split_half``);
    ``neuropil_correlation`` (``neuropil`` or ``fneu``); ``neuropil_coefficient`` (``r`` of `correct_neuropil`); ``overlap_fraction``; ``n_pixels``.
    ``dy_correlation`` and ``dx_correlation`` (`motion`, in the frames that it has, else the coordinates ``dy`` and ``dx`` that `shift` leaves), and
    with `residual_motion`'s result ``residual_motion``, the same for all: a trace that goes with the shifts tells of motion, not of activity;
    ``interpolated_fraction`` (`exclude`).
    With ROIs: ``border_distance``, pixels between the ROI and the nearest edge (0: it touches it), and ``n_outside``.

    Parameters
    ----------
    traces : Dataset or DataArray
        From `extract` or `correct_neuropil`; in memory or lazy. Of several overlap rules the first counts.
    rois : Rois, optional
        The ROIs of the traces, in their order.
    saturation : float, optional
        Largest value of the detector, counts.
    motion : Dataset, optional
        Of the same recording, from `residual_motion`, or shifts from `read_shifts`, one per frame of the traces.
    offset : float
        Dark level of the detector, counts; for ``nu``, ``drift`` and ``mean_median_ratio``.
    statistic, percentile, window, smoothing, budget, workers
        As in `roitrace.baseline`.

    Returns
    -------
    Dataset
        The columns above, ``(roi,)``, see `MEASURES`. Lazy if the traces are.

    Raises
    ------
    ArgumentError
        If the ROIs are others, saturation is asked of traces without ``max``, or the motion is of other frames.
    MetadataError, BudgetError
        As in `roitrace.baseline`.

    References
    ----------
    .. [1] P. Rupprecht et al., Nature Neuroscience 24, 1324-1337 (2021).

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> values = np.random.default_rng(0).normal(100.0, 5.0, (1, 5000))
    >>> table = quality(xr.DataArray(values, dims=("roi", "time"), name="mean"), window=None, smoothing=None)
    >>> round(float(table["noise"][0]), 1), round(float(table["level"][0]), 1)
    (5.0, 99.9)
    """
    if isinstance(traces, xr.Dataset):
        traces = spread_rules(traces)
    trace = pick_trace(traces, statistic)
    rule = BaselineRule.for_trace(trace, percentile, window, smoothing)
    limits: dict[str, Any] = {"budget": budget, "workers": workers}
    columns = map_rois(
        partial(_of_trace, rule=rule, interval=time_axis(trace).interval, offset=float(offset)),
        trace,
        outputs=dict.fromkeys(_OF_TRACE, np.float64),
        **limits,
    )
    if isinstance(traces, xr.Dataset):
        columns |= _of_variables(traces, trace, float(offset), limits)
    if saturation is not None:
        columns["saturated_fraction"] = _saturated(traces, saturation)
    columns |= _of_motion(trace, motion, limits)
    if rois is not None:
        columns |= _of_rois(rois, trace)
    for name, column in columns.items():
        meaning, unit = MEASURES[name]
        if name == "bleach_time" and time_axis(trace).interval is None:
            unit = "frame"
        column.attrs = {"long_name": meaning, "units": unit}
    return xr.Dataset(columns, attrs={"statistic": str(trace.name), "offset": float(offset), **rule.attrs()})


def _of_trace(
    trace: NDArray[np.float64], *, rule: BaselineRule, interval: float | None, offset: float
) -> tuple[float, ...]:
    finite = np.isfinite(trace)
    if not finite.any():
        return (*(float("nan"),) * (len(_OF_TRACE) - 1), 0.0)
    borders, above = rule.borders, trace - offset
    smooth = rule.smooth(trace)
    f0, level = rule.f0(smooth), difference_noise(trace, rule.borders)
    rest = f0 - offset
    dff = np.divide(trace - f0, rest, out=np.full_like(trace, np.nan), where=rest > 0)
    longest = int(np.argmax(np.diff(borders)))
    fit = fit_bleaching(trace[borders[longest] : borders[longest + 1]], rule.percentile)
    bleach = float("nan") if fit is None else fit.time_constant * (interval or 1.0)
    return (
        float(np.median(trace[finite])),
        level,
        peak_over_noise(smooth, f0, level),
        float("nan") if interval is None else nu(dff, borders, 1.0 / interval),
        suite2p_snr(trace, borders),
        skewness(trace),
        drift(above),
        bleach,
        float(finite.mean()),
    )


def _of_variables(
    traces: xr.Dataset, trace: xr.DataArray, offset: float, limits: dict[str, Any]
) -> dict[str, xr.DataArray]:
    """Columns from whatever else the traces hold."""
    columns: dict[str, xr.DataArray] = {}

    def compare(name: str, function: Any, *others: str) -> None:
        pair = [pick_trace(traces, one) for one in others]
        pair = pair if len(pair) == 2 else [trace, *pair]
        columns[name] = map_rois(_alone(function), *pair, outputs={name: np.float64}, **limits)[name]

    if {"mean", "median"} <= set(traces):
        compare("mean_median_correlation", correlation, "mean", "median")
        compare("mean_median_ratio", partial(_ratio, offset=offset), "mean", "median")
    if {"half_a", "half_b"} <= set(traces):
        compare("split_half_reliability", split_half_reliability, "half_a", "half_b")
    for name in ("neuropil", "fneu"):
        if name in traces:
            compare("neuropil_correlation", correlation, name)
    for name, column in (
        ("overlap_fraction", "overlap_fraction"),
        ("r", "neuropil_coefficient"),
        ("n_pixels", "n_pixels"),
    ):
        if name in traces and traces[name].dims == ("roi",):
            columns[column] = traces[name].astype(np.float64).rename(column)
    if "interpolated" in trace.coords:
        known = trace.notnull()
        columns["interpolated_fraction"] = (
            (known & trace["interpolated"]).mean("time").rename("interpolated_fraction")
        )
    if {"n_valid", "n_pixels"} <= set(traces):
        columns["coverage"] = (
            traces["n_valid"].mean("time") / traces["n_pixels"].where(traces["n_pixels"] > 0)
        ).rename("coverage")
    return columns


def _of_motion(
    trace: xr.DataArray, motion: xr.Dataset | None, limits: dict[str, Any]
) -> dict[str, xr.DataArray]:
    """Columns of how F goes with shifts: those given, else those that the frames were moved by."""
    source = trace if motion is None else motion
    if not {"dy", "dx"} <= {*source.coords, *getattr(source, "data_vars", ())}:
        if motion is None:
            return {}
        raise ArgumentError(
            f"motion holds {', '.join(map(str, motion))}, and no dy and dx",
            "give what roitrace.residual_motion or roitrace.read_shifts returns",
        )
    count = trace.sizes["time"]
    frames = (
        np.asarray(source["frame"].values) if "frame" in source.coords else np.arange(source.sizes["time"])
    )
    if frames.size == 0 or frames.max() >= count or ("frame" not in source.coords and frames.size != count):
        raise ArgumentError(
            f"the motion is of {frames.size} frames, and the traces have {count}",
            "give the motion of the same recording",
        )
    moves = np.stack([np.asarray(source[name].values, dtype=np.float64) for name in ("dy", "dx")])
    names = ("dy_correlation", "dx_correlation")
    columns = map_rois(
        partial(_with_moves, frames=frames, moves=moves),
        trace,
        outputs=dict.fromkeys(names, np.float64),
        **limits,
    )
    if motion is not None and "frame" in motion.coords:
        summary = summarize_motion(motion)
        columns["residual_motion"] = xr.full_like(columns["dy_correlation"], summary.percentile_95).rename(
            "residual_motion"
        )
    return columns


def _with_moves(
    trace: NDArray[np.float64], *, frames: NDArray[np.int64], moves: NDArray[np.float64]
) -> tuple[float, ...]:
    return tuple(correlation(trace[frames], one) for one in moves)


def _alone(function: Any) -> Any:
    return partial(_one, function=function)


def _one(*rows: NDArray[np.float64], function: Any) -> tuple[float]:
    return (function(*rows),)


def _ratio(mean: NDArray[np.float64], median: NDArray[np.float64], *, offset: float) -> float:
    both = np.isfinite(mean) & np.isfinite(median)
    level = float(np.median(mean[both])) - offset if both.any() else 0.0
    return (float(np.median(median[both])) - offset) / level if level else float("nan")


def _saturated(traces: xr.Dataset | xr.DataArray, saturation: float) -> xr.DataArray:
    if not isinstance(traces, xr.Dataset) or "max" not in traces:
        raise ArgumentError(
            f"saturation={saturation:g} needs the brightest pixel of each frame",
            "extract the statistic 'max' too",
        )
    largest = traces["max"]
    return (largest >= saturation).where(largest.notnull()).mean("time").rename("saturated_fraction")


def _of_rois(rois: Rois, trace: xr.DataArray) -> dict[str, xr.DataArray]:
    names = trace["roi"].values.astype(str).tolist() if "roi" in trace.coords else list(rois.names)
    if len(rois) != trace.sizes.get("roi", 1) or names != list(rois.names):
        raise ArgumentError(
            f"there are {len(rois)} ROIs and {trace.sizes.get('roi', 1)} traces, or their names differ",
            "give the ROIs of the traces, in their order",
        )
    height, width = rois.shape
    y, x = np.divmod(rois.pixels, width)
    distance = np.full(len(rois), np.inf)
    rows = np.repeat(np.arange(len(rois)), rois.n_pixels)
    np.minimum.at(distance, rows, np.minimum.reduce([y, x, height - 1 - y, width - 1 - x]).astype(np.float64))
    distance = np.where(rois.n_pixels > 0, distance, np.nan)
    coords = {name: trace[name] for name in trace.coords if trace[name].dims == ("roi",)}
    columns = {"border_distance": distance, "n_outside": rois.n_outside, "n_pixels": rois.n_pixels}
    columns["overlap_fraction"] = rois.overlap_fraction()
    return {
        name: xr.DataArray(np.asarray(values, dtype=np.float64), dims="roi", coords=coords, name=name)
        for name, values in columns.items()
    }


def _noise(trace: NDArray[np.float64], *, borders: NDArray[np.int64]) -> tuple[float]:
    return (difference_noise(trace, borders),)


def _peak_snr(trace: NDArray[np.float64], *, rule: BaselineRule) -> tuple[float]:
    smooth = rule.smooth(trace)
    return (peak_over_noise(smooth, rule.f0(smooth), difference_noise(trace, rule.borders)),)
