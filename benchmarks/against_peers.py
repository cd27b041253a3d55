"""Rows that are compared with other ways of doing the same."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measure import Contender, Row, alternate, ratio
from benchmarks.ours import extract_store, rois_on
from benchmarks.peers import Suite2p, dask_means, numpy_four, peer_python, xarray_means

if TYPE_CHECKING:
    from benchmarks.bench import Bench

__all__ = ["dask_product", "numpy_memmap", "suite2p", "xarray_where"]


def suite2p(bench: Bench) -> list[Row]:
    """suite2p's extraction from its own binary, without neuropil."""
    workload = bench.scale.a
    what = "suite2p extract_traces / our mean"
    python = peer_python(bench.files.folder, "suite2p")
    if python is None:
        return [
            Row(
                "suite2p", what, math.nan, least=4.0, aim=6.0, notes=("not set up: bash benchmarks/peers.sh",)
            )
        ]
    store, expected = bench.files.store(workload), bench.files.expected(workload)
    ours = partial(extract_store, store, rois_on(workload, store), "mean", bench.threads)
    binary = bench.files.suite2p_binary(workload)
    peer = Suite2p(python, binary, workload.shape, workload.roi_pixels, bench.threads, bench.scratch)
    try:
        timings = alternate(
            [
                Contender("suite2p", peer.run, lambda _: peer.check(expected.mean)),
                Contender("mean", ours, expected.check),
            ],
            bench.repeats,
        )
    finally:
        peer.close()
    notes = (f"suite2p {peer.version}, its peak {peer.peak_bytes / 1e9:.2f} GB",)
    return [ratio("suite2p", what, timings, "suite2p", "mean", least=4.0, aim=6.0, notes=notes)]


def numpy_memmap(bench: Bench) -> list[Row]:
    """NumPy, one ROI at a time, from a memory-mapped TIFF."""
    workload = bench.scale.a
    store, expected = bench.files.store(workload), bench.files.expected(workload)
    ours = partial(extract_store, store, rois_on(workload, store), "four", bench.threads)
    tiff = bench.files.tiff(workload)
    timings = alternate(
        [
            Contender(
                "NumPy", lambda: numpy_four(tiff, workload.roi_pixels), partial(expected.check, peer=True)
            ),
            Contender("four", ours, expected.check),
        ],
        bench.slow_repeats,
        warm=bench.slow_repeats > 1,
    )
    what = "NumPy one ROI at a time, four statistics / our four"
    return [ratio("numpy", what, timings, "NumPy", "four", least=15.0, aim=28.0)]


def dask_product(bench: Bench) -> list[Row]:
    """Blocks of whole frames times a sparse matrix, and what an expert makes of it: only the pixels of ROIs, picked first."""
    workload = bench.scale.a
    store, expected = bench.files.store(workload), bench.files.expected(workload)
    ours = partial(extract_store, store, rois_on(workload, store), "mean", bench.threads)
    plain, picked = "sparse product", "sparse product of picked pixels"
    contenders = [
        Contender(
            name,
            partial(dask_means, store, workload.roi_pixels, bench.threads, restricted=name == picked),
            partial(expected.check, peer=True),
        )
        for name in (plain, picked)
    ]
    timings = alternate([*contenders, Contender("mean", ours, expected.check)], bench.repeats)
    return [
        ratio(
            "dask", f"dask map_blocks with a {name} / our mean", timings, name, "mean", least=least, aim=aim
        )
        for name, least, aim in ((plain, 6.0, 10.0), (picked, None, None))
    ]


def xarray_where(bench: Bench) -> list[Row]:
    """What the tutorials of xarray do, for few ROIs."""
    workload = bench.scale.a
    store, expected = bench.files.store(workload), bench.files.expected(workload)
    count = bench.scale.xarray_rois
    few = workload.roi_pixels.first(count)
    ours = partial(extract_store, store, rois_on(workload, store), "mean", bench.threads)
    # xarray turns uint16 into float32 here, and sums in it
    near = partial(expected.check, rois=slice(0, count), relative=1e-4, peer=True)
    timings = alternate(
        [
            Contender("xarray", lambda: xarray_means(store, few, bench.threads), near),
            Contender("mean", ours, expected.check),
        ],
        bench.slow_repeats,
        warm=bench.slow_repeats > 1,
    )
    what = f"xarray where(mask).mean for {count} ROIs / our mean for {workload.n_rois}"
    return [ratio("xarray", what, timings, "xarray", "mean", least=30.0, aim=100.0)]
