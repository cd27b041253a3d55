from __future__ import annotations

import numpy as np
import pytest
import tifffile

from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.recordings.ome_xml import read_ome_xml
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import check_source, movie, opened

NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "movie.ome.tif"


def write(path, samples, axes="TYX", **options):
    metadata = options.pop("metadata", {})
    tifffile.imwrite(path, samples, photometric="minisblack", metadata={"axes": axes, **metadata}, **options)


def write_description(path, samples, pixels, *, image="", root='UUID="urn:uuid:here"'):
    """Plain pages with a description of one's own."""
    description = f'<?xml version="1.0"?><OME xmlns="{NAMESPACE}" {root}><Image ID="Image:0">{image}{pixels}</Image></OME>'
    tifffile.imwrite(path, samples, photometric="minisblack", metadata=None, description=description)


def pixels(content, *, t=1, c=1, z=1, order="XYCZT", extra=""):
    return (
        f'<Pixels ID="Pixels:0" DimensionOrder="{order}" SizeT="{t}" SizeC="{c}" SizeZ="{z}" SizeX="6" SizeY="5" '
        f'Type="uint16" {extra}>{content}</Pixels>'
    )


@pytest.mark.parametrize(
    ("axes", "shape"),
    [("TYX", (7, 5, 6)), ("TCYX", (4, 2, 5, 6)), ("TZCYX", (4, 3, 2, 5, 6)), ("CZTYX", (2, 3, 4, 5, 6))],
)
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"bigtiff": True, "byteorder": ">"}])
def test_axes(path, axes, shape, options):
    samples = movie(shape)
    write(path, samples, axes, **options)
    recording = open_recording_file(path)
    assert recording.format == "ome-tiff"
    expected = samples.transpose([axes.index(axis) for axis in "TCZYX" if axis in axes])
    expected = expected.reshape(expected.shape[0], len(recording.sources), len(recording.sources[0]), 5, 6)
    for channel, planes in enumerate(recording.sources):
        for plane, source in enumerate(planes):
            check_source(source, expected[:, channel, plane], max_examples=3)


def test_metadata(path):
    names = ["green", "red"]
    write(
        path,
        movie((4, 2, 5, 6)),
        "TCYX",
        metadata={
            "PhysicalSizeX": 0.5,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": 750,
            "PhysicalSizeYUnit": "nm",
            "TimeIncrement": 50,
            "TimeIncrementUnit": "ms",
            "Channel": {"Name": names},
        },
    )
    metadata = open_recording_file(path).metadata
    assert metadata.pixel_size == pytest.approx((0.75, 0.5))
    assert metadata.frame_rate == pytest.approx(20)
    assert metadata.channel_names == ("green", "red")
    assert metadata.time is None


def test_times_of_the_frames(path):
    deltas = [0.0, 0.11, 0.19, 0.3, 0.41, 0.5, 0.61]
    planes = "".join(
        f'<Plane TheT="{n}" TheC="0" TheZ="0" DeltaT="{delta * 1000}" DeltaTUnit="ms"/>'
        for n, delta in enumerate(deltas)
    )
    date = "<AcquisitionDate>2024-02-29T12:13:14</AcquisitionDate>"
    write_description(path, movie(), pixels("<TiffData/>" + planes, t=7), image=date)
    source, metadata = opened(path)
    check_source(source, movie(), max_examples=3)
    np.testing.assert_allclose(metadata.time, deltas)
    assert metadata.acquisition_time == "2024-02-29T12:13:14"
    pair = pixels("<TiffData/>" + planes, t=7, c=2)
    write_description(path, movie((14, 5, 6)), pair)
    assert open_recording_file(path).metadata.time.size == 7
    assert (
        open_recording_file(path, axes="ctyx").metadata.time is None
    )  # other frames than those that are timed
    planes = planes.replace('DeltaT="500.0"', 'DeltaT="400.0"')
    write_description(path, movie(), pixels("<TiffData/>" + planes, t=7))
    assert opened(path)[1].time is None  # they do not increase


def test_pages_in_an_order_of_their_own(path):
    samples = movie()
    blocks = "".join(f'<TiffData IFD="{6 - n}" FirstT="{n}" PlaneCount="1"/>' for n in range(7))
    write_description(path, samples, pixels(blocks, t=7))
    check_source(opened(path)[0], samples[::-1])


def test_planes_without_time_are_frames(path):
    write_description(path, movie(), pixels("<TiffData/>", z=7))
    source, metadata = opened(path)
    check_source(source, movie(), max_examples=3)
    assert "slices are taken as frames" in metadata.notes[0]


def test_set_of_files(tmp_path):
    samples = movie((4, 2, 5, 6))
    blocks = "".join(
        f'<TiffData FirstC="{channel}" FirstT="{time}" IFD="{time}" PlaneCount="1"><UUID FileName="c{channel}.ome.tif">urn:uuid:{channel}'
        "</UUID></TiffData>"
        for channel in range(2)
        for time in range(4)
    )
    for channel in range(2):
        write_description(
            tmp_path / f"c{channel}.ome.tif",
            samples[:, channel],
            pixels(blocks, t=4, c=2),
            root=f'UUID="urn:uuid:{channel}"',
        )
    whole = [tmp_path / "c0.ome.tif", tmp_path / "c1.ome.tif"]
    for place in (tmp_path / "c1.ome.tif", whole, tmp_path):
        recording = open_recording_file(place)
        assert sorted(recording.files) == [str(file) for file in whole]
        for channel in range(2):
            check_source(recording.sources[channel][0], samples[:, channel], max_examples=3)
    (tmp_path / "c0.ome.tif").unlink()
    with pytest.raises(FormatError, match=r"c0\.ome\.tif is not beside it"):
        open_recording_file(tmp_path / "c1.ome.tif")


def test_set_of_files_along_time(tmp_path):
    samples = movie((9, 5, 6))
    blocks = "".join(
        f'<TiffData FirstT="{4 * number}" PlaneCount="{min(4, 9 - 4 * number)}"><UUID FileName="t{number}.ome.tif">urn:uuid:{number}</UUID></TiffData>'
        for number in range(3)
    )
    for number in range(3):
        part = samples[4 * number : 4 * number + 4]
        write_description(
            tmp_path / f"t{number}.ome.tif", part, pixels(blocks, t=9), root=f'UUID="urn:uuid:{number}"'
        )
    check_source(opened(tmp_path / "t1.ome.tif")[0], samples)
    write_description(tmp_path / "t2.ome.tif", samples[8:, :4], pixels(blocks, t=9), root='UUID="urn:uuid:2"')
    with pytest.raises(FormatError, match=r"t2\.ome\.tif has pages of 4 x 6 uint16"):
        open_recording_file(tmp_path / "t0.ome.tif")


def test_file_renamed_since(path, tmp_path):
    block = '<TiffData><UUID FileName="once.ome.tif">urn:uuid:x</UUID></TiffData>'
    write_description(path, movie(), pixels(block, t=7), root="")
    check_source(opened(path)[0], movie(), max_examples=3)
    path.rename(tmp_path / "now.ome.tif")
    check_source(opened(tmp_path / "now.ome.tif")[0], movie(), max_examples=3)


def test_several_images(path):
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(movie(), metadata={"axes": "TYX", "Name": "one"}, photometric="minisblack")
        writer.write(movie((4, 8, 9)), metadata={"axes": "TYX", "Name": "other"}, photometric="minisblack")
    with pytest.raises(FormatError, match="the pages of"):
        open_recording_file(path, dataset="one")
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(movie(), metadata={"axes": "TYX", "Name": "one"}, photometric="minisblack")
        writer.write(movie(seed=1), metadata={"axes": "TYX", "Name": "other"}, photometric="minisblack")
    with pytest.raises(ArgumentError, match=r"holds 2 images: 0: one .* 1: other"):
        open_recording_file(path)
    for name in ("1", "other"):
        check_source(opened(path, dataset=name)[0], movie(seed=1), max_examples=3)
    with pytest.raises(ArgumentError, match="no image 'third'"):
        open_recording_file(path, dataset="third")


def test_missing_planes_are_refused(path):
    write_description(path, movie(), pixels("<TiffData/>", t=9))
    with pytest.raises(FormatError, match="declares 9 frames and holds 7"):
        open_recording_file(path)
    write(path, movie((40, 16, 16)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match="cut short"):
        open_recording_file(path)


def test_one_image_and_axes_of_the_user(path):
    write_description(path, movie()[:1], pixels("<TiffData/>"))
    with pytest.raises(FormatError, match="is one image of 5 x 6"):
        open_recording_file(path)
    write_description(path, movie()[:2], pixels("<TiffData/>", c=2))
    with pytest.raises(FormatError, match="none is time"):
        open_recording_file(path)
    check_source(opened(path, axes="tyx")[0], movie()[:2], max_examples=3)


def test_colours_are_refused(path):
    tifffile.imwrite(path, movie((4, 5, 6, 3), "uint8"), photometric="rgb", metadata={"axes": "TYXS"})
    with pytest.raises(FormatError, match="3 samples per pixel"):
        open_recording_file(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<OME>", "is damaged: no element found"),
        ("<!DOCTYPE x><OME></OME>", "XML entities"),
        (f'<OME xmlns="{NAMESPACE}"></OME>', "names no image"),
        (
            f'<OME xmlns="{NAMESPACE}"><BinaryOnly MetadataFile="all.ome.tif" UUID="u"/></OME>',
            r"refers to all\.ome\.tif",
        ),
        ('<OME><Image><Pixels DimensionOrder="XYCZT"/></Image></OME>', "cannot be understood"),
        (f"<OME><Image>{pixels('', t=0)}</Image></OME>", "cannot be understood"),
        ("<OME><Image>" + pixels('<TiffData FirstT="9"/>', t=7) + "</Image></OME>", "FirstT=9 of 7"),
    ],
)
def test_damaged_descriptions(text, message):
    with pytest.raises(FormatError, match=message):
        read_ome_xml(text, "a.ome.tif")
