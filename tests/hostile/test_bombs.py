"""Files that claim to be huge, or unpack to it, end in one typed error within 5 s and 256 MiB above the imported process."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.hostile.bombs import BOMBS
from tests.hostile.fuzz import MOST_BYTES, MOST_SECONDS


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """All bombs, one after the other in one fresh process whose address space is limited."""
    report = tmp_path_factory.mktemp("bombs") / "report.json"
    command = [sys.executable, "-m", "tests.hostile.bombs", "--json", str(report)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert report.exists(), ended.stderr
    return json.loads(report.read_text())


@pytest.mark.memory
@pytest.mark.parametrize("name", BOMBS)
def test_bomb(measured, name):
    outcome, words, seconds, peak = measured[name]
    assert outcome == "typed", words
    assert 20 < len(words) < 1000
    assert seconds < MOST_SECONDS
    assert peak < MOST_BYTES
