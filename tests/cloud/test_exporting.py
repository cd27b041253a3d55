"""Files for other tools in a bucket are those on disk; what cannot go there is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import roitrace as rt
from roitrace.errors import ArgumentError, BudgetError, OutputExistsError
from roitrace.store.places import place_of
from tests.cloud.contents import contents
from tests.cloud.memory import memory_bucket
from tests.test_resuming import rois


@pytest.fixture
def traces():
    values = np.random.default_rng(0).normal(100, 3, (2, 50))
    values[0, 4] = np.nan
    traces = xr.Dataset(
        {"mean": (("roi", "time"), values)},
        coords={"roi": list(rois().names)},
        attrs={"primary": "mean", "frame_rate": 10.0},
    )
    return {"traces": traces, "rois": rois()}


@pytest.fixture
def bucket():
    with memory_bucket() as bucket:
        yield bucket


@pytest.mark.filterwarnings("ignore:.*does not keep:UserWarning")
@pytest.mark.filterwarnings("ignore:.*(holds zeros|have NaN):UserWarning")
@pytest.mark.parametrize("name", ["traces.csv", "traces.npy", "plane0", "traces.zarr"])
def test_exports_are_the_same_objects(traces, bucket, tmp_path, name):
    options = {"format": "suite2p" if name == "plane0" else None, "fill": "interpolate"}
    rt.export(traces, tmp_path / name, **options)
    made = rt.export(traces, f"s3://memory/{name}", **options)
    assert made == place_of(f"s3://memory/{name}")
    assert contents(place_of("s3://memory")) == contents(tmp_path)
    with pytest.raises(OutputExistsError, match=f"s3://memory/{name} exists already"):
        rt.export(traces, f"s3://memory/{name}", **options)
    rt.export(traces, f"s3://memory/{name}", overwrite=True, **options | {"fill": "nan"})
    assert "traces.filled.csv" not in bucket.contents
    assert not Path("s3:").exists()


@pytest.mark.filterwarnings("ignore:.*does not keep:UserWarning")
def test_files_that_do_not_fit_the_memory_are_not_sent(traces, bucket, monkeypatch):
    monkeypatch.setattr(sys.modules["roitrace.export"], "_COPIES", 10**9)
    with pytest.raises(
        BudgetError, match="which is sent in one piece; the budget is 1.0 GiB; export to disk and copy"
    ):
        rt.export(traces, "s3://memory/traces.csv", budget="1 GiB")
    assert bucket.contents == {}


@pytest.mark.usefixtures("bucket")
def test_rois_for_other_programs_go_to_disk():
    with pytest.raises(ArgumentError, match="only results stores are written there"):
        rt.write_rois(rois(), "s3://memory/RoiSet.zip")
    rt.write_rois(rois(), "s3://memory/cells.zarr")
    assert rt.read_rois("s3://memory/cells.zarr").equals(rois())
    assert not Path("s3:").exists()
