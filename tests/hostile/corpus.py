"""Small, sound files of every kind that is read: what the malformed ones are made from."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import roifile
import scipy.sparse
import tifffile
import zarr
from PIL import Image
from scipy.io import savemat

from roitrace.formats.registry import write_roi_table
from roitrace.formats.rois.table import table_of_labels
from tests.formats.reading import movie
from tests.formats.recordings.test_caiman import write_mmap
from tests.formats.recordings.test_instruments import thor_settings, write_bruker, write_scanbox
from tests.formats.recordings.test_suite2p import write_plane
from tests.formats.recordings.test_tiff_scanimage import header
from tests.formats.recordings.test_tiff_scanimage import write as write_scanimage
from tests.formats.recordings.test_zarr_store import write_ome, write_own
from tests.formats.rois.test_footprints import save_caiman, save_cnmfe, save_extract, save_matlab, save_minian

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CORPUS", "FRAME", "Entry", "build_corpus"]

FRAME = (12, 12)
SAMPLES = movie((8, *FRAME))
LABELS = np.arange(144, dtype=np.uint16).reshape(FRAME) // 30
CONFIGS = Path(__file__).parents[2] / "configs"


@dataclass(frozen=True)
class Entry:
    """One sound input: its kind, and what writes it into an empty folder and returns the path to give to a reader."""

    name: str
    kind: str
    write: Callable[[Path], Path]


def _file(name: str, write: Callable[[Path], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write(folder / name)
        return folder / name

    return make


def _tiff(name: str, samples: np.ndarray = SAMPLES, **options: object) -> Callable[[Path], Path]:
    return _file(name, lambda path: tifffile.imwrite(path, samples, photometric="minisblack", **options))


def _hdf5(name: str, **options: object) -> Callable[[Path], Path]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=SAMPLES, **options)

    return _file(name, write)


def _nwb(path: Path) -> None:
    """The datasets of a series that are read, without pynwb, which is slow."""
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        series = file.create_group("acquisition/series")
        series.attrs["neurodata_type"] = "TwoPhotonSeries"
        series.create_dataset("data", data=SAMPLES.transpose(0, 2, 1), chunks=(2, 12, 12), compression="gzip")
        series["starting_time"] = 0.0
        series["starting_time"].attrs["rate"] = 30.0
        file["session_start_time"] = "2024-05-06T07:08:09+00:00"


def _zarr(name: str, **options: object) -> Callable[[Path], Path]:
    def write(path: Path) -> None:
        array = zarr.create_array(path, shape=SAMPLES.shape, dtype=SAMPLES.dtype, **options)
        array[...] = SAMPLES

    return _file(name, write)


def _thor_raw(folder: Path) -> Path:
    run = thor_settings(folder / "run", FRAME)
    SAMPLES.astype("<u2").tofile(run / "Image_001_001.raw")
    return run


def _thor_tiff(folder: Path) -> Path:
    run = thor_settings(folder / "run", FRAME)
    for number, image in enumerate(SAMPLES[:3], start=1):
        tifffile.imwrite(run / f"ChanA_001_001_001_{number:03}.tif", image)
    return run


def _video(name: str, codec: str) -> Callable[[Path], Path]:
    def write(path: Path) -> None:
        from tests.formats.recordings.test_video import write_video

        write_video(path, movie((6, 32, 48), "uint8"), codec)

    return _file(name, write)


def _miniscope(folder: Path) -> Path:
    from tests.formats.recordings.test_video import write_miniscope

    write_miniscope(folder / "run", lengths=(3, 2), stamps=np.arange(5) * 33, settings={"frameRate": 30})
    return folder / "run"


def _rois(name: str) -> Callable[[Path], Path]:
    return _file(name, lambda path: write_roi_table(table_of_labels(LABELS), path))


def _composite(path: Path) -> None:
    ring = np.ones(FRAME, np.uint16)
    ring[3:8, 4:9] = 0
    write_roi_table(table_of_labels(ring), path)


def _shapes(path: Path) -> None:
    corners = [(1.5, 1.5), (1.5, 9.5), (7.5, 9.5), (7.5, 1.5)]
    kinds = ("rectangle", "ellipse")
    lines = [
        f"{shape},{kind},{number},{y},{x}"
        for shape, kind in enumerate(kinds)
        for number, (y, x) in enumerate(corners)
    ]
    path.write_text("\n".join(["index,shape-type,vertex-index,axis-0,axis-1", *lines]) + "\n")


def _sima(path: Path) -> None:
    polygon = np.array([(1.0, 1.0, 0.0), (5.0, 1.0, 0.0), (5.0, 5.0, 0.0)])
    roi = {
        "mask": None,
        "polygons": [polygon],
        "id": "1",
        "label": "a",
        "tags": set(),
        "im_shape": (1, *FRAME),
    }
    path.write_bytes(pickle.dumps({"by hand": {"rois": [roi], "timestamp": "2014"}}, 2))


def _image_masks(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        table = file.create_group("processing/ophys/PlaneSegmentation")
        table.attrs["neurodata_type"] = "PlaneSegmentation"
        table["id"] = np.arange(3)
        table.create_dataset("image_mask", data=np.eye(12)[None] * np.ones((3, 1, 1)), compression="gzip")


def _matlab_sparse(path: Path) -> None:
    matrix = scipy.sparse.csc_array(np.eye(144, 3))
    savemat(path, {"results": {"A": matrix, "options": {"d1": 12.0, "d2": 12.0}}})


def _ops(path: Path) -> None:
    moves = np.arange(8)
    np.save(
        path, {"yoff": moves, "xoff": -moves, "badframes": moves > 6, "Ly": 12, "Lx": 12, "yrange": [1, 11]}
    )


def _results(folder: Path) -> Path:
    import roitrace as rt
    from tests.formats.traces.results import make_results

    rt.save(make_results(3, 40), folder / "results.zarr")
    return folder / "results.zarr"


def _shifts(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["motion/shifts_rig"] = np.ones((8, 2))


def _config(name: str) -> Callable[[Path], Path]:
    return _file(name, lambda path: shutil.copy(CONFIGS / name, path))


def _decisions(path: Path) -> None:
    path.write_text('roi,accepted,reason,note\n1,yes,,\n2,no,dim,"near, a vessel"\n3,no,by hand,\n')


def _two_pages_per_chunk(path: Path) -> None:
    with tifffile.TiffWriter(path) as tiff:
        for image in SAMPLES:
            tiff.write(image, compression="zlib", photometric="minisblack", metadata=None)


IMAGEJ = roifile.ImagejRoi.frompoints(np.array([[1, 1], [9, 2], [7, 8.5]])).tobytes()

CORPUS = (
    Entry("plain.tif", "recording", _tiff("movie.tif", metadata=None)),
    Entry("zlib.tif", "recording", _tiff("movie.tif", compression="zlib", metadata=None)),
    Entry("shaped.tif", "recording", _tiff("movie.tif")),
    Entry("strips.tif", "recording", _tiff("movie.tif", compression="lzw", rowsperstrip=5)),
    Entry("tiles.tif", "recording", _tiff("movie.tif", compression="zlib", tile=(16, 16))),
    Entry("series.tif", "recording", _file("movie.tif", _two_pages_per_chunk)),
    Entry("imagej.tif", "recording", _tiff("movie.tif", imagej=True, metadata={"axes": "TYX"})),
    Entry("ome.tif", "recording", _tiff("movie.ome.tif", metadata={"axes": "TYX"})),
    Entry("big.tif", "recording", _tiff("movie.tif", bigtiff=True, byteorder=">", metadata=None)),
    Entry("scanimage.tif", "recording", _file("movie.tif", lambda path: write_scanimage(path, SAMPLES, header()))),
    Entry("npy", "recording", _file("movie.npy", lambda path: np.save(path, SAMPLES))),
    Entry("hdf5", "recording", _hdf5("movie.h5")),
    Entry("chunked.hdf5", "recording", _hdf5("movie.h5", chunks=(2, 12, 12), compression="gzip")),
    Entry("nwb", "recording", _file("movie.nwb", _nwb)),
    Entry("zarr 3", "recording", _zarr("movie.zarr", chunks=(2, 6, 12))),
    Entry("zarr 3 shards", "recording", _zarr("movie.zarr", chunks=(2, 6, 6), shards=(4, 12, 12))),
    Entry("zarr 2", "recording", _zarr("movie.zarr", chunks=(2, 6, 12), zarr_format=2)),
    Entry(
        "ome-zarr",
        "recording",
        _file("movie.zarr", lambda path: write_ome(path, SAMPLES, "tyx", "0.4", [0.1, 1, 1])),
    ),
    Entry("own store", "recording", _file("movie.zarr", lambda path: write_own(path, SAMPLES))),
    Entry("suite2p.bin", "recording", lambda folder: write_plane(folder / "plane0", movie((8, *FRAME), "int16"))),
    Entry("caiman", "recording", lambda folder: write_mmap(folder, movie((8, *FRAME), "float32"), "C")),
    Entry("scanbox", "recording", lambda folder: write_scanbox(folder, movie((8, *FRAME, 1)))),
    Entry("bruker", "recording", lambda folder: write_bruker(folder / "TSeries-1", movie((3, 1, 1, *FRAME)))),
    Entry("thor raw", "recording", _thor_raw),
    Entry("thor tiff", "recording", _thor_tiff),
    Entry("avi", "recording", _video("movie.avi", "rawvideo")),
    Entry("mkv", "recording", _video("movie.mkv", "ffv1")),
    Entry("mp4", "recording", _video("movie.mp4", "png")),
    Entry("miniscope", "recording", _miniscope),
    Entry("roi", "rois", _file("a.roi", lambda path: path.write_bytes(IMAGEJ))),
    Entry("RoiSet", "rois", _rois("RoiSet.zip")),
    Entry("composite", "rois", _file("a.roi", _composite)),
    Entry("stat.npy", "rois", _rois("stat.npy")),
    Entry("pixels.csv", "rois", _rois("pixels.csv")),
    Entry("regions.json", "rois", _rois("regions.json")),
    Entry("rois.nwb", "rois", _rois("rois.nwb")),
    Entry("image masks.nwb", "rois", _file("rois.nwb", _image_masks)),
    Entry("shapes.csv", "rois", _file("shapes.csv", _shapes)),
    Entry("caiman.hdf5", "rois", _file("a.hdf5", save_caiman)),
    Entry("extract.mat", "rois", _file("a.mat", save_extract)),
    Entry("cnmfe.mat", "rois", _file("a.mat", save_cnmfe)),
    Entry("matlab 5", "rois", _file("a.mat", save_matlab)),
    Entry("matlab 5 sparse", "rois", _file("a.mat", _matlab_sparse)),
    Entry("minian", "rois", save_minian),
    Entry("sima", "rois", _file("rois.pkl", _sima)),
    Entry("npz", "rois", _file("masks.npz", lambda path: np.savez_compressed(path, masks=LABELS))),
    Entry("cellpose", "rois", _file("a_seg.npy", lambda path: np.save(path, {"masks": LABELS}, allow_pickle=True))),
    Entry("png", "rois", _file("a.png", lambda path: Image.fromarray(LABELS).save(path))),
    Entry("labels.tif", "rois", _file("a.tif", lambda path: tifffile.imwrite(path, LABELS, compression="zlib"))),
    Entry("labels.ome.tif", "rois", _file("a.ome.tif", lambda path: tifffile.imwrite(path, LABELS, metadata={"axes": "YX"}))),
    Entry("labels.npy", "rois", _file("a.npy", lambda path: np.save(path, LABELS))),
    Entry("labels.zarr", "rois", _rois("cells.ome.zarr")),
    Entry("ops.npy", "shifts", _file("ops.npy", _ops)),
    Entry("shifts.npy", "shifts", _file("a.npy", lambda path: np.save(path, np.ones((8, 2))))),
    Entry("shifts.npz", "shifts", _file("a.npz", lambda path: np.savez(path, shifts_rig=np.ones((8, 2))))),
    Entry("shifts.hdf5", "shifts", _file("a.h5", _shifts)),
    Entry("shifts.csv", "shifts", _file("a.csv", lambda path: path.write_text("frame,dy,dx\n0,1,2\n1,-1,0.5\n2,0,0\n"))),
    Entry("bad.npy", "bad frames", _file("a.npy", lambda path: np.save(path, np.arange(8) > 5))),
    Entry("bad.csv", "bad frames", _file("a.csv", lambda path: path.write_text("frame\n3\n4\n"))),
    Entry("pixels.npy", "bad pixels", _file("a.npy", lambda path: np.save(path, np.eye(12) > 0))),
    Entry("two_photon.yaml", "config", _config("two_photon.yaml")),
    Entry("imagej_rois.yaml", "config", _config("imagej_rois.yaml")),
    Entry("results", "results", _results),
    Entry("decisions", "decisions", _file("a.rois.csv", _decisions)),
)  # fmt: skip


def build_corpus(folder: Path) -> dict[str, Path]:
    """Write every entry into a folder of its own; returns what to give to the reader, relative to that folder."""
    places = {}
    for number, entry in enumerate(CORPUS):
        home = folder / str(number)
        home.mkdir(parents=True)
        places[entry.name] = entry.write(home).relative_to(home)
    (folder / "places.json").write_text(json.dumps({name: str(place) for name, place in places.items()}))
    return places
