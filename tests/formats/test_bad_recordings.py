"""Files that are none, or claim what they do not hold: one clear error for each format."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from roitrace.errors import ArgumentError, FormatError, RoitraceError
from roitrace.formats.recordings.known import RECORDING_FORMATS
from roitrace.formats.registry import open_recording_file
from tests.formats.reading import movie
from tests.formats.recordings.test_suite2p import write_plane

SUFFIXES = sorted({suffix for known in RECORDING_FORMATS for suffix in known.suffixes if suffix != ".zarr"})


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"no recording at all, only words that go on for a while" * 20])
def test_files_that_are_none(tmp_path, suffix, content):
    path = tmp_path / f"movie{suffix}"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        open_recording_file(path)
    assert path.name in str(caught.value)
    assert caught.value.next_step


SIGNATURES = {
    "tiff": b"II*\0\x08\0\0\0",
    "big tiff": b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0",
    "hdf5": b"\x89HDF\r\n\x1a\n",
    "npy": b"\x93NUMPY\x01\x00",
    "avi": b"RIFF\xff\xff\xff\x7fAVI LIST",
    "mp4": b"\0\0\0\x18ftypisom",
    "mkv": b"\x1a\x45\xdf\xa3",
    "nd2": b"\xda\xce\xbe\n",
}


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize("filling", [b"\0", b"\xff", b"\x7f\x01"])
def test_a_signature_alone_is_no_recording(tmp_path, name, filling):
    path = tmp_path / "movie"
    path.write_bytes(SIGNATURES[name] + filling * 2000)
    with pytest.raises(FormatError):
        open_recording_file(path)


@pytest.mark.parametrize(
    ("suffix", "other"), [(".h5", ".tif"), (".avi", ".npy"), (".nd2", ".tif"), (".mp4", ".npy")]
)
def test_the_content_counts_not_the_name(tmp_path, suffix, other):
    path = tmp_path / f"movie{other}"
    tifffile.imwrite(path, movie(), photometric="minisblack") if other == ".tif" else np.save(path, movie())
    renamed = path.rename(tmp_path / f"movie{suffix}")
    assert open_recording_file(renamed).sources[0][0].shape == (7, 5, 6)


def npy_that_claims(path, shape):
    header = {"descr": "<u2", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(100))


@pytest.mark.parametrize("shape", [(10**6, 4096, 4096), (2**40, 2**20, 2**20), (7, -5, 6)])
def test_arrays_that_claim_more_than_there_is(tmp_path, shape):
    npy_that_claims(tmp_path / "movie.npy", shape)
    with pytest.raises(FormatError, match=r"movie\.npy"):
        open_recording_file(tmp_path / "movie.npy")


def test_claims_over_4_gigabytes_elsewhere(tmp_path):
    plane = write_plane(tmp_path / "plane0", movie(dtype="int16"), nframes=2**40)
    with pytest.raises(FormatError, match="the metadata beside it says 1099511627776 frames"):
        open_recording_file(plane)
    mapped = tmp_path / "Yr_d1_99999_d2_99999_d3_999_order_C_frames_999999999_.mmap"
    mapped.write_bytes(bytes(100))
    with pytest.raises(FormatError, match="has 100 bytes, its name says 999999999 frames"):
        open_recording_file(mapped)


def test_files_of_a_list_must_fit_each_other(tmp_path):
    np.save(tmp_path / "a.npy", movie((7, 5, 6)))
    np.save(tmp_path / "b.npy", movie((7, 6, 5)))
    np.save(tmp_path / "c.npy", movie((7, 5, 6), "float32"))
    for other in ("b", "c"):
        with pytest.raises(FormatError, match="they are not one recording"):
            open_recording_file([tmp_path / "a.npy", tmp_path / f"{other}.npy"])
    with pytest.raises(ArgumentError, match="there is no file"):
        open_recording_file([tmp_path / "a.npy", tmp_path / "z.npy"])


def test_an_empty_folder_says_so(tmp_path):
    with pytest.raises(RoitraceError, match="holds no recording"):
        open_recording_file(tmp_path)


@pytest.mark.parametrize("option", ["dataset", "axes"])
def test_options_that_mean_nothing_are_refused(tmp_path, option):
    plane = write_plane(tmp_path / "plane0", movie(dtype="int16"))
    with pytest.raises(
        ArgumentError, match=f"{option}='tyx' is given for .*plane0, a recording of the format suite2p"
    ):
        open_recording_file(plane, **{option: "tyx"})


@pytest.mark.parametrize("kind", [7, 2, 11])  # bytes, text, float
@pytest.mark.parametrize("tag", [256, 257])
def test_tiff_sizes_of_a_wrong_type(tmp_path, tag, kind):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, movie(), photometric="minisblack", compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        entries = [page.tags[tag].offset for page in tiff.pages]
    content = bytearray(path.read_bytes())
    for entry in entries:
        content[entry + 2 : entry + 4] = kind.to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(FormatError, match="the file is damaged|cannot be read as TIFF"):
        open_recording_file(path)
