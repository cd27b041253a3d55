from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace import stat
from roitrace.engine.aggregation import Aggregator
from roitrace.engine.regions import RoiTable
from roitrace.engine.rows import steps_of
from roitrace.kernels.networks import BLOCKS, sorting_network, sorting_program
from roitrace.kernels.sorting import NETWORK_LIMIT, SCRATCH_ROW_BYTES, highest_of, scratch_rows, sort_lanes
from roitrace.sources import SAMPLE_DTYPES
from tests.references import expected_traces
from tests.strategies import samples

LANES = SCRATCH_ROW_BYTES  # of 8-bit samples; fewer of wider ones

STATISTICS = (
    stat.mean(),
    stat.sum(),
    stat.min(),
    stat.max(),
    stat.std(),
    stat.std(ddof=1, name="std1"),
    stat.var(),
    stat.median(),
    stat.percentile(90, name="p90"),
    stat.percentile(0, name="p0"),
    stat.percentile(37.3, name="p37"),
    stat.trimmed_mean(),
    stat.trimmed_mean(0.25, name="trim25"),
    stat.winsorized_mean(0.2),
    stat.weighted_mean(),
)
"""Every statistic, some twice with other parameters."""


def aggregate(matrix, sizes, *, weights=None, min_coverage=0.9, statistics=STATISTICS, step_entries=10**6):
    """Aggregate a pixel matrix ``(entry, time)`` of ROIs of some sizes that follow one another."""
    indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    rows = np.zeros((0, len(matrix))) if weights is None else weights[None]
    asked = tuple(one for one in statistics if weights is not None or one.kind != "weighted_mean")
    rows_used = (0,) if weights is not None and any(one.kind == "weighted_mean" for one in asked) else ()
    aggregator = Aggregator(RoiTable(indptr, rows), asked, rows_used, matrix.dtype, min_coverage)
    aggregator.begin(matrix.shape[1])
    for first, last in steps_of(indptr, step_entries):
        aggregator.add((first, last), matrix, indptr)
    return asked, aggregator.values()


def check(matrix, sizes, *, weights=None, min_coverage=0.9, statistics=STATISTICS):
    asked, result = aggregate(
        matrix, sizes, weights=weights, min_coverage=min_coverage, statistics=statistics
    )
    borders = np.cumsum([0, *sizes])
    movie = matrix.T[:, None, :]
    rows = [
        np.stack([np.zeros(stop - start, np.int64), np.arange(start, stop)], axis=1)
        for start, stop in pairwise(borders)
    ]
    own = None if weights is None else np.split(weights, borders[1:-1])
    for one in asked:
        expected = expected_traces(movie, rows, one, weights=own, min_coverage=min_coverage)
        expected.check(result[one.name])
    if matrix.dtype.kind == "f":
        counts = [(~np.isnan(part)).sum(axis=0) for part in np.split(matrix, borders[1:-1])]
        np.testing.assert_array_equal(result["n_valid"], counts)


# -- sorting ------------------------------------------------------------------------------------------------------


def apply_network(comparators, values):
    values = values.copy()
    for low, high in comparators:
        values[[low, high]] = np.minimum(values[low], values[high]), np.maximum(values[low], values[high])
    return values


def comparators_of(program):
    """Return the comparators of a program one by one, without those of rows that are not there."""
    at, found = 0, []
    while at < len(program):
        kind, count = program[at : at + 2]
        n_rows, comparators = BLOCKS[kind]
        at += 2
        for rows in program[at : at + count * n_rows].reshape(count, n_rows):
            found += [(rows[low], rows[high]) for low, high in comparators]
        at += count * n_rows
    return found


def by_row(comparators):
    found = {}
    for low, high in comparators:
        found.setdefault(low, []).append((low, high))
        found.setdefault(high, []).append((low, high))
    return found


@pytest.mark.parametrize("size", range(1, 13))
def test_networks_sort_every_row_of_zeros_and_ones(size):
    # Knuth's 0-1 principle: a network that sorts these sorts everything.
    rows = np.array(list(product([0, 1], repeat=size))).T
    np.testing.assert_array_equal(apply_network(sorting_network(size), rows), np.sort(rows, axis=0))
    blocks = [pair for pair in comparators_of(sorting_program(size)) if size not in pair]
    np.testing.assert_array_equal(apply_network(blocks, rows), np.sort(rows, axis=0))


@pytest.mark.parametrize("size", [13, 31, 32, 33, 100, 255, 257, NETWORK_LIMIT - 1, NETWORK_LIMIT])
def test_large_networks_sort(size):
    rows = np.random.default_rng(size).integers(0, 50, (size, 8))
    np.testing.assert_array_equal(apply_network(sorting_network(size), rows), np.sort(rows, axis=0))


@pytest.mark.parametrize(
    "size", [0, *range(9, 140), 255, 256, 257, 300, 511, 513, NETWORK_LIMIT - 1, NETWORK_LIMIT]
)
def test_programs_are_networks_in_blocks(size):
    comparators = [pair for pair in comparators_of(sorting_program(size)) if size not in pair]
    assert sorted(comparators) == sorted(map(tuple, sorting_network(size)))
    # those of each row in the same order, so that every sample goes the same way
    assert by_row(comparators) == by_row(sorting_network(size).tolist())


@pytest.mark.parametrize("dtype", SAMPLE_DTYPES)
@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 40, 100, 150, 257])
def test_lanes_are_sorted_and_what_is_behind_them_is_left_alone(dtype, size):
    rng = np.random.default_rng(size)
    highest = highest_of(np.dtype(dtype))
    values = rng.integers(0, 120, (size, SCRATCH_ROW_BYTES // np.dtype(dtype).itemsize)).astype(dtype)
    values[rng.random(values.shape) < 0.1] = highest
    scratch = scratch_rows(values, size + 3, values.shape[1])
    assert scratch.ctypes.data % 64 == 0
    scratch[:size], scratch[size:] = values, 7
    sort_lanes(scratch, size, sorting_program(size), highest)
    np.testing.assert_array_equal(scratch[:size], np.sort(values, axis=0))
    assert (scratch[size] == highest).all()
    assert (scratch[size + 1 :] == 7).all()


# -- statistics ---------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 12), st.lists(st.integers(0, 25), min_size=1, max_size=4), st.booleans())
def test_every_statistic_of_every_dtype(data, frames, sizes, weighted):
    matrix = data.draw(samples((sum(sizes), frames, 1)))[:, :, 0]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    weights = rng.random(sum(sizes)) if weighted else None
    coverage = data.draw(st.sampled_from([0.9, 0.0, 0.5, 1.0]))
    check(matrix, sizes, weights=weights, min_coverage=coverage)


@pytest.mark.parametrize("dtype", SAMPLE_DTYPES)
def test_extremes_of_every_dtype(dtype):
    limits = np.iinfo(dtype) if "int" in dtype else np.finfo("float32")
    ends = np.array([limits.min, limits.max, limits.max, limits.min], dtype)
    matrix = np.stack([np.roll(ends, shift) for shift in range(4)] + [np.full(4, limits.max, dtype)])
    exact = tuple(one for one in STATISTICS if "int" in dtype or one.kind not in {"std", "var"})
    check(matrix, [1, 2, 2], weights=np.array([1.0, 0.5, 2.0, 0.25, 3.0]), statistics=exact)


@pytest.mark.parametrize(
    ("dtype", "value"), [("uint16", 65535), ("int16", -32768), ("uint8", 255), ("uint32", 2**32 - 1)]
)
def test_sums_of_very_large_rois_do_not_wrap(dtype, value):
    # 16-bit samples are summed in 32 bits, as many rows at a time as fit.
    size = 70_001
    matrix = np.full((size, 3), value, dtype)
    _, result = aggregate(matrix, [size], statistics=(stat.sum(), stat.mean(), stat.std(), stat.median()))
    assert (result["sum"] == float(size * value)).all()
    assert (result["mean"] == value).all()
    assert (result["median"] == value).all()
    assert (result["std"] == 0).all()


def test_signed_medians_do_not_overflow():
    matrix = np.array([[-32768], [32767]], np.int16)
    _, result = aggregate(matrix, [2], statistics=(stat.median(), stat.percentile(50, name="p50")))
    assert result["median"].item() == result["p50"].item() == -0.5


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("size", [NETWORK_LIMIT, NETWORK_LIMIT + 1, 1500])
def test_rois_beyond_the_sorting_network(dtype, size):
    rng = np.random.default_rng(size)
    frames = 67
    if "int" in dtype:
        matrix = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, (size + 5, frames), dtype)
    else:
        matrix = rng.normal(1000, 50, (size + 5, frames)).astype(dtype)
        matrix[rng.random(matrix.shape) < np.linspace(0, 0.2, frames)] = np.nan
        matrix[: size // 2, 3] = np.nan
        matrix[:, 4] = np.nan
        matrix[7, 5] = np.inf
    few = (
        stat.median(),
        stat.percentile(12.5),
        stat.trimmed_mean(0.2),
        stat.winsorized_mean(0.1),
        stat.mean(),
        stat.std(),
    )
    columns = [0, 1, 3, 4, 5, 63, 64, frames - 1]
    indptr = [size, 5]
    asked, result = aggregate(matrix, indptr, statistics=few)
    rows = [
        np.stack([np.zeros(n, np.int64), start + np.arange(n)], axis=1) for start, n in ((0, size), (size, 5))
    ]
    for one in asked:
        expected_traces(matrix.T[columns][:, None, :], rows, one).check(result[one.name][:, columns])


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_frames_do_not_mix(dtype):
    # The same frames cut at any place, beside any others, give the same bits.
    rng = np.random.default_rng(3)
    matrix = rng.integers(0, 255, (300, 2 * LANES + 9)).astype(dtype) / np.asarray(3, dtype)
    matrix = matrix.astype(dtype)
    weights = rng.random(300)
    _, whole = aggregate(matrix, [260, 40], weights=weights)
    for start, stop in [(0, 1), (0, LANES), (1, LANES + 2), (5, 2 * LANES + 9)]:
        _, part = aggregate(np.ascontiguousarray(matrix[:, start:stop]), [260, 40], weights=weights)
        for name, values in part.items():
            np.testing.assert_array_equal(values, whole[name][:, start:stop], err_msg=name)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("step_entries", [1, 20, 500])
def test_a_few_rois_at_a_time_give_the_same_bits(dtype, step_entries):
    rng = np.random.default_rng(8)
    sizes = [3, 0, 40, 1, NETWORK_LIMIT + 3, 0, 17]
    matrix = rng.integers(0, 4000, (sum(sizes), 6)).astype(dtype)
    weights = rng.random(sum(sizes))
    _, whole = aggregate(matrix, sizes, weights=weights)
    _, parted = aggregate(matrix, sizes, weights=weights, step_entries=step_entries)
    for name, values in whole.items():
        np.testing.assert_array_equal(parted[name], values, err_msg=name)


def test_coverage_counts_pixels_or_weights():
    matrix = np.ones((10, 3))
    matrix[0, 0] = np.nan  # 9 of 10 pixels are there: just enough
    matrix[:2, 1] = np.nan
    weights = np.array([9.0, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    _, result = aggregate(matrix, [10], weights=weights)
    for name in ("mean", "median", "std", "max"):
        assert np.isnan(result[name]).tolist() == [[False, True, False]]
    assert np.isnan(result["weighted_mean"]).tolist() == [[True, True, False]]
    assert result["n_valid"].tolist() == [[9, 8, 10]]
    light = np.array([1e-3, *[1.0] * 9])
    _, result = aggregate(matrix, [10], weights=light)
    assert np.isnan(result["weighted_mean"]).tolist() == [[False, True, False]]


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_rois_without_pixels_are_nan_everywhere(dtype):
    matrix = np.ones((3, 4), dtype)
    _, result = aggregate(matrix, [0, 3, 0], weights=np.ones(3))
    for name in (one.name for one in STATISTICS):
        assert np.isnan(result[name][[0, 2]]).all(), name
    assert (result["weighted_mean"][1] == 1).all()


def test_weights_that_sum_to_zero_give_nan():
    _, result = aggregate(np.ones((2, 3), np.uint8), [2], weights=np.zeros(2))
    assert np.isnan(result["weighted_mean"]).all()


def test_infinite_samples_are_no_silent_zero():
    _, result = aggregate(np.array([[np.inf], [np.inf], [1.0]]), [1, 2])
    for name in ("std", "var"):
        assert np.isnan(result[name]).all()
    assert result["mean"].tolist() == [[np.inf], [np.inf]]
