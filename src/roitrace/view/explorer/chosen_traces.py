"""Traces of the chosen cells: by every aggregation, raw and normalised, in as many points as a screen shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.engine.run import execute
from roitrace.extraction import extract
from roitrace.normalization import normalize
from roitrace.rois import Rois
from roitrace.view.envelope import envelope
from roitrace.weighting import pixel_weights

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = [
    "AGGREGATIONS",
    "NORMALIZATIONS",
    "compile_kernels",
    "extract_chosen",
    "line_columns",
    "normalize_options",
    "scaled",
]

AGGREGATIONS = {"mean": "mean", "median": "median", "trimmed_mean": "trimmed", "weighted_mean": "weighted"}
"""Aggregations by what the page calls them."""
NORMALIZATIONS = {
    "raw": "F",
    "dff": "ΔF/F",
    "zscore": "z-score",
    "robust_zscore": "robust z",
    "minmax": "0 to 1",
}
"""What traces can be shown as."""
MOST = 12
"""ROIs whose traces are shown at once."""
_STRETCHES = 1500


def extract_chosen(
    recording: xr.DataArray, rois: Rois, image: xr.DataArray | None, *, budget: int
) -> xr.Dataset:
    """Extract the traces of a few ROIs by every aggregation; only the chunks that hold their pixels are read.

    Parameters
    ----------
    recording : DataArray
        ``(time, y, x)``.
    rois : Rois
        Those that are chosen.
    image : DataArray or None
        The mean over time, for weights by brightness where the ROIs have none; without it there is no weighted mean.
    budget : int
        Bytes.
    """
    rois = with_weights(rois, image)
    statistics = [name for name in AGGREGATIONS if name != "weighted_mean" or rois.weights is not None]
    traces: xr.Dataset
    (traces,) = execute(extract(recording, rois, statistics, budget=budget))
    return traces


def with_weights(rois: Rois, image: xr.DataArray | None) -> Rois:
    """Give weights by brightness to ROIs that have none; they stay without where there is no image."""
    if rois.weights is not None or image is None or not len(rois) or not rois.n_pixels.all():
        return rois
    return pixel_weights(rois, "brightness", image=image)


def compile_kernels(recording: xr.DataArray) -> None:
    """Extract traces of a tiny recording of the same dtype, so that nobody waits for the compiler at the first click."""
    tiny = xr.DataArray(np.zeros((64, 8, 8), dtype=recording.dtype), dims=("time", "y", "x"))
    rois = Rois.from_mask(np.ones((8, 8), dtype=np.bool_))
    extract_chosen(tiny, rois, xr.DataArray(np.arange(64.0).reshape(8, 8), dims=("y", "x")), budget=2**30)


def normalize_options(method: str, recording: xr.DataArray) -> dict[str, Any]:
    """Return the options of `roitrace.normalize`: without a frame rate F0 is of the whole trace, not of a minute."""
    if method == "dff" and "frame_rate" not in recording.attrs:
        return {"method": method, "window": None, "smoothing": None}
    return {"method": method}


def scaled(
    traces: xr.Dataset, options: dict[str, Any] | None, statistics: Sequence[str]
) -> dict[str, xr.DataArray]:
    """Return the traces by aggregation, ``(roi, time)``, normalised where options are given."""
    if options is None:
        return {name: traces[name] for name in statistics if name in traces}
    method = options["method"]
    return {
        name: normalize(traces, statistic=name, **options)[method].compute()
        for name in statistics
        if name in traces
    }


def line_columns(
    shown: dict[str, xr.DataArray], time: Any, span: tuple[float, float] | None
) -> list[tuple[str, str, Any, Any]]:
    """Return name of the ROI, aggregation, times and values of each line within a span of time, in points that a screen shows."""
    times = np.asarray(time, dtype=np.float64)
    part = slice(None)
    if span is not None:
        first = max(0, int(np.searchsorted(times, span[0])) - 1)
        part = slice(first, int(np.searchsorted(times, span[1], side="right")) + 1)
    lines = []
    for statistic, array in shown.items():
        values = np.asarray(array.values, dtype=np.float64)[:, part]
        x, y = envelope(times[part], values, _STRETCHES)
        for number, name in enumerate(array["roi"].values):
            lines.append(
                (str(name), statistic, np.ascontiguousarray(x[number]), np.ascontiguousarray(y[number]))
            )
    return lines
