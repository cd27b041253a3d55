"""When simulated cells are active, and the fluorescence that follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from roitrace.kernels.scene import Spikes, add_transients

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Activity", "ActivityPlan", "draw_activity"]

_BURST_INTERVAL = 0.03  # s, mean interval of the spikes of one burst
_SUPPORT = 14.0  # decay times after which a transient, below 1e-6 of its peak, ends


@dataclass(frozen=True)
class ActivityPlan:
    """How often cells fire and what one spike does; times in seconds, rates in Hz."""

    event_rate: float
    burst_probability: float
    burst_spikes: float
    amplitude: float
    rise: float
    decay: float
    cell_variation: float


@dataclass(frozen=True, eq=False)
class Activity:
    """Spikes of all cells and the transient that one spike causes in each.

    Attributes
    ----------
    spikes : Spikes
        When each cell fires.
    transients : numpy.ndarray
        dF/F after one spike, ``(cell, frame since the spike)``.
    amplitude, rise, decay, event_rate : numpy.ndarray
        Parameters of each cell: peak dF/F of a spike, seconds, Hz.
    """

    spikes: Spikes
    transients: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    rise: NDArray[np.float64]
    decay: NDArray[np.float64]
    event_rate: NDArray[np.float64]

    def dff(self, start: int, stop: int, cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return dF/F ``(time, cell)`` of frames `start` to `stop`; 0 for all but `cells`."""
        dff = np.zeros((stop - start, self.amplitude.size))
        add_transients(dff, start, cells, self.spikes, self.transients)
        return dff

    def spike_counts(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the number of spikes ``(time, cell)`` of frames `start` to `stop`."""
        first, frames, counts = self.spikes
        table = np.zeros((stop - start, self.amplitude.size), dtype=np.int64)
        cell = np.repeat(np.arange(self.amplitude.size), np.diff(first))
        inside = (frames >= start) & (frames < stop)
        table[frames[inside] - start, cell[inside]] = counts[inside]
        return table


def draw_activity(
    plan: ActivityPlan, n_cells: int, n_frames: int, frame_rate: float, seed: np.random.SeedSequence
) -> Activity:
    """Draw parameters and spikes of each cell: Poisson events, some of which are bursts.

    A transient is ``(1 - exp(-t / rise)) exp(-t / decay)``, scaled to a peak of `amplitude`; a cell is silent before
    the first frame.
    """
    parameter_seed, spike_seed = seed.spawn(2)
    spread = np.random.default_rng(parameter_seed).standard_normal((4, n_cells)) * plan.cell_variation
    amplitude, rise, decay, event_rate = (
        value * np.exp(one)
        for value, one in zip((plan.amplitude, plan.rise, plan.decay, plan.event_rate), spread, strict=True)
    )
    trains = [
        _draw_spikes(plan, rate, n_frames, frame_rate, np.random.default_rng(one))
        for rate, one in zip(event_rate.tolist(), spike_seed.spawn(n_cells), strict=True)
    ]
    length = int(np.ceil(_SUPPORT * decay.max(initial=0.0) * frame_rate)) + 1
    since = np.arange(length) / frame_rate
    rise_, decay_ = rise[:, None], decay[:, None]
    peak = (decay_ / (rise_ + decay_)) * (rise_ / (rise_ + decay_)) ** (rise_ / decay_)
    transients = amplitude[:, None] / peak * -np.expm1(-since / rise_) * np.exp(-since / decay_)
    nothing = np.zeros(0, dtype=np.int64)
    return Activity(
        spikes=Spikes(
            first=np.cumsum([0, *(frames.size for frames, _ in trains)], dtype=np.int64),
            frames=np.concatenate([nothing, *(frames for frames, _ in trains)]),
            counts=np.concatenate([nothing, *(counts for _, counts in trains)]),
        ),
        transients=transients,
        amplitude=amplitude,
        rise=rise,
        decay=decay,
        event_rate=event_rate,
    )


def _draw_spikes(
    plan: ActivityPlan, event_rate: float, n_frames: int, frame_rate: float, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frames with spikes, ascending, and how many each has."""
    duration = n_frames / frame_rate
    events = random.uniform(0, duration, random.poisson(event_rate * duration))
    bursts = random.uniform(size=events.size) < plan.burst_probability
    extra = np.where(bursts, random.poisson(max(plan.burst_spikes - 1, 0.0), events.size), 0)
    burst = np.repeat(np.arange(events.size), extra)
    waits = np.cumsum(random.exponential(_BURST_INTERVAL, burst.size))
    begins = np.concatenate([[0], np.cumsum(extra)])[burst]
    followers = events[burst] + waits - np.concatenate([[0.0], waits])[begins]
    times = np.concatenate([events, followers])
    frames = np.floor(times[times < duration] * frame_rate).astype(np.int64)
    frames, counts = np.unique(frames[frames < n_frames], return_counts=True)
    return frames, counts
