"""Kill the workers of a cluster at every moment of a job: the same bytes, or an error that says how to resume; never a hang."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Literal

import dask
import numpy as np
from distributed import Client, LocalCluster

import roitrace as rt
from roitrace.errors import JobError
from tests.block_sources import GeneratedSource, recording_file
from tests.faults.campaign import Report
from tests.faults.jobs import differences, outputs_of
from tests.warm_start import warm_workers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOMENTS = ("idle", "computing", "writing", "memory", "starting")
SHAPE, CHUNKS = (96, 16, 16), (8, 8, 8)
LIMIT = 120.0
MEMORY = 600 * 2**20


@dataclass(frozen=True)
class SlowSource(GeneratedSource):
    """Takes its time; if asked to, takes far too much memory where a file says so, once, or does not come to an end."""

    trap: str = ""
    endless: bool = False

    def fill(self, block: np.ndarray, time_: slice, y: slice) -> None:
        time.sleep(0.02)
        if self.endless and time_.start >= self.shape[0] // 2:
            time.sleep(LIMIT)
        if self.trap and time_.start >= self.shape[0] // 2 and _taken(self.trap):
            greedy = np.ones(4 * MEMORY, np.uint8)
            time.sleep(20)
            del greedy
        super().fill(block, time_, y)

    def identity(self) -> str:
        return f"slow {self.shape}"


def _taken(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def local_cluster() -> Iterator[tuple[Client, LocalCluster]]:
    """Start workers in processes of their own, on loopback, without a dashboard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what distributed says while processes come and go is its own affair
        settings = {"distributed.worker.memory.terminate": 0.9, "roitrace.patience-without-workers": "30s"}
        with warm_workers(), dask.config.set(settings):
            with (
                LocalCluster(
                    n_workers=2,
                    threads_per_worker=1,
                    dashboard_address=None,
                    host="127.0.0.1",
                    memory_limit=MEMORY,
                ) as cluster,
                Client(cluster, set_as_default=False) as client,
            ):
                yield client, cluster


def worker_kills(count: int, seed: int, folder: Path) -> Report:
    """Kill workers so many times while recordings are converted on a cluster."""
    begin = time.monotonic()
    report, random = Report(), Random(seed)
    _convert(folder / "expected")
    expected = outputs_of(folder / "expected")
    while report.tried < count:
        with local_cluster() as (client, cluster):  # a nanny whose worker is killed while it starts gives up
            client.wait_for_workers(2)
            for moment in MOMENTS:
                _try_kill(client, cluster, folder / "sandbox", moment, random, expected, report)
    report.seconds = time.monotonic() - begin
    return report


def _convert(folder: Path, trap: str = "", *, endless: bool = False) -> None:
    folder.mkdir(exist_ok=True)
    source = SlowSource(SHAPE, CHUNKS, np.dtype("uint16"), trap, endless)
    rt.convert(recording_file(source), folder / "recording.zarr", chunks=CHUNKS, workers=2, frame_rate=10.0)


def _try_kill(
    client: Client,
    cluster: LocalCluster,
    folder: Path,
    moment: str,
    random: Random,
    expected: dict[str, bytes | None],
    report: Report,
) -> None:
    trap = folder.with_name("trap") if moment == "memory" else None
    if trap is not None:
        trap.touch()
        report.tried += 1
    if moment == "idle":
        report.tried += _kill_one(cluster, random)
    killer = _Killer(cluster, folder, moment, random)
    _has_workers(client)
    begin = time.monotonic()
    killer.start()
    end = "error"
    for attempt in range(6):
        try:
            with client.as_current():
                _convert(folder, "" if trap is None else str(trap))
        except JobError as error:
            report.ends["resumed"] += 1
            if not error.next_step or attempt == 5:
                report.violations.append(f"{moment}: {error}")
            if not _has_workers(client):
                _convert(folder)  # goes on without the cluster
                end = "done"
                break
        except Exception as error:
            report.violations.append(f"{moment}: {type(error).__name__}: {error}")
            break
        else:
            end = "done"
            break
    killer.join()
    report.tried += killer.kills
    report.ends[end] += 1
    if time.monotonic() - begin > LIMIT:
        report.violations.append(f"{moment}: took {time.monotonic() - begin:.0f} s")
    if trap is not None and trap.exists():
        report.violations.append("memory: no task ran into the trap")
    wrong = differences(outputs_of(folder), expected)
    if wrong:
        report.violations.append(f"{moment} ({end}): {wrong}")
    shutil.rmtree(folder)


def _has_workers(client: Client) -> bool:
    """Wait a while for workers that are started again."""
    try:
        client.wait_for_workers(1, timeout=30)
    except TimeoutError:
        return False
    return True


class _Killer(threading.Thread):
    """Waits for its moment and kills a worker, sometimes all of them."""

    def __init__(self, cluster: LocalCluster, folder: Path, moment: str, random: Random) -> None:
        super().__init__(daemon=True)
        self.cluster, self.folder, self.moment, self.random = cluster, folder, moment, random
        self.kills = 0

    def run(self) -> None:
        if self.moment == "computing":
            time.sleep(self.random.uniform(0.05, 1.5))
            self.kills += _kill_one(self.cluster, self.random)
        elif self.moment == "writing":
            limit = time.monotonic() + 20
            while time.monotonic() < limit and not any(self.folder.rglob("*.partial")):
                time.sleep(0.001)
            self.kills += sum(_kill_one(self.cluster, self.random) for _ in range(self.random.choice((1, 2))))
        elif self.moment == "starting":
            self.kills += _kill_one(self.cluster, self.random)
            time.sleep(self.random.uniform(0.2, 2.5))  # the nanny has begun another one
            self.kills += _kill_one(self.cluster, self.random)


def _kill_one(cluster: LocalCluster, random: Random) -> int:
    """Kill the process of a worker; return how many were killed."""
    pids = [pid for pid in (nanny.pid for nanny in cluster.workers.values()) if pid]
    if not pids:
        return 0
    try:
        os.kill(random.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def cluster_dies(folder: Path, moment: Literal["before", "preparing", "writing"]) -> Exception | None:
    """Convert on a cluster that ends before it, before it has its tasks or about then, or while they write; return the error."""
    drafts = "c/**/*.partial" if moment == "writing" else "*.partial"
    with local_cluster() as (client, cluster):
        client.wait_for_workers(2)

        def end() -> None:
            while moment != "before" and not any(folder.rglob(drafts)):
                time.sleep(0.01)
            cluster.close(timeout=5)

        ending = threading.Thread(target=end)
        ending.start()
        if moment == "before":
            ending.join()
        try:
            with client.as_current():
                _convert(folder, endless=True)  # it cannot end before the cluster does
        except Exception as error:
            return error
        finally:
            ending.join()
    return None
