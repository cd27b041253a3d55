"""F0: the level that a trace returns to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.errors import ArgumentError
from roitrace.kernels.rolling import gaussian_smooth, rolling_percentile
from roitrace.traces import map_rois, pick_trace, time_axis

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from roitrace.traces import Duration

__all__ = ["BaselineRule", "baseline"]


@dataclass(frozen=True, eq=False)
class BaselineRule:
    """How F0 follows from a trace, in frames.

    Attributes
    ----------
    borders : numpy.ndarray
        Where segments begin, and the number of frames.
    half_window : int
        Frames on either side of a window's centre.
    sigma : float
        Standard deviation of the smoothing Gaussian; 0 for none.
    percentile : float
        0 to 100.
    """

    borders: NDArray[np.int64]
    half_window: int
    sigma: float
    percentile: float

    @classmethod
    def for_trace(
        cls, trace: xr.DataArray, percentile: float, window: Duration | None, smoothing: Duration | None
    ) -> BaselineRule:
        """Turn durations into frames of this trace, and check them."""
        if not 0 <= percentile <= 100:
            raise ArgumentError(f"percentile={percentile!r}, expected 0 to 100")
        axis = time_axis(trace)
        return cls(axis.borders, axis.half_window(window), axis.sigma(smoothing), float(percentile))

    def smooth(self, trace: NDArray[np.float64]) -> NDArray[np.float64]:
        """Smoothed trace ``(time,)``."""
        return gaussian_smooth(trace, self.borders, self.sigma)

    def f0(self, smooth: NDArray[np.float64]) -> NDArray[np.float64]:
        """F0 ``(time,)`` of a smoothed trace."""
        return rolling_percentile(smooth, self.borders, self.half_window, self.percentile)

    def attrs(self) -> dict[str, Any]:
        """Parameters in frames, for attributes."""
        longest = int(np.diff(self.borders).max())
        return {
            "percentile": self.percentile,
            "window_frames": min(2 * self.half_window + 1, longest),
            "smoothing_frames": self.sigma,
            "n_segments": self.borders.size - 1,
        }


def baseline(
    traces: xr.Dataset | xr.DataArray,
    *,
    statistic: str | None = None,
    percentile: float = 8.0,
    window: Duration | None = 60.0,
    smoothing: Duration | None = 0.5,
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> xr.DataArray:
    """F0: a low percentile of the smoothed trace over a centred window that slides along it.

    The trace is smoothed by a Gaussian (cut at 4 sigma). F0 is the percentile (linear definition, exact) of the
    smoothed samples that are at most half a window away. A window of n frames has n if n is odd, else n + 1.
    Neither reaches over a gap of more than 1.5 median frame intervals, a change of the coordinate ``session``, or an
    end: there they are smaller, and nothing is padded. NaN and infinite samples take no part.

    A rolling low percentile as F0 follows Romano et al. [1]_ and the common practice since; the 8th
    percentile is that of Dombeck et al. [2]_.

    Parameters
    ----------
    traces : Dataset or DataArray
        ``(roi, time)``: from `extract`, or one variable of it; in memory or lazy.
    statistic : str, optional
        Variable of a Dataset that is F; its ``primary`` if not given.
    percentile : float
        0 to 100.
    window : float, str or None
        Seconds, or a text such as ``"60 s"``, ``"2 min"``, ``"1800 frames"``; None for the whole segment.
        Seconds become frames by the median interval.
    smoothing : float, str or None
        Standard deviation of the Gaussian, written like `window`; 0 or None for none.
    budget : str or float
        Memory that a lazy result may use when it is computed: blocks hold few ROIs with all their frames.
    workers : int, optional
        Tasks at once that share the budget; the number of processors if not given.

    Returns
    -------
    DataArray
        ``f0 (roi, time)``, float64, in the unit of the traces; lazy if they are; the same bits for any chunking.

    Raises
    ------
    ArgumentError
        For an unknown statistic, a percentile outside 0 to 100 or a bad duration.
    MetadataError
        If a duration is in seconds and the traces have no frame rate.
    BudgetError
        If the trace of one ROI does not fit a lazy task's part of the budget.

    References
    ----------
    .. [1] S. A. Romano et al., PLoS Computational Biology 13, e1005526 (2017).
    .. [2] D. A. Dombeck et al., Neuron 56, 43-57 (2007).

    Examples
    --------
    >>> import xarray as xr
    >>> trace = xr.DataArray([[5.0, 1.0, 9.0, 2.0]], dims=("roi", "time"), name="mean")
    >>> baseline(trace, percentile=0, window="3 frames", smoothing=None).values
    array([[1., 1., 1., 2.]])
    """
    trace = pick_trace(traces, statistic)
    rule = BaselineRule.for_trace(trace, percentile, window, smoothing)
    results = map_rois(
        partial(_f0, rule=rule),
        trace,
        outputs={"f0": np.float64},
        over_time=("f0",),
        budget=budget,
        workers=workers,
    )
    f0 = results["f0"]
    f0.attrs = {"long_name": "F0", "statistic": str(trace.name), **trace.attrs, **rule.attrs()}
    return f0


def _f0(trace: NDArray[np.float64], *, rule: BaselineRule) -> tuple[NDArray[np.float64]]:
    return (rule.f0(rule.smooth(trace)),)
