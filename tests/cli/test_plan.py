"""``plan`` says what ``run`` will take, and reads nothing."""

from __future__ import annotations

import json


def test_plan_of_a_job(call):
    answer = call("plan", "job.yaml")
    assert answer.code == 0
    for part in ("what is read", "project", "extract", "peak memory", "disk space", "are assumed", "it fits"):
        assert part in answer.out
    assert len(answer.out.splitlines()) < 30


def test_plan_for_programs(call):
    answer = call("plan", "job.yaml", "--json", "--budget", "2 GiB", "--workers", 1)
    assert answer.code == 0
    plan = json.loads(answer.out)
    assert plan["fits"] is True
    assert plan["steps"]["project"]["budget"] == 2 * 2**30
    assert plan["steps"]["extract"]["seconds"] is None


def test_plan_answers_even_when_it_does_not_fit(call):
    answer = call("plan", "job.yaml", "--budget", "1 MiB")
    assert answer.code == 0
    assert "extract does not fit" in answer.out
    assert "one task needs" in answer.out
    assert "it fits" not in answer.out


def test_plan_calibrates(call):
    answer = call("plan", "job.yaml", "--calibrate", "--json")
    assert json.loads(answer.out)["steps"]["extract"]["seconds"] > 0


def test_plan_of_a_copy(call):
    answer = call("plan", "job.yaml", "--set", "recording.convert=yes")
    assert answer.code == 0
    assert "the recording will be copied first" in answer.out


def test_plan_of_a_recording_that_is_not_simulated_yet(call, work):
    job = work / "made_up.yaml"
    job.write_text(
        "simulate: {shape: [400, 64, 64], n_rois: 5, seed: 1, frame_rate: 15}\n"
        "recording: {path: made_up.zarr}\noutput: {path: out.zarr}\n",
        encoding="utf-8",
    )
    answer = call("plan", "made_up.yaml")
    assert answer.code == 0
    assert "will be simulated: 3.1 MiB" in answer.out
    assert not (work / "made_up.zarr").exists()


def test_a_share_of_the_free_memory(call):
    answer = call("plan", "job.yaml", "--budget", "50%", "--json")
    assert json.loads(answer.out)["steps"]["project"]["budget"] > 2**28


def test_plan_of_many_recordings(call, work):
    (work / "broken.npy").write_bytes(b"junk")
    many = ("--set", "recording.path=*.npy", "--set", "output.path=results")
    answer = call("plan", "job.yaml", *many)
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[1].split() == [
        "recording",
        "to",
        "do",
        "frames",
        "size",
        "to",
        "read",
        "disk",
        "peak",
        "fits",
    ]
    assert next(line for line in lines if line.split()[:2] == ["movie", "new"])
    assert next(line for line in lines if line.strip().startswith("all ")).split()[1:5] == [
        "1",
        "of",
        "2",
        "60",
    ]
    assert next(line for line in lines if line.startswith("broken: ")).count("named like npy")
    told = json.loads(call("plan", "job.yaml", *many, "--json").out)
    assert told["totals"]["frames"] == 60
    assert [row["recording"] for row in told["recordings"]] == ["broken", "movie"]


def test_a_pattern_without_quotes(call, work):
    text = (work / "job.yaml").read_text().replace("path: movie.npy", "path: *.npy")
    (work / "many.yaml").write_text(text)
    answer = call("plan", "many.yaml")
    assert answer.code == 2
    assert answer.lines[-1] == "  put text that begins with * in quotes"
