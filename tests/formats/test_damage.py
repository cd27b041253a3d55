"""Damaged files of every format give one clear error, or what is left of them; never another exception, never a warning."""

from __future__ import annotations

import pickle
import warnings

import h5py
import numpy as np
import pytest
import roifile
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from roitrace.errors import FormatError, RoitraceError
from roitrace.formats.damage import understanding
from roitrace.formats.registry import open_recording_file, read_roi_table, write_roi_table
from roitrace.formats.rois.table import table_of_labels
from tests.formats.reading import movie


def write_tiff(**options):
    return lambda path: tifffile.imwrite(path, movie((8, 12, 12)), photometric="minisblack", **options)


def write_hdf5(**options):
    def write(path):
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=movie((8, 12, 12)), **options)

    return write


def write_roi(path):
    path.write_bytes(roifile.ImagejRoi.frompoints(np.array([[1, 1], [9, 2], [7, 8.5]])).tobytes())


def write_footprints(path):
    with h5py.File(path, "w") as file:
        group = file.create_group("estimates/A")
        group["data"], group["indices"] = np.array([1.0, 0.5, 2.0]), np.array([3, 4, 60])
        group["indptr"], group["shape"] = np.array([0, 2, 3]), np.array([144, 2])
        file["dims"] = np.array([12, 12])


def write_shapes(path):
    corners = [(1.5, 1.5), (1.5, 9.5), (7.5, 9.5), (7.5, 1.5)]
    lines = [f"0,rectangle,{number},{y},{x}" for number, (y, x) in enumerate(corners)]
    path.write_text("\n".join(["index,shape-type,vertex-index,axis-0,axis-1", *lines]) + "\n")


def write_sima(path):
    polygon = np.array([(1.0, 1.0, 0.0), (5.0, 1.0, 0.0), (5.0, 5.0, 0.0)])
    roi = {
        "mask": None,
        "polygons": [polygon],
        "id": "1",
        "label": "a",
        "tags": set(),
        "im_shape": (1, 12, 12),
    }
    path.write_bytes(pickle.dumps({"by hand": {"rois": [roi], "timestamp": "2014"}}, 2))


def write_table(path):
    write_roi_table(table_of_labels(LABELS), path)


LABELS = np.arange(144, dtype=np.uint16).reshape(12, 12) // 30
RECORDINGS = {
    "plain.tif": write_tiff(),
    "zlib.tif": write_tiff(compression="zlib"),
    "strips.tif": write_tiff(compression="lzw", rowsperstrip=5),
    "imagej.tif": write_tiff(imagej=True, metadata={"axes": "TYX"}),
    "a.ome.tif": write_tiff(metadata={"axes": "TYX"}),
    "big.tif": write_tiff(bigtiff=True, metadata=None),
    "a.npy": lambda path: np.save(path, movie((8, 12, 12))),
    "chunked.h5": write_hdf5(chunks=(2, 12, 12), compression="gzip"),
    "plain.h5": write_hdf5(),
}
ROIS = {
    "a.roi": write_roi,
    "RoiSet.zip": write_table,
    "stat.npy": write_table,
    "pixels.csv": write_table,
    "regions.json": write_table,
    "rois.nwb": write_table,
    "shapes.csv": write_shapes,
    "estimates.hdf5": write_footprints,
    "rois.pkl": write_sima,
    "masks.npz": lambda path: np.savez_compressed(path, masks=LABELS),
    "a_seg.npy": lambda path: np.save(path, {"masks": LABELS}, allow_pickle=True),
    "a.png": lambda path: Image.fromarray(LABELS).save(path),
    "labels.tif": lambda path: tifffile.imwrite(path, LABELS, compression="zlib"),
    "labels.npy": lambda path: np.save(path, LABELS),
}

flips = st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from([0, 1, 7, 127, 255])), max_size=6)
reach = st.sampled_from([60, 400, 10**6])


def damage(content, length, changes, within):
    """Change some bytes, more often near the beginning, and cut the rest off."""
    damaged = bytearray(content[: int(length * len(content))])
    for position, value in changes:
        if damaged:
            damaged[position % min(within, len(damaged))] = value
    return bytes(damaged)


@pytest.mark.parametrize("name", [*RECORDINGS, *ROIS])
def test_damaged_files(tmp_path_factory, name):
    path = tmp_path_factory.mktemp("damage") / name
    (RECORDINGS | ROIS)[name](path)
    for beside in ("ops.npy", "iscell.npy"):
        path.with_name(beside).unlink(missing_ok=True)
    content = path.read_bytes()

    @settings(max_examples=40, deadline=None, database=None)
    @given(st.just(1.0) | st.floats(0, 1), flips, reach)
    def one_error_or_none(length, changes, within):
        path.write_bytes(damage(content, length, changes, within))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                if name in ROIS:
                    read_roi_table(path)
                else:
                    source = open_recording_file(path).sources[0][0]
                    source.identity()
                    source.read(slice(0, 1), slice(0, 1), slice(0, 1))
            except RoitraceError as error:
                assert str(error)

    one_error_or_none()


def test_own_errors_pass_and_others_keep_their_cause():
    with pytest.raises(FormatError, match="mine"), understanding("a cannot be read"):
        raise FormatError("mine")
    with (
        pytest.raises(FormatError, match="a cannot be read: KeyError") as caught,
        understanding("a cannot be read"),
    ):
        raise KeyError
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(KeyboardInterrupt), understanding("a cannot be read"):
        raise KeyboardInterrupt
