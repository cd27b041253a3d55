from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import tifffile

import roitrace as rt
from roitrace.errors import ArgumentError
from tests.formats.reading import movie
from tests.formats.recordings.test_caiman import write_mmap
from tests.formats.recordings.test_suite2p import write_plane


def test_what_a_file_says_and_what_is_missing(tmp_path):
    path = tmp_path / "a.tif"
    described = {"axes": "TCYX", "finterval": 0.1, "unit": "um"}
    tifffile.imwrite(path, movie((300, 2, 64, 80)), imagej=True, metadata=described, resolution=(0.5, 0.5))
    facts = rt.info(path)
    assert (facts["format"], facts["frames"], facts["channels"], facts["planes"]) == (
        "tiff",
        300,
        ["0", "1"],
        1,
    )
    assert facts["frame_rate"] == pytest.approx(10)
    assert facts["duration"] == pytest.approx(30)
    assert facts["pixel_height"] == "2 micrometer"
    assert facts["missing"] == ["acquisition time"]
    assert facts["file_bytes"] == path.stat().st_size
    assert facts["files"] == 1
    json.dumps(facts, allow_nan=False)
    bare = rt.info(write_plane(tmp_path / "plane0", movie((6, 5, 6), "int16"), fs=None))
    assert bare["missing"] == ["frame rate", "pixel size", "acquisition time"]
    assert "half scale" in bare["notes"][0]


def test_what_a_conversion_gains_follows_from_the_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("roitrace.inspection.SMALL", 0)
    samples = movie((512, 128, 128))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(
            "data", data=samples, chunks=(1, 128, 128), compression="gzip", compression_opts=1
        )
    facts = rt.info(tmp_path / "a.h5")
    storage, conversion = facts["storage"], facts["conversion"]
    assert storage == {
        "chunk": [1, 128, 128],
        "decoded": True,
        "chunks_per_trace": 512,
        "bytes_per_trace": samples.nbytes,
    }
    assert conversion["chunk"] == [256, 64, 64]
    assert conversion["chunks_per_trace"] == 2
    assert conversion["bytes_per_trace"] == samples.nbytes // 4
    assert conversion["bytes_to_read"] == samples.nbytes
    assert conversion["fewer_bytes_per_trace"] == 4
    assert "4 times less" in conversion["advice"]
    monkeypatch.setattr("roitrace.inspection.SMALL", 2**30)
    assert "the recording is small" in rt.info(tmp_path / "a.h5")["conversion"]["advice"]
    store = tmp_path / "a.zarr"
    rt.convert(tmp_path / "a.h5", store)
    after = rt.info(store)
    assert after["storage"]["chunks_per_trace"] == 2
    assert after["conversion"]["advice"].startswith("not needed: chunked already")


def test_memory_maps_are_read_by_pages(tmp_path):
    np.save(tmp_path / "a.npy", movie((300, 128, 4096)))
    facts = rt.info(tmp_path / "a.npy")
    assert facts["storage"]["decoded"] is False
    assert facts["storage"]["bytes_per_trace"] == 300 * 16 * 4096
    long = rt.info(write_mmap(tmp_path, movie((2048, 20, 24), "float32"), "C"))
    assert long["storage"]["bytes_per_trace"] == 256 * 2048 * 4


def test_sessions_and_parts(tmp_path):
    for number in range(2):
        np.save(tmp_path / f"run{number}.npy", movie((30, 5, 6)))
    files = [tmp_path / "run0.npy", tmp_path / "run1.npy"]
    facts = rt.info(files)
    assert (facts["sessions"], facts["frames"], facts["files"]) == (2, 60, 2)
    assert rt.info(files, continuous=True)["sessions"] == 1
    assert rt.info(files, time=slice(0, 20))["sessions"] == 1
    with pytest.raises(ArgumentError, match="there is no file"):
        rt.info(tmp_path / "none.npy")
