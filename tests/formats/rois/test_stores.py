"""Cellpose, SIMA, OME-Zarr labels, npz, results stores."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import yaozarrs
import zarr

import roitrace as rt
from roitrace.errors import AlignmentError, ArgumentError, FormatError, OutputExistsError
from roitrace.formats.registry import read_roi_table, write_roi_table
from roitrace.formats.rois.format import RoiOptions
from roitrace.formats.rois.table import RoiTable
from tests.shared_data import DATA, needs_data

LABELS = np.array([[0, 7, 7, 0], [3, 0, 7, 0], [3, 3, 0, 300]], dtype="uint16")


class Evil:
    def __reduce__(self):
        return (Path("executed").write_text, ("yes",))


def cellpose(path, **content):
    everything = {
        "filename": "a.tif",
        "outlines": LABELS * 0,
        "masks": LABELS,
        "chan_choose": [0, 0],
        "ismanual": np.zeros(3, bool),
        "flows": [np.zeros((3, 4, 3), "uint8"), np.zeros((3, 4)), []],
        "diameter": np.float64(3.5),
    }
    np.save(path, everything | content, allow_pickle=True)
    return path


def test_cellpose(tmp_path):
    table = read_roi_table(cellpose(tmp_path / "a_seg.npy"))
    assert (table.ids, table.shape) == ((3, 7, 300), (3, 4))
    assert table.pixels[0].tolist() == [[1, 0], [2, 0], [2, 1]]
    path = cellpose(tmp_path / "b_seg.npy", masks=np.stack([LABELS, LABELS * 2]))
    with pytest.raises(ArgumentError, match="labels in 2 planes; choose one with plane="):
        read_roi_table(path)
    assert read_roi_table(path, RoiOptions(plane=1)).ids == (6, 14, 600)
    with pytest.raises(ArgumentError, match="has 2 planes, there is no plane 2"):
        read_roi_table(path, RoiOptions(plane=2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"masks": np.zeros((3, 4)) - 1}, "negative or fractional"),
        ({"masks": np.zeros(4, int)}, r"labels of shape \(4,\)"),
        ({"masks": "none"}, r"labels of shape \(\)"),
        ({"masks": Evil()}, "which is not plain data"),
        ({"flows": [Evil()]}, "which is not plain data"),
    ],
)
def test_malformed_cellpose(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError, match=message):
        read_roi_table(cellpose(tmp_path / "a_seg.npy", **content))
    assert not (tmp_path / "executed").exists()


def test_another_dict(tmp_path):
    np.save(tmp_path / "ops.npy", {"Ly": 3, "Lx": 4}, allow_pickle=True)
    with pytest.raises(FormatError, match="holds Ly, Lx, and no masks"):
        read_roi_table(tmp_path / "ops.npy")


def square(left, top, size, plane=0.0):
    corners = [(left, top), (left + size, top), (left + size, top + size), (left, top + size), (left, top)]
    return np.array([(x, y, plane) for x, y in corners], dtype=float)


def sima_roi(*polygons, **content):
    return {
        "mask": None,
        "polygons": list(polygons),
        "id": None,
        "label": None,
        "tags": {"soma"},
        "im_shape": (1, 6, 8),
    } | content


@pytest.mark.parametrize("protocol", [2, 4])
def test_sima(tmp_path, protocol):
    folder = tmp_path / "a.sima"
    folder.mkdir()
    rois = [sima_roi(square(1, 0, 2), label="a"), sima_roi(square(0, 0, 1), square(4, 3, 1), label="b")]
    content = {"by hand": {"rois": rois, "timestamp": "2014-01-01"}}
    (folder / "rois.pkl").write_bytes(pickle.dumps(content, protocol))
    for path in (folder, folder / "rois.pkl", f"{folder}::by hand"):
        table = read_roi_table(path)
        assert (table.names, table.ids, table.shape) == (("a", "b"), (1, 2), (6, 8))
        assert table.pixels[0].tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
        assert table.pixels[1].tolist() == [[0, 0], [3, 4]]
    assert rt.read_rois(folder).shape == (6, 8)
    with pytest.raises(ArgumentError, match="has no set 'other'; it has by hand"):
        read_roi_table(f"{folder}::other")


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ({"a": {"rois": []}, "b": {"rois": []}}, ArgumentError, "holds the sets a, b; name one: .*::a"),
        (
            {"a": {"rois": [sima_roi(mask="sparse", polygons=None)]}},
            FormatError,
            "ROI 0 is kept as a sparse mask",
        ),
        (
            {"a": {"rois": [sima_roi(square(0, 0, 1), square(0, 0, 1, 2.0))]}},
            ArgumentError,
            "in the planes 0, 2",
        ),
        ({"a": {"rois": [sima_roi(np.zeros(3))]}}, FormatError, "not as SIMA writes them"),
        ({"a": {"rois": [7]}}, FormatError, "not as SIMA writes them"),
        ({"a": {"rois": 7}}, FormatError, "not as SIMA writes them"),
        ({"a": 7}, FormatError, "holds no sets"),
        ([], FormatError, "holds no sets"),
        ({"a": Evil()}, FormatError, "not plain data"),
    ],
)
def test_malformed_sima(tmp_path, monkeypatch, content, error, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rois.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(error, match=message):
        read_roi_table(tmp_path / "rois.pkl")
    assert not (tmp_path / "executed").exists()


def test_one_plane_of_sima(tmp_path):
    content = {"a": {"rois": [sima_roi(square(0, 0, 1), square(2, 0, 1, 2.0))]}}
    (tmp_path / "rois.pkl").write_bytes(pickle.dumps(content))
    table = read_roi_table(tmp_path / "rois.pkl", RoiOptions(plane=2))
    assert table.pixels[0].tolist() == [[0, 2]]
    assert table.names == ("1",)


def test_large_pickle(tmp_path, monkeypatch):
    monkeypatch.setattr("roitrace.formats.rois.sima.LIMIT_BYTES", 3)
    (tmp_path / "rois.pkl").write_bytes(pickle.dumps({}))
    with pytest.raises(FormatError, match="at most"):
        read_roi_table(tmp_path / "rois.pkl")


def test_npz(tmp_path):
    masks = np.stack([LABELS == 7, LABELS > 0])
    np.savez(tmp_path / "a.npz", masks=masks, other=np.zeros(3))
    assert [len(yx) for yx in read_roi_table(tmp_path / "a.npz").pixels] == [3, 7]
    np.savez_compressed(tmp_path / "b.npz", one=LABELS, two=masks)
    with pytest.raises(ArgumentError, match="holds the arrays one, two; name one"):
        read_roi_table(tmp_path / "b.npz")
    assert read_roi_table(f"{tmp_path / 'b.npz'}::one").ids == (3, 7, 300)
    np.savez(tmp_path / "c.npz", masks=np.array([{}], dtype=object))
    with pytest.raises(FormatError, match="holds Python objects"):
        read_roi_table(tmp_path / "c.npz")


def test_npz_that_unpacks_to_much(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", masks=np.zeros((1000, 1000), bool))
    monkeypatch.setattr("roitrace.formats.bounded.LIMIT_BYTES", 2**16)
    with pytest.raises(FormatError, match=r"masks\.npy claims 976"):
        read_roi_table(tmp_path / "a.npz")


@needs_data
def test_masks_of_sima():
    rois = rt.read_rois(DATA / "sima_example_h5" / "sima_plain.npz")
    with np.load(DATA / "sima_example_h5" / "sima_plain.npz") as arrays:
        np.testing.assert_array_equal(rois.to_masks(), arrays["masks"].astype(bool))


TABLE = RoiTable(
    ("soma", "axon", "none"),
    (9, 4, 5),
    (np.array([[0, 0], [1, 2]]), np.array([[2, 3]]), np.zeros((0, 2), int)),
    (3, 4),
    accepted=(True, False, True),
)


def test_ome_labels_are_valid_and_keep_names_and_flags(tmp_path):
    path = tmp_path / "rois.ome.zarr"
    assert write_roi_table(TABLE, path) == ("ROI 'none', which has no pixels of its own",)
    yaozarrs.validate_zarr_store(str(path))
    assert isinstance(yaozarrs.open_group(str(path)).ome_metadata(), yaozarrs.v05.LabelImage)
    assert zarr.open_array(path / "0")[:].tolist() == [[9, 0, 0, 0], [0, 0, 9, 0], [0, 0, 0, 4]]
    table = read_roi_table(path)
    assert (table.names, table.ids, table.accepted) == (TABLE.names, TABLE.ids, TABLE.accepted)
    assert [yx.tolist() for yx in table.pixels] == [yx.tolist() for yx in TABLE.pixels]
    write_roi_table(TABLE, path, overwrite=True)
    assert [one.name for one in tmp_path.iterdir()] == ["rois.ome.zarr"]


def test_an_image_is_not_replaced_by_labels(tmp_path):
    path = tmp_path / "movie.ome.zarr"
    zarr.create_group(path, attributes={"ome": {"version": "0.5", "multiscales": []}})
    with pytest.raises(OutputExistsError, match="holds other things than ome-zarr ROIs, and is not replaced"):
        write_roi_table(TABLE, path, overwrite=True)
    (tmp_path / "folder.ome.zarr").mkdir()
    with pytest.raises(OutputExistsError, match="holds other things"):
        write_roi_table(TABLE, tmp_path / "folder.ome.zarr", overwrite=True)


def ome_image(path, version, **labels):
    """An image with label images, as other programs lay it out, five axes and two levels."""
    zarr_format = 3 if version == "0.5" else 2

    def attributes(content):
        return {"ome": {"version": "0.5", **content}} if version == "0.5" else content

    axes = [{"name": name} for name in "tczyx"]
    multiscale = {"version": version, "axes": axes, "datasets": [{"path": "0"}, {"path": "1"}]}
    root = zarr.create_group(
        path, zarr_format=zarr_format, attributes=attributes({"multiscales": [multiscale]})
    )
    group = root.create_group("labels", attributes=attributes({"labels": list(labels)}))
    for name, image in labels.items():
        one = group.create_group(
            name, attributes=attributes({"multiscales": [multiscale], "image-label": {}})
        )
        one.create_array("0", data=image.reshape(1, 1, -1, *image.shape[-2:]))
        one.create_array("1", data=image.reshape(1, 1, -1, *image.shape[-2:])[..., ::2, ::2])
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_of_an_image(tmp_path, version):
    path = ome_image(tmp_path / "a.zarr", version, cells=LABELS)
    for place in (path, f"{path}::cells", f"{path}::labels/cells", path / "labels" / "cells"):
        table = read_roi_table(place)
        assert (table.ids, table.shape) == ((3, 7, 300), (3, 4))
    several = ome_image(tmp_path / "b.zarr", version, cells=LABELS, nuclei=np.stack([LABELS, LABELS * 2]))
    with pytest.raises(ArgumentError, match="holds 2 label images: cells, nuclei; name one"):
        read_roi_table(several)
    with pytest.raises(ArgumentError, match="has no label image 'other'; it has cells, nuclei"):
        read_roi_table(f"{several}::other")
    with pytest.raises(ArgumentError, match="labels in 2 planes"):
        read_roi_table(f"{several}::nuclei")
    assert read_roi_table(f"{several}::nuclei", RoiOptions(plane=1)).ids == (6, 14, 600)


def test_malformed_ome_labels(tmp_path, monkeypatch):
    path = tmp_path / "a.ome.zarr"
    write_roi_table(TABLE, path)
    monkeypatch.setattr("roitrace.formats.bounded.LIMIT_BYTES", 3)
    with pytest.raises(FormatError, match="claims 24 B"):
        read_roi_table(path)
    (path / "0" / "zarr.json").write_text("{")
    with pytest.raises(FormatError, match="cannot be read as zarr"):
        read_roi_table(path)
    group = zarr.create_group(tmp_path / "b.zarr", attributes={"ome": {"image-label": {}}})
    with pytest.raises(FormatError, match="has no multiscales"):
        read_roi_table(tmp_path / "b.zarr")
    multiscale = {"axes": [{"name": "x"}, {"name": "y"}], "datasets": [{"path": "0"}]}
    group.attrs["ome"] = {"image-label": {}, "multiscales": [multiscale]}
    group.create_array("0", data=LABELS)
    with pytest.raises(FormatError, match="expected y and x last"):
        read_roi_table(tmp_path / "b.zarr")
    several = ome_image(tmp_path / "c.zarr", "0.5", cells=LABELS)
    channels = zarr.open_group(several / "labels" / "cells")
    del channels["0"]
    channels.create_array("0", data=np.zeros((1, 2, 1, 3, 4), int))
    monkeypatch.undo()
    with pytest.raises(FormatError, match="expected one image"):
        read_roi_table(several)


def test_labels_that_are_no_group(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("labels", data=LABELS)
    with pytest.raises(FormatError, match="holds no label images"):
        read_roi_table(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "zarr.json").write_text("{")
    with pytest.raises(FormatError, match="cannot be read as zarr"):
        read_roi_table(tmp_path / "a.zarr")


def test_results_store(tmp_path):
    rois = rt.Rois.from_labels(LABELS.astype(int)).reject("7", "blurred")
    rt.write_rois(rois, tmp_path / "cells.zarr")
    assert rt.read_rois(tmp_path / "cells.zarr").equals(rois)
    with pytest.raises(AlignmentError):
        rt.read_rois(tmp_path / "cells.zarr", recording=np.zeros((9, 9)))
    with pytest.raises(OutputExistsError):
        rt.write_rois(rois, tmp_path / "cells.zarr")
    rt.save({"mask": rois.to_mask()}, tmp_path / "mask.zarr")
    with pytest.raises(ArgumentError, match="holds no ROIs"):
        rt.read_rois(tmp_path / "mask.zarr")
