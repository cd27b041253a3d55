from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from roitrace.engine.plan import RESERVED_BYTES

MIB = 2**20
BUDGET = 420 * MIB

pytestmark = [
    pytest.mark.memory,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="anonymous memory is read from /proc"),
]


def measure(job: str, frames: int, budget: int = BUDGET) -> dict[str, int]:
    """Run a job in a fresh process; a frame has one mebibyte."""
    call = [sys.executable, "-m", "tests.engine.peak_memory", job, str(frames), str(budget)]
    done = subprocess.run(call, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_peak_memory_is_within_the_budget_and_the_same_for_a_longer_recording():
    short, long = measure("extract", 600), measure("extract", 4800)
    for one in (short, long):
        assert one["before"] < RESERVED_BYTES
        assert one["peak"] - one["before"] <= BUDGET - RESERVED_BYTES
        assert one["peak"] <= BUDGET
    assert long["peak"] <= 1.1 * short["peak"]


@pytest.mark.parametrize(
    ("job", "frames", "budget"),
    [("project floats", 700, 600 * MIB), ("extract foreign", 500, BUDGET), ("convert", 500, BUDGET)],
)
def test_other_jobs_stay_within_the_budget(job, frames, budget):
    one = measure(job, frames, budget)
    assert one["peak"] - one["before"] <= budget - RESERVED_BYTES
    assert one["peak"] <= budget
