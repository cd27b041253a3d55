"""Memory of a whole job: below its budget, and the same for a recording eight times longer."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

BUDGET = 600 * 2**20


def peak_of_job(folder, n_frames):
    (folder / "job.yaml").write_text(
        f"simulate: {{shape: [{n_frames}, 192, 192], n_rois: 60, seed: 1, frame_rate: 15}}\n"
        f"recording: {{path: {n_frames}.zarr}}\noutput: {{path: {n_frames}.results.zarr}}\n"
        f"resources: {{budget: {BUDGET}, workers: 2}}\n"
    )
    command = [sys.executable, "-m", "roitrace", "run", "job.yaml", "--json", "--quiet"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["peak_memory_bytes"]


def test_memory_of_the_parent_does_not_count():
    # what a child takes by itself grows with the libraries it loads: it is compared with that of a parent that holds more
    script = (
        "import subprocess, sys; held = bytearray(int(sys.argv[1])); "
        "code = 'from roitrace.pipeline.record import peak_memory; print(peak_memory())'; "
        "subprocess.run([sys.executable, '-c', code], check=True)"
    )
    small, large = (
        int(subprocess.run([sys.executable, "-c", script, str(held)], capture_output=True, check=True).stdout)
        for held in (0, 600 * 2**20)
    )
    assert 0 < small < 600 * 2**20, "the parent holds more than the child takes"
    assert abs(large - small) < 50 * 2**20


@pytest.mark.memory
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the allocators of other systems are not tamed")
def test_eight_times_longer_takes_no_more_memory(tmp_path):
    short, long = (peak_of_job(tmp_path, n_frames) for n_frames in (6_000, 48_000))
    assert long < 1.1 * short
    assert long < BUDGET


@pytest.mark.memory
@pytest.mark.skipif(sys.platform != "linux", reason="the allocators of other systems are not tamed")
def test_job_stays_below_its_budget(tmp_path):
    assert peak_of_job(tmp_path, 3_000) < BUDGET
