"""The scene of a simulated recording, drawn from its parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from roitrace.frame import Frame
from roitrace.kernels.detector import Detector, normal_quantiles
from roitrace.kernels.scene import DROPPED, SATURATED, CellRuns, Light, Still
from roitrace.simulation.activity import Activity, ActivityPlan, draw_activity
from roitrace.simulation.cells import CellPlan, place_cells
from roitrace.simulation.haze import Haze, HazePlan, draw_haze, draw_texture
from roitrace.units import parse_length

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roitrace.rois import Rois
    from roitrace.simulation.source import SimulatedSource

__all__ = ["Scene", "bleaching_curve", "draw_scene", "to_micrometres"]


_PATCHES = 24.0  # um, size of the coarse patches of the texture


@dataclass(frozen=True, eq=False)
class Scene:
    """What a simulated recording shows; all but the detector's noise.

    Attributes
    ----------
    rois : Rois
        The cells; weights are the footprints.
    brightness : numpy.ndarray
        Photons of each cell at rest.
    activity : Activity
        Spikes and transients.
    haze : Haze
        Neuropil.
    still : Still
        Background, illumination, footprints and detector, as the kernels need them.
    motion : numpy.ndarray
        Whole pixels by which the tissue moved down and to the right, ``(2, time)`` int64.
    faults : numpy.ndarray
        Dropped and saturated frames, ``(time,)`` uint8.
    """

    rois: Rois
    brightness: NDArray[np.float64]
    activity: Activity
    haze: Haze
    still: Still
    motion: NDArray[np.int64]
    faults: NDArray[np.uint8]


def bleaching_curve(source: SimulatedSource, start: int, stop: int) -> NDArray[np.float64]:
    """Fluorescence that is left in frames `start` to `stop`, relative to frame 0: a double exponential."""
    fast, slow = source.bleaching_times
    # one frame at a time: a vectorised exp may give other bits in its remainder
    left = [
        (math.exp(-frame / source.frame_rate / fast) + 2 * math.exp(-frame / source.frame_rate / slow)) / 3
        for frame in range(start, stop)
    ]
    return 1 - source.bleaching * (1 - np.asarray(left))


@lru_cache(maxsize=2)
def draw_scene(source: SimulatedSource) -> Scene:
    """Draw a scene, each part from its own stream of the seed; the last two are kept."""
    n_frames, height, width = source.shape
    streams = np.random.SeedSequence(source.seed).spawn(9)
    cell_seed, brightness_seed, activity_seed, haze_seed, texture_seed, light_seed, detector_seed = streams[
        :7
    ]
    rois = _draw_cells(source, cell_seed)
    activity = draw_activity(
        ActivityPlan(
            event_rate=source.event_rate,
            burst_probability=source.burst_probability,
            burst_spikes=source.burst_spikes,
            amplitude=source.amplitude,
            rise=source.rise,
            decay=source.decay,
            cell_variation=source.cell_variation,
        ),
        source.n_rois,
        n_frames,
        source.frame_rate,
        activity_seed,
    )
    haze = draw_haze(_haze_plan(source), source.shape, activity, _centres(rois), haze_seed)
    scales = to_micrometres(source.texture_scale, source.pixel_size), _PATCHES
    blurs = [(scale / source.pixel_size[0], scale / source.pixel_size[1]) for scale in scales]
    texture = draw_texture((height, width), source.texture, blurs, texture_seed)
    light = Light(source.background, texture, *_illumination((height, width), source.vignetting, light_seed))
    spread = np.random.default_rng(brightness_seed).standard_normal(source.n_rois)
    return Scene(
        rois=rois,
        brightness=source.brightness * np.exp(source.brightness_spread * spread),
        activity=activity,
        haze=haze,
        still=Still(light, haze.basis, _runs(rois), _detector(source, detector_seed)),
        motion=_motion(source, streams[7]),
        faults=_faults(source, streams[8]),
    )


def _motion(source: SimulatedSource, seed: np.random.SeedSequence) -> NDArray[np.int64]:
    """Draw an autoregressive walk around 0 with the standard deviation and the correlation time asked for, in whole pixels."""
    from scipy.signal import lfilter  # noqa: PLC0415

    n_frames = source.shape[0]
    if source.jitter == 0:
        return np.zeros((2, n_frames), dtype=np.int64)
    keep = math.exp(-1 / (source.frame_rate * source.jitter_time))
    noise = np.random.default_rng(seed).standard_normal((2, n_frames))
    noise[:, 1:] *= math.sqrt(1 - keep**2)
    return np.rint(source.jitter * lfilter([1.0], [1.0, -keep], noise, axis=1)).astype(np.int64)


def _faults(source: SimulatedSource, seed: np.random.SeedSequence) -> NDArray[np.uint8]:
    faults = np.zeros(source.shape[0], dtype=np.uint8)
    count = source.dropped_frames + source.saturated_frames
    chosen = np.random.default_rng(seed).choice(source.shape[0], count, replace=False)
    faults[chosen[: source.dropped_frames]] = DROPPED
    faults[chosen[source.dropped_frames :]] = SATURATED
    return faults


def _draw_cells(source: SimulatedSource, seed: np.random.SeedSequence) -> Rois:
    height, width = source.shape[1:]
    y, x = (
        np.arange(n, dtype=np.float64) * size
        for n, size in zip((height, width), source.pixel_size, strict=True)
    )
    plan = CellPlan(
        count=source.n_rois,
        diameter=to_micrometres(source.cell_diameter, source.pixel_size),
        diameter_spread=source.diameter_spread,
        irregularity=source.irregularity,
        nucleus=source.nucleus,
        touching=source.touching,
        overlapping=source.overlapping,
    )
    return place_cells(plan, Frame((height, width), y, x, "micrometer"), source.pixel_size, seed)


def _haze_plan(source: SimulatedSource) -> HazePlan:
    scale = to_micrometres(source.haze_scale, source.pixel_size)
    return HazePlan(
        level=source.haze,
        fluctuation=source.haze_fluctuation,
        spacing=(scale / source.pixel_size[0], scale / source.pixel_size[1]),
        frames=source.haze_time * source.frame_rate,
        correlation=source.haze_correlation,
    )


def _detector(source: SimulatedSource, seed: np.random.SeedSequence) -> Detector:
    noise_seed, hot_seed = seed.spawn(2)
    key, flicker_key = noise_seed.generate_state(2, np.uint64)
    random = np.random.default_rng(hot_seed)
    height, width = source.shape[1:]
    pixels = np.sort(random.choice(height * width, source.hot_pixels, replace=False))
    levels = source.hot_level * random.uniform(0.5, 1.5, source.hot_pixels)
    flickers = random.permutation(source.hot_pixels) < round(source.hot_flicker * source.hot_pixels)
    return Detector(
        gain=source.detector_gain,
        offset=source.detector_offset,
        shot_noise=source.noise and source.shot_noise,
        read_noise=source.read_noise if source.noise else 0.0,
        key=key,
        flicker_key=flicker_key,
        normal=normal_quantiles(),
        hot_rows=np.searchsorted(pixels, np.arange(height + 1) * width).astype(np.int64),
        hot_columns=(pixels % width).astype(np.int64),
        hot_levels=levels,
        hot_flickers=flickers,
    )


def _illumination(
    shape: tuple[int, int], loss: float, seed: np.random.SeedSequence
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parabola around a point near the middle, as a part of the row plus a part of the column."""
    middle = np.random.default_rng(seed).uniform(0.45, 0.55, 2)
    y, x = (np.arange(n) - at * (n - 1) for n, at in zip(shape, middle, strict=True))
    farthest = max(float(np.max(y**2) + np.max(x**2)), 1.0)
    return 1 - loss * y**2 / farthest, -loss * x**2 / farthest


def _centres(rois: Rois) -> NDArray[np.float64]:
    """Mean pixel position ``(cell, 2)``."""
    y, x = np.divmod(rois.pixels, rois.shape[1])
    rows = np.repeat(np.arange(len(rois)), rois.n_pixels)
    sums = [np.bincount(rows, one, minlength=len(rois)) for one in (y, x)]
    return np.stack(sums, axis=1) / np.maximum(rois.n_pixels, 1)[:, None]


def _runs(rois: Rois) -> CellRuns:
    """Cut footprints into horizontal runs."""
    height, width = rois.shape
    cell = np.repeat(np.arange(len(rois)), rois.n_pixels)
    y, x = np.divmod(rois.pixels, width)
    new = np.ones(cell.size, dtype=np.bool_)
    new[1:] = (np.diff(rois.pixels) != 1) | (np.diff(cell) != 0) | (np.diff(y) != 0)
    entry = np.flatnonzero(new)
    length = np.diff(np.append(entry, cell.size))
    order = np.lexsort((x[entry], cell[entry], y[entry]))
    entry, length = entry[order], length[order]
    weights = np.zeros(0) if rois.weights is None else rois.weights
    return CellRuns(
        rows=np.searchsorted(y[entry], np.arange(height + 1)).astype(np.int64),
        cell=cell[entry],
        begin=x[entry],
        end=x[entry] + length,
        entry=entry,
        weights=weights,
    )


def to_micrometres(length: str | float, pixel_size: tuple[float, float]) -> float:
    """Turn what a user wrote into micrometres; pixels count by the root of their area."""
    value, unit = parse_length(length)
    return value if unit == "micrometer" else value * math.sqrt(math.prod(pixel_size))
