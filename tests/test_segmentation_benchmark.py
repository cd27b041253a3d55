"""The benchmark of segmentation runs, chooses as it says, and its figure is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks import segmentation
from benchmarks.segmentation import Method, choose, draw, run, table

from tests.shared_data import DATA, needs_data


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    monkeypatch.setenv("ROITRACE_DATA", str(tmp_path))


@pytest.mark.usefixtures("no_data")
def test_a_quick_run_gives_the_table(monkeypatch, tmp_path):
    monkeypatch.setattr(segmentation, "GRIDS", {"otsu": (0.0,), "niblack": (-0.5, -1.0)})
    results = run(seeds=2, shape=(150, 72, 72), conditions=("30 cells",))
    assert set(results["parameters"]) == {"otsu", "niblack"}
    assert results["seeds"] == {"chosen on": [0], "reported on": [1]}
    counts = results["scores"]["segment on mean"]["30 cells"]
    assert counts["right"] >= 0.6 * counts["true"]
    assert counts["right"] >= 0.6 * counts["found"]
    lines = table(results).splitlines()
    assert lines[0] == "| | 30 cells |"
    assert len(lines) == 2 + 6 + 2
    assert not draw(tmp_path / "a.png", results["parameters"])


def test_the_parameter_of_the_best_mean_f1_is_chosen():
    def counts(right, found):
        return {"right": right, "found": found, "true": 10}

    scores = {
        Method("a", parameter=1.0): {"x": counts(10, 10), "y": counts(0, 10)},
        Method("a", parameter=2.0): {"x": counts(6, 10), "y": counts(6, 10)},
        Method("b", parameter=3.0): {"x": counts(0, 0), "y": counts(0, 0)},
    }
    assert choose(scores) == [Method("a", parameter=2.0), Method("b", parameter=3.0)]


@needs_data
def test_the_real_recording_and_its_figure(monkeypatch, tmp_path):
    monkeypatch.setenv("ROITRACE_DATA", str(DATA))
    scene, suite2p = segmentation.real_scene()
    assert segmentation.score(suite2p, scene.truth) == {"right": 17, "found": 177, "true": 111}
    several = Method("several", ("mean", "std", "skewness")).find(scene.images)
    counts = segmentation.score(several, scene.truth)
    assert counts["right"] > 17
    assert counts["found"] <= 100
    assert draw(tmp_path / "a.png", {"local_gaussian": -0.25})
    assert np.frombuffer((tmp_path / "a.png").read_bytes()[1:4], "S3")[0] == b"PNG"
