"""A recording many times larger than what the budget leaves goes through every verb under a hard limit of memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from roitrace.engine.plan import RESERVED_BYTES

MIB = 2**20
ROOT = Path(__file__).resolve().parents[1]

# What is limited is the memory that may be written to (RLIMIT_DATA), and not addresses: of those a thread takes as
# much as 64 MiB that it never touches, and how many threads there are depends on what else the machine does.
SCRIPT = """
import resource, sys, threading
threading.stack_size(2**20)  # counted whole, however little a thread uses
import numpy as np
import benchmarks.memory_imports
import roitrace as rt
from roitrace.engine.plan import RESERVED_BYTES
from roitrace.engine.run import execute
from tests.block_sources import GeneratedSource, recording_file
from roitrace.recording import open_recording

MIB = 2**20
folder, room, nbytes = sys.argv[1], int(sys.argv[2]) * MIB, int(sys.argv[3]) * MIB
limits = {"budget": RESERVED_BYTES + room, "workers": 1}


def every_verb(path, name):
    recording = rt.open_recording(path)
    mask = np.zeros(recording.shape[1:], int)
    mask[10:18, 10:18] = 1
    mask[30:44, 30:44] = 2
    images = ("mean", "std", "median", rt.stat.percentile(90), rt.stat.correlation(detrend="100 frames"))
    options = {"window": "300 frames", "smoothing": "2 frames"}
    done = execute(rt.project(recording, images, **limits), workers=1)[0]
    traces = execute(rt.extract(recording, mask, **limits), workers=1)[0]
    execute(rt.pixel_traces(recording, mask, **limits).max("time"), workers=1)
    lazy = traces.chunk(roi=1)
    execute(rt.normalize(lazy, "dff", **options, **limits), rt.compare(lazy, **options, **limits), workers=1)
    rt.baseline(lazy["mean"], **options, **limits)
    rt.convert(recording, f"{folder}/{name}.copy.zarr", **limits)
    return float(done["median"].mean()), recording.nbytes


shape = (nbytes // (128 * 128 * 2), 128, 128)
whole = GeneratedSource(shape, (256, 64, 64), np.dtype("uint16"))
small = GeneratedSource((600, 128, 128), (256, 64, 64), np.dtype("uint16"))
for name, source in (("small", small), ("large", whole)):
    rt.convert(recording_file(source), f"{folder}/{name}.zarr", budget="2 GiB", workers=1)
every_verb(f"{folder}/small.zarr", "small")  # warms up
status = dict(line.split(":") for line in open("/proc/self/status"))
used = int(status["VmData"].split()[0]) * 1024
limit = int(used + 1.15 * room)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
median, size = every_verb(f"{folder}/large.zarr", "large")
assert size >= 0.98 * nbytes
try:
    np.ones(2 * room, np.uint8)
except MemoryError:
    print("done", median)
"""


def run(folder, room, size):
    """Run every verb with `room` MiB above what is reserved, over a recording of `size` MiB."""
    command = [sys.executable, "-c", SCRIPT, str(folder), str(room), str(size)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.memory
@pytest.mark.skipif(sys.platform != "linux", reason="these limits are Linux")
def test_a_recording_of_twenty_times_the_room_under_a_hard_limit(tmp_path):
    done = run(tmp_path, room=24, size=20 * 24)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done")


@pytest.mark.slow
@pytest.mark.memory
@pytest.mark.skipif(sys.platform != "linux", reason="these limits are Linux")
def test_a_recording_of_twenty_times_the_whole_budget_under_a_hard_limit(tmp_path):
    done = run(tmp_path, room=64, size=20 * (64 + RESERVED_BYTES // MIB))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done")
