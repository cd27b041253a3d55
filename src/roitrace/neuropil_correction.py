"""Take the neuropil's part out of the traces of cells."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.errors import ArgumentError
from roitrace.kernels.contamination import cross_validated_ratio, robust_ratio
from roitrace.neuropil import MIN_NEUROPIL_PIXELS
from roitrace.traces import check_same_axes, map_rois, pick_trace, time_axis

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["FITS", "STATUS", "correct_neuropil"]

FITS = ("fit", "cross_validated")

STATUS = {"few_neuropil_pixels": 1, "r_fallback": 2, "all_nan": 4}
"""Flags of the variable ``status`` of `correct_neuropil`."""


def correct_neuropil(
    traces: xr.Dataset | xr.DataArray,
    neuropil: xr.Dataset | xr.DataArray | None = None,
    *,
    r: float | str | ArrayLike = 0.7,
    r_fallback: float = 0.7,
    offset: float = 0.0,
    statistic: str | None = None,
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> xr.Dataset:
    """Subtract the neuropil: ``Fcorr = F - r (Fneu - offset)``; all three are kept.

    - a number, or one per ROI: r as it is (0.7 is suite2p's [1]_).
    - ``"fit"``: the slope of Huber's robust regression of F on Fneu (k = 1.345), which transients of the cell hardly move.
    - ``"cross_validated"``: the r for which Fcorr is smoothest, on average over four folds, as the Allen Institute fits it [2]_.
      Noise from frame to frame draws it to 0: it wants bright cells or many frames.

    A fitted r outside [0, 1], or none, is replaced by `r_fallback`, with the status ``r_fallback``.

    Parameters
    ----------
    traces : Dataset or DataArray
        F ``(roi, time)``, counts: from `extract`, in memory or lazy.
    neuropil : Dataset or DataArray, optional
        Fneu of the same ROIs and frames; if not given, the variable ``neuropil`` that ``extract(..., neuropil=)`` makes.
    r : float, {"fit", "cross_validated"} or array_like
        Part of the neuropil that is in F, 0 to 1.
    r_fallback : float
        For fits that fail, 0 to 1.
    offset : float
        Dark level of the detector, counts: it is in Fneu, but is no neuropil. It stays in F and Fcorr, for `normalize` to take off.
    statistic : str, optional
        Variable of a Dataset that is F; its ``primary`` if not given.
    budget, workers
        As in `roitrace.baseline`.

    Returns
    -------
    Dataset
        ``f``, ``fneu`` and ``fcorr (roi, time)``, float64 counts; ``r (roi)``; ``status (roi)``, uint8 flags. Where Fneu is NaN, for example since a
        ring has fewer than 50 pixels (``few_neuropil_pixels``), Fcorr is NaN, never an uncorrected F. ``primary`` is ``fcorr``. Lazy
        if the traces are; the same bits for any chunking.

    Raises
    ------
    ArgumentError
        If there is no neuropil, it is of other ROIs or frames, or a number is out of range.
    BudgetError
        If the trace of one ROI does not fit a lazy task's part of the budget.

    References
    ----------
    .. [1] M. Pachitariu et al., bioRxiv 061507 (2017).
    .. [2] S. E. J. de Vries et al., Nature Neuroscience 23, 138-151 (2020).

    Examples
    --------
    >>> import xarray as xr
    >>> f = xr.DataArray([[10.0, 20.0]], dims=("roi", "time"), name="mean")
    >>> correct_neuropil(f, f / 2, r=0.5)["fcorr"].values
    array([[ 7.5, 15. ]])
    """
    if not math.isfinite(offset):
        raise ArgumentError(f"offset={offset!r}, expected a finite number")
    if not 0 <= r_fallback <= 1:
        raise ArgumentError(f"r_fallback={r_fallback!r}, expected 0 to 1")
    trace = pick_trace(traces, statistic)
    background = _background(traces, neuropil)
    check_same_axes(trace, background, "neuropil")
    borders = time_axis(trace).borders
    inputs = [trace, background]
    function: Any = partial(_correct, offset=float(offset), fallback=float(r_fallback))
    if isinstance(r, str):
        if r not in FITS:
            raise ArgumentError(f"r={r!r}, expected a number, one number per ROI, {' or '.join(FITS)}")
        fit = robust_ratio if r == "fit" else partial(cross_validated_ratio, borders=borders)
        function = partial(function, fit=fit)
    else:
        inputs.append(_given_ratio(r, trace))
    results = map_rois(
        function,
        *inputs,
        outputs={"fcorr": np.float64, "r": np.float64, "status": np.uint8},
        over_time=("fcorr",),
        budget=budget,
        workers=workers,
    )
    results["status"] = _with_few_pixels(results["status"], traces)
    attrs = {"units": "count", "statistic": str(trace.name)}
    results["fcorr"].attrs = {"long_name": "fluorescence without the neuropil's part", **attrs}
    results["r"].attrs = {"long_name": "part of the neuropil in F", "units": "1"}
    results["status"].attrs = {
        "long_name": "how the correction went",
        "flag_masks": np.array(list(STATUS.values()), dtype=np.uint8),
        "flag_meanings": " ".join(STATUS),
    }
    f = trace.rename("f").assign_attrs({"long_name": "fluorescence", **attrs})
    fneu = background.reset_coords(drop=True).rename("fneu")
    fneu.attrs = {"long_name": "fluorescence of the neuropil", "units": "count", "role": "neuropil"}
    kept = traces.attrs if isinstance(traces, xr.Dataset) else trace.attrs
    how = r if isinstance(r, str) else "given"
    return xr.Dataset(
        {"f": f, "fneu": fneu, **results},
        attrs={
            **kept,
            "r": how,
            "r_fallback": float(r_fallback),
            "offset": float(offset),
            "primary": "fcorr",
        },
    )


def _background(
    traces: xr.Dataset | xr.DataArray, neuropil: xr.Dataset | xr.DataArray | None
) -> xr.DataArray:
    if neuropil is not None:
        return pick_trace(neuropil)
    if not isinstance(traces, xr.Dataset) or "neuropil" not in traces:
        raise ArgumentError(
            "the traces have no neuropil",
            "extract it beside them: extract(..., neuropil=roitrace.neuropil(rois))",
        )
    return pick_trace(traces, "neuropil")


def _given_ratio(r: Any, trace: xr.DataArray) -> xr.DataArray:
    """One r per ROI, broadcast over time."""
    values = np.asarray(r)
    rois = trace.sizes.get("roi", 1)
    fits = values.ndim <= 1 and values.size in {1, rois} and values.dtype.kind in "iuf"
    if not (fits and ((values >= 0) & (values <= 1)).all()):
        raise ArgumentError(f"r={r!r}, expected a number from 0 to 1, or one for each of {rois} ROIs")
    per_roi = xr.DataArray(np.broadcast_to(values.astype(np.float64).ravel(), (rois,)), dims="roi")
    per_roi = per_roi if "roi" in trace.dims else per_roi[0]
    over_time = xr.DataArray(np.ones(trace.sizes["time"]), dims="time")
    ratio = (per_roi * over_time).transpose(*trace.dims)
    return ratio if trace.chunks is None else ratio.chunk(dict(trace.chunksizes))


def _correct(
    trace: NDArray[np.float64],
    neuropil: NDArray[np.float64],
    given: NDArray[np.float64] | None = None,
    *,
    offset: float,
    fallback: float,
    fit: Any = None,
) -> tuple[NDArray[np.float64], float, int]:
    status = 0
    if not np.isfinite(trace + neuropil).any():
        return np.full_like(trace, np.nan), float("nan"), STATUS["all_nan"]
    if given is not None:
        ratio = float(given[0])
    else:
        ratio = fit(trace, neuropil)
        if not 0 <= ratio <= 1:
            ratio, status = fallback, STATUS["r_fallback"]
    return trace - ratio * (neuropil - offset), ratio, status


def _with_few_pixels(status: xr.DataArray, traces: xr.Dataset | xr.DataArray) -> xr.DataArray:
    if not isinstance(traces, xr.Dataset) or "n_neuropil_pixels" not in traces:
        return status
    few = (traces["n_neuropil_pixels"].values < MIN_NEUROPIL_PIXELS) * np.uint8(STATUS["few_neuropil_pixels"])
    return status | xr.DataArray(few.astype(np.uint8), dims=traces["n_neuropil_pixels"].dims)
