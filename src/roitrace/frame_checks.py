"""Find frames and pixels that are no good: dropped, dark, saturated, missing, noisy, hot."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from roitrace.engine.frames import FRAME_MEASURES, frame_measures
from roitrace.engine.places import limits_of
from roitrace.engine.whole import apply_whole
from roitrace.errors import ArgumentError, LazyInputError
from roitrace.recording import blocks_of, check_recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["FRAME_FLAGS", "find_bad_frames", "find_bad_pixels"]

FRAME_FLAGS = {"constant": 1, "duplicate": 2, "dark": 4, "saturated": 8, "missing": 16, "row_noise": 32}
"""Why a frame is no good; bits of ``reason``."""

_ATTRS = {
    "mean": ("mean of the frame", "count"),
    "std": ("standard deviation over the pixels of the frame", "count"),
    "row_noise": ("root mean square of what rows differ by from their neighbours", "count"),
    "missing_fraction": ("part of the pixels that are NaN", "1"),
    "saturated_fraction": ("part of the pixels that are saturated", "1"),
}


def find_bad_frames(
    recording: xr.DataArray,
    *,
    saturation: float | None = None,
    max_saturated: float = 0.05,
    max_missing: float = 0.1,
    k: float = 8.0,
    budget: str | float = "1 GiB",
    workers: int | None = None,
) -> xr.Dataset:
    """Look at every frame once and say which are no good and why, lazily.

    With med and s the median and 1.4826 MAD over all frames, a frame is

    - ``constant``: all its samples are equal, such as zeros for a dropped frame;
    - ``duplicate``: it is sample by sample the frame before it;
    - ``dark`` (shutter closed): its mean is below med - `k` s and its standard deviation over pixels below half of the median one;
    - ``saturated``: more than `max_saturated` of its pixels, beyond the median part, are at `saturation` or above;
    - ``missing``: more than `max_missing` of its pixels, beyond the median part, are NaN, or all are;
    - ``row_noise`` (line noise, torn frames): what rows differ by from the mean of their neighbours, root mean square, is above med + `k` s and
      above 1.5 times the median.

    Parameters
    ----------
    recording : DataArray
        Dims ``(time, y, x)``; see `open_recording`.
    saturation : float, optional
        Largest value of the detector, counts; by default the largest of an integer dtype. Detectors of 12 bits have 4095.
    max_saturated, max_missing : float
        Parts of the pixels.
    k : float
        Robust standard deviations.
    budget, workers
        As in `project`.

    Returns
    -------
    Dataset
        ``bad_frame (time)``, bool; ``reason (time)``, uint8 flags of `FRAME_FLAGS`; ``mean``, ``std``, ``row_noise``, ``missing_fraction``,
        ``saturated_fraction (time)``, float64. Lazy: one read of the recording. Results do not depend on chunks or workers.

    Raises
    ------
    ArgumentError
        If a limit is out of its range.
    BudgetError
        If the computation cannot fit the budget.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> movie = np.random.default_rng(0).normal(100.0, 5.0, (50, 8, 8)).astype("float32")
    >>> movie[7], movie[20] = 0, movie[19]
    >>> found = find_bad_frames(xr.DataArray(movie, dims=("time", "y", "x"))).compute()
    >>> np.flatnonzero(found["bad_frame"]).tolist(), found["reason"].values[[7, 20]].tolist()
    ([7, 20], [1, 2])
    """
    check_recording(recording)
    for name, value, highest in (("max_saturated", max_saturated, 1), ("max_missing", max_missing, 1)):
        if not 0 <= value <= highest:
            raise ArgumentError(f"{name}={value}, expected 0 to {highest}")
    if not k > 0:
        raise ArgumentError(f"k={k}, expected more than 0")
    data = blocks_of(recording)
    if saturation is None:
        saturation = float(np.iinfo(data.dtype).max) if data.dtype.kind in "iu" else np.inf
    measured = frame_measures(data, float(saturation), **limits_of(budget, workers)._asdict())
    coords = {"time": recording["time"].variable} if "time" in recording.coords else {}
    table = xr.DataArray(
        measured, dims=("measure", "time"), coords={"measure": list(FRAME_MEASURES)} | coords
    )
    n_pixels = recording.sizes["y"] * recording.sizes["x"]
    columns = {name: table.sel(measure=name, drop=True) for name in ("mean", "std", "row_noise")}
    columns["missing_fraction"] = 1 - table.sel(measure="valid", drop=True) / n_pixels
    columns["saturated_fraction"] = table.sel(measure="saturated", drop=True) / n_pixels
    for name, (meaning, unit) in _ATTRS.items():
        columns[name].attrs = {"long_name": meaning, "units": unit}
    judged = partial(_reasons, limits=(n_pixels, max_saturated, max_missing, k))
    count = recording.sizes["time"]
    flags = {
        "long_name": "why the frame is no good",
        "flag_masks": np.array(list(FRAME_FLAGS.values()), dtype=np.uint8),
        "flag_meanings": " ".join(FRAME_FLAGS),
    }
    reason = xr.DataArray(
        apply_whole(judged, measured, 1, (count,), np.uint8), dims="time", coords=coords, attrs=flags
    )
    bad = xr.DataArray(
        apply_whole(partial(_are_bad, judged=judged), measured, 1, (count,), np.bool_),
        dims="time",
        coords=coords,
        attrs={"long_name": "frame that is no good"},
    )
    return xr.Dataset({"bad_frame": bad, "reason": reason, **columns})


def _reasons(table: NDArray[np.float64], *, limits: tuple[int, float, float, float]) -> NDArray[np.uint8]:
    n_pixels, max_saturated, max_missing, k = limits
    rows = dict(zip(FRAME_MEASURES, table, strict=True))
    nothing = rows["valid"] == 0
    constant = ~nothing & (rows["min"] == rows["max"])
    usable = ~nothing & ~constant
    same = np.zeros(table.shape[1], np.bool_)
    same[1:] = (np.diff(rows["check_high"]) == 0) & (np.diff(rows["check_low"]) == 0)
    found = {"constant": constant, "duplicate": same & usable}
    found["missing"] = nothing | (_beyond_median(n_pixels - rows["valid"]) > max_missing * n_pixels)
    found["saturated"] = _beyond_median(rows["saturated"]) > max_saturated * n_pixels
    if usable.any():
        level, spread = _centre(rows["mean"][usable])
        contrast = float(np.median(rows["std"][usable]))
        found["dark"] = usable & (rows["mean"] < level - k * spread) & (rows["std"] < contrast / 2)
        level, spread = _centre(rows["row_noise"][usable])
        found["row_noise"] = usable & (rows["row_noise"] > max(level + k * spread, 1.5 * level))
    reasons = np.zeros(table.shape[1], np.uint8)
    for name, where in found.items():
        reasons[where] |= FRAME_FLAGS[name]
    return reasons


def _are_bad(
    table: NDArray[np.float64], *, judged: Callable[[NDArray[np.float64]], NDArray[np.uint8]]
) -> NDArray[np.bool_]:
    return judged(table) > 0


def _beyond_median(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return counts - float(np.median(counts))


def _centre(values: NDArray[np.float64]) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))


def find_bad_pixels(image: xr.DataArray, *, k: float = 8.0) -> xr.DataArray:
    """Find single pixels that stand out from their neighbours: hot ones, and dead ones. Eager.

    A pixel is bad if it is above all but one of its 8 neighbours (reflected at the edges), or below all but one, by more than `k` times s, where s is
    1.4826 MAD, over the image, of what pixels differ by from the median of their neighbours. Cells are larger than two pixels and stay.

    Parameters
    ----------
    image : DataArray
        ``(y, x)`` in memory: a projection over time; the mean or the minimum for pixels that are always hot, the maximum or the standard deviation for
        those that flicker.
    k : float
        Robust standard deviations.

    Returns
    -------
    DataArray
        Bool ``(y, x)``, for ``roitrace.exclude(..., pixels=)``.

    Raises
    ------
    LazyInputError
        If the image is not computed.
    ArgumentError
        If it has other dims.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> image = np.random.default_rng(0).normal(100.0, 1.0, (32, 32))
    >>> image[5, 7] = 300
    >>> np.argwhere(find_bad_pixels(xr.DataArray(image, dims=("y", "x"))).values).tolist()
    [[5, 7]]
    """
    from scipy.ndimage import median_filter, rank_filter  # noqa: PLC0415 - loads slowly

    dims = getattr(image, "dims", type(image).__name__)
    if dims != ("y", "x"):
        raise ArgumentError(
            f"the image has dims {dims}, expected (y, x)", "give one projection of roitrace.project"
        )
    if image.chunks is not None:
        raise LazyInputError("the image is lazy", "compute it first: image.compute()")
    if not k > 0:
        raise ArgumentError(f"k={k}, expected more than 0")
    values = image.values.astype(np.float64)
    around = np.ones((3, 3), np.bool_)
    around[1, 1] = False
    known = np.isfinite(values)
    filled = np.where(known, values, np.median(values[known]) if known.any() else 0.0)
    steps = filled - median_filter(filled, footprint=around, mode="mirror")
    spread = _centre(steps[known])[1] if known.any() else 0.0
    above, below = (rank_filter(filled, rank, footprint=around, mode="mirror") for rank in (-2, 1))
    bad = known & ((filled - above > k * spread) | (below - filled > k * spread))
    return image.copy(data=bad).rename("bad_pixel").assign_attrs(long_name="pixel that stands out", units="1")
