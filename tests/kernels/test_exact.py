from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from roitrace.kernels.exact import divide, spread

INT64 = np.iinfo(np.int64)


@settings(max_examples=200, deadline=None)
@given(st.integers(INT64.min, INT64.max), st.integers(1, 2**31))
@example(2**53 + 1, 1)  # a tie: to even
@example(2**53 + 3, 1)
@example(-(2**53) - 1, 1)
@example(2**54 + 2, 3)
@example(INT64.min, 1)
@example(INT64.min, 3)
@example(INT64.max, 2**31)
@example(2**62 + 1, 2**30)
def test_quotients_are_the_nearest_float64(numerator, denominator):
    expected = float(Fraction(numerator, denominator))
    assert float(divide(np.int64(numerator), np.int64(denominator))) == expected


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 2**20), st.integers(2**32, 2**42), st.integers(-1, 1))
def test_quotients_near_ties_are_rounded_to_even(denominator, odd, nudge):
    # Half way between two float64 of 54 bits, and one unit of the numerator beside it.
    numerator = (2 * odd + 1) * 2**10 * denominator + nudge
    if abs(numerator) <= INT64.max:
        assert float(divide(numerator, denominator)) == float(Fraction(numerator, denominator))


def test_a_float64_division_would_round_twice():
    numerator, denominator = np.array([2**53 + 1, 2**60 + 127], np.int64), np.array([3, 7], np.int64)
    expected = [float(Fraction(int(n), int(d))) for n, d in zip(numerator, denominator, strict=True)]
    np.testing.assert_array_equal(divide(numerator, denominator), expected)
    assert any(
        float(Fraction(n, d)) != np.float64(n) / np.float64(d)
        for n, d in [(2**53 + step, 3) for step in range(1, 200)]
    )


def test_dividing_by_zero_samples_is_nan():
    np.testing.assert_array_equal(divide(np.array([0, 5, -5]), 0), [np.nan] * 3)


def exact_sums(x: list[int]) -> tuple[np.int64, np.int64, np.uint64, np.uint64]:
    squares = sum(one * one for one in x)
    return np.int64(len(x)), np.int64(sum(x)), np.uint64(squares >> 64), np.uint64(squares & (2**64 - 1))


@settings(max_examples=150, deadline=None)
@given(
    st.integers(-(2**31), 2**32 - 1).flatmap(
        lambda level: st.lists(
            st.integers(-5, 5).map(lambda step: max(-(2**31), min(2**32 - 1, level + step))),
            min_size=1,
            max_size=60,
        )
    )
    | st.lists(st.integers(-(2**31), 2**32 - 1), min_size=1, max_size=60)
)
@example([2**32 - 1] * 40 + [0])
@example([-(2**31)] * 30 + [2**31 - 1] * 30)
@example([7])
def test_spread_from_exact_sums(x):
    mean = Fraction(sum(x), len(x))
    expected = float(sum((one - mean) ** 2 for one in x))
    assert float(spread(*exact_sums(x))) == pytest.approx(expected, rel=1e-13, abs=0)


def test_spread_of_many_large_samples_needs_both_limbs():
    n, level = 10**6, 2**32 - 1
    total, squares = n * level - 1, (n - 1) * level**2 + (level - 1) ** 2
    result = spread(np.int64(n), np.int64(total), np.uint64(squares >> 64), np.uint64(squares & (2**64 - 1)))
    assert squares >> 64 > 0
    assert float(result) == pytest.approx(float(Fraction(n - 1, n)), rel=1e-13)


def test_spread_of_nothing_is_nan():
    assert np.isnan(spread(np.int64(0), np.int64(0), np.uint64(0), np.uint64(0)))
