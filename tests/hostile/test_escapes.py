"""Nothing outside of what was given is read, and nothing in it is run."""

from __future__ import annotations

import json
import os
import pickle
import zipfile

import h5py
import numcodecs
import numpy as np
import pytest
import tifffile
import zarr

import roitrace as rt
from roitrace.cli.main import main
from roitrace.errors import ConfigError, FormatError, RoitraceError, StoreError
from roitrace.formats.registry import open_recording_file, read_roi_table
from roitrace.formats.shifts.bad_frames import read_bad_frames
from roitrace.formats.shifts.reading import read_shift_table
from roitrace.store import chunk_files, rooted
from tests.formats.reading import movie
from tests.formats.recordings.test_instruments import write_bruker
from tests.formats.recordings.test_zarr_store import write_own

SECRET = 4242


def everything(path):
    source = open_recording_file(path).sources[0][0]
    return source.read(*(slice(0, size) for size in source.shape))


def secret_chunk(folder, like):
    """A file outside of the store, with the bytes of a chunk."""
    folder.mkdir(exist_ok=True)
    array = zarr.create_array(folder / "secret.zarr", shape=like.shape, dtype=like.dtype, chunks=like.chunks)
    array[...] = SECRET
    return folder / "secret.zarr"


@pytest.fixture
def store(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(4, 8, 8), dtype="u2", chunks=(2, 8, 8))
    array[...] = movie((4, 8, 8))
    return tmp_path / "a.zarr"


@pytest.mark.parametrize("what", ["chunk", "folder of chunks", "metadata"])
def test_links_out_of_a_store_are_not_followed(tmp_path, store, what):
    secret = secret_chunk(tmp_path / "elsewhere", zarr.open_array(store))
    place, target = {
        "chunk": (store / "c/1/0/0", secret / "c/1/0/0"),
        "folder of chunks": (store / "c/1", secret / "c/1"),
        "metadata": (store / "zarr.json", secret / "zarr.json"),
    }[what]
    if place.is_dir():
        place.rename(tmp_path / "aside")
    else:
        place.unlink()
    place.symlink_to(target)
    with pytest.raises(StoreError, match="leads out of the store"):
        everything(store)


def test_links_out_of_a_store_that_zarr_decodes(tmp_path):
    filters = [numcodecs.Delta(dtype="<u2")]
    for name, value in (("a.zarr", 1), ("b.zarr", SECRET)):
        array = zarr.create_array(
            tmp_path / name, shape=(4, 8, 8), dtype="<u2", chunks=(2, 8, 8), zarr_format=2, filters=filters
        )
        array[...] = value
    (tmp_path / "a.zarr/1.0.0").unlink()
    (tmp_path / "a.zarr/1.0.0").symlink_to(tmp_path / "b.zarr/1.0.0")
    with pytest.raises(StoreError, match="leads out of the store"):
        everything(tmp_path / "a.zarr")


def test_links_within_a_store_and_to_a_store_are_followed(tmp_path, store):
    whole = everything(store)
    (store / "c/1/0/0").rename(store / "c/moved")
    (store / "c/1/0/0").symlink_to(store / "c/moved")
    np.testing.assert_array_equal(everything(store), whole)
    (tmp_path / "link.zarr").symlink_to(store)
    np.testing.assert_array_equal(everything(tmp_path / "link.zarr"), whole)


def test_links_of_coordinates_and_of_labels(tmp_path):
    write_own(tmp_path / "a.zarr", movie((8, 8, 8)))
    write_own(tmp_path / "b.zarr", movie((8, 8, 8)))
    (tmp_path / "a.zarr/time/c/0").unlink()
    (tmp_path / "a.zarr/time/c/0").symlink_to(tmp_path / "b.zarr/time/c/0")
    with pytest.raises(StoreError, match="leads out of the store"):
        open_recording_file(tmp_path / "a.zarr")
    labels = np.zeros((8, 8), np.uint16)
    labels[2:4, 2:4] = 1
    rt.write_rois(rt.Rois.from_labels(labels), tmp_path / "c.ome.zarr")
    (tmp_path / "c.ome.zarr/0/c/0/0").rename(tmp_path / "chunk")
    (tmp_path / "c.ome.zarr/0/c/0/0").symlink_to(tmp_path / "chunk")
    with pytest.raises(StoreError, match="leads out of the store"):
        read_roi_table(tmp_path / "c.ome.zarr")


@pytest.mark.parametrize("separator", ["/../", "..", "/../../elsewhere/", "\\"])
@pytest.mark.parametrize("version", [2, 3])
def test_chunk_keys_that_lead_elsewhere(tmp_path, version, separator):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(4, 8, 8), dtype="u2", chunks=(2, 8, 8), zarr_format=version
    )
    array[...] = 1
    file = tmp_path / "a.zarr" / ("zarr.json" if version == 3 else ".zarray")
    described = json.loads(file.read_text())
    if version == 3:
        described["chunk_key_encoding"]["configuration"]["separator"] = separator
    else:
        described["dimension_separator"] = separator
    file.write_text(json.dumps(described))
    with pytest.raises(FormatError, match="cannot be read as zarr"):
        open_recording_file(tmp_path / "a.zarr")


def test_arrays_of_ome_attributes_that_lead_elsewhere(tmp_path):
    secret = zarr.create_array(tmp_path / "secret", shape=(4, 8, 8), dtype="u2")
    secret[...] = SECRET
    multiscale = {"axes": [{"name": name} for name in "tyx"], "datasets": [{"path": "../secret"}]}
    zarr.create_group(tmp_path / "a.zarr", attributes={"ome": {"multiscales": [multiscale]}})
    with pytest.raises(RoitraceError):
        open_recording_file(tmp_path / "a.zarr")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["c/1/0/0", "zarr.json"])
def test_pipes_are_no_chunks(store, name):
    (store / name).unlink()
    os.mkfifo(store / name)
    with pytest.raises(RoitraceError):
        everything(store)


@pytest.mark.parametrize("name", ["../secret.tif", "/etc/passwd", "..\\secret.tif", "sub/../../secret.tif"])
def test_files_that_settings_name_lie_in_their_folder(tmp_path, name):
    tifffile.imwrite(tmp_path / "secret.tif", np.full((12, 12), SECRET, np.uint16))
    folder = write_bruker(tmp_path / "TSeries-1", movie((2, 1, 1, 12, 12)))
    settings = folder / "TSeries-1.xml"
    settings.write_text(settings.read_text().replace("TSeries-1_Ch1_000002.ome.tif", name))
    with pytest.raises(FormatError):
        open_recording_file(folder)


def test_files_that_ome_names_lie_in_its_folder(tmp_path):
    tifffile.imwrite(tmp_path / "secret.tif", np.full((1, 5, 6), SECRET, np.uint16), photometric="minisblack")
    (tmp_path / "in").mkdir()
    text = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:a"><Image ID="i">'
        '<Pixels ID="p" DimensionOrder="XYCZT" SizeT="2" SizeC="1" SizeZ="1" SizeX="6" SizeY="5" Type="uint16">'
        '<TiffData FirstT="0" IFD="0"><UUID FileName="a.ome.tif">urn:uuid:a</UUID></TiffData>'
        '<TiffData FirstT="1" IFD="0"><UUID FileName="../secret.tif">urn:uuid:b</UUID></TiffData></Pixels></Image></OME>'
    )
    tifffile.imwrite(
        tmp_path / "in/a.ome.tif", movie((1, 5, 6)), photometric="minisblack", metadata=None, description=text
    )
    with pytest.raises(FormatError, match=r"secret\.tif is not beside it"):
        open_recording_file(tmp_path / "in/a.ome.tif")


def hdf5_with(folder, kind):
    """A file whose samples lie in another, outside of its folder."""
    outside, inside = folder / "outside", folder / "inside"
    outside.mkdir()
    inside.mkdir()
    with h5py.File(outside / "secret.h5", "w") as file:
        file["data"] = np.full((4, 8, 8), SECRET, "u2")
    np.full((4, 8, 8), SECRET, "u2").tofile(outside / "secret.raw")
    with h5py.File(inside / "a.h5", "w") as file:
        if kind == "link":
            file["data"] = h5py.ExternalLink("../outside/secret.h5", "/data")
        elif kind == "raw":
            file.create_dataset(
                "data", shape=(4, 8, 8), dtype="u2", external=[(str(outside / "secret.raw"), 0, 512)]
            )
        else:
            layout = h5py.VirtualLayout(shape=(4, 8, 8), dtype="u2")
            layout[...] = h5py.VirtualSource(str(outside / "secret.h5"), "data", shape=(4, 8, 8))
            file.create_virtual_dataset("data", layout)
    return inside / "a.h5"


@pytest.mark.parametrize("kind", ["link", "raw", "virtual"])
def test_hdf5_that_refers_to_files_elsewhere(tmp_path, kind):
    path = hdf5_with(tmp_path, kind)
    for place in (path, f"{path}::data"):
        with pytest.raises(RoitraceError):
            everything(place)
    with pytest.raises(FormatError):
        read_shift_table(path)


@pytest.mark.parametrize("name", ["../../evil.roi", "/etc/evil.roi", "a/../../evil.roi"])
def test_entries_of_archives_are_never_unpacked_to_disk(tmp_path, name):
    rt.write_rois(rt.Rois.from_mask(np.eye(12) > 0), tmp_path / "a.roi")
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in/RoiSet.zip", "w") as archive:
        archive.writestr(name, (tmp_path / "a.roi").read_bytes())
    before = sorted(tmp_path.rglob("*"))
    assert len(read_roi_table(tmp_path / "in/RoiSet.zip")) == 1
    assert sorted(tmp_path.rglob("*")) == before


class Evil:
    """Touches a file when it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def test_pickles_are_not_run(tmp_path):
    done = tmp_path / "done"
    array = np.empty(1, object)
    array[0] = Evil(done)
    for name, content in (
        ("stat.npy", array),
        ("a_seg.npy", {"masks": Evil(done)}),
        ("ops.npy", {"yoff": Evil(done)}),
    ):
        np.save(tmp_path / name, content, allow_pickle=True)
    np.savez(tmp_path / "a.npz", masks=array)
    (tmp_path / "rois.pkl").write_bytes(pickle.dumps({"x": {"rois": [Evil(done)]}}, 2))
    readers = [
        *(
            lambda name=name: read_roi_table(tmp_path / name)
            for name in ("stat.npy", "a_seg.npy", "a.npz", "rois.pkl")
        ),
        lambda: read_shift_table(tmp_path / "ops.npy"),
        lambda: read_shift_table(tmp_path / "a.npz"),
        lambda: read_bad_frames(tmp_path / "ops.npy"),
        lambda: open_recording_file(tmp_path / "a_seg.npy"),
    ]
    for read in readers:
        with pytest.raises(RoitraceError):
            read()
    (tmp_path / "data.bin").write_bytes(bytes(288))
    with pytest.raises(RoitraceError):
        open_recording_file(tmp_path / "data.bin")
    assert not done.exists()
    pickle.loads(pickle.dumps(Evil(done)))
    assert done.exists()  # so that the test could have seen it


@pytest.mark.parametrize(
    "change",
    [
        {"filters": [{"id": "pickle"}], "dtype": "|O", "fill_value": None},
        {"filters": [{"id": "vlen-utf8"}, {"id": "pickle"}], "dtype": "|O", "fill_value": ""},
        {"compressor": {"id": "pickle"}},
    ],
)
def test_codecs_that_run_code_are_refused(tmp_path, change):
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    group.create_array("movie", data=movie((4, 8, 8)), chunks=(2, 8, 8))
    group.create_array("time", data=np.arange(4.0), chunks=(4,))
    file = tmp_path / "a.zarr/time/.zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    (tmp_path / "a.zarr/time/0").write_bytes(pickle.dumps(Evil(tmp_path / "done")))
    with pytest.raises(StoreError, match="pickles, which run code"):
        zarr.open_group(rooted.RootedStore(tmp_path / "a.zarr"), mode="r")["time"]
    assert not (tmp_path / "done").exists()


def test_yaml_makes_no_objects(tmp_path):
    path = tmp_path / "a.yaml"
    for text in (
        f"recording: !!python/object/apply:os.mkdir ['{tmp_path}/done']",
        f"recording: !!python/object/new:os.mkdir ['{tmp_path}/done']",
        "recording: !!python/name:os.system",
        "recording: !!python/module:os",
    ):
        path.write_text(text)
        with pytest.raises(ConfigError):
            rt.run(path)
    assert not (tmp_path / "done").exists()


def test_guards_of_stores_are_needed(tmp_path, store, monkeypatch):
    """With the check of links off, what lies elsewhere is read."""
    secret = secret_chunk(tmp_path / "elsewhere", zarr.open_array(store))
    (store / "c/1/0/0").unlink()
    (store / "c/1/0/0").symlink_to(secret / "c/1/0/0")
    monkeypatch.setattr(chunk_files, "check_inside", lambda *_: None)
    monkeypatch.setattr(rooted, "check_inside", lambda *_: None)
    assert (everything(store)[2:] == SECRET).all()


def test_one_line_at_the_command_line(tmp_path, capsys):
    rt.write_rois(rt.Rois.from_mask(np.eye(12) > 0), tmp_path / "a.roi")
    (tmp_path / "evil.tif").write_bytes(b"II*\0" + b"\xff" * 200)
    assert main(["info", str(tmp_path / "evil.tif")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert len(said.splitlines()) <= 2
