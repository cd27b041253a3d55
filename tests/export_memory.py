"""Export lazy traces of two lengths in every format and print how much anonymous memory each took.

``python -m tests.export_memory``
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr

from roitrace.export import export
from roitrace.rois import Rois
from tests.engine.peak_memory import watched

N_ROIS, SHORT, LONG = 320, 4_096, 28_672
ROIS = Rois.from_pixels([[(number // 20, number % 20)] for number in range(N_ROIS)], shape=(20, 20))
METADATA = {"session_start_time": "2024-05-01T10:00:00+00:00"}
JOBS = {
    "a.zarr": {},
    "a.nc": {},
    "a.h5": {"roi_axis": 1},
    "a.csv": {},
    "a.parquet": {},
    "a.npy": {"fill": "interpolate"},
    "a.nwb": {"metadata": METADATA},
    "suite2p": {"format": "suite2p"},
}


def results(n_frames: int) -> dict[str, xr.Dataset | Rois]:
    """Lazy traces that take no memory."""
    lazy = da.random.default_rng(0).random((N_ROIS, n_frames), chunks=(N_ROIS, 512))
    time = ("time", np.arange(n_frames) / 10.0, {"units": "s"})
    traces = xr.Dataset(
        {"mean": (("roi", "time"), lazy, {"units": "count"})},
        ROIS.coords() | {"time": time},
        {"primary": "mean", "frame_rate": 10.0},
    )
    return {"traces": traces, "rois": ROIS}


def peak_of(name: str, n_frames: int) -> int:
    """Export and watch how much the memory grows."""
    with tempfile.TemporaryDirectory() as folder:
        seen = watched(lambda: export(results(n_frames), Path(folder) / name, **JOBS[name], workers=2))
    return seen["peak"] - seen["before"]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    peaks = {}
    for one in sys.argv[1:] or JOBS:
        peak_of(one, SHORT)  # imports and buffers come first
        peaks[one] = [peak_of(one, n_frames) for n_frames in (SHORT, LONG)]
    print(json.dumps(peaks))
