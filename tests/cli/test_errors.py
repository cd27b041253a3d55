"""No traceback at the command line: one line of what is wrong, the next step, an exit code, nothing touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from roitrace.cli.signals import SAFE
from roitrace.errors import RoitraceError


@pytest.fixture
def fails(call, work):
    """Call the command line, which must fail with one line and leave no output behind."""

    def typed(*arguments, code, words, next_step=None):
        before = sorted(path.name for path in work.iterdir() if not path.name.endswith(".run"))
        answer = call(*arguments)
        after = sorted(path.name for path in work.iterdir() if not path.name.endswith(".run"))
        assert answer.code == code, answer.err
        assert answer.out == ""
        told = [line for line in answer.lines if not line.startswith(("project: ", "draw "))]
        assert told[0].startswith("error: "), answer.err
        assert words in told[0]
        assert len(told) <= 2
        assert next_step is None or next_step in told[1]
        assert "Traceback" not in answer.err
        assert after == before

    return typed


RUN = ("run", "job.yaml", "-q")


def test_missing_recording(fails):
    fails("info", "none.tif", code=2, words="none.tif")
    fails("project", "none.tif", "images.zarr", "-q", code=2, words="none.tif")
    fails(*RUN, "--set", "recording.path=none.tif", code=2, words="none.tif")


def test_missing_configuration(fails):
    fails("run", "none.yaml", code=2, words="there is no file none.yaml", next_step="roitrace init")


def test_missing_store(fails):
    fails("segment", "none.zarr", "cells.zarr", code=1, words="none.zarr does not exist")
    fails("normalize", "none.zarr", "dff.zarr", code=1, words="none.zarr does not exist")


def test_missing_rois(fails):
    fails(*RUN, "--set", "rois={path: none.zip}", code=2, words="none.zip")


def test_unknown_format(fails, work):
    (work / "notes.txt").write_text("no recording at all")
    fails("info", "notes.txt", code=1, words="notes.txt")
    fails(*RUN, "--set", "recording.path=notes.txt", code=1, words="notes.txt")


@pytest.mark.parametrize("shape", [(48,), (40, 48), (2, 2, 2, 2, 2, 2)])
def test_recording_that_is_not_3d(fails, work, shape):
    np.save(work / "flat.npy", np.zeros(shape, dtype=np.uint16))
    fails(*RUN, "--set", "recording.path=flat.npy", code=1, words="flat.npy")


def test_empty_recording(fails, work):
    np.save(work / "empty.npy", np.zeros((0, 40, 48), dtype=np.uint16))
    fails(*RUN, "--set", "recording.path=empty.npy", code=1, words="empty")


def test_damaged_tiff(fails, work):
    tifffile.imwrite(work / "movie.tif", np.zeros((50, 40, 48), dtype=np.uint16))
    content = (work / "movie.tif").read_bytes()
    (work / "movie.tif").write_bytes(content[: len(content) // 2])
    fails(*RUN, "--set", "recording.path=movie.tif", code=1, words="movie.tif")


def test_several_channels(fails, work):
    tifffile.imwrite(
        work / "two.tif", np.zeros((20, 2, 40, 48), dtype=np.uint16), imagej=True, metadata={"axes": "TCYX"}
    )
    fails(*RUN, "--set", "recording.path=two.tif", code=2, words="channel", next_step="channel")


def test_mask_of_another_frame(fails, work):
    np.save(work / "mask.npy", np.ones((30, 30), dtype=bool))
    fails(*RUN, "--set", "rois={path: mask.npy}", code=1, words="30 x 30")
    fails("extract", "movie.npy", "mask.npy", "traces.zarr", "-q", code=1, words="30 x 30")


def test_part_that_does_not_line_up(fails, call):
    sized = ("--pixel-size", "1.0")
    call("project", "movie.npy", "images.zarr", "-q", *sized, "--x", "0:30")
    call("segment", "images.zarr", "cells.zarr", "--cell-diameter", "9px")
    fails(
        "extract",
        "movie.npy",
        "cells.zarr",
        "traces.zarr",
        "-q",
        "--pixel-size",
        "0.7",
        code=1,
        words="no exact part",
    )


def test_nan_everywhere(fails, work):
    np.save(work / "nan.npy", np.full((20, 16, 16), np.nan, dtype=np.float32))
    fails(*RUN, "--set", "recording.path=nan.npy", code=1, words="the recording is NaN everywhere")


def test_existing_output(fails, call, work):
    assert call(*RUN).code == 0
    mark = (work / "out.zarr" / "zarr.json").stat()
    fails(*RUN, code=1, words="out.zarr exists already", next_step="overwrite")
    for verb, *inputs in (
        ("project", "movie.npy"),
        ("extract", "movie.npy", "out.zarr"),
        ("normalize", "out.zarr"),
    ):
        fails(verb, *inputs, "out.zarr", "-q", code=1, words="out.zarr exists already")
    assert (work / "out.zarr" / "zarr.json").stat() == mark


def test_output_that_is_something_else(fails, work):
    (work / "out.zarr").mkdir()
    (work / "out.zarr" / "thesis.txt").write_text("years of work")
    fails(*RUN, "--overwrite", code=1, words="is no results store, so it is not overwritten")
    assert (work / "out.zarr" / "thesis.txt").read_text() == "years of work"


def test_unknown_statistic(fails):
    fails(
        *RUN, "--set", "extract.statistics=[meen]", code=2, words="no statistic 'meen'; did you mean 'mean'?"
    )
    np.save("mask.npy", np.ones((40, 48), dtype=bool))
    fails("extract", "movie.npy", "mask.npy", "t.zarr", "-q", "--statistics", "meen", code=2, words="meen")
    fails("project", "movie.npy", "i.zarr", "-q", "--statistics", "meen", code=2, words="no statistic 'meen'")


def test_bad_percentile(fails):
    bad = "extract.statistics=[mean, {percentile: {q: 101}}]"
    fails(*RUN, "--set", bad, code=2, words="percentile(q=101) is out of range")
    rois = "rois={threshold: {method: percentile, percentile: 101}}"
    fails(*RUN, "--set", rois, code=2, words="rois.threshold.percentile: 101 given, expected at most 100")
    fails(
        *RUN,
        "--set",
        "normalize.percentile=-1",
        code=2,
        words="normalize.percentile: -1 given, expected at least 0",
    )


def test_seconds_without_a_frame_rate(fails):
    fails(
        *RUN, "--set", "recording.frame_rate=", code=1, words="in seconds, but the traces have no frame rate"
    )


def test_micrometres_without_a_pixel_size(fails):
    fails(
        *RUN,
        "--set",
        "rois.segment.cell_diameter=12um",
        code=1,
        words="in micrometres",
        next_step="pixel_size",
    )


@pytest.fixture
def read_only(work):
    """Give a folder in which nothing can be made, not even by root."""
    if os.geteuid() == 0:
        return Path("/proc")
    folder = work / "locked"
    folder.mkdir(mode=0o500)
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root can write to")
def test_read_only_folder(fails, read_only):
    out = read_only / "out.zarr"
    fails(*RUN, "--set", f"output.path={out}", code=1, words="out.zarr")
    fails("project", "movie.npy", out, "-q", code=1, words="out.")
    fails("init", "--folder", read_only / "new", code=1, words="new")


def test_file_where_a_folder_is_needed(fails):
    fails(*RUN, "--set", "output.path=movie.npy/out.zarr", code=1, words="is no folder")


def test_budget_that_is_too_small(fails):
    fails(*RUN, "--budget", "301 MiB", code=1, words="the budget is 301.0 MiB", next_step="budget=")
    fails(
        "project",
        "movie.npy",
        "i.zarr",
        "-q",
        "--budget",
        "a lot",
        code=2,
        words="'a lot' is no amount of memory",
    )


def test_mistakes_in_the_configuration(call, work):
    (work / "job.yaml").write_text("recording: {pth: movie.npy}\noutput: {path: a.zarr}\n")
    answer = call(*RUN)
    assert answer.code == 2
    assert answer.lines == [
        "error: job.yaml has 2 mistakes:",
        "  recording.path is missing",
        "  recording.pth is unknown; did you mean recording.path?",
    ]


def test_broken_yaml(fails, work):
    (work / "job.yaml").write_text("recording: {path: [}")
    fails(*RUN, code=2, words="job.yaml is no valid YAML at line 1, column 20")


def test_wrong_setting(fails):
    fails(
        *RUN,
        "--set",
        "recording",
        code=2,
        words="'recording' is no setting",
        next_step="--set section.key=value",
    )


def test_unknown_scheduler(fails):
    fails(*RUN, "--scheduler", "cloud", code=2, words="--scheduler cloud, expected threads, sync, processes")


def test_cluster_that_does_not_answer(fails, monkeypatch):
    import distributed

    def refuse(*_, **__):
        raise OSError("Timed out trying to connect to tcp://127.0.0.1:1")

    monkeypatch.setattr(distributed, "Client", refuse)
    words = "no dask cluster answers at tcp://127.0.0.1:1"
    fails(*RUN, "--scheduler", "tcp://127.0.0.1:1", code=1, words=words, next_step="check the address")


def test_the_address_of_the_environment_is_used(fails, monkeypatch):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:1")
    fails(*RUN, code=1, words="no dask cluster answers at tcp://127.0.0.1:1", next_step="check the address")


def test_two_places_to_run(fails):
    fails(
        *RUN,
        "--cluster",
        "local",
        "--scheduler",
        "sync",
        code=2,
        words="say both where to run",
        next_step="give one",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("type: cloud", "type"),
        ("type: slurm\nnodes: 4", "nodes"),
        ("- slurm", "expected keys such as type: slurm and jobs: 4"),
        ("type: local\nprocesses: 0", "processes"),
        ("type: local\noptions: {n_processes: 3}", "no cluster of type local can be started"),
        ("type: slurm\ncores: 2", "a cluster of type slurm does not say memory:"),
    ],
)
def test_a_file_that_describes_no_cluster(fails, work, text, words):
    (work / "cluster.yaml").write_text(text)
    fails(*RUN, "--cluster", "cluster.yaml", code=2, words=words)


def test_projection_that_is_not_there(fails, call):
    call("project", "movie.npy", "images.zarr", "-q", "--statistics", "mean")
    fails(
        "segment",
        "images.zarr",
        "c.zarr",
        "--image",
        "max",
        code=2,
        words="no projection 'max'",
        next_step="mean",
    )


def test_group_that_is_not_there(fails, call):
    call("project", "movie.npy", "images.zarr", "-q")
    words = "images.zarr holds projections, but no traces"
    fails("normalize", "images.zarr", "dff.zarr", "-q", code=2, words=words, next_step="roitrace extract")


def test_weights_by_brightness_without_an_image(fails, call):
    call("project", "movie.npy", "images.zarr", "-q")
    call("segment", "images.zarr", "cells.zarr", "--cell-diameter", "9px")
    arguments = ("extract", "movie.npy", "cells.zarr", "t.zarr", "-q", "--weights", "brightness")
    fails(*arguments, code=2, words="weights by brightness need an image")


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--time", "10", "expected a span such as 100:200"),
        ("--time", "a:b", "expected a span"),
        ("--pixel-size", "1,2,3", "expected a pixel size such as 1.3"),
        ("--pixel-size", "wide", "expected a pixel size"),
    ],
)
def test_options_that_cannot_be_read(call, option, value, words):
    answer = call("info", "movie.npy", option, value)
    assert answer.code == 2
    assert words in " ".join(answer.err.split())


def test_chunks_that_cannot_be_read(call):
    answer = call("convert", "movie.npy", "m.zarr", "--chunks", "1,2")
    assert answer.code == 2
    assert "expected 3 whole numbers with commas between" in " ".join(answer.err.split())


def test_span_outside_the_recording(fails):
    fails("info", "movie.npy", "--time", "100:200", code=2, words="selects nothing of 60")


def test_example_that_is_not_there(fails):
    fails("init", "nope", code=2, words="there is no example 'nope'", next_step="quickstart")


def test_example_that_is_there(fails, call):
    call("init", "tiff")
    fails("init", "tiff", code=1, words="tiff.yaml exists already")


# -- what nobody expects ----------------------------------------------------------------------------------------


def fail_with(monkeypatch, error):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr("roitrace.pipeline.run.run", broken)


def test_full_disk(fails, monkeypatch):
    fail_with(monkeypatch, OSError(28, "No space left on device", "/data/out.zarr"))
    fails(*RUN, code=1, words="no space is left on the disk of /data/out.zarr", next_step="free some space")


def test_no_memory(fails, monkeypatch):
    fail_with(monkeypatch, MemoryError())
    fails(*RUN, code=1, words="no memory left", next_step="smaller --budget")


def test_mistake_of_ours(fails, monkeypatch):
    fail_with(monkeypatch, RuntimeError("what is this?"))
    fails(*RUN, code=1, words="RuntimeError: what is this?", next_step="please report it")


def test_debug_shows_where(call, monkeypatch):
    fail_with(monkeypatch, RuntimeError("what is this?"))
    answer = call("--debug", *RUN)
    assert answer.code == 1
    assert "Traceback (most recent call last)" in answer.err
    assert "error: RuntimeError: what is this?" in answer.err


def test_error_without_a_next_step(fails, monkeypatch):
    fail_with(monkeypatch, RoitraceError("something is wrong"))
    fails(*RUN, code=1, words="something is wrong")


def test_interrupted(fails, monkeypatch):
    fail_with(monkeypatch, KeyboardInterrupt())
    fails(*RUN, code=1, words=SAFE)


def test_warnings_are_notes(call, monkeypatch):
    import warnings

    def warn(*_, **__):
        warnings.warn("weights are not kept", UserWarning, stacklevel=1)
        raise RoitraceError("enough")

    monkeypatch.setattr("roitrace.pipeline.run.run", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        answer = call("run", "job.yaml")
        quiet = call("run", "job.yaml", "-q")
    assert answer.lines == ["note: weights are not kept", "error: enough"]
    assert quiet.lines == ["error: enough"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_nothing_behind(work, number):
    settings = ("--set", "simulate={shape: [20000, 64, 64], n_rois: 5}", "--set", "recording.path=made.zarr")
    command = [sys.executable, "-m", "roitrace", "run", "job.yaml", *settings]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=work) as process:
        for line in process.stderr:
            if line.startswith("simulate: "):
                break
        time.sleep(0.2)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"error: {SAFE}\n  to go on: roitrace run job.yaml" in err
    assert [path.name for path in work.iterdir() if "out." in path.name] == ["out.zarr.run"]


def test_output_that_nobody_reads(work):
    command = f"{sys.executable} -m roitrace info movie.npy | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=work, check=False)
    assert done.stderr == ""


def test_no_traceback_from_a_fresh_process(work):
    done = subprocess.run(
        [sys.executable, "-m", "roitrace", "run", "job.yaml", "--set", "recording.path=none.tif"],
        capture_output=True,
        text=True,
        cwd=work,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) <= 2


def test_a_name_with_a_slip(fails):
    fails(
        "info", "moive.npy", code=2, words="there is no file moive.npy", next_step="did you mean movie.npy?"
    )
    fails("run", "jop.yaml", code=2, words="there is no file jop.yaml", next_step="did you mean job.yaml?")
