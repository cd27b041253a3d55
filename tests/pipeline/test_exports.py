"""The section ``export:`` of a job."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from roitrace.config import make_config
from roitrace.errors import ArgumentError, ConfigError, MetadataError, OutputExistsError
from roitrace.pipeline.run import run
from tests.pipeline.conftest import digest, job_of


def test_outputs_of_a_job(tmp_path):
    outputs = [
        {"path": str(tmp_path / "dff.csv"), "statistic": "dff"},
        {"path": str(tmp_path / "plane0"), "format": "suite2p", "fill": "interpolate"},
    ]
    notes, steps = [], []
    tree = run(
        job_of(tmp_path, export=outputs),
        note=notes.append,
        progress=lambda step, *_: steps.append(step),
    )
    table = pd.read_csv(tmp_path / "dff.csv", index_col="time")
    np.testing.assert_array_equal(table.values.T, tree["normalized"]["dff"].values)
    f = np.load(tmp_path / "plane0" / "F.npy")
    np.testing.assert_array_equal(f, tree["traces"]["mean"].values.astype(np.float32))
    assert any("spks.npy holds zeros" in note for note in notes)
    assert {"export dff.csv", "export plane0"} <= set(steps)
    assert (
        len(json.loads((tmp_path / "results.zarr.run/run.json").read_text())["configuration"]["export"]) == 2
    )
    before = digest(tmp_path / "results.zarr")
    with pytest.raises(OutputExistsError, match="results.zarr exists already"):
        run(job_of(tmp_path, export=outputs))
    again = {"output": {"path": str(tmp_path / "results.zarr"), "overwrite": True}}
    run(job_of(tmp_path, export=outputs[:1], **again))
    assert digest(tmp_path / "results.zarr") == before  # what is exported changes nothing in the results


@pytest.mark.parametrize(
    ("output", "error", "said"),
    [
        ({"path": "a.xyz"}, ArgumentError, "'a.xyz' does not say which format"),
        ({"path": "a.nwb"}, MetadataError, "when the session began"),
        ({"path": "taken.csv"}, OutputExistsError, "taken.csv exists already"),
        ({"path": "a.csv", "into": "b.nwb"}, ArgumentError, "into= means nothing to csv"),
    ],
)
def test_mistakes_show_before_the_job_begins(tmp_path, monkeypatch, output, error, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.csv").write_text("mine")
    with pytest.raises(error, match=said):
        run(job_of(tmp_path, export=[output]))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["taken.csv"]


def test_without_cells_nothing_is_exported(tmp_path):
    notes = []
    nothing = {"threshold": {"method": "value", "value": 1e9}}
    run(job_of(tmp_path, rois=nothing, export=[{"path": str(tmp_path / "a.csv")}]), note=notes.append)
    assert "nothing was exported: there are no cells" in notes
    assert not (tmp_path / "a.csv").exists()


def test_configuration():
    values = {"recording": {"path": "a.tif"}, "output": {"path": "a.zarr"}}
    assert make_config(values).export == ()
    with pytest.raises(ConfigError, match="export.0.dtype: 'int8' given"):
        make_config(values | {"export": [{"path": "a.csv", "dtype": "int8"}]})
    with pytest.raises(ConfigError, match="export.0.path is missing"):
        make_config(values | {"export": [{"format": "csv"}]})
