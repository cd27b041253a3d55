"""Measures of whole frames, row by row, so that no result depends on how a frame was cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from roitrace.kernels.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["factors", "measure_rows"]


def factors(first_row: int, rows: int, width: int) -> NDArray[np.uint64]:
    """Return an odd number ``(rows, width)`` for each pixel, scattered over 64 bits: sums of samples times these tell frames apart."""
    number = np.arange(first_row * width, (first_row + rows) * width, dtype=np.uint64)
    mixed = (number + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) | np.uint64(1)).reshape(rows, width)


@compiled()
def measure_rows(block, bits, factor, saturation, count, mean, squares, saturated, low, high, check, row_means, first_row):  # type: ignore[no-untyped-def]  # fmt: skip
    """Add whole rows ``(time, y, x)`` of some frames to their measures, each ``(time,)``; rows come from top to bottom.

    `bits` are the samples as integers, `factor` belongs to their pixels. `mean` and `squares` (squared deviations from it) are of the `count`
    samples that are not NaN; `check` is a sum of bits times factors; ``row_means (time, y)`` is NaN where a row has no samples.
    """
    frames, rows, width = block.shape
    for frame in range(frames):
        for row in range(rows):
            total, valid, bright = 0.0, 0, 0
            smallest, largest = low[frame], high[frame]
            mark = check[frame]
            for k in range(width):
                value = np.float64(block[frame, row, k])
                mark += np.uint64(bits[frame, row, k]) * factor[row, k]
                if value == value:  # noqa: PLR0124 - not NaN
                    total += value
                    valid += 1
                    bright += value >= saturation
                    smallest = min(smallest, value)
                    largest = max(largest, value)
            check[frame] = mark
            saturated[frame] += bright
            low[frame], high[frame] = smallest, largest
            if valid == 0:
                row_means[frame, first_row + row] = np.nan
                continue
            centre = total / valid
            deviations = 0.0
            for k in range(width):
                value = np.float64(block[frame, row, k])
                if value == value:  # noqa: PLR0124
                    deviations += (value - centre) ** 2
            row_means[frame, first_row + row] = centre
            before = count[frame]
            step = centre - mean[frame]
            count[frame] = before + valid
            mean[frame] += step * valid / count[frame]
            squares[frame] += deviations + step * step * before * valid / count[frame]
