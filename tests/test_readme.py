"""What the README shows runs as it stands there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import types
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import tifffile

import roitrace as rt
from tests.formats.traces.results import lab_file, make_results
from tests.warm_start import typed_as

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).resolve().parents[1] / "README.md"
BEFORE, EXPORT, AFTER = re.split(
    r"^(## Export\n.*?)(?=^## )", README.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
)


def blocks_in(text: str) -> list[tuple[str, str]]:
    return re.findall(r"```(\w+)\n(.*?)```", text, flags=re.DOTALL)


BLOCKS = blocks_in(BEFORE + AFTER)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small movie.tif as a microscope writes it, without any metadata."""
    folder = tmp_path_factory.mktemp("recorded")
    simulated = folder / "simulated.zarr"
    rt.simulate(simulated, shape=(600, 96, 96), n_rois=8, seed=5, frame_rate=7.5, pixel_size=1.2)
    frames = rt.open_recording(simulated).compute().values
    tifffile.imwrite(folder / "movie.tif", frames, photometric="minisblack")
    return folder


@pytest.fixture
def movie(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the movie in it, in which work goes on."""
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the shell finds roitrace; `.ci/run` types the first commands of the README with the installed one."""
    with typed_as("roitrace", tmp_path_factory.mktemp("warm")) as folder:
        yield folder


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
def test_shell_examples(movie: Path, warm: Path, commands: str) -> None:
    run_shell(commands, movie, warm)


def run_shell(commands: str, folder: Path, warm: Path) -> None:
    path = os.pathsep.join([str(warm), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


# -- export -------------------------------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with results.zarr, and movie.nwb of the same session."""
    monkeypatch.chdir(tmp_path)
    traces = make_results(n_frames=600)
    rt.save(traces, "results.zarr")
    lab_file(tmp_path / "movie.nwb", n_frames=600)
    return tmp_path


def test_export_on_the_command_line(results: Path, warm: Path) -> None:
    ((_, commands),) = [block for block in blocks_in(EXPORT) if block[0] == "sh"]
    run_shell(commands, results, warm)
    named = set(re.findall(r"results.zarr (\S+)", commands))
    assert len(named) == 5
    assert all((results / name).exists() for name in named)


def recipe(word: str) -> dict[str, Any]:
    """Run the recipe that has a word in it, and return its names."""
    (code,) = [code for language, code in blocks_in(EXPORT) if language == "python" and word in code]
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what the files do not keep
        exec(compile(code, "README.md", "exec"), names)  # noqa: S102
    return names


@pytest.mark.usefixtures("results")
def test_event_triggered_average() -> None:
    average = recipe("pandas")["average"]
    dff = rt.load("results.zarr")["normalized"]["dff"]
    frames = np.rint(np.array([12.0, 30.0, 48.0]) * 7.5).astype(int)
    np.testing.assert_allclose(average.loc[average.index[10]], dff.values[:, frames].mean(axis=1), rtol=1e-12)
    assert average.shape == (40, 5)


@pytest.mark.usefixtures("results")
def test_to_cascade_and_oasis(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        import oasis.functions  # noqa: F401
    except ImportError:
        # a stand-in with the same signature: the second of five results is the deconvolved trace
        stand_in = types.ModuleType("oasis.functions")
        stand_in.deconvolve = lambda y, penalty=1: (y, np.maximum(y, 0) * penalty, 0.0, 0.9, 0.1)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "oasis", types.ModuleType("oasis"))
        monkeypatch.setitem(sys.modules, "oasis.functions", stand_in)
    spikes = recipe("oasis")["spikes"]
    dff = rt.load("results.zarr")["normalized"]["dff"].values
    cascade = np.load("cascade.npy")
    assert cascade.dtype == np.float32
    np.testing.assert_array_equal(cascade, dff.astype(np.float32))
    assert spikes.shape == dff.shape
    np.testing.assert_array_equal(np.load("deconvolved/spks.npy"), spikes.astype(np.float32))


def test_the_table_of_speed_is_the_measured_one() -> None:
    from benchmarks.report import as_short

    (shown,) = re.findall(
        r"<!-- benchmark: speed -->\n(.*?)<!-- end -->", README.read_text("utf-8"), flags=re.DOTALL
    )
    (newest,) = (README.parent / "benchmarks" / "results").glob("*-full.json")
    assert shown.strip() == as_short(json.loads(newest.read_text("utf-8"))).strip()
