"""Recording to images: projections over time, lazily, all from one read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.engine.places import limits_of
from roitrace.engine.reductions import reduce_recording
from roitrace.engine.regions import RoiTable
from roitrace.engine.request import Request
from roitrace.engine.statistics import Statistic, moments_needed, resolve
from roitrace.engine.time_parameters import bins_of, in_frames, periods_of, with_bins
from roitrace.frame import frame_of
from roitrace.recording import blocks_of, check_recording, frame_rate_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from roitrace.engine.carried_sums import CarriedSums

__all__ = ["asked_images", "carried_attributes", "images_of", "label_image", "project", "sums_of"]


def project(
    recording: xr.DataArray,
    statistics: Statistic | str | Iterable[Statistic | str] = ("mean", "max"),
    *,
    bin_seconds: float | None = None,
    skipna: bool = True,
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> xr.Dataset:
    """Summarise a recording over time as images ``(y, x)``, lazily.

    Everything asked for in one call comes from one read of the recording; only medians and percentiles have reads of their own: one where all
    frames of a column of chunks fit the budget, otherwise one per 8 bits of the samples (see `roitrace.plan`). Sums, means, minima and maxima of integer recordings are
    exact (correctly rounded float64), standard deviations and variances come from exact sums; sums of float recordings are
    made in a fixed order. No result depends on chunks, workers or schedulers.

    Parameters
    ----------
    recording : DataArray
        Dims ``(time, y, x)``; see `open_recording`.
    statistics : str, Statistic or several
        ``mean``, ``max``, ``min``, ``sum``, ``std``, ``var``, ``skewness``, ``argmax``, ``difference_std``, ``correlation``
        (the local correlation image), ``median``, ``percentile``, or values of `roitrace.stat`, which say more:
        ``stat.percentile(90)``, ``stat.correlation(detrend="60 s")``, ``stat.coefficient_of_variation(offset=100)``.
    bin_seconds : float, optional
        Let ``max``, ``std`` and ``correlation`` take the means of bins of so many seconds, counted from the first frame, instead of samples: that
        averages noise away. What is left at the end, shorter than a bin, does not count. Sums of bins of integers are exact. A
        ``detrend`` of correlation is rounded to whole bins. ``stat.max(bin="1 s")`` does so for one image.
    skipna : bool
        Whether NaN samples are passed over; otherwise a pixel with one is NaN.
    budget : str or int
        Memory that the computation may use, imports included; ``"50%"`` is a share of what is free now.
    workers : int, optional
        Tasks at once that the budget is shared by; by default all processors.

    Returns
    -------
    Dataset
        One lazy float64 image per statistic, in counts.

    Raises
    ------
    ArgumentError
        If a statistic is unknown or is no projection, the recording has other dims, or a bin is shorter than 2 frames or longer than the
        recording or 65536 frames.
    BudgetError
        If the computation cannot fit the budget.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> movie = xr.DataArray(np.arange(24).reshape(6, 2, 2).astype("uint16"), dims=("time", "y", "x"))
    >>> project(movie, "max").compute()["max"].values.tolist()
    [[20.0, 21.0], [22.0, 23.0]]
    """
    asked = asked_images(recording, statistics, bin_seconds)
    return images_of(recording, asked, skipna=skipna, budget=budget, workers=workers)


def asked_images(
    recording: xr.DataArray,
    statistics: Statistic | str | Iterable[Statistic | str],
    bin_seconds: float | None = None,
) -> tuple[Statistic, ...]:
    """Return the statistics of `project`, with what they have in seconds turned into frames of a recording."""
    check_recording(recording)
    asked = with_bins(resolve(statistics, over_time=True), bin_seconds)
    return in_frames(asked, recording.attrs.get("frame_rate"), recording.sizes["time"])


def sums_of(asked: Iterable[Statistic]) -> Request:
    """Return the sums over time that projections are made of; without `moments` where there are none."""
    asked = tuple(asked)
    return Request(moments=moments_needed(asked), periods=periods_of(asked), bins=bins_of(asked))


def images_of(
    recording: xr.DataArray,
    asked: tuple[Statistic, ...],
    *,
    skipna: bool = True,
    budget: str | float = "1 GiB",
    workers: int | None = None,
    carried: CarriedSums | None = None,
) -> xr.Dataset:
    """Return what `project` does; `carried` sums over the first frames are gone on from, and left for the next time."""
    reduced = reduce_recording(
        blocks_of(recording),
        RoiTable.empty(),
        np.zeros(0, dtype=np.int64),
        sums_of(asked),
        asked,
        skipna=skipna,
        carried=carried,
        **limits_of(budget, workers)._asdict(),
    )
    images = {one.name: label_image(recording, one, reduced.images[one.name]) for one in asked}
    return xr.Dataset(images, attrs=carried_attributes(recording))


def label_image(recording: xr.DataArray, statistic: Statistic, image: object) -> xr.DataArray:
    """Label the projection of a recording."""
    attrs = {
        "long_name": f"{statistic} over time",
        "units": statistic.declaration.units,
        "statistic": str(statistic),
    }
    return xr.DataArray(image, dims=("y", "x"), coords=frame_of(recording).coords(), attrs=attrs)


def carried_attributes(recording: xr.DataArray) -> dict[str, float | str]:
    """Return the attributes that every result of a recording keeps: frame rate and start, where they are known."""
    rate, start = frame_rate_of(recording), recording.attrs.get("acquisition_time")
    known = {} if rate is None else {"frame_rate": rate}
    return known | ({"acquisition_time": start} if isinstance(start, str) else {})
