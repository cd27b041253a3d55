"""The long forms: ``python -m tests.faults WHAT --count N --seed S``."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.campaign import Report, campaign, power_cuts
from tests.faults.disks import FILE_SYSTEMS, cuts_on
from tests.faults.jobs import JOBS, prepared, small_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WHAT = (
    *("operations", "power", *FILE_SYSTEMS, "signals", "twice", "journals", "mixed"),
    *("damage", "workers", "guards"),
)
JOBS_OF = {"operations": tuple(JOBS), "power": ("convert", "append", "save")}
JOBS_OF |= dict.fromkeys(FILE_SYSTEMS, ("convert", "append", "save"))


def rehearsed() -> Callable[[Sequence[str]], int]:
    """Import everything, do the jobs once, so that their kernels are loaded, and return what takes the command."""
    from tests.faults import damage, guards, resuming, signals  # noqa: F401

    with small_steps(), tempfile.TemporaryDirectory() as folder:
        for name in ("append", "save"):
            prepared(JOBS[name], Path(folder, name))
            JOBS[name].work(Path(folder, name))
    return main


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("what", choices=WHAT)
    parser.add_argument(
        "--job", choices=list(JOBS), action="append", help="which job; by default all that there are"
    )
    parser.add_argument("--count", type=int, default=200, help="how often, for each job")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args(arguments)
    seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    print(f"{given.what}, seed {seed}", flush=True)
    failed = 0
    for name, work in _works(given, seed):
        report = work()
        print(f"{name}: {report}", flush=True)
        for violation in report.violations[:10]:
            print(f"  {violation[:2000]}", flush=True)
        failed += len(report.violations)
    return 1 if failed else 0


def _works(given: argparse.Namespace, seed: int) -> list[tuple[str, Callable[[], Report]]]:
    if given.what == "workers":
        return [("workers", partial(_workers, given.count, seed))]
    if given.what == "guards":
        return [("guards", partial(_guards, seed))]
    if given.what == "damage":
        return [("damage", partial(_damage, given.count, seed))]
    names = given.job or JOBS_OF.get(given.what, ("convert",))
    return [(name, partial(_on_job, given, name, seed)) for name in names]


def _on_job(given: argparse.Namespace, name: str, seed: int) -> Report:
    job = JOBS[name]
    with small_steps():
        if given.what in FILE_SYSTEMS:
            return cuts_on(given.what, job, given.count, seed)
        match given.what:
            case "operations":
                return campaign(job, given.count, seed, given.processes)
            case "power":
                return power_cuts(job, given.count, seed)
            case "signals":
                from tests.faults.signals import CONVERT, signalled

                return signalled(job, CONVERT, given.count, seed)
            case "journals":
                from tests.faults.resuming import damaged_journals

                return damaged_journals(job, given.count, seed)
            case "mixed":
                from tests.faults.resuming import mixed_jobs

                return mixed_jobs(given.count, seed)
            case _:
                from tests.faults.signals import started_twice

                return started_twice(job, given.count, seed)


def _damage(count: int, seed: int) -> Report:
    from tests.faults.damage import survey_all

    with small_steps(), tempfile.TemporaryDirectory() as folder:
        return survey_all(Path(folder), count, seed)


def _guards(seed: int) -> Report:
    from tests.faults.guards import every_guard

    with small_steps():
        return every_guard(seed)


def _workers(count: int, seed: int) -> Report:
    from tests.faults.clusters import worker_kills

    with tempfile.TemporaryDirectory() as folder:
        return worker_kills(count, seed, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
