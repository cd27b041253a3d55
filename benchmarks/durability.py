"""What durable writing costs, and how fast a store is verified.

    python -m benchmarks.durability [--megabytes 400] [--rounds 7] [--folder FOLDER]

A recording is converted, and its traces and projections are saved, as ever; with nothing that makes files durable, and one `os.sync` at
the end; and without that too, so that all of it stays in the page cache. They take turns on the disk of FOLDER; the cost is how much
longer the first takes than each of the others. Verifying is timed on one thread, in seconds of its processor, with the
files in the page cache: what a disk gives comes on top.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import dask
import numpy as np

import roitrace as rt
from roitrace.store import files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

FRAME = (512, 512)
CELL = 16


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=400)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        movie, store = folder / "movie.npy", folder / "movie.zarr"
        np.save(movie, _frames(given.megabytes))
        rt.convert(movie, store)
        for what, work, output in (
            ("convert", lambda: rt.convert(movie, folder / "copy.zarr"), folder / "copy.zarr"),
            ("save traces and projections", lambda: _save(store, folder / "out.zarr"), folder / "out.zarr"),
        ):
            synced, cached, seconds = _costs(work, output, given.rounds)
            print(
                f"{what}: {seconds:.2f} s; against one sync at the end {synced:+.1%}, against the page cache {cached:+.1%}"
            )
        print(f"verify: {_rate(store, given.rounds) / 1e9:.2f} GB/s on one thread")
    return 0


def _frames(megabytes: float) -> np.ndarray:
    count = max(2, int(megabytes * 1e6 / 2 / FRAME[0] / FRAME[1]))
    stretch = np.random.default_rng(0).poisson(200, (min(count, 128), *FRAME)).astype(np.uint16)
    return np.concatenate([stretch] * -(-count // len(stretch)))[:count]


def _save(store: Path, output: Path) -> None:
    recording = rt.open_recording(store)
    labels = np.zeros(FRAME, np.int32)
    corners = [(y, x) for y in range(0, FRAME[0], 2 * CELL) for x in range(0, FRAME[1], 2 * CELL)]
    for number, (y, x) in enumerate(corners, 1):
        labels[y : y + CELL, x : x + CELL] = number
    rois = rt.Rois.from_labels(labels)
    traces = rt.extract(
        recording, rois, ("mean", "median", "trimmed_mean"), projections=("mean", "max", "std")
    )
    rt.save({"rois": rois, "traces": traces}, output)


def _costs(work: Callable[[], object], output: Path, rounds: int) -> tuple[float, float, float]:
    """Return by how much longer durable writing takes than one sync at the end, and than none (medians of rounds), and how long it takes, s."""
    seconds = []
    for _ in range(rounds + 1):
        durable = _timed(work, output)
        with (
            patch.object(os, "fsync", lambda _: None),
            patch.object(files, "begin_writeback", lambda _: None),
        ):
            seconds.append((durable, _timed(work, output, os.sync), _timed(work, output)))
    ratios = [(durable / synced - 1, durable / cached - 1) for durable, synced, cached in seconds[1:]]
    against_sync, against_cache = (statistics.median(column) for column in zip(*ratios, strict=True))
    return against_sync, against_cache, statistics.median(one[0] for one in seconds[1:])  # the first compiles


def _timed(work: Callable[[], object], output: Path, ended: Callable[[], object] = lambda: None) -> float:
    os.sync()  # what was written before is not waited for
    begin = time.perf_counter()
    work()
    ended()
    seconds = time.perf_counter() - begin
    for path in (output, Path(f"{output}.run")):
        shutil.rmtree(path, ignore_errors=True)
    return seconds


def _rate(store: Path, rounds: int) -> float:
    """Return how many bytes of a store are verified in a second of a processor."""
    rates = []
    with dask.config.set(scheduler="synchronous"):
        for _ in range(rounds + 1):
            begin = time.thread_time()
            found = rt.verify(store)
            rates.append(found.nbytes / (time.thread_time() - begin))
            assert found.ok, found
    return statistics.median(rates[1:])


if __name__ == "__main__":
    raise SystemExit(main())
