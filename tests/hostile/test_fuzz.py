"""Two thousand malformed inputs over all readers: a result or one typed error each, in bounded time and memory.

The long form, ``pytest -m slow tests/hostile``, tries 50,000; the seeds of what fails are printed, and
``python -m tests.hostile.fuzz --only SEED`` repeats one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.hostile.corpus import CORPUS, build_corpus
from tests.hostile.exercise import EXERCISES

COUNT = 2000
LONG_COUNT = 50_000
FIRST_SEED = int(os.environ.get("ROITRACE_FUZZ_SEED", "1"))
HANG_SECONDS = 300


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    build_corpus(folder)
    return folder


def test_sound_files_are_read(corpus):
    places = json.loads((corpus / "places.json").read_text())
    for number, entry in enumerate(CORPUS):
        EXERCISES[entry.kind](corpus / str(number) / places[entry.name])


def fuzzed(corpus, folder, first, count):
    """Run seeds in another process; one that a C library ends is a finding, and the next process begins behind it."""
    progress, report = folder / "progress", folder / "report.json"
    findings, counts, seed = [], {}, first
    while seed < first + count:
        report.unlink(missing_ok=True)
        progress.write_text(str(seed))
        command = [sys.executable, "-m", "tests.hostile.fuzz", "--corpus", corpus, "--progress", progress]
        command += ["--json", report, "--seed", str(seed), "--count", str(first + count - seed)]
        ended = subprocess.run(
            list(map(str, command)),
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS * count / COUNT,
            check=False,
        )
        if report.exists():
            said = json.loads(report.read_text())
            findings += [f"seed {one['seed']}: {one}" for one in said["findings"]]
            counts |= {name: counts.get(name, 0) + n for name, n in said["counts"].items()}
            break
        seed = int(progress.read_text())
        findings.append(f"seed {seed}: the process ended with {ended.returncode}: {ended.stderr[-2000:]}")
        seed += 1
    return findings, counts


def check(corpus, folder, count):
    print(f"seeds {FIRST_SEED} to {FIRST_SEED + count - 1}")
    findings, counts = fuzzed(corpus, folder, FIRST_SEED, count)
    print(counts)
    assert not findings, "\n".join(findings)
    assert sum(counts.values()) == count
    assert counts["FormatError"] > count / 2
    assert counts["result"] < count / 2


def test_malformed_inputs(corpus, tmp_path):
    check(corpus, tmp_path, COUNT)


@pytest.mark.slow
def test_many_malformed_inputs(corpus, tmp_path):
    check(corpus, tmp_path, LONG_COUNT)
