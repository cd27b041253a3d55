"""Which recordings a job has, and where their results go: decided before anything is opened."""

from __future__ import annotations

import pytest

from roitrace.config import make_config
from roitrace.errors import ConfigError, FormatError, OutputExistsError
from roitrace.pipeline.recordings.listing import close_to_setting, is_many, list_recordings
from roitrace.pipeline.recordings.outputs import configurations, summary_path
from roitrace.results import KIND


def config_of(folder, recording="*.npy", output="results", **sections):
    values = {"recording": {"path": str(folder / recording)}, "output": {"path": str(folder / output)}}
    for name, section in sections.items():
        values[name] = values.get(name, {}) | section
    return make_config(values)


def files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def table(folder, text, name="table.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return name


@pytest.mark.parametrize(
    ("recording", "output", "many"),
    [
        ("*.npy", "results", True),
        ("*.npy", "results/{name}.zarr", True),
        ("*.npy", "all.zarr", False),  # the sessions of one recording
        ("a.npy", "a.zarr", False),
        ("a.npy", "{name}.zarr", True),
        ("table.csv", "all.zarr", True),
        ("table.PARQUET", "results", True),
        ("a.npy", "results", False),
    ],
)
def test_what_is_many(tmp_path, recording, output, many):
    assert is_many(config_of(tmp_path, recording, output)) is many


def test_a_name_with_brackets_is_no_pattern(tmp_path):
    files(tmp_path, "a[1].npy")
    assert not is_many(config_of(tmp_path, "a[1].npy"))


def test_pattern(tmp_path):
    files(tmp_path, "day10.npy", "day2.npy", ".hidden.npy", "day2.partial-ab.npy", "x.txt")
    assert [one.name for one in list_recordings(config_of(tmp_path))] == ["day2", "day10"]


def test_pattern_through_folders(tmp_path):
    files(tmp_path, "m1/a.ome.tif", "m1/deep/b.tif")
    names = [one.name for one in list_recordings(config_of(tmp_path, "**/*.tif"))]
    assert names == ["a", "b"]


def test_results_are_no_recordings(tmp_path):
    files(tmp_path, "a.zarr/zarr.json")
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "zarr.json").write_text(f'{{"attributes": {{"kind": "{KIND}"}}}}')
    assert [one.name for one in list_recordings(config_of(tmp_path, "*.zarr"))] == ["a"]


def test_nothing_matches(tmp_path):
    with pytest.raises(ConfigError, match="no recording matches"):
        configurations(config_of(tmp_path))


def test_table(tmp_path):
    text = "\ufeffpath,frame_rate,rois,animal,normalize.offset,time,bad_frames\nsub/a.npy,7.5,a.zip,007,100,,\n\n"
    text += '/elsewhere/b.npy,,,m2,,"[0, 50]","3, 4"\n'
    config = config_of(tmp_path, table(tmp_path, text), "results/{animal}/{name}.zarr")
    first, second = configurations(config)
    assert first.listed.path == str(tmp_path / "sub" / "a.npy")
    assert first.listed.labels == {"animal": "007"}
    assert first.config.recording.frame_rate == 7.5
    assert first.config.rois.path == str(tmp_path / "a.zip")
    assert first.config.normalize.offset == 100
    assert first.config.output.path == str(tmp_path / "results" / "007" / "a.zarr")
    assert second.config.recording.path == "/elsewhere/b.npy"
    assert second.config.recording.frame_rate is None
    assert second.config.recording.time == (0, 50)
    assert second.config.rois.path is None
    assert summary_path(config) == tmp_path / "results" / "summary"


def test_tabs_and_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(
        pyarrow.table({"path": ["a.npy"], "frame_rate": [7.5], "session": [3], "rois": [None]}),
        tmp_path / "t.parquet",
    )
    table(tmp_path, "path\tframe_rate\tsession\trois\na.npy\t7.5\t3\t\n", "t.tsv")
    one, other = (list_recordings(config_of(tmp_path, name))[0] for name in ("t.parquet", "t.tsv"))
    assert (one.path, one.labels, one.settings) == (other.path, other.labels, other.settings)
    assert one.settings == {"recording.frame_rate": 7.5}


def test_what_the_file_says_holds_unless_the_table_says_more(tmp_path):
    name = table(tmp_path, "path,frame_rate\na.npy,\nb.npy,20\n")
    config = config_of(tmp_path, name)
    section = config.recording.model_copy(update={"frame_rate": 10})
    config = make_config(
        {"recording": section.model_dump(exclude_unset=True), "output": {"path": config.output.path}}
    )
    assert [one.config.recording.frame_rate for one in configurations(config)] == [10, 20]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("path\n", "lists no recording"),
        ("Path,x\na,b\n", "none is path; rename Path to path"),
        ("x,y\na,b\n", "none is path; name one path"),
        ("path,a,a\n1,2,3\n", "column a stands twice"),
        ("path,\n1,2\n", "a column has no name"),
        ("path,animal\na.npy,b,c\n", "line 2 has 3 cells for 2 columns"),
        ("path,animal\n,b\n", "line 2 has no path"),
        ("path,output.path\na,b\n", "column output.path is no setting of a single recording"),
        ("path,fly.high\na,b\n", "column fly.high is no setting"),
        ("path,frame_rate\na.npy,fast\n", "line 2: recording.frame_rate: 'fast' given, expected a number"),
        ("path,frame_rate\na.npy,-1\n", "expected more than 0"),
        ("path,rois.fly\na.npy,1\n", "line 2: rois.fly is unknown"),
        ('path\n"a', "is no table of text"),
    ],
)
def test_tables_that_are_wrong(tmp_path, text, words):
    with pytest.raises(ConfigError) as refused:
        configurations(config_of(tmp_path, table(tmp_path, text)))
    assert words in str(refused.value)


def test_tables_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="there is no table"):
        configurations(config_of(tmp_path, "missing.csv"))
    (tmp_path / "t.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(ConfigError, match="save it as CSV in UTF-8"):
        configurations(config_of(tmp_path, "t.csv"))
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 junk")
    with pytest.raises(FormatError, match="cannot be read as Parquet"):
        configurations(config_of(tmp_path, "t.parquet"))


def test_every_path_takes_words(tmp_path):
    files(tmp_path, "m1/a.npy")
    config = config_of(
        tmp_path,
        "m1/*.npy",
        "r/{folder}/{number}-{name}.zarr",
        rois={"path": str(tmp_path / "{name}.zip")},
        figures={"path": str(tmp_path / "figures" / "{name}")},
    )
    (one,) = configurations(config)
    assert one.config.output.path == str(tmp_path / "r" / "m1" / "1-a.zarr")
    assert one.config.rois.path == str(tmp_path / "a.zip")
    assert one.config.figures.path == str(tmp_path / "figures" / "a")


def test_unknown_word(tmp_path):
    files(tmp_path, "a.npy")
    with pytest.raises(
        ConfigError, match=r"\{nam\} in a path is no word for a recording; did you mean \{name\}"
    ):
        configurations(config_of(tmp_path, output="{nam}.zarr"))
    with pytest.raises(ConfigError, match="there are name, folder, number"):
        configurations(config_of(tmp_path, output="{zzz}.zarr"))


@pytest.mark.parametrize("word", ["../x", "a/b", "..", "", "a\\b"])
def test_words_that_lead_elsewhere(tmp_path, word):
    name = table(tmp_path, f'path,animal\na.npy,"{word}"\n')
    with pytest.raises(ConfigError, match=r"which cannot stand for \{animal\} in a path"):
        configurations(config_of(tmp_path, name, "{animal}/{name}.zarr"))


def test_two_results_in_one_place(tmp_path):
    files(tmp_path, "m1/a.npy", "m2/a.npy")
    with pytest.raises(ConfigError) as refused:
        configurations(config_of(tmp_path, "*/a.npy"))
    assert "output.path is" in str(refused.value)
    assert "{folder}_{name}" in str(refused.value)
    assert len(configurations(config_of(tmp_path, "*/a.npy", "r/{folder}_{name}.zarr"))) == 2


def test_two_figures_in_one_place(tmp_path):
    files(tmp_path, "a.npy", "b.npy")
    with pytest.raises(ConfigError, match=r"figures\.path is .* for both"):
        configurations(config_of(tmp_path, figures={"path": str(tmp_path / "pictures")}))


def test_results_on_a_recording(tmp_path):
    files(tmp_path, "a.zarr/zarr.json", "b.zarr/zarr.json")
    with pytest.raises(ConfigError, match="is itself a recording of this job"):
        configurations(config_of(tmp_path, "*.zarr", "{name}.zarr"))


def test_something_else_in_the_way(tmp_path):
    files(tmp_path, "a.npy", "results/a.zarr/notes.txt")
    for overwrite in (False, True):
        config = config_of(tmp_path, output="results")
        config = config.model_copy(
            update={"output": config.output.model_copy(update={"overwrite": overwrite})}
        )
        with pytest.raises(OutputExistsError, match="were not made by a job over many recordings"):
            configurations(config)


def test_results_below_a_file(tmp_path):
    files(tmp_path, "a.npy", "results")
    with pytest.raises(OutputExistsError, match="results is a file, and results would lie below it"):
        configurations(config_of(tmp_path))


def test_simulations_are_single(tmp_path):
    files(tmp_path, "a.npy")
    with pytest.raises(ConfigError, match="simulate: describes one recording"):
        configurations(config_of(tmp_path, simulate={"shape": [10, 8, 8], "n_rois": 1}))


def test_labels_that_look_like_settings():
    assert close_to_setting(["animal", "session"]) == []
    assert close_to_setting(["Frame_rate", "framerate"]) == [
        "column Frame_rate is kept as a label; did you mean frame_rate?",
        "column framerate is kept as a label; did you mean frame_rate?",
    ]


def test_where_the_table_goes(tmp_path):
    assert summary_path(config_of(tmp_path, output="r")) == tmp_path / "r" / "summary"
    assert summary_path(config_of(tmp_path, output="r-{name}.zarr")) == tmp_path / "summary"
    asked = config_of(tmp_path, output="r")
    asked = asked.model_copy(
        update={"output": asked.output.model_copy(update={"summary": str(tmp_path / "a.csv")})}
    )
    assert summary_path(asked) == tmp_path / "a"
