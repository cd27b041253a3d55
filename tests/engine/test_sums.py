"""ROIs that are only added up give the bits of those that are gathered, for any tiles, chunks and samples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import roitrace as rt
from roitrace.engine import sums
from roitrace.engine.request import Request
from roitrace.engine.statistics import make
from roitrace.engine.sums import SummedTiles, first_summed, summed_tiles

MEAN, MEDIAN, TOTAL = make("mean"), make("median"), make("sum")


@st.composite
def overlapping_rois(draw):
    height, width = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    density = draw(st.sampled_from([0.02, 0.3, 1.0]))
    masks = random.random((draw(st.integers(1, 6)), height, width)) < density
    edges = [
        np.unique([0, size, *draw(st.lists(st.integers(0, size), max_size=4))]).astype(np.int64)
        for size in (height, width)
    ]
    return masks, edges, random


@given(overlapping_rois(), st.sampled_from([1, 7, 4096]))
@settings(max_examples=50, deadline=None)
def test_parts_of_bands_are_the_pixels_of_each_roi(drawn, band):
    masks, (y_edges, x_edges), _ = drawn
    rows = [np.flatnonzero(mask) for mask in masks]
    indptr = np.cumsum([0, *map(len, rows)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "_BAND_PIXELS", band)
        tiles: SummedTiles = summed_tiles(np.concatenate(rows), indptr, masks.shape[2], y_edges, x_edges)
    found = [[] for _ in rows]
    for row, (top, bottom) in enumerate(itertools.pairwise(y_edges)):
        for column, (left, right) in enumerate(itertools.pairwise(x_edges)):
            numbers = list(tiles.inside(slice(top, bottom), slice(left, right)))
            assert bool(numbers) == tiles.held[row * (x_edges.size - 1) + column]
            for number in numbers:
                runs = tiles.bands.runs[tiles.bands.starts[number] : tiles.bands.starts[number + 1]]
                own = np.concatenate([y * masks.shape[2] + x + np.arange(n) for _, y, x, n in runs])
                for roi, first, count in tiles.parts[
                    tiles.part_starts[number] : tiles.part_starts[number + 1]
                ]:
                    found[roi] += own[first : first + count].tolist()
    assert [sorted(one) for one in found] == [row.tolist() for row in rows]


@given(
    overlapping_rois(), st.sampled_from(["uint8", "int16", "uint16", "int32", "uint32"]), st.integers(1, 40)
)
@settings(max_examples=25, deadline=None)
def test_neuropil_means_are_those_of_numpy(drawn, dtype, chunk):
    masks, _, random = drawn
    info = np.iinfo(dtype)
    movie = random.integers(info.min, info.max, (37, *masks.shape[1:]), dtype=dtype, endpoint=True)
    cells = rt.Rois.from_masks(masks)
    recording = xr.DataArray(movie, dims=("time", "y", "x"))
    lazy = recording.chunk({"time": chunk, "y": 5, "x": 7})
    for given_recording in (recording, lazy):
        traces = rt.extract(given_recording, cells, ("mean", "sum")).compute()
        for number, mask in enumerate(masks):
            exact = movie[:, mask].astype(object).sum(axis=1)
            if mask.any():
                total = np.array([float(one) for one in exact])
                np.testing.assert_array_equal(traces["sum"][number], total)
                mean = [one / int(mask.sum()) for one in exact]
                np.testing.assert_array_equal(traces["mean"][number], np.array(mean, dtype=np.float64))
            else:
                assert np.isnan(traces["mean"][number]).all()


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
def test_a_stored_recording_is_summed_as_it_is_gathered(tmp_path, dtype, monkeypatch):
    random = np.random.default_rng(3)
    movie = random.integers(0, 60_000, (130, 70, 90)).astype(dtype)
    np.save(tmp_path / "movie.npy", movie)
    recording = rt.convert(tmp_path / "movie.npy", tmp_path / "movie.zarr", frame_rate=10)
    cells = rt.Rois.from_masks(random.random((8, 70, 90)) < 0.05)
    rings = rt.neuropil(cells, min_pixels=120)
    asked = ("mean", "median", "trimmed_mean")
    summed = rt.extract(recording, cells, asked, neuropil=rings).compute()
    monkeypatch.setattr("roitrace.engine.request.first_summed", lambda *given: given[2])
    gathered = rt.extract(recording, cells, asked, neuropil=rings).compute()
    xr.testing.assert_identical(summed, gathered)


def test_only_groups_of_plain_sums_at_the_end_are_summed():
    def first(*groups):
        statistics = [one for group in groups for one in group]
        spans = [(4 * number, 4 * number + 4) for number, group in enumerate(groups) for _ in group]
        return first_summed(statistics, spans, 4 * len(groups))

    assert first([MEAN, MEDIAN], [MEAN]) == 4
    assert first([MEAN, TOTAL], [MEAN]) == 0
    assert first([MEAN], [MEAN, MEDIAN]) == 8
    assert first([MEAN], [make("huber")]) == 8
    assert first([MEAN], [make("std")]) == 8


def test_float_samples_and_pixels_are_gathered():
    from roitrace.engine.regions import RoiTable

    table = RoiTable(np.array([0, 3]), np.zeros((0, 3)))
    assert Request((MEAN,)).first_summed(table, np.dtype("uint16")) == 0
    assert Request((MEAN,)).first_summed(table, np.dtype("float32")) == 1
    assert Request((MEAN,), pixels=True).first_summed(table, np.dtype("uint16")) == 1
