from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.engine.moments import merge_moments, moment_bytes, new_moments
from roitrace.engine.plan import LEAF_FRAMES
from roitrace.engine.statistics import moments_needed, resolve
from tests.strategies import FLOAT_DTYPES, samples

NEEDS = moments_needed(resolve(("mean", "sum", "min", "max", "std", "var")))


def moments_of(movie, first, stop, tiles=None, steps=()):
    """Sums of some frames, read in steps and tiles."""
    moments = new_moments(movie.shape[1:], movie.dtype, NEEDS)
    cuts = [first, *(one for one in sorted(steps) if first < one < stop), stop]
    add(moments, movie, cuts, tiles)
    return moments


def add(moments, movie, cuts, tiles=None):
    tiles = tiles or ((slice(0, movie.shape[1]), slice(0, movie.shape[2])),)
    for begin, end in itertools.pairwise(cuts):
        for y, x in tiles:
            moments.add(movie[begin:end, y, x], begin, y, x)
        moments.advance(begin, end - begin)


def bits(moments):
    one = moments.samples()
    return [np.asarray(value) for value in (one.count, one.total, one.spread, one.minimum, one.maximum)]


def assert_same_bits(one, other):
    for a, b in zip(bits(one), bits(other), strict=True):
        np.testing.assert_array_equal(a, b)


TILES = ((slice(0, 1), slice(0, 3)), (slice(1, 2), slice(0, 2)), (slice(1, 2), slice(2, 3)))


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 5 * LEAF_FRAMES))
def test_any_cut_on_leaves_and_any_order_of_merging_gives_the_same_bits(data, frames):
    movie = data.draw(samples((frames, 2, 3)))
    whole = moments_of(movie, 0, frames)
    steps = data.draw(st.sets(st.integers(1, frames), max_size=5))
    borders = sorted({0, *range(LEAF_FRAMES * data.draw(st.integers(1, 2)), frames, LEAF_FRAMES), frames})
    parts = [moments_of(movie, first, stop, TILES, steps) for first, stop in itertools.pairwise(borders)]
    order = data.draw(st.permutations(range(len(parts))))
    middle = data.draw(st.integers(1, len(parts)))
    merged = merge_moments([parts[number] for number in order[:middle]])
    if middle < len(parts):
        merged = merge_moments([merge_moments([parts[number] for number in order[middle:]]), merged])
    assert merged.frames == frames
    assert_same_bits(merged, whole)


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(2, 3 * LEAF_FRAMES + 100))
def test_going_on_from_any_frame_gives_the_same_bits(data, frames):
    movie = data.draw(samples((frames, 2, 3), dtypes=FLOAT_DTYPES))
    whole = moments_of(movie, 0, frames)
    cut = data.draw(st.integers(1, frames - 1))
    first = moments_of(movie, 0, cut)
    before = bits(first)
    chained = first.copy()
    add(chained, movie, [cut, frames], TILES)
    assert_same_bits(chained, whole)
    for a, b in zip(bits(first), before, strict=True):
        np.testing.assert_array_equal(a, b, err_msg="the copy changed what it was made of")


def test_the_order_of_arrival_does_not_matter():
    movie = np.random.default_rng(4).normal(1e6, 300, (7 * LEAF_FRAMES + 50, 2, 3))
    borders = [*range(0, len(movie), LEAF_FRAMES), len(movie)]
    parts = [moments_of(movie, first, stop) for first, stop in itertools.pairwise(borders)]
    whole = moments_of(movie, 0, len(movie))
    rng = np.random.default_rng(5)
    for _ in range(30):
        order = rng.permutation(len(parts))
        middle = rng.integers(1, len(parts))
        early, late = ([parts[number] for number in some] for some in np.split(order, [middle]))
        assert_same_bits(merge_moments([merge_moments(early), merge_moments(late)]), whole)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_merging_leaves_the_parts_as_they_were(dtype):
    movie = np.random.default_rng(0).normal(50, 9, (600, 1, 2)).astype(dtype)
    parts = [moments_of(movie, 0, 256), moments_of(movie, 256, 512), moments_of(movie, 512, 600)]
    once = merge_moments(parts)
    assert_same_bits(merge_moments(parts), once)


def test_float_sums_depend_on_leaves_only():
    # A plain running sum gives other bits, so that the test above could fail.
    movie = np.random.default_rng(1).normal(1e6, 1, (1000, 1, 1))
    plain = np.add.accumulate(movie[:, 0, 0])[-1]
    assert moments_of(movie, 0, 1000).samples().total.item() != plain
    assert moments_of(movie, 0, 1000).samples().total.item() == pytest.approx(plain, rel=1e-14)


def test_only_what_is_needed_is_kept():
    shape, dtype = (2, 2), np.dtype("uint16")
    assert set(new_moments(shape, dtype, frozenset({"count", "total"})).images) == {"total"}
    assert set(new_moments(shape, dtype, frozenset({"maximum"})).images) == {"maximum"}
    assert "squares_high" in new_moments(shape, np.dtype("int32"), frozenset({"spread"})).images
    assert (
        moment_bytes(dtype, frozenset({"total"}))
        < moment_bytes(dtype, NEEDS)
        < moment_bytes(np.dtype("f8"), NEEDS)
    )


def test_squares_carry_over_when_parts_are_merged():
    movie = np.full((64, 1, 1), 2**32 - 1, np.uint32)
    movie[0] = 5
    parts = [moments_of(movie, start, start + 8) for start in range(0, 64, 8)]
    squares = sum(int(one) ** 2 for one in movie.ravel())
    merged = merge_moments(parts)
    assert (
        int(merged.images["squares_high"].item()) * 2**64 + int(merged.images["squares_low"].item())
        == squares
    )
