from __future__ import annotations

import numpy as np
import pytest
import tifffile

from roitrace.errors import FormatError
from roitrace.formats.recordings.strided import StridedSource
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import check_source, movie, opened


@pytest.fixture
def path(tmp_path):
    return tmp_path / "movie.tif"


def describe(**entries):
    """An ImageJ description of the file's own."""
    return "ImageJ=1.53t\n" + "".join(f"{name}={value}\n" for name, value in entries.items())


def write(path, samples, *, one_directory=False, **entries):
    """Pages with a description that ImageJ might have written."""
    tifffile.imwrite(
        path,
        samples,
        photometric="minisblack",
        description=describe(**entries),
        metadata=None,
        truncate=one_directory,
    )


@pytest.mark.parametrize("one_directory", [True, False])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_hyperstack(path, one_directory, byteorder):
    samples = movie((4, 3, 2, 5, 6))
    tifffile.imwrite(
        path, samples, imagej=True, metadata={"axes": "TZCYX"}, truncate=one_directory, byteorder=byteorder
    )
    recording = open_recording_file(path)
    assert recording.has_channel_axis
    assert recording.has_plane_axis
    for channel in range(2):
        for plane in range(3):
            source = recording.sources[channel][plane]
            assert isinstance(source, StridedSource)
            check_source(source, samples[:, plane, channel], max_examples=3)


@pytest.mark.parametrize(("order", "axes"), [("czt", "tzc"), ("ctz", "ztc"), ("zct", "tcz"), ("tcz", "zct")])
def test_order_of_hyperstack_pages(path, order, axes):
    shape = dict(zip("tzc", (4, 3, 2), strict=True))
    samples = movie((*(shape[axis] for axis in axes), 5, 6))
    write(
        path,
        samples.reshape(-1, 5, 6),
        images=24,
        channels=2,
        slices=3,
        frames=4,
        hyperstack="true",
        order=order,
    )
    recording = open_recording_file(path)
    index = samples.transpose([axes.index(axis) for axis in "tzc"] + [3, 4])
    for channel in range(2):
        for plane in range(3):
            check_source(recording.sources[channel][plane], index[:, plane, channel], max_examples=2)


def test_slices_without_frames_are_frames(path):
    write(path, movie(), images=7, slices=7)
    source, metadata = opened(path)
    check_source(source, movie(), max_examples=3)
    assert "the 7 images that the file calls slices are taken as frames" in metadata.notes[0]


def test_many_channels_without_frames_are_frames(path):
    samples = movie((9, 5, 6))
    tifffile.imwrite(path, samples, imagej=True, photometric="minisblack")  # the library calls them channels
    source, metadata = opened(path)
    check_source(source, samples, max_examples=3)
    assert "the 9 images that the file calls channels are taken as frames" in metadata.notes[0]


def test_few_channels_without_frames_are_refused(path):
    write(path, movie((2, 5, 6)), images=2, channels=2)
    with pytest.raises(FormatError, match="none is time"):
        open_recording_file(path)


def test_images_alone_are_frames(path):
    write(path, movie(), one_directory=True, images=7)
    check_source(opened(path)[0], movie(), max_examples=3)


def test_compressed_pages(path):
    tifffile.imwrite(
        path,
        movie(),
        photometric="minisblack",
        description=describe(images=7, frames=7),
        metadata=None,
        compression="zlib",
    )
    check_source(opened(path)[0], movie(), max_examples=3)


def test_stack_over_4_gigabytes_in_one_directory(path):
    height, width, frames = 512, 512, 10_000
    with tifffile.TiffWriter(path) as writer:
        writer.write(
            np.zeros((height, width), "uint16"),
            description=describe(images=frames, frames=frames),
            metadata=None,
        )
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[0].dataoffsets[0]
    marked = start + 9_999 * height * width * 2
    with path.open("r+b") as file:
        file.truncate(start + frames * height * width * 2)  # 5.2 GB, sparse
        file.seek(marked)
        file.write(b"\x07\x00")
    source, _ = opened(path)
    assert source.shape == (frames, height, width)
    assert source.read(slice(9_999, 10_000), slice(0, 1), slice(0, 2)).tolist() == [[[7, 0]]]
    with path.open("r+b") as file:
        file.truncate(marked)
    with pytest.raises(FormatError, match="declares 10000 frames and holds 9999"):
        open_recording_file(path)


def test_descriptions_that_contradict_the_file(path):
    write(path, movie(), images=5, frames=5)
    with pytest.raises(FormatError, match="declares 5 images in ImageJ's description and holds 7 pages"):
        open_recording_file(path)
    write(path, movie(), images=7, frames="many")
    with pytest.raises(FormatError, match="declares frames='many'"):
        open_recording_file(path)
    write(path, movie(), images=9, frames=9)
    with pytest.raises(FormatError, match="declares 9 frames and holds 7"):
        open_recording_file(path)


@pytest.mark.parametrize(
    ("entries", "rate"),
    [
        ({"finterval": 0.05}, 20.0),
        ({"finterval": 50, "tunit": "msec"}, 20.0),
        ({"finterval": 0.05, "fps": 7}, 20.0),
        ({"fps": 7}, 7.0),
        ({"finterval": 0}, None),
        ({"finterval": "nan"}, None),
        ({}, None),
    ],
)
def test_frame_rate(path, entries, rate):
    write(path, movie(), images=7, frames=7, **entries)
    metadata = opened(path)[1]
    assert metadata.frame_rate == (pytest.approx(rate) if rate else None)
    assert any("rate of playback" in note for note in metadata.notes) == (entries == {"fps": 7})


def test_unknown_units_are_said(path):
    write(path, movie(), images=7, frames=7, finterval=3, tunit="fortnight", unit="furlong")
    metadata = opened(path)[1]
    assert metadata.frame_rate is None
    assert metadata.pixel_size is None
    assert "'fortnight'" in metadata.notes[0]
    assert "'furlong'" in metadata.notes[1]


@pytest.mark.parametrize("unit", ["micron", "um", r"\u00B5m"])
def test_pixel_size(path, unit):
    tifffile.imwrite(
        path, movie(), imagej=True, resolution=(2.0, 4.0), metadata={"axes": "TYX", "unit": unit}
    )
    assert opened(path)[1].pixel_size == pytest.approx((0.25, 0.5))


@pytest.mark.parametrize(
    ("unit", "resolution", "size"),
    [("CENTIMETER", 10_000, 1.0), ("INCH", 25_400, 1.0), ("INCH", 72, None), ("NONE", 5, None)],
)
def test_resolution_tags(path, unit, resolution, size):
    tifffile.imwrite(
        path,
        movie(),
        photometric="minisblack",
        metadata=None,
        resolution=(resolution, resolution),
        resolutionunit=unit,
    )
    metadata = opened(path)[1]
    assert metadata.pixel_size == (None if size is None else pytest.approx((size, size)))
    assert any("72 pixels per inch" in note for note in metadata.notes) == (resolution == 72)


def test_date(path):
    tifffile.imwrite(path, movie(), photometric="minisblack", metadata=None, datetime="2024:02:29 12:13:14")
    assert opened(path)[1].acquisition_time == "2024-02-29T12:13:14"
