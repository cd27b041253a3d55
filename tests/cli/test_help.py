"""Help is quick, imports nothing heavy, and shows an example for every verb."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from roitrace.cli.main import main

VERBS = (
    "init",
    "simulate",
    "convert",
    "append",
    "verify",
    "info",
    "check",
    "project",
    "segment",
    "transfer",
    "extract",
    "normalize",
    "compare",
    "explore",
    "export",
    "run",
)
HEAVY = (
    "dask",
    "distributed",
    "matplotlib",
    "numba",
    "numpy",
    "pandas",
    "pydantic",
    "skimage",
    "xarray",
    "zarr",
)


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom roitrace.cli import main\ncode = main(['--help'])\n"
        f"heavy = sorted(set(sys.modules) & set({HEAVY!r}))\nassert not heavy, heavy\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert verb in done.stdout


def test_help_is_quick():
    def seconds():
        begin = os.times()
        subprocess.run([sys.executable, "-m", "roitrace", "--help"], capture_output=True, check=True)
        end = os.times()
        return end.children_user + end.children_system - begin.children_user - begin.children_system

    # the processor's time, and the best of several: other work on the computer must not count
    assert min(seconds() for _ in range(5)) < 0.5


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_an_example(verb, capsys):
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert "For example:\n" in text
    assert f"\n      roitrace {verb}" in text


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("roitrace 0.")


def test_without_a_verb(capsys):
    assert main([]) == 2
    captured = capsys.readouterr()
    assert "Usage: roitrace" in captured.out + captured.err


@pytest.mark.parametrize(
    "typed", [["fly"], ["run"], ["info", "a", "--frobnicate"], ["project", "a", "b", "--plane", "x"]]
)
def test_wrong_calls(typed, capsys):
    assert main(typed) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert first.startswith("error: ")
    assert second.startswith("  roitrace ")
    assert "--help" in second
