"""What is shown while work goes on: how far, how fast, how long still; on terminals, in lines, as JSON."""

from __future__ import annotations

import io
import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress

from roitrace.cli.pace import Pace, format_frames, format_seconds
from roitrace.cli.progress import Bars, Both, JsonLines, Lines, Silent, json_line
from roitrace.cli.reporting import LogFormat, reporting
from roitrace.errors import FileAccessError, RoitraceError
from roitrace.watching import Standing, TaskTime, Work

WHOLE = Work(1000, 2**30)


def at(part, tasks=100):
    return Standing(int(part * tasks), tasks, Work(WHOLE.frames * part, int(WHOLE.nbytes * part)), WHOLE)


def test_rates_and_time_left():
    pace = Pace(100.0)
    pace.note(100.0, at(0.0))
    assert pace.words(at(0.0)) == "0.0 of 1.0 GiB"
    pace.note(105.0, at(0.25))
    rates = pace.rates()
    assert rates.bytes_per_second == pytest.approx(2**30 / 4 / 5)
    assert rates.frames_per_second == pytest.approx(50)
    assert rates.seconds_left == pytest.approx(15)
    assert pace.words(at(0.25)) == "0.2 of 1.0 GiB, 51.2 MiB/s, 50 frames/s, 15 s left"
    assert pace.words(at(0.25), short=True) == "0.2/1.0 GiB 51.2 MiB/s 50 f/s 15 s left"


def test_a_step_that_counts_bytes_only_says_nothing_of_frames():
    def of(part):
        return Standing(int(part * 4), 4, Work(0.0, int(2**30 * part)), Work(0.0, 2**30))

    pace = Pace(0.0)
    pace.note(0.0, of(0.0))
    pace.note(2.0, of(0.5))
    assert pace.rates().frames_per_second is None
    assert pace.words(of(0.5)) == "0.5 of 1.0 GiB, 256.0 MiB/s, 2.0 s left"


def test_the_end_says_the_mean():
    pace = Pace(0.0)
    for second in range(11):
        pace.note(float(second), at(second / 10))
    assert pace.words(at(1.0)) == "1.0 GiB, 102.4 MiB/s, 100 frames/s, 10 s"


def test_the_estimate_follows_what_gets_slower():
    pace = Pace(0.0)
    for second in range(10):
        pace.note(float(second), at(0.05 * second))
    fast = pace.rates().seconds_left
    for second in range(10, 60):
        pace.note(float(second), at(0.45 + 0.001 * (second - 9)))
    assert fast == pytest.approx(11)
    assert pace.rates().seconds_left == pytest.approx((1 - 0.5) / 0.001, rel=0.05)


def test_tasks_where_bytes_are_not_known():
    pace = Pace(0.0)
    pace.note(0.0, Standing(0, 40))
    pace.note(2.0, Standing(10, 40))
    assert pace.words(Standing(10, 40)) == "10/40 tasks, 6.0 s left"
    assert pace.rates().bytes_per_second is None


def test_a_step_that_begins_anew():
    pace = Pace(0.0)
    pace.note(0.0, at(0.0))
    pace.note(50.0, at(1.0))
    pace.note(60.0, at(0.0))
    pace.note(61.0, at(0.5))
    assert pace.rates().seconds_left == pytest.approx(1.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 9)), max_size=300))
def test_whatever_comes_is_told(steps):
    pace, now, tasks = Pace(0.0), 0.0, 0
    for seconds, more in steps:
        now, tasks = now + seconds, min(100, tasks + more)
        standing = at(tasks / 100)
        pace.note(now, standing)
        rates = pace.rates()
        assert all(one is None or one >= 0 for one in rates)
        assert len(pace.words(standing, short=True)) < 50
        assert "GiB" in pace.words(standing)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (61, "1:01 min"),
        (3599.8, "1:00 h"),
        (90061, "25:01 h"),
    ],
)
def test_seconds(seconds, text):
    assert format_seconds(seconds) == text


def test_frames():
    assert [format_frames(one) for one in (0.04, 9.94, 10, 9999, 10000, 999_949, 1e6)] == [
        "0.0",
        "9.9",
        "10",
        "9999",
        "10.0k",
        "999.9k",
        "1.0M",
    ]


def test_lines_come_at_the_beginning_and_at_the_end(capsys):
    watcher = Lines().step("extract")
    for part in (0.0, 0.1, 0.2, 0.5, 1.0):
        watcher.watch(at(part))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "extract: 0%, 0.0 of 1.0 GiB"
    assert lines[1].startswith("extract: 1.0 GiB, ")
    assert len(lines) == 2


def test_lines_say_what_they_belong_to(capsys):
    lines = Lines()
    with lines.within("monday", 2, 7):
        lines.step("extract")(0, 3)
        lines.note("bad weather")
    lines.note("over")
    assert capsys.readouterr().err.splitlines() == [
        "[2/7] monday: extract: 0%, 0/3 tasks",
        "[2/7] bad weather",
        "over",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_bars_fit(width):
    screen = io.StringIO()
    console = Console(file=screen, width=width, force_terminal=True, color_system=None)
    with reporting_bars(console) as bars:
        with bars.within("a recording with quite a long name", 3, 40):
            watcher = bars.step("compare recordings")
            watcher.watch(at(0.0))
            watcher.watch(at(0.4))
            bars.refresh()
            bars.note("[red]not markup[/red]")
    text = screen.getvalue()
    assert "[red]not markup[/red]" in text
    assert "40%" in text
    assert "3 of 40" in text
    assert max(len(line.rstrip()) for line in text.split("\n")) < 20 * width


def reporting_bars(console):
    from contextlib import contextmanager

    from roitrace.cli.reporting import bar_columns

    @contextmanager
    def bars():
        with Progress(*bar_columns(), console=console, expand=True) as progress:
            yield Bars(progress)

    return bars()


def test_json_lines(capsys):
    log = JsonLines(tasks=True)
    with log.within("monday", 1, 2):
        watcher = log.step("extract")
        watcher.watch(at(0.0))
        watcher.watch(at(0.5))  # too soon
        watcher.watch(at(1.0))
        watcher.time_tasks([TaskTime("slabs", 1.0, 0.5, "w", Work(3, 12)), TaskTime("slabs", 1.5, 1.5, "w")])
    log.note("over")
    records = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [one["event"] for one in records] == ["progress", "progress", "task", "task", "tasks", "note"]
    assert records[1] | {"time": 0, "seconds": 0} == records[1] | {
        "time": 0,
        "seconds": 0,
        "recording": "monday",
        "recording_number": 1,
        "recordings": 2,
        "step": "extract",
        "tasks": 100,
        "frames": 1000,
        "all_bytes": 2**30,
        "bytes": 2**30,
    }
    assert records[2]["bytes"] == 12
    assert records[4] | {"time": 0} == records[4] | {
        "time": 0,
        "kind": "slabs",
        "count": 2,
        "seconds": 2.0,
        "median_seconds": 1.5,
        "longest_seconds": 1.5,
    }
    assert "recording" not in records[5]


def test_json_has_no_nan():
    assert '"x": null' in json_line("e", x=float("nan"))


def test_both_are_told(capsys, tmp_path):
    with (tmp_path / "log").open("w") as file:
        both = Both(Lines(), JsonLines(file))
        assert both.wants_times
        with both.within("a", 1, 1):
            both.step("s")(1, 1)
            both.note("n")
            both.step("s").time_tasks([TaskTime("k", 0.0, 1.0, "w")])
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert [json.loads(one)["event"] for one in (tmp_path / "log").read_text().splitlines()] == [
        "progress",
        "note",
        "tasks",
    ]


def test_silence(capsys):
    silent = Silent()
    silent.step("s")(1, 1)
    silent.note("n")
    assert capsys.readouterr().err == ""


def test_log_file(tmp_path, capsys):
    path = tmp_path / "new" / "job.log"
    with reporting(quiet=True, log_file=path) as reporter:
        reporter.note("hello")
        logging.getLogger("roitrace").warning("of the package")
    with pytest.raises(RoitraceError), reporting(quiet=True, log_file=path):
        raise RoitraceError("enough")
    lines = path.read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["hello", "of the package", "RoitraceError: enough"]
    assert capsys.readouterr().err == ""


def test_log_file_as_json(tmp_path):
    path = tmp_path / "job.log"
    with pytest.raises(RoitraceError), reporting(log=LogFormat.json, log_file=path):
        raise RoitraceError("enough")
    with reporting(log=LogFormat.json, log_file=path):
        pass
    failed, ended = map(json.loads, path.read_text().splitlines())
    assert (failed["event"], failed["problem"]) == ("failed", "enough")
    assert ended["event"] == "ended"


def test_log_file_that_cannot_be_written(tmp_path):
    with pytest.raises(FileAccessError), reporting(log_file=tmp_path):
        pass


@pytest.mark.parametrize(("verbose", "heard"), [(False, ["warning"]), (True, ["debug", "warning"])])
def test_verbose_hears_more(capsys, verbose, heard):
    logger = logging.getLogger("roitrace")
    with reporting(verbose=verbose):
        logger.debug("debug")
        logger.warning("warning")
    assert capsys.readouterr().err.splitlines() == heard


def test_json_on_standard_error_is_nothing_but_json(call):
    answer = call("run", "job.yaml", "--log", "json", "--set", "quality.rules=noise < 0")
    assert answer.code == 0
    events = [json.loads(line)["event"] for line in answer.err.splitlines()]
    assert {"progress", "tasks", "ended"} <= set(events)
    wrong = call("run", "missing.yaml", "--log=json")
    assert json.loads(wrong.err)["exit_code"] == wrong.code == 2


def test_quiet_and_verbose(call):
    assert call("project", "movie.npy", "i.zarr", "-q", "-v").code == 2
    assert call("project", "movie.npy", "i.zarr", "-q").err == ""
    assert "begins" in call("run", "job.yaml", "-v", "--set", "compare=null").err


def test_many_recordings(call, work):
    (work / "broken.npy").write_bytes(b"junk")
    many = ("--set", "recording.path=*.npy", "--set", "output.path=results", "-q")
    answer = call("run", "job.yaml", *many)
    assert answer.code == 1
    assert "failed broken" in answer.out
    told = call("run", "job.yaml", *many, "--json")
    assert told.code == 1
    summary = json.loads(told.out)
    assert [row["status"] for row in summary["recordings"]] == ["failed", "unchanged"]
    (work / "broken.npy").unlink()
    assert call("run", "job.yaml", *many).code == 0


@pytest.mark.parametrize("verb", ["segment", "transfer", "rois"])
def test_every_verb_can_be_quiet(call, verb):
    assert call("project", "movie.npy", "i.zarr", "-q").code == 0
    assert call("segment", "i.zarr", "c.zarr", "--cell-diameter", "9px", "-q").code == 0
    again = {
        "segment": ("i.zarr", "c.zarr", "--cell-diameter", "9px", "--overwrite"),
        "transfer": ("c.zarr", "i.zarr", "i.zarr", "c.zarr", "--offset=0,0", "--overwrite"),
        "rois": ("c.zarr", "c.tif", "--overwrite"),
    }[verb]
    said = call(verb, *again)
    assert (said.code, bool(said.err)) == (0, verb != "rois")
    silent = call(verb, *again, "-q")
    assert (silent.code, silent.err) == (0, "")
    assert silent.out
    assert call(verb, *again, "-q", "-v").code == 2
