"""Shells complete verbs, options, values and keys of a configuration; quickly."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from roitrace.cli import completion
from roitrace.cli.completion import example_names, setting_keys, words
from roitrace.config.sections import Config
from roitrace.engine.declarations import DECLARATIONS

from .test_help import HEAVY

OF_TYPER = {"pydantic"}  # newer versions of typer check values with it


def asked(shell, typed, **more):
    """Return what a shell is told when somebody presses the tabulator."""
    environment = (
        os.environ | {"_ROITRACE_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": typed} | more
    )
    if shell == "bash":
        parts = typed.split(" ")
        environment |= {"COMP_WORDS": "\n".join(parts), "COMP_CWORD": str(len(parts) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "roitrace"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_verbs_and_options(shell):
    fish = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"} if shell == "fish" else {}
    told = asked(shell, "roitrace ex", **fish)
    assert "extract" in told
    assert "export" in told
    assert "project" not in told
    assert "--log-file" in asked(shell, "roitrace run job.yaml --log-", **fish)


def test_values():
    assert asked("bash", "roitrace extract a b c --scheduler th").split() == ["threads"]
    assert asked("bash", "roitrace init ti").split() == ["tiff"]
    assert asked("bash", "roitrace run a.yaml --log j").split() == ["json"]
    assert asked("bash", "roitrace run a.yaml --set recording.pa").split() == ["recording.path="]
    assert asked("bash", "roitrace project a b --statistics mean,corr").split() == ["mean,correlation"]


def test_paths_are_left_to_the_shell():
    assert asked("bash", "roitrace info mov").strip() == ""
    shown = subprocess.run(
        [sys.executable, "-m", "roitrace", "--show-completion", "bash"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "complete -o default" in shown.stdout + shown.stderr or shown.returncode == 0


def test_completion_imports_nothing_heavy():
    code = (
        "import sys, atexit\nfrom roitrace.cli import main\n"
        f"atexit.register(lambda: print('HEAVY', sorted(set(sys.modules) & set({sorted(set(HEAVY) - OF_TYPER)!r}))))\nmain([])"
    )
    environment = os.environ | {
        "_ROITRACE_COMPLETE": "complete_bash",
        "COMP_WORDS": "roitrace\nrun\n--set\nextract.",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert "extract.statistics=" in done.stdout
    assert "HEAVY []" in done.stdout


def test_lists():
    complete = words("mean", "median", "max")
    assert complete("me") == ["mean", "median"]
    assert complete("mean,m") == ["mean,median", "mean,max"]
    assert complete("zzz") == []


def test_keys_of_a_configuration():
    assert "recording.path=" in setting_keys("")
    assert setting_keys("rois.segment.cell") == ["rois.segment.cell_diameter="]
    assert setting_keys("recording.path=a") == []
    assert {one.partition(".")[0].partition("=")[0] for one in setting_keys("")} == set(Config.model_fields)


def test_examples():
    assert "quickstart" in example_names("")
    assert example_names("qui") == ["quickstart"]


def test_tables_are_those_of_the_library():
    over_time = {name for name, one in DECLARATIONS.items() if one.over_time}
    assert set(completion.PROJECTIONS) <= over_time
    assert set(completion.AGGREGATIONS) <= set(DECLARATIONS)
