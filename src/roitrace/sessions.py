"""Several recordings of the same cells as one set of traces, with the gaps between them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from itertools import pairwise
from operator import or_
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.engine.places import available_workers
from roitrace.errors import ArgumentError
from roitrace.extraction import DEFAULT_STATISTICS, extract
from roitrace.recording import SESSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from roitrace.engine.statistics import Statistic
    from roitrace.rois import Rois

__all__ = ["END_TO_END", "extract_sessions"]

END_TO_END = "end_to_end"
"""Value of `starts` that lays sessions one after the other, two frame intervals apart."""


def extract_sessions(
    recordings: Mapping[str, xr.DataArray] | Sequence[xr.DataArray],
    rois: Rois | xr.DataArray | ArrayLike,
    statistics: Statistic | str | Iterable[Statistic | str] = DEFAULT_STATISTICS,
    *,
    starts: Sequence[float] | str | None = None,
    budget: str | float = "1 GiB",
    workers: int | None = None,
    **options: Any,
) -> xr.Dataset:
    """Extract the same ROIs from several recordings, one session each, into one Dataset, lazily.

    The time axis is the true one, with the gaps between sessions; the coordinate ``session (time)`` says which frames belong
    together. No filter, baseline or scale of `normalize`, `baseline`, `quality` and `compare` reaches from one into another.

    Parameters
    ----------
    recordings : mapping or sequence of DataArray
        ``(time, y, x)``, in the order of time, of the same frame and frame rate. The keys name the sessions; a sequence is
        numbered from 0.
    rois, statistics
        As for `extract`.
    starts : sequence of float or "end_to_end", optional
        Time of frame 0 of each recording, s (frames, where the frame rate is not known). Not needed where the recordings' own times
        follow one another. ``"end_to_end"`` where nobody knows: each begins two intervals after the end of the one before.
    budget, workers
        As for `extract`, for all recordings together.
    **options
        Of `extract`: ``overlap``, ``neuropil`` and so on; not ``projections``.

    Returns
    -------
    Dataset
        As from `extract`, all sessions along ``time``; ``status (roi)`` has the flags of any session.

    Raises
    ------
    ArgumentError
        If there are no recordings, or their times, frame rates or number of starts do not go together.
    AlignmentError, BudgetError
        As for `extract`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> movie = xr.DataArray(np.ones((3, 2, 2), dtype="uint16"), dims=("time", "y", "x"))
    >>> movie = movie.assign_coords(time=("time", [0.0, 0.5, 1.0], {"units": "s"}))
    >>> traces = extract_sessions({"before": movie, "after": 2 * movie}, np.eye(2, dtype=bool), "mean", starts=[0, 60])
    >>> float(traces["mean"].sel(time=60.5)[0]), traces["session"].values.tolist()[::3]
    (2.0, ['before', 'after'])
    """
    given: Any = recordings
    if isinstance(given, xr.DataArray):
        raise ArgumentError(
            "recordings is one DataArray, expected several, one per session",
            "give a list, or a mapping of names; a single recording goes to roitrace.extract",
        )
    named: dict[Any, xr.DataArray] = dict(given if isinstance(given, Mapping) else enumerate(given))
    if not named:
        raise ArgumentError("there are no recordings", "give at least one")
    if "projections" in options:
        raise ArgumentError(
            "projections= of several sessions would be one image for all",
            "project each recording with roitrace.project",
        )
    _check_rates(named)
    times = _times(named, starts)
    # tasks of different recordings run side by side, so that each must fit beside as many as there are processors
    limits: dict[str, Any] = {"budget": budget, "workers": max(workers or 1, available_workers())}
    parts = [
        _placed(extract(one, rois, statistics, **options, **limits), name, time)
        for (name, one), time in zip(named.items(), times, strict=True)
    ]
    over_time = [name for name, variable in parts[0].data_vars.items() if "time" in variable.dims]
    joined = xr.concat(
        [part[over_time] for part in parts],
        dim="time",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    rest = parts[0].drop_dims("time")
    status = reduce(or_, (part["status"] for part in parts)).assign_attrs(parts[0]["status"].attrs)
    return joined.assign(rest.data_vars).assign(status=status).assign_attrs(parts[0].attrs)


def _placed(traces: xr.Dataset, name: str | int, time: NDArray[np.float64]) -> xr.Dataset:
    """Put traces on the common time axis."""
    attrs = traces["time"].attrs if "time" in traces.coords else {"units": "1"}
    session = np.full(time.size, name)
    return traces.assign_coords(time=("time", time, attrs), session=("time", session, SESSION))


def _check_rates(named: Mapping[Any, xr.DataArray]) -> None:
    rates = {name: one.attrs.get("frame_rate") for name, one in named.items()}
    first, rate = next(iter(rates.items()))
    for name, other in rates.items():
        if rate != other and (rate is None or other is None or not np.isclose(rate, other, rtol=1e-3)):
            raise ArgumentError(
                f"session {name!r} has the frame rate {other}, session {first!r} {rate}",
                "extract sessions of different frame rates one by one",
            )


def _times(
    named: Mapping[Any, xr.DataArray], starts: Sequence[float] | str | None
) -> list[NDArray[np.float64]]:
    """Return the times of the frames of each session, ascending over all."""
    own = [
        np.asarray(one["time"].values if "time" in one.coords else np.arange(one.sizes["time"]), np.float64)
        for one in named.values()
    ]
    if isinstance(starts, str):
        if starts != END_TO_END:
            raise ArgumentError(f"starts={starts!r}, expected one number per recording, or {END_TO_END!r}")
        return _end_to_end(own)
    if starts is not None:
        given = np.asarray(starts)
        if given.shape != (len(own),) or given.dtype.kind not in "iuf" or not np.isfinite(given).all():
            raise ArgumentError(f"starts={starts!r}, expected {len(own)} finite numbers, one per recording")
        own = [time + start for time, start in zip(own, given.tolist(), strict=True)]
    for (name, before), (after_name, after) in pairwise(list(zip(named, own, strict=True))):
        if before.size and after.size and after[0] <= before[-1]:
            raise ArgumentError(
                f"session {after_name!r} begins at {after[0]:g}, before session {name!r} ends at {before[-1]:g}",
                f"give starts=, when each recording began, or starts={END_TO_END!r} if nobody knows",
            )
    return own


def _end_to_end(own: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    steps = np.concatenate([np.diff(time) for time in own])
    interval = float(np.median(steps)) if steps.size else 1.0
    placed: list[NDArray[np.float64]] = []
    begin = 0.0
    for time in own:
        placed.append(time - time[0] + begin)
        begin = float(placed[-1][-1]) + 2 * interval
    return placed
