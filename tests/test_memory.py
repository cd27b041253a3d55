"""Free memory, and measured peaks against projections."""

from __future__ import annotations

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
    # jobs this small are mostly the program itself, whose share is reserved with room for a first compilation
    assert summary["median_measured_over_projected"] >= 0.4
    assert summary["refused"] <= 8


@pytest.mark.slow
@pytest.mark.memory
def test_two_hundred_random_jobs():
    from benchmarks.memory import run_jobs, summarize

    outcomes = run_jobs(seed=2, count=200)
    assert [one for one in outcomes if not one.holds] == []
    assert summarize(outcomes)["median_measured_over_projected"] >= 0.5
