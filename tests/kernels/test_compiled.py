"""Kernels that were compiled before are used again, but never those of other source files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import roitrace

GATHERING = """
import numpy as np
from roitrace.kernels.gather import gather, runs_of, transpose_rows

block = np.arange(16 * 8, dtype=np.uint16).reshape(16, 1, 8)
matrix = np.zeros((8, 16), np.uint16)
gather(block, runs_of(np.arange(8), 8), 0, 0, matrix, 0)
print((matrix == block[:, 0].T).all(), sum(transpose_rows.stats.cache_hits.values()))
"""


@pytest.fixture
def gathered(tmp_path):
    """Gathers with a copy of the package, in a process of its own: whether it was right, and how often a kernel was found on disk."""
    package = tmp_path / "roitrace"
    source = Path(roitrace.__file__).parent
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))

    def call():
        environment = {"PYTHONPATH": str(tmp_path), "PATH": "", "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        command = [sys.executable, "-c", GATHERING]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return done.stdout.split()

    return package, call


def test_a_change_in_what_a_kernel_calls_is_noticed(gathered):
    package, call = gathered
    assert call() == ["True", "0"]
    assert call() == ["True", "1"]
    inner = package / "kernels" / "transposing.py"
    inner.write_text(inner.read_text().replace("distance = 1\n", "distance = 2\n"))
    assert call() == ["False", "0"]
