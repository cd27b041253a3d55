"""Random jobs in fresh processes: measured peak memory <= projected <= budget.

    python benchmarks/memory.py --seed 1 --jobs 200

Each job has a random recording (shape, dtype, storage, chunks), verb, statistics, ROIs, budget and workers. Measured is the
largest anonymous memory of its process, imports included: `RssAnon`, looked at every few milliseconds, or `VmHWM` less the largest
`RssFile` if that is more. Projected is what the plan says, and the results that the job keeps in memory, which are taken off its
budget; verbs without a plan are held to their budget. A job whose plan does not fit must be refused before it reads.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
import zarr

import roitrace as rt
from roitrace.config.statistics import make_statistics
from roitrace.engine.run import execute

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 2**20
DTYPES = ("uint8", "uint16", "uint16", "uint16", "int16", "uint32", "float32", "float64")
IMAGES = (
    "mean",
    "max",
    "std",
    "median",
    "skewness",
    "argmax",
    "difference_std",
    {"correlation": {"detrend_frames": 100}},
    {"percentile": {"q": 90}},
)
TRACES = ("mean", "median", "trimmed_mean", "std", "max", {"percentile": {"q": 20}})
VERBS = ("project", "project", "extract", "extract", "extract", "pixel_traces", "convert", "traces")


@dataclass(frozen=True)
class JobSpec:
    """One random job, as plain values.

    Attributes
    ----------
    number, seed : int
        Which job of which series.
    verb : str
        ``traces`` stands for `normalize` and `compare`.
    shape, chunks, dtype, storage
        Of the recording; storage is ``store``, ``zarr``, ``npy`` or ``lazy`` (a transformed recording).
    n_rois, roi_pixels : int
        Random squares of about so many pixels.
    statistics, images : tuple
        What is asked.
    budget, workers : int
        Bytes, tasks at once.
    path : str
        Where the recording is.
    """

    number: int
    seed: int
    verb: str
    shape: tuple[int, int, int]
    chunks: tuple[int, int, int]
    dtype: str
    storage: str
    n_rois: int
    roi_pixels: int
    statistics: tuple[Any, ...]
    images: tuple[Any, ...]
    budget: int
    workers: int
    path: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a job: bytes, None where there is no such number."""

    spec: JobSpec
    measured: int
    projected: int | None
    idle: int
    refused: bool
    seconds: float
    problem: str = ""

    @property
    def holds(self) -> bool:
        """Whether measured <= projected <= budget, or the job was refused."""
        if self.problem:
            return False
        limit = self.spec.budget if self.projected is None else self.projected
        return self.refused or self.measured <= limit <= self.spec.budget


def random_job(seed: int, number: int, *, largest: int = 96 * MIB) -> JobSpec:
    """Make up a job; the same seed and number give the same one."""
    rng = np.random.default_rng([seed, number])
    dtype = np.dtype(str(rng.choice(DTYPES)))
    height, width = (int(side) for side in rng.integers(48, 512, 2))
    most = max(8, int(largest * rng.uniform(0.2, 1.0)) // (height * width * dtype.itemsize))
    frames = int(min(most, rng.choice([300, 2000, 20000])))
    shape = (frames, height, width)
    kind = str(rng.choice(["tiles", "tiles", "frames", "odd"]))
    chunks = {
        "tiles": (int(rng.choice([64, 256])), min(64, height), min(64, width)),
        "frames": (int(rng.choice([1, 8, 50])), height, width),
        "odd": (int(rng.integers(1, 400)), int(rng.integers(8, height + 1)), int(rng.integers(8, width + 1))),
    }[kind]
    picked = rng.permutation(len(IMAGES))[: int(rng.integers(2, 6))]
    asked = rng.permutation(len(TRACES))[: int(rng.integers(1, 5))]
    verb = str(rng.choice(VERBS))
    images = tuple(IMAGES[k] for k in picked) if verb == "project" or rng.random() < 0.3 else ()
    return JobSpec(
        number,
        seed,
        verb,
        shape,
        (min(chunks[0], frames), *chunks[1:]),
        dtype.name,
        str(rng.choice(["store", "store", "zarr", "npy", "lazy"])),
        int(rng.choice([1, 50, 500, 3000])),
        int(rng.choice([1, 40, 150, 400])),
        tuple(TRACES[k] for k in asked),
        images,
        int(rng.choice([340, 500, 700, 1000])) * MIB,
        int(rng.integers(1, 4)),
    )


def write_recording(spec: JobSpec, folder: Path) -> JobSpec:
    """Write the recording of a job into a folder."""
    rng = np.random.default_rng([spec.seed, spec.number, 1])
    some = rng.integers(0, 120, (min(64, spec.shape[0]), *spec.shape[1:])).astype(spec.dtype)
    samples = np.resize(some, spec.shape)
    if spec.storage == "npy":
        path = folder / f"{spec.number}.npy"
        np.save(path, samples)
        return replace(spec, path=str(path))
    path = folder / f"{spec.number}.zarr"
    if spec.storage == "zarr":
        array = zarr.create_array(path, shape=spec.shape, chunks=spec.chunks, dtype=spec.dtype)
        array[:] = samples
    else:
        recording = xr.DataArray(samples, dims=("time", "y", "x"))
        rt.convert(recording, path, chunks=spec.chunks, budget="8 GiB")
    return replace(spec, path=str(path))


def make_rois(spec: JobSpec) -> Any:
    """Random squares, clipped at the border."""
    rng = np.random.default_rng([spec.seed, spec.number, 2])
    side = max(1, round(spec.roi_pixels**0.5))
    height, width = spec.shape[1:]
    rows = []
    for _ in range(spec.n_rois):
        top, left = int(rng.integers(0, height)), int(rng.integers(0, width))
        y, x = np.mgrid[top : min(top + side, height), left : min(left + side, width)]
        rows.append(np.stack([y.ravel(), x.ravel()], axis=1))
    return rt.Rois.from_pixels(rows, shape=(height, width))


def run_job(spec: JobSpec) -> dict[str, Any]:
    """Run a job in this process, and return what its plan said."""
    limits: dict[str, Any] = {"budget": spec.budget, "workers": spec.workers}
    recording = rt.open_recording(spec.path)
    if spec.storage == "lazy":
        recording = recording + np.zeros((), spec.dtype)
    images = make_statistics(spec.images, over_time=True) if spec.images else ()
    statistics = make_statistics(spec.statistics)
    lazy: Any
    plan = None
    try:
        if spec.verb == "project":
            plan = _plan_beside_results(spec, recording, None, projections=images)
            limits["budget"] = plan.budget
            lazy = rt.project(recording, images, **limits)
        elif spec.verb == "extract":
            rois = make_rois(spec)
            plan = _plan_beside_results(spec, recording, rois, statistics=statistics, projections=images)
            limits["budget"] = plan.budget
            lazy = rt.extract(recording, rois, statistics, projections=images, **limits)
        elif spec.verb == "pixel_traces":
            lazy = rt.pixel_traces(recording, make_rois(replace(spec, n_rois=min(20, spec.n_rois))), **limits)
            lazy = lazy.mean("time", dtype="float64")
        elif spec.verb == "convert":
            rt.convert(recording, f"{spec.path}.copy.zarr", **limits)
            return {"projected": None, "refused": False}
        else:
            lazy = _trace_job(spec, limits)
    except rt.errors.BudgetError:
        return {"projected": None if plan is None else plan.peak_bytes, "refused": True}
    if plan is not None and not plan.fits:
        return {
            "projected": plan.peak_bytes,
            "refused": False,
            "problem": "the plan does not fit, but nothing was refused",
        }
    execute(lazy, workers=spec.workers)
    return {"projected": None if plan is None else plan.peak_bytes + plan.output_bytes, "refused": False}


def _plan_beside_results(spec: JobSpec, recording: Any, rois: Any, **asked: Any) -> Any:
    """Plan with the budget that is left when the results are kept in memory."""
    whole = rt.plan(recording, rois, **asked, budget=spec.budget, workers=spec.workers)
    return rt.plan(recording, rois, **asked, budget=spec.budget - whole.output_bytes, workers=spec.workers)


def _trace_job(spec: JobSpec, limits: dict[str, Any]) -> Any:
    """Normalised traces and their comparison, lazily, from made-up traces."""
    rng = np.random.default_rng(spec.number)
    shape = (min(spec.n_rois, 200), min(spec.shape[0], 4000))
    values = {name: (("roi", "time"), rng.gamma(2.0, 50.0, shape)) for name in ("mean", "median")}
    names = [str(number) for number in range(shape[0])]
    traces = xr.Dataset(values, coords={"roi": names}, attrs={"primary": "mean"}).chunk(roi=16)
    limits = limits | {"window": "300 frames", "smoothing": "2 frames"}
    return xr.Dataset(
        {
            "dff": rt.normalize(traces, "dff", **limits)["dff"].mean("time"),
            "slope": rt.compare(traces, **limits)["slope"],
        }
    )


def _child(spec: JobSpec, pipe: Any) -> None:
    """Run a job and send what came out; wait until the parent has looked for the last time."""
    begin = time.perf_counter()
    idle = _status("self")["RssAnon"]
    try:
        result = run_job(spec)
    except Exception as error:  # noqa: BLE001 - the parent tells what happened
        result = {"projected": None, "refused": False, "problem": f"{type(error).__name__}: {error}"}
    pipe.send(result | {"idle": idle, "seconds": time.perf_counter() - begin})
    pipe.recv()


def measure(spec: JobSpec, context: Any) -> Outcome:
    """Run a job in a process of its own, and look at its memory."""
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(spec, theirs))
    process.start()
    largest = {"RssAnon": 0, "RssFile": 0, "VmHWM": 0}
    while not ours.poll(0.003):
        largest = _larger(largest, process.pid)
        if not process.is_alive():
            return Outcome(spec, largest["RssAnon"], None, 0, False, 0.0, "the process died")
    largest = _larger(largest, process.pid)
    result = ours.recv()
    ours.send(None)
    process.join()
    measured = max(largest["RssAnon"], largest["VmHWM"] - largest["RssFile"])
    return Outcome(
        spec,
        measured,
        result["projected"],
        result["idle"],
        result["refused"],
        result["seconds"],
        result.get("problem", ""),
    )


def _larger(largest: dict[str, int], process: int | None) -> dict[str, int]:
    try:
        now = _status(str(process))
    except OSError:
        return largest
    return {name: max(value, now.get(name, 0)) for name, value in largest.items()}


def _status(process: str) -> dict[str, int]:
    """Memory of a process, bytes."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    pairs = (line.split(":", 1) for line in lines)
    return {name: int(value.split()[0]) * 1024 for name, value in pairs if value.strip().endswith("kB")}


def context_of(*, spawn: bool) -> Any:
    """How processes start: bare, or forked from a server that has only imported the package."""
    if spawn:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.memory_imports"])
    return context


def run_jobs(
    seed: int,
    count: int,
    *,
    spawn: bool = False,
    at_once: int = 2,
    largest: int = 96 * MIB,
    tell: Callable[[Outcome], object] = lambda _: None,
) -> list[Outcome]:
    """Run random jobs, some at once, and tell of each that ends."""
    context = context_of(spawn=spawn)
    lock = threading.Lock()

    def one(number: int) -> Outcome:
        with tempfile.TemporaryDirectory() as folder:
            with lock:
                spec = write_recording(random_job(seed, number, largest=largest), Path(folder))
            outcome = measure(spec, context)
        tell(outcome)
        return outcome

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, range(count)))


def summarize(outcomes: list[Outcome]) -> dict[str, Any]:
    """Say how many held, and how honest the projections are."""
    ran = [one for one in outcomes if not one.refused and not one.problem]
    ratios = [one.measured / one.projected for one in ran if one.projected is not None]
    return {
        "jobs": len(outcomes),
        "held": sum(one.holds for one in outcomes),
        "refused": sum(one.refused for one in outcomes),
        "failed": [one.problem for one in outcomes if one.problem],
        "median_measured_over_projected": float(np.median(ratios)) if ratios else None,
        "largest_measured_over_projected": max(ratios, default=None),
        "largest_idle_bytes": max((one.idle for one in outcomes), default=0),
    }


def describe(one: Outcome) -> str:
    """One line for people."""
    projected = "-" if one.projected is None else f"{one.projected / MIB:.0f}"
    verdict = "BAD" if not one.holds else "refused" if one.refused else "ok"
    return (
        f"{verdict:7} measured {one.measured / MIB:.0f} projected {projected} budget {one.spec.budget / MIB:.0f} MiB, idle "
        f"{one.idle / MIB:.0f}, {one.seconds:.1f} s {one.problem} {asdict(one.spec)}"
    )


def main() -> int:
    """Run the jobs that the command line asks for; 1 if one of them does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--spawn", action="store_true", help="start every process from nothing")
    parser.add_argument("--verbose", action="store_true", help="print every job")
    typed = parser.parse_args()

    def tell(one: Outcome) -> None:
        if typed.verbose or not one.holds:
            print(describe(one), flush=True)

    outcomes = run_jobs(typed.seed, typed.jobs, spawn=typed.spawn, tell=tell)
    print(json.dumps(summarize(outcomes), indent=2))
    return 0 if all(one.holds for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
