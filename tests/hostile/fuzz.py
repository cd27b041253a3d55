"""Malformed inputs for every reader, in a process that is watched: time, memory, and what comes out.

``python -m tests.hostile.fuzz --seed 1 --count 2000`` prints the inputs that ended in anything but a result or a typed error, by seed;
``--only SEED`` repeats one of them with its traceback. A crash of a C library ends the process with the seed of the input in the file
``--progress``, so that a parent can go on behind it.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from roitrace.errors import RoitraceError
from tests.hostile.corpus import CORPUS, build_corpus
from tests.hostile.exercise import EXERCISES
from tests.hostile.mutations import break_folder

__all__ = ["MOST_BYTES", "MOST_SECONDS", "Finding", "peak_bytes", "reset_peak", "run"]

MOST_SECONDS = 5.0
MOST_BYTES = 256 * 2**20
HARD_BYTES = 4 * 2**30


@dataclass(frozen=True)
class Finding:
    """An input that ended otherwise than it should."""

    seed: int
    entry: str
    broken: str
    outcome: str
    detail: str


def run(
    seeds: range, corpus: Path, scratch: Path, *, progress: Path | None = None, only: str = ""
) -> tuple[list[Finding], dict[str, int]]:
    """Try the inputs of some seeds; returns what ended wrongly, and how often each right outcome came.

    Parameters
    ----------
    seeds : range
        One input each.
    corpus : Path
        Folder of `build_corpus`.
    scratch : Path
        Folder to work in.
    progress : Path, optional
        File that names the seed at work.
    only : str
        Take entries with this in their name only.
    """
    places = json.loads((corpus / "places.json").read_text())
    findings: list[Finding] = []
    counts: dict[str, int] = {}
    for seed in seeds:
        if progress is not None:
            progress.write_text(str(seed))
        finding, outcome = _one(seed, corpus, places, scratch, only)
        counts[outcome] = counts.get(outcome, 0) + 1
        if finding is not None:
            findings.append(finding)
    return findings, counts


def _one(
    seed: int, corpus: Path, places: dict[str, str], scratch: Path, only: str
) -> tuple[Finding | None, str]:
    generator = random.Random(seed)
    chosen = [number for number, entry in enumerate(CORPUS) if only in entry.name]
    number = generator.choice(chosen)
    entry = CORPUS[number]
    home = scratch / "input"
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(corpus / str(number), home, symlinks=True)
    broken = break_folder(home, generator)
    base = reset_peak()
    started = time.monotonic(), time.thread_time()
    faulthandler.dump_traceback_later(12 * MOST_SECONDS, exit=True)
    outcome, detail = "result", ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings(
                "ignore", ".* lie off the frame|.* the size of the frame is not known", UserWarning
            )
            EXERCISES[entry.kind](home / places[entry.name])
    except RoitraceError as error:
        outcome = type(error).__name__
        if not str(error) or "\n  File" in str(error):
            outcome, detail = "an error without words", repr(error)
    except BaseException as error:  # noqa: BLE001 - whatever else comes out is what is looked for
        outcome, detail = f"escaped: {type(error).__name__}", "".join(traceback.format_exception(error))
    finally:
        faulthandler.cancel_dump_traceback_later()
    spent, peak = time.thread_time() - started[1], peak_bytes() - base
    if detail:
        return Finding(seed, entry.name, broken, outcome, detail), "wrong"
    if spent > MOST_SECONDS:
        return Finding(seed, entry.name, broken, outcome, f"took {spent:.1f} s of CPU"), "slow"
    if peak > MOST_BYTES:
        return Finding(seed, entry.name, broken, outcome, f"took {peak / 2**20:.0f} MiB"), "large"
    return None, outcome


def reset_peak() -> int:
    """Begin to measure the peak of resident memory anew; returns what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    return int(psutil.Process().memory_info().rss)


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--only", type=int, help="repeat the input of this seed, with its traceback")
    parser.add_argument("--entry", default="", help="entries with this in their name only")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--progress", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    limit = psutil.Process().memory_info().vms + HARD_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with tempfile.TemporaryDirectory() as folder:
        corpus = given.corpus
        if corpus is None:
            corpus = Path(folder, "corpus")
            build_corpus(corpus)
        seeds = (
            range(given.seed, given.seed + given.count)
            if given.only is None
            else range(given.only, given.only + 1)
        )
        findings, counts = run(seeds, corpus, Path(folder), progress=given.progress, only=given.entry)
    if given.json is not None:
        given.json.write_text(json.dumps({"findings": [asdict(one) for one in findings], "counts": counts}))
        return
    for one in findings:
        lines = one.detail.strip().splitlines()
        shown = one.detail if given.only is not None else lines[-1]
        print(f"seed {one.seed}: {one.entry} ({one.broken}): {one.outcome}: {shown}")
    print(f"seeds {seeds.start} to {seeds.stop - 1}: {counts}")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
