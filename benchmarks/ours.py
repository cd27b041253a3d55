"""What roitrace is asked for, as a user would write it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask

import roitrace as rt

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

    from benchmarks.workloads import Workload

__all__ = [
    "ASKED",
    "FOUR",
    "PROJECTIONS",
    "WITH_NEUROPIL",
    "Asked",
    "build",
    "extract",
    "extract_store",
    "rois_on",
]

FOUR = ("mean", "median", "trimmed_mean", "weighted_mean")
PROJECTIONS = ("mean", "max", "min", "std")


@dataclass(frozen=True)
class Asked:
    """Statistics and projections of one call."""

    statistics: tuple[str, ...]
    projections: tuple[str, ...] = ()
    neuropil: bool = False


ASKED = {
    "mean": Asked(("mean",)),
    "four": Asked(FOUR),
    "four and projections": Asked(FOUR, PROJECTIONS),
}

WITH_NEUROPIL = "four and neuropil"
"""The default set for two-photon recordings, beside `ASKED`."""


def rois_on(workload: Workload, store: Path, count: int | None = None, **part: Any) -> rt.Rois:
    """Return the ROIs of a workload on the frame of its store."""
    return workload.rois(rt.open_recording(store, **part), count)


def build(
    recording: xr.DataArray, rois: rt.Rois, what: str, threads: int, budget: str | None = None
) -> xr.Dataset:
    """Build one call, lazily, with a budget for frames of any size unless one is given."""
    asked = Asked(FOUR, neuropil=True) if what == WITH_NEUROPIL else ASKED[what]
    large = recording.sizes["y"] * recording.sizes["x"] > 1024 * 1024
    return rt.extract(
        recording,
        rois,
        asked.statistics,
        projections=asked.projections,
        neuropil=rt.neuropil(rois) if asked.neuropil else None,
        budget=budget or ("4 GiB" if large else "1 GiB"),
        workers=threads,
    )


def extract(recording: xr.DataArray, rois: rt.Rois, what: str, threads: int) -> xr.Dataset:
    """Build and compute one call."""
    lazy = build(recording, rois, what, threads)
    with dask.config.set(scheduler="threads", num_workers=threads):
        return lazy.compute()


def extract_store(store: Path, rois: rt.Rois, what: str, threads: int, **part: Any) -> xr.Dataset:
    """Open a store and compute one call: what is timed."""
    return extract(rt.open_recording(store, **part), rois, what, threads)
