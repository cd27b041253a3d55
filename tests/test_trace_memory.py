"""Traces that do not fit memory are normalised, corrected and measured within the budget, in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from roitrace.engine.plan import RESERVED_BYTES

BUDGET = RESERVED_BYTES + 56 * 2**20
"""The traces take 122 MiB, and what is made of them as much again."""

pytestmark = [
    pytest.mark.memory,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="anonymous memory is read from /proc"),
]


@pytest.fixture(scope="module")
def peaks(tmp_path_factory):
    call = [sys.executable, "-m", "tests.trace_memory", str(tmp_path_factory.mktemp("traces")), str(BUDGET)]
    done = subprocess.run(call, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("step", ["normalize", "baseline", "correct", "quality"])
def test_peak_memory_is_within_the_budget(peaks, step):
    assert peaks[step]["before"] < RESERVED_BYTES
    assert peaks[step]["peak"] <= BUDGET
