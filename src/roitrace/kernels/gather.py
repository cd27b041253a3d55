"""Copy the pixels of ROIs out of a block, in one canonical order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["gather", "runs_of"]


def runs_of(pixels: NDArray[np.int64], width: int) -> NDArray[np.int32]:
    """Split flat pixel indices into horizontal runs: an array (n, 4) of entry, y_index, x_index, length.

    Entries that follow one another in `pixels` and lie side by side in a row form one run.
    """
    if pixels.size == 0:
        return np.zeros((0, 4), dtype=np.int32)
    y_index, x_index = np.divmod(pixels, width)
    breaks = np.flatnonzero((np.diff(pixels) != 1) | (np.diff(y_index) != 0)) + 1
    starts = np.concatenate([[0], breaks])
    lengths = np.diff(np.concatenate([starts, [pixels.size]]))
    return np.stack([starts, y_index[starts], x_index[starts], lengths], axis=1).astype(np.int32)


def gather(
    block: NDArray[np.generic], runs: NDArray[np.int32], top: int, left: int, matrix: NDArray[np.generic], column: int
) -> None:
    """Copy the pixels of `runs` from a block ``(time, y, x)`` into rows of a matrix ``(entry, time)``.

    Parameters
    ----------
    block : numpy.ndarray
        Samples; its first pixel is row `top`, column `left` of the frame.
    runs : numpy.ndarray
        As `runs_of` gives them; all inside the block.
    top, left : int
        Where the block lies in the frame.
    matrix : numpy.ndarray
        Written to, from `column` on.
    column : int
        Column of the block's first frame.
    """
    if runs.shape[0] == 0:
        return
    if block.strides[0] == block.itemsize and block.shape[0] > 1:
        _copy_rows(block, runs, top, left, matrix, column)
    else:
        _transpose_rows(block, runs, top, left, matrix, column)


@numba.njit(cache=True, nogil=True, boundscheck=False)
def _transpose_rows(block, runs, top, left, matrix, column):  # type: ignore[no-untyped-def]
    """Time is the slow axis of the block: copy run by run, a run's rows stay in the first-level cache."""
    frames = block.shape[0]
    for number in range(runs.shape[0]):
        entry, y, x, length = runs[number, 0], runs[number, 1] - top, runs[number, 2] - left, runs[number, 3]
        for first in range(0, length, 16):
            last = min(first + 16, length)
            for frame in range(frames):
                for k in range(first, last):
                    matrix[entry + k, column + frame] = block[frame, y, x + k]


@numba.njit(cache=True, nogil=True, boundscheck=False)
def _copy_rows(block, runs, top, left, matrix, column):  # type: ignore[no-untyped-def]
    """Time is the fast axis of the block: each pixel is one copy."""
    frames = block.shape[0]
    for number in range(runs.shape[0]):
        entry, y, x, length = runs[number, 0], runs[number, 1] - top, runs[number, 2] - left, runs[number, 3]
        for k in range(length):
            source = block[:, y, x + k]
            for frame in range(frames):
                matrix[entry + k, column + frame] = source[frame]
