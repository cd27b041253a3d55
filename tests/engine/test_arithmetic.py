"""Arithmetic on a recording gives what NumPy gives in memory, bit for bit, whether it is done chunk by chunk or by dask."""

from __future__ import annotations

import operator
import pickle

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.corrected import computed
from roitrace.engine import arithmetic, blocks
from roitrace.engine.arithmetic import EXACT, direct_source, readable
from roitrace.engine.blocks import as_dask
from roitrace.engine.foreign import DaskSource
from roitrace.extraction import extract
from roitrace.planning import plan
from roitrace.projection import project
from tests.block_sources import ArraySource, counted_reads

DTYPES = ("uint8", "int16", "uint16", "int32", "float32", "float64")
GAIN = np.float32(1.5)


def labelled(values, chunks=(4, 3, 5), log="") -> xr.DataArray:
    return xr.DataArray(as_dask(ArraySource(values, chunks, log)), dims=("time", "y", "x"))


def movie(dtype="uint16", shape=(11, 7, 9)):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 100, shape).astype(dtype)
    if np.issubdtype(dtype, np.floating):
        values[rng.random(shape) < 0.1] = np.nan
    return values


DARK = xr.DataArray(np.linspace(1, 9, 63, dtype=np.float32).reshape(7, 9), dims=("y", "x"))
BLEACHING = xr.DataArray(np.linspace(1, 0.5, 11), dims="time")
EXPRESSIONS = {
    "dark and gain": lambda rec: (rec - DARK) * GAIN,
    "constant first": lambda rec: 1 / (2.1 - rec.astype("float64") * 0.25),
    "over time": lambda rec: rec / BLEACHING,
    "used twice": lambda rec: (rec - DARK) / (rec + DARK),
    "whole numbers": lambda rec: -(rec.astype("float64") - 3),
    "missing where dark": lambda rec: rec.where(rec > 3),
    "an image of conditions": lambda rec: rec.astype("float64").where(DARK > 5, 0),
    "filled": lambda rec: rec.astype("float64").fillna(7),
    "ufuncs": lambda rec: np.sqrt(abs(rec.astype("float64"))),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_samples_are_those_of_numpy(name, dtype):
    values = movie(dtype)
    expected = EXPRESSIONS[name](xr.DataArray(values, dims=("time", "y", "x")))
    lazy = EXPRESSIONS[name](labelled(values))
    source = direct_source(lazy.data)
    assert source is not None
    assert source.dtype == expected.dtype
    with source.open() as reader:
        for region in [(0, 11, 0, 7, 0, 9), (2, 9, 1, 6, 3, 4), (10, 11, 6, 7, 8, 9)]:
            part = tuple(slice(*region[axis : axis + 2]) for axis in (0, 2, 4))
            np.testing.assert_array_equal(reader.read(*part), expected.values[part])


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_traces_and_images_are_those_of_the_computed_movie(data):
    shape = data.draw(st.tuples(*(st.integers(1, 12) for _ in range(3))))
    chunks = tuple(data.draw(st.integers(1, size)) for size in shape)
    values = movie(data.draw(st.sampled_from(DTYPES)), shape)
    name = data.draw(
        st.sampled_from(["constant first", "whole numbers", "missing where dark", "filled", "ufuncs"])
    )
    mask = np.random.default_rng(0).random(shape[1:]) < 0.6
    mask[0, 0] = True
    lazy = EXPRESSIONS[name](labelled(values, chunks))
    other = labelled(EXPRESSIONS[name](xr.DataArray(values, dims=("time", "y", "x"))).values, (5, 2, 4))
    assert direct_source(lazy.data) is not None
    ask = {"statistics": ("mean", "median", "std"), "projections": ("mean", "std", "max")}
    found, expected = (extract(one, mask, **ask).compute(scheduler="sync") for one in (lazy, other))
    assert found.attrs.keys() == expected.attrs.keys()
    for variable in expected.data_vars:
        np.testing.assert_array_equal(found[variable].values, expected[variable].values)


@pytest.mark.parametrize(
    "function", sorted(EXACT, key=lambda one: (one.__module__, one.__name__)), ids=lambda one: one.__name__
)
@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64"])
def test_results_do_not_depend_on_the_samples_beside(function, dtype):
    special = [0.0, -0.0, 1.0, 3.0, 65535.0] + (
        [np.nan, np.inf, -np.inf, 1e-40, -1.1] if dtype[0] == "f" else []
    )
    with np.errstate(all="ignore"):
        values = np.random.default_rng(2).choice(special, (3, 101)).astype(dtype)
        if function in {operator.and_, operator.or_, operator.xor, operator.invert}:
            values = values > 1
        count = {np.where: 3, operator.neg: 1, operator.abs: 1, operator.invert: 1}.get(function) or getattr(
            function, "nin", 2
        )
        conditions = [values[0] > 1] if function is np.where else []
        arguments = [*conditions, *values][:count]
        together = function(*arguments)
        for length in (1, 2, 7, 33):
            for start in (0, 1, 5, 60):
                part = slice(start, start + length)
                alone = function(*(one[part].copy() for one in arguments))
                assert alone.tobytes() == together[part].tobytes()


class Unhashable:
    """A function of blocks that is no key of a dictionary."""

    __hash__ = None

    def __call__(self, block):
        return block * 2.0


LEFT_TO_DASK = {
    "a function of blocks": lambda rec: rec.map_blocks(lambda block: block + block.mean(), dtype="float64"),
    "not rounded correctly": np.exp,
    "numbers that may not fit": lambda rec: rec.astype("float64").astype("int16"),
    "a mean of the movie": lambda rec: rec - rec.mean(axis=0),
    "an image that is not there yet": lambda rec: (
        rec - da.from_delayed(dask.delayed(np.ones)((7, 9)), (7, 9), float)
    ),
    "two recordings": lambda rec: rec + labelled(movie() + 1).data,
    "turned over": lambda rec: rec[:, ::-1] * 2,
    "in other blocks": lambda rec: rec.rechunk((2, 7, 9)) * 2,
    "grown": lambda rec: rec[:, :1, :1] * np.ones((7, 9)),
    "in memory": lambda _: da.from_array(movie(), chunks=4) * 2,
    "with conditions": lambda rec: np.add(rec, 1, where=np.ones((7, 9), bool)),
    "nothing done": lambda rec: rec[:],
    "fewer bytes than are read": lambda rec: rec > 3,
    "a window for each block": lambda rec: rec.rechunk(rec.chunks).map_blocks(
        np.multiply, np.arange(11.0)[:, None, None]
    ),
    "an image that dask hides": lambda rec: rec.map_blocks(np.subtract, np.ones((7, 9)), dtype=float),
    "a function without a hash": lambda rec: rec.map_blocks(Unhashable(), dtype=float),
    "masked": lambda rec: rec * np.ma.masked_less(np.ones((7, 9)), 0),
}


@pytest.mark.parametrize("change", LEFT_TO_DASK)
def test_everything_else_is_left_to_dask(change):
    array = LEFT_TO_DASK[change](labelled(movie()).data)
    if change == "nothing done":
        assert isinstance(direct_source(array), ArraySource)
        return
    assert direct_source(array) is None
    assert isinstance(readable(array), DaskSource)


@pytest.mark.parametrize("chunks", [(4, 7, 9), (4, 3, 5)])
def test_what_a_function_of_blocks_is_given_is_not_spread_over_the_recording(monkeypatch, chunks):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    values = movie(shape=(12, 7, 9))
    rec = labelled(values, chunks).data
    window = np.arange(1.0, 5.0)[:, None, None]
    lazy = rec.map_blocks(np.multiply, window, dtype=float)
    assert direct_source(lazy) is None
    whole = da.from_array(np.arange(12.0)[:, None, None], chunks=-1)
    assert (
        direct_source(
            da.blockwise(np.multiply, "tyx", rec, "tyx", whole, "tyx", align_arrays=False, dtype=float)
        )
        is None
    )
    aligned = direct_source(rec * whole)
    assert aligned is not None
    np.testing.assert_array_equal(
        aligned.read(slice(3, 9), slice(0, 7), slice(0, 9)), (values * np.arange(12.0)[:, None, None])[3:9]
    )


def test_large_frames_are_computed_in_rows(monkeypatch):
    monkeypatch.setattr(computed, "STRIP_SAMPLES", 20)
    values = movie()
    source = direct_source(((labelled(values) - DARK) / BLEACHING).data)
    expected = ((xr.DataArray(values, dims=("time", "y", "x")) - DARK) / BLEACHING).values
    np.testing.assert_array_equal(source.read(slice(1, 9), slice(1, 7), slice(2, 9)), expected[1:9, 1:7, 2:9])


def test_large_arrays_are_not_put_together_to_see_that_they_are(monkeypatch):
    def refuse(*_):
        raise AssertionError("joined")

    monkeypatch.setattr(arithmetic, "CONSTANT_BYTES", 100)
    monkeypatch.setattr(arithmetic, "_joined", refuse)
    assert direct_source(da.from_array(movie(), chunks=4) * 2) is None


def test_large_images_are_left_to_dask(monkeypatch):
    lazy = (labelled(movie()) - DARK).data
    assert direct_source(lazy) is not None
    monkeypatch.setattr(arithmetic, "CONSTANT_BYTES", DARK.nbytes - 1)
    assert direct_source(lazy) is None


def test_nothing_is_read_before_it_is_asked_for_and_each_chunk_once():
    def refuse(*_, **__):
        raise AssertionError("computed")

    values = movie()
    with counted_reads("arithmetic") as reads:
        with dask.config.set(scheduler=refuse):
            lazy = (labelled(values, log="arithmetic") - DARK) * GAIN
            traces = extract(lazy, np.ones((7, 9), bool), "median", projections=("mean", "std"))
        assert not reads
        traces = traces.compute(scheduler="sync")
    assert set(reads.values()) == {1}
    computed = (xr.DataArray(values, dims=("time", "y", "x")) - DARK) * GAIN
    np.testing.assert_array_equal(traces["median"].values[0], np.median(computed.values, axis=(1, 2)))


def test_a_plan_speaks_of_the_chunks_of_the_storage():
    mask = np.zeros((7, 9), bool)
    mask[0, 0] = True
    lazy = (labelled(movie()) - DARK) * GAIN
    assert plan(lazy, rois=mask, statistics="mean").outlook.reads[0].chunks_skipped == 15
    assert plan(np.exp(lazy), rois=mask, statistics="mean").outlook.reads[0].chunks_skipped == 0


def test_medians_over_time_and_frames_are_those_of_numpy():
    values = movie()
    lazy = (labelled(values) - DARK) * GAIN
    computed = ((xr.DataArray(values, dims=("time", "y", "x")) - DARK) * GAIN).values
    np.testing.assert_array_equal(project(lazy, "median").compute()["median"], np.median(computed, axis=0))


def test_workers_elsewhere_give_the_same(cluster):
    lazy = extract((labelled(movie()) - DARK) * GAIN, np.ones((7, 9), bool), "mean")
    expected = lazy.compute(scheduler="sync")
    with cluster.as_current():
        xr.testing.assert_identical(lazy.compute(), expected)


def test_identity_tells_what_is_computed():
    values = movie()
    sources = [
        direct_source(one.data)
        for recording in [labelled(values)]
        for one in (
            (recording - DARK) * GAIN,
            (recording - DARK) * np.float32(1.6),
            (recording + DARK) * GAIN,
            (recording - DARK - 1) * GAIN,
            (recording - (DARK + 1)) * GAIN,
            recording.astype("float64") - DARK,
        )
    ]
    assert len({one.identity() for one in sources}) == len(sources)
    again = direct_source(((labelled(values) - DARK) * GAIN).data)
    assert again.identity() == sources[0].identity()
    assert pickle.loads(pickle.dumps(again)).dtype == again.dtype
