"""SimulatedSource: a recording that is computed where it is read."""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from roitrace.errors import ArgumentError, FormatError
from roitrace.kernels.scene import Moving, render
from roitrace.simulation.scene import Scene, bleaching_curve, draw_scene, to_micrometres
from roitrace.sources import BlockSource, check_sample_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["SimulatedSource", "SimulationOptions"]

_VERSION = 1  # raised when the same parameters give other samples


class SimulationOptions(TypedDict, total=False):
    """What `SimulatedSource` takes besides shape, number of cells and seed."""

    frame_rate: float
    pixel_size: float | tuple[float, float]
    dtype: Any  # a numpy.dtype or its name
    noise: bool
    cell_diameter: str | float
    diameter_spread: float
    irregularity: float
    nucleus: float
    touching: float
    overlapping: float
    brightness: float
    brightness_spread: float
    event_rate: float
    burst_probability: float
    burst_spikes: float
    amplitude: float
    rise: float
    decay: float
    cell_variation: float
    background: float
    haze: float
    haze_fluctuation: float
    haze_scale: str | float
    haze_time: float
    haze_correlation: float
    texture: float
    texture_scale: str | float
    vignetting: float
    bleaching: float
    bleaching_times: tuple[float, float]
    shot_noise: bool
    read_noise: float
    detector_gain: float
    detector_offset: float
    hot_pixels: int
    hot_level: float
    hot_flicker: float
    jitter: float
    jitter_time: float
    dropped_frames: int
    saturated_frames: int


@dataclass(frozen=True)
class SimulatedSource(BlockSource):
    """A two-photon recording ``(time, y, x)`` that is computed where it is read, with a known truth.

    The expected number of photons of a pixel and frame is::

        illumination * bleaching * (texture * (background + haze) + sum over cells of footprint * brightness * (1 + dff))

    The detector makes of it ``detector_offset + detector_gain * Poisson(photons) + read noise + hot pixel`` counts, for
    integer dtypes rounded and clipped to the range of the dtype. Each random part has its own stream of `seed`: setting
    one part to 0 leaves the others as they are. A block has the same bits however it is cut out. The object holds
    parameters only and pickles small; reading keeps, per process, the scene that they describe: one float32 image,
    the footprints and the spikes.

    Attributes
    ----------
    shape : tuple of int
        Frames, height and width.
    n_rois : int
        Number of cells; 0 is allowed.
    seed : int
        The same seed and parameters give the same bits.
    frame_rate : float
        Hz.
    pixel_size : tuple of float
        Height and width of a pixel, micrometres.
    dtype : numpy.dtype or str
        Of the samples. Floating dtypes are neither rounded nor clipped.
    noise : bool
        False leaves out shot noise and read noise: the clean copy of the same scene.
    cell_diameter : str or float
        Mean diameter of a soma, like ``"12 um"`` or ``"10 px"``; a bare number is pixels.
    diameter_spread : float
        Standard deviation of its logarithm.
    irregularity : float
        How far outlines are from a circle, relative to the radius.
    nucleus : float
        How much darker the nucleus is, 0 to 1. At 0.8 and more it is no part of the footprint.
    touching, overlapping : float
        Part of the cells that stand in pairs side by side without a free pixel between, or in pairs that share 15 to
        40 % of the smaller one's pixels. All others stand at least 2 pixels apart.
    brightness : float
        Photons per pixel and frame of a resting cell at the maximum of its footprint: median over cells.
    brightness_spread : float
        Standard deviation of its logarithm.
    event_rate : float
        Poisson events per second and cell: median over cells.
    burst_probability, burst_spikes : float
        Part of the events that are bursts, and the mean number of spikes of one.
    amplitude : float
        Peak dF/F of one spike: median over cells. Spikes add up.
    rise, decay : float
        Time constants of the transient, s: median over cells.
    cell_variation : float
        Standard deviation over cells of the logarithm of rate, amplitude, rise and decay.
    background : float
        Photons per pixel and frame that are always there.
    haze : float
        Mean photons per pixel and frame of neuropil that fluctuates.
    haze_fluctuation : float
        Standard deviation of the haze over time, relative to its mean (of the part that does not follow the cells).
    haze_scale : str or float
        Distance over which the haze varies.
    haze_time : float
        Time over which it varies, s.
    haze_correlation : float
        How much of the fluctuation follows the activity of cells nearby, 0 to 1.
    texture : float
        Standard deviation of a fixed pattern of background and haze, relative to the mean: fine grain and patches of 24 um.
    texture_scale : str or float
        Blur of the grain. At a few micrometres grains look like cells out of focus, and cells are hard to find.
    vignetting : float
        Part of the light that is lost in the darkest corner.
    bleaching : float
        Part of the fluorescence that bleaches in the end, a third of it fast.
    bleaching_times : tuple of float
        Time constants of the fast and the slow part, s.
    shot_noise : bool
        Whether photons are counted: noise with the mean, the variance and nearly the skewness of a Poisson variable.
    read_noise : float
        Standard deviation, counts.
    detector_gain, detector_offset : float
        Counts per photon, and counts in the dark.
    hot_pixels : int
        Number of pixels that show too much.
    hot_level : float
        By how much, counts: 0.5 to 1.5 times this.
    hot_flicker : float
        Part of the hot pixels that are on in every other frame only, at random.
    jitter : float
        Standard deviation, in pixels, of whole-pixel motion of the tissue under the microscope, along y and x each. Light and detector stay; what
        moves in from outside repeats the edge.
    jitter_time : float
        Time over which the motion is correlated, s.
    dropped_frames, saturated_frames : int
        Number of frames whose samples are all 0, or all the largest that there is (65535 for floats).

    Raises
    ------
    ArgumentError
        If a parameter is out of its range, or, on reading, if the cells do not fit into the frame.

    Examples
    --------
    >>> source = SimulatedSource(shape=(100, 64, 64), n_rois=5, seed=1)
    >>> source.read(slice(0, 10), slice(0, 64), slice(0, 64)).shape
    (10, 64, 64)
    """

    shape: tuple[int, int, int]
    n_rois: int
    seed: int
    frame_rate: float = 30.0
    pixel_size: tuple[float, float] = (1.2, 1.2)
    dtype: np.dtype[np.generic] = np.dtype(np.uint16)  # noqa: RUF009  # dtypes do not change
    noise: bool = True
    cell_diameter: str | float = "12 um"
    diameter_spread: float = 0.1
    irregularity: float = 0.12
    nucleus: float = 0.5
    touching: float = 0.1
    overlapping: float = 0.1
    brightness: float = 12.0
    brightness_spread: float = 0.4
    event_rate: float = 0.15
    burst_probability: float = 0.5
    burst_spikes: float = 4.0
    amplitude: float = 0.25
    rise: float = 0.07
    decay: float = 0.7
    cell_variation: float = 0.2
    background: float = 2.0
    haze: float = 6.0
    haze_fluctuation: float = 0.12
    haze_scale: str | float = "60 um"
    haze_time: float = 2.0
    haze_correlation: float = 0.5
    texture: float = 0.1
    texture_scale: str | float = "0.6 um"
    vignetting: float = 0.35
    bleaching: float = 0.2
    bleaching_times: tuple[float, float] = (15.0, 300.0)
    shot_noise: bool = True
    read_noise: float = 10.0
    detector_gain: float = 20.0
    detector_offset: float = 100.0
    hot_pixels: int = 4
    hot_level: float = 1500.0
    hot_flicker: float = 0.5
    jitter: float = 0.0
    jitter_time: float = 1.0
    dropped_frames: int = 0
    saturated_frames: int = 0
    chunks: tuple[int, int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("shape", "pixel_size", "bleaching_times"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "dtype", _sample_dtype(self.dtype))
        _check(self)
        # one way to write each value, so that equal parameters have equal digests
        plain: dict[str, Any] = {"shape": tuple(int(n) for n in self.shape)}
        plain |= {name: int(getattr(self, name)) for name in _COUNTS}
        for name in ("pixel_size", "bleaching_times"):
            plain[name] = tuple(float(one) for one in getattr(self, name))
        plain |= {name: float(getattr(self, name)) for name in _RANGES}
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "chunks", (1, 1, self.shape[2]))

    def parameters(self) -> dict[str, Any]:
        """Everything that `SimulatedSource` was made with, as values that JSON can write."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        return values | {"dtype": self.dtype.name}

    def identity(self) -> str:
        """Return a digest of the parameters."""
        content = json.dumps([_VERSION, self.parameters()], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def scene(self) -> Scene:
        """Draw, or recall, what the recording shows."""
        return draw_scene(self)

    @contextmanager
    def open(self) -> Iterator[_SimulationReader]:
        """Draw, or recall, the scene, and give a reader of it."""
        yield _SimulationReader(self, self.scene())


@dataclass(frozen=True)
class _SimulationReader:
    source: SimulatedSource
    scene: Scene

    def read(self, time: slice, y: slice, x: slice) -> NDArray[np.generic]:
        scene = self.scene
        runs = scene.still.runs
        rows = (int(scene.motion[0, time].min()), int(scene.motion[0, time].max()))
        height = self.source.shape[1]
        top, bottom = max(0, min(y.start - rows[1], height - 1)), min(height, max(y.stop - rows[0], 1))
        cells = np.unique(runs.cell[runs.rows[top] : runs.rows[bottom]])
        moving = Moving(
            bleaching=bleaching_curve(self.source, time.start, time.stop),
            haze=scene.haze.coefficients(time.start, time.stop),
            levels=scene.brightness * (1 + scene.activity.dff(time.start, time.stop, cells)),
            dy=scene.motion[0, time],
            dx=scene.motion[1, time],
            faults=scene.faults[time],
        )
        size = tuple(part.stop - part.start for part in (time, y, x))
        block: NDArray[np.generic] = np.empty(size, dtype=self.source.dtype)
        render(block, (time.start, y.start, x.start), scene.still, moving, _limits(self.source.dtype))
        return block


def _limits(dtype: np.dtype[np.generic]) -> tuple[float, float]:
    """Range of an integer dtype; infinite for floating ones."""
    if np.issubdtype(dtype, np.floating):
        return -math.inf, math.inf
    info = np.iinfo(dtype)  # type: ignore[type-var]
    return float(info.min), float(info.max)


def _sample_dtype(dtype: object) -> np.dtype[np.generic]:
    try:
        return check_sample_dtype(np.dtype(dtype), "the simulation")  # type: ignore[call-overload]
    except (TypeError, FormatError) as problem:
        raise ArgumentError(
            f"dtype={dtype!r} is no dtype of samples",
            "use 'uint16', or another integer or float of up to 64 bits",
        ) from problem


_COUNTS = ("n_rois", "seed", "hot_pixels", "dropped_frames", "saturated_frames")

# name: lowest, highest, whether the lowest itself is allowed
_RANGES = {
    "frame_rate": (0.0, math.inf, False),
    "diameter_spread": (0.0, 0.5, True),
    "irregularity": (0.0, 0.5, True),
    "nucleus": (0.0, 1.0, True),
    "touching": (0.0, 1.0, True),
    "overlapping": (0.0, 1.0, True),
    "brightness": (0.0, math.inf, True),
    "brightness_spread": (0.0, 3.0, True),
    "event_rate": (0.0, math.inf, True),
    "burst_probability": (0.0, 1.0, True),
    "burst_spikes": (1.0, math.inf, True),
    "amplitude": (0.0, math.inf, True),
    "rise": (0.0, math.inf, False),
    "decay": (0.0, math.inf, False),
    "cell_variation": (0.0, 1.0, True),
    "background": (0.0, math.inf, True),
    "haze": (0.0, math.inf, True),
    "haze_fluctuation": (0.0, 1.0, True),
    "haze_time": (0.0, math.inf, False),
    "haze_correlation": (0.0, 1.0, True),
    "texture": (0.0, 1.0, True),
    "vignetting": (0.0, 1.0, True),
    "bleaching": (0.0, 1.0, True),
    "read_noise": (0.0, math.inf, True),
    "detector_gain": (0.0, math.inf, False),
    "detector_offset": (-math.inf, math.inf, False),
    "hot_level": (0.0, math.inf, True),
    "hot_flicker": (0.0, 1.0, True),
    "jitter": (0.0, math.inf, True),
    "jitter_time": (0.0, math.inf, False),
}


def _check(source: SimulatedSource) -> None:
    for name, count in (("shape", 3), ("pixel_size", 2), ("bleaching_times", 2)):
        values = getattr(source, name)
        kind: Any = int | np.integer if name == "shape" else int | float | np.number
        if len(values) != count or not all(isinstance(one, kind) and 0 < one < math.inf for one in values):
            what = "three counts >= 1: (time, y, x)" if name == "shape" else "two numbers > 0"
            raise ArgumentError(f"{name}={values}, expected {what}")
    for name in _COUNTS:
        value = getattr(source, name)
        if not isinstance(value, int | np.integer) or value < 0:
            raise ArgumentError(f"{name}={value!r}, expected an integer >= 0")
    height, width = source.shape[1:]
    if source.hot_pixels > height * width:
        raise ArgumentError(f"hot_pixels={source.hot_pixels}, but a frame has {height * width} pixels")
    if source.dropped_frames + source.saturated_frames > source.shape[0]:
        raise ArgumentError(
            f"dropped_frames={source.dropped_frames} and saturated_frames={source.saturated_frames}, but there are "
            f"{source.shape[0]} frames"
        )
    for name in ("cell_diameter", "haze_scale", "texture_scale"):
        if not to_micrometres(getattr(source, name), source.pixel_size) > 0:
            raise ArgumentError(f"{name}={getattr(source, name)!r}, expected a length > 0")
    for name, (low, high, closed) in _RANGES.items():
        value = getattr(source, name)
        number = isinstance(value, int | float | np.number) and math.isfinite(value)
        if not number or not low <= value <= high or (value == low and not closed):
            expected = f"{'>=' if closed else '>'} {low:g}" + (f" and <= {high:g}" if high < math.inf else "")
            raise ArgumentError(f"{name}={value!r}, expected a number {expected}")
    if source.touching + source.overlapping > 1:
        raise ArgumentError(
            f"touching={source.touching} and overlapping={source.overlapping} add up to more than 1"
        )
