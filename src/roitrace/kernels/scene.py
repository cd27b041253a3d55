"""Draw blocks of a simulated recording, one row at a time: haze, cells, light, detector.

Each pixel is a sum in a fixed order (background, haze, cells by number), so a block has the same bits however it is
cut out of the recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from roitrace.kernels.compiled import compiled
from roitrace.kernels.detector import Detector, detect_row

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "DROPPED",
    "SATURATED",
    "CellRuns",
    "HazeBasis",
    "Light",
    "Moving",
    "Spikes",
    "Still",
    "add_transients",
    "render",
]

DROPPED, SATURATED = 1, 2
"""Faults of a frame: all samples 0, all samples the largest there is."""

_FULL_SCALE = 65535.0  # of a detector whose samples are floats


class Spikes(NamedTuple):
    """Cell ``i`` fires ``counts[n]`` spikes in frame ``frames[n]`` for n in ``first[i]:first[i + 1]``, frames ascending."""

    first: NDArray[np.int64]
    frames: NDArray[np.int64]
    counts: NDArray[np.int64]


class HazeBasis(NamedTuple):
    """Smooth functions ``(function, pixel)`` along y and x, and the pixels outside which each of them is 0."""

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    row_begin: NDArray[np.int64]
    row_end: NDArray[np.int64]
    column_begin: NDArray[np.int64]
    column_end: NDArray[np.int64]


class CellRuns(NamedTuple):
    """Footprints as horizontal runs, sorted by row, cell and column.

    Row ``y`` owns the runs ``rows[y]:rows[y + 1]``; a run covers the columns ``begin:end`` with the weights from ``entry`` on.
    """

    rows: NDArray[np.int64]
    cell: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    entry: NDArray[np.int64]
    weights: NDArray[np.float64]


class Light(NamedTuple):
    """Background, its texture ``(y, x)``, and the illumination, ``rows[y] + columns[x]``."""

    background: float
    texture: NDArray[np.float32]
    rows: NDArray[np.float64]
    columns: NDArray[np.float64]


class Still(NamedTuple):
    """What stays the same throughout a recording."""

    light: Light
    basis: HazeBasis
    runs: CellRuns
    detector: Detector


class Moving(NamedTuple):
    """What changes: bleaching ``(time)``, haze ``(time, row function, column function)``, cells ``(time, cell)``; photons.

    ``dy``, ``dx`` are the pixels by which the tissue moved down and to the right, ``(time)``; ``faults (time)`` is `DROPPED`, `SATURATED` or 0.
    """

    bleaching: NDArray[np.float64]
    haze: NDArray[np.float64]
    levels: NDArray[np.float64]
    dy: NDArray[np.int64]
    dx: NDArray[np.int64]
    faults: NDArray[np.uint8]


@compiled()
def add_transients(
    dff: NDArray[np.float64],
    first_frame: int,
    cells: NDArray[np.int64],
    spikes: Spikes,
    transients: NDArray[np.float64],
) -> None:
    """Add to `dff` (time, cell), which begins at `first_frame`, the `transients` (cell, delay) after the spikes of `cells`."""
    n_frames = dff.shape[0]
    length = transients.shape[1]
    for cell in cells:
        begin, end = spikes.first[cell], spikes.first[cell + 1]
        begin += np.searchsorted(spikes.frames[begin:end], first_frame - length + 1)
        for n in range(begin, end):
            delay = first_frame - spikes.frames[n]
            if delay <= -n_frames:
                break
            for t in range(max(0, -delay), min(n_frames, length - delay)):
                dff[t, cell] += spikes.counts[n] * transients[cell, t + delay]


@compiled()
def render(
    out: NDArray[np.generic],
    start: tuple[int, int, int],
    still: Still,
    moving: Moving,
    limits: tuple[float, float],
) -> None:
    """Fill the block `out` (time, y, x) that begins at `start`; `moving` begins with its first frame.

    Counts are rounded to the nearest integer (ties upwards) and clipped to `limits` where these are finite.
    """
    height, width = still.light.texture.shape
    low, high = limits
    rounded = np.isfinite(low)
    row = np.empty(out.shape[2])
    tissue = np.empty(out.shape[2])
    haze = np.empty(still.basis.columns.shape[0])
    for t in range(out.shape[0]):
        if moving.faults[t] == DROPPED:
            out[t] = 0
            continue
        if moving.faults[t] == SATURATED:
            out[t] = high if rounded else _FULL_SCALE
            continue
        for j in range(out.shape[1]):
            y, x = start[1] + j, start[2]
            # tissue that moves in from outside is the edge of the frame once more
            source = min(max(y - moving.dy[t], 0), height - 1)
            first = min(max(x - moving.dx[t], 0), width - 1)
            last = min(max(x + row.size - moving.dx[t], first + 1), width)
            part = tissue[: last - first]
            _haze_of_row(haze, source, still.basis, moving.haze[t])
            part[:] = still.light.background
            _add_haze(part, first, still.basis, haze)
            for i in range(part.size):
                part[i] *= still.light.texture[source, first + i]
            _add_cells(part, source, first, still.runs, moving.levels[t])
            for i in range(row.size):
                row[i] = part[min(max(x + i - moving.dx[t], first), last - 1) - first]
            brightness = moving.bleaching[t]
            for i in range(row.size):
                row[i] *= (still.light.rows[y] + still.light.columns[x + i]) * brightness
            counter = np.uint64(((start[0] + t) * height + y) * width + x)
            detect_row(row, counter, y, x, still.detector)
            if rounded:
                for i in range(row.size):
                    out[t, j, i] = min(max(np.floor(row[i] + 0.5), low), high)
            else:
                for i in range(row.size):
                    out[t, j, i] = row[i]


@compiled()
def _haze_of_row(haze: NDArray[np.float64], y: int, basis: HazeBasis, knots: NDArray[np.float64]) -> None:
    haze[:] = 0.0
    for a in range(knots.shape[0]):
        if basis.row_begin[a] <= y < basis.row_end[a]:
            for b in range(knots.shape[1]):
                haze[b] += basis.rows[a, y] * knots[a, b]


@compiled()
def _add_haze(row: NDArray[np.float64], x: int, basis: HazeBasis, haze: NDArray[np.float64]) -> None:
    for b in range(haze.size):
        begin = max(x, basis.column_begin[b])
        end = min(x + row.size, basis.column_end[b])
        if begin < end:
            _add_scaled(row[begin - x : end - x], haze[b], basis.columns[b, begin:end])


@compiled()
def _add_cells(row: NDArray[np.float64], y: int, x: int, runs: CellRuns, levels: NDArray[np.float64]) -> None:
    for n in range(runs.rows[y], runs.rows[y + 1]):
        begin, end = max(x, runs.begin[n]), min(x + row.size, runs.end[n])
        if begin < end:
            shift = runs.entry[n] - runs.begin[n]
            _add_scaled(
                row[begin - x : end - x], levels[runs.cell[n]], runs.weights[begin + shift : end + shift]
            )


@compiled()
def _add_scaled(row: NDArray[np.float64], level: float, part: NDArray[np.float64]) -> None:
    for i in range(row.size):
        row[i] += level * part[i]
