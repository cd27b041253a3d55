"""With a guard off, the test of its bomb fails: ``pytest -m slow tests/hostile/test_guards.py`` (a minute of CPU time)."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.memory
def test_every_guard_is_needed():
    ended = subprocess.run(
        [sys.executable, "-m", "tests.hostile.guards"],
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
