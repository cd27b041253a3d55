"""Nothing is lost and nothing is half: the short forms; the long ones are marked slow.

Each runs in a process of its own, which forks children: ``python -m tests.faults --help``. The short forms try the same faults each time
(or those of the seed ``$ROITRACE_FAULTS_SEED``), the long ones others.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.disks import FILE_SYSTEMS
from tests.warm_start import typed_as

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = int(os.environ.get("ROITRACE_FAULTS_SEED", "1"))
ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="children are forked, descriptors are named by /proc"
)


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The command that runs them, in children of a process that has everything imported and compiled."""
    with typed_as("faults", tmp_path_factory.mktemp("warm"), "tests.faults.__main__:rehearsed") as folder:
        yield folder / "faults"


def run_faults(faults: Path, *arguments: object, limit: float, seed: int | None = None) -> None:
    command = [str(faults), *(str(argument) for argument in arguments)]
    if seed is not None:
        command += ["--seed", str(seed)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=limit,
        env=os.environ | {"NO_COLOR": "1"},
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("job", "count"),
    [
        ("convert", 900),
        ("append", 400),
        ("save", 400),
        ("repair", 200),
        ("remake", 70),
        ("extend", 10),
        ("run", 15),
        ("grow", 8),
    ],
)
def test_operations_that_fail(faults, job, count):
    run_faults(faults, "operations", "--job", job, "--count", count, seed=SEED, limit=900)


@pytest.mark.parametrize(("job", "count"), [("convert", 200), ("append", 150), ("save", 100)])
def test_power_cuts_of_a_modelled_disk(faults, job, count):
    run_faults(faults, "power", "--job", job, "--count", count, seed=SEED, limit=600)


def test_damaged_files(faults):
    run_faults(faults, "damage", "--count", 5000, seed=SEED, limit=900)


def test_signals(faults):
    run_faults(faults, "signals", "--count", 24, seed=SEED, limit=300)


@pytest.mark.parametrize("what", ["journals", "mixed"])
def test_nothing_is_resumed_on_trust(faults, what):
    run_faults(faults, what, "--count", 30, seed=SEED, limit=300)


def test_second_starts(faults):
    run_faults(faults, "twice", "--count", 10, seed=SEED, limit=300)


def test_workers_that_are_killed(faults):
    run_faults(faults, "workers", "--count", 20, seed=SEED, limit=900)


def test_every_guard_is_needed(faults):
    run_faults(faults, "guards", seed=SEED, limit=900)


def cannot_cut(name):
    made_by = FILE_SYSTEMS[name].make[0]
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return not (root and shutil.which(made_by) and Path("/dev/loop-control").exists())


@pytest.mark.slow
@pytest.mark.parametrize("name", FILE_SYSTEMS)
def test_power_cuts_on_file_systems(faults, name):
    if cannot_cut(name):
        pytest.skip(f"power cuts on {name} need root, {FILE_SYSTEMS[name].make[0]} and loop devices")
    run_faults(faults, name, "--count", 70, limit=3600)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("job", "count"),
    [
        ("convert", 20_000),
        ("append", 11_000),
        ("save", 10_000),
        ("repair", 5_000),
        ("remake", 1_000),
        ("extend", 2_000),
        ("run", 1_000),
        ("grow", 1_000),
    ],
)
def test_operations_that_fail_in_the_long_form(faults, job, count):
    run_faults(faults, "operations", "--job", job, "--count", count, "--processes", 2, limit=24 * 3600)


@pytest.mark.slow
def test_every_bit_of_every_file(faults):
    run_faults(faults, "damage", "--count", 0, limit=24 * 3600)


@pytest.mark.slow
def test_200_signals(faults):
    run_faults(faults, "signals", "--count", 200, limit=3600)


@pytest.mark.slow
def test_50_second_starts(faults):
    run_faults(faults, "twice", "--count", 50, limit=3600)


@pytest.mark.slow
def test_200_workers_that_are_killed(faults):
    run_faults(faults, "workers", "--count", 200, limit=4 * 3600)
