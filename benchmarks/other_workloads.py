"""Workloads B to G, per decoded sample beside A's."""

from __future__ import annotations

import statistics
from functools import partial
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

import roitrace as rt
from benchmarks.bare import BareStore, bare_decode
from benchmarks.measure import BARE, Contender, Row, alternate, ratio, summary
from benchmarks.ours import extract, extract_store, rois_on

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.bench import Bench
    from benchmarks.workloads import Workload

__all__ = ["float_with_nan", "many_rois", "mesoscope", "one_channel", "signed", "sliced", "transformed"]

A_FOUR = "A, four"
GAIN = 1.5


def mesoscope(bench: Bench) -> list[Row]:
    """B: 2048 x 2048 pixels, 5,000 ROIs."""
    return _beside_a(bench, "B", bench.scale.b, "mesoscope")


def float_with_nan(bench: Bench) -> list[Row]:
    """D: float32 with NaN."""
    return _beside_a(bench, "D", bench.scale.d, "float32 with NaN")


def signed(bench: Bench) -> list[Row]:
    """E: int16."""
    return _beside_a(bench, "E", bench.scale.e, "int16")


def many_rois(bench: Bench) -> list[Row]:
    """F: 10,000 ROIs on the frame of B."""
    return _beside_a(bench, "F", bench.scale.f, f"{bench.scale.f.n_rois} ROIs")


def transformed(bench: Bench) -> list[Row]:
    """G: ``(recording - dark) * gain``, without what the transformation itself costs."""
    workload = bench.scale.a
    store = bench.files.store(workload)
    rois = rois_on(workload, store)
    dark = _dark(workload)

    def transform(block: NDArray[Any]) -> NDArray[Any]:
        return np.asarray((block - dark) * np.float32(GAIN))

    expected = bench.files.expected(workload, name="transformed", transform=transform)

    def recording() -> xr.DataArray:
        raw = rt.open_recording(store)
        image = xr.DataArray(dark, dims=("y", "x"), coords={"y": raw["y"], "x": raw["x"]})
        return (raw - image) * np.float32(GAIN)

    names = ("G, four", "blocks of G", "blocks of A")
    timings = alternate(
        [
            _a(bench),
            Contender(names[0], lambda: extract(recording(), rois, "four", bench.threads), expected.check),
            Contender(names[1], lambda: _compute_and_drop(recording(), bench.threads)),
            Contender(names[2], lambda: _compute_and_drop(rt.open_recording(store), bench.threads)),
        ],
        bench.repeats,
    )
    own = timings.median(names[1]) - timings.median(names[2])
    singles = [
        (four - (with_it - without)) / a
        for a, four, with_it, without in zip(
            *(timings.seconds[name] for name in (A_FOUR, *names)), strict=True
        )
    ]
    value = (timings.median(names[0]) - own) / timings.median(A_FOUR)
    notes = (f"the transformation itself: {own:.2f} s", f"median of rounds {statistics.median(singles):.2f}")
    what = "G: (recording - dark) * gain, less the transformation / A, per decoded sample"
    return [
        Row("G", what, value, (min(singles), max(singles)), most=2.0, timings=summary(timings), notes=notes)
    ]


def sliced(bench: Bench) -> list[Row]:
    """G: a slice in time and space of a recording in hand, off the chunks' borders."""
    workload = bench.scale.a
    store, expected = bench.files.store(workload), bench.files.expected(workload)
    frames, height, width = workload.shape
    time, y, x = (
        slice(frames // 40, frames - frames // 42),
        slice(height // 14, height - height // 16),
        slice(width // 25, width - 12),
    )
    inside = workload.roi_pixels.inside(y, x)
    rois = rois_on(workload, store)[inside.tolist()]
    pixels = [workload.roi_pixels.pixels[number] for number in inside]

    def call() -> xr.Dataset:
        return extract(rt.open_recording(store).isel(time=time, y=y, x=x), rois, "four", bench.threads)

    bare = BareStore.of(store)
    per = bare.decoded_samples(pixels, time) / bare.decoded_samples(workload.roi_pixels.pixels)
    check = partial(expected.check, rois=inside, time=time)
    timings = alternate([_a(bench), Contender("G, four", call, check)], bench.repeats)
    return [ratio("G", "G: a slice / A, per decoded sample", timings, "G, four", A_FOUR, per=per, most=2.0)]


def one_channel(bench: Bench) -> list[Row]:
    """G: one channel of two."""
    workload = bench.scale.two_channels
    store, expected = bench.files.store(workload), bench.files.expected(workload, 1)
    rois = rois_on(workload, store)

    def call() -> xr.Dataset:
        return extract(rt.open_recording(store).isel(channel=1), rois, "four", bench.threads)

    timings = alternate([_a(bench), Contender("G, four", call, expected.check)], bench.repeats)
    per = _samples(bench, workload) / _samples(bench, bench.scale.a)
    return [
        ratio(
            "G",
            "G: one channel of two / A, per decoded sample",
            timings,
            "G, four",
            A_FOUR,
            per=per,
            most=2.0,
        )
    ]


def _beside_a(bench: Bench, key: str, workload: Workload, title: str) -> list[Row]:
    store, expected = bench.files.store(workload), bench.files.expected(workload)
    rois = rois_on(workload, store)
    four = f"{key}, four"
    timings = alternate(
        [
            _a(bench),
            Contender(four, partial(extract_store, store, rois, "four", bench.threads), expected.check),
            Contender(BARE, partial(bare_decode, BareStore.of(store), bench.threads)),
        ],
        bench.repeats,
    )
    per = _samples(bench, workload) / _samples(bench, bench.scale.a)
    notes = (f"{timings.median(four) / timings.median(BARE):.2f} of its own bare decode",)
    return [
        ratio(
            key,
            f"{key}: {title} / A, per decoded sample",
            timings,
            four,
            A_FOUR,
            per=per,
            most=2.0,
            notes=notes,
        )
    ]


def _a(bench: Bench) -> Contender:
    store, expected = bench.files.store(bench.scale.a), bench.files.expected(bench.scale.a)
    rois = rois_on(bench.scale.a, store)
    return Contender(A_FOUR, partial(extract_store, store, rois, "four", bench.threads), expected.check)


def _samples(bench: Bench, workload: Workload) -> int:
    return BareStore.of(bench.files.store(workload)).decoded_samples(workload.roi_pixels.pixels)


def _dark(workload: Workload) -> NDArray[np.float32]:
    """A dark image with a gradient, exact in float32."""
    rows = np.arange(workload.height, dtype=np.float32)[:, None]
    return np.asarray(20 + rows / 64 + np.zeros((1, workload.width), np.float32))


def _compute_and_drop(recording: xr.DataArray, threads: int) -> None:
    """Compute every block and keep one sample of it."""
    blocks = recording.data
    corners = da.map_blocks(
        # a view would keep the whole block
        lambda block: block[:1, :1, :1].copy(),
        blocks,
        dtype=blocks.dtype,
        chunks=tuple((1,) * n for n in blocks.numblocks),
    )
    with dask.config.set(scheduler="threads", num_workers=threads):
        corners.compute()
