"""The same ROIs on several recordings: raw and denoised, two channels, two sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from roitrace.comparison import compare
from roitrace.engine.places import available_workers
from roitrace.errors import ArgumentError
from roitrace.extraction import extract
from roitrace.quality import noise, peak_snr
from roitrace.traces import map_rois, pick_trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from roitrace.engine.statistics import Statistic
    from roitrace.rois import Rois
    from roitrace.traces import Duration

__all__ = ["compare_recordings"]

_FRAME_BY_FRAME = ("correlation", "slope", "offset", "rms_difference", "mean_difference")
_MEASURES = {
    "level": ("median of F", "count"),
    "level_difference": ("median of F less that of the reference", "count"),
    "noise": ("noise", "count"),
    "noise_ratio": ("noise over that of the reference", "1"),
    "peak_snr": ("peak signal to noise ratio", "1"),
    "peak_snr_difference": ("peak signal to noise ratio less that of the reference", "1"),
}


def compare_recordings(
    recordings: Mapping[str, xr.DataArray],
    rois: Rois | xr.DataArray | ArrayLike,
    statistic: Statistic | str = "mean",
    *,
    against: str | None = None,
    percentile: float = 8.0,
    window: Duration | None = 60.0,
    smoothing: Duration | None = 0.5,
    budget: str | float = "1 GiB",
    workers: int | None = None,
    **options: Any,
) -> xr.Dataset:
    """Extract the same ROIs from several recordings and say, ROI by ROI, how their traces differ.

    With y the trace in a recording and x that in the reference: `compare`'s ``correlation``, ``slope`` and ``offset`` of
    ``y = slope x + offset``, ``rms_difference`` and ``mean_difference``, where both have the same times, else NaN; the ``level``
    (median) and ``level_difference``; ``noise`` (`roitrace.noise`) and ``noise_ratio``, noise of y over that of x; ``peak_snr`` and
    ``peak_snr_difference``. A denoised recording has a noise ratio below 1; a slope below 1 says that it lost signal too.

    Parameters
    ----------
    recordings : mapping of str to DataArray
        Names and recordings ``(time, y, x)`` of the same frame.
    rois : Rois, DataArray or array_like
        As for `extract`.
    statistic : str or Statistic
        What the traces are.
    against : str, optional
        The reference; the first recording if not given.
    percentile, window, smoothing
        As in `roitrace.baseline`; for ``peak_snr``.
    budget, workers
        As for `extract`, for all recordings together.
    **options
        Of `extract`: ``overlap``, ``skipna``, ``min_coverage``.

    Returns
    -------
    Dataset
        The numbers above, ``(recording, roi)`` float64.
        Lazy; each recording is read once.

    Raises
    ------
    ArgumentError
        If there are fewer than two recordings, no such reference, or several overlap rules.
    AlignmentError, MetadataError, BudgetError
        As for `extract` and `compare`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> movie = np.random.default_rng(0).poisson(50.0, (200, 4, 4)).astype("uint16")
    >>> raw = xr.DataArray(movie, dims=("time", "y", "x"))
    >>> table = compare_recordings({"raw": raw, "double": 2 * raw}, np.eye(4, dtype=bool), window=None, smoothing=None)
    >>> float(table["noise_ratio"].sel(recording="double")[0]), float(table["slope"].sel(recording="double")[0].round(6))
    (2.0, 2.0)
    """
    names = list(recordings)
    if len(names) < 2:
        raise ArgumentError(
            f"there are {len(names)} recordings, expected two or more",
            "give a mapping of names to recordings",
        )
    reference = names[0] if against is None else against
    if reference not in recordings:
        raise ArgumentError(f"against={against!r} is no recording", f"there are {', '.join(names)}")
    if not isinstance(options.get("overlap", "keep"), str):
        raise ArgumentError(
            f"overlap={options['overlap']!r}, expected one rule", "compare rules with compare"
        )
    # tasks of different recordings run side by side
    limits: dict[str, Any] = {"budget": budget, "workers": max(workers or 1, available_workers())}
    traces = {
        name: pick_trace(extract(one, rois, statistic, **options, **limits))
        for name, one in recordings.items()
    }
    baseline: dict[str, Any] = {"percentile": percentile, "window": window, "smoothing": smoothing}
    together = _frame_by_frame(traces, reference, baseline | limits)
    columns = {name: _alone(trace, baseline, limits) for name, trace in traces.items()}
    own = columns[reference]
    for column in columns.values():
        column["level_difference"] = column["level"] - own["level"]
        column["noise_ratio"] = column["noise"] / own["noise"].where(own["noise"] > 0)
        column["peak_snr_difference"] = column["peak_snr"] - own["peak_snr"]
    dim = xr.Variable("recording", names)
    alone = xr.concat(
        [columns[name] for name in names],
        dim=dim,
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    for name, (meaning, units) in _MEASURES.items():
        alone[name].attrs = {"long_name": meaning, "units": units}
    joined = alone.assign({name: together[name] for name in _FRAME_BY_FRAME})
    return joined.assign_attrs(against=reference, statistic=str(statistic))


def _frame_by_frame(
    traces: Mapping[str, xr.DataArray], reference: str, options: dict[str, Any]
) -> xr.Dataset:
    """Compare traces that have the reference's times; the others get NaN."""
    same = [name for name, trace in traces.items() if _same_times(trace, traces[reference])]
    base = traces[reference]
    dataset = xr.Dataset({name: traces[name].variable for name in same}, coords=base.coords, attrs=base.attrs)
    found = compare(dataset, against=reference, statistics=same, **options)
    return found[list(_FRAME_BY_FRAME)].rename(statistic="recording").reindex(recording=list(traces))


def _same_times(trace: xr.DataArray, reference: xr.DataArray) -> bool:
    if trace.sizes["time"] != reference.sizes["time"]:
        return False
    if "time" not in trace.coords or "time" not in reference.coords:
        return True
    return bool(np.allclose(trace["time"].values, reference["time"].values, rtol=0, atol=1e-6))


def _alone(trace: xr.DataArray, baseline: dict[str, Any], limits: dict[str, Any]) -> xr.Dataset:
    level = map_rois(_median, trace, outputs={"level": np.float64}, **limits)["level"]
    measures = {
        "level": level,
        "noise": noise(trace, **limits),
        "peak_snr": peak_snr(trace, **baseline, **limits),
    }
    return xr.Dataset(measures)


def _median(trace: NDArray[np.float64]) -> tuple[float]:
    finite = trace[np.isfinite(trace)]
    return (float(np.median(finite)) if finite.size else float("nan"),)
