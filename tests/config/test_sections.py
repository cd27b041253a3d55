"""Sections say the same as the verbs that they configure."""

from __future__ import annotations

import inspect
import json
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from pydantic import ValidationError

from roitrace.config import config_schema, read_cluster, read_config
from roitrace.config import sections as s
from roitrace.config.fields import PATHS
from roitrace.config.simulation import SimulateSection
from roitrace.normalization import normalize
from roitrace.segmentation import Recipe, SegmentOptions, segment
from roitrace.simulation import SimulatedSource
from roitrace.threshold import clean_mask, label_rois, threshold
from roitrace.traces import Duration  # noqa: F401 (documents what a duration is)

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def defaults(function):
    return {
        name: one.default
        for name, one in inspect.signature(function).parameters.items()
        if one.default is not inspect.Parameter.empty
    }


@pytest.mark.parametrize(
    ("section", "function"),
    [
        (s.ThresholdSection, threshold),
        (s.CleanSection, clean_mask),
        (s.LabelSection, label_rois),
    ],
)
def test_defaults_are_those_of_the_verb(section, function):
    expected = defaults(function)
    for name, field in section.model_fields.items():
        assert name in expected, f"{function.__name__} has no {name}"
        assert field.default == expected[name], name


def test_every_parameter_of_segment_can_be_set():
    expected = defaults(Recipe) | {"cell_diameter": defaults(segment)["cell_diameter"]}
    assert {name: one.default for name, one in s.SegmentSection.model_fields.items()} == expected
    assert set(SegmentOptions.__annotations__) == set(defaults(Recipe))


def test_normalization_defaults():
    expected = defaults(normalize)
    section = s.NormalizeSection()
    assert (section.method, section.offset, section.percentile) == (
        expected["method"],
        expected["offset"],
        expected["percentile"],
    )
    assert section.window == f"{expected['window']:g} s"
    assert section.smoothing == f"{expected['smoothing']:g} s"


def test_simulation_section_is_the_simulation():
    source = {one.name: one for one in fields(SimulatedSource) if one.init}
    section = SimulateSection.model_fields
    assert set(section) == set(source)
    for name, field in section.items():
        if field.is_required() or name in {"dtype", "seed"}:
            continue
        assert source[name].default is not MISSING
        assert field.default == source[name].default, name


def test_every_value_is_explained():
    schema = config_schema()
    for name, section in {**schema["$defs"], "": schema}.items():
        for key, value in section["properties"].items():
            inner = value.get("$ref") or value.get("anyOf", [{}])[0].get("$ref")
            assert value.get("description") or inner, f"{name}.{key}"


def test_paths_are_all_named():
    found = []
    schema = config_schema()
    for section, value in schema["properties"].items():
        if value.get("type") == "array":  # --set replaces lists as a whole
            continue
        reference = value.get("$ref") or value["anyOf"][0]["$ref"]
        for key, field in schema["$defs"][reference.rsplit("/", 1)[-1]]["properties"].items():
            if "path" in {one.get("format") for one in (field, *field.get("anyOf", []))}:
                found.append(f"{section}.{key}")
    assert sorted(found) == sorted(PATHS)


def test_schema_file_is_up_to_date():
    written = json.loads((CONFIGS / "schema.json").read_text(encoding="utf-8"))
    assert written == config_schema(), "write it again: python -m roitrace.config > configs/schema.json"


CLUSTERS = [CONFIGS / "slurm.yaml"]


@pytest.mark.parametrize("path", CLUSTERS, ids=lambda path: path.stem)
def test_examples_of_clusters_are_right(path):
    described = read_cluster(path)
    assert (described.n_workers, described.threads) == (4, 4)
    assert described.worker_memory == 8 * 2**30
    assert described.wait_seconds == 600


@pytest.mark.parametrize("path", sorted({*CONFIGS.glob("*.yaml")} - {*CLUSTERS}), ids=lambda path: path.stem)
def test_examples_are_right(path):
    config = read_config(path)
    assert "results" in Path(config.output.path).parts
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_the_convention_of_suite2p_fills_in_what_is_not_said():
    section = s.ExtractSection(convention="suite2p")
    assert (section.statistics, section.overlap, section.primary) == (
        ("weighted_mean",),
        ("exclude",),
        "weighted_mean",
    )
    assert section.asks_for_weights
    section = s.ExtractSection(convention="suite2p", statistics=("mean", "weighted_mean"), overlap="keep")
    assert (section.overlap, section.primary) == (("keep",), "mean")
    with pytest.raises(ValidationError, match="suite2p"):
        s.ExtractSection(convention="caiman")


def test_what_a_file_of_rois_needs_said():
    section = s.RoisSection(path="a.nwb", axis_order="yx", plane=2, support=0.5)
    assert (section.axis_order, section.plane, section.support) == ("yx", 2, 0.5)
    for wrong in ({"axis_order": "zy"}, {"plane": -1}, {"support": 2.0}):
        with pytest.raises(ValidationError):
            s.RoisSection(**wrong)
