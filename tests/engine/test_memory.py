from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from roitrace.engine.plan import RESERVED_BYTES

MIB = 2**20
BUDGET = 420 * MIB
JOBS = [
    ("extract", 600, BUDGET),
    ("extract", 4800, BUDGET),
    ("extract foreign", 500, BUDGET),
    ("project floats", 700, 600 * MIB),
    ("convert", 500, BUDGET),
]
"""Name, frames of one mebibyte, budget; recordings are several times larger than what the budget leaves."""

pytestmark = [
    pytest.mark.memory,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="anonymous memory is read from /proc"),
]


@pytest.fixture(scope="module")
def peaks() -> dict[tuple[str, int, int], dict[str, int]]:
    """Run all jobs one after the other in a fresh process."""
    arguments = [f"{job}:{frames}:{budget}" for job, frames, budget in JOBS]
    call = [sys.executable, "-m", "tests.engine.peak_memory", *arguments]
    done = subprocess.run(call, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(JOBS, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("job", JOBS)
def test_peak_memory_is_within_the_budget(peaks, job):
    one, budget = peaks[job], job[2]
    assert one["before"] < RESERVED_BYTES
    assert one["peak"] - one["before"] <= budget - RESERVED_BYTES
    assert one["peak"] <= budget


def test_a_recording_eight_times_longer_takes_no_more(peaks):
    assert peaks[JOBS[1]]["peak"] <= 1.1 * peaks[JOBS[0]]["peak"]
