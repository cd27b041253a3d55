"""Free memory, and measured peaks against projections."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from roitrace.memory import free_memory
from roitrace.units import parse_bytes

MIB = 2**20


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="ascii")


def test_version_2_groups_limit_what_is_free(tmp_path):
    write(tmp_path / "proc/self/cgroup", "0::/user/job")
    top = tmp_path / "sys/fs/cgroup"
    write(top / "user/memory.max", 100 * MIB)
    write(top / "user/memory.current", 70 * MIB)
    write(top / "user/memory.stat", f"anon {50 * MIB}\ninactive_file {10 * MIB}")
    write(top / "user/job/memory.max", "max")
    assert free_memory(tmp_path) == 40 * MIB


def test_version_1_groups_limit_what_is_free(tmp_path):
    write(tmp_path / "proc/self/cgroup", "5:cpu:/\n4:memory:/job")
    top = tmp_path / "sys/fs/cgroup/memory"
    write(top / "memory.limit_in_bytes", 2**63 - 4096)
    write(top / "job/memory.limit_in_bytes", 64 * MIB)
    write(top / "job/memory.usage_in_bytes", 80 * MIB)
    write(top / "job/memory.stat", f"total_inactive_file {20 * MIB}")
    assert free_memory(tmp_path) == 4 * MIB


def test_a_full_group_leaves_nothing(tmp_path):
    write(tmp_path / "proc/self/cgroup", "0::/")
    write(tmp_path / "sys/fs/cgroup/memory.max", MIB)
    write(tmp_path / "sys/fs/cgroup/memory.current", 2 * MIB)
    assert free_memory(tmp_path) == 0


def test_without_groups_the_machine_counts(tmp_path):
    assert free_memory(tmp_path) > 16 * MIB


def test_shares(monkeypatch):
    monkeypatch.setattr("roitrace.units.free_memory", lambda: 1000)
    assert [parse_bytes(text) for text in ("50%", " 12.5 % ", "100%", "250%")] == [500, 125, 1000, 1000]


@pytest.mark.memory
def test_twenty_random_jobs_stay_within_projection_and_budget():
    from benchmarks.memory import run_jobs, summarize

    outcomes = run_jobs(seed=1, count=20)
    summary = summarize(outcomes)
    assert [one for one in outcomes if not one.holds] == []
    assert summary["median_measured_over_projected"] >= 0.5
    assert summary["refused"] <= 8


@pytest.mark.slow
@pytest.mark.memory
def test_two_hundred_random_jobs():
    from benchmarks.memory import run_jobs, summarize

    outcomes = run_jobs(seed=2, count=200)
    assert [one for one in outcomes if not one.holds] == []
    assert summarize(outcomes)["median_measured_over_projected"] >= 0.5


GROWTH = """
import json
import numpy as np, roitrace as rt, xarray as xr
from benchmarks.children import anonymous_bytes
from roitrace.engine.blocks import as_dask
from tests.block_sources import GeneratedSource

def read(blocks, change):
    source = GeneratedSource((blocks * 8, 64, 64), (8, 64, 64), np.dtype("uint16"))
    recording = xr.DataArray(as_dask(source), dims=("time", "y", "x"))
    mask = np.zeros((64, 64), bool)
    mask[10:20, 10:20] = True
    movie = recording.chunk(time=8) + 1 if change else recording
    rt.extract(movie, mask, ("mean", "median"), projections="mean").compute()
    return anonymous_bytes("self")

seen = [read(1_000, False), read(10_000, False)]
seen += [read(2_000, True), read(2_000, True), read(2_000, True)]
print(json.dumps(seen))
"""


@pytest.mark.memory
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_thousand_blocks_leave_no_memory_behind():
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", GROWTH], cwd=root, check=True, capture_output=True, text=True
    )
    thousand, ten_thousand, transformed, _, again = json.loads(done.stdout)
    assert ten_thousand - thousand < 8 * MIB
    # the graph of a transformed recording has a task for each block; it is dropped with it
    assert again - transformed < 16 * MIB
