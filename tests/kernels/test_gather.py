from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.errors import TypingError

from roitrace.kernels.gather import gather, runs_of
from roitrace.sources import SAMPLE_DTYPES
from tests.strategies import roi_pixels


@st.composite
def flat_pixels(draw, frame):
    rows = draw(roi_pixels(frame))
    flat = [np.sort(row[:, 0] * frame[1] + row[:, 1]) for row in rows]
    return np.concatenate(flat) if flat else np.zeros(0, np.int64)


def pixels_of(runs, width):
    return [(entry + k, y * width + x + k) for entry, y, x, length in runs.tolist() for k in range(length)]


@settings(max_examples=50, deadline=None)
@given(st.data(), st.integers(1, 8), st.integers(1, 40))
def test_runs_hold_every_pixel_once_and_stay_in_their_row(data, height, width):
    pixels = data.draw(flat_pixels((height, width)))
    runs = runs_of(pixels, width)
    assert pixels_of(runs, width) == list(enumerate(pixels.tolist()))
    assert (runs[:, 2] + runs[:, 3] <= width).all()


def test_neighbours_form_one_run():
    assert runs_of(np.array([3, 4, 5, 6, 7, 9]), 5).tolist() == [[0, 0, 3, 2], [2, 1, 0, 3], [5, 1, 4, 1]]
    assert runs_of(np.zeros(0, np.int64), 5).shape == (0, 4)


LAYOUTS = {
    "time slow": np.ascontiguousarray,
    "time fast": lambda block: np.ascontiguousarray(block.transpose(1, 2, 0)).transpose(2, 0, 1),
    "fortran": np.asfortranarray,
    "strided": lambda block: np.repeat(np.repeat(block, 2, axis=0), 3, axis=2)[::2, :, ::3],
    "backwards": lambda block: np.ascontiguousarray(block[:, ::-1])[:, ::-1],
    "read only": lambda block: np.frombuffer(block.tobytes(), block.dtype).reshape(block.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("frames", [1, 2, 7, 8, 11, 16, 17, 31, 32, 37])
def test_gather_copies_what_fancy_indexing_does(layout, frames):
    rng = np.random.default_rng(4)
    frame = (5, 40)
    movie = rng.integers(0, 2**16, (frames, *frame), dtype=np.uint16)
    pixels = np.concatenate([np.arange(3, 39), rng.permutation(200)[:50], np.arange(80, 100)])
    matrix = np.full((pixels.size, frames + 5), 9, np.uint16)
    runs = runs_of(pixels, 40)
    top, left = 0, 0
    gather(LAYOUTS[layout](movie), runs, top, left, matrix, 3)
    np.testing.assert_array_equal(matrix[:, 3 : 3 + frames], movie.reshape(frames, -1)[:, pixels].T)
    assert (matrix[:, :3] == 9).all()
    assert (matrix[:, 3 + frames :] == 9).all()


@pytest.mark.parametrize("dtype", SAMPLE_DTYPES)
def test_gather_keeps_every_dtype_and_knows_where_the_block_lies(dtype):
    rng = np.random.default_rng(5)
    movie = rng.integers(0, 100, (6, 9, 11)).astype(dtype)
    block = movie[:, 4:7, 5:9]
    pixels = np.array([4 * 11 + 5, 4 * 11 + 6, 6 * 11 + 8])
    matrix = np.zeros((3, 6), dtype)
    gather(block, runs_of(pixels, 11), 4, 5, matrix, 0)
    np.testing.assert_array_equal(matrix, movie.reshape(6, -1)[:, pixels].T)


@pytest.mark.parametrize("dtype", SAMPLE_DTYPES)
@pytest.mark.parametrize("length", range(1, 20))
def test_runs_of_every_length_of_every_dtype(dtype, length):
    rng = np.random.default_rng(length)
    block = rng.integers(0, 100, (35, 3, 21)).astype(dtype)
    ends = [np.arange(stop - length, stop) for stop in (20, 2 * 21, 3 * 21)]  # the last ends with the block
    pixels = np.concatenate(ends)
    matrix = np.full((pixels.size + 1, 38), 9, dtype)
    gather(block, runs_of(pixels, 21), 0, 0, matrix, 2)
    np.testing.assert_array_equal(matrix[:-1, 2:37], block.reshape(35, -1)[:, pixels].T)
    assert (matrix[-1] == 9).all()
    assert (matrix[:, [0, 1, 37]] == 9).all()


FENCED = """
import ctypes, mmap
import numpy as np
from roitrace.kernels.gather import gather, runs_of

room = mmap.mmap(-1, 2 * mmap.PAGESIZE)
page = np.frombuffer(room, np.uint8, mmap.PAGESIZE)
assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(page.ctypes.data + mmap.PAGESIZE), mmap.PAGESIZE, 0) == 0
page[:] = np.arange(mmap.PAGESIZE) % 251
block = page.view(np.uint16).reshape(16, -1, 8)
for length in range(1, 8):
    pixels = np.arange(block[0].size - length, block[0].size)
    matrix = np.zeros((length, 16), np.uint16)
    gather(block, runs_of(pixels, 8), 0, 0, matrix, 0)
    np.testing.assert_array_equal(matrix, block.reshape(16, -1)[:, pixels].T)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a page is made unreadable as Linux does it")
def test_nothing_behind_a_block_is_read():
    subprocess.run([sys.executable, "-c", FENCED], check=True, timeout=120)


@pytest.mark.parametrize("frames", [4, 16])
def test_samples_of_another_dtype_are_not_taken_for_their_bits(frames):
    block = np.arange(frames * 8, dtype=np.uint16).reshape(frames, 1, 8)
    matrix = np.zeros((8, frames), np.uint32)
    with pytest.raises(TypingError):
        gather(block, runs_of(np.arange(8), 8), 0, 0, matrix, 0)


def test_gather_without_runs_touches_nothing():
    matrix = np.full((2, 2), 5.0)
    gather(np.zeros((2, 1, 1)), np.zeros((0, 4), np.int32), 0, 0, matrix, 0)
    assert (matrix == 5.0).all()
