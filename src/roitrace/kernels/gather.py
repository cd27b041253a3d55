"""Copy the pixels of ROIs out of a block, in one canonical order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from roitrace.kernels.compiled import compiled
from roitrace.kernels.transposing import BLOCK_FRAMES, BLOCK_PIXELS, transpose_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["gather", "runs_of", "scatter", "transpose_rows"]

FEW_FRAMES = 8
PIXELS_AT_ONCE = 1024


def runs_of(
    pixels: NDArray[np.int64], width: int, starts: NDArray[np.int64] | None = None
) -> NDArray[np.int32]:
    """Split flat pixel indices into horizontal runs: an array (n, 4) of entry, y_index, x_index, length.

    Entries that follow one another in `pixels` and lie side by side in a row form one run; those in `starts` begin a new one.
    """
    if pixels.size == 0:
        return np.zeros((0, 4), dtype=np.int32)
    y_index, x_index = np.divmod(pixels, width)
    begins = np.ones(pixels.size, np.bool_)
    begins[1:] = (np.diff(pixels) != 1) | (np.diff(y_index) != 0)
    if starts is not None:
        begins[starts[starts < pixels.size]] = True
    first = np.flatnonzero(begins)
    lengths = np.diff(np.append(first, pixels.size))
    return np.stack([first, y_index[first], x_index[first], lengths], axis=1).astype(np.int32)


def gather(
    block: NDArray[np.generic],
    runs: NDArray[np.int32],
    top: int,
    left: int,
    matrix: NDArray[np.generic],
    column: int,
) -> None:
    """Copy the pixels of `runs` from a block ``(time, y, x)`` into rows of a matrix ``(entry, time)``.

    Parameters
    ----------
    block : numpy.ndarray
        Samples; its first pixel is row `top`, column `left` of the frame.
    runs : numpy.ndarray
        As `runs_of` gives them; all inside the block. Raster order is fastest.
    top, left : int
        Where the block lies in the frame.
    matrix : numpy.ndarray
        Contiguous; written to, from `column` on.
    column : int
        Column of the block's first frame.
    """
    if runs.shape[0] == 0:
        return
    if block.shape[0] > 1 and block.strides[0] == block.itemsize:
        _copy_rows(np.ascontiguousarray(block.transpose(1, 2, 0)), runs, top, left, matrix, column)
    else:
        plain = np.ascontiguousarray(block)
        transpose_rows(
            plain.reshape(-1), plain.shape, runs, top, left, matrix.reshape(-1), matrix.shape[1], column
        )


@compiled()
def transpose_rows(block, shape, runs, top, left, matrix, width, column):  # type: ignore[no-untyped-def]
    """Time is the slow axis of the block: sixteen frames at a time, of up to eight pixels in registers; the last with some that are done already.

    All frames of some runs come before the next runs, so that the rows of the matrix stay in the cache too. With the runs in raster
    order the frames are read nearly in sequence. Unsigned indices spare the test for negative ones.
    """
    plane = np.uint64(shape[1] * shape[2])
    stride = np.uint64(width)
    frames = np.uint64(shape[0])
    at_once, side = np.uint64(BLOCK_FRAMES), np.uint64(BLOCK_PIXELS)
    last_read = np.uint64(BLOCK_FRAMES - 1) * plane + side
    if frames < at_once:
        _transpose_few(block, shape, runs, top, left, matrix, width, column)
        return
    first = 0
    while first < runs.shape[0]:
        last = _last_together(runs, first)
        done_frames = np.uint64(0)
        while done_frames < frames:
            frame = min(done_frames, frames - at_once)
            for number in range(first, last):
                begin = np.uint64((runs[number, 1] - top) * shape[2] + runs[number, 2] - left) + frame * plane
                end = np.uint64(runs[number, 0]) * stride + np.uint64(column) + frame
                length = np.uint64(runs[number, 3])
                done = np.uint64(0)
                while done < length:
                    # the last pixels of a run together with some that are done already, or with some behind a short one
                    step = min(done, length - side) if length >= side else np.uint64(0)
                    if begin + step + last_read > np.uint64(block.size):
                        break
                    source, target = begin + step, end + step * stride
                    transpose_block(block, source, plane, matrix, target, stride, min(length, side))
                    done = step + side
                for k in range(done, length):
                    for j in range(at_once):
                        matrix[end + k * stride + j] = block[begin + k + j * plane]
            done_frames = frame + at_once
        first = last


@compiled()
def _transpose_few(block, shape, runs, top, left, matrix, width, column):  # type: ignore[no-untyped-def]
    """As `transpose_rows`, for few frames: eight at a time, whose lines fit one set of the first-level cache."""
    plane = np.uint64(shape[1] * shape[2])
    stride = np.uint64(width)
    frames = np.uint64(shape[0])
    first = 0
    while first < runs.shape[0]:
        last = _last_together(runs, first)
        frame = np.uint64(0)
        while frame < frames:
            size = min(np.uint64(FEW_FRAMES), frames - frame)
            for number in range(first, last):
                begin = np.uint64((runs[number, 1] - top) * shape[2] + runs[number, 2] - left) + frame * plane
                end = np.uint64(runs[number, 0]) * stride + np.uint64(column) + frame
                for k in range(np.uint64(runs[number, 3])):
                    source = begin + k
                    target = end + k * stride
                    if size == np.uint64(FEW_FRAMES):
                        for j in range(np.uint64(FEW_FRAMES)):
                            matrix[target + j] = block[source + j * plane]
                    else:
                        for j in range(size):
                            matrix[target + j] = block[source + j * plane]
            frame += size
        first = last


@compiled()
def _last_together(runs, first):  # type: ignore[no-untyped-def]
    """Return where the runs end whose rows of the matrix stay in the cache together."""
    last, pixels = first, 0
    while last < runs.shape[0] and pixels < PIXELS_AT_ONCE:
        pixels += runs[last, 3]
        last += 1
    return last


@compiled()
def _copy_rows(series, runs, top, left, matrix, column):  # type: ignore[no-untyped-def]
    """Time is the fast axis of the block, here ``(y, x, time)``: each pixel is one copy."""
    frames = series.shape[2]
    for number in range(runs.shape[0]):
        entry, y, x = runs[number, 0], runs[number, 1] - top, runs[number, 2] - left
        for k in range(runs[number, 3]):
            target, source = matrix[entry + k, column : column + frames], series[y, x + k]
            for frame in range(frames):
                target[frame] = source[frame]


@compiled()
def scatter(piece, entries, matrix):  # type: ignore[no-untyped-def]
    """Copy the rows of a piece to their entries of a matrix ``(entry, time)``."""
    for row in range(entries.size):
        source, target = piece[row], matrix[entries[row]]
        for frame in range(target.size):
            target[frame] = source[frame]
