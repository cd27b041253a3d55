"""Traces for a report: the extremes of stretches of frames for every cell, every frame for the few that fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.engine.run import execute
from roitrace.kernels.noise import difference_noise
from roitrace.traces import time_axis
from roitrace.view.report.encoding import encode_trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from roitrace.view.report.contents import Series

__all__ = ["SignalPlan", "Signals", "gather_signals", "plan_signals"]

_BYTES_PER_SAMPLE = 1.15  # deflated, in base 64
_ENVELOPE_SHARE = 0.55
_FEWEST_STRETCHES, _MOST_STRETCHES = 100, 2000
_NOISE_FRAMES = 20_000
_PAIRED_FRAMES = 250


@dataclass(frozen=True)
class SignalPlan:
    """What of the traces fits into a report.

    Attributes
    ----------
    stretch : int
        Frames of which one minimum and one maximum are kept; 1 where every frame of every cell is.
    n_cells : int
        Cells with traces, the first ones of an order of importance.
    n_full : int
        Cells of which every frame is kept, the first ones of that order.
    """

    stretch: int
    n_cells: int
    n_full: int


@dataclass(frozen=True, eq=False)
class Signals:
    """What was read of the traces, in memory.

    Attributes
    ----------
    plan : SignalPlan
        How much.
    cells : list of int
        Positions of the cells with traces, most important first.
    extremes : dict
        Name of a series to ``(cell, 2 n_stretches)``: minima, then maxima; empty if every frame is kept.
    full : dict
        Name of a series to ``(cell, frame)`` of the first `plan.n_full` cells.
    noise, level : dict
        Name of a series to the noise, and the average, of each cell in `cells`.
    pairs : numpy.ndarray
        ``(2, cell, frame)``: evenly spaced frames of two statistics, to draw them against each other.
    """

    plan: SignalPlan
    cells: list[int]
    extremes: dict[str, NDArray[np.float64]]
    full: dict[str, NDArray[np.float64]]
    noise: dict[str, NDArray[np.float64]]
    level: dict[str, NDArray[np.float64]]
    pairs: NDArray[np.float64]

    def of_cell(self, number: int, series: Sequence[Series]) -> list[dict[str, Any]]:
        """Encode the traces of the cell at a place in `cells`."""
        whole = number < self.plan.n_full
        source = self.full if whole else self.extremes
        return [
            encode_trace(source[one.name][number], float(self.noise[one.name][number])).to_dict()
            | {"stretch": 1 if whole else self.plan.stretch}
            for one in series
        ]


def plan_signals(n_cells: int, n_series: int, n_frames: int, room: int) -> SignalPlan:
    """Divide `room` bytes among the traces of a report: everything, or extremes for all cells and frames for a few.

    Examples
    --------
    >>> plan_signals(60, 5, 6000, room=6_000_000)
    SignalPlan(stretch=1, n_cells=60, n_full=60)
    >>> plan_signals(500, 5, 108_000, room=6_000_000)
    SignalPlan(stretch=189, n_cells=500, n_full=4)
    """
    of_frames = n_series * n_frames * _BYTES_PER_SAMPLE
    if n_cells * of_frames <= room:
        return SignalPlan(1, n_cells, n_cells)
    of_stretch = 2 * n_series * _BYTES_PER_SAMPLE
    for_extremes = _ENVELOPE_SHARE * room
    stretches = int(for_extremes / (n_cells * of_stretch))
    kept = n_cells
    if stretches < _FEWEST_STRETCHES:
        stretches = _FEWEST_STRETCHES
        kept = min(n_cells, int(for_extremes / (stretches * of_stretch)))
    stretch = max(2, math.ceil(n_frames / min(stretches, _MOST_STRETCHES)))
    left = room - kept * math.ceil(n_frames / stretch) * of_stretch
    return SignalPlan(stretch, kept, max(0, min(kept, int(left / of_frames))))


def gather_signals(
    series: Sequence[Series],
    order: Sequence[int],
    pair: Sequence[str],
    room: int,
    *,
    workers: int | None = None,
) -> Signals:
    """Read all traces once, a few at a time, and keep what `plan_signals` says; `order` has the cells that matter first."""
    n_frames = series[0].trace.sizes["time"] if series else 0
    plan = plan_signals(len(order), len(series), n_frames, room) if series else SignalPlan(1, 0, 0)
    cells = list(order[: plan.n_cells])
    lazy: dict[str, xr.DataArray | xr.Variable] = {}
    for one in series:
        # in the order of their files, since blocks are read whole
        trace = one.trace.reset_coords(drop=True).isel(roi=sorted(cells))
        lazy |= {f"{key} {one.name}": value for key, value in _summarized(trace, plan.stretch).items()}
        lazy[f"full {one.name}"] = one.trace.isel(roi=sorted(cells[: plan.n_full])).variable
        if one.name in pair:
            lazy[f"pair {one.name}"] = trace.isel(time=_spread(n_frames)).variable
    (read,) = execute(lazy, workers=workers)
    place = np.argsort(np.argsort(cells)) if cells else np.zeros(0, dtype=np.int64)
    of_full = np.argsort(np.argsort(cells[: plan.n_full]))

    def taken(what: str, rows: NDArray[np.int64] = place) -> dict[str, NDArray[np.float64]]:
        keys = {one.name: f"{what} {one.name}" for one in series}
        return {name: _numbers(read[key])[rows] for name, key in keys.items() if key in read}

    pairs = taken("pair")
    return Signals(
        plan=plan,
        cells=cells,
        extremes=taken("extremes"),
        full=taken("full", of_full),
        noise=taken("noise"),
        level=taken("level"),
        pairs=np.array([pairs[name] for name in pair]) if pairs else np.zeros((2, 0, 0)),
    )


def _summarized(trace: xr.DataArray, stretch: int) -> dict[str, xr.DataArray]:
    """Extremes of stretches, noise and average of each trace, lazy where the trace is; no extremes if `stretch` is 1."""
    n_frames = trace.sizes["time"]
    outputs: dict[str, tuple[str, ...]] = {"noise": (), "level": ()}
    sizes = {}
    if stretch > 1:
        outputs["extremes"] = ("stretch",)
        sizes["stretch"] = 2 * math.ceil(n_frames / stretch)
    if trace.chunks is not None:
        trace = trace.chunk(time=-1)
    results = xr.apply_ufunc(
        partial(_summarize, stretch=stretch, borders=time_axis(trace).borders),
        trace,
        input_core_dims=[["time"]],
        output_core_dims=list(outputs.values()),
        dask="parallelized",
        output_dtypes=[np.float64] * len(outputs),
        dask_gufunc_kwargs={"output_sizes": sizes},
    )
    return dict(zip(outputs, results, strict=True))


def _summarize(
    block: NDArray[np.float64], *, stretch: int, borders: NDArray[np.int64]
) -> tuple[NDArray[np.float64], ...]:
    """Return noise and average of each row of a block ``(roi, time)``, and the extremes of its stretches."""
    block = np.where(np.isfinite(block), block, np.nan)
    count = np.isfinite(block).sum(axis=1)
    level = np.nansum(block, axis=1) / np.where(count, count, np.nan)
    n_early = min(_NOISE_FRAMES, block.shape[1])
    early = np.append(borders[borders < n_early], n_early)
    noise = np.array([difference_noise(row[:n_early], early) for row in block], dtype=np.float64)
    if stretch == 1:
        return noise, level
    n_stretches = math.ceil(block.shape[1] / stretch)
    missing = n_stretches * stretch - block.shape[1]
    cut = np.pad(block, ((0, 0), (0, missing)), constant_values=np.nan).reshape(len(block), -1, stretch)
    extremes = np.concatenate([np.fmin.reduce(cut, axis=2), np.fmax.reduce(cut, axis=2)], axis=1)
    return noise, level, extremes


def _spread(n_frames: int) -> NDArray[np.int64]:
    count = min(n_frames, _PAIRED_FRAMES)
    return np.unique(np.linspace(0, n_frames - 1, count).astype(np.int64))


def _numbers(read: Any) -> NDArray[np.float64]:
    return np.asarray(getattr(read, "values", read), dtype=np.float64)
