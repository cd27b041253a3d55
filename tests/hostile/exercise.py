"""What is done with an input: as much as a user's call would."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

import roitrace as rt
from roitrace.config.file import read_config
from roitrace.decisions import read_decisions
from roitrace.errors import ArgumentError
from roitrace.formats.registry import open_recording_file
from roitrace.formats.shifts.bad_frames import read_bad_frames, read_bad_pixels
from roitrace.formats.shifts.reading import read_shift_table
from tests.hostile.corpus import FRAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["EXERCISES"]

MOST_BYTES = 32 * 2**20
"""Blocks up to this size are read; the plan of a job judges larger ones."""


def read_recording(path: Path) -> None:
    """Open and label it, and read its first and its last frame in every channel and plane."""
    file = open_recording_file(path)
    rt.open_recording(file)
    for sources in file.sources[:2]:
        for source in sources[:2]:
            source.identity()
            block = math.prod(max(part, 1) for part in source.chunks) * source.dtype.itemsize
            frame = math.prod(source.shape[1:]) * source.dtype.itemsize
            if max(block, frame) > MOST_BYTES:
                continue
            y, x = (slice(0, size) for size in source.shape[1:])
            for time in {0, source.shape[0] - 1}:
                found = source.read(slice(time, time + 1), y, x)
                assert found.shape == (1, *source.shape[1:])


def read_rois(path: Path) -> None:
    """Read ROIs, and put them on a frame where their file has none."""
    try:
        rois = rt.read_rois(path)
    except ArgumentError:
        rois = rt.read_rois(path, recording=_recording())
    assert len(rois.names) == len(rois)
    repr(rois)


def load_results(path: Path) -> None:
    """Load a results store, and all that is in it."""
    loaded = rt.load(path)
    for node in loaded.subtree:
        node.to_dataset(inherit=False).load()


def _recording() -> xr.DataArray:
    return xr.DataArray(np.zeros((2, *FRAME), np.uint16), dims=("time", "y", "x"))


EXERCISES: dict[str, Callable[[Path], object]] = {
    "recording": read_recording,
    "rois": read_rois,
    "shifts": read_shift_table,
    "bad frames": read_bad_frames,
    "bad pixels": read_bad_pixels,
    "config": read_config,
    "decisions": read_decisions,
    "results": load_results,
}
