"""Rows that are compared with reading, decoding or encoding alone."""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import tifffile

import roitrace as rt
from benchmarks.bare import BareStore, bare_cold_read, bare_encode, drop_cache
from benchmarks.bench import bare_contenders
from benchmarks.measure import BARE, Contender, alternate, ratio
from benchmarks.ours import ASKED, extract_store, rois_on

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from benchmarks.bench import Bench
    from benchmarks.measure import Row, Timings

__all__ = ["cold_cache", "convert", "exact_median", "on_default_store", "on_full_frames", "on_time_last"]

BARS = {
    "default": ((1.8, 1.4), (2.4, 1.8), (2.7, 2.1)),
    "full_frame": ((3.2, 2.4), (3.2, 2.4), (3.2, 2.4)),
    "time_last": ((2.2, 1.25), (2.2, 1.5), (2.2, 1.8)),
}


def on_default_store(bench: Bench) -> list[Row]:
    """Workload A on the default store."""
    return _layout(bench, "default")


def on_full_frames(bench: Bench) -> list[Row]:
    """Workload A on chunks of whole frames."""
    return _layout(bench, "full_frame")


def on_time_last(bench: Bench) -> list[Row]:
    """Workload A with time as the fast axis inside a chunk."""
    return _layout(bench, "time_last")


def _layout(bench: Bench, layout: str) -> list[Row]:
    store = bench.files.store(bench.scale.a, layout)
    expected = bench.files.expected(bench.scale.a)
    rois = rois_on(bench.scale.a, store)
    bare = BareStore.of(store)
    ours = [
        Contender(what, partial(extract_store, store, rois, what, bench.threads), expected.check)
        for what in ASKED
    ]
    timings = alternate([*bare_contenders(bare, bench.threads), *ours], bench.repeats)
    notes = (_speed(bare, timings),)
    return [
        ratio(
            layout,
            f"{what} of {len(rois)} ROIs / bare decode, {layout.replace('_', ' ')} store",
            timings,
            what,
            BARE,
            most=most,
            aim=aim,
            notes=notes,
        )
        for what, (most, aim) in zip(ASKED, BARS[layout], strict=True)
    ]


def exact_median(bench: Bench) -> list[Row]:
    """The exact median image: whole columns of the default store, and counting where frames are stored whole.

    Columns are one pass, which may cost four times bare decode; counting may cost three such passes.
    """
    rows = []
    for layout, budget, method, most in (
        ("default", "1 GiB", "columns", 4.0),
        ("full_frame", "1500 MiB", "counting", 12.0),
    ):
        store = bench.files.store(bench.scale.a, layout)
        asked = partial(_image, store, threads=bench.threads, budget=budget)
        band = rt.open_recording(store, y=slice(0, 8)).values

        def check(image: xr.DataArray, band: NDArray[Any] = band) -> None:
            np.testing.assert_array_equal(image[:8], np.median(band.astype(np.float64), axis=0))

        contenders = [
            *bare_contenders(BareStore.of(store), bench.threads),
            Contender("median image", partial(asked, "median"), check),
        ]
        timings = alternate(contenders, bench.repeats)
        plan = rt.plan(
            rt.open_recording(store), projections=("median",), budget=budget, workers=bench.threads
        )
        reason = next(line.strip() for line in str(plan).splitlines() if line.startswith("  because"))
        what = f"exact median image by {method} / bare decode, {layout.replace('_', ' ')} store"
        rows.append(ratio("median", what, timings, "median image", BARE, most=most, notes=(reason,)))
    return rows


def _image(store: Path, statistic: str, *, threads: int, budget: str) -> xr.DataArray:
    lazy = rt.project(rt.open_recording(store), statistic, budget=budget, workers=threads)
    with dask.config.set(scheduler="threads", num_workers=threads):
        return lazy[statistic].compute()


def cold_cache(bench: Bench) -> list[Row]:
    """Workload A with the page cache emptied before each round."""
    store = bench.files.store(bench.scale.a)
    expected = bench.files.expected(bench.scale.a)
    rois = rois_on(bench.scale.a, store)
    bare = BareStore.of(store)
    forget = partial(drop_cache, bare.files)
    read = "bare cold read"
    contenders = [Contender(read, lambda: bare_cold_read(bare, bench.threads), prepare=forget)]
    contenders += [
        Contender(
            what, partial(extract_store, store, rois, what, bench.threads), expected.check, prepare=forget
        )
        for what in ("mean", "four")
    ]
    timings = alternate(contenders, bench.repeats)
    note = f"{bare.encoded_bytes / timings.median(read) / 1e9:.2f} GB/s from the disk"
    bars = {"mean": (2.0, 1.6), "four": (2.4, 1.9)}
    return [
        ratio(
            "cold",
            f"cold cache, {what} / bare cold read",
            timings,
            what,
            read,
            most=most,
            aim=aim,
            notes=(note,),
        )
        for what, (most, aim) in bars.items()
    ]


def convert(bench: Bench) -> list[Row]:
    """A contiguous TIFF into the default store."""
    tiff = bench.files.tiff(bench.scale.a)
    movie = tifffile.memmap(tiff, mode="r")
    chunk = BareStore.of(bench.files.store(bench.scale.a)).chunk
    target, bare_target = bench.scratch / "converted.zarr", bench.scratch / "bare"

    def check(recording: xr.DataArray) -> None:
        for start in (0, len(movie) // 2, len(movie) - 8):
            if not np.array_equal(recording[start : start + 8].values, movie[start : start + 8]):
                raise AssertionError(f"frames from {start} on differ from the TIFF's")

    encode = "bare encode and fsync"
    timings = alternate(
        [
            Contender(
                encode,
                lambda: bare_encode(movie, bare_target, (chunk[0], chunk[1], chunk[2]), bench.threads),
                prepare=lambda: _clear(target, bare_target),
            ),
            Contender(
                "convert",
                lambda: rt.convert(tiff, target, workers=bench.threads),
                check,
                prepare=lambda: _clear(target, bare_target),
            ),
        ],
        bench.repeats,
    )
    _clear(target, bare_target)
    note = f"{movie.nbytes / timings.median('convert') / 1e9:.2f} GB/s converted"
    what = "convert a contiguous TIFF / bare Blosc encode and the same fsync"
    return [ratio("convert", what, timings, "convert", encode, most=1.6, aim=1.2, notes=(note,))]


def _speed(bare: BareStore, timings: Timings) -> str:
    speed = bare.decoded_bytes / timings.median(BARE) / 1e9
    return f"bare decode {speed:.2f} GB/s, compressed {bare.decoded_bytes / bare.encoded_bytes:.2f}x"


def _clear(*folders: Path) -> None:
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)
