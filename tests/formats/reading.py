"""What every block source must do: read any window like NumPy, travel by pickle, keep its identity."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.formats.registry import open_recording_file


def windows(shape):
    """Three slices that are not empty."""
    bounds = [st.tuples(st.integers(0, size - 1), st.integers(1, size)) for size in shape]
    return st.tuples(
        *(
            bound.map(lambda pair: slice(min(pair[0], pair[1] - 1), max(pair[0] + 1, pair[1])))
            for bound in bounds
        )
    )


def check_source(source, expected, *, max_examples=25):
    """Compare a block source with the array that it should read."""
    assert source.shape == expected.shape
    assert source.dtype == expected.dtype.newbyteorder("=")
    assert source.dtype.isnative
    assert len(source.chunks) == 3
    assert all(chunk >= 1 for chunk in source.chunks)
    travelled = pickle.loads(pickle.dumps(source))
    assert travelled.identity() == source.identity()
    assert source.identity()

    with travelled.open() as reader:

        @settings(max_examples=max_examples, deadline=None, database=None)
        @given(windows(expected.shape))
        def reads_like_numpy(window):
            block = reader.read(*window)
            assert block.dtype == source.dtype
            assert block.dtype.isnative
            np.testing.assert_array_equal(block, expected[window])

        reads_like_numpy()
    everything = tuple(slice(0, size) for size in expected.shape)
    np.testing.assert_array_equal(source.read(*everything), expected)


def opened(path, **options):
    """The only source of a recording of one channel and plane, and its metadata."""
    recording = open_recording_file(path, **options)
    assert len(recording.sources) == len(recording.sources[0]) == 1
    return recording.sources[0][0], recording.metadata


def movie(shape=(7, 5, 6), dtype="uint16", seed=0):
    """Random samples over the whole range of a dtype."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.normal(100, 50, shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, endpoint=True, dtype=dtype.newbyteorder("=")).astype(dtype)
