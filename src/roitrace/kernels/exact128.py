"""Signed integers of 128 bits as two uint64 limbs, modulo 2^128."""

from __future__ import annotations

import numpy as np

from roitrace.kernels.compiled import compiled
from roitrace.kernels.exact import _multiply

__all__ = ["add", "as_float", "multiply", "negate", "product"]


@compiled()
def add(high, low, more_high, more_low):  # type: ignore[no-untyped-def]
    """Return the sum as (high, low)."""
    total = low + more_low
    return high + more_high + (np.uint64(1) if total < low else np.uint64(0)), total


@compiled()
def negate(high, low):  # type: ignore[no-untyped-def]
    """Return the negative as (high, low)."""
    return add(~high, ~low, np.uint64(0), np.uint64(1))


@compiled()
def product(a, b):  # type: ignore[no-untyped-def]
    """Return the product of two int64 as (high, low)."""
    size_a = np.uint64(-a) if a < 0 else np.uint64(a)
    size_b = np.uint64(-b) if b < 0 else np.uint64(b)
    high, low = _multiply(size_a, size_b)
    if (a < 0) != (b < 0):
        return negate(high, low)
    return high, low


@compiled()
def multiply(high, low, factor):  # type: ignore[no-untyped-def]
    """Return a 128-bit integer times an int64 as (high, low)."""
    size = np.uint64(-factor) if factor < 0 else np.uint64(factor)
    new_high, new_low = _multiply(low, size)
    new_high += high * size
    if factor < 0:
        return negate(new_high, new_low)
    return new_high, new_low


@compiled()
def as_float(high, low):  # type: ignore[no-untyped-def]
    """Return the nearest float64, within one rounding."""
    if high >> np.uint64(63):
        size_high, size_low = negate(high, low)
        return -(np.float64(size_high) * 2.0**64 + np.float64(size_low))
    return np.float64(high) * 2.0**64 + np.float64(low)
