"""The section that asks for a made-up recording."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from roitrace.config.fields import (
    Count,
    Fraction,
    Length,
    NonNegative,
    Number,
    PixelSize,
    PositiveCount,
    PositiveNumber,
    Section,
)
from roitrace.simulation import SimulatedSource

__all__ = ["SimulateSection"]

HalfFraction = Annotated[float, Field(strict=True, ge=0, le=0.5)]


class SimulateSection(Section):
    """A recording with a known truth, written to recording.path before the job. Each part can be set to 0."""

    shape: tuple[PositiveCount, PositiveCount, PositiveCount]
    """Frames, height and width."""
    n_rois: Count
    """Number of cells."""
    seed: Count = 0
    """The same seed and parameters give the same recording."""
    frame_rate: PositiveNumber = SimulatedSource.frame_rate
    """Frames per second."""
    pixel_size: PixelSize = SimulatedSource.pixel_size
    """Height and width of a pixel in micrometres; one number for both."""
    dtype: Literal["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64"] = "uint16"
    """Of the samples."""
    noise: bool = SimulatedSource.noise
    """no leaves out shot noise and read noise."""
    cell_diameter: Length = str(SimulatedSource.cell_diameter)
    """Mean diameter of a cell, in um or px."""
    diameter_spread: HalfFraction = SimulatedSource.diameter_spread
    """Standard deviation of its logarithm."""
    irregularity: HalfFraction = SimulatedSource.irregularity
    """How far outlines are from a circle."""
    nucleus: Fraction = SimulatedSource.nucleus
    """How much darker the nucleus is."""
    touching: Fraction = SimulatedSource.touching
    """Part of the cells that stand in pairs side by side."""
    overlapping: Fraction = SimulatedSource.overlapping
    """Part of the cells that stand in pairs that share pixels."""
    brightness: NonNegative = SimulatedSource.brightness
    """Photons per pixel and frame of a resting cell; median over cells."""
    brightness_spread: Annotated[float, Field(strict=True, ge=0, le=3)] = SimulatedSource.brightness_spread
    """Standard deviation of its logarithm."""
    event_rate: NonNegative = SimulatedSource.event_rate
    """Events per second and cell; median over cells."""
    burst_probability: Fraction = SimulatedSource.burst_probability
    """Part of the events that are bursts of spikes."""
    burst_spikes: Annotated[float, Field(strict=True, ge=1)] = SimulatedSource.burst_spikes
    """Mean number of spikes of a burst."""
    amplitude: NonNegative = SimulatedSource.amplitude
    """Peak dF/F of one spike; median over cells."""
    rise: PositiveNumber = SimulatedSource.rise
    """Rise time of a transient in seconds."""
    decay: PositiveNumber = SimulatedSource.decay
    """Decay time of a transient in seconds."""
    cell_variation: Fraction = SimulatedSource.cell_variation
    """How much cells differ in rate, amplitude, rise and decay."""
    background: NonNegative = SimulatedSource.background
    """Photons per pixel and frame that are always there."""
    haze: NonNegative = SimulatedSource.haze
    """Mean photons per pixel and frame of haze that fluctuates."""
    haze_fluctuation: Fraction = SimulatedSource.haze_fluctuation
    """How much it fluctuates, relative to its mean."""
    haze_scale: Length = str(SimulatedSource.haze_scale)
    """Distance over which it varies."""
    haze_time: PositiveNumber = SimulatedSource.haze_time
    """Seconds over which it varies."""
    haze_correlation: Fraction = SimulatedSource.haze_correlation
    """How much of it follows the activity of cells nearby."""
    texture: Fraction = SimulatedSource.texture
    """Fixed pattern of background and haze, relative to the mean."""
    texture_scale: Length = str(SimulatedSource.texture_scale)
    """Distance over which it varies."""
    vignetting: Fraction = SimulatedSource.vignetting
    """Part of the light that is lost in the darkest corner."""
    bleaching: Fraction = SimulatedSource.bleaching
    """Part of the fluorescence that bleaches in the end."""
    bleaching_times: tuple[PositiveNumber, PositiveNumber] = SimulatedSource.bleaching_times
    """Time constants of its fast and slow part in seconds."""
    shot_noise: bool = SimulatedSource.shot_noise
    """Whether photons are counted."""
    read_noise: NonNegative = SimulatedSource.read_noise
    """Standard deviation in counts."""
    detector_gain: PositiveNumber = SimulatedSource.detector_gain
    """Counts per photon."""
    detector_offset: Number = SimulatedSource.detector_offset
    """Counts in the dark."""
    hot_pixels: Count = SimulatedSource.hot_pixels
    """Number of pixels that show too much."""
    hot_level: NonNegative = SimulatedSource.hot_level
    """By how many counts."""
    hot_flicker: Fraction = SimulatedSource.hot_flicker
    """Part of the hot pixels that are on in every other frame only, at random."""
    jitter: NonNegative = SimulatedSource.jitter
    """Standard deviation of motion of the tissue in pixels, along y and x each."""
    jitter_time: PositiveNumber = SimulatedSource.jitter_time
    """Seconds over which it is correlated."""
    dropped_frames: Count = SimulatedSource.dropped_frames
    """Number of frames that are all 0."""
    saturated_frames: Count = SimulatedSource.saturated_frames
    """Number of frames that are all saturated."""
