from __future__ import annotations

import pickle

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.engine.blocks import as_dask, concatenate, source_of
from roitrace.sources import Window
from tests.block_sources import ArraySource, GeneratedSource, counted_reads
from tests.strategies import samples, shapes, sources
from tests.trace_strategies import nothing_computed

VALUES = np.random.default_rng(2).integers(0, 999, (12, 5, 7), dtype=np.uint16)


@settings(max_examples=30, deadline=None)
@given(st.data(), shapes())
def test_a_source_becomes_the_array_that_it_holds(data, shape):
    values = data.draw(samples(shape))
    source = data.draw(sources(values))
    array = as_dask(source)
    assert array.dtype == values.dtype
    with dask.config.set(scheduler="sync"):
        np.testing.assert_array_equal(array.compute(), values)
    for sizes, chunk, offset in zip(array.chunks, source.chunks, source.offset, strict=True):
        borders = np.cumsum(sizes)[:-1]
        assert all((border + offset) % chunk == 0 for border in borders)


def test_big_endian_samples_arrive_in_native_order():
    source = ArraySource(VALUES.astype(">u2"), (4, 5, 7))
    assert source.dtype == np.dtype("uint16")
    block = as_dask(source).compute(scheduler="sync")
    assert block.dtype.isnative
    np.testing.assert_array_equal(block, VALUES)


def test_reading_tasks_cover_small_chunks_many_at_a_time():
    source = GeneratedSource((10_000, 512, 512), (1, 512, 512), np.dtype("uint16"))
    array = as_dask(source)
    assert array.chunksize == (32, 512, 512)
    assert len(array.dask.layers[array.name]) == 313


def test_the_name_is_a_digest_of_source_and_state():
    first = as_dask(ArraySource(VALUES, (4, 5, 7)))
    assert as_dask(ArraySource(VALUES.copy(), (4, 5, 7))).name == first.name
    others = [
        as_dask(ArraySource(VALUES + np.uint16(1), (4, 5, 7))),
        as_dask(ArraySource(VALUES, (3, 5, 7))),
        as_dask(ArraySource(VALUES, (4, 5, 7)), "later"),
        as_dask(Window(ArraySource(VALUES, (4, 5, 7)), (0, 0, 0), (11, 5, 7))),
    ]
    assert len({array.name for array in [first, *others]}) == 5


def test_an_array_gives_its_source_back_also_after_a_journey():
    array = as_dask(ArraySource(VALUES, (4, 5, 7)), "stamp")
    for one in (array, pickle.loads(pickle.dumps(array)), cloudpickle.loads(cloudpickle.dumps(array))):
        source = source_of(one)
        assert source is not None
        np.testing.assert_array_equal(source.read(slice(0, 12), slice(0, 5), slice(0, 7)), VALUES)


def assigned(array):
    array = array.copy()
    array[array > 500] = 0
    return array


TRANSFORMED = {
    "plus": lambda a: a + 1,
    "nothing added": lambda a: a + 0,
    "slice": lambda a: a[3:],
    "step": lambda a: a[::2],
    "reversed": lambda a: a[::-1],
    "crop": lambda a: a[:, 1:3, 2:],
    "transposed": lambda a: a.transpose(0, 2, 1),
    "flipped": lambda a: da.flip(a, 1),
    "other dtype": lambda a: a.astype("float32"),
    "mapped": lambda a: a.map_blocks(lambda block: block * 2, dtype=a.dtype),
    "assigned": assigned,
    "clipped": lambda a: a.clip(0, 5),
    "rolled": lambda a: da.roll(a, 1, axis=0),
    "stacked": lambda a: da.stack([a, a])[1],
    "concatenated": lambda a: da.concatenate([a, a])[:12],
    "persisted": lambda a: (a * 3).persist(scheduler="sync"),
    "optimized": lambda a: dask.optimize(a * 3)[0],
    "rechunked": lambda a: a.rechunk((5, 2, 2)),
    "masked": lambda a: da.where(a > 3, a, 0),
    "from numpy": lambda a: da.from_array(VALUES * 2, name=a.name + "-2"),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_a_transformed_array_has_no_source(name):
    assert source_of(TRANSFORMED[name](as_dask(ArraySource(VALUES, (4, 5, 7))))) is None


SAME = {
    "copied": lambda a: a.copy(),
    "same dtype": lambda a: a.astype(a.dtype),
    "whole slice": lambda a: a[:],
    "same chunks": lambda a: a.rechunk(a.chunks),
    "persisted": lambda a: a.persist(scheduler="sync"),
    "optimized": lambda a: dask.optimize(a)[0],
    "in numpy": lambda a: da.from_array(VALUES, name=a.name),
}


@pytest.mark.parametrize("name", SAME)
def test_an_array_that_was_not_changed_has_its_source_or_none(name):
    same = SAME[name](as_dask(ArraySource(VALUES, (4, 5, 7))))
    source = source_of(same)
    np.testing.assert_array_equal(same.compute(scheduler="sync"), VALUES)
    if source is not None:
        np.testing.assert_array_equal(source.read(slice(0, 12), slice(0, 5), slice(0, 7)), VALUES)


def test_a_source_under_another_name_is_not_trusted():
    # As if a graph had been put together by hand: the layer says one thing, the name another.
    raw = as_dask(ArraySource(VALUES, (4, 5, 7)))
    layers = {"roitrace-recording-x": raw.dask.layers[raw.name]}
    layers["roitrace-recording-x-source"] = {
        "roitrace-recording-x-source": raw.dask.layers[f"{raw.name}-source"][f"{raw.name}-source"]
    }
    forged = da.Array(
        dask.highlevelgraph.HighLevelGraph(layers, {name: set() for name in layers}),
        "roitrace-recording-x",
        raw.chunks,
        raw.dtype,
    )
    assert source_of(forged) is None


def test_building_reads_nothing_and_each_block_is_read_once():
    with counted_reads("blocks") as reads, nothing_computed():
        array = as_dask(ArraySource(VALUES, (4, 5, 7), "blocks"))
        assert source_of(array + 1) is None
        assert not reads
    with counted_reads("blocks") as reads:
        array.compute(scheduler="sync")
        assert set(reads.values()) == {1}
        assert len(reads) == 3


def test_only_keys_of_its_own_are_made():
    layer = as_dask(ArraySource(VALUES, (4, 5, 7))).dask.layers
    tasks = next(layer[name] for name in layer if not name.endswith("-source"))
    assert len(tasks) == len(list(tasks)) == 1
    for key in ("x", ("x", 0, 0, 0), next(iter(tasks))[:3]):
        with pytest.raises(KeyError):
            tasks[key]


@pytest.mark.parametrize(
    ("has_channel", "has_plane"), [(True, True), (True, False), (False, True), (False, False)]
)
def test_channels_and_planes_are_joined_in_order(has_channel, has_plane):
    counts = (2 if has_channel else 1, 3 if has_plane else 1)
    arrays = [
        [as_dask(ArraySource(VALUES + np.uint16(10 * c + p), (4, 5, 7))) for p in range(counts[1])]
        for c in range(counts[0])
    ]
    joined = concatenate(arrays, has_channel=has_channel, has_plane=has_plane).compute(scheduler="sync")
    expected = np.stack(
        [np.stack([one.compute(scheduler="sync") for one in row]) for row in arrays]
    ).transpose(2, 0, 1, 3, 4)
    expected = expected if has_plane else expected[:, :, 0]
    expected = expected if has_channel else expected[:, 0]
    np.testing.assert_array_equal(joined, expected)
