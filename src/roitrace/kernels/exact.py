"""Correctly rounded quotients of integers and exact 128-bit sums of squares."""

from __future__ import annotations

import numba
import numpy as np

from roitrace.kernels.compiled import compiled

__all__ = ["divide", "quotient", "spread"]

_EXACT = 1 << 53


@compiled()
def quotient(numerator, denominator):  # type: ignore[no-untyped-def]
    """Return the float64 nearest to ``numerator / denominator`` (int64, denominator > 0), ties to even.

    A float64 division is correctly rounded when both operands are exact. Beyond 2^53 the quotient is made bit by bit until it has more bits than a
    float64 keeps, and a sticky last bit stands for the rest.
    """
    if -_EXACT <= numerator <= _EXACT:
        return np.float64(numerator) / np.float64(denominator)
    negative = numerator < 0
    magnitude = np.uint64(-numerator) if negative else np.uint64(numerator)
    divisor = np.uint64(denominator)
    whole = magnitude // divisor
    rest = magnitude - whole * divisor
    shift = 0
    while whole < np.uint64(1 << 60):
        whole = whole << np.uint64(1)
        rest = rest << np.uint64(1)
        if rest >= divisor:
            rest -= divisor
            whole |= np.uint64(1)
        shift += 1
    if rest != 0:
        whole |= np.uint64(1)
    value = np.float64(whole) * 2.0**-shift
    return -value if negative else value


@numba.vectorize(["float64(int64, int64)"], cache=True)
def divide(numerator, denominator):  # type: ignore[no-untyped-def]
    """Elementwise `quotient`; NaN where the denominator is 0."""
    if denominator == 0:
        return np.nan
    return quotient(numerator, denominator)


@compiled()
def _multiply(a, b):  # type: ignore[no-untyped-def]
    """Return the 128-bit product of two uint64 as (high, low)."""
    mask = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    a_high, a_low, b_high, b_low = a >> half, a & mask, b >> half, b & mask
    low = a_low * b_low
    middle = a_high * b_low + (low >> half)
    carry = a_low * b_high + (middle & mask)
    return a_high * b_high + (middle >> half) + (carry >> half), (carry << half) | (low & mask)


@numba.vectorize(["float64(int64, int64, uint64, uint64)"], cache=True)
def spread(count, total, squares_high, squares_low):  # type: ignore[no-untyped-def]
    """Return the sum of squared deviations from the mean, from exact integer sums.

    With c the integer nearest to the mean, sum (x - c)^2 = squares - 2 c total + count c^2 is an exact integer, small
    enough for a float64 to hold within rounding; the rest, count (mean - c)^2, is at most a quarter per sample.
    """
    if count == 0:
        return np.nan
    centre = np.int64(np.rint(np.float64(total) / np.float64(count)))
    rest = total - count * centre
    size_centre = np.uint64(-centre) if centre < 0 else np.uint64(centre)
    # squares - c (2 total - count c) = squares - c (total + rest), modulo 2^128
    factor = total + rest
    negative = (factor < 0) != (centre < 0)
    size_factor = np.uint64(-factor) if factor < 0 else np.uint64(factor)
    high, low = _multiply(size_factor, size_centre)
    if negative:
        sum_low = squares_low + low
        sum_high = squares_high + high + (np.uint64(1) if sum_low < squares_low else np.uint64(0))
    else:
        sum_low = squares_low - low
        sum_high = squares_high - high - (np.uint64(1) if squares_low < low else np.uint64(0))
    exact = np.float64(sum_high) * 2.0**64 + np.float64(sum_low)
    return max(exact - np.float64(rest) * np.float64(rest) / np.float64(count), 0.0)
