"""A small job and its results, made once."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from roitrace.pipeline.run import run


def job_of(folder: Path, name: str = "results", **sections: Any) -> dict[str, Any]:
    """Return the configuration of a small job on a simulated recording; sections replace or add to it."""
    return {
        "simulate": {"shape": [300, 64, 64], "n_rois": 6, "seed": 3, "frame_rate": 15},
        "recording": {"path": str(folder / "recording.zarr")},
        "normalize": {"offset": 100},
        "figures": None,
        "output": {"path": str(folder / f"{name}.zarr")},
        "resources": {"budget": "1 GiB", "workers": 2},
    } | sections


def segmenting_job(movie: Path, folder: Path, **sections: Any) -> dict[str, Any]:
    """Return the configuration of a job that finds the cells of a recording and exports their traces; sections replace or add to it."""
    return {
        "recording": {"path": str(movie), "frame_rate": 10},
        "rois": {"segment": {"cell_diameter": "9 px"}},
        "figures": None,
        "report": None,
        "export": [{"path": str(folder / "traces.csv")}],
        "output": {"path": str(folder / "out.zarr")},
    } | sections


def digest(folder: str | Path) -> dict[str, str]:
    """Digest every file below a folder."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Run a small job with figures; give its folder."""
    folder = tmp_path_factory.mktemp("job")
    run(job_of(folder, figures={"dpi": 50}))
    return folder
