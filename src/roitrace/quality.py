"""How noisy traces are, and how far their transients rise above the noise."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from roitrace.baseline import BaselineRule
from roitrace.kernels.noise import difference_noise, peak_over_noise
from roitrace.traces import map_rois, pick_trace, time_axis

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from roitrace.traces import Duration

__all__ = ["noise", "peak_snr"]


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


def _noise(trace: NDArray[np.float64], *, borders: NDArray[np.int64]) -> tuple[float]:
    return (difference_noise(trace, borders),)


def _peak_snr(trace: NDArray[np.float64], *, rule: BaselineRule) -> tuple[float]:
    smooth = rule.smooth(trace)
    return (peak_over_noise(smooth, rule.f0(smooth), difference_noise(trace, rule.borders)),)
