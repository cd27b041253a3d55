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
    frame_rate: PositiveNumber = 30.0
    """Frames per second."""
    pixel_size: PixelSize = (1.2, 1.2)
    """Height and width of a pixel in micrometres; one number for both."""
    dtype: Literal["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64"] = "uint16"
    """Of the samples."""
    noise: bool = True
    """no leaves out shot noise and read noise."""
    cell_diameter: Length = "12 um"
    """Mean diameter of a cell, in um or px."""
    diameter_spread: HalfFraction = 0.1
    """Standard deviation of its logarithm."""
    irregularity: HalfFraction = 0.12
    """How far outlines are from a circle."""
    nucleus: Fraction = 0.5
    """How much darker the nucleus is."""
    touching: Fraction = 0.1
    """Part of the cells that stand in pairs side by side."""
    overlapping: Fraction = 0.1
    """Part of the cells that stand in pairs that share pixels."""
    brightness: NonNegative = 12.0
    """Photons per pixel and frame of a resting cell; median over cells."""
    brightness_spread: Annotated[float, Field(strict=True, ge=0, le=3)] = 0.4
    """Standard deviation of its logarithm."""
    event_rate: NonNegative = 0.15
    """Events per second and cell; median over cells."""
    burst_probability: Fraction = 0.5
    """Part of the events that are bursts of spikes."""
    burst_spikes: Annotated[float, Field(strict=True, ge=1)] = 4.0
    """Mean number of spikes of a burst."""
    amplitude: NonNegative = 0.25
    """Peak dF/F of one spike; median over cells."""
    rise: PositiveNumber = 0.07
    """Rise time of a transient in seconds."""
    decay: PositiveNumber = 0.7
    """Decay time of a transient in seconds."""
    cell_variation: Fraction = 0.2
    """How much cells differ in rate, amplitude, rise and decay."""
    background: NonNegative = 2.0
    """Photons per pixel and frame that are always there."""
    haze: NonNegative = 6.0
    """Mean photons per pixel and frame of haze that fluctuates."""
    haze_fluctuation: Fraction = 0.12
    """How much it fluctuates, relative to its mean."""
    haze_scale: Length = "60 um"
    """Distance over which it varies."""
    haze_time: PositiveNumber = 2.0
    """Seconds over which it varies."""
    haze_correlation: Fraction = 0.5
    """How much of it follows the activity of cells nearby."""
    texture: Fraction = 0.15
    """Fixed pattern of background and haze, relative to the mean."""
    vignetting: Fraction = 0.35
    """Part of the light that is lost in the darkest corner."""
    bleaching: Fraction = 0.2
    """Part of the fluorescence that bleaches in the end."""
    bleaching_times: tuple[PositiveNumber, PositiveNumber] = (15.0, 300.0)
    """Time constants of its fast and slow part in seconds."""
    shot_noise: bool = True
    """Whether photons are counted."""
    read_noise: NonNegative = 10.0
    """Standard deviation in counts."""
    detector_gain: PositiveNumber = 20.0
    """Counts per photon."""
    detector_offset: Number = 100.0
    """Counts in the dark."""
    hot_pixels: Count = 4
    """Number of pixels that show too much."""
    hot_level: NonNegative = 1500.0
    """By how many counts."""
    hot_flicker: Fraction = 0.5
    """Part of the hot pixels that are on in every other frame only, at random."""
