from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from roitrace.errors import ArgumentError, FormatError, MissingDependencyError, OutputExistsError
from roitrace.formats.recordings.known import RECORDING_FORMATS
from roitrace.formats.registry import (
    open_recording_file,
    read_roi_table,
    recording_formats,
    roi_formats,
    write_roi_table,
)
from roitrace.formats.rois.table import RoiTable
from tests.formats.reading import check_source, movie, opened

PLUGIN = """
import numpy as np
from roitrace.formats.recordings.format import RecordingFormat
from roitrace.formats.recordings.strided import StridedSource
from roitrace.formats.rois.format import RoiFormat
from roitrace.formats.rois.table import RoiTable
from roitrace.sources import RecordingFile

def open_raw(path, options):
    source = StridedSource(path, "<u2", 4, (60, 12, 2), (7, 5, 6))
    return RecordingFile("raw", ((source,),))

def read_points(path, options):
    return RoiTable(("only",), (1,), (np.array([[1, 2]]),))

RAW = RecordingFormat("raw", (".raw",), lambda path, head: head[:4] == b"RAW!", open_raw)
POINTS = RoiFormat("points", (".pts",), lambda path, head: head[:4] == b"PTS!", "{module}:read_points")
NOTHING = 3
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package with entry points, as far as Python can see."""

    def installed(name, entry_points, code=PLUGIN):
        place = tmp_path / "site" / name
        information = place / f"{name}-1.0.dist-info"
        information.mkdir(parents=True)
        (place / f"{name}.py").write_text(code.replace("{module}", name))
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(entry_points)
        monkeypatch.syspath_prepend(str(place))

    return installed


def test_another_package_adds_formats(tmp_path, install):
    install(
        "raw_format",
        "[roitrace.recordings]\nraw = raw_format:RAW\n[roitrace.rois]\npoints = raw_format:POINTS\n",
    )
    assert recording_formats()[-1].name == "raw"
    assert roi_formats()[-1].name == "points"
    path = tmp_path / "movie.raw"
    path.write_bytes(b"RAW!" + movie().tobytes())
    check_source(opened(path)[0], movie(), max_examples=3)
    (tmp_path / "a.pts").write_bytes(b"PTS!")
    assert read_roi_table(tmp_path / "a.pts").names == ("only",)
    with pytest.raises(ArgumentError, match=r"cannot be written as 'a\.pts'"):
        write_roi_table(RoiTable((), (), ()), tmp_path / "a.pts", overwrite=True)
    with pytest.raises(ArgumentError, match="read, not written"):
        roi_formats()[-1].write(RoiTable((), (), ()), "a.pts")


def test_a_broken_package_does_not_hide_other_formats(tmp_path, install):
    install(
        "broken_format", "[roitrace.recordings]\nbroken = broken_format:RAW\n", "import missing_for_sure\n"
    )
    np.save(tmp_path / "a.npy", movie())
    assert opened(tmp_path / "a.npy")[0].shape == (7, 5, 6)
    (tmp_path / "a.xyz").write_bytes(b"something else")
    with pytest.raises(MissingDependencyError, match=r"'broken' .*missing_for_sure"):
        open_recording_file(tmp_path / "a.xyz")


def test_an_entry_point_must_name_a_format(tmp_path, install):
    install("wrong_format", "[roitrace.recordings]\nwrong = wrong_format:NOTHING\n")
    (tmp_path / "a.xyz").write_bytes(b"something else")
    with pytest.raises(FormatError, match="is a int, expected a RecordingFormat"):
        open_recording_file(tmp_path / "a.xyz")


def test_content_wins_over_the_name(tmp_path):
    tifffile.imwrite(tmp_path / "a.dat", movie(), photometric="minisblack")
    np.save(tmp_path / "b.npy", movie())
    (tmp_path / "b.npy").rename(tmp_path / "b.tif")
    with h5py.File(tmp_path / "c.mat", "w") as file:
        file["data"] = movie()
    zarr.create_array(tmp_path / "d", data=movie(), chunks=(1, 5, 6))
    for name, kind in (("a.dat", "tiff"), ("b.tif", "npy"), ("c.mat", "hdf5"), ("d", "zarr")):
        recording = open_recording_file(tmp_path / name)
        assert recording.format == kind
        assert recording.files == (str(tmp_path / name),)


def test_unknown_files(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"not a TIFF")
    with pytest.raises(FormatError, match="is named like tiff, but begins with b'not a TI'"):
        open_recording_file(tmp_path / "a.tif")
    (tmp_path / "b.xyz").write_bytes(b"not a TIFF")
    with pytest.raises(FormatError, match=r"of no known format; known formats are: zarr \(\.zarr\), tiff"):
        open_recording_file(tmp_path / "b.xyz")
    (tmp_path / "large.xyz").write_bytes(bytes(3 * 2**20))
    with pytest.raises(FormatError, match="of no known format"):
        open_recording_file(tmp_path / "large.xyz")
    (tmp_path / "c.tif").write_bytes(b"")
    with pytest.raises(FormatError, match="is empty: 0 bytes"):
        open_recording_file(tmp_path / "c.tif")
    (tmp_path / "folder.zarr").mkdir()
    with pytest.raises(FormatError, match=r"folder .* is of no known format"):
        open_recording_file([tmp_path / "folder.zarr"])
    with pytest.raises(ArgumentError, match="there is no file"):
        read_roi_table(tmp_path / "none.zip")
    with pytest.raises(FormatError, match="is of no known format"):
        read_roi_table(tmp_path / "b.xyz")


def test_a_file_appears_when_it_is_complete(tmp_path):
    table = RoiTable(("2",), (2,), (np.zeros((0, 2), int),), (3, 4))
    path = tmp_path / "RoiSet.zip"
    path.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match="exists already"):
        write_roi_table(table, path)
    with pytest.raises(ArgumentError, match="no ROIs with pixels to write"):
        write_roi_table(table, path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["RoiSet.zip"]
    assert path.read_bytes() == b"precious"
    with pytest.raises(ArgumentError, match="there is no folder"):
        write_roi_table(table, tmp_path / "none" / "labels.tif")


def test_no_file_of_several_is_replaced_unasked(tmp_path):
    table = RoiTable(("1",), (1,), (np.array([[0, 0]]),), (3, 4))
    (tmp_path / "iscell.npy").write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match=r"iscell\.npy exists already"):
        write_roi_table(table, tmp_path / "stat.npy")
    assert [file.name for file in tmp_path.iterdir()] == ["iscell.npy"]
    write_roi_table(table, tmp_path / "stat.npy", overwrite=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["iscell.npy", "ops.npy", "stat.npy"]


def test_importing_the_registry_is_cheap():
    code = "import sys, roitrace.formats.registry; print([m for m in ('tifffile', 'h5py', 'zarr', 'dask', 'xarray') if m in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_the_readme_names_every_format():
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8").lower()
    table = text[text.index("## formats") :]
    for known in RECORDING_FORMATS:
        assert known.name in table


def test_rois_in_place_of_a_recording_and_the_other_way_round(tmp_path):
    table = RoiTable(("1",), (1,), (np.array([[0, 0], [1, 1], [1, 0]]),), (3, 4))
    (tmp_path / "plane0").mkdir()
    for name, known in (
        ("RoiSet.zip", "imagej"),
        ("cells.csv", "csv"),
        ("plane0/stat.npy", "suite2p"),
    ):
        write_roi_table(table, tmp_path / name)
        if name != "plane0/stat.npy":
            with pytest.raises(FormatError, match=rf"{name} holds ROIs \({known}\), expected a recording"):
                open_recording_file(tmp_path / name)
    with pytest.raises(FormatError, match=r"plane0 holds ROIs \(suite2p\), expected a recording"):
        open_recording_file(tmp_path / "plane0")
    movie_path = tmp_path / "Yr_d1_5_d2_6_d3_1_order_F_frames_7.mmap"
    np.zeros((30, 7), np.float32).tofile(movie_path)
    with pytest.raises(FormatError, match=r"is a recording \(caiman\), expected ROIs"):
        read_roi_table(movie_path)
