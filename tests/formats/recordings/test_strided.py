from __future__ import annotations

import numpy as np
import pytest
from numpy.lib import format as npy_format

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.recordings.strided import StridedSource
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import check_source, movie, opened

DTYPES = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64"]


@pytest.mark.parametrize("dtype", [*DTYPES, ">u2", ">i4", ">f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_reads_like_numpy(tmp_path, dtype, order):
    samples = np.asarray(movie(dtype=dtype), order=order)
    np.save(tmp_path / "movie.npy", samples)
    source, metadata = opened(tmp_path / "movie.npy")
    check_source(source, samples, max_examples=10)
    assert metadata.frame_rate is None
    assert "7 frames of 5 x 6" in metadata.notes[0]
    assert source.chunks == ((1, 5, 6) if order == "C" else (7, 5, 1))


def test_native_blocks_are_views_of_the_file(tmp_path):
    np.save(tmp_path / "movie.npy", movie())
    source, _ = opened(tmp_path / "movie.npy")
    with source.open() as reader:
        block = reader.read(slice(0, 2), slice(0, 5), slice(0, 6))
    assert not block.flags.owndata
    assert not block.flags.writeable
    assert block.sum() == movie()[:2].sum()  # still alive behind its reader


def test_unaligned_samples_are_copied(tmp_path):
    samples = movie(dtype="float64")
    path = tmp_path / "raw.bin"
    path.write_bytes(b"abc" + samples.tobytes())
    source = StridedSource(str(path), "<f8", 3, samples.strides, samples.shape)
    with source.open() as reader:
        block = reader.read(slice(0, 7), slice(0, 5), slice(0, 6))
        assert block.flags.aligned
        np.testing.assert_array_equal(block, samples)


@pytest.mark.parametrize(("axes", "order"), [("yxt", (1, 2, 0)), ("xyt", (2, 1, 0)), ("ytx", (1, 0, 2))])
def test_npy_axes_are_those_the_user_gives(tmp_path, axes, order):
    samples = movie()
    np.save(tmp_path / "movie.npy", samples.transpose(order))
    source, metadata = opened(tmp_path / "movie.npy", axes=axes)
    check_source(source, samples)
    assert metadata.notes == ()


def test_npy_channels_and_planes(tmp_path):
    samples = movie((4, 2, 3, 5, 6))
    np.save(tmp_path / "movie.npy", samples)
    recording = open_recording_file(tmp_path / "movie.npy", axes="TCZYX")
    assert (len(recording.sources), len(recording.sources[0])) == (2, 3)
    assert recording.has_channel_axis
    assert recording.has_plane_axis
    assert recording.metadata.channel_names == ("0", "1")
    for channel in range(2):
        for plane in range(3):
            check_source(recording.sources[channel][plane], samples[:, channel, plane], max_examples=5)
    identities = {source.identity() for planes in recording.sources for source in planes}
    assert len(identities) == 6


def test_opening_npy_reads_no_samples(tmp_path):
    path = tmp_path / "huge.npy"
    with path.open("wb") as file:
        npy_format.write_array_header_1_0(
            file, {"descr": "<u2", "fortran_order": False, "shape": (200_000, 512, 512)}
        )
        file.truncate(file.tell() + 200_000 * 512 * 512 * 2)  # 100 GB of nothing: a sparse file
    source, _ = opened(path)
    assert source.shape == (200_000, 512, 512)
    assert not source.read(slice(199_999, 200_000), slice(500, 512), slice(0, 2)).any()


def test_file_cut_short_after_opening(tmp_path):
    path = tmp_path / "movie.npy"
    np.save(path, movie())
    source, _ = opened(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FormatError, match="cut short after"), source.open():
        pass


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((3, 4), "uint16"), "one image of 3 x 4"),
        (np.zeros((0, 3, 4), "uint16"), "is empty: time 0"),
        (np.zeros((2, 3, 4), "int64"), "holds int64 samples"),
        (np.zeros((2, 3, 4), "bool"), "holds bool samples"),
        (np.zeros((2, 3, 4), "complex64"), "holds complex64 samples"),
        (np.zeros((2, 3, 4), "float16"), "holds float16 samples"),
        (np.zeros((2, 2, 3, 4), "uint16"), "does not name its axes"),
        (np.array([{}], dtype=object), "expected numbers"),
        (np.zeros((2, 3, 4), [("a", "u2")]), "expected numbers"),
    ],
)
def test_npy_that_is_no_recording(tmp_path, samples, message):
    np.save(tmp_path / "a.npy", samples)
    with pytest.raises(FormatError, match=message):
        open_recording_file(tmp_path / "a.npy")


def test_npy_cut_short_names_the_frames(tmp_path):
    path = tmp_path / "movie.npy"
    np.save(path, movie((10, 5, 6)))
    path.write_bytes(path.read_bytes()[: -5 * 60])
    with pytest.raises(FormatError, match=r"declares 10 frames .* about 5 frames"):
        open_recording_file(path)


def test_damaged_and_unknown_npy_headers(tmp_path):
    path = tmp_path / "movie.npy"
    np.save(path, movie())
    content = path.read_bytes()
    path.write_bytes(content[:8] + b"\xff" * 20)
    with pytest.raises(FormatError, match=r"damaged \.npy header"):
        open_recording_file(path)
    path.write_bytes(content[:6] + b"\x03\x00" + content[8:])
    with pytest.raises(FormatError, match="version"):
        open_recording_file(path)


@pytest.mark.parametrize("axes", ["yx", "tyxx", "txy ", "abc", "czyx", "tyz"])
def test_impossible_axes(tmp_path, axes):
    np.save(tmp_path / "a.npy", movie())
    with pytest.raises(ArgumentError, match="one letter per axis"):
        open_recording_file(tmp_path / "a.npy", axes=axes)
