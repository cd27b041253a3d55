"""Rows of the pixel matrix that others take over when a ROI is done."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace import stat
from roitrace.engine.blocks import as_dask
from roitrace.engine.regions import RoiTable, grid_edges, tile_runs
from roitrace.engine.request import Request, SlabLayout
from roitrace.engine.rows import plan_rows, steps_of
from roitrace.engine.statistics import resolve
from roitrace.extraction import extract
from roitrace.neuropil import neuropil
from roitrace.rois import Rois
from tests.block_sources import ArraySource
from tests.engine.test_reductions import assert_same_bits
from tests.strategies import roi_pixels, samples, sources

STATISTICS = ("mean", "std", "max", "median", "trimmed_mean", "huber", stat.percentile(30))


def scattered(rng, frame, count, side):
    """Small ROIs all over a frame, in any order, some empty."""
    corners = np.stack([rng.integers(0, size - side + 1, count) for size in frame], axis=1)
    inside = np.stack(np.unravel_index(np.arange(side * side), (side, side)), axis=1)
    sizes = rng.integers(0, side * side + 1, count)
    return [corner + rng.permutation(inside)[:size] for corner, size in zip(corners, sizes, strict=True)]


def go_through(tiles, indptr, groups, entries_at_once, *, streams):
    """Fill the rows tile by tile, as a task does, and return what every ROI found in them."""
    plan, runs = plan_rows(tiles, indptr, groups, entries_at_once, streams=streams)
    n_tiles = tiles.starts.size - 1
    table = plan.arranged(RoiTable(indptr, np.arange(indptr[-1], dtype=float)[None]))
    room, found = np.full(plan.n_rows, -1), {}
    after = plan.whole_after()
    for tile in range(n_tiles + 1):
        span = slice(tiles.starts[tile], tiles.starts[tile + 1]) if tile < n_tiles else slice(0)
        for (row, *_, length), (entry, *_) in zip(
            runs[span].tolist(), tiles.runs[span].tolist(), strict=True
        ):
            room[row : row + length] = np.arange(entry, entry + length)
        for place in (one for rois in after.get(tile, ()) for one in range(*rois)):
            first, last = table.indptr[place : place + 2]
            own = room[plan.first_rows[place] :][: last - first].copy()
            assert plan.order[place] not in found
            found[plan.order[place]] = own
            np.testing.assert_array_equal(table.weights[0, first:last], own)
    return plan, found


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans(), st.integers(1, 60))
def test_every_roi_finds_its_own_pixels_in_its_rows(data, streams, entries_at_once):
    frame = data.draw(st.integers(3, 40)), data.draw(st.integers(3, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    pixels = scattered(rng, frame, data.draw(st.integers(0, 60)), 3)
    pixels += data.draw(roi_pixels(frame)) if data.draw(st.booleans()) else []
    rois = Rois.from_pixels(pixels, shape=frame)
    edges = [grid_edges(size, data.draw(st.integers(2, 9)), data.draw(st.integers(0, 8))) for size in frame]
    tiles = tile_runs(rois.pixels, frame[1], *edges, rois.indptr)
    cut = data.draw(st.integers(0, len(rois)))
    groups = [span for span in ((0, cut), (cut, len(rois))) if span[0] < span[1] or not len(rois)]
    plan, found = go_through(tiles, rois.indptr, groups, entries_at_once, streams=streams)
    assert sorted(found) == list(range(len(rois)))
    for roi, entries in found.items():
        np.testing.assert_array_equal(entries, np.arange(*rois.indptr[roi : roi + 2]))
    assert plan.n_rows <= rois.pixels.size
    assert streams or (plan.keeps_order and plan.n_rows == rois.pixels.size)


def test_few_rows_serve_many_small_rois():
    rng = np.random.default_rng(4)
    frame = (400, 400)
    rois = Rois.from_pixels(scattered(rng, frame, 3000, 5), shape=frame)
    edges = [grid_edges(size, 20, 0) for size in frame]
    tiles = tile_runs(rois.pixels, frame[1], *edges, rois.indptr)
    plan, found = go_through(tiles, rois.indptr, [(0, 3000)], 300, streams=True)
    assert len(found) == 3000
    assert plan.n_rows < rois.pixels.size / 8


def test_rois_are_cut_into_steps_of_some_entries_or_one_roi():
    assert steps_of(np.array([0, 3, 5, 5, 15, 16, 16]), 5) == [(0, 3), (3, 4), (4, 6)]
    assert steps_of(np.array([0]), 5) == []


@pytest.mark.parametrize("asked", [{}, {"pixels": True}, {"moments": frozenset({"total"})}])
def test_rows_are_held_to_the_end_where_tiles_are_read_several_times(asked):
    source = ArraySource(np.zeros((12, 8, 8), np.uint16), (4, 2, 2))
    rois = Rois.from_pixels([[(6, 6)], [(0, 0)]], shape=(8, 8))
    table = RoiTable(rois.indptr, np.zeros((0, 2)))
    request = Request(statistics=resolve("median"), **asked)
    with mock.patch("roitrace.engine.request.frames_at_once", return_value=4):
        layouts = [SlabLayout.of(request, table, rois.pixels, source, frames, (2, 2)) for frames in (4, 12)]
    assert [one.rows.order.tolist() for one in layouts] == {
        (): [[1, 0], [1, 0]],
        ("pixels",): [[0, 1], [0, 1]],
        ("moments",): [[1, 0], [0, 1]],
    }[tuple(asked)]


@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from(["uint8", "int16", "uint16", "float32", "float64"]), st.booleans())
def test_rows_that_are_taken_over_change_no_bit(data, dtype, projected):
    shape = (data.draw(st.integers(1, 30)), 24, 31)
    values = data.draw(samples(shape, dtypes=(dtype,), infinite=False))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    pixels = scattered(rng, shape[1:], 40, 4)
    weights = [rng.random(len(one)) + 0.01 for one in pixels]
    rois = Rois.from_pixels(pixels, shape=shape[1:], weights=weights)
    rings = neuropil(rois, min_pixels=20, gap=0) if data.draw(st.booleans()) else None
    options = {"neuropil": rings, "projections": ("mean", "std", "max") if projected else None}
    asked = (*STATISTICS, "weighted_mean", "weighted_median")
    plain = xr.DataArray(values, dims=("time", "y", "x"))
    expected = extract(plain, rois, asked, **options).compute(scheduler="sync")
    stored = xr.DataArray(as_dask(data.draw(sources(values))), dims=("time", "y", "x"))
    at_once, together = data.draw(st.integers(1, 4000)), data.draw(st.integers(1, 2**14))
    with (
        mock.patch("roitrace.engine.rows.ROWS_BYTES", at_once),
        mock.patch("roitrace.engine.plan.TILE_BYTES", together),
    ):
        result = extract(stored, rois, asked, **options).compute(scheduler="sync")
    assert_same_bits(result, expected)
