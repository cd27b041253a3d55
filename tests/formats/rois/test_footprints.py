"""CaImAn, CNMF-E, EXTRACT, Minian: footprints with tails, in files laid out as these programs write them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.sparse
import xarray as xr
import zarr

import roitrace as rt
from roitrace.errors import ArgumentError, FormatError
from roitrace.formats.registry import read_roi_table
from roitrace.formats.rois.footprints import footprints_of_images
from roitrace.formats.rois.format import RoiOptions

HEIGHT, WIDTH = 6, 5
KEEP_ALL = RoiOptions(support=0.0)


def footprints():
    """Three footprints (roi, y, x); the middle one with a tail below 0.2 of its maximum."""
    images = np.zeros((3, HEIGHT, WIDTH))
    images[0, 1, 2:4] = 0.5, 1.0
    images[1, 3:6, 1] = 4.0, 0.9, 0.7
    images[2, 0, 4] = 0.01
    return images


def sparse(fortran=True):
    columns = footprints().transpose(0, 2, 1) if fortran else footprints()
    return scipy.sparse.csc_array(columns.reshape(3, -1).T)


def save_caiman(path, **changes):
    matrix = sparse()
    with h5py.File(path, "w") as file:
        group = file.create_group("estimates/A")
        group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
        group["shape"] = matrix.shape
        file["estimates/idx_components"] = np.array([2, 0])
        file["estimates/SNR_comp"] = np.zeros(3)
        file["dims"] = np.array([HEIGHT, WIDTH])
        for name, value in changes.items():
            place = name.replace("__", "/")
            if place in file:
                del file[place]
            if value is not None:
                file[place] = value
    return path


def save_extract(path, name="output", dataset="spatial_weights"):
    with h5py.File(path, "w", userblock_size=512) as file:
        file[f"{name}/{dataset}"] = footprints().transpose(0, 2, 1)  # as HDF5 shows MATLAB's (y, x, roi)
        file[f"{name}/info/version"] = np.frombuffer(b"1.0.0", "u1").astype("u2")
        file.create_group("#refs#")
    return path


def save_cnmfe(path, *, dense=False):
    matrix = sparse()
    with h5py.File(path, "w", userblock_size=512) as file:
        file["results/options/d1"], file["results/options/d2"] = [[float(HEIGHT)]], [[float(WIDTH)]]
        if dense:
            file["results/A"] = matrix.toarray().T
        else:
            group = file.create_group("results/A")
            group.attrs["MATLAB_sparse"] = np.uint64(HEIGHT * WIDTH)
            group["data"], group["ir"], group["jc"] = matrix.data, matrix.indices, matrix.indptr
    return path


def save_matlab(path, **changes):
    """As MATLAB's own `save` does, which compresses."""
    from scipy.io import savemat

    results = {"A": sparse(), "options": {"d1": float(HEIGHT), "d2": float(WIDTH)}, "C": np.zeros((3, 9))}
    savemat(path, {"results": results | changes, "other": 3.0}, do_compression=True)
    return path


def save_minian(path):
    array = xr.DataArray(
        footprints(), dims=("unit_id", "height", "width"), coords={"unit_id": [4, 7, 9]}, name="A"
    ).chunk(unit_id=2)
    array.to_dataset().to_zarr(path / "A.zarr", zarr_format=2, consolidated=True)
    return path


@pytest.mark.parametrize(
    ("save", "ids"),
    [
        (lambda folder: save_caiman(folder / "a.hdf5"), (0, 1, 2)),
        (lambda folder: save_extract(folder / "a.mat"), (1, 2, 3)),
        (lambda folder: save_extract(folder / "a.mat", "extractAnalysisOutput", "filters"), (1, 2, 3)),
        (lambda folder: save_extract(folder / "a.mat", "emAnalysisOutput", "extractedImages"), (1, 2, 3)),
        (lambda folder: save_cnmfe(folder / "a.mat"), (1, 2, 3)),
        (lambda folder: save_cnmfe(folder / "a.mat", dense=True), (1, 2, 3)),
        (lambda folder: save_matlab(folder / "a.mat"), (1, 2, 3)),
        (lambda folder: save_matlab(folder / "a.mat", A=sparse().toarray()), (1, 2, 3)),
        (
            lambda folder: save_matlab(folder / "a.mat", spatial_weights=footprints().transpose(1, 2, 0)),
            (1, 2, 3),
        ),
        (save_minian, (4, 7, 9)),
        (lambda folder: save_minian(folder) / "A.zarr", (4, 7, 9)),
    ],
    ids=[
        "caiman",
        "extract",
        "old extract",
        "ciatah",
        "cnmf-e",
        "cnmf-e dense",
        "v7",
        "v7 dense",
        "v7 extract",
        "minian",
        "A.zarr",
    ],
)
def test_every_program(tmp_path, save, ids):
    path = save(tmp_path)
    table = read_roi_table(path, KEEP_ALL)
    assert (table.ids, table.names) == (ids, tuple(map(str, ids)))
    assert table.shape == (HEIGHT, WIDTH)
    rois = rt.read_rois(path, support=0)
    np.testing.assert_array_equal(rois.to_masks(), footprints())
    cut = rt.read_rois(path)
    assert cut.n_pixels.tolist() == [2, 2, 1]  # 0.7 is less than a fifth of 4, 0.9 is not
    assert cut.row_weights(1).tolist() == [4.0, 0.9]
    assert rt.read_rois(path, support=0.5).n_pixels.tolist() == [2, 1, 1]
    with pytest.raises(ArgumentError, match=r"support=1.5, expected a part"):
        rt.read_rois(path, support=1.5)


def test_what_is_not_positive_is_no_footprint():
    pixels, weights = footprints_of_images([np.array([[-1.0, 0.5, 1.0]]), np.array([[-2.0, 0, 0]])], 0.0, "A")
    assert [yx.tolist() for yx in pixels] == [[[0, 1], [0, 2]], []]
    assert weights[0].tolist() == [0.5, 1.0]


def test_components_that_caiman_rejected_stay(tmp_path):
    assert read_roi_table(save_caiman(tmp_path / "a.hdf5")).accepted == (True, False, True)
    path = save_caiman(tmp_path / "b.hdf5", estimates__idx_components="NoneType")
    assert read_roi_table(path).accepted is None
    path = save_caiman(tmp_path / "c.hdf5", dims=None, params__data__dims=np.array([HEIGHT, WIDTH]))
    assert read_roi_table(path).shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dims": None}, "does not say how large the frame was"),
        ({"dims": np.array([6, 5, 2])}, "is of 3 dimensions"),
        ({"dims": np.array([5, 5])}, "has 30 rows, its frame of 5 x 5 has 25"),
        ({"estimates__A__indptr": np.array([0, 2, 9, 6])}, "damaged sparse matrix"),
        ({"estimates__A__indptr": np.array([0, 2, 5, 7])}, "damaged sparse matrix"),
        ({"estimates__A__indptr": np.zeros(0, int)}, "damaged sparse matrix"),
        ({"estimates__A__indices": np.array([-1, 2, 3, 4, 5, 6])}, "has rows from -1"),
        ({"estimates__A__data": np.full(6, np.nan)}, "values that are no numbers"),
        ({"estimates__A__data": None}, "cannot be read as HDF5"),
        ({"estimates__A": np.zeros(3)}, "is no sparse matrix"),
        ({"estimates__idx_components": np.array([3])}, "accepts component 3 of 3"),
        ({"estimates": np.zeros(3)}, "holds no footprints"),
    ],
)
def test_malformed_caiman(tmp_path, changes, message):
    with pytest.raises(FormatError, match=message):
        read_roi_table(save_caiman(tmp_path / "a.hdf5", **changes))


def test_malformed_matlab(tmp_path):
    path = save_extract(tmp_path / "a.mat")
    assert len(read_roi_table(f"{path}::output")) == 3
    with pytest.raises(ArgumentError, match="has no structure 'other'; it has output"):
        read_roi_table(f"{path}::other")
    with h5py.File(path, "r+") as file:
        del file["output/spatial_weights"]
        file["output/spatial_weights"] = np.zeros((3, 4))
    with pytest.raises(FormatError, match="is no stack of footprints"):
        read_roi_table(path)
    path = save_cnmfe(tmp_path / "b.mat", dense=True)
    with h5py.File(path, "r+") as file:
        file["results/options/d1"][:] = 7
    with pytest.raises(FormatError, match=r"has shape \(30, 3\), expected 35 rows"):
        read_roi_table(path)


def test_old_matlab_without_compression(tmp_path):
    from scipy.io import savemat

    results = {"A": sparse(), "options": {"d1": float(HEIGHT), "d2": float(WIDTH)}}
    savemat(tmp_path / "a.mat", {"results": results})
    np.testing.assert_array_equal(rt.read_rois(tmp_path / "a.mat", support=0).to_masks(), footprints())


def test_malformed_old_matlab(tmp_path, monkeypatch):
    path = save_matlab(tmp_path / "a.mat", options={"d1": 7.0, "d2": 5.0})
    with pytest.raises(FormatError, match=r"results\.A has shape \(30, 3\), expected 35 rows"):
        read_roi_table(path)
    with pytest.raises(ArgumentError, match="has no structure 'other'; it has results"):
        read_roi_table(f"{path}::other")
    with pytest.raises(FormatError, match="holds no footprints: no A with"):
        read_roi_table(save_matlab(tmp_path / "b.mat", options=3.0))
    whole = save_matlab(tmp_path / "c.mat").read_bytes()
    (tmp_path / "c.mat").write_bytes(whole[:-40])
    with pytest.raises(FormatError, match="cannot be read as MATLAB file"):
        read_roi_table(tmp_path / "c.mat")
    monkeypatch.setattr("roitrace.formats.matlab_file.FREE_BYTES", 8)
    monkeypatch.setattr("roitrace.formats.matlab_file.MOST_SHRUNK", 1)
    with pytest.raises(FormatError, match=r"and unpacks to more than"):
        read_roi_table(save_matlab(tmp_path / "d.mat"))


def test_malformed_minian(tmp_path):
    save_minian(tmp_path)
    (tmp_path / "A.zarr" / ".zmetadata").write_text("{")
    with pytest.raises(FormatError, match="cannot be read as zarr"):
        read_roi_table(tmp_path)
    xr.Dataset({"A": (("a", "b"), np.zeros((2, 2)))}).to_zarr(tmp_path / "b" / "A.zarr", zarr_format=2)
    with pytest.raises(FormatError, match=r"holds no array A \(unit_id, height, width\)"):
        read_roi_table(tmp_path / "b")
    xr.Dataset({"A": (("u", "y", "x"), footprints()), "unit_id": ("v", [1, 2])}).to_zarr(
        tmp_path / "c" / "A.zarr", zarr_format=2
    )
    with pytest.raises(FormatError, match="has 2 unit_id and 3 footprints"):
        read_roi_table(tmp_path / "c")


def test_cut_short(tmp_path):
    path = save_caiman(tmp_path / "a.hdf5")
    whole = path.read_bytes()
    for part in (0.05, 0.5, 0.95):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(FormatError):
            read_roi_table(path)


def test_claims_of_any_size(tmp_path):
    """Datasets that say they are huge take no room in a file."""
    path = save_caiman(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        del file["estimates/A/data"]
        file["estimates/A"].create_dataset("data", shape=(2**40,), chunks=(2**10,), dtype="f8")
    with pytest.raises(FormatError, match="claims .*, at most 4.0 GiB are read"):
        read_roi_table(path)
    path = save_extract(tmp_path / "a.mat")
    with h5py.File(path, "r+") as file:
        del file["output/spatial_weights"]
        file.create_dataset("output/spatial_weights", shape=(1, 2**20, 2**20), chunks=(1, 64, 64), dtype="f8")
    with pytest.raises(FormatError, match="claims"):
        read_roi_table(path)
    path = save_cnmfe(tmp_path / "b.mat", dense=True)
    with h5py.File(path, "r+") as file:
        del file["results/A"]
        file["results/options/d1"][:], file["results/options/d2"][:] = 2**20, 2**20
        file.create_dataset("results/A", shape=(1, 2**40), chunks=(1, 64), dtype="f8")
    with pytest.raises(FormatError, match="claims"):
        read_roi_table(path)
    group = zarr.create_group(tmp_path / "A.zarr")
    group.create_array("A", shape=(2, 2**20, 2**20), chunks=(1, 64, 64), dtype="f8")
    with pytest.raises(FormatError, match="claims"):
        read_roi_table(tmp_path)
