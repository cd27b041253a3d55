"""Each guard against bombs switched off once: its bomb must then take what the test forbids.

``python -m tests.hostile.guards`` prints a line for each; every trial is a process of its own with little memory and time.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from tests.hostile.bombs import BOMBS, measure
from tests.hostile.fuzz import MOST_BYTES, MOST_SECONDS

__all__ = ["GUARDS", "holds_without"]

F = "roitrace.formats"
ENDLESS = 2**80


def nothing(*_: Any, **__: Any) -> int:
    return 0


GUARDS: dict[str, tuple[str, Any, str]] = {
    "frames of hdf5": (f"{F}.recordings.hdf5.check_frames", nothing, "hdf5 of 100 mega frames"),
    "frames of nwb": (f"{F}.recordings.nwb.check_frames", nothing, "nwb of 100 mega frames"),
    "frames of zarr": (f"{F}.recordings.zarr_store.check_frames", nothing, "zarr of 100 mega frames"),
    "sides": (f"{F}.recordings.claims.MOST_SIDE", ENDLESS, "hdf5 of 100 mega rows"),
    "sides of zarr": (f"{F}.recordings.claims.MOST_SIDE", ENDLESS, "zarr of 100 mega columns"),
    "channels": (f"{F}.recordings.axes.check_parts", nothing, "zarr of mega channels"),
    "planes of ome": (f"{F}.recordings.ome_xml.MOST_PLANES", ENDLESS, "ome of 100 mega frames"),
    "planes of scanimage": (f"{F}.recordings.tiff_scanimage.MOST_PLANES", ENDLESS, "scanimage of 30 mega planes"),
    "planes of thor": (f"{F}.recordings.thor.MOST_PLANES", ENDLESS, "thor of 30 mega planes"),
    "elements": (f"{F}.xml.FREE_ELEMENTS", ENDLESS, "thor of many elements"),
    "directories": (f"{F}.recordings.tiff_pages._check_apart", nothing, "tiff directories overlap"),
    "values of json": ("roitrace.bounded_json.MOST_VALUES", ENDLESS, "json wide"),
    "values of attributes": ("roitrace.bounded_json.MOST_VALUES", ENDLESS, "zarr attributes wide"),
    "claims of npz": (f"{F}.bounded._held", nothing, "npz image"),
    "claims of png": (f"{F}.bounded._held", nothing, "png"),
    "claims of hdf5": (f"{F}.bounded._held", nothing, "caiman claims"),
    "claims of stacks": (f"{F}.bounded._held", nothing, "nwb masks"),
    "matlab": (f"{F}.matlab_file._check_size", nothing, "matlab zeros"),
    "pixels": (f"{F}.rois.rasterize._check_size", nothing, "roi of 49 mega pixels"),
    "crossings": (f"{F}.rois.rasterize.MAX_CROSSINGS", ENDLESS, "roi of few tall lines"),
    "entry of a zip": (f"{F}.rois.imagej.MAX_ENTRY_BYTES", 2**40, "roi set of one"),
    "names in a zip": (f"{F}.rois.imagej._check_directory", nothing, "roi set of many names"),
    "lists of lists": (f"{F}.objects._expanded", nothing, "stat of lists"),
    "aliases": ("roitrace.config.file._expanded_size", nothing, "yaml aliases"),
    "values of yaml": ("roitrace.config.file._MAX_NODES", ENDLESS, "yaml wide"),
}  # fmt: skip


def holds_without(name: str) -> tuple[bool, str]:
    """Whether the test of a guard's bomb passes though the guard is off, and what happened."""
    target, value, bomb = GUARDS[name]
    kind, make = BOMBS[bomb]
    with tempfile.TemporaryDirectory() as folder:
        path, report = make(Path(folder)), Path(folder, "report.json")
        child = os.fork()
        if child == 0:
            _try(target, value, kind, path, report)
        _, status = os.waitpid(child, 0)
        if not report.exists():
            return False, f"ended by {os.waitstatus_to_exitcode(status)}"
        outcome, words, seconds, peak = json.loads(report.read_text())
    held = outcome == "typed" and seconds < MOST_SECONDS and peak < MOST_BYTES
    return held, f"{outcome}, {seconds:.1f} s, {peak / 2**20:.0f} MiB: {words.strip()[-100:]}"


def _try(target: str, value: Any, kind: str, path: Path, report: Path) -> None:
    limit = psutil.Process().memory_info().vms + 2 * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    spent = int(sum(os.times()[:2]))
    resource.setrlimit(resource.RLIMIT_CPU, (spent + 7, spent + 8))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with mock.patch(target, value):
            report.write_text(json.dumps(measure(kind, path)))
    finally:
        os._exit(0)


def main() -> None:
    """Run from the command line."""
    needless = 0
    for name in GUARDS:
        held, what = holds_without(name)
        needless += held
        print(f"{name}: {'NEEDLESS' if held else 'needed'}: {what}", flush=True)
    sys.exit(bool(needless))


if __name__ == "__main__":
    main()
