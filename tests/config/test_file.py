"""Reading a configuration: what is right comes through, what is wrong is named, and nothing else happens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from roitrace.config import Config, make_config, read_config
from roitrace.config.file import apply_settings, parse_yaml
from roitrace.errors import ConfigError

LEAST = {"recording": {"path": "movie.tif"}, "output": {"path": "results.zarr"}}


def write(folder, text, name="job.yaml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def with_section(section, **values):
    return LEAST | {section: LEAST.get(section, {}) | values}


def test_least_configuration():
    config = make_config(LEAST)
    assert config.extract.statistics == ("mean", "median", "trimmed_mean", "weighted_mean")
    assert config.resources.budget == 2 * 2**30


def test_paths_start_at_the_folder_of_the_file(tmp_path):
    folder = tmp_path / "configs"
    folder.mkdir()
    path = write(
        folder, "recording: {path: movie.tif}\noutput: {path: ../results/out.zarr}\nrois: {path: ~/a.zip}"
    )
    config = read_config(path)
    assert config.recording.path == str(folder / "movie.tif")
    assert config.output.path == str(tmp_path / "results" / "out.zarr")
    assert config.rois.path == str(Path.home() / "a.zip")


def test_paths_of_settings_start_where_the_user_is(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    path = write(tmp_path / "configs", yaml.safe_dump(LEAST))
    monkeypatch.chdir(tmp_path)
    config = read_config(path, ["recording.path=mine.tif", "output.path=s3://bucket/out.zarr"])
    assert config.recording.path == str(tmp_path / "mine.tif")
    assert config.output.path == "s3://bucket/out.zarr"


def test_round_trip(tmp_path):
    config = make_config(
        LEAST
        | {
            "simulate": {"shape": [10, 20, 30], "n_rois": 2},
            "rois": {"threshold": {"method": "otsu"}, "clean": {"fill_holes": True}},
            "extract": {"statistics": ["mean", {"percentile": {"q": 90, "name": "p90"}}]},
            "normalize": {"window": 30},
            "resources": {"budget": "600 MiB"},
        }
    )
    again = read_config(write(tmp_path, yaml.safe_dump(config.model_dump(mode="json"))))
    assert again == config
    assert [one.name for one in again.extract.asked()] == ["mean", "p90"]
    assert again.normalize.window == "30 s"


@pytest.mark.parametrize(
    ("section", "values", "words"),
    [
        ("recording", {"frame_rat": 3}, "recording.frame_rat is unknown; did you mean recording.frame_rate?"),
        ("output", {"frame_rate": 3}, "output.frame_rate is unknown; did you mean recording.frame_rate?"),
        ("output", {"zzz": 3}, "output.zzz is unknown; expected one of path, overwrite"),
        ("recording", {"frame_rate": "fast"}, "recording.frame_rate: 'fast' given, expected a number"),
        ("recording", {"frame_rate": 0}, "recording.frame_rate: 0 given, expected more than 0"),
        (
            "recording",
            {"frame_rate": float("inf")},
            "recording.frame_rate: inf given, expected a finite number",
        ),
        ("recording", {"time": [1, 2, 3]}, "recording.time: [1, 2, 3] given, expected at most 2 values"),
        ("recording", {"time": [1, -2]}, "recording.time.1: -2 given, expected at least 0"),
        ("recording", {"time": "10:20"}, "recording.time: '10:20' given, expected a list"),
        ("recording", {"channel": 1.5}, "recording.channel: 1.5 given, expected a whole number or text"),
        (
            "recording",
            {"convert": "perhaps"},
            "recording.convert: 'perhaps' given, expected 'no', 'yes' or 'auto'",
        ),
        ("recording", {"path": ""}, "recording.path: '' given, expected text that is not empty"),
        (
            "rois",
            {"segment": {"cell_diameter": "12 parsec"}},
            "rois.segment.cell_diameter: '12 parsec' is no length",
        ),
        ("rois", {"segment": 3}, "rois.segment: 3 given, expected a section of keys and values"),
        (
            "rois",
            {"path": "a", "segment": {}},
            "rois: expected one of path, segment and threshold, not path and segment",
        ),
        ("rois", {"clean": {}}, "rois: expected threshold beside clean and label"),
        ("rois", {"threshold": {"method": "otus"}}, "rois.threshold.method: 'otus' given, expected 'value'"),
        ("rois", {"image": "meen"}, "there is no statistic 'meen'"),
        ("rois", {"image": ["mean", "meen"]}, "there is no statistic 'meen'"),
        ("rois", {"image": []}, "at least 1"),
        ("rois", {"image": ["mean", "max"], "threshold": {}}, "one image with a threshold, not mean, max"),
        ("rois", {"filter": ["aera_px > 3"]}, "a rule about one of area_px"),
        ("rois", {"filter": ["area_px"]}, "is no rule"),
        ("projections", {"statistics": ["trimmed_mean"]}, "'trimmed_mean' is no projection over time"),
        (
            "extract",
            {"statistics": ["meen"]},
            "extract.statistics.0: there is no statistic 'meen'; did you mean 'mean'?",
        ),
        ("extract", {"statistics": [{"percentile": {"q": 101}}]}, "percentile(q=101) is out of range"),
        ("extract", {"statistics": [{"percentile": {"p": 1}}]}, "percentile has no parameter 'p'"),
        ("extract", {"statistics": [["mean"]]}, "['mean'] is no statistic"),
        ("extract", {"statistics": []}, "extract.statistics: [] given, expected at least 1 values"),
        ("extract", {"statistics": ["mean", "mean"]}, "two statistics are named 'mean'"),
        ("extract", {"primary": "max"}, "extract: expected primary to be one of mean, median"),
        ("extract", {"skipna": "maybe"}, "extract.skipna: 'maybe' given, expected yes or no"),
        ("extract", {"min_coverage": 1.5}, "extract.min_coverage: 1.5 given, expected at most 1"),
        (
            "extract",
            {"proportion_to_cut": 0.5},
            "extract.proportion_to_cut: 0.5 given, expected less than 0.5",
        ),
        ("normalize", {"percentile": 101}, "normalize.percentile: 101 given, expected at most 100"),
        (
            "normalize",
            {"window": "5 lightyears"},
            "normalize.window: '5 lightyears' given, expected a number of seconds",
        ),
        ("resources", {"budget": "much"}, "resources.budget: 'much' is no amount of memory"),
        ("resources", {"budget": True}, "resources.budget: yes given, expected a whole number"),
        ("resources", {"workers": 0}, "resources.workers: 0 given, expected more than 0"),
        ("resources", {"workers": True}, "resources.workers: yes given, expected a whole number"),
        ("simulate", {"shape": [10, 20, 30]}, "simulate.n_rois is missing"),
    ],
)
def test_one_mistake(section, values, words):
    with pytest.raises(ConfigError) as caught:
        make_config(with_section(section, **values))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_mistakes_in_one_error():
    with pytest.raises(ConfigError) as caught:
        make_config({"recording": {"frame_rate": -1}, "outptu": {}, "resources": {"workers": "two"}})
    first, *lines = str(caught.value).splitlines()
    assert first == "the configuration has 5 mistakes:"
    assert sorted(line.strip() for line in lines) == [
        "outptu is unknown; did you mean output?",
        "output is missing",
        "recording.frame_rate: -1 given, expected more than 0",
        "recording.path is missing",
        "resources.workers: 'two' given, expected a whole number",
    ]


def test_weights_are_needed_only_where_they_are_asked_for():
    assert [one.name for one in make_config(LEAST | {"weights": None}).extract.asked(weights=False)] == [
        "mean",
        "median",
        "trimmed_mean",
    ]
    asked = {"weights": None, "extract": {"statistics": ["mean", "weighted_mean"]}}
    with pytest.raises(ConfigError, match="expected weights, for the weighted statistics"):
        make_config(LEAST | asked)
    # ROIs from a file may have weights of their own
    make_config(LEAST | asked | {"rois": {"path": "a.zarr"}})


def test_images_that_a_filter_looks_at_are_computed():
    def names(**rois):
        config = make_config(
            LEAST
            | {
                "projections": {"statistics": ["max"]},
                "rois": rois,
                "weights": None,
                "extract": {"statistics": ["mean"]},
            }
        )
        return [one.name for one in config.images()]

    assert names(image=["mean", "correlation"]) == ["max", "mean", "correlation"]
    assert names(filter=["activity >= 1"]) == ["max", "mean", "std"]
    assert names(path="a.zip") == ["max"]
    assert names(path="a.zip", filter=["area_px >= 9"]) == ["max", "mean"]


def test_images_that_are_needed_are_computed():
    config = make_config(LEAST | {"projections": {"statistics": ["std"]}, "rois": {"image": "max"}})
    assert [one.name for one in config.images()] == ["std", "max", "mean"]


@pytest.mark.parametrize("values", [[1], "text", 3, None])
def test_what_is_no_mapping(values):
    with pytest.raises(ConfigError, match="expected sections such as recording"):
        make_config(values)


def test_dict_is_left_alone():
    given = {"recording": {"path": "a.tif"}, "output": {"path": "b.zarr"}}
    make_config(given, ["recording.frame_rate=30"])
    assert given == {"recording": {"path": "a.tif"}, "output": {"path": "b.zarr"}}


# -- settings ---------------------------------------------------------------------------------------------------


def test_settings_replace_and_add():
    config = make_config(
        LEAST,
        [
            "recording.frame_rate=7.5",
            "extract.statistics=[mean, {percentile: {q: 90, name: p90}}]",
            "rois.segment.cell_diameter=10 px",
            "resources.budget=600 MiB",
            "normalize=",
            "weights=null",
        ],
    )
    assert config.recording.frame_rate == 7.5
    assert config.rois.segment.cell_diameter == "10 px"
    assert config.resources.budget == 600 * 2**20
    assert config.normalize is None
    assert config.weights is None


@pytest.mark.parametrize("setting", ["recording", "=3", "recording.=3", ".path=3", ""])
def test_what_is_no_setting(setting):
    with pytest.raises(ConfigError, match="is no setting; write it like"):
        make_config(LEAST, [setting])


def test_setting_through_a_value():
    with pytest.raises(ConfigError, match=r"recording\.path is 'movie\.tif' and has no keys"):
        make_config(LEAST, ["recording.path.deep=3"])


def test_setting_that_is_unknown():
    with pytest.raises(ConfigError, match=r"did you mean recording.frame_rate\?"):
        make_config(LEAST, ["recording.framerate=3"])


@settings(max_examples=50, deadline=None)
@given(
    value=st.one_of(
        st.integers(-(10**9), 10**9),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.none(),
        st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20),
        st.lists(st.integers(0, 100), max_size=3),
    )
)
def test_settings_hold_any_value(value):
    values = {}
    apply_settings(
        values, [f"a.b={yaml.safe_dump(value, default_flow_style=True).removesuffix('...' + chr(10))}"]
    )
    assert values == {"a": {"b": value}}


# -- YAML -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10:20", "10:20"),
        ("1:30:20", "1:30:20"),
        ("2024-01-01", "2024-01-01"),
        ("1e5", 1e5),
        ("1.5e-3", 0.0015),
        ("3", 3),
        ("3.", 3.0),
        (".5", 0.5),
        ("-7", -7),
        ("yes", True),
        ("off", False),
        ("~", None),
    ],
)
def test_values_mean_what_they_look_like(text, value):
    parsed = parse_yaml(text, "it")
    assert parsed == value
    assert type(parsed) is type(value)


def test_duplicate_keys_are_refused(tmp_path):
    path = write(tmp_path, "recording: {path: a}\noutput: {path: b}\nrecording: {path: c}")
    with pytest.raises(ConfigError, match="no valid YAML at line 3, column 1: recording stands twice"):
        read_config(path)


def test_no_code_is_run(tmp_path):
    mark = tmp_path / "ran"
    path = write(tmp_path, f"recording: !!python/object/apply:os.mkdir ['{mark}']")
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        read_config(path)
    assert not mark.exists()


def test_alias_bomb_is_refused():
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match="it grows beyond 20,000 values"):
        parse_yaml("\n".join(rows), "it")


def test_endless_alias_is_refused():
    with pytest.raises(ConfigError, match="grows beyond"):
        parse_yaml("a: &a [*a]", "it")


def test_honest_alias_is_fine():
    assert parse_yaml("a: &a {path: x}\nb: *a\nc: {<<: *a, y: 1}", "it")["c"] == {"path": "x", "y": 1}


def test_deep_nesting_is_refused():
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse_yaml("[" * 10_000, "it")


def test_broken_yaml_says_where(tmp_path):
    with pytest.raises(ConfigError, match="no valid YAML at line 2, column"):
        read_config(write(tmp_path, "recording: {path: a\noutput: ]"))


def test_empty_file(tmp_path):
    with pytest.raises(ConfigError, match="recording is missing"):
        read_config(write(tmp_path, "# nothing\n"))


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no file .*; write an example with: roitrace init"):
        read_config(tmp_path / "none.yaml")


def test_folder_for_a_file(tmp_path):
    with pytest.raises(ConfigError, match="is a folder, expected a YAML file"):
        read_config(tmp_path)


def test_other_bytes(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is no UTF-8 text"):
        read_config(path)


def test_huge_file_is_not_read(tmp_path):
    path = tmp_path / "job.yaml"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 2**21)
    with pytest.raises(ConfigError, match="more than 1,048,576 bytes"):
        read_config(path)


def test_configuration_is_immutable():
    config = make_config(LEAST)
    assert isinstance(config, Config)
    with pytest.raises(ValueError, match="frozen"):
        config.recording.path = "other"
