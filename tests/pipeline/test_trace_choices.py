"""Overlap rules, neuropil, baselines, weights and quality rules from a configuration: the same as the verbs, and kept."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import xarray as xr

import roitrace as rt
from roitrace.config import make_config
from roitrace.errors import ArgumentError, BudgetError, ConfigError
from roitrace.pipeline.planning import plan_job
from roitrace.pipeline.run import run
from roitrace.pipeline.summary import summarize

pytestmark = pytest.mark.filterwarnings("error")

RULES = ("level >= 90", "overlap_fraction < 0.9", "split_half_reliability > -1")
FULL = {
    "extract": {
        "statistics": ["mean", "weighted_mean", {"split_half": {"seed": 4}}],
        "overlap": ["exclude", "keep", "split"],
    },
    "neuropil": {"rule": "allen", "reach": 9, "gap": 1, "r": "fit", "r_fallback": 0.5},
    "quality": {"rules": RULES},
    "normalize": {"offset": 20, "baseline": "maximin", "smoothing": "10 frames", "window": "4 s"},
}


def overlapping_cells(folder):
    """Write a recording of four cells in two colours, and five ROIs, of which two overlap and one is background."""
    random = np.random.default_rng(5)
    activity = 40 * random.poisson(0.1, (4, 150)).astype(float)
    activity = np.stack([np.convolve(one, np.exp(-np.arange(30) / 8), "full")[:150] for one in activity])
    movie = np.full((150, 48, 64), 60.0)
    corners = ((6, 6), (10, 10), (30, 40), (8, 44))
    for (y, x), change in zip(corners, activity, strict=True):
        movie[:, y : y + 8, x : x + 8] += 50 + change[:, None, None]
    both = random.poisson(np.stack([movie, np.full_like(movie, 90.0)], axis=1)).astype(np.uint16)
    tifffile.imwrite(folder / "movie.tif", both, imagej=True, metadata={"axes": "TCYX"})
    labels = [np.zeros((48, 64), dtype=bool) for _ in range(5)]
    for image, (y, x) in zip(labels, (*corners, (30, 8)), strict=True):
        image[y : y + 8, x : x + 8] = True
    names = ["a", "b", "c", "d", "nothing"]
    rt.write_rois(rt.Rois.from_masks(np.stack(labels), names=names), folder / "cells.zip")


def job_on(folder, name="out", **sections):
    recording = {"path": str(folder / "movie.tif"), "frame_rate": 10, "channel": 0}
    return {
        "recording": recording | sections.pop("recording", {}),
        "rois": {"path": str(folder / "cells.zip")},
        "figures": None,
        "output": {"path": str(folder / f"{name}.zarr")},
        "resources": {"budget": "1 GiB", "workers": 2},
    } | sections


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("choices")
    overlapping_cells(folder)
    return folder


@pytest.fixture(scope="module")
def full(folder):
    """Give the results of a job with everything, its notes, and what the verbs make of the same."""
    notes = []
    tree = run(job_on(folder, "full", **FULL, figures={"dpi": 50}), note=notes.append)
    recording = rt.open_recording(folder / "movie.tif", frame_rate=10, channel=0)
    rois = rt.Rois.from_dataset(tree["rois"].to_dataset().load())
    rings = rt.neuropil(rois, rule="allen", reach=9, gap=1)
    statistics = ("mean", "weighted_mean", *rt.stat.split_half(4))
    traces = rt.extract(
        recording, rois, statistics, overlap=("exclude", "keep", "split"), neuropil=rings
    ).compute()
    return tree, notes, rois, rings, traces


def test_overlap_rules_and_neuropil_are_those_of_the_verbs(full):
    tree, _, _, rings, traces = full
    written = tree["traces"].to_dataset().load()
    xr.testing.assert_identical(written, traces)
    assert written["mean"].dims == ("overlap", "roi", "time")
    assert written["mean"].attrs["overlap"] == "exclude"
    assert rt.Rois.from_dataset(tree["neuropil"].to_dataset().load()).equals(rings)


def test_f_fneu_and_fcorr_are_kept(full):
    tree, _, _, _, traces = full
    corrected = tree["corrected"].to_dataset().load()
    expected = rt.correct_neuropil(
        traces.isel(overlap=0, drop=True), r="fit", r_fallback=0.5, offset=20
    ).compute()
    for name in ("f", "fneu", "fcorr", "r", "status"):
        np.testing.assert_array_equal(corrected[name].values, expected[name].values)
    assert corrected.attrs["r"] == "fit"


def test_fcorr_is_normalised_by_the_configured_baseline(full):
    tree = full[0]
    expected = rt.normalize(
        tree["corrected"].to_dataset().load(),
        offset=20,
        baseline="maximin",
        smoothing="10 frames",
        window="4 s",
    )
    for name in ("dff", "f0", "n_small_f0"):
        np.testing.assert_array_equal(tree["normalized"][name].values, expected[name].values)
    assert tree["normalized"].attrs["baseline"] == "maximin"


def test_rules_mark_cells_everywhere_and_keep_reasons(full):
    tree, notes, rois, _, traces = full
    assert rois.accepted.tolist() == [True, True, True, True, False]
    assert rois.reasons[4].startswith("level ")
    table = tree["quality"].to_dataset().load()
    assert table["reason"].values.tolist() == list(rois.reasons)
    options = {"window": "4 s", "smoothing": "10 frames", "offset": 20.0}
    with_r = traces.assign(r=tree["corrected"]["r"].load())
    motion = tree["motion"].to_dataset().load() if "motion" in tree.children else None
    expected = rt.quality(with_r, rois, motion=motion, **options)
    assert {*expected.data_vars} == {*table.data_vars} - {"reason"}
    for name in expected.data_vars:
        np.testing.assert_array_equal(table[name].values, expected[name].values, err_msg=str(name))
    for group in ("rois", "neuropil", "traces", "corrected", "quality", "normalized", "comparison"):
        np.testing.assert_array_equal(tree[group]["accepted"].values, rois.accepted, err_msg=group)
    assert any("rejected: level" in note for note in notes)


def test_every_rule_and_fcorr_are_compared(full):
    names = full[0]["comparison"]["statistic"].values.tolist()
    own = ["mean", "weighted_mean", "half_a", "half_b"]
    others = [f"{name} ({rule})" for rule in ("keep", "split") for name in own]
    assert names == [*own, *others, "fcorr"]


def test_figures_and_summary_tell_of_it(full, folder):
    drawn = {path.name for path in (folder / "full.zarr.figures").iterdir()}
    assert {"example_neuropil.png", "example_correction.png", "quality.png", "rois.png"} <= drawn
    summary = summarize(make_config(job_on(folder, "full", **FULL)), full[0])
    assert summary["rejected"]["cells"] == int((~full[2].accepted).sum())
    assert summary["rejected"]["by"] == {"level": 1}
    assert summary["neuropil"].startswith("allen, median ")
    assert summary["small_f0"] == int((full[0]["normalized"]["n_small_f0"].values > 0).sum())


def test_the_summary_tells_of_cells_without_a_trace(tmp_path):
    np.save(tmp_path / "movie.npy", np.random.default_rng(0).poisson(30.0, (40, 20, 20)).astype(np.uint16))
    pixels = [[(2, 2), (2, 3)], [(2, 3), (2, 2)], [(9, 9), (9, 10)]]
    rt.write_rois(rt.Rois.from_pixels(pixels, shape=(20, 20)), tmp_path / "cells.csv")
    job = {
        "recording": {"path": str(tmp_path / "movie.npy"), "frame_rate": 10},
        "rois": {"path": str(tmp_path / "cells.csv")},
        "extract": {"overlap": ["exclude", "keep"]},
        "figures": None,
        "output": {"path": str(tmp_path / "out.zarr")},
    }
    assert summarize(make_config(job), run(job))["untraced"] == {"excluded": 2}


def test_parameters_are_kept(full):
    parameters = json.loads(full[0].attrs["parameters"])
    assert parameters["extract"]["overlap"] == ["exclude", "keep", "split"]
    assert parameters["neuropil"]["reach"] == 9
    assert parameters["quality"]["rules"] == list(RULES)


def test_ratio_to_a_second_channel(folder):
    section = {"baseline": "ratio", "offset": 20, "reference": {"channel": 1, "offset": 10}}
    tree = run(job_on(folder, "ratio", normalize=section))
    recordings = [rt.open_recording(folder / "movie.tif", frame_rate=10, channel=one) for one in (0, 1)]
    rois = rt.Rois.from_dataset(tree["rois"].to_dataset().load())
    green, red = (rt.extract(one, rois, "mean").compute() for one in recordings)
    np.testing.assert_array_equal(tree["reference"]["mean"].values, red["mean"].values)
    expected = rt.normalize(green, baseline="ratio", reference=red["mean"] - 10, offset=20)
    np.testing.assert_array_equal(tree["normalized"]["dff"].values, expected["dff"].values)


def test_first_seconds_and_epochs_as_baselines(folder):
    for name, section in (
        ("first", {"baseline": "first", "first": "2 s"}),
        ("epochs", {"baseline": "frames", "frames": [[0, 3], [9, 10]]}),
    ):
        tree = run(job_on(folder, name, normalize=section, compare=None, quality=None))
        traces = tree["traces"].to_dataset().load()
        expected = rt.normalize(traces, **section)
        np.testing.assert_array_equal(tree["normalized"]["dff"].values, expected["dff"].values)


@pytest.mark.parametrize(
    ("modality", "section", "said"),
    [
        ("two_photon", None, "suite2p, median"),
        ("two_photon", {"rule": "none"}, "none: as configured"),
        ("one_photon", None, "none: one-photon light"),
        (None, None, "none: the recording does not say"),
        ("one_photon", {"rule": "allen"}, "allen, median"),
    ],
)
def test_neuropil_follows_the_modality(folder, modality, section, said):
    sections = {"normalize": None, "compare": None, "quality": None}
    sections |= {} if section is None else {"neuropil": section}
    config = job_on(folder, "modality", recording={"modality": modality}, **sections)
    config["output"]["overwrite"] = True
    tree = run(config)
    assert summarize(make_config(config), tree)["neuropil"].startswith(said)
    assert ("corrected" in tree.children) == (not said.startswith("none"))
    if said.startswith("none"):
        assert f"none: {tree['traces'].attrs['no_neuropil']}".startswith(said)


def test_neuropil_keeps_within_the_valid_area(tmp_path):
    random = np.random.default_rng(0)
    movie = random.poisson(30.0, (60, 40, 60)).astype(np.float32)
    movie[:, :, :20] = np.nan  # what moving frames back left empty
    np.save(tmp_path / "movie.npy", movie)
    rt.write_rois(rt.Rois.from_pixels([[(y, x) for y in range(16, 22) for x in range(23, 29)]], shape=(40, 60)), tmp_path / "cell.zip")  # fmt: skip
    tree = run(
        {
            "recording": {"path": str(tmp_path / "movie.npy"), "frame_rate": 10, "modality": "two_photon"},
            "rois": {"path": str(tmp_path / "cell.zip")},
            "figures": None,
            "output": {"path": str(tmp_path / "out.zarr")},
        }
    )
    rings = rt.Rois.from_dataset(tree["neuropil"].to_dataset())
    assert rings.n_pixels[0] > 350
    assert (rings.pixels % 60 >= 20).all()
    assert np.isfinite(tree["corrected"]["fcorr"].values).all()


def test_weights_measured_in_frames(folder):
    tree = run(job_on(folder, "snr", weights={"by": "snr", "frames": [0, 40]}, quality=None))
    recording = rt.open_recording(folder / "movie.tif", frame_rate=10, channel=0)
    rois = rt.Rois.from_dataset(tree["rois"].to_dataset().load())
    sample = recording.isel(time=slice(0, 40)).compute()
    np.testing.assert_array_equal(rois.weights, rt.pixel_weights(rois, "snr", frames=sample).weights)
    assert tree["traces"]["weighted_mean"].attrs["in_sample"] == 1


def test_a_sample_of_frames_keeps_the_budget(folder):
    random = np.zeros((3000, 128, 128), dtype=np.uint16)
    np.save(folder / "long.npy", random)
    masks = np.zeros((1, 128, 128), dtype=bool)
    masks[0, :4, :4] = True
    np.save(folder / "one.npy", masks)
    config = job_on(folder, "long", weights={"by": "snr", "frames": [0, 3000]})
    config |= {"recording": {"path": str(folder / "long.npy"), "frame_rate": 10}}
    config |= {"rois": {"path": str(folder / "one.npy")}, "resources": {"budget": "500 MiB", "workers": 1}}
    with pytest.raises(BudgetError, match=r"weights.frames: 3,000 frames take .*\n?.*a sample of at most"):
        run(config)


def test_rules_about_what_is_not_measured_are_refused_before_extraction(folder):
    done = []
    config = job_on(folder, "refused", quality={"rules": ["split_half_reliability > 0"]})
    with pytest.raises(ArgumentError, match="does not measure; it measures level, noise"):
        run(config, progress=lambda step, *_: done.append(step))
    assert "extract" not in done


def test_one_r_per_cell_must_be_one_per_cell(folder):
    done = []
    config = job_on(folder, "per_cell", neuropil={"r": [0.5, 0.6]})
    with pytest.raises(ArgumentError, match="lists 2 numbers for 5 cells"):
        run(config, progress=lambda step, *_: done.append(step))
    assert "extract" not in done


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"extract": {"overlap": ["keep", "keep"]}}, "none twice"),
        ({"extract": {"overlap": "some"}}, "extract.overlap"),
        ({"extract": {"overlap": "split", "statistics": ["mean", "median"]}}, "which 'median' cannot take"),
        ({"normalize": {"baseline": "first"}}, "first beside baseline: first"),
        ({"normalize": {"reference": {"channel": 1}}}, "baseline: ratio beside reference"),
        ({"quality": {"rules": ["peak_snr > three"]}}, "is no rule"),
        ({"quality": {"rules": ["peak_snrr > 3"]}}, "did you mean peak_snr"),
        ({"quality": {"saturation": 255}}, "max among extract.statistics"),
        ({"neuropil": {"r": "sometimes"}}, "neuropil.r"),
        ({"neuropil": {"r": 1.5}}, "neuropil.r"),
        ({"neuropil": {"rule": "fissa"}}, "neuropil.rule"),
    ],
)
def test_mistakes_are_named_before_anything_runs(sections, message):
    values = {"recording": {"path": "a.tif"}, "output": {"path": "a.zarr"}} | sections
    with pytest.raises(ConfigError, match=message):
        make_config(values)


def test_default_statistics_follow_the_overlap_rules():
    values = {"recording": {"path": "a.tif"}, "output": {"path": "a.zarr"}}
    config = make_config(values | {"extract": {"overlap": ["keep", "least_squares"]}})
    assert [one.name for one in config.extract.asked()] == ["mean", "weighted_mean"]


def test_plans_count_overlap_rules_and_neuropil(folder):
    plain = plan_job(make_config(job_on(folder))).steps["extract"]
    more = plan_job(make_config(job_on(folder, **FULL))).steps["extract"]
    frames = 150
    assert plain.output_bytes == 8 * frames * 5 * 4
    assert more.output_bytes == 8 * frames * (3 * 5 * 4 + 5)
    recording = rt.open_recording(folder / "movie.tif", channel=0)
    rois = rt.read_rois(folder / "cells.zip", recording=recording)
    own = rt.plan(recording, rois, statistics="mean", overlap=("keep", "exclude"), neuropil=rt.neuropil(rois))
    assert own.output_bytes == 8 * frames * 5 * 3
