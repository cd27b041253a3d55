"""A suite2p folder: what suite2p's own loader and window look up is there, in its shapes and dtypes."""

from __future__ import annotations

import numpy as np
import pytest

from roitrace.errors import ArgumentError, MetadataError, OutputExistsError
from roitrace.roi_files import read_rois
from tests.formats.traces.results import RATE, SHAPE, exported, make_results


def suite2p_load(folder):
    """Load a folder as suite2p's window does, and look up what it goes on to use."""
    stat = np.load(folder / "stat.npy", allow_pickle=True)
    f, fneu, spks = (np.load(folder / f"{name}.npy") for name in ("F", "Fneu", "spks"))
    ops = np.load(folder / "ops.npy", allow_pickle=True).item()
    iscell = np.load(folder / "iscell.npy")
    probability, iscell = iscell[:, 1], iscell[:, 0].astype("bool")
    int(ops["tau"] * ops["fs"] / 2)
    assert np.percentile(ops["meanImg"], 1) < np.percentile(ops["meanImg"], 99)
    window = np.zeros((ops["Ly"], ops["Lx"]), np.float32)
    part = slice(*ops["yrange"]), slice(*ops["xrange"])
    window[part] = ops["max_proj"]
    for one in stat:
        assert one["ypix"].flatten().max() < ops["Ly"]
        assert one["xpix"].flatten().max() < ops["Lx"]
        assert len(one["med"]) == 2
        assert float(one["radius"]) > 0
        assert one["lam"].size == one["overlap"].size == one["npix"]
        for name in ("compact", "footprint", "aspect_ratio", "npix_norm"):
            assert np.isfinite(one[name])
    assert len(stat) == len(f) == len(iscell) == len(probability)
    return f, fneu, spks, stat, iscell, ops


def test_folder(tmp_path):
    results = make_results()
    said = exported(results, tmp_path / "s2p", "suite2p")
    f, fneu, spks, stat, iscell, ops = suite2p_load(tmp_path / "s2p")
    assert f.dtype == fneu.dtype == spks.dtype == np.float32
    np.testing.assert_array_equal(f, results["traces"]["mean"].values.astype(np.float32))
    np.testing.assert_array_equal(fneu, results["traces"]["neuropil"].values.astype(np.float32))
    assert spks.shape == f.shape
    assert not spks.any()
    assert stat.shape == (5,)
    np.testing.assert_array_equal(iscell, results["rois"].accepted)
    assert (ops["Ly"], ops["Lx"]) == SHAPE
    assert ops["fs"] == RATE
    assert ops["nframes"] == 400
    np.testing.assert_array_equal(ops["meanImg"], results["projections"]["mean"].values.astype(np.float32))
    again = read_rois(tmp_path / "s2p", recording=results["rois"])
    np.testing.assert_array_equal(again.pixels, results["rois"].pixels)
    np.testing.assert_array_equal(again.weights, results["rois"].weights)
    assert len([one for one in said if "spks.npy holds zeros" in one]) == 1
    assert any("the trace dff, digits beyond float32, names of the ROIs" in one for one in said)
    assert len(said) == 2


def test_given_spikes(tmp_path):
    spikes = np.random.default_rng(0).random((5, 400))
    said = exported(make_results(), tmp_path / "s2p", "suite2p", spikes=spikes)
    np.testing.assert_array_equal(np.load(tmp_path / "s2p/spks.npy"), spikes.astype(np.float32))
    assert not any("spks" in one for one in said)
    with pytest.raises(ArgumentError, match=r"spikes has the shape \(400, 5\), expected \(5, 400\)"):
        exported(make_results(), tmp_path / "other", "suite2p", spikes=spikes.T)
    assert [one.name for one in tmp_path.iterdir()] == ["s2p"]


def test_without_neuropil(tmp_path):
    said = exported(make_results(), tmp_path / "s2p", "suite2p", statistic="median")
    assert not np.load(tmp_path / "s2p/Fneu.npy").any()
    assert any("Fneu.npy holds zeros" in one for one in said)


def test_missing_samples_are_told_of_and_can_be_filled(tmp_path):
    results = make_results(missing=0.01)
    said = exported(results, tmp_path / "s2p", "suite2p")
    assert any("NaN in F.npy" in one and 'fill="interpolate"' in one for one in said)
    np.testing.assert_array_equal(
        np.isnan(np.load(tmp_path / "s2p/F.npy")), np.isnan(results["traces"]["mean"].values)
    )
    said = exported(results, tmp_path / "s2p", "suite2p", fill="interpolate", overwrite=True)
    assert not any("NaN" in one for one in said)
    assert np.isfinite(np.load(tmp_path / "s2p/F.npy")).all()
    assert (tmp_path / "s2p/filled.csv").read_text().startswith("trace,roi,first_frame,last_frame\nmean,")


def test_what_suite2p_needs(tmp_path):
    results = make_results()
    with pytest.raises(ArgumentError, match="suite2p needs the pixels of the ROIs"):
        exported(results["traces"], tmp_path / "s2p", "suite2p")
    with pytest.raises(ArgumentError, match="suite2p needs F in counts, and dff is none"):
        exported(results, tmp_path / "s2p", "suite2p", statistic="dff")
    traces = results["traces"].drop_vars("time").drop_attrs(deep=False).assign_attrs(primary="mean")
    with pytest.raises(MetadataError, match="suite2p needs the frame rate"):
        exported({"rois": results["rois"], "traces": traces}, tmp_path / "s2p", "suite2p")
    assert list(tmp_path.iterdir()) == []


def test_only_a_folder_of_its_own_is_replaced(tmp_path):
    exported(make_results(), tmp_path / "s2p", "suite2p")
    with pytest.raises(OutputExistsError, match="exists already"):
        exported(make_results(), tmp_path / "s2p", "suite2p")
    exported(make_results(n_rois=3), tmp_path / "s2p", "suite2p", overwrite=True)
    assert len(np.load(tmp_path / "s2p/F.npy")) == 3
    (tmp_path / "s2p/notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="holds other things too, such as notes.txt"):
        exported(make_results(), tmp_path / "s2p", "suite2p", overwrite=True)
    assert (tmp_path / "s2p/notes.txt").read_text() == "mine"
