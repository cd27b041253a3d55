"""A job writes its page, and says so where it cannot."""

from __future__ import annotations

import json

import pytest

import roitrace as rt
from roitrace.errors import OutputExistsError


def config(tmp_path, **more):
    return {
        "simulate": {"shape": [200, 48, 48], "n_rois": 4, "seed": 1, "frame_rate": 10},
        "recording": {"path": str(tmp_path / "recording.zarr"), "motion": False},
        "normalize": {"window": "10 s"},
        "figures": None,
        "output": {"path": str(tmp_path / "night.zarr")},
    } | more


def test_a_page_lies_beside_the_store_and_tells_of_plan_and_time(tmp_path):
    rt.run(config(tmp_path))
    page = (tmp_path / "night.zarr.html").read_text("utf-8")
    assert 'id="traces"' in page
    assert "pixels matrix" in page
    told = json.loads((tmp_path / "night.zarr.run" / "run.json").read_text("utf-8"))
    assert set(told["plan"]["steps"]) == {"project", "extract"}
    assert told["plan"]["steps"]["extract"]["bytes_to_read"] >= 200 * 48 * 48 * 2
    assert "Plan and measurement" in page


def test_without_bokeh_the_job_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("roitrace.pipeline.report.find_spec", lambda _: None)
    notes = []
    rt.run(config(tmp_path), note=notes.append)
    assert not (tmp_path / "night.zarr.html").exists()
    assert any("roitrace[app]" in note for note in notes)


def test_a_page_may_be_left_out(tmp_path):
    rt.run(config(tmp_path, report=None))
    assert not list(tmp_path.glob("*.html"))


def test_a_page_that_is_there_stops_the_job_before_it_begins(tmp_path):
    page = tmp_path / "mine.html"
    page.write_text("mine", "utf-8")
    with pytest.raises(OutputExistsError, match=r"mine\.html exists already"):
        rt.run(config(tmp_path, report={"path": str(page)}))
    assert [one.name for one in tmp_path.iterdir()] == ["mine.html"]
    assert page.read_text("utf-8") == "mine"
