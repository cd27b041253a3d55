from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.codecs import BloscCodec, TransposeCodec

from roitrace.errors import ArgumentError, FormatError, StoreError
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import check_source, movie, opened

UNIT = {
    "t": ("time", "second"),
    "c": ("channel", None),
    "z": ("space", "micrometer"),
    "y": ("space", "micrometer"),
    "x": ("space", "micrometer"),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "movie.zarr"


def write(path, samples, *, zarr_format=3, **options):
    array = zarr.create_array(
        path, shape=samples.shape, dtype=samples.dtype, zarr_format=zarr_format, **options
    )
    array[...] = samples
    return array


def write_ome(path, samples, axes, version, scale):
    """An image as OME-Zarr 0.4 (zarr v2) or 0.5 (zarr v3) has it, with a second, coarser level."""
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    for level, part in (("0", samples), ("1", samples[..., ::2, ::2])):
        names = None if version == "0.4" else list(axes)
        array = group.create_array(
            level,
            shape=part.shape,
            dtype=part.dtype,
            chunks=(1,) * (part.ndim - 2) + (4, 4),
            dimension_names=names,
        )
        array[...] = part
    multiscales = [
        {
            "axes": [
                {"name": axis, "type": UNIT[axis][0], **({"unit": UNIT[axis][1]} if UNIT[axis][1] else {})}
                for axis in axes
            ],
            "datasets": [
                {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]},
                {
                    "path": "1",
                    "coordinateTransformations": [{"type": "scale", "scale": [*scale[:-2], 9.0, 9.0]}],
                },
            ],
            "coordinateTransformations": [
                {"type": "scale", "scale": [0.5 if axis == "t" else 1.0 for axis in axes]}
            ],
        }
    ]
    omero = {"channels": [{"label": "GCaMP"}, {"label": "tdTomato"}]}
    attributes = {"multiscales": multiscales, "omero": omero}
    group.attrs.update(attributes if version == "0.4" else {"ome": {"version": "0.5", **attributes}})
    return group


@pytest.mark.parametrize(
    ("zarr_format", "options"),
    [
        (2, {"chunks": (3, 2, 4)}),
        (3, {"chunks": (3, 2, 4)}),
        (3, {"chunks": (1, 2, 3), "shards": (2, 4, 6)}),
        (
            3,
            {
                "chunks": (3, 2, 4),
                "filters": [TransposeCodec(order=(1, 2, 0))],
                "compressors": [BloscCodec(typesize=2)],
            },
        ),
        (3, {"chunks": (100, 2, 4)}),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
def test_arrays(path, zarr_format, options, dtype):
    samples = movie(dtype=dtype)
    write(path, samples, zarr_format=zarr_format, **options)
    source, metadata = opened(path)
    check_source(source, samples, max_examples=10)
    assert source.chunks == options["chunks"]
    assert "7 frames of 5 x 6" in metadata.notes[0]


@pytest.mark.parametrize("dtype", [">u2", ">f4"])
def test_big_endian(path, dtype):
    samples = movie(dtype=dtype)
    write(path, samples, zarr_format=2, chunks=(3, 2, 4))
    check_source(opened(path)[0], samples)


def test_dimension_names_and_axes_of_the_user(path):
    samples = movie((4, 2, 3, 5, 6))
    write(
        path,
        samples.transpose(1, 0, 2, 4, 3),
        chunks=(1, 2, 1, 3, 5),
        dimension_names=("channel", "frame", "z", "x", "y"),
    )
    for options in ({}, {"axes": "ctzxy"}):
        recording = open_recording_file(path, **options)
        for channel in range(2):
            for plane in range(3):
                source = recording.sources[channel][plane]
                check_source(source, samples[:, channel, plane], max_examples=3)
                assert source.chunks == (2, 5, 3)


def test_array_dimensions_of_zarr_v2(path):
    write(
        path,
        movie().transpose(1, 0, 2),
        zarr_format=2,
        chunks=(5, 1, 6),
        attributes={"_ARRAY_DIMENSIONS": ["y", "time", "x"]},
    )
    source, metadata = opened(path)
    check_source(source, movie(), max_examples=5)
    assert metadata.notes == ()


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(path, version):
    samples = movie((4, 2, 3, 5, 6))
    write_ome(path, samples, "tczyx", version, [0.1, 1.0, 5.0, 0.5, 0.25])
    recording = open_recording_file(path)
    assert recording.format == "ome-zarr"
    assert recording.metadata.frame_rate == pytest.approx(20)
    assert recording.metadata.pixel_size == (0.5, 0.25)
    assert recording.metadata.channel_names == ("GCaMP", "tdTomato")
    for channel in range(2):
        for plane in range(3):
            check_source(recording.sources[channel][plane], samples[:, channel, plane], max_examples=3)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_inside_another_group(path, version):
    zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    write_ome(path / "scene" / "0", movie(), "tyx", version, [1.0, 1.0, 1.0])
    recording = open_recording_file(f"{path}::scene/0")
    assert recording.format == "ome-zarr"
    check_source(recording.sources[0][0], movie(), max_examples=3)


def test_ome_zarr_without_units_knows_no_sizes(path):
    group = write_ome(path, movie(), "tyx", "0.5", [0.1, 1.0, 1.0])
    ome = dict(group.attrs["ome"])
    for axis in ome["multiscales"][0]["axes"]:
        axis.pop("unit")
    group.attrs["ome"] = ome
    metadata = opened(path)[1]
    assert metadata.frame_rate is None
    assert metadata.pixel_size is None


def test_ome_volume_without_time(path):
    write_ome(path, movie(), "zyx", "0.5", [1.0, 1.0, 1.0])
    source, metadata = opened(path)
    check_source(source, movie(), max_examples=3)
    assert "7 planes of" in metadata.notes[0]
    write_ome(path.with_name("c.zarr"), movie(), "cyx", "0.5", [1.0, 1.0, 1.0])
    with pytest.raises(FormatError, match="channel 7, y 5, x 6, expected time"):
        open_recording_file(path.with_name("c.zarr"))


def test_damaged_ome_attributes(path):
    group = write_ome(path, movie(), "tyx", "0.4", [1.0, 1.0, 1.0])
    group.attrs["multiscales"] = [{"axes": 3}]
    with pytest.raises(FormatError, match="OME-Zarr attributes of"):
        open_recording_file(path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_xarray_writes(path, zarr_format):
    recording = xr.DataArray(
        movie((7, 2, 5, 6)),
        dims=("time", "channel", "y", "x"),
        coords={
            "time": ("time", np.arange(7) / 8, {"units": "s"}),
            "y": ("y", np.arange(5) * 2.0, {"units": "micrometer"}),
            "x": ("x", np.arange(6) * 3.0, {"units": "1"}),
        },
        name="movie",
        attrs={"acquisition_time": "2024-02-29"},
    )
    recording.to_dataset().to_zarr(path, zarr_format=zarr_format, consolidated=False)
    opened_again = open_recording_file(path)
    metadata = opened_again.metadata
    check_source(opened_again.sources[1][0], recording.values[:, 1], max_examples=3)
    assert metadata.frame_rate == pytest.approx(8)
    assert {axis: unit for axis, (_, unit) in metadata.coordinates.items()} == {
        "time": "s",
        "y": "micrometer",
        "x": "1",
    }
    np.testing.assert_allclose(metadata.coordinates["y"][0], np.arange(5) * 2.0)
    assert metadata.acquisition_time == "2024-02-29"
    assert metadata.attributes == {}


def test_coordinates_that_are_not_understood(path):
    group = zarr.create_group(path)
    group.create_array("data", data=movie(), chunks=(1, 5, 6), dimension_names=("time", "y", "x"))
    group.create_array("time", data=np.zeros(7), dimension_names=("time",), attributes={"units": "s"})
    group.create_array(
        "y", data=np.arange(4.0), dimension_names=("other",), attributes={"units": "micrometer"}
    )
    group.create_array("x", data=np.arange(6.0), dimension_names=("x",), attributes={"units": "furlong"})
    metadata = opened(path)[1]
    assert metadata.coordinates == {}
    assert metadata.frame_rate is None
    assert len(metadata.notes) == 2


def write_own(path, samples, *, finished=True, frames=None):
    """A store as this package writes it, or the first frames of one."""
    unfinished = {} if finished else {"manifest": "fluorescence/manifest"}
    group = zarr.create_group(
        path,
        attributes={
            "roitrace": {"kind": "recording", "finished": finished, **unfinished},
            "frame_rate": 8.0,
            "indicator": "x",
        },
    )
    array = group.create_array(
        "fluorescence",
        shape=samples.shape,
        dtype=samples.dtype,
        chunks=(2, 4, 4),
        shards=(2, 8, 8),
        dimension_names=("time", "y", "x"),
    )
    count = len(samples) if frames is None else frames
    array[:count] = samples[:count]
    group.create_array(
        "time", data=np.arange(len(samples)) / 8, dimension_names=("time",), attributes={"units": "s"}
    )
    group.create_array("zzz", data=np.zeros((99, 99, 99), "uint8"))


def test_own_store(path):
    write_own(path, movie())
    source, metadata = opened(path)
    check_source(source, movie(), max_examples=3)
    assert metadata.attributes == {"frame_rate": 8.0, "indicator": "x"}
    assert metadata.frame_rate == 8.0
    assert metadata.coordinates["time"][1] == "s"


def test_unfinished_store(path):
    samples = movie((9, 12, 6))
    write_own(path, samples, finished=False, frames=4)
    with pytest.raises(StoreError, match="unfinished, or has lost its manifest: 4 of 9 frames"):
        open_recording_file(path)
    source, metadata = opened(path, unfinished=True)
    check_source(source, samples[:4], max_examples=5)
    assert metadata.coordinates["time"][0].size == 4
    assert "4 of 9 frames were written" in metadata.notes[-1]
    (path / "fluorescence" / "c" / "0" / "1" / "0").unlink()
    with pytest.raises(StoreError, match="0 of 9 frames"):
        open_recording_file(path, unfinished=True)
    write_own(path.with_name("all.zarr"), samples, finished=False)
    check_source(opened(path.with_name("all.zarr"), unfinished=True)[0], samples, max_examples=3)


def test_names_of_channels(path):
    group = zarr.create_group(path)
    group.create_array(
        "data", data=movie((7, 2, 5, 6)), chunks=(1, 1, 5, 6), dimension_names=("time", "channel", "y", "x")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group.create_array("channel", data=np.array(["green", "red"]), dimension_names=("channel",))
        group.create_array(
            "time", data=np.array(list("abcdefg")), dimension_names=("time",), attributes={"units": "s"}
        )
    metadata = open_recording_file(path).metadata
    assert metadata.channel_names == ("green", "red")
    assert metadata.coordinates == {}
    assert "the time coordinate" in metadata.notes[0]


def test_an_array_is_named_or_found(path):
    group = zarr.create_group(path)
    for number, name in enumerate(("run/one", "run/two")):
        group.create_array(name, data=movie(seed=number), chunks=(1, 5, 6))
    group.create_array("mean", data=np.zeros((5, 6)))
    with pytest.raises(ArgumentError, match=r"several arrays .*run/one \(7, 5, 6\)"):
        open_recording_file(path)
    for place, options in (
        (f"{path}::/run/two", {}),
        (path, {"dataset": "run/two"}),
        (path / "run" / "two", {}),
    ):
        check_source(opened(place, **options)[0], movie(seed=1), max_examples=3)
    with pytest.raises(ArgumentError, match="its arrays are: mean, run/one, run/two"):
        open_recording_file(path, dataset="three")
    with pytest.raises(ArgumentError, match="several arrays"):
        open_recording_file(path, dataset="run")
    with pytest.raises(ArgumentError, match="is one array"):
        open_recording_file(path / "run" / "two", dataset="one")
    group.create_array("all", data=movie((80, 5, 6)), chunks=(10, 5, 6))
    check_source(opened(path)[0], movie((80, 5, 6)), max_examples=3)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((5, 6), "uint16"), "one image of 5 x 6"),
        (np.zeros((2, 2, 5, 6), "uint16"), "does not name its axes"),
        (np.zeros((2, 5, 6), "int64"), "holds int64 samples"),
        (np.zeros((2, 5, 6), "bool"), "holds bool samples"),
        (np.zeros((0, 5, 6), "uint16"), "is empty: time 0"),
    ],
)
def test_no_recording(path, samples, message):
    zarr.create_array(
        path, shape=samples.shape, dtype=samples.dtype, chunks=tuple(max(1, size) for size in samples.shape)
    )
    with pytest.raises(FormatError, match=message):
        open_recording_file(path)


def test_group_without_recording(path):
    zarr.create_group(path).create_array("mean", data=np.zeros((5, 6)))
    with pytest.raises(FormatError, match="no array with three axes"):
        open_recording_file(path)


def test_damaged_metadata(path):
    write(path, movie(), chunks=(1, 5, 6))
    text = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(text[:50])
    with pytest.raises(FormatError, match="cannot be read as zarr"):
        open_recording_file(path)
    (path / "zarr.json").write_text(json.dumps(json.loads(text) | {"data_type": "uint17"}))
    with pytest.raises(FormatError, match="cannot be read as zarr"):
        open_recording_file(path)


def test_damaged_coordinates(path):
    group = zarr.create_group(path)
    group.create_array("data", data=movie(), chunks=(1, 5, 6), dimension_names=("time", "y", "x"))
    group.create_array("time", data=np.arange(7) / 8, dimension_names=("time",))
    (path / "time" / "c" / "0").write_bytes(b"nonsense")
    with pytest.raises(FormatError, match="cannot be read as zarr"):
        open_recording_file(path)


def test_chunk_that_cannot_be_decoded(path):
    write(path, movie(), chunks=(1, 5, 6), compressors=[BloscCodec()])
    source, _ = opened(path)
    (path / "c" / "3" / "0" / "0").write_bytes(b"nonsense")
    with pytest.raises(StoreError, match="cannot be decoded"):
        source.read(slice(2, 5), slice(0, 5), slice(0, 6))


def test_identity_sees_the_content(path, tmp_path):
    write(path, movie(), chunks=(1, 5, 6))
    write(tmp_path / "copy.zarr", movie(), chunks=(1, 5, 6))
    write(tmp_path / "other.zarr", movie(seed=1), chunks=(1, 5, 6))
    identity = opened(path)[0].identity()
    assert opened(tmp_path / "copy.zarr")[0].identity() == identity
    assert opened(tmp_path / "other.zarr")[0].identity() != identity
    (path / "c" / "3" / "0" / "0").unlink()
    assert opened(path)[0].identity() != identity


def test_opening_reads_no_samples(path, monkeypatch):
    write(path, movie(), chunks=(1, 5, 6), dimension_names=("time", "y", "x"))

    def refuse(*_args, **_kwargs):
        raise AssertionError("samples were read")

    monkeypatch.setattr(zarr.Array, "__getitem__", refuse)
    assert opened(path)[0].shape == (7, 5, 6)
