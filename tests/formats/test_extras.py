"""Messages about packages that are missing name an extra that installs them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from roitrace.errors import MissingDependencyError
from roitrace.formats.extras import import_extra

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"""roitrace\[([a-z0-9]+)\]|import_extra\("\w+", "(\w+)"|needs=\("\w+", "(\w+)"\)""")


def test_every_extra_that_is_named_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    sources = [ROOT / "README.md", *(ROOT / "src").rglob("*.py")]
    named = {
        next(filter(None, found))
        for source in sources
        for found in NAMED.findall(source.read_text(encoding="utf-8"))
    }
    assert named <= extras.keys()
    assert {"nd2", "nwb", "parquet", "tiff", "video"} <= named


def test_what_is_missing_and_how_to_get_it_is_said():
    with pytest.raises(MissingDependencyError, match=r"needs the package no_such; .*roitrace\[video\]"):
        import_extra("no_such.part", "video", "movie.avi is a video, which")
