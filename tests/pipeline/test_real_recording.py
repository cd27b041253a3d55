"""The shipped configurations on a real two-photon recording, against references made by other software."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import roitrace as rt
from roitrace.cli.main import main
from tests.shared_data import DATA, needs_data

pytestmark = needs_data
NEUHOF = DATA / "neurofinder_neuhof"
CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.fixture(scope="module")
def run_example(tmp_path_factory):
    """Run a configuration on the recording from the command line and load its results."""

    def run_example(name, *settings):
        output = tmp_path_factory.mktemp("results") / f"{name}.zarr"
        given = (f"recording.path={NEUHOF / 'movie_600x240x240_u16.tif'}", f"output.path={output}", *settings)
        options = [part for setting in given for part in ("--set", setting)]
        assert main(["run", str(CONFIGS / f"{name}.yaml"), "--quiet", *options]) == 0
        return rt.load(output)

    return run_example


def reference(name):
    return np.load(NEUHOF / "reference" / name, allow_pickle=False)


def test_cells_are_found_in_a_tiff(run_example):
    tree = run_example("tiff", "recording.frame_rate=7.5")
    with reference("imagej_zproject.npz") as imagej:
        np.testing.assert_array_equal(tree["projections"]["max"], imagej["max"])
    regions = json.loads((NEUHOF / "regions_crop.json").read_text())
    labelled = rt.Rois.from_pixels([region["coordinates"] for region in regions], shape=(240, 240))
    found = rt.Rois.from_dataset(tree["rois"].to_dataset().load())
    matches = rt.match_rois(found, labelled)
    assert len(found) <= 100
    assert matches.sizes["pair"] >= 12
    traces = tree["traces"]
    assert traces.sizes == {"roi": len(found), "time": 600}
    movie = rt.open_recording(NEUHOF / "movie_600x240x240_u16.tif").compute().values
    for number in (0, len(found) - 1):
        y_index, x_index = np.divmod(found.row(number), 240)
        pixels = movie[:, y_index, x_index].astype(np.float64)
        np.testing.assert_array_equal(traces["mean"][number], pixels.mean(axis=1))
        np.testing.assert_array_equal(traces["median"][number], np.median(pixels, axis=1))
        np.testing.assert_array_equal(traces["p90"][number], np.percentile(pixels, 90, axis=1))
    assert np.isfinite(tree["normalized"]["dff"]).any()


def test_cells_are_found_on_the_correlation_image(run_example):
    tree = run_example(
        "correlation", "extract.statistics=[mean]", "figures=null", "normalize=null", "compare=null"
    )
    regions = json.loads((NEUHOF / "regions_crop.json").read_text())
    labelled = rt.Rois.from_pixels([region["coordinates"] for region in regions], shape=(240, 240))
    found = rt.Rois.from_dataset(tree["rois"].to_dataset().load())
    # the score that the configuration tells
    assert (rt.match_rois(found, labelled).sizes["pair"], len(found)) == (13, 68)
    assert tree["traces"].sizes["roi"] == 68


def test_rois_drawn_in_imagej_give_imagej_s_numbers(run_example):
    tree = run_example(
        "imagej_rois",
        f"rois.path={NEUHOF / 'reference' / 'imagej_RoiSet.zip'}",
        "recording.frame_rate=7.5",
        "extract.overlap=keep",
        "extract.statistics=[mean, min, max]",
    )
    traces = tree["traces"]
    with reference("imagej_roi_stats.npz") as imagej:
        assert traces["roi"].values.tolist() == imagej["names"].tolist()
        for statistic in ("mean", "min", "max"):
            np.testing.assert_array_equal(traces[statistic], imagej[statistic])


def test_suite2p_example_gives_suite2p_s_f(run_example, tmp_path):
    """suite2p halves samples of 16 bits, rounding down; apart from that its F is the same."""
    with reference("suite2p_extraction.npz") as suite2p:
        expected = dict(suite2p)
    borders = np.flatnonzero(np.diff(expected["roi"])) + 1
    names = ("ypix", "xpix", "lam")
    columns = [np.split(expected[name], borders) for name in names]
    stat = np.array([dict(zip(names, one, strict=True)) for one in zip(*columns, strict=True)])
    np.save(tmp_path / "stat.npy", stat, allow_pickle=True)
    np.save(tmp_path / "iscell.npy", np.arange(len(stat)) % 2)
    tree = run_example("suite2p_rois", f"rois.path={tmp_path / 'stat.npy'}", "recording.frame_rate=7.5")
    traces = tree["traces"]
    assert traces.attrs["primary"] == "weighted_mean"
    np.testing.assert_array_equal(traces["accepted"], np.arange(len(stat)) % 2 == 1)
    difference = traces["weighted_mean"].values / 2 - expected["F"]
    assert difference.min() > -0.01
    assert difference.max() < 0.51
    assert np.isfinite(tree["normalized"]["dff"]).any()


def test_two_photon_example_subtracts_neuropil_and_judges(run_example):
    tree = run_example("two_photon", "recording.frame_rate=7.5")
    rois = rt.Rois.from_dataset(tree["rois"].to_dataset().load())
    rings = rt.Rois.from_dataset(tree["neuropil"].to_dataset().load())
    movie = rt.open_recording(NEUHOF / "movie_600x240x240_u16.tif").compute().values
    y_index, x_index = np.divmod(rings.row(3), 240)
    fneu = movie[:, y_index, x_index].astype(np.float64).mean(axis=1)
    np.testing.assert_array_equal(tree["corrected"]["fneu"][3], fneu)
    f = tree["traces"]["mean"].sel(overlap="keep")[3].values
    np.testing.assert_array_equal(tree["corrected"]["fcorr"][3], f - 0.7 * fneu)
    table = tree["quality"].to_dataset().load()
    kept = (table["peak_snr"] >= 2) & (table["split_half_reliability"] >= 0.2)
    np.testing.assert_array_equal(rois.accepted, kept & (table["saturated_fraction"] < 0.01))
    assert tree["comparison"]["statistic"].values[-1] == "fcorr"
