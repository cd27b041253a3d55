"""The promises of the graph: the same bits however it is cut and run, lazy, each needed chunk read once."""

from __future__ import annotations

import pickle
import threading
import weakref
from collections import Counter
from time import sleep

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace import stat
from roitrace.conversion import convert
from roitrace.engine import slab
from roitrace.engine.blocks import as_dask, source_of
from roitrace.engine.moments import Moments
from roitrace.engine.places import available_workers
from roitrace.engine.plan import LEAF_FRAMES
from roitrace.errors import BudgetError
from roitrace.extraction import extract, pixel_traces
from roitrace.projection import project
from roitrace.recording import open_recording
from roitrace.rois import Rois
from roitrace.sources import Window
from tests.block_sources import ArraySource, GeneratedSource, counted_reads
from tests.strategies import FLOAT_DTYPES, chunkings, roi_sets, samples, shapes, sources
from tests.trace_strategies import nothing_computed

STATISTICS = (
    "mean",
    "sum",
    "min",
    "max",
    "std",
    "median",
    "trimmed_mean",
    "winsorized_mean",
    stat.percentile(80),
)
PROJECTIONS = ("mean", "sum", "min", "max", "std", "var")


def labelled(data) -> xr.DataArray:
    return xr.DataArray(data, dims=("time", "y", "x"))


def everything(recording, rois, *, scheduler="sync", **options) -> xr.Dataset:
    """All statistics and projections of one call, computed."""
    statistics = [*STATISTICS, *(["weighted_mean"] if rois.weights is not None else [])]
    lazy = extract(recording, rois, statistics, projections=PROJECTIONS, **options)
    return lazy.compute(scheduler=scheduler)


def assert_same_bits(one: xr.Dataset, other: xr.Dataset) -> None:
    assert set(one.variables) == set(other.variables)
    for name in one.variables:
        a, b = one[name].values, other[name].values
        assert a.dtype == b.dtype, name
        if a.dtype.kind == "f":
            # Comparing bytes tells -0.0 and 0.0 apart too; NaN are NaN whatever their payload.
            np.testing.assert_array_equal(np.isnan(a), np.isnan(b), err_msg=str(name))
            a, b = (np.where(np.isnan(each), 0, each).view(np.uint64) for each in (a, b))
        np.testing.assert_array_equal(a, b, err_msg=str(name))


# -- the same bits ------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.data(), shapes(max_frames=60))
def test_the_same_bits_for_every_chunking(data, shape):
    values = data.draw(samples(shape))
    rois = data.draw(roi_sets(shape[1:]))
    options = {
        "skipna": data.draw(st.booleans()),
        "min_coverage": data.draw(st.sampled_from([0.0, 0.5, 0.9])),
    }
    whole = everything(labelled(da.from_array(values, chunks=-1)), rois, **options)
    irregular = da.from_array(values, chunks=data.draw(chunkings(shape)))
    assert_same_bits(everything(labelled(irregular), rois, **options), whole)
    assert_same_bits(everything(labelled(values), rois, **options), whole)
    source = as_dask(data.draw(sources(values)))
    assert source_of(source) is not None
    assert_same_bits(everything(labelled(source), rois, workers=3, **options), whole)


@settings(max_examples=25, deadline=None)
@given(
    st.data(),
    st.integers(LEAF_FRAMES - 1, 4 * LEAF_FRAMES + 50),
    st.sampled_from([1, 16, 37, 48, 100, 256, 257, 300, 512]),
    st.integers(0, 60),
)
def test_float_sums_over_time_have_the_same_bits_off_the_leaves_too(data, frames, chunk, start):
    values = data.draw(samples((frames, 2, 3), dtypes=FLOAT_DTYPES))
    whole = project(labelled(da.from_array(values, chunks=-1)), PROJECTIONS).compute(scheduler="sync")
    irregular = da.from_array(values, chunks=data.draw(chunkings((frames, 2, 3))))
    before = np.full((start, 2, 3), 7, values.dtype)
    around = ArraySource(np.concatenate([before, values]), (chunk, 2, 2))
    native = as_dask(Window(around, (start, 0, 0), values.shape) if start else around)
    for recording in (irregular, native):
        result = project(labelled(recording), PROJECTIONS, workers=3).compute(scheduler="sync")
        assert_same_bits(result, whole)


@pytest.mark.parametrize(("chunk", "start"), [(100, 0), (37, 0), (64, 5)])
def test_chained_slabs_go_on_from_the_slab_before(chunk, start):
    # These grids never meet the leaves, or not soon: one lane of several slabs.
    values = np.random.default_rng(chunk).normal(1e4, 30, (1500 + start, 2, 2))
    around = ArraySource(values, (chunk, 2, 2))
    recording = as_dask(Window(around, (start, 0, 0), (1500, 2, 2)))
    lazy = project(labelled(recording), PROJECTIONS, workers=2)
    slabs = [key for key in lazy.__dask_graph__() if isinstance(key, tuple) and str(key[0]).endswith("-sums")]
    assert len(slabs) > 3
    whole = project(labelled(da.from_array(values[start:], chunks=-1)), PROJECTIONS)
    assert_same_bits(lazy.compute(scheduler="sync"), whole.compute(scheduler="sync"))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_the_same_bits_from_stores_and_windows(tmp_path, dtype):
    values, rois = a_job(dtype)
    whole = everything(labelled(values), rois)
    stores = [
        convert(labelled(values), tmp_path / f"{chunk}.zarr", chunks=chunk) for chunk in (None, (37, 4, 3))
    ]
    theirs = zarr.create_array(
        tmp_path / "theirs", shape=values.shape, chunks=(50, 9, 2), dtype=dtype, fill_value=7
    )
    theirs[:] = values
    for recording in (*stores, open_recording(tmp_path / "theirs")):
        assert source_of(recording.data) is not None
        result = everything(recording, rois, workers=3)
        assert_same_bits(result.drop_vars(["time", "y", "x"]), whole)
    part = open_recording(tmp_path / "None.zarr", time=slice(11, 590), y=slice(1, 9), x=slice(2, None))
    inside = Rois.from_masks(rois.with_weights(None).to_masks().values[:, 1:9, 2:])
    expected = everything(labelled(values[11:590, 1:9, 2:]), inside)
    assert_same_bits(everything(part, inside, workers=3).drop_vars(["time", "y", "x"]), expected)


def a_job(dtype):
    rng = np.random.default_rng(8)
    values = rng.integers(0, 4000, (600, 9, 10)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        values[rng.random(values.shape) < 0.02] = np.nan
        values[3:7, 2:5] = np.inf
    pixels = [rng.permutation(90)[:n] for n in (1, 7, 30, 90, 0)]
    pixels = [np.stack(np.divmod(row, 10), axis=1) for row in pixels]
    rois = Rois.from_pixels(pixels, shape=(9, 10), weights=[rng.random(len(row)) for row in pixels])
    return values, rois


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("path", ["direct", "foreign"])
def test_the_same_bits_on_threads(dtype, path):
    values, rois = a_job(dtype)
    recording = (
        labelled(as_dask(ArraySource(values, (50, 4, 3))))
        if path == "direct"
        else labelled(da.from_array(values, chunks=(70, 4, 10)))
    )
    whole = everything(labelled(values), rois)
    for workers in (1, 4):
        with dask.config.set(num_workers=workers):
            assert_same_bits(everything(recording, rois, scheduler="threads", workers=workers), whole)


def test_the_same_bits_in_processes():
    values, rois = a_job("float64")
    with dask.config.set(num_workers=1):
        direct = labelled(as_dask(ArraySource(values, (50, 4, 3))))
        result = everything(direct, rois, scheduler="processes", workers=2)
    assert_same_bits(result, everything(labelled(values), rois))


@pytest.mark.parametrize("path", ["direct", "foreign"])
def test_the_same_bits_on_a_cluster(cluster, path):
    values, rois = a_job("float32")
    recording = (
        labelled(as_dask(ArraySource(values, (50, 4, 3))))
        if path == "direct"
        else labelled(da.from_array(values, chunks=(70, 4, 10)))
    )
    with cluster.as_current():
        result = everything(recording, rois, scheduler=cluster)
    assert_same_bits(result, everything(labelled(values), rois))


# -- lazy ---------------------------------------------------------------------------------------------------------


def test_asking_reads_nothing():
    values, rois = a_job("uint16")
    with counted_reads("lazy") as reads, nothing_computed():
        recording = labelled(as_dask(ArraySource(values, (50, 4, 3), "lazy")))
        traces = extract(recording, rois, STATISTICS, projections=PROJECTIONS)
        images = project(recording, PROJECTIONS)
        pixels = pixel_traces(recording, rois)
        extract(recording + 1, rois, "mean", projections="max")
        assert all(one.chunks is not None for one in (traces["mean"], images["mean"], pixels))
        assert not reads
        with pytest.raises(AssertionError, match="a graph was computed"):
            traces.compute()
    with counted_reads("lazy") as reads:
        traces["mean"].compute(scheduler="sync")
        assert reads


def many_rois(count, frame, size=7):
    """Square ROIs side by side."""
    per_row = frame // (size + 1)
    labels = np.zeros((frame, frame), np.int32)
    for number in range(count):
        row, column = divmod(number, per_row)
        labels[
            row * (size + 1) : row * (size + 1) + size, column * (size + 1) : column * (size + 1) + size
        ] = number + 1
    return Rois.from_labels(labels)


@pytest.mark.parametrize("path", ["direct", "foreign"])
def test_the_graph_grows_with_time_and_not_with_rois(path):
    def size(frames, count):
        source = GeneratedSource((frames, 64, 64), (64, 32, 32), np.dtype("uint16"))
        array = as_dask(source)
        recording = labelled(array if path == "direct" else array.rechunk((64, 64, 64)) + 1)
        lazy = extract(recording, many_rois(count, 64), ("mean", "median"), projections="mean")
        return len(lazy.__dask_graph__())

    assert size(4096, 1) == size(4096, 60)
    assert size(65536, 5) <= 17 * size(4096, 5)


@pytest.mark.parametrize("path", ["direct", "foreign"])
@pytest.mark.parametrize("weighted", [False, True])
def test_tables_of_rois_travel_once(path, weighted):
    rois = many_rois(5000, 2048)
    assert len(rois) == 5000
    weights = np.linspace(1, 2, rois.pixels.size)
    source = GeneratedSource((20_000, 2048, 2048), (256, 64, 64), np.dtype("uint16"))
    array = as_dask(source)
    if path == "foreign":
        array = da.zeros((20_000, 2048, 2048), chunks=(256, 2048, 2048), dtype="uint16")
    statistics = ("mean", stat.weighted_mean(weights=weights)) if weighted else ("mean", "median")
    lazy = extract(labelled(array), rois, statistics, budget="64 GiB")
    graph = dict(lazy.__dask_graph__())
    # A cluster pickles task by task, so what tasks share must be a key of its own.
    sizes = sorted((len(cloudpickle.dumps(task)) for task in graph.values()), reverse=True)
    assert len(pickle.dumps(graph)) < 5e6
    assert sum(sizes) < 5e6
    assert sizes[2] < 20_000


# -- each needed chunk once ---------------------------------------------------------------------------------------


def chunks_of(source, rois):
    """Chunks ``(time, y, x)`` of a source that hold pixels of ROIs."""
    whole, start = (source.source, source.start) if isinstance(source, Window) else (source, (0, 0, 0))
    time, y, x = whole.chunks
    frames = range(start[0] // time, (start[0] + source.shape[0] - 1) // time + 1)
    y_index, x_index = np.divmod(rois.pixels, source.shape[2])
    tiles = set(zip(((y_index + start[1]) // y).tolist(), ((x_index + start[2]) // x).tolist(), strict=True))
    return {(t, *tile) for t in frames for tile in tiles}


@settings(max_examples=30, deadline=None)
@given(st.data(), shapes(max_frames=50))
def test_chunks_without_roi_pixels_are_never_read_and_the_others_once(data, shape):
    values = data.draw(samples(shape, dtypes=("uint8", "uint16", "float32")))
    rois = data.draw(roi_sets(shape[1:]))
    with counted_reads("traces") as reads:
        source = data.draw(sources(values, "traces"))
        extract(labelled(as_dask(source)), rois, STATISTICS, workers=3).compute(scheduler="sync")
        assert set(reads) == chunks_of(source, rois)
        assert set(reads.values()) <= {1}


@settings(max_examples=30, deadline=None)
@given(st.data(), shapes(max_frames=50))
def test_with_projections_every_chunk_is_read_once_for_all(data, shape):
    values = data.draw(samples(shape, dtypes=("uint8", "uint16", "float32")))
    rois = data.draw(roi_sets(shape[1:]))
    with counted_reads("both") as reads:
        source = data.draw(sources(values, "both"))
        everything(labelled(as_dask(source)), rois, workers=3)
        everywhere = Rois.from_mask(np.ones(shape[1:], bool))
        assert set(reads) == chunks_of(source, everywhere)
        assert set(reads.values()) == {1}


def test_blocks_of_a_foreign_array_without_roi_pixels_are_never_computed():
    computed = Counter()

    def block(block_info=None):
        place = block_info[None]
        computed[place["chunk-location"]] += 1
        return np.ones(place["chunk-shape"], "uint16")

    array = da.map_blocks(
        block, chunks=((10, 5, 7), (4, 4), (3, 3, 3)), dtype="uint16", meta=np.zeros((0, 0, 0), "uint16")
    )
    rois = Rois.from_pixels([[[0, 0], [0, 1]], [[1, 1], [7, 8]]], shape=(8, 9))
    extract(labelled(array), rois, STATISTICS).compute(scheduler="sync")
    assert computed == {(t, y, x): 1 for t in range(3) for y, x in ((0, 0), (1, 2))}
    computed.clear()
    everything(labelled(array), rois)
    assert set(computed.values()) == {1}
    assert len(computed) == 18


# -- memory that is allowed ---------------------------------------------------------------------------------------


def test_a_job_that_cannot_fit_is_refused_when_it_is_asked_for():
    source = GeneratedSource((1000, 2048, 2048), (1000, 2048, 2048), np.dtype("uint16"))
    rois = many_rois(3, 2048)
    with counted_reads("budget"), nothing_computed():
        with pytest.raises(
            BudgetError, match=r"one task needs 2.*mostly decoded chunks, 23\.4 GiB.*the budget is 1\.0 GiB"
        ):
            extract(labelled(as_dask(source)), rois, "mean", budget="1 GiB")
        with pytest.raises(BudgetError, match="convert the recording to smaller chunks"):
            project(labelled(as_dask(source)), "mean", budget="2 GiB")
        extract(labelled(as_dask(source)), rois, "mean", budget="64 GiB")
        with pytest.raises(BudgetError, match=r"one task .* the budget is 400\.0 MiB"):
            extract(labelled(as_dask(source) + 1), rois, "mean", budget="400 MiB")


class WatchedSource(GeneratedSource):
    """Notes how many readers are inside at once."""

    lock = threading.Lock()
    running = most = 0

    def fill(self, block, time, y):
        with self.lock:
            WatchedSource.running += 1
            WatchedSource.most = max(self.most, self.running)
        sleep(0.002)  # long enough for another thread to come in
        super().fill(block, time, y)
        with self.lock:
            WatchedSource.running -= 1


@pytest.mark.parametrize(("workers", "projections"), [(1, ()), (1, ("mean",)), (2, ("mean",)), (2, ())])
def test_no_more_slabs_run_at_once_than_workers_were_asked_for(workers, projections):
    WatchedSource.most = 0
    recording = labelled(as_dask(WatchedSource((4000, 64, 64), (20, 64, 64), np.dtype("uint16"))))
    with dask.config.set(num_workers=4):
        lazy = extract(recording, many_rois(3, 64), "mean", projections=projections, workers=workers)
        # The plan knows of the processors of this machine, not of threads beyond them.
        if workers < available_workers() or projections:
            lazy.compute(scheduler="threads")
            assert 1 <= WatchedSource.most <= workers


def test_a_tight_budget_is_kept_whatever_the_number_of_threads():
    WatchedSource.most = 0
    recording = labelled(as_dask(WatchedSource((2000, 256, 256), (100, 256, 256), np.dtype("uint16"))))
    lazy = extract(recording, many_rois(3, 256), "mean", budget="370 MiB", workers=4)
    with dask.config.set(num_workers=4):
        lazy.compute(scheduler="threads")
    assert WatchedSource.most == 1


def test_sums_over_time_of_finished_slabs_do_not_pile_up(monkeypatch):
    # Traces that nobody has fetched yet must not keep the images of their slab alive.
    alive, most = 0, 0

    def gone():
        nonlocal alive
        alive -= 1

    def watched(make):
        def made(*args, **options):
            nonlocal alive, most
            moments = make(*args, **options)
            alive += 1
            most = max(most, alive)
            weakref.finalize(moments, gone)
            return moments

        return made

    monkeypatch.setattr(slab, "new_moments", watched(slab.new_moments))
    monkeypatch.setattr(Moments, "copy", watched(Moments.copy))
    recording = labelled(as_dask(GeneratedSource((16_000, 128, 128), (50, 64, 64), np.dtype("uint16"))))
    lazy = extract(recording, many_rois(3, 128), ("mean", "max"), projections=("mean", "std"), workers=2)
    n_slabs = sum(isinstance(key, tuple) and str(key[0]).endswith("-sums") for key in lazy.__dask_graph__())
    with dask.config.set(num_workers=2):
        lazy.compute(scheduler="threads")
    assert n_slabs >= 8
    assert most <= 6  # per lane the one before, the copy of it, and the empty one that the copy replaces


def test_blocks_without_frames_are_passed_over():
    values = np.random.default_rng(6).integers(0, 900, (8, 6, 6)).astype(np.uint16)
    rois = Rois.from_pixels([[(1, 1), (4, 4)], [(2, 3)]], shape=(6, 6))
    expected = everything(labelled(values), rois)
    for chunks in (((4, 0, 4), (3, 3), (6,)), ((0, 8), (6,), (6,))):
        assert_same_bits(everything(labelled(da.from_array(values, chunks=chunks)), rois), expected)


def test_who_keeps_one_trace_keeps_no_other():
    source = ArraySource(np.ones((40, 6, 6), np.uint16), (10, 3, 3))
    rois = Rois.from_pixels([[(5, 5)], [(0, 0)], [(2, 2), (3, 3)]], shape=(6, 6))
    lazy = extract(labelled(as_dask(source)), rois, STATISTICS, workers=1)
    for one in lazy.data_vars.values():
        if one.dims == ("roi", "time"):
            block = one.data.blocks[0, 0].compute(scheduler="sync")
            assert block.base is None or block.base.nbytes == block.nbytes
