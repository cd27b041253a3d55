"""How much a recording still moves, on frames spread over all of it. roitrace looks; it does not register."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.engine.places import limits_of
from roitrace.engine.samples import sample_frames
from roitrace.engine.whole import apply_whole
from roitrace.errors import ArgumentError
from roitrace.recording import blocks_of, check_recording, frame_rate_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MotionSummary", "residual_motion", "summarize_motion"]

SIDE = 256
"""Pixels of the middle of the frame that are looked at, along y and x."""
FINE, COARSE = 2.0, 8.0
"""Standard deviations, in pixels, of the Gaussians between whose scales structure counts: noise is finer, haze is coarser."""
LEAST_CORRELATION = 0.15
"""Of a frame with the mean of the others, at the best shift; noise alone reaches about 0.1."""
WARN_PIXELS = 1.0

_MEANINGS = {
    "dy": ("shift down that is missing", "pixel"),
    "dx": ("shift to the right that is missing", "pixel"),
    "correlation": ("correlation with the mean of the other samples", "1"),
}


def residual_motion(
    recording: xr.DataArray,
    *,
    samples: int = 60,
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> xr.Dataset:
    """Measure by how much sampled frames lie off the mean of the others, lazily.

    The middle of each sampled frame (up to 256 x 256 pixels) is filtered between Gaussians of 2 and 8 pixels; the shift is the maximum of its
    cross-correlation with the mean of the other samples, to a tenth of a pixel (`skimage.registration.phase_cross_correlation` [1]_). The
    correlation is not whitened: on single noisy frames a whitened one sees the noise that does not move with the tissue, and finds no motion at all. In
    simulations of jitter 19 in 20 errors are at most 0.3 pixels.

    Parameters
    ----------
    recording : DataArray
        Dims ``(time, y, x)``; see `open_recording`.
    samples : int
        Frames to look at, at least 2, evenly spaced; from at most 16 chunks along time where chunks hold several frames, so that little is read.
    budget, workers
        As in `project`.

    Returns
    -------
    Dataset
        Along the sampled ``time``: ``dy``, ``dx``, the shift down and to the right that is still missing, in pixels, as `shift` takes it; NaN where the
        frame is too unlike the others to tell (``correlation``, at that shift, below 0.15); the coordinate ``frame``, its number. Lazy.

    Raises
    ------
    ArgumentError
        If there are fewer than 2 frames or samples.
    BudgetError
        If the samples do not fit the budget.

    References
    ----------
    .. [1] M. Guizar-Sicairos, S. T. Thurman, J. R. Fienup, Optics Letters 33, 156-158 (2008).

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from scipy.ndimage import gaussian_filter
    >>> still = 100 * gaussian_filter(np.random.default_rng(0).random((128, 128)), 3)
    >>> movie = np.stack([still] * 20)
    >>> movie[7] = np.roll(still, 3, axis=0)
    >>> motion = residual_motion(xr.DataArray(movie, dims=("time", "y", "x"))).compute()
    >>> float(motion["dy"][7]), float(motion["dy"][8])
    (-3.0, 0.0)
    """
    check_recording(recording)
    if samples < 2 or recording.sizes["time"] < 2:
        raise ArgumentError(
            f"samples={samples} of a recording of {recording.sizes['time']} frames, expected at least 2 of each"
        )
    limits = limits_of(budget, workers)
    part = {axis: _middle(recording.sizes[axis]) for axis in ("y", "x")}
    images, frames = sample_frames(
        blocks_of(recording),
        samples,
        **part,
        budget=limits.budget,
        workers=limits.workers,
    )
    coords: dict[str, Any] = {"frame": ("time", frames, {"long_name": "number of the frame"})}
    if "time" in recording.coords:
        coords["time"] = recording["time"].variable[frames]
    measured = apply_whole(_displacements, images, 0, (len(_MEANINGS), frames.size), np.float64)
    found = xr.DataArray(measured, dims=("measure", "time"), coords=coords)
    columns = {name: found.isel(measure=number) for number, name in enumerate(_MEANINGS)}
    for name, (meaning, unit) in _MEANINGS.items():
        columns[name].attrs = {"long_name": meaning, "units": unit}
    rate = frame_rate_of(recording)
    return xr.Dataset(columns, attrs={} if rate is None else {"frame_rate": rate})


@dataclass(frozen=True)
class MotionSummary:
    """Residual displacement over the sampled frames, pixels.

    Attributes
    ----------
    samples, told : int
        Frames looked at, and those of them whose displacement could be told.
    median, percentile_95, largest : float
        Of the length of the displacement; NaN where too few could be told.
    """

    samples: int
    told: int
    median: float
    percentile_95: float
    largest: float

    @property
    def warning(self) -> str | None:
        """What to tell a person; None if all is well."""
        if self.told < self.samples / 2:
            return f"motion could not be told: {self.samples - self.told} of {self.samples} sampled frames are too unlike the others"
        if self.percentile_95 <= WARN_PIXELS:
            return None
        return (
            f"the recording moves: sampled frames lie up to {self.percentile_95:.1f} pixels (95th percentile) off their mean, and a shift by 1 pixel changes "
            "the F of a cell by several per cent; roitrace does not register: register it (suite2p, CaImAn, NoRMCorre) and open the registered recording, or "
            "give the shifts (recording.shifts, roitrace.shift)"
        )


def summarize_motion(motion: xr.Dataset) -> MotionSummary:
    """Summarize what `residual_motion` found; computes it if it is lazy."""
    dy, dx = (np.asarray(motion[name].values, dtype=np.float64) for name in ("dy", "dx"))
    lengths = np.hypot(dy, dx)
    told = lengths[np.isfinite(lengths)]
    if told.size < lengths.size / 2 or told.size == 0:
        return MotionSummary(lengths.size, told.size, np.nan, np.nan, np.nan)
    return MotionSummary(
        lengths.size,
        told.size,
        float(np.median(told)),
        float(np.percentile(told, 95)),
        float(told.max()),
    )


def _middle(size: int) -> slice:
    first = max(0, (size - SIDE) // 2)
    return slice(first, min(size, first + SIDE))


def _displacements(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return dy, dx and correlation ``(3, sample)`` of every image with the mean of the others."""
    from skimage.registration import phase_cross_correlation  # noqa: PLC0415 - loads slowly

    filtered = [_structure(image) for image in images]
    usable = [number for number, image in enumerate(filtered) if image.any()]
    result = np.full((3, len(filtered)), np.nan)
    if len(usable) < 2:
        return result
    total = np.sum([filtered[number] for number in usable], axis=0)
    for number in usable:
        image = filtered[number]
        others = total - image
        if not others.any():
            continue
        shift, _, _ = phase_cross_correlation(others, image, upsample_factor=10, normalization=None)
        correlation = _correlation_at(others, image, shift)
        result[2, number] = correlation
        if correlation >= LEAST_CORRELATION:
            result[:2, number] = shift
    return result


def _structure(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keep what lies between the scales of noise and haze; missing pixels count as the mean, constant images are all 0."""
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415 - loads slowly

    known = np.isfinite(image)
    if not known.any():
        return np.zeros_like(image)
    # hot pixels stay where they are on the detector
    low, high = np.percentile(image[known], (1, 99))
    clipped = np.clip(image, low, high)
    filled = np.where(known, clipped - clipped[known].mean(), 0.0)
    if np.ptp(filled) == 0:
        return np.zeros_like(image)
    return np.asarray(gaussian_filter(filled, FINE) - gaussian_filter(filled, COARSE), dtype=np.float32)


def _correlation_at(
    reference: NDArray[np.float32], image: NDArray[np.float32], shift: NDArray[np.float64]
) -> float:
    """Pearson's r of the parts that overlap once the image is moved by whole pixels."""
    dy, dx = np.rint(shift).astype(int).tolist()
    height, width = image.shape
    y, x = slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx))
    moved = image[y.start - dy : y.stop - dy, x.start - dx : x.stop - dx]
    one, other = reference[y, x].ravel(), moved.ravel()
    if one.size < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
