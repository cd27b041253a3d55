"""Weights that follow from what pixels do over time, in a sample of frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.errors import AlignmentError, ArgumentError, LazyInputError
from roitrace.frame import frame_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from roitrace.rois import Rois

__all__ = ["FRAME_RULES", "in_sample", "sampled_weights", "time_span"]

FRAME_RULES = ("snr", "correlation", "inverse_variance")

_FEWEST_FRAMES = 3


def sampled_weights(rois: Rois, rule: str, frames: xr.DataArray | ArrayLike | None) -> NDArray[np.float64]:
    """Return one weight per entry of the ROIs, from frames ``(time, y, x)`` in memory.

    Raises
    ------
    ArgumentError
        If there are no or too few frames, or they hold missing samples inside a ROI.
    AlignmentError, LazyInputError
        If they are of another frame, or not computed.
    """
    pixels = _pixel_matrix(rois, rule, frames)
    if rule == "correlation":
        return _correlation(rois, pixels)
    # half the variance of differences is the variance of noise beneath a signal that changes slowly
    noise: NDArray[np.float64] = np.var(np.diff(pixels, axis=0), axis=0) / 2
    # a pixel that never changes is dead, not free of noise
    if rule == "inverse_variance":
        return np.asarray(np.divide(1.0, noise, out=np.zeros_like(noise), where=noise > 0), dtype=np.float64)
    signal = np.maximum(np.var(pixels, axis=0) - noise, 0.0)
    ratio = np.divide(signal, noise, out=np.zeros_like(noise), where=noise > 0)
    return np.asarray(np.sqrt(ratio), dtype=np.float64)


def time_span(frames: xr.DataArray | ArrayLike) -> list[float] | None:
    """First and last time of the frames; None where they carry no time."""
    if not isinstance(frames, xr.DataArray) or "time" not in frames.coords:
        return None
    times = frames["time"].values
    return [float(times.min()), float(times.max())]


def in_sample(rois: Rois, recording: xr.DataArray) -> bool | None:
    """Whether weights were made from frames that the recording has too; None where they come from no frames.

    Frames without times may be any: then the answer is yes.
    """
    if "weights_frames" not in rois.attrs:
        return None
    span = rois.attrs.get("weights_time")
    if span is None or "time" not in recording.coords:
        return True
    times = recording["time"].values
    return bool(np.any((times >= span[0]) & (times <= span[1])))


def _pixel_matrix(rois: Rois, rule: str, frames: xr.DataArray | ArrayLike | None) -> NDArray[np.float64]:
    """Return samples ``(time, entry)``."""
    if frames is None:
        raise ArgumentError(
            f"weights by {rule} need frames",
            "give frames=, such as recording.isel(time=slice(0, 500)).compute()",
        )
    if hasattr(frames, "dask") or (isinstance(frames, xr.DataArray) and frames.chunks is not None):
        raise LazyInputError(
            "the frames are lazy: their values are not computed yet",
            "call .compute() on a part of the recording",
        )
    values: NDArray[Any] = np.asarray(frames)
    if values.ndim != 3 or len(values) < _FEWEST_FRAMES:
        raise ArgumentError(
            f"frames have shape {values.shape}, expected (time, y, x) with {_FEWEST_FRAMES} frames or more"
        )
    if not frame_of(frames).same_as(rois.frame):
        raise AlignmentError(
            f"the frames are {values.shape[1]} x {values.shape[2]} pixels, the frame of the ROIs {rois.shape[0]} x "
            f"{rois.shape[1]}, or have other coordinates",
            "take both from the same frame, or place the ROIs with rois.within(...)",
        )
    pixels = values.reshape(len(values), -1)[:, rois.pixels].astype(np.float64)
    if not np.isfinite(pixels).all():
        raise ArgumentError("frames are NaN or infinite inside ROIs", "choose other frames, or fill them")
    return pixels


def _correlation(rois: Rois, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's r of each pixel with the mean of its ROI; 0 where it is negative or either is constant."""
    weights = np.zeros(rois.pixels.size)
    for begin, end in zip(rois.indptr[:-1], rois.indptr[1:], strict=True):
        own = pixels[:, begin:end] - pixels[:, begin:end].mean(axis=0)
        if own.size == 0:
            continue
        mean = own.mean(axis=1)
        scale = np.sqrt(np.sum(own**2, axis=0) * np.sum(mean**2))
        r = np.divide(mean @ own, scale, out=np.zeros_like(scale), where=scale > 0)
        weights[begin:end] = np.maximum(r, 0.0)
    return weights
