"""Run jobs in this process and print how much anonymous memory each took.

``python -m tests.engine.peak_memory JOB:FRAMES:BUDGET ...``
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from benchmarks.children import anonymous_bytes

from roitrace.conversion import convert
from roitrace.engine.blocks import as_dask
from roitrace.extraction import extract
from roitrace.projection import project
from tests.block_sources import GeneratedSource, recording_file

if TYPE_CHECKING:
    from collections.abc import Callable

MASK = np.zeros((512, 512), bool)
MASK[100:110, 200:230] = True


def recording(frames: int, dtype: str = "uint32") -> xr.DataArray:
    """A recording that takes no memory, one mebibyte per frame."""
    source = GeneratedSource((frames, 512, 512), (64, 64, 64), np.dtype(dtype))
    return xr.DataArray(as_dask(source), dims=("time", "y", "x"))


def run(job: str, frames: int, budget: str) -> None:
    """Do a job and drop its result."""
    if job == "extract":
        extract(
            recording(frames), MASK, ("mean", "median"), projections=("mean", "max"), budget=budget
        ).compute()
    elif job == "project floats":
        project(recording(frames, "float32"), ("mean", "std"), budget=budget).compute()
    elif job == "extract foreign":
        extract(
            recording(frames) * 2, MASK, ("mean", "median"), projections=("mean",), budget=budget
        ).compute()
    elif job == "convert":
        with tempfile.TemporaryDirectory() as folder:
            file = recording_file(GeneratedSource((frames, 512, 512), (64, 512, 512), np.dtype("uint32")))
            convert(file, Path(folder) / "a.zarr", budget=budget, chunks=(16, 64, 64))


def watched(work: Callable[[], object]) -> dict[str, int]:
    """Do some work and watch the memory."""
    before = peak = anonymous_bytes("self")
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, anonymous_bytes("self"))
            sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return {"before": before, "peak": peak}


if __name__ == "__main__":
    jobs = [argument.split(":") for argument in sys.argv[1:]]
    for job in dict.fromkeys(job for job, _, _ in jobs):
        run(job, 20, "2 GiB")  # imports and compiled code come first: they are what is reserved
    print(json.dumps([watched(partial(run, job, int(frames), budget)) for job, frames, budget in jobs]))
