"""F0: the level that a trace returns to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from roitrace.baseline_methods import bleaching, chosen_frames, lowpass_percentile, maximin, smoothed_mode
from roitrace.choices import BASELINES
from roitrace.errors import ArgumentError
from roitrace.kernels.rolling import gaussian_smooth, rolling_percentile
from roitrace.traces import check_same_axes, map_rois, pick_trace, time_axis

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from roitrace.traces import Duration, TimeAxis

__all__ = ["Baseline", "BaselineOptions", "BaselineRule", "baseline"]

_SLIDING = frozenset({"rolling_percentile", "percentile", "rolling_median", "ratio"})
_CUTOFF = 1.0  # Hz, FISSA's


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
        _check_percentile(percentile)
        axis = time_axis(trace)
        return cls(axis.borders, axis.half_window(window), axis.sigma(smoothing), float(percentile))

    def smooth(self, trace: NDArray[np.float64]) -> NDArray[np.float64]:
        """Smoothed trace ``(time,)``."""
        return gaussian_smooth(trace, self.borders, self.sigma)

    def f0(self, smooth: NDArray[np.float64]) -> NDArray[np.float64]:
        """F0 ``(time,)`` of a smoothed trace."""
        return rolling_percentile(smooth, self.borders, self.half_window, self.percentile)

    def __call__(self, trace: NDArray[np.float64]) -> NDArray[np.float64]:
        """F0 ``(time,)`` of a trace."""
        return self.f0(self.smooth(trace))

    def attrs(self) -> dict[str, Any]:
        """Parameters in frames, for attributes."""
        longest = int(np.diff(self.borders).max())
        return {
            "percentile": self.percentile,
            "window_frames": min(2 * self.half_window + 1, longest),
            "smoothing_frames": self.sigma,
            "n_segments": self.borders.size - 1,
        }


@dataclass(frozen=True, eq=False)
class Baseline:
    """How F0 follows from a trace, and from a second one where a method needs it.

    Attributes
    ----------
    function : callable
        Takes one trace ``(time,)`` (and one of the reference) and returns F0 ``(time,)``.
    references : tuple of DataArray
        What the function takes besides.
    attrs : dict
        Parameters in frames, for attributes.
    """

    function: Callable[..., NDArray[np.float64]]
    references: tuple[xr.DataArray, ...]
    attrs: dict[str, Any]


@dataclass(frozen=True, eq=False)
class BaselineOptions:
    """What was asked of F0, before it meets a trace; the arguments of `roitrace.baseline`."""

    method: str = "rolling_percentile"
    percentile: float = 8.0
    window: Duration | None = 60.0
    smoothing: Duration | None = 0.5
    first: Duration | None = None
    frames: ArrayLike | None = None
    reference: xr.Dataset | xr.DataArray | None = None

    def for_trace(self, trace: xr.DataArray) -> Baseline:
        """Check the options, and turn durations into frames of this trace.

        Raises
        ------
        ArgumentError
            For an unknown method, or one whose argument is missing or wrong.
        MetadataError
            If a duration is in seconds and the traces have no frame rate.
        """
        self._check_arguments()
        if self.method not in _SLIDING:
            axis = time_axis(trace)
            function, attrs = self._other_method(axis, trace)
            return Baseline(partial(function, borders=axis.borders), (), {"baseline": self.method, **attrs})
        window = None if self.method == "percentile" else self.window
        percentile = 50.0 if self.method == "rolling_median" else self.percentile
        rule = BaselineRule.for_trace(trace, percentile, window, self.smoothing)
        attrs = {"baseline": self.method, **rule.attrs()}
        if self.reference is None:
            return Baseline(rule, (), attrs)
        other = pick_trace(self.reference)
        check_same_axes(trace, other, "reference")
        return Baseline(partial(_ratio, rule=rule), (other,), attrs)

    def _check_arguments(self) -> None:
        if self.method not in BASELINES:
            raise ArgumentError(
                f"there is no baseline {self.method!r}, expected one of {', '.join(BASELINES)}"
            )
        for name, owner in (("first", "first"), ("frames", "frames"), ("reference", "ratio")):
            missing = getattr(self, name) is None
            if missing == (self.method == owner):
                problem = (
                    f"the baseline {owner!r} needs {name}="
                    if missing
                    else f"{name}= is for the baseline {owner!r}"
                )
                raise ArgumentError(f"{problem}, the baseline asked for is {self.method!r}")
        _check_percentile(self.percentile)

    def _other_method(
        self, axis: TimeAxis, trace: xr.DataArray
    ) -> tuple[Callable[..., NDArray[np.float64]], dict[str, Any]]:
        n_frames = int(axis.borders[-1])
        percentile = self.percentile
        if self.method == "mode":
            half = axis.half_window(self.window)
            return partial(smoothed_mode, half_window=half), {"window_frames": min(2 * half + 1, n_frames)}
        if self.method == "maximin":
            size = n_frames if self.window is None else max(1, int(axis.frames(self.window, "window")))
            sigma = axis.sigma(self.smoothing)
            attrs = {"window_frames": size, "smoothing_frames": sigma}
            return partial(maximin, window=size, sigma=sigma), attrs
        if self.method == "lowpass_percentile":
            cutoff = 2 * _CUTOFF / axis.frames(1.0, "the cutoff of 1 Hz")
            function = partial(
                lowpass_percentile, cutoff=cutoff if cutoff < 1 else None, percentile=percentile
            )
            return function, {"percentile": percentile, "cutoff_hertz": _CUTOFF}
        if self.method == "bleaching":
            return partial(bleaching, percentile=percentile), {"percentile": percentile}
        if self.first is not None:
            count = round(axis.frames(self.first, "first"))
            if count < 1:
                raise ArgumentError(f"first={self.first!r} is shorter than one frame", "give a longer time")
            since = np.arange(n_frames) - np.repeat(axis.borders[:-1], np.diff(axis.borders))
            return partial(chosen_frames, chosen=since < count), {"first_frames": count}
        chosen = _frames_asked(trace, self.frames)
        return partial(chosen_frames, chosen=chosen), {"n_frames": int(chosen.sum())}


def _check_percentile(percentile: Any) -> None:
    if not (isinstance(percentile, int | float | np.number) and 0 <= percentile <= 100):
        raise ArgumentError(f"percentile={percentile!r}, expected a number from 0 to 100")


def _frames_asked(trace: xr.DataArray, frames: Any) -> NDArray[np.bool_]:
    """Boolean ``(time,)`` from one, or from epochs (start, end) on the time axis, the end excluded."""
    given = np.asarray(frames)
    count = trace.sizes["time"]
    if given.dtype == np.bool_ and given.shape == (count,):
        chosen = given
    elif given.ndim == 2 and given.shape[1] == 2 and given.dtype.kind in "iuf":
        times = trace["time"].values if "time" in trace.coords else np.arange(count)
        chosen = np.any((times >= given[:, :1]) & (times < given[:, 1:]), axis=0)
    else:
        raise ArgumentError(
            f"frames has dtype {given.dtype} and shape {given.shape}, expected bool ({count},) or epochs (n, 2)",
            "give one flag per frame, or pairs of start and end on the time axis",
        )
    if not chosen.any():
        raise ArgumentError("frames choose no frame", "check the epochs against the time axis")
    return chosen


def _ratio(
    trace: NDArray[np.float64], reference: NDArray[np.float64], *, rule: BaselineRule
) -> NDArray[np.float64]:
    quotient = np.divide(trace, reference, out=np.full_like(trace, np.nan), where=reference > 0)
    f0: NDArray[np.float64] = rule(quotient) * reference
    return f0


def baseline(
    traces: xr.Dataset | xr.DataArray,
    *,
    method: str = "rolling_percentile",
    statistic: str | None = None,
    percentile: float = 8.0,
    window: Duration | None = 60.0,
    smoothing: Duration | None = 0.5,
    first: Duration | None = None,
    frames: ArrayLike | None = None,
    reference: xr.Dataset | xr.DataArray | None = None,
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> xr.DataArray:
    """F0, the level that a trace returns to: by default a low percentile over a centred window that slides along it.

    ``"rolling_percentile"``: the trace is smoothed by a Gaussian (cut at 4 sigma). F0 is the percentile (linear definition, exact) of the
    smoothed samples that are at most half a window away. A window of n frames has n if n is odd, else n + 1.
    Neither reaches over a gap of more than 1.5 median frame intervals, a change of the coordinate ``session``, or an
    end: there they are smaller, and nothing is padded. NaN and infinite samples take no part.

    The other methods keep within segments too:

    - ``"percentile"``: the same over the whole segment. ``"rolling_median"``: the same with the 50th percentile.
    - ``"mode"``: the rolling mode of whole counts (the lowest of several), then a rolling mean over 5/9 of the window; with ``window="180 s"``
      the Allen Institute's [3]_.
    - ``"maximin"``: Gaussian, rolling minimum, rolling maximum by scipy.ndimage, ends mirrored, windows of ``int(window * frame rate)``; with
      ``smoothing="10 frames"`` suite2p's [4]_.
    - ``"lowpass_percentile"``: a percentile of the segment behind a low-pass filter of 1 Hz (30 taps, Hamming, forwards and backwards);
      with ``percentile=5`` FISSA's [5]_.
    - ``"first"``: mean of the first seconds of each segment. ``"frames"``: mean of the frames that you choose.
    - ``"bleaching"``: ``c + a exp(-t / fast) + b exp(-t / slow)``, none negative, through the percentile of up to 120 blocks of the segment.
    - ``"ratio"``: ``R0 * reference``, R0 the rolling percentile of ``F / reference``: dF/F is then the change of the ratio to a
      second channel, over its baseline.

    A rolling low percentile as F0 follows Romano et al. [1]_ and the common practice since; the 8th
    percentile is that of Dombeck et al. [2]_.

    Parameters
    ----------
    traces : Dataset or DataArray
        ``(roi, time)``: from `extract`, or one variable of it; in memory or lazy.
    method : str
        One of `roitrace.choices.BASELINES`.
    statistic : str, optional
        Variable of a Dataset that is F; its ``primary`` if not given.
    percentile : float
        0 to 100.
    window : float, str or None
        Seconds, or a text such as ``"60 s"``, ``"2 min"``, ``"1800 frames"``; None for the whole segment.
        Seconds become frames by the median interval.
    smoothing : float, str or None
        Standard deviation of the Gaussian, written like `window`; 0 or None for none.
    first : float or str
        For ``"first"``: how long, written like `window`.
    frames : array_like
        For ``"frames"``: a boolean ``(time,)``, or epochs (n, 2) of start and end on the time axis.
    reference : Dataset or DataArray
        For ``"ratio"``: the same ROIs and frames of the second channel, counts above its dark level.
    budget : str or float
        Memory that a lazy result may use when it is computed: blocks hold few ROIs with all their frames.
    workers : int, optional
        Tasks at once that share the budget; the number of processors if not given.

    Returns
    -------
    DataArray
        ``f0 (roi, time)``, float64, in the unit of the traces; lazy if they are; the same bits for any chunking. NaN where the
        method finds none; `roitrace.normalize` returns it with the reason.

    Raises
    ------
    ArgumentError
        For an unknown method or statistic, a percentile outside 0 to 100, a bad duration, or an argument that a method lacks or does
        not take.
    MetadataError
        If a duration is in seconds and the traces have no frame rate.
    BudgetError
        If the trace of one ROI does not fit a lazy task's part of the budget.

    References
    ----------
    .. [1] S. A. Romano et al., PLoS Computational Biology 13, e1005526 (2017).
    .. [2] D. A. Dombeck et al., Neuron 56, 43-57 (2007).
    .. [3] S. E. J. de Vries et al., Nature Neuroscience 23, 138-151 (2020).
    .. [4] M. Pachitariu et al., bioRxiv 061507 (2017).
    .. [5] S. W. Keemink et al., Scientific Reports 8, 3493 (2018).

    Examples
    --------
    >>> import xarray as xr
    >>> trace = xr.DataArray([[5.0, 1.0, 9.0, 2.0]], dims=("roi", "time"), name="mean")
    >>> baseline(trace, percentile=0, window="3 frames", smoothing=None).values
    array([[1., 1., 1., 2.]])
    """
    trace = pick_trace(traces, statistic)
    asked = BaselineOptions(method, percentile, window, smoothing, first, frames, reference)
    chosen = asked.for_trace(trace)
    results = map_rois(
        partial(_f0, function=chosen.function),
        trace,
        *chosen.references,
        outputs={"f0": np.float64},
        over_time=("f0",),
        budget=budget,
        workers=workers,
    )
    f0 = results["f0"]
    f0.attrs = {"long_name": "F0", "statistic": str(trace.name), **trace.attrs, **chosen.attrs}
    return f0


def _f0(
    *traces: NDArray[np.float64], function: Callable[..., NDArray[np.float64]]
) -> tuple[NDArray[np.float64]]:
    return (function(*traces),)
