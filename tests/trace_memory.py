"""Normalise, correct and measure stored traces in this process and print how much anonymous memory each step took.

``python -m tests.trace_memory FOLDER BUDGET``
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import xarray as xr

import roitrace as rt
from roitrace.cli.allocator import keep_memory_flat
from tests.engine.peak_memory import watched

ROIS, FRAMES = 160, 50_000


def store_traces(folder: Path) -> Path:
    """Write traces and neuropil of 61 MiB each."""
    random = da.random.default_rng(0)
    size, chunks = (ROIS, FRAMES), (ROIS, 1024)
    mean = random.poisson(300.0, size, chunks=chunks).astype(np.float64)
    neuropil = random.poisson(100.0, size, chunks=chunks).astype(np.float64)
    traces = xr.Dataset(
        {
            "mean": (("roi", "time"), mean),
            "neuropil": (("roi", "time"), neuropil, {"role": "neuropil"}),
            "n_neuropil_pixels": ("roi", np.full(ROIS, 400)),
        },
        coords={"time": ("time", np.arange(FRAMES) / 30, {"units": "s"})},
        attrs={"primary": "mean", "frame_rate": 30.0},
    )
    return rt.save(traces, folder / "traces.zarr", workers=1)


def main(folder: Path, budget: int) -> None:
    """Print the peak of each step as JSON."""
    keep_memory_flat()
    limits = {"budget": budget, "workers": 2}
    store = store_traces(folder)
    rt.normalize(np_trace(), window="2 s")  # compile first
    rt.quality(np_trace(), window="2 s")
    steps = {
        "normalize": lambda traces: {"normalized": rt.normalize(traces, window="20 s", **limits)},
        "baseline": lambda traces: {
            "normalized_by": rt.baseline(traces, method="maximin", **limits).to_dataset()
        },
        "correct": lambda traces: {"corrected": rt.correct_neuropil(traces, r="fit", **limits)},
        "quality": lambda traces: {"quality": rt.quality(traces, **limits)},
    }
    peaks = {}
    with dask.config.set(scheduler="threads", num_workers=2):
        for name, step in steps.items():
            gc.collect()
            traces = rt.load(store)["traces"].to_dataset()
            peaks[name] = watched(
                lambda s=step, t=traces, n=name: rt.save(s(t), folder / f"{n}.zarr", workers=2)
            )
    print(json.dumps(peaks))


def np_trace() -> xr.DataArray:
    """A short trace in memory."""
    time = ("time", np.arange(300) / 30, {"units": "s"})
    return xr.DataArray(
        np.random.default_rng(0).poisson(9.0, (2, 300)), dims=("roi", "time"), coords={"time": time}
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
