from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.view.report.contents import Series
from roitrace.view.report.signals import gather_signals, plan_signals


def series_of(values, chunks=None):
    trace = xr.DataArray(values, dims=("roi", "time"), coords={"time": np.arange(values.shape[1])})
    return [Series("mean", trace if chunks is None else trace.chunk(chunks))]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 20_000), st.integers(1, 12), st.integers(1, 500_000), st.integers(500_000, 8_000_000))
def test_what_is_planned_fits_the_room(n_cells, n_series, n_frames, room):
    plan = plan_signals(n_cells, n_series, n_frames, room)
    assert 0 <= plan.n_full <= plan.n_cells <= n_cells
    samples = plan.n_full * n_frames
    if plan.stretch > 1:
        samples += plan.n_cells * 2 * -(-n_frames // plan.stretch)
    assert samples * n_series * 1.15 <= room


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 40), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_extremes_are_those_of_numpy(n_cells, n_frames, stretch, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_cells, n_frames))
    values[rng.random(values.shape) < 0.2] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        fixed = plan_signals(n_cells, 1, n_frames, 10**9)
        patch.setattr(
            "roitrace.view.report.signals.plan_signals",
            lambda *_: type(fixed)(stretch, n_cells, 1),
        )
        order = rng.permutation(n_cells).tolist()
        read = gather_signals(series_of(values, {"time": 7, "roi": 2}), order, (), 0)
    count = -(-n_frames // stretch)
    for place, cell in enumerate(order):
        for number in range(count):
            part = values[cell, number * stretch : (number + 1) * stretch]
            part = part[np.isfinite(part)]
            low, high = read.extremes["mean"][place, [number, count + number]]
            assert (low, high) == (part.min(), part.max()) if part.size else np.isnan([low, high]).all()
    np.testing.assert_array_equal(read.full["mean"], values[order[:1]])
    known = [values[cell][np.isfinite(values[cell])] for cell in order]
    np.testing.assert_allclose(
        read.level["mean"], [one.mean() if one.size else np.nan for one in known], rtol=1e-12
    )


def test_building_reads_nothing_twice_and_lazy_is_like_eager():
    values = np.random.default_rng(1).normal(size=(6, 900))
    reads = []

    def block(given):
        reads.append(given.shape)
        return given

    lazy = xr.DataArray(values, dims=("roi", "time")).chunk({"roi": 2})
    lazy.data = lazy.data.map_blocks(block, dtype=float, meta=np.empty((0, 0)))
    with dask.config.set(scheduler="sync"):
        got = gather_signals([Series("mean", lazy)], range(6), ("mean",), room=5_000)
    assert got.plan.stretch > 1
    assert len(reads) == 3
    expected = gather_signals(series_of(values), range(6), ("mean",), room=5_000)
    np.testing.assert_array_equal(got.extremes["mean"], expected.extremes["mean"])
    np.testing.assert_array_equal(got.pairs, expected.pairs)
