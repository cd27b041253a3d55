"""The order of the tests: modules that take long come first, so that no worker begins one when the others have nothing left.

A module goes to one worker as a whole (``--dist loadscope``), which makes its fixtures once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

LONG = (
    "tests/faults/test_faults.py",
    "tests/test_readme.py",
    "tests/test_benchmarks.py",
    "tests/test_accuracy.py",
    "tests/test_simulation.py",
    "tests/test_tutorial.py",
    "tests/hostile/test_fuzz.py",
    "tests/hostile/test_bombs.py",
    "tests/hostile/test_access.py",
    "tests/cluster/test_local.py",
    "tests/test_segmentation.py",
    "tests/test_conversion.py",
    "tests/browser/test_report.py",
    "tests/browser/test_explorer.py",
    "tests/cli/test_errors.py",
    "tests/pipeline/test_run.py",
    "tests/store/test_reader.py",
    "tests/test_resuming.py",
)
"""Longest first; those of less than some 10 s need not stand here."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(LONG)))
