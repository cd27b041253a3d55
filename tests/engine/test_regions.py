from __future__ import annotations

import pickle
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.engine.regions import RoiTable, grid_edges, tile_runs
from tests.strategies import roi_sets


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 50), st.integers(1, 60), st.integers(0, 70))
def test_edges_lie_on_the_grid(size, step, offset):
    edges = grid_edges(size, step, offset)
    assert (edges[0], edges[-1]) == (0, size)
    assert (np.diff(edges) > 0).all()
    assert all((edge + offset) % step == 0 for edge in edges[1:-1])
    assert (np.diff(edges) <= step).all()


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 12), st.integers(1, 30))
def test_tiles_share_out_every_entry_once(data, height, width):
    rois = data.draw(roi_sets((height, width)))
    edges = [
        np.array([0, *sorted(data.draw(st.sets(st.integers(1, size - 1), max_size=4))), size])
        if size > 1
        else np.array([0, 1])
        for size in (height, width)
    ]
    tiles = tile_runs(rois.pixels, width, *edges)
    found = np.full(rois.pixels.size, -1)
    everywhere = list(product(range(edges[0].size - 1), range(edges[1].size - 1)))
    assert tiles.held.size == len(everywhere)
    for number, position in enumerate(everywhere):
        y, x, runs = tiles.tile(*position)
        assert tiles.held[number] == (len(runs) > 0)
        np.testing.assert_array_equal(tiles.numbered(number)[2], runs)
        for entry, row, column, length in runs.tolist():
            assert y.start <= row < y.stop
            assert x.start <= column < column + length <= x.stop
            assert (found[entry : entry + length] == -1).all()
            found[entry : entry + length] = row * width + np.arange(column, column + length)
    np.testing.assert_array_equal(found, rois.pixels)


def test_an_empty_table():
    table = RoiTable.empty()
    assert (table.n_entries, table.sizes.size) == (0, 0)
    tiles = tile_runs(np.zeros(0, np.int64), 5, np.array([0, 2, 4]), np.array([0, 5]))
    assert tiles.held.tolist() == [False, False]


@pytest.mark.parametrize(("weight", "nbytes"), [(0.5, 4), (0.1, 8), (1e300, 8)])
def test_weights_travel_in_as_few_bits_as_keep_them(weight, nbytes):
    table = RoiTable(np.array([0, 1000]), np.full((1, 1000), weight))
    sent = pickle.dumps(table)
    assert 1000 * nbytes <= len(sent) < 1000 * nbytes + 500
    copy = pickle.loads(sent)
    assert copy.weights.dtype == np.float64
    np.testing.assert_array_equal(copy.weights, table.weights)
    np.testing.assert_array_equal(copy.indptr, table.indptr)
