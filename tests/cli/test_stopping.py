"""The command line is killed, or told twice to stop: the same command goes on and ends with the same bytes."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys

import pytest

from roitrace.store.journal import Journal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

JOB = ("run", "job.yaml", "--set", "simulate={shape: [3000, 64, 64], n_rois: 5, frame_rate: 15}")
JOB += ("--set", "recording.path=made.zarr", "--set", "recording.frame_rate=15", "--set", "report=null")


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def started(work, until, *more):
    """Start the job in a process of its own, and return it when a line begins with `until`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "roitrace", *JOB, *more], stderr=subprocess.PIPE, text=True, cwd=work
    )
    for line in process.stderr:
        if line.startswith(until):
            return process
    raise AssertionError(f"the job ended before {until}: {process.wait()}")


def test_killed_job_goes_on(work, call):
    with started(work, "extract: ") as process:
        process.kill()
    assert Journal.of(work / "out.zarr").job()["command"] == "roitrace " + " ".join(map(str, _quoted(JOB)))
    answer = call(*JOB)
    assert answer.code == 0
    assert "project: " not in answer.err
    assert call(*JOB, "--set", "output.path=whole.zarr").code == 0
    assert digest(work / "out.zarr") == digest(work / "whole.zarr")
    assert sorted(one.name for one in work.glob(".*")) == []


def _quoted(words):
    import shlex

    return [shlex.quote(word) for word in words]


def test_told_twice_ends_at_once(work):
    with started(work, "simulate: ", "--workers", "1") as process:
        process.send_signal(signal.SIGTERM)
        for line in process.stderr:
            if "once more to stop at once" in line:
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 1
