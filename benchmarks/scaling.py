"""Rows about threads, few ROIs, long recordings, memory, graphs and the first call."""

from __future__ import annotations

import pickle
import statistics
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import xarray as xr
from dask.diagnostics import Profiler

import roitrace as rt
from benchmarks.bare import BareStore, bare_decode
from benchmarks.bench import bare_contenders
from benchmarks.children import first_call_seconds, peak_memory
from benchmarks.measure import Contender, Row, alternate, ratio
from benchmarks.ours import build, extract_store, rois_on
from benchmarks.scene import irregular_rois
from roitrace.engine.blocks import as_dask
from roitrace.sources import BlockReader, BlockSource

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from benchmarks.bench import Bench

__all__ = [
    "build_graph",
    "first_call",
    "graph",
    "growth",
    "memory",
    "one_roi",
    "overhead",
    "promised_recording",
    "scattered_rois",
    "threads",
    "travelling_bytes",
]


def threads(bench: Bench) -> list[Row]:
    """One thread against two."""
    workload = bench.scale.a
    store, expected = bench.files.store(workload), bench.files.expected(workload)
    rois, bare = rois_on(workload, store), BareStore.of(store)
    contenders = []
    for count in (1, 2):
        contenders += [
            Contender(
                f"four, {count} threads", partial(extract_store, store, rois, "four", count), expected.check
            ),
            Contender(f"bare decode, {count} threads", partial(bare_decode, bare, count)),
        ]
    timings = alternate(contenders, bench.repeats)
    return [
        ratio("threads", f"{what}, 1 thread / 2 threads", timings, f"{what}, 1 threads", f"{what}, 2 threads", least=least, aim=aim)
        for what, least, aim in (("four", 1.7, 1.9), ("bare decode", None, None))
    ]  # fmt: skip


def one_roi(bench: Bench) -> list[Row]:
    """One ROI of the long recording against all (workload C)."""
    workload = bench.scale.a_long
    store, expected = bench.files.store(workload), bench.files.expected(workload)
    every, one = rois_on(workload, store), rois_on(workload, store, 1)
    bare = BareStore.of(store)
    timings = alternate(
        [
            *bare_contenders(bare, bench.threads),
            Contender(
                "all ROIs", partial(extract_store, store, every, "four", bench.threads), expected.check
            ),
            Contender(
                "one ROI",
                partial(extract_store, store, one, "four", bench.threads),
                partial(expected.check, rois=slice(0, 1)),
            ),
        ],
        bench.repeats,
    )
    samples = [
        bare.decoded_samples(pixels)
        for pixels in (workload.roi_pixels.pixels[:1], workload.roi_pixels.pixels)
    ]
    per = samples[0] / samples[1]
    what = f"one ROI / all {len(every)}, {workload.frames} frames"
    return [
        ratio("one_roi", what, timings, "one ROI", "all ROIs", most=0.1, aim=0.03),
        ratio("C", "C: one ROI / A, per decoded sample", timings, "one ROI", "all ROIs", per=per, most=2.0),
    ]


def growth(bench: Bench) -> list[Row]:
    """Time against the number of frames, from 1x to 16x."""
    workload, base = bench.scale.a_long, bench.scale.base_frames
    store, expected = bench.files.store(workload), bench.files.expected(workload)
    rois = rois_on(workload, store)
    sizes = {f"{factor}x": base * factor for factor in (1, 4, 16)}
    timings = alternate(
        [
            Contender(
                name,
                partial(extract_store, store, rois, "four", bench.threads, time=slice(0, frames)),
                partial(expected.check, time=slice(0, frames)),
            )
            for name, frames in sizes.items()
        ],
        bench.repeats,
    )
    return [
        ratio("growth", f"time per frame, {name} ({sizes[name]} frames) / 1x", timings, name, "1x", per=sizes[name] / base, most=1.1, least=0.9, aim=1.0)
        for name in ("4x", "16x")
    ]  # fmt: skip


def memory(bench: Bench) -> list[Row]:
    """Peak anonymous memory of a fresh process that extracts into a results store."""
    long, short = bench.scale.a_long, bench.scale.a
    peaks: dict[str, list[int]] = {"long": [], "short": []}
    for _ in range(min(bench.repeats, 3)):
        for name, workload in (("long", long), ("short", short)):
            store, expected = bench.files.store(workload), bench.files.expected(workload)
            target = bench.scratch / f"{name}.zarr"
            peaks[name].append(peak_memory(store, workload, target, bench.threads, bench.scale.name))
            expected.check(rt.load(target)["traces"].to_dataset())
    singles = [a / b for a, b in zip(peaks["long"], peaks["short"], strict=True)]
    what = f"peak memory, {long.frames} frames / {short.frames} frames"
    notes = tuple(f"{name} {statistics.median(peaks[name]) / 2**20:.0f} MiB" for name in peaks)
    value = statistics.median(peaks["long"]) / statistics.median(peaks["short"])
    return [Row("memory", what, value, (min(singles), max(singles)), most=1.05, aim=1.0, notes=notes)]


def graph(bench: Bench) -> list[Row]:
    """Build and optimise the graph of a very long recording; what travels to workers."""
    recording = promised_recording(bench.scale.million)
    rois = {count: scattered_rois(recording, count) for count in (50, 500, 5000)}
    timings = alternate(
        [Contender(str(count), partial(build_graph, recording, own)) for count, own in rois.items()],
        bench.repeats,
    )
    rows = []
    for count in (500, 5000):
        seconds = timings.seconds[str(count)]
        what = f"graph of {bench.scale.million} frames, {count} ROIs, built and optimised"
        spread = min(seconds), max(seconds)
        rows.append(Row("graph", what, statistics.median(seconds), spread, most=0.5, unit="s"))
    tasks = {count: len(build_graph(recording, own)) for count, own in rois.items()}
    note = f"{tasks[5000]} and {tasks[50]} tasks"
    rows.append(Row("graph", "tasks, 5000 ROIs / 50 ROIs", tasks[5000] / tasks[50], most=1.0, notes=(note,)))
    workload = bench.scale.b
    mesoscope = rt.open_recording(bench.files.store(workload))
    own = workload.rois(mesoscope)
    for what in ("mean", "four and projections"):
        size = travelling_bytes(mesoscope, own, what) / 1e6
        weights = 4 * int(own.n_pixels.sum()) / 1e6
        notes = () if what == "mean" else (f"{weights:.1f} MB of them are weights of 32 bits",)
        title = f"B's graph with {len(own)} ROIs, pickled, {what}"
        rows.append(Row("graph", title, size, most=5.0, unit="MB", notes=notes))
    return rows


def overhead(bench: Bench) -> list[Row]:
    """Part of the time in which no task runs, on one thread."""
    workload = bench.scale.a
    store, expected = bench.files.store(workload), bench.files.expected(workload)
    rois = rois_on(workload, store)
    parts = []
    for _ in range(bench.repeats + 1):
        lazy = build(rt.open_recording(store), rois, "four", 1)
        start = time.perf_counter()
        with Profiler() as profile, dask.config.set(scheduler="threads", num_workers=1):
            result = lazy.compute()
        wall = time.perf_counter() - start
        parts.append(1 - sum(task.end_time - task.start_time for task in profile.results) / wall)
        expected.check(result)
    parts = parts[1:]
    what = "part of the wall time outside tasks, the four on one thread"
    return [Row("overhead", what, statistics.median(parts), (min(parts), max(parts)), most=0.05, unit="part")]


def first_call(bench: Bench) -> list[Row]:
    """The first call on a fresh machine: nothing is compiled yet."""
    seconds, kernels = first_call_seconds(bench.scratch / "compiled")
    what = "compiling at the first call, per kernel"
    notes = (f"{kernels} kernels, {seconds:.1f} s",)
    return [Row("first_call", what, seconds / max(1, kernels), most=2.0, unit="s", notes=notes)]


def promised_recording(frames: int) -> xr.DataArray:
    """Return a recording of the default chunks that fails when a sample is read."""
    source = _Promised((frames, 512, 512), np.dtype("uint16"), (256, 64, 64))
    return xr.DataArray(as_dask(source), dims=("time", "y", "x"))


def scattered_rois(recording: xr.DataArray, count: int) -> rt.Rois:
    """Return ROIs with weights."""
    made = irregular_rois((recording.sizes["y"], recording.sizes["x"]), count, 3)
    return rt.Rois.from_pixels(made.pixels, frame=recording, weights=made.weights)


def build_graph(recording: xr.DataArray, rois: rt.Rois, what: str = "four and projections") -> dict[Any, Any]:
    """Build a call's graph and optimise it, with a budget that does not shorten slabs where there are many ROIs."""
    lazy = build(recording, rois, what, 2, "4 GiB")
    return dict(dask.optimize(lazy)[0].__dask_graph__())


def travelling_bytes(recording: xr.DataArray, rois: rt.Rois, what: str) -> int:
    """Return the bytes of a graph, pickled task by task, so that what two tasks carry counts twice."""
    return sum(len(pickle.dumps(task)) for task in build_graph(recording, rois, what).values())


@dataclass(frozen=True)
class _Promised(BlockSource):
    """A recording that is metadata and nothing else."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    chunks: tuple[int, int, int]

    def identity(self) -> str:
        return f"promised {self.shape}"

    def open(self) -> AbstractContextManager[BlockReader]:
        raise AssertionError("a graph was built by reading samples")
