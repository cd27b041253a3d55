"""What traces are: which variable is F, where their time axis breaks, how a function runs over them ROI by ROI."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import xarray as xr

from roitrace.errors import ArgumentError, BudgetError, MetadataError
from roitrace.units import format_bytes, format_count

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "Duration",
    "TimeAxis",
    "check_same_axes",
    "map_rois",
    "pick_trace",
    "spread_rules",
    "statistic_names",
    "time_axis",
]

Duration: TypeAlias = float | str
"""A number of seconds, or a text with its unit: ``"60 s"``, ``"500 ms"``, ``"2 min"``, ``"1800 frames"``."""

_SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "ms": 1e-3, "min": 60.0}
_FRAMES = frozenset({"frame", "frames"})
_NUMBER_AND_UNIT = re.compile(r"\s*([+-]?[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)
_GAP = 1.5  # median intervals
# One block of a lazy trace holds this much of it at most: large enough for few tasks, small enough for few ROIs.
_BLOCK_BYTES = 32 * 2**20
# Block-sized arrays alive in one task: the block, what it was cut from, results, and dask's copies of these.
_ARRAYS_PER_TASK = 8


@dataclass(frozen=True, eq=False)
class TimeAxis:
    """Segments of a time axis, and how long a frame lasts.

    Attributes
    ----------
    borders : numpy.ndarray
        Frames at which segments begin, and the number of frames at the end; int64.
    interval : float or None
        Median time from frame to frame, s; None where nobody knows it.
    sessions : numpy.ndarray
        Frames at which sessions begin, and the number of frames at the end; int64.
    """

    borders: NDArray[np.int64]
    interval: float | None
    sessions: NDArray[np.int64]

    def frames(self, duration: Duration, argument: str) -> float:
        """Turn a duration into frames; `argument` names it in errors.

        Raises
        ------
        MetadataError
            If it is in seconds and the traces have no frame rate.
        ArgumentError
            If it is no finite duration of at least 0.
        """
        number, in_frames = _parse_duration(duration, argument)
        if in_frames:
            return number
        if self.interval is None:
            raise MetadataError(
                f"{argument}={duration!r} is asked in seconds, but the traces have no frame rate",
                "give frame_rate= (Hz) when you convert or open the recording, or ask in frames: "
                f'{argument}="100 frames"',
            )
        return round(number / self.interval, 6)  # 15 rather than 15.0000000003 where times are rounded

    def half_window(self, window: Duration | None, argument: str = "window") -> int:
        """Frames on either side of the centre of a window; None is a window over the whole segment."""
        if window is None:
            return int(self.borders[-1])
        frames = round(self.frames(window, argument))
        if frames < 1:
            raise ArgumentError(
                f"{argument}={window!r} is shorter than one frame",
                f"give a longer {argument}, or None for all",
            )
        return frames // 2

    def sigma(self, smoothing: Duration | None, argument: str = "smoothing") -> float:
        """Frames of a standard deviation; None and 0 are no smoothing."""
        return 0.0 if smoothing is None or smoothing == 0 else self.frames(smoothing, argument)


def _parse_duration(duration: object, argument: str) -> tuple[float, bool]:
    """Return a number, and whether it counts frames (else seconds)."""
    number, unit = math.nan, ""
    if isinstance(duration, str):
        if match := _NUMBER_AND_UNIT.fullmatch(duration):
            number, unit = float(match[1]), match[2].lower()
    elif isinstance(duration, int | float | np.number) and not isinstance(duration, bool):
        number = float(duration)
    if not (math.isfinite(number) and number >= 0 and (unit in _SECONDS or unit in _FRAMES)):
        raise ArgumentError(
            f"{argument}={duration!r} is no duration",
            'write a number of seconds, or a text such as "60 s", "500 ms" or "1800 frames"',
        )
    return (number, True) if unit in _FRAMES else (number * _SECONDS[unit], False)


def time_axis(trace: xr.DataArray) -> TimeAxis:
    """Find the segments and the interval of a trace.

    A segment ends where time does not go on by at most 1.5 median intervals, and where the coordinate ``session``
    along time changes. The interval comes from ``time`` in seconds, else from the attribute ``frame_rate`` (Hz).

    Raises
    ------
    ArgumentError
        If there are no frames, or times that are no finite numbers.
    """
    count = trace.sizes["time"]
    if count == 0:
        raise ArgumentError("the traces have no frames", "check the time selection")
    begins = np.zeros(count, dtype=np.bool_)
    begins[0] = True
    frame_rate = trace.attrs.get("frame_rate")
    interval = None if frame_rate is None else 1.0 / float(frame_rate)
    if "time" in trace.coords:
        times = trace["time"].values
        if times.dtype.kind not in "iuf" or not np.isfinite(times).all():
            raise ArgumentError(
                f"time holds {times.dtype} values that are not all finite numbers", "give time in seconds"
            )
        steps = np.diff(times.astype(np.float64))
        units = trace["time"].attrs.get("units")
        typical = float(np.median(steps)) if steps.size else 0.0
        begins[1:] |= (steps <= 0) | (steps > _GAP * typical)
        if typical > 0 and units == "s":
            interval = typical
        elif typical > 0 and units == "1" and interval is not None:
            interval *= typical
    changes = np.zeros(count, dtype=np.bool_)
    changes[0] = True
    if "session" in trace.coords and trace["session"].dims == ("time",):
        session = trace["session"].values
        changes[1:] = session[1:] != session[:-1]
    borders, sessions = (
        np.append(np.flatnonzero(one), count).astype(np.int64) for one in (begins | changes, changes)
    )
    return TimeAxis(borders, interval, sessions)


def statistic_names(traces: xr.Dataset) -> tuple[str, ...]:
    """Names of the variables that are traces of cells: floating point along ``roi`` and ``time``, neuropil left out."""
    return tuple(
        str(name)
        for name, variable in traces.data_vars.items()
        if set(variable.dims) == {"roi", "time"}
        and variable.dtype.kind == "f"
        and variable.attrs.get("role") != "neuropil"
    )


def spread_rules(traces: xr.Dataset) -> xr.Dataset:
    """Lay traces of several overlap rules side by side: those of the first keep their names, others become ``mean (exclude)``.

    What is not a trace is that of the first rule. Traces of one rule stay as they are.
    """
    if "overlap" not in traces.dims:
        return traces
    rules = [str(rule) for rule in traces["overlap"].values]
    first = traces.isel(overlap=0, drop=True)
    others = {
        f"{name} ({rule})": traces[name].isel(overlap=number, drop=True)
        for number, rule in enumerate(rules)
        for name in statistic_names(first)
        if number and "overlap" in traces[name].dims
    }
    return first.assign(others)


def pick_trace(traces: xr.Dataset | xr.DataArray, statistic: str | None = None) -> xr.DataArray:
    """Return the traces ``(roi, time)`` or ``(time,)`` that are F, with the frame rate in their attributes.

    Parameters
    ----------
    traces : Dataset or DataArray
        From `extract`, or one variable of it.
    statistic : str, optional
        A variable of a Dataset; its attribute ``primary`` if not given.

    Raises
    ------
    ArgumentError
        If there is no such variable, or it has other dims or no real numbers.
    """
    if isinstance(traces, xr.Dataset):
        names = statistic_names(traces)
        name = statistic if statistic is not None else traces.attrs.get("primary")
        if name is None:
            raise ArgumentError(
                "the traces do not say which variable is F (attribute primary)",
                f"choose statistic= among {', '.join(names) or 'none: there are no traces'}",
            )
        if name not in traces.data_vars:
            raise ArgumentError(
                f"the traces have no statistic {name!r}",
                f"they have {', '.join(names) or 'none'}; extract it, or choose another",
            )
        trace, frame_rate = traces[name], traces.attrs.get("frame_rate")
    elif isinstance(traces, xr.DataArray):
        if statistic is not None and statistic != traces.name:
            raise ArgumentError(
                f"statistic={statistic!r} was asked of a DataArray named {traces.name!r}",
                "give the Dataset of extract, or leave statistic out",
            )
        trace, frame_rate = traces, traces.attrs.get("frame_rate")
    else:
        raise ArgumentError(
            f"the traces are a {type(traces).__name__}, expected a Dataset or DataArray",
            'label an array: xarray.DataArray(values, dims=("roi", "time"))',
        )
    if set(trace.dims) not in ({"time"}, {"roi", "time"}) or trace.dtype.kind not in "iuf":
        raise ArgumentError(
            f"{trace.name!r} has dims {trace.dims} and dtype {trace.dtype}, expected real numbers along roi and time",
            "choose one with traces.sel(overlap=...)" if "overlap" in trace.dims else "",
        )
    trace = trace.transpose(..., "time").rename("trace" if trace.name is None else trace.name)
    trace.attrs = {} if frame_rate is None else {"frame_rate": float(frame_rate)}
    return trace


def check_same_axes(trace: xr.DataArray, other: xr.DataArray, what: str) -> None:
    """Refuse traces of other ROIs or times.

    Raises
    ------
    ArgumentError
        If sizes, ROI names or times differ.
    """
    if dict(trace.sizes) != dict(other.sizes):
        raise ArgumentError(
            f"{what} has sizes {dict(other.sizes)}, the traces {dict(trace.sizes)}",
            "give both for the same ROIs and frames",
        )
    for dim in trace.dims:
        known = dim in trace.coords and dim in other.coords
        if known and not np.array_equal(trace[dim].values, other[dim].values):
            raise ArgumentError(
                f"{what} has other values along {dim} than the traces",
                "give both for the same ROIs and frames",
            )


def map_rois(
    function: Callable[..., tuple[Any, ...]],
    *traces: xr.DataArray,
    outputs: dict[str, type[np.generic]],
    over_time: Sequence[str] = (),
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> dict[str, xr.DataArray]:
    """Call a function with the trace of each ROI, ``(time,)`` float64, now or lazily as the traces are.

    Infinite samples are missing ones: they arrive as NaN.

    Parameters
    ----------
    function : callable
        Takes one trace per given DataArray and returns one value per output. Must be picklable.
    *traces : DataArray
        ``(roi, time)`` or ``(time,)``, alike but for their values.
    outputs : dict
        Name and dtype of each result.
    over_time : sequence of str
        The results that are ``(time,)`` per ROI; the others are one number.
    budget, workers : str or float, int
        Lazy traces only: a block of few ROIs with all their frames stays under ``budget / workers``.

    Raises
    ------
    BudgetError
        If the whole trace of one ROI does not fit a lazy task's part of the budget.
    """
    if traces[0].size == 0:  # dask divides by the number of ROIs
        traces = tuple(trace.copy(data=np.empty(trace.shape)) for trace in traces)
    elif any(trace.chunks is not None for trace in traces):
        block = _rows_per_block(traces[0].sizes["time"], budget, workers)
        traces = tuple(_one_block_of_time(trace, block) for trace in traces)
    # Labels come from the first; comparing lazy coordinates would compute them.
    traces = (traces[0], *(trace.reset_coords(drop=True) for trace in traces[1:]))
    results = xr.apply_ufunc(
        partial(_map_rows, function=function, outputs=outputs, over_time=tuple(over_time)),
        *traces,
        input_core_dims=[["time"]] * len(traces),
        output_core_dims=[["time"] if name in over_time else [] for name in outputs],
        dask="parallelized",
        output_dtypes=[np.dtype(dtype) for dtype in outputs.values()],
        keep_attrs="override",  # those of the coordinates, above all the unit of time
    )
    named = dict(zip(outputs, results if len(outputs) > 1 else [results], strict=True))
    for name, result in named.items():
        result.name, result.attrs = name, {}
    return named


def _rows_per_block(n_frames: int, budget: str | float, workers: int | None) -> int:
    """Count the ROIs of a block: a power of two, as the results store has them too."""
    from roitrace.engine.places import limits_of  # noqa: PLC0415
    from roitrace.engine.plan import RESERVED_BYTES  # noqa: PLC0415 (lazy traces alone need the engine)

    limits = limits_of(budget, workers)
    row = 8 * n_frames
    room = (limits.budget - RESERVED_BYTES) // limits.workers
    if row * _ARRAYS_PER_TASK > room:
        needed = RESERVED_BYTES + limits.workers * row * _ARRAYS_PER_TASK
        raise BudgetError(
            f"the trace of one ROI over {n_frames:,} frames takes {format_bytes(row * _ARRAYS_PER_TASK)} of working "
            f"memory, with {format_count(limits.workers, 'worker')} and the program itself {format_bytes(needed)}; the budget "
            f"is {format_bytes(limits.budget)}",
            f"give budget={needed} or more, or fewer workers=",
        )
    rows = max(1, min(_BLOCK_BYTES, room // _ARRAYS_PER_TASK) // row)
    return 1 << (rows.bit_length() - 1)


def _one_block_of_time(trace: xr.DataArray, rows: int) -> xr.DataArray:
    chunks: dict[Hashable, int] = {"time": -1}
    if "roi" in trace.dims and max(trace.variable.chunksizes.get("roi", trace.shape)) > rows:
        chunks["roi"] = rows
    return trace.copy(data=trace.variable.chunk(chunks).data)  # coordinates stay in memory


def _map_rows(
    *blocks: NDArray[Any],
    function: Callable[..., tuple[Any, ...]],
    outputs: dict[str, type[np.generic]],
    over_time: tuple[str, ...],
) -> Any:
    """Call `function` row by row, so that only one row's working memory is alive."""
    leading, n_frames = blocks[0].shape[:-1], blocks[0].shape[-1]
    flat = [block.reshape(-1, n_frames) for block in blocks]
    results = tuple(
        np.empty((len(flat[0]), n_frames) if name in over_time else len(flat[0]), dtype=dtype)
        for name, dtype in outputs.items()
    )
    for number in range(len(flat[0])):
        rows = [np.ascontiguousarray(block[number], dtype=np.float64) for block in flat]
        rows = [row if np.isfinite(row).all() else np.where(np.isfinite(row), row, np.nan) for row in rows]
        for result, value in zip(results, function(*rows), strict=True):
            result[number] = value
    shaped = tuple(
        result.reshape((*leading, n_frames) if name in over_time else leading)
        for name, result in zip(outputs, results, strict=True)
    )
    return shaped if len(shaped) > 1 else shaped[0]
