from __future__ import annotations

import numpy as np
import pytest
import tifffile

from roitrace.errors import ArgumentError, FormatError, MissingDependencyError
from roitrace.formats.recordings import tiff_source
from roitrace.formats.recordings.strided import StridedSource
from roitrace.formats.recordings.tiff_pages import scan_pages
from roitrace.formats.recordings.tiff_source import PagedSource
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import check_source, movie, opened
from tests.shared_data import DATA, needs_data


@pytest.fixture
def path(tmp_path):
    return tmp_path / "movie.tif"


def write_one_by_one(path, samples, **options):
    with tifffile.TiffWriter(path) as writer:
        for frame in samples:
            writer.write(frame, contiguous=False, **options)


# -- plain and described stacks ------------------------------------------------------------------------------


WRITERS = {
    "contiguous": {},
    "truncated to one directory": {"truncate": True},
    "big": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "without description": {"metadata": None},
    "zlib": {"compression": "zlib"},
    "zlib with predictor": {"compression": "zlib", "predictor": True},
    "lzw": {"compression": "lzw"},
    "zstd in strips": {"compression": "zstd", "rowsperstrip": 2},
    "uncompressed strips": {"rowsperstrip": 2},
    "tiles": {"tile": (16, 16)},
    "big-endian zlib": {"byteorder": ">", "compression": "zlib"},
    "ImageJ": {"imagej": True},
}


@pytest.mark.parametrize("options", WRITERS.values(), ids=WRITERS.keys())
def test_writers_of_a_stack(path, options):
    samples = movie((9, 5, 7))
    tifffile.imwrite(path, samples, photometric="minisblack", **options)
    source, metadata = opened(path)
    check_source(source, samples)
    assert source.chunks == (1, 5, 7)
    assert metadata.frame_rate is None
    assert metadata.pixel_size is None


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64"]
)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_dtypes(path, dtype, compression):
    samples = movie(dtype=dtype)
    tifffile.imwrite(path, samples, photometric="minisblack", compression=compression)
    check_source(opened(path)[0], samples, max_examples=5)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"metadata": None}, {"rowsperstrip": 2}])
def test_pages_written_one_by_one_are_one_stack(path, options):
    samples = movie((12, 5, 7))
    write_one_by_one(path, samples, **options)
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.series) == 12 or "metadata" in options  # what the format's own library makes of it
    source, metadata = opened(path)
    check_source(source, samples)
    assert metadata.notes == ()


def test_stacks_written_one_after_the_other(path):
    samples = movie((13, 5, 7))
    with tifffile.TiffWriter(path) as writer:
        for start, stop in ((0, 5), (5, 10), (10, 13)):
            writer.write(samples[start:stop], contiguous=False, photometric="minisblack")
    source, metadata = opened(path)
    check_source(source, samples)
    assert "several series, the first of 5 images; all 13 images" in metadata.notes[0]


def test_multichannel_frames_written_one_by_one(path):
    samples = movie((4, 2, 5, 7))
    write_one_by_one(path, samples, metadata={"axes": "CYX"}, photometric="minisblack")
    recording = open_recording_file(path)
    assert [len(planes) for planes in recording.sources] == [1, 1]
    for channel in range(2):
        check_source(recording.sources[channel][0], samples[:, channel], max_examples=5)


def test_plain_pages_are_mapped_and_others_decoded(path):
    tifffile.imwrite(path, movie(), photometric="minisblack")
    assert isinstance(opened(path)[0], StridedSource)
    write_one_by_one(path, movie())
    assert isinstance(opened(path)[0], StridedSource)
    tifffile.imwrite(path, movie(), photometric="minisblack", compression="zlib")
    assert isinstance(opened(path)[0], PagedSource)


def test_pages_compressed_differently(path):
    samples = movie((4, 6, 7))
    with tifffile.TiffWriter(path) as writer:
        for frame, options in zip(
            samples, [{"compression": "zlib"}, {}, {"compression": "lzw"}, {"rowsperstrip": 2}], strict=True
        ):
            writer.write(frame, contiguous=False, **options)
    source, _ = opened(path)
    assert not source.same_layout
    check_source(source, samples)


def test_thumbnails_are_no_frames(path):
    samples = movie((3, 16, 16))
    with tifffile.TiffWriter(path) as writer:
        for frame in samples:
            writer.write(frame, contiguous=False, metadata=None)
            writer.write(frame[::4, ::4], contiguous=False, subfiletype=1, metadata=None)
    check_source(opened(path)[0], samples)


def test_pages_that_are_all_called_thumbnails(path):
    write_one_by_one(path, movie(), subfiletype=1, metadata=None)
    check_source(opened(path)[0], movie(), max_examples=3)


def test_series_whose_frames_do_not_divide_the_pages(path):
    with tifffile.TiffWriter(path) as writer:
        writer.write(movie((2, 5, 6)), contiguous=False, metadata={"axes": "CYX"}, photometric="minisblack")
        writer.write(movie((5, 5, 6)), contiguous=False, photometric="minisblack")
    source, metadata = opened(path)
    check_source(source, np.concatenate([movie((2, 5, 6)), movie((5, 5, 6))]), max_examples=3)
    assert "all 7 images are taken in order" in metadata.notes[0]


@pytest.mark.parametrize(
    "description",
    [
        '{"shape": [7, 5, 6]}',
        "shape=(7, 5, 6)",
        '{"shape": [7, 5, 6, 1], "axes": "TYXS"}',
        '{"shape": [3, 3]}',
        '{"shape": []}',
    ],
)
def test_descriptions_of_other_versions(path, description):
    tifffile.imwrite(path, movie(), photometric="minisblack", metadata=None, description=description)
    check_source(opened(path)[0], movie(), max_examples=3)


def test_damaged_descriptions(path):
    tifffile.imwrite(path, movie(), photometric="minisblack", metadata=None, description='{"shape": "wide"}')
    with pytest.raises(FormatError, match=r"the description of .* is damaged"):
        open_recording_file(path)


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("TCYX", (4, 2, 5, 7)),
        ("TZYX", (4, 3, 5, 7)),
        ("TZCYX", (4, 3, 2, 5, 7)),
        ("CTYX", (2, 4, 5, 7)),
        ("ZTCYX", (3, 4, 2, 5, 7)),
    ],
)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_named_axes(path, axes, shape, compression):
    samples = movie(shape)
    tifffile.imwrite(
        path, samples, metadata={"axes": axes}, photometric="minisblack", compression=compression
    )
    recording = open_recording_file(path)
    assert recording.has_channel_axis == ("C" in axes)
    assert recording.has_plane_axis == ("Z" in axes)
    order = [axes.index(axis) for axis in "TCZYX" if axis in axes]
    expected = samples.transpose(order)
    if "C" not in axes:
        expected = expected[:, np.newaxis]
    if "Z" not in axes:
        expected = expected[:, :, np.newaxis]
    for channel, planes in enumerate(recording.sources):
        for plane, source in enumerate(planes):
            check_source(source, expected[:, channel, plane], max_examples=3)


@pytest.mark.parametrize(("axes", "noted"), [("QYX", False), ("IYX", False), ("ZYX", True)])
def test_what_stands_for_time(path, axes, noted):
    tifffile.imwrite(path, movie(), metadata={"axes": axes}, photometric="minisblack")
    source, metadata = opened(path)
    check_source(source, movie(), max_examples=3)
    assert (
        any("7 images that the file calls slices are taken as frames" in note for note in metadata.notes)
        == noted
    )


def test_axes_of_the_user_win(path):
    samples = movie((6, 4, 5, 7))
    tifffile.imwrite(path, samples, metadata={"axes": "ZCYX"}, photometric="minisblack")
    recording = open_recording_file(path, axes="ctyx")
    check_source(recording.sources[5][0], samples[5], max_examples=3)
    with pytest.raises(ArgumentError, match="end the axes with yx"):
        open_recording_file(path, axes="cytx")
    with pytest.raises(ArgumentError, match="one letter per axis"):
        open_recording_file(path, axes="tyx")


def test_axes_that_mean_nothing_here(path):
    tifffile.imwrite(path, movie((4, 3, 5, 7)), metadata={"axes": "TPYX"}, photometric="minisblack")
    with pytest.raises(FormatError, match="p is none of t, c, z, y, x"):
        open_recording_file(path)
    tifffile.imwrite(path, movie((3, 5, 7)), metadata={"axes": "CYX"}, photometric="minisblack")
    with pytest.raises(FormatError, match="none is time"):
        open_recording_file(path)
    check_source(opened(path, axes="tyx")[0], movie((3, 5, 7)), max_examples=3)


# -- what is refused -----------------------------------------------------------------------------------------


def test_one_image_is_no_recording(path):
    tifffile.imwrite(path, movie()[0])
    with pytest.raises(FormatError, match="is one image of 5 x 6"):
        open_recording_file(path)


def test_colours_are_no_counts(path):
    tifffile.imwrite(path, movie((4, 5, 7, 3), "uint8"), photometric="rgb")
    with pytest.raises(FormatError, match="3 samples per pixel"):
        open_recording_file(path)


def test_pages_of_different_size(path):
    with tifffile.TiffWriter(path) as writer:
        for shape in ((5, 7), (5, 7), (5, 8)):
            writer.write(np.zeros(shape, "uint16"), contiguous=False)
    with pytest.raises(FormatError, match="width is 7 on page 0 and 8 on page 2"):
        open_recording_file(path)


def test_pages_of_different_dtype(path):
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((5, 7), "uint16"), contiguous=False)
        writer.write(np.zeros((5, 7), "int16"), contiguous=False)
    with pytest.raises(FormatError, match="sample format is 1 on page 0 and 2 on page 1"):
        open_recording_file(path)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "complex64", "float16", "bool"])
def test_unsupported_samples(path, dtype):
    tifffile.imwrite(path, np.zeros((3, 16, 16), dtype), photometric="minisblack")
    with pytest.raises(FormatError, match=r"holds .* samples"):
        open_recording_file(path)


TRUNCATED = {
    "contiguous": {},
    "one directory": {"truncate": True},
    "zlib": {"compression": "zlib"},
    "without description": {"metadata": None},
    "ImageJ": {"imagej": True, "truncate": True},
    "strips": {"rowsperstrip": 8},
}


@pytest.mark.parametrize("part", [0.97, 0.5, 0.1])
@pytest.mark.parametrize("options", TRUNCATED.values(), ids=TRUNCATED.keys())
def test_files_cut_short_are_refused(path, options, part):
    tifffile.imwrite(path, movie((40, 16, 16)), photometric="minisblack", **options)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(FormatError, match="cut short"):
        open_recording_file(path)


def test_pages_written_one_by_one_and_cut_short(path):
    write_one_by_one(path, movie((20, 16, 16)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match="cut short"):
        open_recording_file(path)
    tifffile.imwrite(path, movie((3, 16, 16)), metadata=None, photometric="minisblack")
    content = path.read_bytes()
    path.write_bytes(content[: scan_pages(str(path)).directories[-1]])
    with pytest.raises(FormatError, match="after 2 pages its directory leads out of the file"):
        open_recording_file(path)


def test_samples_that_outlive_their_directories(path):
    samples = movie((40, 16, 16))
    tifffile.imwrite(path, samples, imagej=True, photometric="minisblack")
    path.write_bytes(path.read_bytes()[:-100])
    source, metadata = opened(path)
    check_source(source, samples, max_examples=5)
    assert "the end of the file is missing, but not its samples" in metadata.notes[0]


@pytest.mark.parametrize("imagej", [True, False])
def test_frames_expected_and_found_are_named(path, imagej):
    tifffile.imwrite(path, movie((40, 16, 16)), photometric="minisblack", imagej=imagej, truncate=True)
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[0].dataoffsets[0]
    path.write_bytes(path.read_bytes()[: start + 13 * 512 + 100])
    with pytest.raises(FormatError, match="declares 40 frames and holds 13"):
        open_recording_file(path)


def test_circular_and_damaged_directories(path):
    tifffile.imwrite(path, movie((3, 16, 16)), photometric="minisblack", metadata=None)
    content = bytearray(path.read_bytes())
    pages = scan_pages(str(path))
    first, last = pages.directories[0], pages.directories[-1]
    count = int.from_bytes(content[last : last + 2], "little")
    content[last + 2 + 12 * count : last + 6 + 12 * count] = int(first).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(FormatError, match="cut short"):
        open_recording_file(path)
    path.write_bytes(content[:8])
    with pytest.raises(FormatError):
        open_recording_file(path)
    for rest in (b"\xff" * 100, bytes(100)):
        path.write_bytes(b"II*\0" + rest)
        with pytest.raises(FormatError):
            open_recording_file(path)
        with pytest.raises(FormatError, match="holds no page"):
            scan_pages(str(path))
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(FormatError, match="is no TIFF file: it begins with"):
        scan_pages(str(path))


def test_strips_shorter_than_their_rows(path):
    tifffile.imwrite(path, movie((3, 16, 16)), photometric="minisblack", metadata=None)
    content = path.read_bytes()
    path.write_bytes(content.replace((512).to_bytes(4, "little"), (500).to_bytes(4, "little")))
    with pytest.raises(FormatError, match=r"page 0 of .* has 500 bytes, 16 x 16 samples need 512"):
        open_recording_file(path)


def test_frame_that_cannot_be_decoded(path):
    tifffile.imwrite(path, np.zeros((6, 64, 64), "uint16"), photometric="minisblack", compression="zlib")
    source, _ = opened(path)
    pages = scan_pages(str(path))
    content = bytearray(path.read_bytes())
    content[pages.samples[3] : pages.samples[3] + pages.n_bytes[3]] = b"\x07" * int(pages.n_bytes[3])
    path.write_bytes(content)
    everything = slice(0, 64)
    assert not source.read(slice(0, 3), everything, everything).any()
    with pytest.raises(FormatError, match=r"frame 3 of .* cannot be decoded"):
        source.read(slice(2, 4), everything, everything)


def test_compression_that_is_not_installed(path, monkeypatch):
    tifffile.imwrite(path, movie(), photometric="minisblack", compression="zstd")
    monkeypatch.setattr(type(tifffile.TIFF.DECOMPRESSORS), "__contains__", lambda _, code: code == 1)
    with pytest.raises(MissingDependencyError, match=r"imagecodecs.*pip install 'roitrace\[tiff\]'"):
        open_recording_file(path)


@pytest.mark.parametrize("kind", ["stk", "lsm", "fluoview"])
def test_kinds_whose_axes_are_not_read(path, monkeypatch, kind):
    tifffile.imwrite(path, movie(), photometric="minisblack", metadata=None)
    monkeypatch.setattr(tifffile.TiffFile, f"is_{kind}", True, raising=False)
    with pytest.raises(FormatError, match="whose axes are not read"):
        open_recording_file(path)


# -- laziness and cost ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", WRITERS.values(), ids=WRITERS.keys())
def test_opening_reads_no_samples(path, monkeypatch, options):
    tifffile.imwrite(path, movie((9, 5, 7)), photometric="minisblack", **options)

    def refuse(*_args, **_kwargs):
        raise AssertionError("samples were read")

    for owner in (tifffile.TiffPage, tifffile.TiffFrame, tifffile.TiffPageSeries):
        monkeypatch.setattr(owner, "asarray", refuse)
    monkeypatch.setattr(StridedSource, "open", refuse)
    assert opened(path)[0].shape == (9, 5, 7)


def test_the_file_is_opened_once_per_reader(path, monkeypatch):
    samples = movie((30, 16, 16))
    tifffile.imwrite(path, samples, photometric="minisblack", compression="zlib")
    source, _ = opened(path)
    opens = []
    original = tifffile.TiffFile

    def counting(*args, **kwargs):
        opens.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(tiff_source.tifffile, "TiffFile", counting)
    with source.open() as reader:
        for start in range(0, 30, 5):
            np.testing.assert_array_equal(
                reader.read(slice(start, start + 5), slice(0, 16), slice(0, 16)), samples[start : start + 5]
            )
    assert len(opens) == 1


def test_many_pages_are_found_without_parsing_them(path, monkeypatch):
    write_one_by_one(path, movie((3000, 4, 4)))
    parsed = []
    original = tifffile.TiffPage.__init__

    def counting(self, *args, **kwargs):
        parsed.append(1)
        original(self, *args, **kwargs)

    monkeypatch.setattr(tifffile.TiffPage, "__init__", counting)
    source, _ = opened(path)
    assert source.shape == (3000, 4, 4)
    assert len(parsed) < 10


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_identity_is_that_of_the_content(tmp_path, options):
    identities = []
    for name, seed in (("a.tif", 0), ("copy.tif", 0), ("other.tif", 1)):
        samples = movie((4, 2, 5, 6), seed=seed)
        tifffile.imwrite(
            tmp_path / name, samples, photometric="minisblack", metadata={"axes": "TCYX"}, **options
        )
        identities.append([planes[0].identity() for planes in open_recording_file(tmp_path / name).sources])
    assert identities[0] == identities[1]
    assert len({*identities[0], *identities[2]}) == 4


# -- real files ----------------------------------------------------------------------------------------------


@needs_data
def test_real_recording():
    path = DATA / "neurofinder_neuhof" / "movie_600x240x240_u16.tif"
    source, _ = opened(path)
    assert source.shape == (600, 240, 240)
    part = tifffile.imread(path, key=slice(100, 110))
    np.testing.assert_array_equal(source.read(slice(100, 110), slice(3, 240), slice(0, 77)), part[:, 3:, :77])


@needs_data
def test_real_trials_become_one_recording():
    source, _ = opened(DATA / "fissa_b" / "images")
    parts = [tifffile.imread(DATA / "fissa_b" / "images" / f"AVG_A0{number}.tif") for number in (1, 2, 3)]
    check_source(source, np.concatenate(parts), max_examples=5)
