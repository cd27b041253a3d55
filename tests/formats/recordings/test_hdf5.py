from __future__ import annotations

import h5py
import numpy as np
import pytest

from roitrace.errors import ArgumentError, FormatError, MissingDependencyError
from roitrace.formats.recordings.hdf5_source import Hdf5Source
from roitrace.formats.recordings.strided import StridedSource
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import check_source, movie, opened
from tests.shared_data import DATA, needs_data


@pytest.fixture
def path(tmp_path):
    return tmp_path / "movie.h5"


def write(path, samples, name="data", *, attrs=None, labels=(), **options):
    with h5py.File(path, "a") as file:
        dataset = file.create_dataset(name, data=samples, **options)
        dataset.attrs.update(attrs or {})
        for dimension, label in zip(dataset.dims, labels, strict=False):
            dimension.label = label


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (3, 2, 4)},
        {"chunks": (2, 5, 6), "compression": "gzip", "shuffle": True},
        {"chunks": (1, 5, 6), "compression": "lzf", "fletcher32": True},
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "int16", ">u2", "float32", ">f8"])
def test_layouts(path, options, dtype):
    samples = movie(dtype=dtype)
    write(path, samples, **options)
    source, metadata = opened(path)
    assert isinstance(source, Hdf5Source if options else StridedSource)
    assert source.chunks == options.get("chunks", (1, 5, 6))
    check_source(source, samples, max_examples=10)
    assert "7 frames of 5 x 6" in metadata.notes[0]


@pytest.mark.parametrize("chunks", [None, (2, 3, 4)])
def test_axes_of_the_user(path, chunks):
    samples = movie()
    write(path, samples.transpose(1, 2, 0), chunks=chunks)
    source, metadata = opened(path, axes="yxt")
    check_source(source, samples)
    assert metadata.notes == ()
    if chunks:
        assert source.chunks == (4, 2, 3)


@pytest.mark.parametrize("chunks", [None, True])
def test_channels_and_planes(path, chunks):
    samples = movie((4, 2, 3, 5, 6))
    write(path, samples, chunks=chunks, labels=("time", "channel", "z", "row", "col"))
    recording = open_recording_file(path)
    for channel in range(2):
        for plane in range(3):
            check_source(recording.sources[channel][plane], samples[:, channel, plane], max_examples=3)
    with pytest.raises(ArgumentError, match="has 5 axes"):
        open_recording_file(path, axes="tyx")


def test_labels_name_the_axes(path):
    write(path, movie().transpose(2, 1, 0), labels=("x", "y", "t"))
    source, metadata = opened(path)
    check_source(source, movie(), max_examples=5)
    assert metadata.notes == ()


def test_scales_give_times_and_positions(path):
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("f", data=movie())
        scales = {"time": np.arange(7) / 20, "y": np.arange(5) * 2.0, "x": np.arange(6) * 1500.0}
        for dimension, (name, values) in zip(dataset.dims, scales.items(), strict=True):
            file[name] = values
            file[name].make_scale(name)
            dimension.attach_scale(file[name])
        file["time"].attrs["units"] = "seconds since 2024-01-01"
        file["y"].attrs["units"] = "micrometer"
        file["x"].attrs["units"] = b"nm"
    source, metadata = opened(path)
    check_source(source, movie(), max_examples=3)
    assert metadata.frame_rate == pytest.approx(20)
    np.testing.assert_allclose(metadata.coordinates["time"][0], np.arange(7) / 20)
    np.testing.assert_allclose(metadata.coordinates["x"][0], np.arange(6) * 1.5)
    assert [unit for _, unit in metadata.coordinates.values()] == ["s", "micrometer", "micrometer"]


def test_frame_rate_from_attributes(path):
    write(path, movie(), attrs={"frame_rate": "unknown", "fr": np.array([15.5])})
    assert opened(path)[1].frame_rate == 15.5


def test_a_dataset_is_named_or_found(path):
    write(path, movie(seed=1), "session/one", chunks=True)
    assert opened(path)[0].identity()
    write(path, movie(seed=2), "session/two", chunks=True)
    write(path, np.zeros((5, 6)), "mean")
    with pytest.raises(ArgumentError, match=r"several arrays .*/session/one \(7, 5, 6\), /session/two"):
        open_recording_file(path)
    for place, options in (
        (f"{path}::/session/two", {}),
        (f"{path}::session/two", {}),
        (path, {"dataset": "session/two"}),
    ):
        check_source(opened(place, **options)[0], movie(seed=2), max_examples=3)
    with pytest.raises(ArgumentError, match="name it once"):
        open_recording_file(f"{path}::/session/two", dataset="/session/one")
    for wrong in ("session", "nothing"):
        with pytest.raises(ArgumentError, match="its datasets are: /mean, /session/one, /session/two"):
            open_recording_file(path, dataset=wrong)
    write(path, movie((80, 5, 6)), "all")
    check_source(opened(path)[0], movie((80, 5, 6)), max_examples=3)


def test_two_datasets_of_one_file_have_identities_of_their_own(path):
    write(path, movie(), "one", chunks=True)
    write(path, movie(), "two", chunks=True)
    assert opened(path, dataset="one")[0].identity() != opened(path, dataset="two")[0].identity()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((5, 6), "uint16"), "no array with three axes"),
        (np.zeros((0, 5, 6), "uint16"), "is empty: time 0"),
        (np.zeros((2, 2, 5, 6), "uint16"), "does not name its axes"),
        (np.zeros((2, 5, 6), "int64"), "holds int64 samples"),
        (np.zeros((2, 5, 6), "bool"), "holds bool samples"),
        (np.zeros((2, 5, 6), "complex64"), "expected numbers|holds complex64"),
        (np.zeros((2, 5, 6), [("a", "u2")]), "expected numbers"),
    ],
)
def test_no_recording(path, samples, message):
    write(path, samples)
    with pytest.raises(FormatError, match=message):
        open_recording_file(path)


def test_labels_without_time(path):
    write(path, movie(), "planes", labels=("z", "y", "x"))
    assert "7 planes" in opened(path)[1].notes[0]
    path.unlink()
    write(path, movie(), "channels", labels=("c", "y", "x"))
    with pytest.raises(FormatError, match="channel 7, y 5, x 6, expected time"):
        open_recording_file(path)


def test_samples_never_written(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("data", shape=(10, 5, 6), dtype="uint16", chunks=(2, 5, 6))
    with pytest.raises(FormatError, match="no sample was ever written"):
        open_recording_file(path)
    with h5py.File(path, "a") as file:
        file["data"][:6] = 1
    assert "2 of 5 chunks of" in opened(path)[1].notes[1]


def test_damaged_files(path):
    write(path, movie((64, 5, 6)), chunks=(8, 5, 6), compression="gzip")
    content = bytearray(path.read_bytes())
    source, _ = opened(path)
    with h5py.File(path, "r") as file:
        chunk = file["data"].id.get_chunk_info(3)
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\x07" * chunk.size
    path.write_bytes(content)
    assert source.read(slice(0, 8), slice(0, 5), slice(0, 6)).any()
    with pytest.raises(FormatError, match=r"frames 20 to 30 of .* cannot be read"):
        source.read(slice(20, 30), slice(0, 5), slice(0, 6))
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match="cannot be read as HDF5"):
        open_recording_file(path)


def test_filter_that_is_not_installed(path, monkeypatch):
    write(path, movie(), chunks=True, compression="gzip")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda _: False)
    with pytest.raises(MissingDependencyError, match="deflate, which is not installed"):
        open_recording_file(path)


def test_a_user_block_may_stand_in_front(path):
    with h5py.File(path, "w", userblock_size=1024) as file:
        file["data"] = movie()
    check_source(opened(path)[0], movie(), max_examples=3)


@pytest.mark.parametrize("chunks", [None, (2, 5, 6)])
def test_opening_reads_no_samples(path, monkeypatch, chunks):
    write(path, movie(), chunks=chunks)

    def refuse(*_args, **_kwargs):
        raise AssertionError("samples were read")

    for name in ("read_direct", "__getitem__", "astype"):
        monkeypatch.setattr(h5py.Dataset, name, refuse)
    monkeypatch.setattr(StridedSource, "open", refuse)
    assert opened(path)[0].shape == (7, 5, 6)


@needs_data
def test_real_file_in_y_x_t_order():
    path = DATA / "sima_example_h5" / "example.h5"
    with h5py.File(path) as file:
        stored = file["imaging"][()]
    source, _ = opened(path, axes="yxt")
    assert source.shape == (20, 128, 256)
    check_source(source, np.moveaxis(stored, 2, 0), max_examples=5)
    _, metadata = opened(path)
    assert "128 frames of 256 x 20" in metadata.notes[0]
    assert "axes='yxt'" in metadata.notes[0]
