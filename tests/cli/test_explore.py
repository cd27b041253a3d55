from __future__ import annotations

import builtins
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

import roitrace as rt
from roitrace.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    return rt.simulate(tmp_path / "movie.zarr", shape=(30, 32, 32), n_rois=2, seed=1)


def test_the_link_is_printed_and_ctrl_c_ends_it(movie: Path) -> None:
    command = [sys.executable, "-m", "roitrace", "explore", str(movie), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S{40,}", process.stdout.readline())
        assert found
        with urllib.request.urlopen(found.group(), timeout=30) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in errors


def test_a_taken_port_is_one_line(movie: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["explore", str(movie), "--no-browser", "--port", str(port)]) == 2
    assert f"error: port {port} of 127.0.0.1 cannot be had" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.tif"], "nothing.tif"),
        (["{movie}", "--results", "nothing.zarr"], "nothing.zarr does not exist"),
        (["{movie}", "--rois", "nothing.zip"], "nothing.zip"),
        (["{movie}", "--budget", "much"], "much"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    movie: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [one.format(movie=movie) for one in arguments]
    assert main(["explore", *given, "--no-browser"]) in {1, 2}
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert said in errors


def test_without_bokeh_it_says_what_to_install(
    movie: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.partition(".")[0] == "bokeh":
            raise ImportError(name)
        return real(name, *more)

    for name in [one for one in sys.modules if one.partition(".")[0] == "bokeh"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "bokeh", None)
    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["explore", str(movie), "--no-browser"]) == 1
    assert "pip install 'roitrace[app]'" in capsys.readouterr().err


def test_corrections_and_parts_go_into_the_configuration(movie: Path, tmp_path: Path) -> None:
    from roitrace.cli.explore import _section
    from roitrace.cli.options import RecordingOptions

    part = RecordingOptions(
        frame_rate=7.5, pixel_size="1.3,1.2", time="10:", y=":20", bad_frames="3,17", bad_frame_policy="skip"
    )
    section = _section(str(movie), part)
    assert section == {
        "path": str(movie),
        "frame_rate": 7.5,
        "pixel_size": [1.3, 1.2],
        "time": [10, 30],
        "y": [0, 20],
        "bad_frames": [3, 17],
        "bad_frame_policy": "skip",
    }
    from roitrace.config import make_config

    make_config({"recording": section, "output": {"path": str(tmp_path / "a.zarr")}})


def test_results_are_no_recording(call):
    call("project", "movie.npy", "images.zarr", "-q")
    answer = call("explore", "images.zarr", "--no-browser")
    assert answer.code == 2
    assert answer.lines == [
        "error: images.zarr holds results, and no recording",
        "  roitrace explore RECORDING --results images.zarr",
    ]
