"""Sums of ROIs that share pixels, from the pixels of one tile."""

from __future__ import annotations

from roitrace.kernels.compiled import compiled
from roitrace.kernels.sums import add_rows

__all__ = ["add_parts"]


@compiled()
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
            first = parts[number, 1]
            add_rows(matrix[first : first + parts[number, 2]], part)
            number += 1
        total = sums[roi]
        for lane in range(part.size):
            total[lane] += part[lane]
