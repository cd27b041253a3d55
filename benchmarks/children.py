"""Measurements that need a fresh process, seen from outside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.workloads import Workload

__all__ = ["anonymous_bytes", "first_call_seconds", "peak_memory", "watched"]

ROOT = Path(__file__).resolve().parents[1]
SAMPLING_SECONDS = 0.002

EXTRACT = """
import sys
import roitrace as rt
from benchmarks.ours import FOUR
from benchmarks.workloads import SCALES

store, target, name, scale, threads = sys.argv[1:]
workload = next(one for one in vars(SCALES[scale]).values() if getattr(one, "name", "") == name)
recording = rt.open_recording(store)
traces = rt.extract(recording, workload.rois(recording), FOUR, workers=int(threads))
rt.save(traces, target, overwrite=True, workers=int(threads))
"""

FIRST_CALL = """
import json, time
import numpy as np
import xarray as xr
import roitrace as rt
from benchmarks.ours import FOUR, PROJECTIONS

movie = xr.DataArray(np.ones((64, 16, 16), np.uint16), dims=("time", "y", "x"))
rois = rt.Rois.from_pixels([[(1, 1), (1, 2), (2, 2)]], frame=movie, weights=[[1.0, 2.0, 3.0]])
seconds = []
for _ in range(2):
    start = time.process_time()
    rt.extract(movie, rois, FOUR, projections=PROJECTIONS).compute()
    seconds.append(time.process_time() - start)
print(json.dumps(seconds))
"""


def peak_memory(store: Path, workload: Workload, target: Path, threads: int, scale: str) -> int:
    """Return the largest anonymous memory, bytes, of a process that extracts the four into a results store."""
    return watched(EXTRACT, [str(store), str(target), workload.name, scale, str(threads)])


def watched(script: str, arguments: Sequence[str]) -> int:
    """Return the largest anonymous memory, bytes, of a process that runs a script."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, anonymous_bytes(process.pid))
        time.sleep(SAMPLING_SECONDS)
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the process failed: {errors}")
    return peak


def anonymous_bytes(process: int | str) -> int:
    """Return the anonymous memory that a process (``"self"``: this one) holds now; 0 once it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    lines = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(lines[0].split()[1]) * 1024 if lines else 0


def first_call_seconds(folder: Path) -> tuple[float, int]:
    """Return how much more processor time the first call takes than the second, with nothing compiled, and how many kernels it compiles."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", FIRST_CALL],
        cwd=ROOT,
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = json.loads(done.stdout)
    return first - second, len(list(folder.rglob("*.nbi")))
