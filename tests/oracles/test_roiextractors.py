"""roiextractors reads the same footprints from the same files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import roitrace as rt
from tests.formats.rois.test_footprints import HEIGHT, WIDTH, footprints, save_caiman, save_extract

roiextractors = pytest.importorskip("roiextractors")


def image_masks(extractor):
    """Footprints ``(roi, y, x)``."""
    return np.moveaxis(np.asarray(extractor.get_roi_image_masks()), -1, 0)


def test_caiman(tmp_path):
    path = save_caiman(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        file["params/data/dims"], file["params/data/fr"] = np.array([HEIGHT, WIDTH]), 30.0
        for name in ("C", "S", "F_dff", "YrA"):
            file[f"estimates/{name}"] = np.zeros((3, 7))
        for name in ("b", "f", "Cn", "b0", "r_values", "cnn_preds"):
            file[f"estimates/{name}"] = "NoneType"
        del file["estimates/SNR_comp"]
    extractor = roiextractors.CaimanSegmentationExtractor(file_path=path)
    rois = rt.read_rois(path, support=0)
    np.testing.assert_array_equal(rois.to_masks().astype("float32"), image_masks(extractor))
    ids = extractor.get_roi_ids()
    assert ids == rois.ids.tolist()
    np.testing.assert_array_equal(extractor.get_property("is_accepted", ids=ids), rois.accepted)


def test_extract(tmp_path):
    path = save_extract(tmp_path / "a.mat")
    with h5py.File(path, "r+") as file:
        file["output/temporal_weights"] = np.zeros((3, 7))
        file["output/config/preprocess"] = [[1.0]]
        file["output/config/trace_output_option"] = np.frombuffer(b"raw", "u1").astype("u2")
        file["output/config/cellfind_filter_type"] = np.frombuffer(b"none", "u1").astype("u2")
    extractor = roiextractors.ExtractSegmentationExtractor(file_path=str(path), sampling_frequency=30.0)
    np.testing.assert_array_equal(image_masks(extractor), footprints())
    np.testing.assert_array_equal(rt.read_rois(path, support=0).to_masks(), image_masks(extractor))


def test_suite2p(tmp_path):
    """roiextractors wants traces and settings beside the ROIs."""
    labels = np.zeros((HEIGHT, WIDTH), int)
    labels[1:3, 0:2], labels[4, 1:5] = 1, 2
    rois = rt.Rois.from_labels(labels).with_weights(np.array([1.0, 2, 3, 4, 5, 6, 7, 8])).reject("2")
    folder = tmp_path / "suite2p" / "plane0"
    folder.mkdir(parents=True)
    with pytest.warns(UserWarning, match="suite2p counts from 0"):
        rt.write_rois(rois, folder / "stat.npy")
    ops = np.load(folder / "ops.npy", allow_pickle=True).item()
    np.save(
        folder / "ops.npy",
        ops | {"fs": 30.0, "nchannels": 1, "nframes": 7, "meanImg": np.zeros((HEIGHT, WIDTH))},
    )
    for name in ("F", "Fneu", "spks"):
        np.save(folder / f"{name}.npy", np.zeros((2, 7)))
    extractor = roiextractors.Suite2pSegmentationExtractor(folder_path=tmp_path / "suite2p")
    ids = extractor.get_roi_ids()
    np.testing.assert_array_equal(extractor.get_property("iscell", ids=ids), [True, False])
    for number, mask in enumerate(extractor.get_roi_pixel_masks()):
        y_index, x_index, weight = np.asarray(mask).T
        one = rois.coordinates(number)
        assert y_index.tolist() == one["y_index"].values.tolist()
        assert x_index.tolist() == one["x_index"].values.tolist()
        assert weight.tolist() == one["weight"].values.tolist()
