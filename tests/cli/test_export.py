"""``roitrace export``: what is written, what is said, exit codes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from roitrace.results import save
from tests.formats.traces.results import make_results

pytestmark = pytest.mark.filterwarnings("always::UserWarning")  # notes, as they are on the command line


@pytest.fixture
def results(work):  # noqa: ARG001 (it is made there)
    """Save results in the folder where calls are made."""
    made = make_results(missing=0.05)
    save(made, "results.zarr", source="digest")
    return made


def test_suffix_says_the_format(call, results):
    answer = call("export", "results.zarr", "a.csv", "--statistic", "median")
    assert answer.code == 0
    assert answer.out == "output  a.csv\n"
    assert "note: a.csv does not keep: the pixels of the ROIs" in answer.err
    assert "write: 1/1 tasks" in answer.err
    table = pd.read_csv("a.csv", index_col="time")
    np.testing.assert_array_equal(table.values.T, results["traces"]["median"].values)


def test_all_options(call, results):
    options = (
        "--layout",
        "tidy",
        "--statistic",
        "mean, dff",
        "--dtype",
        "float32",
        "--fill",
        "interpolate",
        "-q",
    )
    answer = call("export", "results.zarr", "a", "--format", "parquet", *options, "--json")
    assert json.loads(answer.out) == {"output": "a"}
    assert answer.err == ""
    table = pd.read_parquet("a")
    assert list(table.columns) == ["roi", "time", "mean", "dff", "filled"]
    missing = np.isnan(results["traces"]["mean"].values) | np.isnan(results["normalized"]["dff"].values)
    np.testing.assert_array_equal(table["filled"], missing.ravel())


def test_spikes(work, call, results):
    spikes = np.random.default_rng(0).random(results["traces"]["mean"].shape).astype(np.float32)
    np.save("spikes.npy", spikes)
    assert (
        call("export", "results.zarr", "s2p", "--format", "suite2p", "--spikes", "spikes.npy", "-q").code == 0
    )
    np.testing.assert_array_equal(np.load("s2p/spks.npy"), spikes)
    np.save("spikes.npy", spikes[0])
    answer = call("export", "results.zarr", "b", "--format", "suite2p", "--spikes", "spikes.npy")
    assert answer.code == 2
    assert answer.lines[0] == "error: spikes.npy holds float32 of shape (400,)"
    (work / "spikes.npy").write_text("hello")
    answer = call("export", "results.zarr", "b", "--format", "suite2p", "--spikes", "spikes.npy")
    assert answer.code == 1
    assert "spikes.npy cannot be read as .npy" in answer.lines[0]


@pytest.mark.usefixtures("results")
def test_nwb(call):
    start = "session_start_time=2024-05-01T10:00:00+02:00"
    subject = ("--metadata", "subject.subject_id=m7", "--metadata", "subject.sex=F")
    assert call("export", "results.zarr", "a.nwb", "--metadata", start, *subject, "-q").code == 0
    answer = call("export", "results.zarr", "b.nwb", "--into", "a.nwb", "--statistic", "median", "-q")
    assert answer.code == 2
    assert "holds ImageSegmentation/roitrace already" in answer.err


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (("results.zarr", "a.xyz"), 2, "'a.xyz' does not say which format is meant"),
        (("results.zarr", "a.csv", "--statistic", "sum"), 2, "the results hold no statistic 'sum'"),
        (("results.zarr", "a.csv", "--format", "excel"), 2, "no format is named 'excel'"),
        (("results.zarr", "a.nwb"), 1, "NWB needs to know when the session began"),
        (("results.zarr", "movie.npy"), 1, "movie.npy exists already"),
        (("none.zarr", "a.csv"), 1, "none.zarr does not exist"),
        (("movie.npy", "a.csv"), 1, "movie.npy is no results store"),
        (("results.zarr", "a.csv", "--budget", "1 MiB"), 1, "the budget is 1.0 MiB"),
        (("results.zarr",), 2, "missing argument"),
    ],
)
@pytest.mark.usefixtures("results")
def test_errors(work, call, typed, code, said):
    before = sorted(one.name for one in work.iterdir())
    answer = call("export", *typed, "-q")
    assert answer.code == code
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert sorted(one.name for one in work.iterdir()) == before


@pytest.mark.usefixtures("results")
def test_damaged_store_is_not_our_mistake(work, call):
    file = work / "results.zarr/traces/mean/c/0/0"
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)
    answer = call("export", "results.zarr", "a.csv", "-q")
    assert answer.code == 1
    assert "mean in results.zarr/traces is damaged in chunk" in answer.lines[0]
    assert answer.lines[1] == "  mend it with roitrace verify --repair, or run its job anew, with overwrite"
