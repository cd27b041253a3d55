"""The textbook notebook runs from top to bottom and is kept without its outputs."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[1] / "configs" / "tutorial.ipynb"


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def chapters(notebook):
    """Code of each numbered chapter, by its number."""
    found = {}
    number = "0"
    for cell in notebook.cells:
        heading = re.search(r"^## (\d)\.", cell.source, re.MULTILINE)
        if cell.cell_type == "markdown" and heading:
            number = heading[1]
        elif cell.cell_type == "code":
            found.setdefault(number, []).append(cell)
    return found


def test_is_kept_without_outputs(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert [cell.id for cell in notebook.cells] == [
        f"step-{number:02d}" for number in range(len(notebook.cells))
    ]
    for cell in code_of(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None
        assert not cell.metadata


@pytest.mark.parametrize("number", ["1", "2", "3", "4", "5"])
def test_every_chapter_stands_beside_numpy(notebook, number):
    code = "\n".join(cell.source for cell in chapters(notebook)[number])
    assert "rt." in code
    assert "np.testing.assert_allclose" in code


def test_runs(notebook, tmp_path):
    """A cell that raises ends the run with its traceback; warnings and pictures are looked for afterwards."""
    client = NotebookClient(
        nbformat.from_dict(notebook),
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    ran = client.execute()

    streams = [output for cell in code_of(ran) for output in cell.outputs if output.output_type == "stream"]
    assert [output.text for output in streams if output.name == "stderr"] == []
    for number, cells in chapters(ran).items():
        pictures = [
            output
            for cell in cells
            for output in cell.outputs
            if output.output_type == "display_data" and "image/png" in output.data
        ]
        assert pictures, f"chapter {number} has no picture"
    assert (tmp_path / "tutorial" / "cells.tif").is_file()
