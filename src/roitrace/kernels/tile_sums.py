"""Sums of ROIs that share pixels, from the pixels of one tile."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["add_parts"]


@numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")
def add_parts(matrix, parts, part, sums):  # type: ignore[no-untyped-def]
    """Add rows of a matrix ``(pixel, time)`` to the sums of ROIs ``(roi, time)``; exact for integers.

    `parts` (n, 3) are ROI, first row and number of rows, ROI after ROI. `part` has one element per frame, of a type that holds
    the sum of a ROI's rows; it is overwritten.
    """
    number = 0
    while number < parts.shape[0]:
        roi = parts[number, 0]
        part[:] = 0
        while number < parts.shape[0] and parts[number, 0] == roi:
            row = parts[number, 1]
            last = row + parts[number, 2]
            while row + 4 <= last:
                a, b, c, d = matrix[row], matrix[row + 1], matrix[row + 2], matrix[row + 3]
                for lane in range(part.size):
                    part[lane] += (np.int64(a[lane]) + np.int64(b[lane])) + (
                        np.int64(c[lane]) + np.int64(d[lane])
                    )
                row += 4
            while row < last:
                a = matrix[row]
                for lane in range(part.size):
                    part[lane] += a[lane]
                row += 1
            number += 1
        total = sums[roi]
        for lane in range(part.size):
            total[lane] += part[lane]
