from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.errors import ArgumentError
from roitrace.store.layout import MAX_SHARD_BYTES, MIN_CHUNK_BYTES, RecordingLayout, default_chunks


@pytest.mark.parametrize(
    ("frame", "itemsize", "chunks"),
    [
        ((512, 512), 2, (256, 64, 64)),
        ((512, 512), 1, (256, 64, 64)),
        ((512, 512), 8, (128, 64, 64)),
        ((2048, 2048), 2, (32, 128, 128)),
        ((2048, 2048), 4, (16, 128, 128)),
        ((10, 12), 2, (256, 10, 12)),
        ((1, 100_000), 2, (256, 1, 2048)),
        ((40_000, 40_000), 2, (1, 1024, 1024)),
    ],
)
def test_default_chunks(frame, itemsize, chunks):
    assert default_chunks(frame, itemsize) == chunks


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from([1, 2, 4, 8]))
def test_default_chunks_follow_the_rule(height, width, itemsize):
    frames, tile_y, tile_x = default_chunks((height, width), itemsize)
    frame_bytes = height * width * itemsize
    assert math.log2(frames).is_integer()
    assert frames == 1 or frames * frame_bytes <= MAX_SHARD_BYTES
    assert frames == 256 or 2 * frames * frame_bytes > MAX_SHARD_BYTES
    assert tile_y <= height
    assert tile_x <= width
    whole = (tile_y, tile_x) == (height, width)
    assert whole or frames * tile_y * tile_x * itemsize >= MIN_CHUNK_BYTES


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 1000),
    st.integers(1, 300),
    st.integers(1, 300),
    st.none() | st.tuples(*[st.integers(1, 400)] * 3),
    st.sampled_from([(), ("channel",), ("channel", "plane")]),
)
def test_a_shard_is_whole_frames_of_whole_chunks(frames, height, width, chunks, middle):
    counts = tuple(range(2, 2 + len(middle)))
    dims = ("time", *middle, "y", "x")
    layout = RecordingLayout.of(dims, (frames, *counts, height, width), "uint16", chunks)
    assert len(layout.chunks) == len(layout.shards) == len(dims)
    assert all(shard % chunk == 0 for shard, chunk in zip(layout.shards, layout.chunks, strict=True))
    assert layout.shards[0] == layout.chunks[0]
    assert layout.shards[1:-2] == (1,) * len(middle)
    assert layout.shards[-2] >= height > layout.shards[-2] - layout.chunks[-2]
    assert layout.shards[-1] >= width > layout.shards[-1] - layout.chunks[-1]
    assert len(list(layout.units())) == -(-frames // layout.chunks[0]) * math.prod(counts)
    if chunks is not None:
        assert (layout.chunks[0], *layout.chunks[-2:]) == chunks


def test_the_grid_depends_on_shape_and_dtype_alone():
    one = RecordingLayout.of(("time", "y", "x"), (5000, 512, 512), "uint16")
    assert RecordingLayout.of(("time", "y", "x"), (5000, 512, 512), np.dtype(">u2")).chunks == one.chunks


@pytest.mark.parametrize("chunks", [(0, 1, 1), (4, -1, 4), (4, 4, 0)])
def test_chunks_that_are_refused(chunks):
    with pytest.raises(ArgumentError, match="expected three positive numbers"):
        RecordingLayout.of(("time", "y", "x"), (10, 10, 10), "uint8", chunks)
