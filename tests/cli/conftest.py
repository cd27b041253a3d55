"""Small files to work on, and a way to call the command line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from roitrace.cli.main import main


@dataclass(frozen=True)
class Answer:
    """What a call gave back."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Lines on standard error that tell of the error: the problem, and the next step."""
        return self.err.strip().splitlines()


@pytest.fixture
def call(work, capsys):  # noqa: ARG001 (it is called there)
    """Call the command line as if it were typed in the folder `work`."""

    def typed(*arguments: object) -> Answer:
        code = main([str(one) for one in arguments])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return typed


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Give a folder with a recording of three cells, and work in it."""
    random = np.random.default_rng(0)
    movie = random.poisson(20.0, (60, 40, 48)).astype(np.uint16)
    for y, x in ((5, 5), (20, 30), (28, 8)):
        movie[:, y : y + 8, x : x + 8] += random.poisson(60.0, (60, 1, 1)).astype(np.uint16)
    np.save(tmp_path / "movie.npy", movie)
    (tmp_path / "job.yaml").write_text(
        "recording: {path: movie.npy, frame_rate: 10}\n"
        "rois: {segment: {cell_diameter: 9 px}}\nfigures: null\noutput: {path: out.zarr}\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path
