"""What the README shows runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import tifffile

import roitrace as rt

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def movie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small movie.tif as a microscope writes it, without any metadata."""
    monkeypatch.chdir(tmp_path)
    rt.simulate("simulated.zarr", shape=(600, 96, 96), n_rois=8, seed=5, frame_rate=7.5, pixel_size=1.2)
    frames = rt.open_recording("simulated.zarr").compute().values
    tifffile.imwrite("movie.tif", frames, photometric="minisblack")
    return tmp_path


@pytest.mark.usefixtures("movie")
def test_python_example() -> None:
    (example,) = [code for language, code in BLOCKS if language == "python"]
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102
    plt.close("all")
    traces = rt.load("results.zarr")["traces"]
    assert {"mean", "median", "trimmed_mean", "weighted_mean"} <= set(traces.data_vars)
    assert traces.sizes["time"] == 600
    assert traces.sizes["roi"] >= 5
    assert np.isfinite(traces["mean"].values).all()


@pytest.mark.parametrize(
    "commands",
    [code for language, code in BLOCKS if language == "sh" and "roitrace " in code and "venv" not in code],
)
def test_shell_examples(movie: Path, commands: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=movie,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
