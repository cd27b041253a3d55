from __future__ import annotations

import numpy as np
import pytest

from roitrace.errors import FormatError
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import check_source, movie, opened


def write_mmap(folder, samples, order, *, name="Yr{}.mmap", tail="_"):
    """Write (time, y, x, [z]) as CaImAn does: a memory map (pixel, frame), pixels in Fortran order."""
    n_frames, *dims = samples.shape
    d1, d2, d3 = (*dims, 1)[:3]
    path = folder / name.format(f"_d1_{d1}_d2_{d2}_d3_{d3}_order_{order}_frames_{n_frames}{tail}")
    mapped = np.memmap(path, mode="w+", dtype=np.float32, shape=(d1 * d2 * d3, n_frames), order=order)
    mapped[:] = samples.reshape((n_frames, -1), order="F").T
    mapped.flush()
    return path


@pytest.mark.parametrize(("order", "chunks"), [("F", (1, 5, 6)), ("C", (7, 5, 1))])
@pytest.mark.parametrize("tail", ["_", ""])
def test_either_order_reads_like_numpy(tmp_path, order, chunks, tail):
    samples = movie(dtype="float32")
    source, metadata = opened(write_mmap(tmp_path, samples, order, tail=tail))
    check_source(source, samples)
    assert source.chunks == chunks
    assert metadata.frame_rate is None


@pytest.mark.parametrize("order", ["C", "F"])
def test_volumes_have_planes(tmp_path, order):
    samples = movie((7, 5, 6, 3), "float32")
    recording = open_recording_file(write_mmap(tmp_path, samples, order))
    assert recording.has_plane_axis
    for plane in range(3):
        check_source(recording.sources[0][plane], samples[..., plane], max_examples=8)


def test_a_name_without_shape_is_refused(tmp_path):
    path = write_mmap(tmp_path, movie(dtype="float32"), "C")
    renamed = path.rename(tmp_path / "memmap.mmap")
    with pytest.raises(FormatError, match="does not say its shape as CaImAn does"):
        open_recording_file(renamed)


def test_length_and_name_must_agree(tmp_path):
    path = write_mmap(tmp_path, movie(dtype="float32"), "C")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(FormatError, match="836 bytes, its name says 7 frames of 5 x 6 x 1"):
        open_recording_file(path)


def test_a_name_of_no_frames_is_refused(tmp_path):
    path = tmp_path / "Yr_d1_5_d2_6_d3_1_order_C_frames_0_.mmap"
    path.write_bytes(b"")
    with pytest.raises(FormatError, match="is empty"):
        open_recording_file(path)
