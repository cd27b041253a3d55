"""The commands of the documentation run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile

from roitrace.cli.main import main
from roitrace.store.places import place_of

FOLDER = Path(__file__).parents[2]


def commands_in(page: str, heading: str) -> list[str]:
    text = (FOLDER / page).read_text("utf-8").partition(heading)[2]
    return re.findall(r"```text\n(.*?)```", text, flags=re.DOTALL)[0].splitlines()


@pytest.mark.parametrize(
    ("page", "heading"), [("docs/object_storage.md", "# Recordings"), ("README.md", "## In a bucket")]
)
def test_commands(bucket, tmp_path, monkeypatch, capsys, page, heading):
    monkeypatch.chdir(tmp_path)
    movie = np.random.default_rng(0).poisson(20.0, (60, 40, 48)).astype(np.uint16)
    for y, x in ((5, 5), (20, 30), (28, 8)):
        movie[:, y : y + 8, x : x + 8] += 60
    tifffile.imwrite("movie.tif", movie)
    assert main(["init", "tiff"]) == 0
    for command in commands_in(page, heading):
        program, *words = shlex.split(command.replace("s3://lab", bucket))
        assert program == "roitrace"
        assert main(words) == 0, (command, capsys.readouterr().err)
    if page == "README.md":
        assert place_of(f"{bucket}/results.zarr.html").read_text().startswith("<!DOCTYPE html>")
        assert [one.suffix for one in place_of(f"{bucket}/results.zarr.figures").iterdir()][:1] == [".png"]
