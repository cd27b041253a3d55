"""Worker processes against threads, what travels between them, and what the scheduler itself costs.

    python -m benchmarks.cluster [--quick] [--repeats 5] [--folder FOLDER]

Scheduler and workers are processes of this machine. All ways have the same number of tasks at once (four), write the same results store from the
same recording (512 x 512, 500 ROIs, four aggregations), take turns, and their stores are compared file by file.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]
from distributed import Client

import roitrace as rt
from benchmarks.ours import FOUR, rois_on
from benchmarks.workloads import SCALES, Files, default_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.workloads import Workload

__all__ = ["Cost", "main", "model"]

TASKS_AT_ONCE = 4
BUDGET = "4 GiB"
SHARE = 0.05
"""Part of the time that the scheduler may take."""
IDLE_SECONDS = 10.0
"""How long a scheduler with nothing to do is looked at."""


@dataclass(frozen=True)
class Cost:
    """What a job took of the scheduler.

    Attributes
    ----------
    seconds : float
        Wall time of the job.
    scheduler_seconds : float
        Processor time of the scheduler's process, less what it takes in the same time with nothing to do.
    idle_seconds : float
        What it takes in the same time with nothing to do: heartbeats of the workers, its own clocks.
    tasks : int
        Tasks that it dealt with.
    travelled : int
        Bytes between client, scheduler and workers, those between workers too.
    recording : int
        Bytes of the recording that was read.
    """

    seconds: float
    scheduler_seconds: float
    idle_seconds: float
    tasks: int
    travelled: int
    recording: int


class _Cluster:
    """A scheduler and workers, each a process."""

    def __init__(self, stack: ExitStack, processes: int, folder: Path) -> None:
        where = folder / f"scheduler-{processes}.json"
        options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(where))
        self._scheduler = psutil.Process(
            stack.enter_context(_python("distributed.cli.dask_scheduler", *options)).pid
        )
        threads = str(TASKS_AT_ONCE // processes)
        for number in range(processes):
            how = ("--scheduler-file", str(where), "--nthreads", threads, "--no-dashboard", "--no-nanny")
            place = ("--local-directory", str(folder / f"{processes}-{number}"), "--memory-limit", "0")
            stack.enter_context(_python("distributed.cli.dask_worker", *how, *place))
        self.client = stack.enter_context(
            Client(scheduler_file=str(where), timeout="60s", set_as_default=False)
        )
        self.client.wait_for_workers(processes, timeout=120)

    def rest(self) -> float:
        """Return the part of a processor that the scheduler takes with nothing to do."""
        before = self.look()[0]
        time.sleep(IDLE_SECONDS)
        return (self.look()[0] - before) / IDLE_SECONDS

    def look(self) -> tuple[float, int, int]:
        """Return processor seconds of the scheduler, bytes between all processes, and tasks, so far."""
        used = self._scheduler.cpu_times()
        moved = psutil.net_io_counters(pernic=True)["lo"].bytes_sent
        return used.user + used.system, moved, self.client.run_on_scheduler(_tasks_done)


def _tasks_done(dask_scheduler: Any) -> int:
    return sum(prefix.state_counts["memory"] for prefix in dask_scheduler.task_prefixes.values())


@contextmanager
def _python(*module: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", *module]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            yield running
        finally:
            running.terminate()


def _job(workload: Workload, store: Path, output: Path) -> None:
    recording = rt.open_recording(store)
    traces = rt.extract(recording, rois_on(workload, store), FOUR, budget=BUDGET, workers=TASKS_AT_ONCE)
    rt.save(traces, output, overwrite=True, workers=TASKS_AT_ONCE)


def measure(workload: Workload, store: Path, folder: Path, repeats: int) -> dict[str, Any]:
    """Return seconds by way of running, and what the scheduler took of the last way."""
    ways: dict[str, _Cluster | None] = {"threads": None}
    seconds: dict[str, list[float]] = {}
    costs: dict[str, list[Cost]] = {}
    with ExitStack() as stack:
        for processes in (1, 2, 4):
            ways[f"{processes} x {TASKS_AT_ONCE // processes}"] = _Cluster(stack, processes, folder)
        idle: dict[str, float] = {}
        for turn in range(repeats + 1):
            for name, cluster in ways.items():
                with ExitStack() as current:
                    if cluster is not None:
                        current.enter_context(cluster.client.as_current())
                    before = None if cluster is None else cluster.look()
                    begin = time.perf_counter()
                    _job(workload, store, folder / f"{name}.zarr")
                    taken = time.perf_counter() - begin
                if turn == 0:
                    if cluster is not None:
                        idle[name] = cluster.rest()
                    continue  # compiles, imports, fills the caches
                seconds.setdefault(name, []).append(taken)
                if cluster is not None and before is not None:
                    used, moved, tasks = (
                        now - then for now, then in zip(cluster.look(), before, strict=True)
                    )
                    size = workload.frames * workload.height * workload.width * 2
                    resting = idle[name] * taken
                    costs.setdefault(name, []).append(
                        Cost(taken, max(used - resting, 0.0), resting, int(tasks), int(moved), size)
                    )
    for name in ways:
        _compare(folder / "threads.zarr", folder / f"{name}.zarr")
    return {"seconds": seconds, "costs": costs}


def _compare(first: Path, second: Path) -> None:
    for one in sorted(path for path in first.rglob("*") if path.is_file()):
        other = second / one.relative_to(first)
        if not filecmp.cmp(one, other, shallow=False):
            raise AssertionError(f"{one} and {other} differ")


def model(cost: Cost, *, nodes: int, node_bandwidth: float, recording: float) -> dict[str, float]:
    """Say on paper what a job on a large cluster would take.

    Parameters
    ----------
    cost : Cost
        What was measured.
    nodes : int
        Machines.
    node_bandwidth : float
        Decoded bytes per second of a machine: the least of its network and of its processors.
    recording : float
        Bytes of the recording.

    Returns
    -------
    dict
        ``tasks``; ``reading`` and ``scheduling``, s; ``share`` of the scheduler; ``most_bandwidth``, bytes per second of all machines together,
        up to which the share stays below 5 %.
    """
    tasks = recording * cost.tasks / cost.recording
    scheduling = tasks * cost.scheduler_seconds / cost.tasks
    reading = recording / (nodes * node_bandwidth)
    per_byte = scheduling / recording
    return {
        "tasks": tasks,
        "reading": reading,
        "scheduling": scheduling,
        "share": scheduling / max(reading, scheduling),
        "most_bandwidth": SHARE / per_byte,
    }


def as_text(found: dict[str, Any]) -> str:
    """Return the table that the README shows, and the figures of the model."""
    threads = statistics.median(found["seconds"]["threads"])
    lines = [
        "| tasks at once | seconds | against threads | scheduler, of the time | the same with nothing to do | between processes |",
        "|---|---|---|---|---|---|",
        f"| {TASKS_AT_ONCE} threads | {threads:.2f} | | | | |",
    ]
    for name, costs in found["costs"].items():
        seconds = statistics.median(found["seconds"][name])
        share = statistics.median(one.scheduler_seconds / one.seconds for one in costs)
        resting = statistics.median(one.idle_seconds / one.seconds for one in costs)
        moved = statistics.median(one.travelled for one in costs)
        lines.append(
            f"| {name} (processes x threads) | {seconds:.2f} | {seconds / threads:.2f} | {share:.1%} | "
            f"{resting:.1%} | {moved / 1e6:.2f} MB |"
        )
    costs = sorted(found["costs"]["4 x 1"], key=lambda one: one.scheduler_seconds)
    cost = costs[len(costs) // 2]
    lines.append(
        f"\n{cost.tasks} tasks, {1e3 * cost.scheduler_seconds / cost.tasks:.2f} ms of the scheduler each, for "
        f"{cost.recording / 1e9:.1f} GB of recording"
    )
    for size, nodes in ((1e12, 64), (1e15, 64)):
        said = model(cost, nodes=nodes, node_bandwidth=1.25e9, recording=size)
        lines.append(
            f"{size / 1e12:.0f} TB on {nodes} machines that read 1.25 GB/s each (10 Gbit/s): {said['tasks']:.2g} tasks, "
            f"{said['reading']:.0f} s to read, {said['scheduling']:.0f} s of the scheduler ({said['share']:.1%}); it stays below "
            f"{SHARE:.0%} up to {said['most_bandwidth'] / 1e9:.0f} GB/s in all"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small recording: shows that it runs")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=default_folder())
    parser.add_argument("--out", type=Path, help="file for the figures, JSON")
    typed = parser.parse_args(arguments)
    workload = SCALES["quick" if typed.quick else "full"].a_long
    store = Files(typed.folder).store(workload)
    with tempfile.TemporaryDirectory(dir=typed.folder) as folder:
        found = measure(workload, store, Path(folder), typed.repeats)
    sys.stdout.write(as_text(found) + "\n")
    if typed.out is not None:
        plain = found | {
            "costs": {name: [vars(one) for one in costs] for name, costs in found["costs"].items()}
        }
        typed.out.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
