"""Traces to dF/F and other scales that cells share."""

from __future__ import annotations

import math
from functools import partial, reduce
from itertools import pairwise
from operator import or_
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.baseline import BaselineOptions
from roitrace.choices import NORMALIZATIONS
from roitrace.errors import ArgumentError
from roitrace.kernels.noise import MAD_TO_SD, difference_noise, sorted_median
from roitrace.traces import check_same_axes, map_rois, pick_trace, time_axis

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from roitrace.traces import Duration

__all__ = ["STATUS", "normalize"]


STATUS = {"small_f0": 1, "mad_zero": 2, "constant": 4, "all_nan": 8, "no_baseline": 16}
"""Flags of the variable ``status`` of `normalize`."""

_SCALE_NAMES = {
    "dff": "dF/F",
    "zscore": "z-score",
    "robust_zscore": "robust z-score",
    "minmax": "part of the range",
}


def normalize(
    traces: xr.Dataset | xr.DataArray,
    method: str = "dff",
    *,
    statistic: str | None = None,
    offset: float = 0.0,
    neuropil: xr.Dataset | xr.DataArray | None = None,
    neuropil_factor: float = 0.7,
    baseline: str = "rolling_percentile",
    percentile: float = 8.0,
    window: Duration | None = 60.0,
    smoothing: Duration | None = 0.5,
    first: Duration | None = None,
    frames: ArrayLike | None = None,
    reference: xr.Dataset | xr.DataArray | None = None,
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> xr.Dataset:
    """Put traces on a scale that cells share: dF/F, z-score, robust z-score or the range from 0 to 1.

    First the detector's dark level and the neuropil are subtracted:
    ``F = (raw - offset) - neuropil_factor * (Fneu - offset)``. Then, per ROI, over its finite samples:

    - ``dff``: ``(F - F0) / F0``, a fraction, with F0 of `roitrace.baseline`; NaN where F0 is not above the trace's `roitrace.noise`
      (status ``small_f0``), since the quotient would mostly show noise.
    - ``zscore``: ``(F - mean) / sd``, sd with ddof 0.
    - ``robust_zscore``: ``(F - median) / (1.4826 * MAD)`` [1]_; MAD is the median absolute deviation.
    - ``minmax``: ``(F - min) / (max - min)``.

    Where the coordinate ``session (time)`` changes, mean, sd, median, MAD, range and the noise that F0 is compared with are
    those of each session.

    Parameters
    ----------
    traces : Dataset or DataArray
        ``(roi, time)`` in counts: from `extract`, or one variable of it; in memory or lazy.
    method : {"dff", "zscore", "robust_zscore", "minmax"}
        The scale.
    statistic : str, optional
        Variable of a Dataset that is F; its ``primary`` if not given.
    offset : float
        Dark level of the detector, counts.
    neuropil : Dataset or DataArray, optional
        Fneu ``(roi, time)`` of the same ROIs and frames, counts, not yet scaled; of a Dataset its ``primary``.
    neuropil_factor : float
        Part of Fneu that is in F, 0 to 1.
    baseline : str
        How ``dff`` finds F0: the `method` of `roitrace.baseline`.
    percentile, window, smoothing, first, frames, reference
        As in `roitrace.baseline`; used by ``dff`` alone.
    budget : str or float
        Memory that a lazy result may use when it is computed: blocks hold few ROIs with all their frames.
    workers : int, optional
        Tasks at once that share the budget; the number of processors if not given.

    Returns
    -------
    Dataset
        The values ``(roi, time)`` float64 under the name of the method, ``status (roi)`` uint8 flags
        (``flag_masks``, ``flag_meanings``), for ``dff`` also ``f0 (roi, time)`` and ``noise (roi)``, counts, and ``n_small_f0 (roi)``, the frames without a value for it. Lazy if
        the traces are; the same bits for any chunking. Parameters are attributes, ``primary`` names the values.

    Raises
    ------
    ArgumentError
        For an unknown method or statistic, a bad number, or neuropil of other ROIs or frames.
    MetadataError
        If a window is asked in seconds of traces without a frame rate.
    BudgetError
        If the trace of one ROI does not fit a lazy task's part of the budget.

    References
    ----------
    .. [1] B. Iglewicz and D. C. Hoaglin, How to Detect and Handle Outliers, ASQC Quality Press, 1993.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> trace = xr.DataArray([[1.0, 2.0, 3.0]], dims=("roi", "time"), name="mean")
    >>> normalize(trace, "minmax")["minmax"].values
    array([[0. , 0.5, 1. ]])
    """
    if method not in NORMALIZATIONS:
        raise ArgumentError(f"method={method!r}, expected one of {', '.join(NORMALIZATIONS)}")
    if not math.isfinite(offset):
        raise ArgumentError(f"offset={offset!r}, expected a finite number of counts")
    if not 0 <= neuropil_factor <= 1:
        raise ArgumentError(f"neuropil_factor={neuropil_factor!r}, expected 0 to 1")
    trace = pick_trace(traces, statistic)
    axis = time_axis(trace)
    attrs: dict[str, Any] = {"statistic": str(trace.name), "offset": float(offset)}
    inputs = [trace]
    if neuropil is not None:
        background = pick_trace(neuropil)
        check_same_axes(trace, background, "neuropil")
        inputs.append(background)
        attrs["neuropil_factor"] = float(neuropil_factor)
    if method == "dff":
        asked = BaselineOptions(baseline, percentile, window, smoothing, first, frames, reference)
        chosen = asked.for_trace(trace)
        attrs |= chosen.attrs
        inputs += chosen.references
        scale: Callable[..., tuple[Any, ...]] = partial(
            _dff, f0_of=chosen.function, borders=axis.borders, sessions=axis.sessions
        )
        outputs: dict[str, type[np.generic]] = {
            "dff": np.float64,
            "f0": np.float64,
            "noise": np.float64,
            "n_small_f0": np.int64,
            "status": np.uint8,
        }
    else:
        one_session = {"zscore": _zscore, "robust_zscore": _robust_zscore, "minmax": _minmax}[method]
        scale = partial(_by_session, scale=one_session, sessions=axis.sessions)
        outputs = {method: np.float64, "status": np.uint8}
    results = map_rois(
        partial(
            _correct_and_scale,
            scale=scale,
            offset=float(offset),
            factor=float(neuropil_factor) if neuropil is not None else None,
        ),
        *inputs,
        outputs=outputs,
        over_time=(method, "f0"),
        budget=budget,
        workers=workers,
    )
    results[method].attrs = {"long_name": _SCALE_NAMES[method], "units": "1"}
    results["status"].attrs = {
        "long_name": "why values are missing",
        "flag_masks": np.array(list(STATUS.values()), dtype=np.uint8),
        "flag_meanings": " ".join(STATUS),
    }
    if method == "dff":
        results["f0"].attrs = {"long_name": "F0", "units": "count"}
        results["noise"].attrs = {"long_name": "noise of F", "units": "count"}
        results["n_small_f0"].attrs = {"long_name": "frames where F0 is not above the noise", "units": "1"}
    kept = traces.attrs if isinstance(traces, xr.Dataset) else trace.attrs
    return xr.Dataset(results, attrs={**kept, "method": method, **attrs, "primary": method})


def _correct_and_scale(
    trace: NDArray[np.float64],
    *others: NDArray[np.float64],
    scale: Callable[..., tuple[Any, ...]],
    offset: float,
    factor: float | None,
) -> tuple[Any, ...]:
    """Take off the dark level and, where there is a factor, the neuropil, which then comes first among the others."""
    corrected = trace - offset
    if factor is not None:
        corrected = corrected - factor * (others[0] - offset)
        others = others[1:]
    return scale(corrected, *others)


def _dff(
    trace: NDArray[np.float64],
    *references: NDArray[np.float64],
    f0_of: Callable[..., NDArray[np.float64]],
    borders: NDArray[np.int64],
    sessions: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, int, int]:
    f0 = f0_of(trace, *references)
    level = difference_noise(trace, borders)
    known = np.isfinite(f0)
    trusted = known & (f0 > _noise_of_sessions(trace, borders, sessions))
    dff = np.full_like(trace, np.nan)
    np.divide(trace - f0, f0, out=dff, where=trusted)
    finite = np.isfinite(trace)
    if not finite.any():
        return dff, f0, level, 0, STATUS["all_nan"]
    n_small = int(np.count_nonzero(known & ~trusted))
    status = STATUS["small_f0"] * (n_small > 0) | STATUS["no_baseline"] * bool(np.any(finite & ~known))
    return dff, f0, level, n_small, status


def _noise_of_sessions(
    trace: NDArray[np.float64], borders: NDArray[np.int64], sessions: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the noise of each frame's session ``(time,)``.

    Without a single difference it is unknown: then F0 must at least be positive.
    """
    levels = np.zeros_like(trace)
    for begin, end in pairwise(sessions.tolist()):
        inside = borders[(borders >= begin) & (borders <= end)] - begin
        level = difference_noise(trace[begin:end], inside)
        levels[begin:end] = 0.0 if math.isnan(level) else level
    return levels


def _by_session(
    trace: NDArray[np.float64],
    *,
    scale: Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], int]],
    sessions: NDArray[np.int64],
) -> tuple[NDArray[np.float64], int]:
    """Scale each session by itself; the flags are those of any."""
    parts = [scale(trace[begin:end]) for begin, end in pairwise(sessions.tolist())]
    return np.concatenate([values for values, _ in parts]), reduce(or_, (status for _, status in parts))


def _zscore(trace: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    samples = trace[np.isfinite(trace)]
    if not samples.size or samples.min() == samples.max():
        return _missing(trace, "constant" if samples.size else "all_nan")
    return (trace - samples.mean()) / samples.std(), 0


def _robust_zscore(trace: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    samples = trace[np.isfinite(trace)]
    if not samples.size:
        return _missing(trace, "all_nan")
    median = sorted_median(samples)
    deviation = sorted_median(np.abs(samples - median))
    if deviation == 0:
        return _missing(trace, "mad_zero")
    return (trace - median) / (MAD_TO_SD * deviation), 0


def _minmax(trace: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    samples = trace[np.isfinite(trace)]
    if not samples.size or samples.min() == samples.max():
        return _missing(trace, "constant" if samples.size else "all_nan")
    low, high = samples.min(), samples.max()
    return (trace - low) / (high - low), 0


def _missing(trace: NDArray[np.float64], reason: str) -> tuple[NDArray[np.float64], int]:
    return np.full_like(trace, np.nan), STATUS[reason]
